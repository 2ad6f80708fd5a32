"""Sharing tool results: one run for a group, and sessions that end up as if nothing had been shared."""

from metis_agents.qwen3vl.rollouts.tool_sharing import ResultCache, SharingToolbox
from metis_gym.records import GoldAnswer, Task, ToolCall, ToolResult, ToolStatus
from metis_gym.tools.contract import Tool, ToolSession
from metis_gym.tools.toolbox import Toolbox


class Counter(Tool):
    """Counts up in each session, and notes every call that was really run."""

    name, description = "count", "counts"
    schema = {"type": "object", "properties": {"by": {"type": "integer"}}, "required": ["by"]}

    def __init__(self):
        super().__init__()
        self.ran = []

    def open(self, task, *, seed):
        return CounterSession(self)


class CounterSession(ToolSession):
    def __init__(self, tool):
        self._tool, self._value = tool, 0

    def call(self, arguments):
        self._tool.ran.append(arguments["by"])
        self._value += arguments["by"]
        return ToolResult(name="count", status=ToolStatus.OK, output=str(self._value))


def task(name="t"):
    return Task(task_id=name, family="f", question="?", images=(), gold=GoldAnswer(value="x"))


def toolbox(tool, cache, name="t"):
    box = SharingToolbox(Toolbox([tool]), cache)
    box.open(task(name), seed=1)
    return box


def call(by):
    return ToolCall(name="count", arguments={"by": by})


def test_the_same_first_call_runs_once():
    tool, cache = Counter(), ResultCache()
    outputs = [toolbox(tool, cache).run(call(3)).output for _ in range(5)]
    assert outputs == ["3"] * 5
    assert tool.ran == [3]


def test_a_new_call_is_made_in_a_session_that_has_caught_up():
    tool, cache = Counter(), ResultCache()
    toolbox(tool, cache).run(call(3))
    box = toolbox(tool, cache)
    assert box.run(call(3)).output == "3"
    assert box.run(call(4)).output == "7"  # 3 + 4: the call that was not run for it has been made up for
    assert tool.ran == [3, 3, 4]


def test_other_tasks_and_other_histories_share_nothing():
    tool, cache = Counter(), ResultCache()
    toolbox(tool, cache).run(call(3))
    toolbox(tool, cache, "another").run(call(3))
    box = toolbox(tool, cache)
    box.run(call(1))
    assert box.run(call(3)).output == "4"
    assert tool.ran == [3, 3, 1, 3]


def test_calls_that_cannot_be_run_are_answered_as_ever():
    box = toolbox(Counter(), ResultCache())
    assert box.run(ToolCall(name="nothing")).status is ToolStatus.INVALID
    assert box.run(ToolCall(name="count", arguments={"by": "x"})).status is ToolStatus.INVALID


def test_old_results_leave_a_full_cache():
    tool, cache = Counter(), ResultCache(capacity=1)
    for by in (1, 2, 1):
        toolbox(tool, cache).run(call(by))
    assert tool.ran == [1, 2, 1]
