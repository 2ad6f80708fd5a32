"""The plots of a comparison: over training, at the end, and accuracy against cost. Each is an image, as bytes.

Every seed is drawn: as a thin line, or as a point.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metis_agents.compare.curves import WINDOW, smoothed
from metis_agents.compare.estimates import COLUMNS, by_seed
from metis_agents.compare.report import Comparison, Family
from metis_agents.compare.seeds import are_apart, counted
from metis_agents.compare.style import INK, MUTED, colours, family_label, figure, headline, image, label, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_cost", "draw_final", "draw_training"]

_LEGEND_COLUMNS = 4
_PANELS = (
    ("redundant_rate", "Calls where no tool is needed", "should fall to 0"),
    ("tool_recall", "Calls where a tool is needed", "should stay at 100"),
    ("accuracy", "Right answers", "should not suffer"),
)


def draw_training(comparison: Comparison, form: str = "png") -> bytes:
    """Three panels over training: redundant calls, needed calls, accuracy."""
    colour, below = colours(comparison.designs), 0.95 + 0.27 * math.ceil(len(comparison.designs) / _LEGEND_COLUMNS)
    height = below + 3.6
    drawn = figure(12.5, height)
    for position, (name, title, wish) in enumerate(_PANELS):
        axes = drawn.add_axes((0.05 + 0.325 * position, below / height, 0.285, 2.7 / height))
        for design in reversed(comparison.designs):
            curves = [result.curve[name] for result in comparison.of(design)]
            _band(axes, 100 * smoothed(curves), colour[design], label(design), bold=design.startswith("hdpo"))
        _titled(axes, title, wish)
        axes.set_ylim(-3, 103)
        axes.set_xlabel("batches")
        tidy(axes)
    seeds = len(comparison.of(comparison.designs[0]))
    _legend(drawn, drawn.axes[0])
    note = f"Mean and each of {counted(seeds, 'seed')}; moving average over {WINDOW} batches; per cent of episodes."
    drawn.text(0.05, 0.1 / height, note, color=MUTED, fontsize=8.5)
    drawn.text(0.05, 1 - 0.35 / height, headline(comparison), fontsize=13, fontweight="bold")
    return image(drawn, form)


def draw_final(comparison: Comparison, form: str = "png") -> bytes:
    """Bars with intervals on the test split, and where the cold start was."""
    metrics, before, colour = comparison.estimates(), comparison.start(), colours(comparison.designs)
    designs = comparison.designs
    drawn = figure(12.5, 2.1 + 0.42 * len(designs))
    bottom, height = 0.8 / drawn.get_figheight(), 0.42 * len(designs) / drawn.get_figheight()
    for position, (name, title, wish) in enumerate(_PANELS):
        axes = drawn.add_axes((0.2 + 0.27 * position, bottom, 0.235, height))
        for row, design in enumerate(designs):
            seeds_of = by_seed(COLUMNS[name], comparison.of(design))
            _bar(axes, row, metrics[design][name], colour[design], apart=are_apart(list(seeds_of.values())))
            _seed_points(axes, row, seeds_of)
        axes.axvline(100 * before[name].mean, color=INK, linewidth=1.1, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(designs)), [label(design) for design in designs] if position == 0 else [])
        axes.tick_params(axis="y", labelcolor=INK, labelsize=10)
        axes.set_ylim(len(designs) - 0.4, -0.6)
        axes.set_xlim(0, 118)
        axes.set_xticks([0, 25, 50, 75, 100])
        _titled(axes, title, wish)
        tidy(axes)
        axes.grid(visible=False)
    seeds = len(comparison.of(designs[0]))
    note = (
        f"Per cent of test episodes after training, mean of {counted(seeds, 'seed')} with 95 % t-interval, each seed "
        "as a point. Dashed: the cold start."
    )
    drawn.text(0.04, 0.18 / drawn.get_figheight(), note, color=MUTED, fontsize=8.5)
    drawn.text(0.04, 1 - 0.4 / drawn.get_figheight(), headline(comparison), fontsize=13, fontweight="bold")
    return image(drawn, form)


def draw_cost(comparison: Comparison, form: str = "png") -> bytes:
    """Accuracy against price: one line for each design over its weights."""
    drawn, families = figure(7.6, 5.2), comparison.families()
    axes, before = drawn.add_axes((0.1, 0.13, 0.55, 0.72)), comparison.start()
    colour = colours([family.name for family in families])
    for family in families:
        _cost_line(axes, family, colour[family.name])
        _cost_points(axes, comparison, family, colour[family.name])
    for column, at, marker in (("accuracy", before["tool_cost"].mean, "*"), ("without_tools", 0.0, "X")):
        axes.plot(at, 100 * before[column].mean, marker, color=INK, markersize=11, linestyle="none")
    axes.plot([], [], "*", color=INK, markersize=10, label="cold start")
    axes.plot([], [], "X", color=INK, markersize=9, label="cold start, tools off")
    axes.set_xlabel(f"{COLUMNS['tool_cost'].title} of the calls per episode")
    axes.set_ylabel("right answers, %")
    axes.margins(0.08)
    tidy(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.03, 0.5), frameon=False, fontsize=9, labelspacing=1.1)
    drawn.text(0.1, 0.93, "Accuracy against cost", fontsize=13, fontweight="bold")
    drawn.text(
        0.1,
        0.885,
        "up and to the left is better; area: under the curve; larger dots: larger weights; small: seeds",
        color=MUTED,
        fontsize=9.5,
    )
    return image(drawn, form)


def _band(axes: "Axes", values: NDArray[np.float64], colour: str, name: str, bold: bool) -> None:
    batches = np.arange(1, values.shape[1] + 1)
    for seed in values:
        axes.plot(batches, seed, color=colour, linewidth=0.6, alpha=0.45)
    axes.plot(batches, values.mean(0), color=colour, linewidth=2.8 if bold else 1.8, label=name)


def _bar(axes: "Axes", row: int, value: Any, colour: str, *, apart: bool) -> None:
    """The mean and its interval; no interval where seeds fall into two camps."""
    mean, low, high = (100 * part for part in (value.mean, value.low, value.high))
    axes.barh(row, mean, height=0.62, color=colour)
    if not math.isnan(low) and not apart:
        axes.plot([low, high], [row, row], color=INK, linewidth=1.3, solid_capstyle="butt")
    end = mean if math.isnan(high) else max(mean, high)
    axes.text(end + 3, row, f"{mean:.1f}", va="center", fontsize=9.5)


def _seed_points(axes: "Axes", row: int, values: Mapping[int, float]) -> None:
    """Each seed as a point, the seeds of a bar one below the other so that equal ones are seen."""
    for place, value in enumerate(values.values()):
        height = row + 0.44 * ((place + 0.5) / len(values) - 0.5)
        axes.plot(100 * value, height, "o", markersize=3.2, color="white", markeredgecolor=INK, markeredgewidth=0.7)


def _cost_points(axes: "Axes", comparison: Comparison, family: Family, colour: str) -> None:
    """Each seed of each weight as a small point."""
    for *_, spec in family.points:
        costs, accuracies = (by_seed(COLUMNS[name], comparison.of(spec)) for name in ("tool_cost", "accuracy"))
        axes.scatter(list(costs.values()), [100 * value for value in accuracies.values()], s=8, color=colour, alpha=0.5)


def _cost_line(axes: "Axes", family: Family, colour: str) -> None:
    """A line over the weights, with a dot for each; larger weights have larger dots."""
    costs = [cost for cost, _, _ in family.points]
    accuracies = [100 * accuracy for _, accuracy, _ in family.points]
    specs = [spec for *_, spec in family.points]
    sizes = np.linspace(30, 110, len(specs))[np.argsort(np.argsort([_weight(spec) for spec in specs], kind="stable"))]
    name = f"{family_label(specs)}\narea {family.area:.3f}"
    axes.plot(costs, accuracies, color=colour, linewidth=1.6)
    axes.scatter(costs, accuracies, s=sizes if len(specs) > 1 else 60, color=colour, zorder=3, label=name)


def _weight(spec: str) -> float:
    """The weight that a label ends in; 0 without one."""
    try:
        return float(label(spec).rpartition("= ")[2])
    except ValueError:
        return 0.0


def _titled(axes: "Axes", title: str, wish: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=20)
    axes.annotate(wish, (0, 1), (0, 6), "axes fraction", "offset points", fontsize=9, color=MUTED)


def _legend(drawn: Any, axes: "Axes") -> None:
    handles, names = axes.get_legend_handles_labels()
    drawn.legend(
        handles[::-1],
        names[::-1],
        loc="lower left",
        bbox_to_anchor=(0.04, 0.25 / drawn.get_figheight()),
        ncols=min(len(names), _LEGEND_COLUMNS),
        frameon=False,
        fontsize=10,
    )
