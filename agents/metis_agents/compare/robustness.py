"""Where does a reward design work? Its weight against how often the grader errs, and how often a guess is right.

A cell is one design with one weight under one condition, over some seeds. It is *robust* where redundant calls are at
most 5 %, needed calls at least 95 %, and accuracy is within 2 points of accuracy-only under the same condition. A
design's robust region is the share of its cells that are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from metis_agents.compare.estimates import COLUMNS
from metis_agents.compare.limits import MAX_LOST, MAX_REDUNDANT, MIN_NEEDED
from metis_agents.compare.plan import Run, Settings, canonical
from metis_agents.compare.pool import run_all
from metis_agents.compare.records import Result
from metis_agents.compare.store import Store
from metis_gym.errors import ConfigError

__all__ = ["Cell", "Condition", "Map", "Panel", "make_map", "read_map"]

_REFERENCE = "accuracy"
_ROUNDING = 1e-9


@dataclass(frozen=True, order=True)
class Condition:
    """How hard it is to learn from the reward.

    Attributes:
        noise: Share of the training verdicts that are flipped.
        choices: Answer options: a guess is right once in so many times.
    """

    noise: float
    choices: int


@dataclass(frozen=True)
class Panel:
    """A design whose weight is varied.

    Attributes:
        title: What people call it.
        template: Its spec with `{}` for the weight.
    """

    title: str
    template: str

    def spec(self, weight: float) -> str:
        """The spec with this weight, with the parameters that are not the default."""
        return canonical(self.template.format(f"{weight:g}"))


PANELS = (
    Panel("coupled, gated", "coupled:alpha={}"),
    Panel("coupled, not gated", "coupled:alpha={},gated=false"),
    Panel("HDPO", "hdpo:w_tool={}"),
)


@dataclass(frozen=True, kw_only=True)
class Map:
    """A grid of runs: weight × noise with some number of options, and weight × options at some noise.

    Attributes:
        panels: The designs, each with `{}` for its weight.
        weights: The weights, the same for every design.
        noises: Shares of flipped verdicts, with `base_choices` answer options.
        choices: Numbers of answer options, with the noise `base_noise`.
        base_choices: Answer options where the noise varies.
        base_noise: Share of flipped verdicts where the number of options varies.
        seeds: The seeds. All cells of one seed are done before the next begins.
        settings: What all runs share besides noise and options.
    """

    panels: tuple[Panel, ...] = PANELS
    weights: tuple[float, ...] = (0.05, 0.15, 0.5, 1.0)
    noises: tuple[float, ...] = (0.0, 0.15, 0.3)
    choices: tuple[int, ...] = (4, 2)
    base_choices: int = 4
    base_noise: float = 0.3
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        for name in ("panels", "weights", "noises", "choices", "seeds"):
            if not getattr(self, name):
                raise ConfigError(f"Expect at least one of {name}")

    @property
    def by_noise(self) -> tuple[Condition, ...]:
        """The conditions of the weight × noise grid."""
        return tuple(Condition(noise, self.base_choices) for noise in self.noises)

    @property
    def by_choices(self) -> tuple[Condition, ...]:
        """The conditions of the weight × guess probability grid."""
        return tuple(Condition(self.base_noise, number) for number in self.choices)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions, each once."""
        return tuple(dict.fromkeys((*self.by_noise, *self.by_choices)))

    def run(self, design: str, condition: Condition, seed: int) -> Run:
        """The run of one seed in one cell."""
        env = {**self.settings.env, "grader_noise": condition.noise, "choices": condition.choices}
        return Run(design=design, seed=seed, settings=replace(self.settings, env=env))

    def runs(self, seed: int) -> list[Run]:
        """All runs of a seed, accuracy-only among them."""
        designs = [_REFERENCE, *(panel.spec(weight) for panel in self.panels for weight in self.weights)]
        return [self.run(design, condition, seed) for condition in self.conditions for design in designs]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What came of one design with one weight under one condition. Figures are means over seeds, NaN without any.

    Attributes:
        seeds: Finished seeds, of this cell and of accuracy-only under its condition.
        redundant: Calls where none is needed.
        needed: Calls where one is needed.
        accuracy: Right answers.
        lost: Accuracy that accuracy-only has more.
        robust_seeds: How many of the seeds are robust by themselves.
    """

    seeds: int
    redundant: float
    needed: float
    accuracy: float
    lost: float
    robust_seeds: int

    @property
    def robust(self) -> bool:
        """Are the means within the limits?"""
        return self.seeds > 0 and _within(self.redundant, self.needed, self.lost)


def make_map(plan: Map, store: Store, *, processes: int = 1, progress: bool = True) -> None:
    """Do the runs that are missing, seed by seed. Stopped at any moment, it goes on where it was.

    Args:
        plan: The grid.
        store: Where results are kept.
        processes: Runs at the same time.
        progress: Show progress bars on stderr.

    Raises:
        StorageError: The store cannot be written. Runs that were finished are kept.
    """
    for seed in plan.seeds:
        run_all(plan.runs(seed), store, processes=processes, progress=progress)


def read_map(plan: Map, store: Store) -> dict[tuple[str, float, Condition], Cell]:
    """(panel's title, weight, condition) → cell, from the runs that are finished."""
    references = {condition: _results(plan, _REFERENCE, condition, store) for condition in plan.conditions}
    return {
        (panel.title, weight, condition): _cell(
            _results(plan, panel.spec(weight), condition, store), references[condition]
        )
        for panel in plan.panels
        for weight in plan.weights
        for condition in plan.conditions
    }


def _results(plan: Map, design: str, condition: Condition, store: Store) -> dict[int, Result]:
    runs = {seed: plan.run(design, condition, seed) for seed in plan.seeds}
    return {
        seed: Result.from_json(store.read_json(f"runs/{run.key}.json"))
        for seed, run in runs.items()
        if store.has(f"runs/{run.key}.json")
    }


def _cell(results: dict[int, Result], references: dict[int, Result]) -> Cell:
    seeds = sorted(results.keys() & references.keys())
    rows = [
        (
            *(_mean(name, results[seed]) for name in ("redundant_rate", "tool_recall", "accuracy")),
            _mean("accuracy", references[seed]),
        )
        for seed in seeds
    ]
    redundant, needed, accuracy, reference = (_average([row[column] for row in rows]) for column in range(4))
    return Cell(
        seeds=len(seeds),
        redundant=redundant,
        needed=needed,
        accuracy=accuracy,
        lost=reference - accuracy,
        robust_seeds=sum(_within(row[0], row[1], row[3] - row[2]) for row in rows),
    )


def _mean(name: str, result: Result) -> float:
    ratio = COLUMNS[name].ratio
    assert ratio is not None, "a figure of the test split"
    ones, others = ratio(result.final)
    return float(ones.sum() / others.sum())


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _within(redundant: float, needed: float, lost: float) -> bool:
    return redundant <= MAX_REDUNDANT + _ROUNDING and needed >= MIN_NEEDED - _ROUNDING and lost <= MAX_LOST + _ROUNDING
