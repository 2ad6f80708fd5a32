"""Half-made plug-ins are refused by the environment, with what they lack, when they are made or first used."""

import sys
from pathlib import Path

import gymnasium as gym
import pytest

import metis_gym
from metis_gym import rewards, sandbox
from metis_gym.errors import ConfigError, SandboxUnavailableError
from metis_gym.sandbox.sharing import SANDBOXES
from metis_gym.tools import SimpleTool

sys.path.insert(0, str(Path(__file__).parent))
import broken

TASKS = "metis_gym.testing.examples:ExampleTasks"


def make(**kwargs):
    return gym.make(**{"id": "MetisVQA-v0", "taskset": TASKS, "tools": (), **kwargs})


@pytest.mark.parametrize(
    "kind", [k for k in broken.TOOLS if k.__name__ in broken.__dict__ and not issubclass(k, broken.ReturnsText)][:7]
)
def test_tools_when_they_are_made(kind):
    with pytest.raises(ConfigError, match=f"is not finished: .*{kind.__doc__}"):
        make(tools=(f"broken:{kind.__name__}",))


@pytest.mark.parametrize("name", ["ReturnsText", "OtherName", "FloatImage", "OneCaption"])
def test_tools_when_they_are_called(name):
    env = make(tools=(f"broken:{name}",))
    env.reset(seed=0)
    with pytest.raises(ConfigError, match=f"is not finished: .*{getattr(broken, name).__doc__}"):
        env.step({"name": "whole", "arguments": {"text": "hm"}})


def test_tools_when_they_are_opened():
    with pytest.raises(ConfigError, match=r"open\(\) must return a ToolSession"):
        make(tools=("broken:NoSession",)).reset(seed=0)


@pytest.mark.parametrize("name", ["NamelessDialect", "StopText"])
def test_dialects_when_they_are_made(name):
    with pytest.raises(ConfigError, match=f"is not finished: .*{getattr(broken, name).__doc__}"):
        make(dialect=f"broken:{name}")


def test_dialects_when_they_read():
    env = make(dialect="broken:ReturnsTuple")
    env.reset(seed=0)
    with pytest.raises(ConfigError, match=r"parse\(\) must return ParsedTurn, actually: tuple"):
        env.step(" ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NoReward", "lacks: reward"),
        ("NoScore", "defines neither score nor scores"),
        ("BareComponents", r"must return a mapping from names to finite numbers .*actually: 1.0"),
        ("NotANumber", "actually: .*nan"),
    ],
)
def test_designs_when_they_are_made(name, message):
    with pytest.raises(ConfigError, match=message):
        make(reward=f"broken:{name}")


def test_designs_when_they_pay():
    env = make(reward="broken:RewardOfText")
    env.reset(seed=0)
    with pytest.raises(ConfigError, match=r"reward\(\) must return a finite number, actually: '1'"):
        env.step({"answer": "A"})


@pytest.mark.parametrize("name", ["ReturnsNumber", "AboveOne"])
def test_graders_when_they_grade(name):
    env = make(grader=f"broken:{name}")
    env.reset(seed=0)
    with pytest.raises(ConfigError, match=getattr(broken, name).__doc__):
        env.step({"answer": env.unwrapped.episode.task.gold.value})


def test_graders_when_they_are_made():
    with pytest.raises(ConfigError, match=r"it has no grade\(\)"):
        make(grader="broken:NoGrade")
    with pytest.raises(ConfigError, match=r"unknown grader 'cascde'. Did you mean 'cascade'"):
        make(grader="cascde")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NoText", r"draw\(\) must return a task id"),
        ("Unbuildable", r"drew the task id 'example/.*', which its build\(\) does not take"),
        ("NoTask", r"build\(\) must return a metis_gym.records.Task"),
        ("OtherId", "builds a task with the id 'example/train/1'"),
    ],
)
def test_tasksets_when_they_draw(name, message):
    with pytest.raises(ConfigError, match=message):
        make(taskset=f"broken:{name}").reset(seed=0)


def test_tasksets_when_they_are_made():
    with pytest.raises(ConfigError, match="families must be names"):
        make(taskset="broken:NoFamilies")
    with pytest.raises(ConfigError, match=r"must be a metis_gym.tasksets.Taskset, actually: TakesAll"):
        make(taskset="broken:TakesAll")


def test_engines_when_they_are_made():
    with pytest.raises(ConfigError, match=r"it has no fingerprint\(\)"):
        make(tools=("text_search",), text_engine="broken:NoFingerprint")
    with pytest.raises(ConfigError, match="an image engine; a text engine goes into text_engine="):
        make(tools=("image_search",), image_engine="broken:WholeEngine")


