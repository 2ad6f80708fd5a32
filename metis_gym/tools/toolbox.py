"""The tools of one environment: looks calls up, checks them, runs them in order, knows their prices."""

import math
from collections.abc import Mapping, Sequence

from metis_gym.dialects.contract import ToolSpec
from metis_gym.errors import ConfigError
from metis_gym.records import INVALID_CALLS, Task, ToolCall, ToolResult, ToolStatus
from metis_gym.registries import nearest, path_of
from metis_gym.tools.contract import Tool, ToolSession, check_arguments, result_problem
from metis_gym.tools.noise import StandIn, StandInSession

__all__ = ["Toolbox"]

_MAX_NAME = 80
_NOBODY: Mapping[str, StandIn] = {}


class Toolbox:
    """A set of tools and, between `open` and `close`, their sessions.

    Args:
        tools: The tools, each with its price.
        invalid_price: What a malformed call or a call of an unknown tool costs.
        prices: Tool → price of a call, where it is not the tool's own.

    Raises:
        ConfigError: Two tools answer to one name, or a price is not valid.
    """

    def __init__(
        self, tools: Sequence[Tool], *, invalid_price: float = 1.0, prices: Mapping[str, float] | None = None
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        own = {name: tool.price for name, tool in self.tools.items()} | {INVALID_CALLS: invalid_price}
        self.prices = {name: _price(name, price) for name, price in (own | dict(prices or {})).items()}
        self._by_name: dict[str, Tool] = {}
        for tool in tools:
            for name in (tool.name, *tool.aliases):
                if name in self._by_name:
                    raise ConfigError(f"two tools answer to the name {name!r}: {self._by_name[name]!r} and {tool!r}")
                self._by_name[name] = tool
        self._sessions: dict[str, ToolSession] = {}

    def specs(self, *, show_prices: bool) -> tuple[ToolSpec, ...]:
        """The tools as a model is told of them."""
        return tuple(
            ToolSpec(
                name=tool.name,
                description=tool.description,
                schema=tool.schema,
                price=self.prices[tool.name] if show_prices else None,
            )
            for tool in self.tools.values()
        )

    def open(self, task: Task, *, seed: int, stand_ins: Mapping[str, StandIn] = _NOBODY) -> None:
        """Start an episode: a fresh session for each tool.

        Args:
            task: The task.
            seed: Of all that is random in the sessions.
            stand_ins: Tool → what it works on in place of the task.
        """
        self.close()
        self._sessions = {
            name: _stand_in_session(tool, stand_ins[name], seed) if name in stand_ins else _session(tool, task, seed)
            for name, tool in self.tools.items()
        }

    def close(self) -> None:
        """End all sessions. May be called twice."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()

    def run(self, call: ToolCall) -> ToolResult:
        """Run one call; what is wrong with it comes back as a result for the model.

        Raises:
            InfrastructureError: The tool broke.
            ConfigError: The tool returned something else than a result.
        """
        tool = self._by_name.get(call.name)
        if tool is None and not call.problem:
            name = call.name[:_MAX_NAME]
            return _invalid(call, f"There is no tool {name!r}. {nearest(name, tuple(self.tools))}")
        if tool is None or call.problem:
            return _invalid(call, call.problem)
        arguments = tool.normalise(call.arguments)
        problem = check_arguments(tool.schema, arguments)
        if problem:
            return _invalid(call, problem)
        result = self._sessions[tool.name].call(arguments)
        wrong = result_problem(tool.name, result)
        if wrong:
            raise ConfigError(f"the tool {tool.name!r} ({path_of(type(tool))}) is not finished: {wrong}")
        return result

    def refuse(self, call: ToolCall, reason: str) -> ToolResult:
        """The result of a call that a limit forbids."""
        return ToolResult(name=self.counted_as(call), status=ToolStatus.REFUSED, output=reason)

    def counted_as(self, call: ToolCall) -> str:
        """The tool that a call counts for: its tool's name, or "invalid"."""
        tool = self._by_name.get(call.name)
        return tool.name if tool is not None and not call.problem else INVALID_CALLS

    def count(self, results: Sequence[ToolResult]) -> Mapping[str, int]:
        """Calls by tool, malformed ones under "invalid"; every tool is named."""
        counts = dict.fromkeys([*self.tools, INVALID_CALLS], 0)
        for result in results:
            counts[INVALID_CALLS if result.status is ToolStatus.INVALID else result.name] += 1
        return counts

    def cost(self, counts: Mapping[str, int]) -> float:
        """The sum of the prices of these calls."""
        return float(sum(self.prices[name] * count for name, count in counts.items()))


def _price(name: str, price: float) -> float:
    if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
        raise ConfigError(f"the price of a {name!r} call must be a number of 0 or more, actually: {price!r}")
    return float(price)


def _stand_in_session(tool: Tool, stand_in: StandIn, seed: int) -> ToolSession:
    return StandInSession(lambda: _session(tool, stand_in.make(), seed))


def _session(tool: Tool, task: Task, seed: int) -> ToolSession:
    session = tool.open(task, seed=seed)
    if not callable(getattr(session, "call", None)) or not callable(getattr(session, "close", None)):
        raise ConfigError(
            f"the tool {tool.name!r} ({path_of(type(tool))}) is not finished: open() must return a ToolSession, "
            f"actually: {session!r:.80}"
        )
    return session


def _invalid(call: ToolCall, problem: str) -> ToolResult:
    return ToolResult(name=call.name[:_MAX_NAME], status=ToolStatus.INVALID, output=problem)
