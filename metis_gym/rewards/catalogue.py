"""Reward designs by name: make one, list them, add one's own."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from metis_gym.errors import ConfigError
from metis_gym.parameters import changed_parameters
from metis_gym.records import Outcome
from metis_gym.registries import Registry, format_spec, nearest, parse_spec, path_of
from metis_gym.rewards.contract import RewardDesign, view_for
from metis_gym.rewards.estimators import ESTIMATORS

__all__ = [
    "DESIGNS",
    "available",
    "checked_components",
    "checked_reward",
    "from_spec",
    "make",
    "register",
    "spec_of",
]

Factory = TypeVar("Factory", bound=Callable[..., RewardDesign])

_HERE = "metis_gym.rewards"
DESIGNS: Registry[RewardDesign] = Registry(
    "reward design",
    {
        "accuracy": f"{_HERE}.outcome:Accuracy",
        "at_grpo": f"{_HERE}.coupled:AdaToolerGrpo",
        "coupled": f"{_HERE}.coupled:Coupled",
        "deepeyes": f"{_HERE}.encouraging:DeepEyes",
        "diet": f"{_HERE}.decoupled:Diet",
        "dvao": f"{_HERE}.decoupled:Dvao",
        "eapo": f"{_HERE}.gated:Eapo",
        "gdpo": f"{_HERE}.decoupled:Gdpo",
        "hdpo": f"{_HERE}.hdpo:Hdpo",
        "hdpo_gap": f"{_HERE}.gap:HdpoGap",
        "ikea": f"{_HERE}.gated:Ikea",
        "kimi_decay": f"{_HERE}.gated:KimiDecay",
        "l1_budget": f"{_HERE}.budget:L1Budget",
        "lagrangian": f"{_HERE}.constrained:Lagrangian",
        "length_gated": f"{_HERE}.gated:LengthGated",
        "linear_cost": f"{_HERE}.coupled:LinearCost",
        "mmsearch_r1": f"{_HERE}.gated:MmSearchR1",
        "mo_grpo": f"{_HERE}.decoupled:MoGrpo",
        "necessity_oracle": f"{_HERE}.oracle:NecessityOracle",
        "otc": f"{_HERE}.otc:Otc",
        "pixel_reasoner": f"{_HERE}.encouraging:PixelReasoner",
        "retool": f"{_HERE}.encouraging:ReTool",
        "sa_mrpo": f"{_HERE}.decoupled:SaMrpo",
        "slimsearcher": f"{_HERE}.gated:SlimSearcher",
    },
    group="rewards",
)
"""Reward designs by name; add one with `@rewards.register("name")`."""
_METHODS = ("reward", "components", "channels", "state_dict", "load_state_dict")


def make(design: str | RewardDesign, **parameters: Any) -> RewardDesign:
    """Build a reward design.

    Args:
        design: A name, a spec such as `"coupled:alpha=0.1"`, or a design, which comes back as it is.
        **parameters: Parameters of the design.

    >>> make("hdpo", w_tool=0.3).w_tool == make("hdpo:w_tool=0.3").w_tool
    True

    Raises:
        UnknownNameError: No such design; the message suggests the nearest.
        ConfigError: A parameter that the design does not take, or a value that is not valid.
    """
    if not isinstance(design, str):
        if parameters:
            raise ConfigError(f"Expect no parameters beside a finished design, actually: {sorted(parameters)}")
        return _checked(_named(design, path_of(type(design))), type(design).__name__)
    name, from_text = parse_spec(design)
    twice = sorted(from_text.keys() & parameters.keys())
    if twice:
        raise ConfigError(f"Expect every parameter once, actually twice, in {design!r} and beside it: {twice}")
    if name not in DESIGNS and name in ESTIMATORS:
        raise ConfigError(
            f"{name!r} is an advantage estimator, not a reward design; name it as a parameter: "
            f"'accuracy:estimator={name}'. {nearest(name, available())}"
        )
    return _checked(_named(DESIGNS.create(name, **from_text, **parameters), name), name)


def from_spec(spec: str) -> RewardDesign:
    """Build a design from one string, for command lines.

    >>> from_spec("coupled:alpha=0.1,gated=true").name
    'coupled'
    """
    return make(spec)


def spec_of(design: RewardDesign) -> str:
    """The spec that builds a design, with the parameters that are not the default; for file names and legends.

    >>> spec_of(make("hdpo", w_tool=0.3, ddof=1))
    'hdpo:w_tool=0.3'
    """
    factory = DESIGNS.get(design.name) if design.name in DESIGNS else None
    is_named = factory is not None and (not isinstance(factory, type) or isinstance(design, factory))
    return format_spec(design.name if is_named else path_of(type(design)), changed_parameters(design))


def available() -> tuple[str, ...]:
    """The names of all designs, sorted, one's own included."""
    return DESIGNS.names()


def register(name: str) -> Callable[[Factory], Factory]:
    """Add one's own design under a name that may then be used wherever a built-in name goes.

    A class without a `name` is given this one.

    Raises:
        ConfigError: The name is taken.
    """

    def add(factory: Factory) -> Factory:
        DESIGNS.register(name)(factory)
        if isinstance(factory, type) and not getattr(factory, "name", ""):
            factory.name = name  # type: ignore[attr-defined]
        return factory

    return add


def checked_components(design: RewardDesign, outcome: Outcome) -> dict[str, float]:
    """The components of an outcome.

    Raises:
        ConfigError: They are not a mapping from at least one name to finite numbers.
    """
    found: Any = design.components(view_for(design, outcome))
    if isinstance(found, Mapping) and found and all(isinstance(name, str) for name in found):
        components = {name: float(value) for name, value in found.items() if _is_finite(value)}
        if len(components) == len(found):
            return components
    raise ConfigError(
        f"the reward design {design.name!r} is not finished: components() must return a mapping from names to finite "
        f'numbers such as {{"accuracy": 1.0}}, actually: {found!r:.200}'
    )


def checked_reward(design: RewardDesign, outcome: Outcome) -> float:
    """The scalar reward of an outcome.

    Raises:
        ConfigError: It is not a finite number.
    """
    reward: Any = design.reward(view_for(design, outcome))
    if not _is_finite(reward):
        raise ConfigError(
            f"the reward design {design.name!r} is not finished: reward() must return a finite number, "
            f"actually: {reward!r:.200}"
        )
    return float(reward)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _named(design: Any, name: str) -> Any:
    """A design whose class has no name of its own is called what it was asked for by."""
    if getattr(design, "name", None) == "":
        object.__setattr__(design, "name", name)  # also where the design is a frozen dataclass
    return design


def _checked(design: Any, name: str) -> RewardDesign:
    missing = [method for method in _METHODS if not callable(getattr(design, method, None))]
    if missing or not isinstance(getattr(design, "name", None), str):
        lacks = ", ".join([*missing, *([] if isinstance(getattr(design, "name", None), str) else ["name"])])
        raise ConfigError(f"Expect a reward design with name, {', '.join(_METHODS)}; {name!r} lacks: {lacks}")
    finished: RewardDesign = design
    return finished
