"""Every independent field of a configuration is one option, with help and its default; and nothing else is."""

import dataclasses
import importlib.util
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from metis_agents.compare.options import COMPARE, MAP
from metis_agents.compare.plan import Plan
from metis_agents.compare.robustness import Map
from metis_agents.qwen3vl.train.command import TRAIN, read_config, with_environments
from metis_agents.qwen3vl.train.config import RunConfig
from metis_agents.settings.command_line import parse
from metis_agents.settings.flags import flags_of
from metis_gym.cli import main
from metis_gym.env import ToolUseEnv
from metis_gym.errors import ConfigError

DERIVED = {
    RunConfig: {
        *("model.seed", "trainer.seed", "cold_start.sft.seed", "cold_start.grounding.seed"),
        *("cold_start.sft.micro_batch_tokens", "cold_start.grounding.micro_batch_tokens"),
    },
    Plan: {"settings.start.seed"},
    Map: {"settings.start.seed"},
}
"""What follows from something else: one seed, one size of micro-batches."""
SCHEMES = {"train": TRAIN, "compare": COMPARE, "map": MAP}
ENV_IDS = {"train": "MetisVQA-v0", "compare": "MetisVQA-Discrete-v0", "map": "MetisVQA-Discrete-v0"}
OUT = ("--out", "somewhere")