class Wishful(SimpleTool):
    name = "wishful"
    description = "Wants settings."
    schema = {"type": "object", "properties": {}}
    settings = ("sandbox", "text_engine")

    def __init__(self, *, sandbox, text_engine, depth=1, price=1.0):
        super().__init__(price=price)
        self.told = (sandbox, text_engine, depth)

    def run(self, task, arguments):
        return self.result(repr(self.told))


class Greedy(Wishful):
    settings = ("sandbx",)


@pytest.fixture
def settings_tools(monkeypatch):
    from metis_gym.tools import TOOLS

    monkeypatch.setattr(TOOLS, "_entries", {**TOOLS._entries, "wishful": Wishful, "greedy": Greedy})


def test_a_tool_has_parameters_of_its_own_and_asks_for_shared_settings(settings_tools):
    env = make(tools=("wishful:depth=3",), sandbox="landlock", text_engine="bm25s")
    assert env.unwrapped.toolbox.tools["wishful"].told == ("landlock", "bm25s", 3)
    env = make(tools=('wishful:text_engine="fts5:path=/a,b.sqlite"',), sandbox="landlock")
    assert env.unwrapped.toolbox.tools["wishful"].told == ("landlock", "fts5:path=/a,b.sqlite", 1)
    with pytest.raises(ConfigError, match=r"asks for the setting 'sandbx'.*Did you mean 'sandbox'"):
        make(tools=("greedy",))


def test_prices_go_by_the_tools_own_name_or_the_name_it_was_asked_by(settings_tools):
    for prices in ({"wishful": 4}, {"metis_gym.tools.crop:CropTool": 2, "wishful": 4}):
        env = make(tools=("wishful", "metis_gym.tools.crop:CropTool"), prices=prices, show_prices=True)
        own = {name.rpartition(":")[2].replace("CropTool", "python"): price for name, price in prices.items()}
        assert env.unwrapped.toolbox.prices == {"python": 1.0, "wishful": 1.0, "invalid": 1.0} | own
        assert "A call costs 4." in env.reset(seed=0)[0]["system"]
    env = make(tools=("wishful:price=3",))
    assert env.unwrapped.toolbox.prices["wishful"] == 3.0
    with pytest.raises(ConfigError, match=r"a price is given for 'wishfl'. Did you mean 'wishful'"):
        make(tools=("wishful",), prices={"wishfl": 1})
    for price in (-1, float("nan"), "1", True):
        with pytest.raises(ConfigError, match="price of a 'wishful' call"):
            make(tools=("wishful",), prices={"wishful": price})


def test_a_design_named_by_its_module_keeps_a_spec_that_builds_it():
    design = rewards.make("broken:Score:eps=0.5")
    spec = rewards.spec_of(design)
    assert spec == "broken:Score:eps=0.5"
    assert rewards.make(spec).eps == 0.5
    assert rewards.spec_of(broken.Score(eps=0.5)) == spec


def test_a_design_that_bears_anothers_name_is_not_taken_for_it():
    class_named = type("Hdpo", (broken.Score,), {"name": "hdpo", "__module__": "broken"})
    assert rewards.spec_of(class_named()) == "broken:Hdpo"


class FakeBackend:
    """A sandbox that only remembers what it was made with."""

    name = "fake"

    def __init__(self, *, cores: int = 1) -> None:
        self.cores = cores

    def open(self, **_):
        raise SandboxUnavailableError("it is a fake")

    def close(self):
        pass


def test_sandboxes_take_parameters_and_are_shared_by_spec(monkeypatch):
    monkeypatch.setattr(SANDBOXES, "_entries", {**SANDBOXES._entries, "fake": FakeBackend})
    first, second = sandbox.make("fake:cores=2"), sandbox.make("fake:cores=3")
    assert (first.cores, second.cores) == (2, 3)
    assert sandbox.make("fake: cores = 2") is first
    env = make(tools=("python",), sandbox="fake:cores=2")
    env.reset(seed=0)
    with pytest.raises(SandboxUnavailableError, match="it is a fake"):
        env.step({"name": "python", "arguments": {"code": "1"}})
    with pytest.raises(ConfigError, match="no parameter 'core'"):
        sandbox.make("fake:core=2")


def test_dockers_runtime_can_be_reached(monkeypatch):
    from metis_gym.sandbox.containers import backend

    made = []
    monkeypatch.setattr(backend.DockerBackend, "start", lambda self: made.append(self._options["runtime"]))
    monkeypatch.setattr(sandbox.sharing, "_shared", {})
    assert sandbox.make("docker:runtime=runsc,containers=1") is sandbox.make("docker:containers=1,runtime=runsc")
    assert made == ["runsc"]


def test_make_vec_takes_names_of_modules():
    envs = metis_gym.make_vec("MetisVQA-v0", 2, taskset=TASKS, tools=("broken:WholeTool",), reward="broken:Score")
    envs.reset(seed=0)
    envs.close()
