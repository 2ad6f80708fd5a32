"""A picture of what each stage kept and dropped, for a slide."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metis_agents.curate.report import Report, StageReport
from metis_agents.plotting import INK, MUTED, figure, image, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_waterfall"]

_KEPT, _DROPPED, _UNDECIDED, _ON = "#0072b2", "#d55e00", "#e69f00", "#cfe0ec"
_MAX_REASONS = 3
_WIDTH, _LINE, _NARROW = 0.74, 0.037, 0.03
"""Of a bar; of a line of text and of the smallest bar that holds a number, as shares of the axis."""


def draw_waterfall(report: Report) -> bytes:
    """The picture as PNG; the same report is the same bytes.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    stages = list(report.stages)
    labels = ["rows", *(stage.name for stage in stages), "kept"]
    drawn = figure(max(7.0, 1.22 * len(labels)), 5.8)
    axes = drawn.subplots()
    top = 1.45 * max(1, report.rows)
    for place, stage in enumerate(stages, start=1):
        flow = stage.total
        axes.plot([place - 1, place], [flow.entered] * 2, color=MUTED, linewidth=0.8, zorder=0)
        axes.bar(place, flow.kept, color=_ON, width=_WIDTH)
        axes.bar(place, flow.undecided, bottom=flow.kept, color=_UNDECIDED, width=_WIDTH)
        axes.bar(place, flow.dropped, bottom=flow.kept + flow.undecided, color=_DROPPED, width=_WIDTH)
        if flow.kept > _NARROW * top:
            axes.text(place, flow.kept - 0.012 * top, f"{flow.kept:,}", ha="center", va="top", color=INK)
        _label(axes, place, flow.entered, top, _lost(stage))
    axes.plot([len(stages), len(stages) + 1], [report.kept] * 2, color=MUTED, linewidth=0.8, zorder=0)
    for place, count, colour in ((0, report.rows, MUTED), (len(labels) - 1, report.kept, _KEPT)):
        axes.bar(place, count, color=colour, width=_WIDTH)
        axes.text(place, count + 0.01 * top, f"{count:,}", ha="center", va="bottom", weight="bold", fontsize=13)
    axes.set_xticks(range(len(labels)), labels, color=INK, fontsize=11)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_ylim(0, top)
    tidy(axes)
    axes.grid(visible=False)
    axes.set_yticks([])
    rows = report.rows
    title = f"{report.kept / rows:.0%} of {rows:,} samples are kept" if rows else "no samples"
    axes.set_title(title, loc="left", color=INK, fontsize=15, weight="bold", pad=10)
    _legend(axes, report)
    drawn.tight_layout()
    return image(drawn, "png")


def _label(axes: "Axes", place: int, bar: int, top: float, lines: Sequence[str]) -> None:
    """How many were lost, and below that why: above the bar, the number on top."""
    for number, line in enumerate(reversed(lines)):
        is_count = number == len(lines) - 1
        style: dict[str, Any] = (
            {"fontsize": 12, "color": _DROPPED, "weight": "bold"} if is_count else {"fontsize": 8.5, "color": INK}
        )
        axes.text(place, bar + (0.01 + number * _LINE) * top, line, ha="center", va="bottom", **style)


def _lost(stage: StageReport) -> list[str]:
    """How many were lost, and to which reasons, the most frequent first."""
    flow = stage.total
    lost = flow.dropped + flow.undecided
    if not lost:
        return []
    found = sorted([*stage.reasons.items(), *stage.undecided.items()], key=lambda pair: (-pair[1], pair[0]))
    lines = [f"−{lost:,}"]
    for reason, count in found[:_MAX_REASONS]:
        lines += textwrap.wrap(reason.replace("_", " ") + (f" {count:,}" if len(found) > 1 else ""), 19)
    more = len(found) - _MAX_REASONS
    return [*lines, f"and {more} more"] if more > 0 else lines


def _legend(axes: "Axes", report: Report) -> None:
    from matplotlib.patches import Patch

    shown = [Patch(color=_ON, label="goes on"), Patch(color=_DROPPED, label="dropped here")]
    if report.undecided:
        shown.append(Patch(color=_UNDECIDED, label="undecided: tried again"))
    axes.legend(handles=shown, frameon=False, loc="upper right", ncols=len(shown), fontsize=10)
