"""What a new user meets first: installs without extras, other systems, wrong ids, help, long jobs that say how far."""

import itertools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import metis_gym
from metis_agents import progress
from metis_agents.evaluate import evaluate
from metis_agents.scripted import NeverToolAgent
from metis_gym.cli import COMMANDS, main
from metis_gym.completion import words_of
from metis_gym.errors import ConfigError, UnknownNameError
from metis_gym.extras import EXTRAS
from metis_gym.markdown import MAX_WIDTH, fitting, table
from metis_gym.records import Passage
from metis_gym.search.index.corpora import CORPORA, corpus_file

ROOT = Path(__file__).parents[1]

WITHOUT = """
    import sys

    class Without:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ABSENT:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Without())
"""
"""A Python that lacks the modules `ABSENT`, as if they had never been installed."""

CORE_ONLY = f"ABSENT = {sorted({module for modules in EXTRAS.values() for module in modules})}" + textwrap.dedent(
    WITHOUT
)
CORE_ONLY += textwrap.dedent("""
    import importlib.metadata, importlib.util
    found = importlib.metadata.version
    hidden = {"matplotlib", "scikit-image", "scikit-learn", "math-verify"}

    def version(name):
        if name in hidden:
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    importlib.metadata.version = version
    importlib.machinery.PathFinder.find_spec = (lambda real: lambda name, *rest: None if name in ABSENT else
        real(name, *rest))(importlib.machinery.PathFinder.find_spec)
""")
WINDOWS = (
    'ABSENT = ["fcntl", "resource", "pwd", "grp", "termios"]'
    + textwrap.dedent(WITHOUT)
    + textwrap.dedent("""
    import os, socket
    import metis_gym, gymnasium, PIL.Image, requests, concurrent.futures, multiprocessing.pool, sysconfig, platform
    sys.platform = "win32"
    for module, names in ((os, "fork register_at_fork uname geteuid memfd_create"), (socket, "AF_UNIX recv_fds")):
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    for name in ABSENT:
        sys.modules.pop(name, None)
""")
)
MACOS = "import sys\nimport gymnasium, numpy, PIL.Image, requests\nsys.platform = 'darwin'\n"


def run(code, *, before=""):
    program = before + textwrap.dedent(code)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "envs"), str(ROOT / "agents")])}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=env)


def command(*words, before=""):
    return run(f"from metis_gym.cli import main\nsys.exit(main({list(words)!r}))", before=f"import sys\n{before}\n")


def test_without_extras_making_built_in_tasks_names_the_extra():
    made = run(
        """
        import gymnasium as gym
        for env_id in ("MetisVQA-v0", "MetisCharts-v0", "MetisVQA-Discrete-v0"):
            try:
                gym.make(f"metis_gym:{env_id}").reset(seed=0)
            except ImportError as error:
                print(error)
        """,
        before=CORE_ONLY,
    )
    assert made.stdout.count("pip install 'metis-gym[envs]'") == 3, made.stdout + made.stderr


def test_without_extras_files_of_tasks_and_code_run(tmp_path, sandbox_kwargs):
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    (tmp_path / "tasks.jsonl").write_text('{"question": "Which colour?", "answer": "red", "image": "red.png"}\n')
    played = run(
        f"""
        import gymnasium as gym
        env = gym.make("metis_gym:MetisVQA-v0", taskset="jsonl:{tmp_path / "tasks.jsonl"}")
        env.reset(seed=0)
        seen = env.step({{"name": "python", "arguments": {{"code": "print(np.asarray(image_1)[0, 0]); image_1"}}}})[0]
        print(seen["text"], len(seen["images"]))
        print(env.step({{"answer": "red"}})[1], "matplotlib" in sys.modules)
        env.close()
        """,
        before=CORE_ONLY,
    )
    assert "[255   0   0]" in played.stdout and played.stdout.endswith("1.0 False\n"), played.stdout + played.stderr


@pytest.mark.parametrize(
    "words", [["audit", "sums"], ["gallery", "sums"], ["compare"], ["train"], ["list", "surrogates"]]
)
def test_without_extras_every_command_names_what_to_install(words):
    ended = command(*words, before=CORE_ONLY)
    assert ended.returncode == 2
    assert "pip install 'metis-gym[" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("system", "name"), [(WINDOWS, "Windows"), (MACOS, "macOS")])
def test_off_linux_every_sandbox_says_the_same(system, name):
    made = run(
        """
        from metis_gym import sandbox
        from metis_gym.errors import SandboxUnavailableError
        for backend in ("auto", "namespace", "landlock", "unsafe"):
            try:
                sandbox.make(backend)
            except SandboxUnavailableError as error:
                print(str(error).replace(backend, "BACKEND"))
        """,
        before=system,
    )
    said = made.stdout.splitlines()
    assert len(said) == 4 and len(set(said)) == 1, made.stdout + made.stderr
    assert said[0].startswith(f"the sandbox 'BACKEND' needs Linux, and this is {name}: ")
    assert "docker" in said[0]


def test_on_windows_the_doctor_and_the_docker_backend_explain_themselves():
    asked = command("sandbox", "doctor", before=WINDOWS)
    assert asked.returncode == 1
    assert "this is Windows" in asked.stdout and "NO  docker" in asked.stdout, asked.stderr
    made = run(
        """
        from metis_gym import sandbox
        from metis_gym.errors import MetisError
        try:
            sandbox.make("docker")
        except MetisError as error:
            print(error)
        """,
        before=WINDOWS,
    )
    assert "Docker" in made.stdout or "docker" in made.stdout, made.stderr