def paths_of(config, prefix=""):
    """The fields of a dataclass and of those in it, found without the code under test."""
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if not field.init:
            continue
        inner = [part for part in (hints[field.name], *typing.get_args(hints[field.name])) if isinstance(part, type)]
        nested = [part for part in inner if dataclasses.is_dataclass(part)]
        if nested and typing.get_origin(hints[field.name]) is not tuple:
            yield from paths_of(nested[0], f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def help_of(command, capsys, monkeypatch, *more):
    """The help as flag → what stands beside it."""
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main([command, "--help", *more])
    assert ended.value.code == 0
    entries = {}
    names = None
    for line in capsys.readouterr().out.splitlines():
        text = line.strip("│|").strip()
        if re.match(r"[│| ] -{1,2}[a-z]", line):  # further lines of an entry stand further right
            names, _, about = text.partition("  ")
            assert names not in entries
            entries[names] = about.strip()
        elif names:
            entries[names] = f"{entries[names]} {text}".strip()
    return entries


def entry(entries, flag):
    """The one entry of a flag."""
    found = [about for names, about in entries.items() if f"--{flag}" in re.split(r"[ ,]+", names)]
    assert len(found) == 1, flag
    return found[0]


@pytest.mark.parametrize("command", SCHEMES)
def test_every_independent_field_has_one_flag_with_help(command, capsys, monkeypatch):
    scheme = SCHEMES[command]
    entries = help_of(command, capsys, monkeypatch)
    flags = flags_of(scheme, ENV_IDS[command])
    for path in paths_of(scheme.config):
        mine = [flag for flag in flags if flag.path == path]
        if path == scheme.env_path or path in DERIVED[scheme.config]:
            assert not mine, path
            continue
        assert len(mine) == 1, path
        about = entry(entries, mine[0].name)
        text = re.split(r"\((?:default|required)", about)[0]
        assert len(re.findall(r"\w+", text)) > 1, path
        assert "default: " in about or "required" in about, path
    names = [name for flag in flags for name in (flag.name, *flag.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("command", SCHEMES)
def test_every_argument_of_the_environment_has_a_flag_with_help(command, capsys, monkeypatch):
    scheme = SCHEMES[command]
    entries = help_of(command, capsys, monkeypatch)
    numeric = {"tools", "dialect", "answers", "sandbox", "image_engine", "calls_per_turn"}
    absent = set(scheme.env_refused) | (numeric if command != "train" else set())
    for name, parameter in inspect.signature(ToolUseEnv.__init__).parameters.items():
        if name != "self" and parameter.kind is parameter.KEYWORD_ONLY and name not in absent:
            text = entry(entries, f"env.{name.replace('_', '-')}").partition("(default")[0]
            assert len(re.findall(r"\w+", text)) > 2, name


@pytest.mark.parametrize("model", ["tiny", "Qwen/Qwen3-VL-8B-Instruct"])
def test_help_shows_the_defaults_that_hold_for_the_model(model, capsys, monkeypatch):
    entries = help_of("train", capsys, monkeypatch, "--model", model)
    config = read_config([*OUT, "--model", model])
    shown = {
        "lr": config.trainer.lr,
        "tasks": config.trainer.tasks,
        "batches": config.batches,
        "view-size": config.env["view_size"],
        "turn-tokens": config.budget.turn,
        "sft-steps": config.cold_start.sft.steps if config.cold_start else 0,
        "model.lora-alpha": config.model.lora_alpha,
        "dtype": config.model.dtype,
    }
    for flag, value in shown.items():
        assert f"(default: {value})" in entry(entries, flag)


def test_the_common_flags_have_the_same_names_everywhere():
    common = {"out", "lr", "workers", "design", "env", "taskset", "batches", "tasks", "group-size", "config"}
    for command in ("train", "compare"):
        flags = flags_of(SCHEMES[command], ENV_IDS[command])
        assert common <= {name for flag in flags for name in (flag.name, *flag.aliases)}
    mapped = {name for flag in flags_of(MAP, ENV_IDS["map"]) for name in (flag.name, *flag.aliases)}
    assert common - {"design"} <= mapped


def test_one_seed_feeds_everything():
    config = read_config([*OUT, "--seed", "7", "--micro-batch-tokens", "99"])
    start = config.cold_start
    assert {config.seed, config.model.seed, config.trainer.seed, start.sft.seed, start.grounding.seed} == {7}
    assert {config.trainer.micro_batch_tokens, start.sft.micro_batch_tokens} == {99}
    assert start.grounding.micro_batch_tokens == 99


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        ("--trainer.max-grad-norm none", "trainer.max_grad_norm", None),
        ("--trainer.max_grad_norm 2", "trainer.max_grad_norm", 2.0),
        ("--trainer.lr 0.5", "trainer.lr", 0.5),
        ("--lr=0.5", "trainer.lr", 0.5),
        ("--model.lora-alpha 8", "model.lora_alpha", 8),
        ("--model.layout packed", "model.layout", "packed"),
        ("--exact", "exact", True),
        ("--exact false", "exact", False),
        ("--exact --no-exact", "exact", False),
        ("--sft.train-vision false", "cold_start.train_vision", False),
        ("--sft.warmup 0.5", "cold_start.sft.warmup", 0.5),
        ("--grounding.batch 3", "cold_start.grounding.batch", 3),
        ("--grounding-steps 0", "cold_start.grounding", None),
        ("--sft-steps 0", "cold_start", None),
        ("--sft-data a.jsonl run/", "cold_start.data", ("a.jsonl", "run/")),
        ("--lora 4", "cold_start.lora", None),
        ("--model there --sft-steps 5 --lora 4", "cold_start.lora", 4),
        ("--model there --sft-steps 5 --lora 4 --sft.lora 2", "cold_start.lora", 2),
        ("--model there --sized tiny", "batches", 60),
        ("--lr 1 --lr 2", "trainer.lr", 2.0),
    ],
)
def test_flags_set_what_they_name(words, path, value):
    found = read_config([*OUT, *words.split()])
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--env.prices python=2,invalid=0.5", "prices", {"python": 2, "invalid": 0.5}),
        ("--env.prices none", "prices", None),
        ("--env.text-engine fts5:path=my.db", "text_engine", "fts5:path=my.db"),
        ("--env.image_engine dhash:path=my.db", "image_engine", "dhash:path=my.db"),
        ("--env.choices 2", "choices", 2),
        ("--env.required-share 0.3", "required_share", 0.3),
        ("--env.curriculum 4", "curriculum", 4),
        ("--env.calls-per-turn 1", "calls_per_turn", 1),
        ("--env.show-prices", "show_prices", True),
        ("--env.show_prices true", "show_prices", True),
        ("--env.show-prices false", "show_prices", False),
        ("--env.noise-key 3", "noise_key", 3),
        ("--env.tools crop+text_search", "tools", ("crop", "text_search")),
        ("--tools crop text_search", "tools", ("crop", "text_search")),
        ("--taskset signs+sums", "taskset", "signs+sums"),
        ("--env.taskset charts:answers=choice", "taskset", "charts:answers=choice"),
        ("--env.reward coupled:alpha=0.1", "reward", "coupled:alpha=0.1"),
        ("--env.render-mode ansi", "render_mode", "ansi"),
        ("--env.max-source none", "max_source", None),
        ("--env MetisSigns-v0 --env.view-size 100", "view_size", 100),
    ],
)
def test_arguments_of_the_environment_are_typed_by_its_signature(words, name, value):
    found = read_config([*OUT, *words.split()]).env[name]
    assert found == value
    assert type(found) is type(value)


def test_the_environment_of_a_file_decides_which_arguments_there_are(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"out": "there", "env_id": "MetisVQA-Discrete-v0", "env": {}}')
    assert read_config(["--config", str(path), "--env.crop-grid", "2"]).env == {"crop_grid": 2}


