"""What a dialect means for the tools: which are offered when nobody says, which it has words for, how they are set."""

from collections.abc import Sequence

from metis_gym.dialects import Dialect
from metis_gym.errors import ConfigError
from metis_gym.specs import parse_spec
from metis_gym.tasksets import Taskset
from metis_gym.tools.contract import ToolSettings

__all__ = ["check_callable", "default_tools", "tool_settings"]


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
