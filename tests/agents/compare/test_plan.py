"""What a comparison consists of, and what names its runs."""

import dataclasses
import importlib
from pathlib import Path

import pytest

from metis_agents.compare import Plan, Settings, fingerprint, training
from metis_agents.compare.fingerprint import code_fingerprint, design_source
from metis_agents.compare.plan import batches_of
from metis_agents.compare.pool import side_by_side
from metis_agents.sb3 import SFTConfig
from metis_gym.errors import ConfigError, UnknownNameError
from metis_gym.rewards.outcome import Accuracy


class Own(Accuracy):
    """A design of one's own."""

    name = "own"


def key(design="hdpo", seed=0, **settings):
    return Plan(designs=(design,), seeds=(seed,), settings=Settings(**settings)).runs[0].key


def test_runs_come_seed_by_seed():
    plan = Plan(designs=("accuracy", "hdpo"), seeds=(3, 5))
    assert [(run.seed, run.design) for run in plan.runs] == [(3, "accuracy"), (3, "hdpo"), (5, "accuracy"), (5, "hdpo")]


def test_a_key_names_everything_that_numbers_depend_on():
    different = [
        key(),
        key("hdpo:w_tool=0.1"),
        key(seed=1),
        key(batches=7),
        key(tasks=2),
        key(group_size=3),
        key(learning_rate=1e-3),
        key(eval_tasks=9),
        key(env={"choices": 2}),
        key(start=SFTConfig(tasks=9)),
    ]
    assert len(set(different)) == len(different)
    assert key(checkpoint_every=3) == key()
    assert key("hdpo:w_tool=0.15") == key("hdpo")


def test_keys_are_file_names():
    assert key("coupled:alpha=0.5,gated=false").startswith("coupled_alpha=0.5_gated=false-seed0-")


def test_cold_starts_are_shared_by_designs_and_noises_but_not_by_options_or_seeds():
    def start(design="hdpo", seed=0, **env):
        return Plan(designs=(design,), seeds=(seed,), settings=Settings(env=env)).runs[0].start.key

    assert start("accuracy") == start("hdpo") == start(grader_noise=0.3)
    assert len({start(), start(choices=2), start(seed=1)}) == 3


def test_policies_are_played_with_tools_as_wrong_as_in_training_and_a_grader_that_is_right(monkeypatch):
    asked = {}
    monkeypatch.setattr(training, "play_with_and_without", lambda *_, **kwargs: asked.update(kwargs) or [])
    settings = Settings(env={"grader_noise": 0.3, "tool_noise": 0.2})
    training._played([], Plan(designs=("hdpo",), seeds=(0,), settings=settings).runs[0].start)
    assert asked["tool_noise"] == 0.2
    assert "grader_noise" not in asked


def test_jobs_share_a_cold_start_and_leave_no_process_idle():
    plan = Plan(designs=("accuracy", "hdpo", "otc"), seeds=(0, 1))
    jobs = side_by_side(plan.runs, 2)
    assert [len(job) for job in jobs] == [2, 1, 2, 1]
    assert all(len({run.start.key for run in job}) == 1 for job in jobs)
    assert sorted(run.key for job in jobs for run in job) == sorted(run.key for run in plan.runs)
    assert [len(job) for job in side_by_side(plan.runs, 1)] == [3, 3]


def test_timesteps_are_turned_into_batches():
    assert batches_of(512, tasks=16, group_size=16) == 1
    assert batches_of(513, tasks=16, group_size=16) == 2
    assert batches_of(1, tasks=16, group_size=16) == 1


def test_unknown_designs_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'hdpo'"):
        Plan(designs=("hpdo",), seeds=(0,))
    with pytest.raises(ConfigError, match="Did you mean 'alpha'"):
        Plan(designs=("coupled:alhpa=0.1",), seeds=(0,))


@pytest.mark.parametrize(
    ("designs", "seeds", "message"),
    [
        ((), (0,), "at least one design and one seed"),
        (("hdpo",), (), "at least one design and one seed"),
        (("hdpo", "hdpo:w_tool=0.15"), (0,), "'hdpo' is given twice"),
        (("hdpo",), (1, 1), "seed 1 is given twice"),
    ],
)
def test_wrong_plans_raise(designs, seeds, message):
    with pytest.raises(ConfigError, match=message):
        Plan(designs=designs, seeds=seeds)


@pytest.mark.parametrize(("name", "value"), [("batches", 0), ("group_size", 1), ("learning_rate", 0.0), ("tasks", 1.5)])
def test_wrong_settings_raise(name, value):
    with pytest.raises(ConfigError, match=name):
        dataclasses.replace(Settings(), **{name: value})


def test_a_key_names_the_code(tmp_path, monkeypatch):
    package = tmp_path / "made_up_code"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "part.py").write_text("VALUE = 1")
    monkeypatch.syspath_prepend(tmp_path)

    def now():
        code_fingerprint.cache_clear()
        return code_fingerprint(("made_up_code",))

    before = now()
    assert before == now()
    (package / "deep" / "part.py").write_text("VALUE = 2")
    assert before != now()


@pytest.mark.parametrize(
    "module", ["metis_gym.rewards.hdpo", "metis_envs.families.patches", "metis_agents.rl.loss", "metis_agents.sb3.sft"]
)
def test_the_code_that_numbers_depend_on_is_named(module, monkeypatch):
    touched = importlib.import_module(module).__file__
    read = Path.read_bytes
    code_fingerprint.cache_clear()
    before = key()
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (str(path) == touched))
    code_fingerprint.cache_clear()
    try:
        assert key() != before
    finally:
        code_fingerprint.cache_clear()


def test_a_key_names_the_code_of_a_design_of_ones_own(monkeypatch):
    source = "class Mine: pass"
    monkeypatch.setattr(fingerprint.inspect, "getsource", lambda part: source)
    own = f"{__name__}:Own"
    assert design_source("hdpo") == ()
    before = key(own)
    source = "class Mine: x = 1"
    assert key(own) != before
