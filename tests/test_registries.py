"""Names: built in, registered, announced by packages, named by module; in this process and in workers."""

import importlib
import multiprocessing
import subprocess
import sys
import textwrap

import gymnasium as gym
import pytest

import metis_gym
from metis_gym import announced, registries
from metis_gym.cli import main
from metis_gym.errors import ConfigError, UnknownNameError
from metis_gym.listing import KINDS
from metis_gym.registries import BUILT_IN, adopt, in_process_names
from metis_gym.tasksets import TASKSETS
from metis_gym.tools import TOOLS

TOOL = """
    from metis_gym.tools import SimpleTool
    print("imported {package}", flush=True)
    class Echo(SimpleTool):
        '''Says what it is told, as {package} does.'''
        name = "parrot"
        description = "Says it again."
        schema = {{"type": "object", "properties": {{"text": {{"type": "string"}}}}, "required": ["text"]}}
        def __init__(self, *, times: int = 1, price: float = 1.0) -> None:
            super().__init__(price=price)
            self.times = times
        def run(self, task, arguments):
            return self.result(arguments["text"] * self.times)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts packages onto the path as an installer leaves them: a module and its metadata."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def put(package, entry_points="", code=TOOL, metadata=None):
        (tmp_path / f"{package}.py").write_text(textwrap.dedent(code.format(package=package)))
        folder = tmp_path / f"{package}-1.5.dist-info"
        folder.mkdir()
        folder.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n" if metadata is None else metadata
        )
        folder.joinpath("entry_points.txt").write_text(textwrap.dedent(entry_points))
        importlib.invalidate_caches()
        announced.forget()

    yield put
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]
    announced.forget()


def echo(package="echoing", name="parrot"):
    return f"[metis_gym.tools]\n{name} = {package}:Echo\n"


def make(**kwargs):
    return gym.make("MetisVQA-v0", taskset="metis_gym.testing.examples:ExampleTasks", **kwargs)


def say(env, text="hm"):
    env.reset(seed=0)
    return env.step({"name": "parrot", "arguments": {"text": text}})[0]["text"]


def test_an_announced_name_goes_where_a_built_in_name_goes(install):
    install("echoing", echo())
    assert "hmhmhm" in say(make(tools=("parrot:times=3",)))
    assert "parrot" in TOOLS
    assert "parrot" in TOOLS.names()


def test_a_thing_may_be_named_by_its_module(install):
    install("echoing")
    assert "hmhm" in say(make(tools=("echoing:Echo:times=2",)))
    with pytest.raises(UnknownNameError):
        TOOLS.get("parrot")


def test_a_module_may_have_the_name_that_it_registers(install):
    register = "    from metis_gym.tools import TOOLS\n    TOOLS.register('parrot')(Echo)\n"
    install("parrot", code=TOOL + register)
    try:
        for _ in range(2):
            assert "hmhm" in say(make(tools=("parrot:Echo:times=2",)))
    finally:
        TOOLS._entries.pop("parrot", None)


def test_nothing_is_imported_before_its_name_is_used(install, capsys):
    install("echoing", echo())
    assert "parrot" in TOOLS.names()
    make(tools=())
    assert "imported" not in capsys.readouterr().out
    TOOLS.get("parrot")
    assert "imported echoing" in capsys.readouterr().out


def test_built_in_names_need_no_look_at_packages(monkeypatch):
    def forbidden():
        raise AssertionError("packages were looked at")

    announced.forget()
    monkeypatch.setattr(importlib.metadata, "distributions", forbidden)
    assert make(tools=("python",), dialect="qwen", reward="hdpo:w_tool=0.1").reset(seed=0)


@pytest.mark.parametrize(
    ("entry_points", "code", "metadata", "told"),
    [
        (echo("breaking", "broken"), "raise RuntimeError('on purpose')", None, "RuntimeError: on purpose"),
        (echo("breaking", "broken"), "import not_there", None, "No module named 'not_there'"),
        (echo("breaking", "broken"), "", None, "has no attribute 'Echo'"),
        ("[metis_gym.tools]\nbroken = breaking\n", "", None, "breaking"),
        (echo("breaking", "broken"), "Echo = 3", None, "must be a class or a function"),
        (echo("breaking", "broken"), "class Echo:\n    pass", None, "it has no open"),
    ],
)
def test_a_broken_package_breaks_itself_alone(install, capsys, entry_points, code, metadata, told):
    install("echoing", echo())
    install("breaking", entry_points, code, metadata)
    assert "hm" in say(make(tools=("parrot",)))
    with pytest.raises(ConfigError, match=told) as error:
        TOOLS.make("broken")
    assert "the tool 'broken'" in str(error.value)
    assert main(["list", "tools"]) == 0
    listed = capsys.readouterr().out
    assert "echoing 1.5" in listed
    assert "breaking 1.5" in listed


@pytest.mark.parametrize(
    ("entry_points", "metadata"),
    [("[metis_gym.tools]\nno equals sign\n", None), (echo("breaking", "broken"), ""), ("metis_gym. [", None)],
)
def test_metadata_that_cannot_be_read_breaks_no_other_package(install, entry_points, metadata):
    install("breaking", entry_points, "", metadata)
    install("echoing", echo())
    assert "hm" in say(make(tools=("parrot",)))


def test_two_packages_that_announce_one_name_clash_when_it_is_used(install, capsys):
    install("echoing", echo())
    install("shouting", echo("shouting"))
    with pytest.raises(ConfigError, match=r"(?s)'parrot' is announced by .* and by "):
        TOOLS.get("parrot")
    assert "hm" in say(make(tools=("shouting:Echo",)))
    main(["list", "tools"])
    assert "announced by several packages: use shouting:Echo" in capsys.readouterr().out


def test_no_package_takes_a_built_in_name(install, capsys):
    install("echoing", echo(name="python"))
    assert TOOLS.get("python").__module__ == "metis_gym.tools.python"
    main(["list", "tools"])
    assert "hidden by the built-in name: use echoing:Echo" in capsys.readouterr().out


def test_a_registered_name_that_a_package_announces_for_something_else_is_an_error(install, own_tools):
    install("echoing", echo())
    own_tools("parrot")
    with pytest.raises(ConfigError, match=r"registered in this process as .* announced by echoing 1.5"):
        TOOLS.get("parrot")


def test_a_package_may_register_what_it_announces(install, own_tools):
    install("echoing", echo())
    TOOLS.register("parrot")(importlib.import_module("echoing").Echo)
    assert "hm" in say(make(tools=("parrot",)))


@pytest.fixture
def own_tools(monkeypatch):
    monkeypatch.setattr(TOOLS, "_entries", dict(TOOLS._entries))

    def register(name):
        return TOOLS.register(name)(type("Own", (), {}))

    return register


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_listed_with_where_it_comes_from_and_what_it_is(kind, capsys):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert lines
    for line in lines:
        source = BUILT_IN if BUILT_IN in line else "this process"  # other tests register names, too
        name, _, about = line.partition(source)
        assert name.strip()
        assert about.strip()
        assert "cannot be loaded" not in about or source != BUILT_IN


def test_all_kinds_are_listed(capsys):
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(KINDS)
    assert main(["list", "tolls"]) == 2
    assert "Did you mean 'tools'" in capsys.readouterr().err


def test_every_registry_is_listed_under_its_group():
    from metis_gym.listing import _registries

    groups = {registry.group: kind for kind in KINDS for registry in _registries(kind)}
    assert {registry.group for registry in registries._registries.values() if registry.kind != "test"} <= set(groups)
    assert all(group == f"metis_gym.{kind}" for group, kind in groups.items())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pythn", "unknown tool 'pythn'. Did you mean 'python'"),
        ("no_such_module:Zoom", "No module named 'no_such_module'.*installed"),
        ("metis_gym.tools:Zoom", "has no attribute 'Zoom'"),
        ("metis_gym:tools", "must be a class or a function"),
        ("python:sandbx=auto", "no parameter 'sandbx'.*sandbox"),
        ("python:auto", "cannot read 'auto'.*python:auto=value"),
        ("metis_gym.tools:SimpleTool", "it lacks run"),
    ],
)
def test_mistakes_are_explained(spec, message):
    with pytest.raises(ConfigError, match=message):
        make(tools=(spec,))


def test_names_are_words():
    with pytest.raises(ConfigError, match="cannot name a tool"):
        TOOLS.register("my:tool")


def test_a_parameter_without_default_must_be_given():
    with pytest.raises(ConfigError, match="needs the parameter 'path'"):
        TASKSETS.create("parquet")


def _in_worker(names, name, queue):
    adopt(names)
    try:
        queue.put(("made", type(TOOLS.make(name)).__name__))
    except ConfigError as error:
        queue.put((type(error).__name__, str(error)))


def ask_worker(names, name):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_in_worker, args=(names, name, queue))
    process.start()
    answer = queue.get(timeout=120)
    process.join()
    return answer


def test_a_spawned_worker_knows_all_names(install, own_tools):
    install("echoing", echo())
    install("shouting")
    TOOLS.register("shout")(importlib.import_module("shouting").Echo)
    assert ask_worker((), "parrot") == ("made", "Echo")
    assert ask_worker((), "shouting:Echo") == ("made", "Echo")
    assert ask_worker(in_process_names(), "shout") == ("made", "Echo")
    kind, told = ask_worker((), "shout")
    assert kind == "UnknownNameError"
    assert "worker process" in told
    assert "module:Thing" in told


def test_a_worker_says_why_it_cannot_know_a_name(own_tools):
    own_tools("local")
    kind, told = ask_worker(in_process_names(), "local")
    assert kind == "ConfigError"
    assert "module:Thing" in told
    assert "metis_gym.tools" in told


def test_nothing_is_adopted_where_nobody_started_a_worker():
    adopt([("tool", "adopted", "somewhere:Thing")])
    assert "adopted" not in TOOLS


def test_spawned_environments_know_registered_names(install, own_tools):
    install("shouting")
    TOOLS.register("shout")(importlib.import_module("shouting").Echo)
    envs = metis_gym.make_vec(
        "MetisVQA-v0",
        2,
        mode="async",
        context="spawn",
        taskset="metis_gym.testing.examples:ExampleTasks",
        tools=("shout",),
    )
    try:
        envs.reset(seed=0)
        observations, *_ = envs.step([{"name": "parrot", "arguments": {"text": "hm"}}] * 2)
    finally:
        envs.close()
    assert all("hm" in text for text in observations["text"])


@pytest.fixture
def local_tool(monkeypatch):
    """A tool that no other process can import."""
    from metis_gym.tools import SimpleTool

    class Local(SimpleTool):
        name = "local"
        description = "Does nothing."
        schema = {"type": "object", "properties": {}}

        def run(self, task, arguments):
            return self.result("nothing")

    monkeypatch.setattr(TOOLS, "_entries", {**TOOLS._entries, "local": Local})
    return {"taskset": "metis_gym.testing.examples:ExampleTasks", "tools": ("local",)}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_vector_environments_say_that_a_worker_could_not_know_a_name(local_tool, capfd):
    with pytest.raises(ConfigError, match="use 'module:Thing'"):
        metis_gym.make_vec("MetisVQA-v0", 1, mode="async", context="spawn", **local_tool)


def test_seats_in_workers_say_that_they_could_not_know_a_name(local_tool):
    from metis_agents.sub_envs import WorkerSubEnvs

    sub_envs = WorkerSubEnvs(gym.make("MetisVQA-v0", **local_tool).spec, [0])
    try:
        with pytest.raises(ConfigError, match=r"'local', registered as .* name the thing 'module:Thing'"):
            sub_envs.reset([0], [{}])
    finally:
        sub_envs.close()


def test_a_module_beside_the_user_is_found_by_the_command(tmp_path):
    (tmp_path / "beside.py").write_text(textwrap.dedent(TOOL.format(package="beside")))
    code = "from metis_gym import cli, tools; cli.main(['list']); tools.TOOLS.make('beside:Echo')"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "imported beside" in done.stdout, done.stderr
