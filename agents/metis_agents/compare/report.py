"""Results → a table of every run, and a table of the designs for people."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metis_agents.compare.estimates import COLUMNS, area_under_curve, by_seed, estimate, over_seeds, right_runs
from metis_agents.compare.limits import MAX_LOST, MAX_REDUNDANT, MIN_NEEDED
from metis_agents.compare.plan import without_weight
from metis_agents.compare.records import CURVES, Result
from metis_agents.compare.seeds import Share, are_apart, counted, holm, paired_difference
from metis_gym import rewards
from metis_gym.markdown import table
from metis_gym.metrics import Estimate
from metis_gym.parameters import changed_parameters

__all__ = ["Comparison", "Family"]

_REFERENCE = "accuracy"
_DIFFERENCES = ("redundant_rate", "tool_recall", "accuracy", "tool_calls")
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
        before = self._before()
        return {name: estimate(column, before) for name, column in COLUMNS.items() if column.ratio is not None}

    def _before(self) -> list[Result]:
        """The cold start of each seed, as if it were a finished run."""
        return [_as_if_final(result) for result in {result.seed: result for result in self.results}.values()]

    def right_runs(self) -> dict[str, Share]:
        """Design → how many of its runs are right, each beside accuracy-only's run of its seed if there is one."""
        references = self.of(_REFERENCE)
        return {design: right_runs(self.of(design), references) for design in self.designs}

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
            f"Mean over {counted(seeds, 'seed')}, each on {played:.0f} episodes of the test split, in per cent where "
            "the figure is a share. In brackets: the 95 % t-interval over seeds. One seed has none, nor have seeds "
            "that all agree. Where shares of seeds are apart, by more than 25 points from one to the next, no mean "
            "describes them: the range of the seeds stands there instead, as a…b.",
            "",
            _table(metrics, _MAIN, self._apart()),
            "",
            *_right_lines(self.right_runs()),
            *self._difference_lines(),
            _table(metrics, further, self._apart()),
            "",
            "| accuracy against cost | area under the curve | weights |",
            "|---|---|---|",
            *(f"| {family.name} | {family.area:.3f} | {len(family.points)} |" for family in self.families()),
            "",
            *(f"* {column.title}: {column.meaning}." for column in COLUMNS.values()),
        ]
        return "\n".join(lines) + "\n"

    def _apart(self) -> dict[tuple[str, str], tuple[float, float]]:
        """(design, figure) → least and most of the seeds, where they fall into two camps."""
        found = {}
        runs = {"(cold start)": self._before(), **{design: self.of(design) for design in self.designs}}
        for design, results in runs.items():
            for name, column in COLUMNS.items():
                if column.is_share and (column.ratio is not None or design != "(cold start)"):
                    shares = [column.of_run(result) for result in results]
                    if are_apart(shares):
                        found[design, name] = min(shares), max(shares)
        return found

    def _difference_lines(self) -> list[str]:
        """A table of differences to accuracy-only, paired by seed; nothing where it was not run, or with one seed."""
        others = [design for design in self.designs if design != _REFERENCE]
        references = self.of(_REFERENCE)
        if len(references) < 2 or not others:
            return []
        cells = [(design, name) for design in others for name in _DIFFERENCES]
        found = [
            paired_difference(by_seed(COLUMNS[name], self.of(design)), by_seed(COLUMNS[name], references))
            for design, name in cells
        ]
        adjusted = holm([p for _, p in found])
        shown = {
            cell: _difference(cell[1], value, p) for cell, (value, _), p in zip(cells, found, adjusted, strict=True)
        }
        head = ["difference to accuracy-only", *(COLUMNS[name].title for name in _DIFFERENCES)]
        body = [[_label(design), *(shown[design, name] for name in _DIFFERENCES)] for design in others]
        note = "Paired by seed: mean of the differences within seeds, t-interval, p-value (Holm, over this table)."
        return [note, "", table(head, body), ""]

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


def _right_lines(shares: Mapping[str, Share]) -> list[str]:
    limits = (
        f"A run is right if redundant calls are at most {100 * MAX_REDUNDANT:.0f} %, needed calls at least "
        f"{100 * MIN_NEEDED:.0f} %, and accuracy within {100 * MAX_LOST:.0f} points of accuracy-only's with the same "
        "seed (accuracy is not judged where that was not run). Interval: Clopper and Pearson's, 95 %."
    )
    body = [
        [_label(design), str(share), f"{100 * share.low:.0f}–{100 * share.high:.0f} %"]
        for design, share in shares.items()
    ]
    return [limits, "", table(["design", "right runs", "interval"], body), ""]


def _table(
    rows: Mapping[str, Mapping[str, Estimate]],
    names: Sequence[str],
    apart: Mapping[tuple[str, str], tuple[float, float]],
) -> str:
    head = ["design", *(COLUMNS[name].title for name in names)]
    body = [
        [_label(design), *(_cell(name, row.get(name), apart.get((design, name))) for name in names)]
        for design, row in rows.items()
    ]
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


def _cell(name: str, value: Estimate | None, apart: tuple[float, float] | None) -> str:
    if value is None or value.n == 0:
        return "–"
    scale, digits = _scale(name)
    mean = f"{scale * value.mean:.{digits}f}"
    if apart is not None:
        return f"{mean} ({scale * apart[0]:.{digits}f}…{scale * apart[1]:.{digits}f})"
    if math.isnan(value.low):
        return mean
    return f"{mean} ({scale * value.low:.{digits}f}–{scale * value.high:.{digits}f})"


def _difference(name: str, value: Estimate, p: float) -> str:
    if value.n == 0:
        return "–"
    scale, digits = _scale(name)
    mean, low, high = (f"{scale * part:+.{digits}f}".replace("-", "−") for part in (value.mean, value.low, value.high))
    return mean if math.isnan(value.low) else f"{mean} ({low} to {high}), p {p:.3f}"


def _scale(name: str) -> tuple[float, int]:
    """What a figure is multiplied by to be shown, and its decimals."""
    as_it_is = name in ("tool_calls", "tool_cost", "tool_productivity", "cosine")
    return (1.0, 2) if as_it_is else (100.0, 1)