@pytest.mark.parametrize(
    "env_id", ["MetisChart-v0", "Foo-v0", "ALE/Pong-v5", "no_such_package:Foo-v0", "Metis Charts", "MetisVQA-v9"]
)
def test_an_unknown_id_is_one_error(env_id):
    with pytest.raises(UnknownNameError, match="there is no environment"):
        evaluate(NeverToolAgent(), env_id, 1, 0, progress=False)
    with pytest.raises(UnknownNameError, match="there is no environment"):
        metis_gym.make_vec(env_id, num_envs=1)


def test_an_id_of_another_package_is_refused_in_one_line(capsys):
    with pytest.raises(ConfigError, match="is an environment of gymnasium"):
        metis_gym.make_vec("CartPole-v1", num_envs=1)
    for words in (["eval", "--agent", "never-tool"], ["train"]):
        assert main([*words, "--env", "CartPole-v1"]) == 2
        assert "CartPole-v1' is an environment of gymnasium" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_no_leftovers_of_its_making(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert not [leftover for leftover in ("%%", "%(", "(default: None)", "==SUPPRESS==") if leftover in shown]


def test_completion_knows_every_command_and_its_options(capsys):
    words = words_of()
    assert set(words) == set(COMMANDS)
    assert {"--agent", "--taskset", "--wide"} <= set(words["eval"])
    assert {"build", "doctor"} <= set(words["sandbox"])
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert "agent" in script and "parquet" in script
    bash = f"{main(['completion', 'bash']) or ''}{capsys.readouterr().out}"
    typed = bash.lstrip("0") + '\nCOMP_WORDS=(metis-gym eval --ag) COMP_CWORD=2; _metis_gym; echo "${COMPREPLY[@]}"'
    assert subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True).stdout == "--agent\n"


def test_the_doctor_looks_at_every_extra(capsys):
    main(["doctor"])
    shown = capsys.readouterr().out
    assert all(f"  {extra} " in shown for extra in EXTRAS)
    assert "auto" in shown


def test_tables_fit_a_terminal_and_say_what_is_left_out():
    head = ["agent", "accuracy", "calls", "cost", "unscored"]
    rows = [["a" * 70, *["0.83 [0.70, 0.91]"] * 4]] * 2
    for width in (60, 80, MAX_WIDTH):
        fits, cells, left_out = fitting(head, rows, kept=["unscored"], max_width=width)
        shown = table(fits, cells, aligned=True)
        assert max(map(len, shown.splitlines())) <= width or len(fits) == 2
        assert "unscored" in fits
        assert set(fits) | set(left_out) == set(head)


def test_evaluations_print_narrow_tables(capsys):
    words = [
        "eval",
        "--agent",
        "oracle",
        "never-tool",
        "--taskset",
        "sums",
        "--episodes",
        "2",
        "--workers",
        "1",
        "--quiet",
    ]
    main(words)
    narrow = capsys.readouterr().out
    assert max(len(line) for line in narrow.splitlines() if line.startswith("|")) <= MAX_WIDTH
    main([*words, "--wide"])
    assert "calls each" in capsys.readouterr().out.partition("\n")[0]


def test_progress_without_rich_is_lines(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: None)
    with progress.progress_bar("x", 2) as advance:
        advance(1)
        advance(1)
    assert capsys.readouterr().err.splitlines()[0] == "x: 0 of 2"


def test_a_log_tells_early_and_then_ever_more_rarely(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("metis_agents.progress.time.monotonic", lambda: now[0])
    with progress.progress_bar("x", 1000) as advance:
        told = []
        for second in range(1, 301):
            now[0] = float(second)
            advance(1)
            told += [second] if capsys.readouterr().err else []
    assert told[0] <= 2
    gaps = [later - earlier for earlier, later in itertools.pairwise(told)]
    assert gaps == sorted(gaps) and gaps[-1] == 60


def test_building_a_corpus_says_what_is_built_and_how_far_it_is(tmp_path, monkeypatch):
    clock = [0.0]

    class Slow:
        version = "1"

        def passages(self):
            for number in range(4):
                clock[0] += 3.0
                yield Passage(title=f"page {number}", text="text of a page", link=f"page:{number}")

    monkeypatch.setattr("metis_gym.search.index.corpora.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(CORPORA, "_entries", {**CORPORA._entries, "slow": Slow})
    told = []
    corpus_file("slow", tmp_path, told.append)
    assert told[0].startswith("building the text corpus 'slow'") and "seconds" in told[0]
    assert told[1:-1] == ["1 passages so far", "3 passages so far"]
    assert told[-1] == "built the text corpus 'slow': 4 passages in 12 s"


def test_the_corpus_enters_no_folder_of_installed_packages(tmp_path, monkeypatch):
    from metis_envs.world.real_text import library_passages

    (tmp_path / "site-packages" / "torch").mkdir(parents=True)
    (tmp_path / "module.py").write_text(f'"""{"Words about this module. " * 9}"""')
    listed = []
    real = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: listed.append(Path(path).name) or real(path))
    assert [passage.title for passage in library_passages(tmp_path)] == ["Python library: module"]
    assert "site-packages" not in listed
