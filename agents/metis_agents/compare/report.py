"""Results → a table of every run, and a table of the designs for people."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metis_agents.compare.estimates import COLUMNS, area_under_curve, estimate, over_seeds
from metis_agents.compare.plan import without_weight
from metis_agents.compare.records import CURVES, Result
from metis_gym import rewards
from metis_gym.markdown import table
from metis_gym.metrics import Estimate
from metis_gym.parameters import changed_parameters

__all__ = ["Comparison", "Family"]

_MAIN = ("redundant_rate", "tool_recall", "accuracy", "accuracy_none", "accuracy_required", "tool_calls")


@dataclass(frozen=True)
class Family:
    """A design and the weights that it was run with: one line in the plot of accuracy against cost.

    Attributes:
        name: The design with its parameters that are no weights: "coupled:gated=false".
        points: (mean price of the calls, accuracy, spec) for each weight, cheapest first.
        area: Area under the curve, see `area_under_curve`.
    """

    name: str
    points: tuple[tuple[float, float, str], ...]
    area: float


@dataclass(frozen=True)
class Comparison:
    """The finished runs of a plan.

    Attributes:
        results: One for each run.
    """

    results: tuple[Result, ...]

    @property
    def designs(self) -> tuple[str, ...]:
        """The designs in the order in which they were given."""
        return tuple(dict.fromkeys(result.design for result in self.results))

    def of(self, design: str) -> tuple[Result, ...]:
        """The runs of one design, seed by seed."""
        return tuple(result for result in self.results if result.design == design)

    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """Design → figure → mean and interval."""
        return {design: over_seeds(self.of(design)) for design in self.designs}

    def start(self) -> dict[str, Estimate]:
        """Metrics of the cold starts, one for each seed."""
        firsts = {result.seed: result for result in self.results}.values()
        before = [_as_if_final(result) for result in firsts]
        return {name: estimate(column, before) for name, column in COLUMNS.items() if column.ratio is not None}

    def families(self) -> tuple[Family, ...]:
        """Accuracy against cost over each design's weights."""
        metrics, before = self.estimates(), self.start()
        most = max(before["tool_cost"].mean, *(row["tool_cost"].mean for row in metrics.values()), 1e-9)
        grouped: dict[str, list[tuple[float, float, str]]] = {}
        for design, row in metrics.items():
            grouped.setdefault(without_weight(design), []).append((row["tool_cost"].mean, row["accuracy"].mean, design))
        return tuple(
            Family(name, tuple(sorted(points)), _area(points, before["without_tools"].mean, most))
            for name, points in grouped.items()
        )

    def markdown(self) -> str:
        """Tables for people: what comes out first, then everything else."""
        metrics = {"(cold start)": self.start(), **self.estimates()}
        seeds = len({result.seed for result in self.results})
        further = [name for name in COLUMNS if name not in _MAIN]
        played = self.results[0].final.sums_KF[:, 0].sum()
        lines = [
            f"Mean over {seeds} seeds, each on {played:.0f} episodes of the test split, with 95 % intervals (bootstrap "
            "over seeds and tasks), in per cent where the figure is a share.",
            "",
            _table(metrics, _MAIN),
            "",
            _table(metrics, further),
            "",
            "| accuracy against cost | area under the curve | weights |",
            "|---|---|---|",
            *(f"| {family.name} | {family.area:.3f} | {len(family.points)} |" for family in self.families()),
            "",
            *(f"* {column.title}: {column.meaning}." for column in COLUMNS.values()),
        ]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """One line for each run, numbers in full."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        settings = sorted({name for result in self.results for name in result.env})
        writer.writerow(["design", "seed", *settings, *COLUMNS])
        for result in self.results:
            metrics = over_seeds([result])
            shown = [result.env.get(name, "") for name in settings]
            writer.writerow([result.design, result.seed, *shown, *(repr(metrics[name].mean) for name in COLUMNS)])
        return file.getvalue()

    def history_csv(self) -> str:
        """One line for each batch of each run: what its training episodes were like. Empty where none speaks for it."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["design", "seed", "batch", *CURVES])
        for result in self.results:
            for batch, row in enumerate(zip(*(result.curve[name] for name in CURVES), strict=True), start=1):
                shown = ["" if math.isnan(value) else repr(value) for value in row]
                writer.writerow([result.design, result.seed, batch, *shown])
        return file.getvalue()


def _as_if_final(result: Result) -> Result:
    before = {"final": result.start, "without_tools": result.start_without_tools}
    return Result(
        design="",
        seed=result.seed,
        env=result.env,
        curve=result.curve,
        start=result.start,
        start_without_tools=result.start_without_tools,
        **before,
    )


def _area(points: Sequence[tuple[float, float, str]], at_no_cost: float, most: float) -> float:
    return area_under_curve([(cost, accuracy) for cost, accuracy, _ in points], at_no_cost, most)


def _table(rows: Mapping[str, Mapping[str, Estimate]], names: Sequence[str]) -> str:
    head = ["design", *(COLUMNS[name].title for name in names)]
    body = [[_label(design), *(_cell(name, row.get(name)) for name in names)] for design, row in rows.items()]
    return table(head, body)


def _label(design: str) -> str:
    """A design with its weight spelled out, also where it is the default."""
    if design.startswith("("):
        return design
    made = rewards.make(design)
    weight = next((name for name in ("w_tool", "alpha") if hasattr(made, name)), None)
    if weight is None or weight in changed_parameters(made):
        return f"`{design}`"
    return f"`{design}` ({weight} = {getattr(made, weight)})"


def _cell(name: str, value: Estimate | None) -> str:
    if value is None or value.n == 0:
        return "–"
    if name in ("tool_calls", "tool_cost", "tool_productivity", "cosine"):
        return f"{value.mean:.2f} ({value.low:.2f}–{value.high:.2f})"
    return f"{100 * value.mean:.1f} ({100 * value.low:.1f}–{100 * value.high:.1f})"
