"""The contract of tools, checked on one that somebody wrote."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from metis_gym.images.transforms import fingerprint
from metis_gym.records import Task, ToolResult
from metis_gym.testing.contract import AWKWARD_TEXTS, Contract
from metis_gym.testing.examples import example_task
from metis_gym.tools import TOOLS, Tool
from metis_gym.tools.contract import check_arguments, result_problem, tool_problems

__all__ = ["check_tool"]

_AWKWARD: Mapping[str, tuple[Any, ...]] = {
    "string": AWKWARD_TEXTS,
    "integer": (0, 1, -1, 10**12),
    "number": (0.0, 0.5, -1e300, 7),
    "boolean": (True, False),
    "array": ([], [0, 0, 0, 0], ["a"]),
    "object": ({}, {"a": 1}),
}
_MAX_CALLS = 24


def check_tool(
    tool: str | Tool, *, calls: Sequence[Mapping[str, Any]] = (), task: Task | None = None, awkward: bool = True
) -> None:
    """Check that a tool keeps its contract.

    Args:
        tool: A spec such as "my_pkg.tools:Zoom:factor=4", or a tool.
        calls: Arguments of calls that must end well.
        task: The task that it works on; by default a small example.
        awkward: Also call it with odd arguments that fit its schema.

    Raises:
        BrokenContract: A rule is broken; the message says which, and how to mend it.
    """
    contract = Contract(f"the tool {tool!r}" if isinstance(tool, str) else f"the {type(tool).__name__}")
    made = contract.made(tool, TOOLS.make)
    problems = tool_problems(made)
    contract.rule(not problems, "it is complete", "; ".join(problems), "")
    task = task or example_task()
    before = [fingerprint(image.source) for image in task.images]
    for arguments in calls:
        _check_good_call(contract, made, task, arguments)
    if awkward:
        _check_awkward_calls(contract, made, task)
    contract.rule(
        before == [fingerprint(image.source) for image in task.images],
        "a call leaves the task's images as they are",
        "an image was changed",
        "Copy what you draw on: tasks are shared by the episodes of a group.",
    )


def _check_good_call(contract: Contract, tool: Tool, task: Task, arguments: Mapping[str, Any]) -> None:
    wrong = check_arguments(tool.schema, tool.normalise(arguments))
    contract.rule(not wrong, f"the call {dict(arguments)} fits the schema", wrong, "Mend the schema or normalise().")
    results = [_called(contract, tool, task, arguments) for _ in range(2)]
    contract.rule(
        results[0].status == "ok", f"the call {dict(arguments)} ends well", f"{results[0].errors!r}", "Mend run()."
    )
    contract.rule(
        _told(results[0]) == _told(results[1]),
        "the same call in a fresh session, with the same seed, gives the same result",
        f"{_told(results[0])} and {_told(results[1])}",
        "Draw what is random from the seed that open() is given; keep clocks out of the output.",
    )


def _check_awkward_calls(contract: Contract, tool: Tool, task: Task) -> None:
    properties = tool.schema["properties"]
    values = [_AWKWARD[described["type"]] for described in properties.values()]
    for chosen in itertools.islice(zip(*map(itertools.cycle, values), strict=False), _MAX_CALLS if values else 0):
        arguments = dict(zip(properties, chosen, strict=True))
        if not check_arguments(tool.schema, tool.normalise(arguments)):
            _called(contract, tool, task, arguments)


def _called(contract: Contract, tool: Tool, task: Task, arguments: Mapping[str, Any]) -> ToolResult:
    session = tool.open(task, seed=1)
    contract.rule(
        callable(getattr(session, "call", None)) and callable(getattr(session, "close", None)),
        "open() returns a ToolSession",
        repr(session),
        "Return an object with call() and close().",
    )
    mend = "What is wrong with a call goes into the result, for the model: self.error('…')."
    try:
        with contract.must_work(f"a call that fits the schema never raises ({dict(arguments)})", mend, *_RAISED):
            result = session.call(tool.normalise(arguments))
    finally:
        session.close()
        session.close()
    wrong = result_problem(tool.name, result)
    contract.rule(not wrong, "a call returns a whole ToolResult", wrong, "")
    return result


def _told(result: ToolResult) -> tuple[Any, ...]:
    images = tuple(fingerprint(image) for image in result.images)
    return result.status, result.output, result.errors, images, result.captions


_RAISED = (ArithmeticError, AttributeError, AssertionError, LookupError, OSError, TypeError, ValueError)
"""What a tool's own mistakes raise. An InfrastructureError is none of these: it passes."""
