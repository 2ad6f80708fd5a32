"""Where does a reward design work? Its weight against how often the grader errs, and how often a guess is right.

A cell is one design with one weight under one condition, over some seeds. A run is *right* where redundant calls are at
most 5 %, needed calls at least 95 %, and accuracy is within 2 points of accuracy-only with the same seed under the same
condition. A cell, or a weight over all conditions, is *robust* where the share of right runs is at least .97 with 95 %
confidence, Holm's correction for the number of cells (weights) included. Five seeds bound a share by .48 at best: such
a cell is described ("5 of 5") and is never robust.
"""

import csv
import io
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from metis_agents.compare.estimates import COLUMNS, is_right
from metis_agents.compare.limits import MIN_RIGHT
from metis_agents.compare.plan import Run, Settings, canonical
from metis_agents.compare.pool import run_all
from metis_agents.compare.records import Result
from metis_agents.compare.seeds import CONFIDENCE, Share, clopper_pearson, holm, pooled_share, surpasses
from metis_agents.compare.store import Store
from metis_gym.errors import ConfigError

__all__ = ["Cell", "Condition", "Map", "Panel", "SeedRun", "make_map", "map_csv", "pooled", "read_map", "robust"]

_REFERENCE = "accuracy"
_Key = TypeVar("_Key", bound=Hashable)


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
class SeedRun:
    """One run of a cell, beside accuracy-only's run of the same seed.

    Attributes:
        seed: The seed.
        redundant: Calls where none is needed.
        needed: Calls where one is needed.
        accuracy: Right answers.
        lost: Accuracy that accuracy-only has more.
        right: Is it within all limits?
    """

    seed: int
    redundant: float
    needed: float
    accuracy: float
    lost: float
    right: bool


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What came of one design with one weight under one condition.

    Attributes:
        runs: The finished seeds, of this cell and of accuracy-only under its condition.
    """

    runs: tuple[SeedRun, ...] = ()

    @property
    def seeds(self) -> int:
        """How many seeds are finished."""
        return len(self.runs)

    @property
    def redundant(self) -> float:
        """Calls where none is needed, mean over seeds; NaN without any, as the other means."""
        return _average([run.redundant for run in self.runs])

    @property
    def needed(self) -> float:
        """Calls where one is needed, mean over seeds."""
        return _average([run.needed for run in self.runs])

    @property
    def accuracy(self) -> float:
        """Right answers, mean over seeds."""
        return _average([run.accuracy for run in self.runs])

    @property
    def lost(self) -> float:
        """Accuracy that accuracy-only has more, mean over seeds."""
        return _average([run.lost for run in self.runs])

    @property
    def share(self) -> Share:
        """How many runs are right, with the exact interval of the share."""
        right = sum(run.right for run in self.runs)
        return Share(right, self.seeds, *clopper_pearson(right, self.seeds))


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


def pooled(plan: Map, cells: Mapping[tuple[str, float, Condition], Cell]) -> dict[tuple[str, float], Share]:
    """(panel's title, weight) → right runs under all conditions together, runs of a seed as one cluster."""
    found = {}
    for panel in plan.panels:
        for weight in plan.weights:
            runs = [run for at in plan.conditions for run in cells[panel.title, weight, at].runs]
            by_seed = {seed: [run.right for run in runs if run.seed == seed] for seed in {run.seed for run in runs}}
            found[panel.title, weight] = pooled_share([(sum(right), len(right)) for right in by_seed.values()])
    return found


def robust(shares: Mapping[_Key, Share]) -> dict[_Key, bool]:
    """Which shares of right runs are at least .97 with 95 % confidence, all of them tested together (Holm)?

    The interval of each share has to say so, too: runs of one seed that fail together count for less there.
    """
    run = {key: share for key, share in shares.items() if share.n}
    adjusted = dict(zip(run, holm([surpasses(share, MIN_RIGHT) for share in run.values()]), strict=True))
    tail = (1.0 - CONFIDENCE) / 2
    return {key: key in run and adjusted[key] <= tail and share.low >= MIN_RIGHT for key, share in shares.items()}


def map_csv(cells: Mapping[tuple[str, float, Condition], Cell]) -> str:
    """One line for each run of each cell, numbers in full."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = ("redundant", "needed", "accuracy", "lost")
    writer.writerow(["design", "weight", "grader_noise", "choices", "seed", *names, "right"])
    for (title, weight, at), cell in cells.items():
        for run in cell.runs:
            figures = [repr(getattr(run, name)) for name in names]
            writer.writerow([title, weight, at.noise, at.choices, run.seed, *figures, int(run.right)])
    return file.getvalue()


def _results(plan: Map, design: str, condition: Condition, store: Store) -> dict[int, Result]:
    runs = {seed: plan.run(design, condition, seed) for seed in plan.seeds}
    return {
        seed: Result.from_json(store.read_json(f"runs/{run.key}.json"))
        for seed, run in runs.items()
        if store.has(f"runs/{run.key}.json")
    }


def _cell(results: Mapping[int, Result], references: Mapping[int, Result]) -> Cell:
    seeds = sorted(results.keys() & references.keys())
    return Cell(runs=tuple(_seed_run(results[seed], references[seed]) for seed in seeds))


def _seed_run(result: Result, reference: Result) -> SeedRun:
    accuracy = COLUMNS["accuracy"].of_run(result)
    return SeedRun(
        seed=result.seed,
        redundant=COLUMNS["redundant_rate"].of_run(result),
        needed=COLUMNS["tool_recall"].of_run(result),
        accuracy=accuracy,
        lost=COLUMNS["accuracy"].of_run(reference) - accuracy,
        right=is_right(result, reference),
    )


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
