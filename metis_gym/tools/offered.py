"""What a dialect means for the tools: which are offered when nobody says, which it has words for, how they are set."""

from collections.abc import Mapping, Sequence

from metis_gym.dialects import Dialect
from metis_gym.errors import ConfigError
from metis_gym.records import INVALID_CALLS
from metis_gym.registries import nearest
from metis_gym.specs import parse_spec
from metis_gym.tasksets import Taskset
from metis_gym.tools import TOOLS
from metis_gym.tools.contract import ToolSettings, wanted_settings
from metis_gym.tools.toolbox import Toolbox

__all__ = ["check_callable", "check_prices", "default_tools", "make_toolbox", "tool_settings"]


def default_tools(dialect: Dialect, taskset: Taskset) -> tuple[str, ...]:
    """The tools of the taskset's tasks, or on a benchmark those of the evaluation of the dialect's own models.

    Tools that the dialect has no words for are left out.
    """
    is_own = taskset.is_benchmark and dialect.benchmark_tools is not None
    wanted = dialect.benchmark_tools if is_own else taskset.tools
    known = dialect.callable_tools
    return tuple(spec for spec in wanted or () if known is None or parse_spec(spec)[0] in known)


def check_callable(dialect: Dialect, tools: Sequence[str]) -> None:
    """Refuse tools that the dialect has no words for.

    Raises:
        ConfigError: There is one.
    """
    for name in tools:
        if dialect.callable_tools is not None and name not in dialect.callable_tools:
            raise ConfigError(
                f"models of the dialect {dialect.name!r} cannot call the tool {name!r}: expected tools out of "
                f"{', '.join(dialect.callable_tools) or '(none)'}, actually: {', '.join(tools)}"
            )


def tool_settings(dialect: Dialect, sandbox: str, text_engine: str, image_engine: str) -> ToolSettings:
    """What tools share: the arguments of the environment, and what the dialect's models expect."""
    return ToolSettings(
        sandbox=sandbox,
        text_engine=text_engine,
        image_engine=image_engine,
        image_files=dialect.image_files,
        max_images=dialect.max_images,
        tool_images=dialect.tool_images,
    )


def make_toolbox(
    specs: Sequence[str], prices: Mapping[str, float], settings: ToolSettings, dialect: Dialect
) -> Toolbox:
    """The tools of an environment.

    Args:
        specs: Their names, with parameters.
        prices: Price of a call by the tool's name, and of invalid calls.
        settings: What tools share.
        dialect: Must have words for each tool.

    Raises:
        ConfigError: There is no such tool, the dialect has no words for one, or a price is given for something else.
    """
    if isinstance(specs, str):
        raise ConfigError(f"tools must be a sequence of names, such as ({specs!r},); actually the text {specs!r}")
    names = [parse_spec(spec)[0] for spec in specs]
    made = [
        TOOLS.make(spec, **wanted_settings(TOOLS.get(name), settings)) for spec, name in zip(specs, names, strict=True)
    ]
    own = {name: tool.name for name, tool in zip(names, made, strict=True)}
    check_callable(dialect, tuple(own.values()))
    check_prices(prices, tuple(dict.fromkeys([*own.values(), *own])))
    return Toolbox(made, prices={own.get(name, name): price for name, price in prices.items()})


def check_prices(prices: Mapping[str, float], tools: Sequence[str]) -> None:
    """Refuse prices for tools that there are not.

    Raises:
        ConfigError: A name is neither a tool's nor that of invalid calls.
    """
    known = (*tools, INVALID_CALLS)
    for name in prices:
        if name not in known:
            raise ConfigError(f"a price is given for {name!r}. {nearest(name, known)}")