def test_only_what_is_said_is_handed_to_the_environment():
    assert "prices" not in read_config(OUT).env
    assert "prices" not in parse(COMPARE, []).config.settings.env


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--env.chioces", "2"], "MetisVQA-v0 has no argument 'chioces'. Did you mean 'choices'"),
        (["--env.split", "test"], "--env.split: a run learns on the train split"),
        (["--env", "MetisVQQ-v0"], "--env MetisVQQ-v0"),
        (["--config", "/nowhere/config.json"], "--config: cannot read /nowhere/config.json"),
        (["--kl", "-1"], "Expect `--kl` to be a finite number of at least 0, actually: -1.0"),
        (["--lr", "nan"], "Expect `--lr` to be a finite number above 0"),
        (["--group-size", "0"], "Expect `--group-size` to be a whole number"),
        (["--tasks", "3", "--minibatches", "2"], r"\(--tasks, --minibatches\)"),
        (["--turn-tokens", "20", "--response-tokens", "10"], r"\(--response-tokens, --turn-tokens\)"),
        (["--design", "hdpa"], r"Did you mean 'hdpo'.*\(--design\)"),
        (["--surrogate", "ppo_clop"], r"\(--surrogate\)"),
        (["--lora", "2", "--train-vision"], r"--lora.*--train-vision|--train-vision.*--lora"),
        (["--exact=maybe"], "Expect true or false"),
    ],
)
def test_a_value_that_cannot_be_right_names_its_flag(words, message):
    with pytest.raises(ConfigError, match=message):
        read_config([*OUT, *words])


@pytest.mark.parametrize("words", [["--lr", "fast"], ["--model.layout", "loose"], ["--batches", "1.5"]])
def test_a_word_that_cannot_be_read_names_its_flag(words, capsys):
    with pytest.raises(SystemExit) as ended:
        read_config([*OUT, *words])
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err.replace("\n", " ")


def test_a_flag_that_there_is_not_names_the_nearest(capsys):
    with pytest.raises(SystemExit):
        read_config([*OUT, "--group-sise", "2"])
    assert "--group-size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("former", "flag", "path"),
    [
        ("--cold-start 3", "--sft-steps", "cold_start.sft.steps"),
        ("--cold-start-batch 3", "--sft-batch", "cold_start.sft.batch"),
        ("--grounding 3", "--grounding-steps", "cold_start.grounding.steps"),
        ("--pictures 3", "--grounding-images", "cold_start.images"),
    ],
)
def test_former_flags_work_and_say_what_they_are_called_now(former, flag, path, capsys):
    found = read_config([*OUT, *former.split()])
    for name in path.split("."):
        found = getattr(found, name)
    assert found == 3
    assert flag in capsys.readouterr().err


def commands_in(text):
    """Every `metis-gym train|compare|map …` in a page, as words."""
    joined = text.replace("\\\n", " ")
    for line in re.findall(r"^\s*metis-gym ((?:train|compare|map) .*)$", joined, re.MULTILINE):
        yield line.partition(" #")[0].split()


def test_the_commands_of_the_documentation_can_be_read():
    root = Path(__file__).parents[3]
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    found = [(page.name, words) for page in pages for words in commands_in(page.read_text())]
    assert {words[0] for _, words in found} == set(SCHEMES)
    for _, (command, *words) in found:
        parse(SCHEMES[command], with_environments(words))


def test_the_flags_that_pages_and_examples_mention_exist():
    root = Path(__file__).parents[3]
    known = {f"--{name}" for command in SCHEMES for flag in flags_of(SCHEMES[command], ENV_IDS[command])
             for name in (flag.name, *flag.aliases)}  # fmt: skip
    pages = ("docs/qwen3vl.md", "docs/compare.md", "docs/robustness.md", "examples/train_qwen3vl_8b.sh")
    text = "".join((root / page).read_text() for page in pages)
    of_others = {"--nproc-per-node", "--nnodes", "--help", "--rdzv-backend", "--rdzv-endpoint", "--table", "--jobs"}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w.-]*[a-z]", text)) - of_others <= known


def test_the_commands_of_the_example_can_be_read():
    path = Path(__file__).parents[3] / "examples" / "train_tiny.py"
    spec = importlib.util.spec_from_file_location("train_tiny", path)
    example = importlib.util.module_from_spec(spec)
    sys.modules["train_tiny"] = example
    spec.loader.exec_module(example)
    cells = [example.Cell(start, 1) for start in example.HABITS]
    for cell in [*cells, example.Cell("cold start", 1, "hdpo:w_tool=0.15", 0.3)]:
        config = read_config(cell.arguments(Path("out")))
        assert config.seed == 1
        assert (config.cold_start is None) == bool(cell.design)


def test_the_core_and_eval_need_neither_tyro_nor_torch():
    code = (
        "import sys\nfrom metis_gym.cli import main\nimport metis_agents.settings.environments as e\n"
        "e.environment_arguments('MetisVQA-v0')\nmain(['--help'])\n"
        "try:\n    main(['eval', '--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(' '.join({'tyro', 'torch'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
