"""The one image of a comparison: for each design, tool calls where one is needed and where none is, over training.

The filled band between the two lines is what a design has taught: wide where the policy tells the two kinds of task
apart, nothing where it calls always or never.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metis_agents.compare.curves import smoothed
from metis_agents.compare.limits import MAX_LOST, MAX_REDUNDANT, MIN_NEEDED
from metis_agents.compare.records import Result
from metis_agents.compare.report import Comparison
from metis_agents.compare.seeds import Share, counted
from metis_agents.compare.style import INK, MUTED, colours, figure, headline, image, label, tidy
from metis_gym.metrics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_summary", "verdict"]

_MAX_COLUMNS = 4
_LEFT, _TOP, _BOTTOM, _GAP = 0.65, 1.05, 1.2, 1.85
_PANEL_WIDTH, _PANEL_HEIGHT, _COLUMN = 2.45, 2.3, 3.35


def draw_summary(comparison: Comparison, form: str = "png") -> bytes:
    """One panel for each design, as PNG, SVG or PDF."""
    designs, metrics, colour = comparison.designs, comparison.estimates(), colours(comparison.designs)
    shares = comparison.right_runs()
    columns = min(len(designs), _MAX_COLUMNS)
    rows = math.ceil(len(designs) / columns)
    width = max(_LEFT + columns * _COLUMN, 8.6)
    height = _TOP + rows * (_PANEL_HEIGHT + _GAP) - (_GAP - _BOTTOM) + 0.55
    drawn = figure(width, height)
    for number, design in enumerate(designs):
        row, column = divmod(number, columns)
        left = _LEFT + column * _COLUMN
        bottom = height - _TOP - 0.55 - _PANEL_HEIGHT - row * (_PANEL_HEIGHT + _GAP)
        place = (left / width, bottom / height, _PANEL_WIDTH / width, _PANEL_HEIGHT / height)
        axes = drawn.add_axes(place)
        _draw_lines(axes, comparison.of(design), colour[design])
        axes.set_ylabel("% of episodes with a call" if column == 0 else "")
        _draw_words(axes, design, metrics, colour[design], shares[design])
    _draw_title(drawn, comparison, width, height)
    return image(drawn, form)


def verdict(metrics: Mapping[str, Mapping[str, Estimate]], design: str) -> str:
    """In words, what the means break of `metis_agents.compare.limits`; which runs are right is `right_runs`.

    Accuracy is judged beside `accuracy` if it was run.
    """
    row = metrics[design]
    problems = []
    if row["redundant_rate"].mean > MAX_REDUNDANT:
        problems.append("calls without need")
    if row["tool_recall"].mean < MIN_NEEDED:
        problems.append("misses needed calls")
    reference = metrics.get("accuracy", row)["accuracy"].mean
    if row["accuracy"].mean < reference - MAX_LOST:
        problems.append("loses accuracy")
    return ", ".join(problems) or "calls only when needed"


def _draw_lines(axes: "Axes", results: Sequence[Result], colour: str) -> None:
    needed, redundant = (
        100 * smoothed([result.curve[name] for result in results]) for name in ("tool_recall", "redundant_rate")
    )
    batches = np.arange(1, needed.shape[1] + 1)
    axes.fill_between(batches, redundant.mean(0), needed.mean(0), color=colour, alpha=0.22, linewidth=0)
    for values, style in ((needed, "-"), (redundant, (0, (3, 1.3)))):
        for seed in values:
            axes.plot(batches, seed, color=colour, linewidth=0.7, alpha=0.45, linestyle=style)
        axes.plot(batches, values.mean(0), color=colour, linewidth=2.6, linestyle=style)
    axes.set_xlim(1, max(2, len(batches)))
    axes.set_ylim(-2, 103)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_xlabel("batches")
    tidy(axes)


def _draw_words(
    axes: "Axes", design: str, metrics: Mapping[str, Mapping[str, Estimate]], colour: str, share: Share
) -> None:
    row = metrics[design]
    needed, redundant = 100 * row["tool_recall"].mean, 100 * row["redundant_rate"].mean
    axes.text(0, 1.16, label(design), transform=axes.transAxes, fontsize=11.5, fontweight="bold", color=colour)
    axes.text(0, 1.06, verdict(metrics, design), transform=axes.transAxes, fontsize=10, color=INK)
    upper, lower = _apart(needed, redundant) if needed >= redundant else _apart(redundant, needed)[::-1]
    for height, value in ((upper, needed), (lower, redundant)):
        axes.annotate(f"{value:.1f}", (1, height), (5, 0), ("axes fraction", "data"), "offset points", va="center")
    right = f"{100 * row['accuracy'].mean:.1f} % right answers; {share} runs right"
    axes.text(0, -0.33, right, transform=axes.transAxes, fontsize=10, color=INK)


def _apart(high: float, low: float, least: float = 10.0) -> tuple[float, float]:
    """Where to write two percentages so that they do not touch each other, nor leave the axes.

    >>> _apart(99.0, 1.0), _apart(98.0, 97.0), _apart(0.5, 0.0)
    ((99.0, 1.0), (100.0, 90.0), (10.0, 0.0))
    """
    missing = max(0.0, least - (high - low)) / 2
    lower = min(max(low - missing, 0.0), 100.0 - least)
    return max(high, lower + least), lower if missing else low


def _draw_title(drawn: "Figure", comparison: Comparison, width: float, height: float) -> None:
    seeds = len(comparison.of(comparison.designs[0]))
    drawn.text(_LEFT / width, 1 - 0.42 / height, headline(comparison), fontsize=14, fontweight="bold")
    rule = "Solid: calls where a tool is needed.  Dashed: calls where none is needed.  A wide band is good."
    drawn.text(_LEFT / width, 1 - 0.74 / height, rule, fontsize=10.5, color=MUTED)
    lines = f"Lines: training episodes, mean and each of {counted(seeds, 'seed')}."
    note = f"{lines} Numbers: test episodes after training, mean."
    drawn.text(_LEFT / width, 0.13 / height, note, fontsize=8.5, color=MUTED)
