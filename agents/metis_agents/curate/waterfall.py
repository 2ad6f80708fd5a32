"""A picture of what each stage kept and dropped, for a slide."""

import textwrap
from collections.abc import Sequence

from metis_agents.curate.report import Report, StageReport
from metis_agents.plotting import INK, MUTED, figure, image, tidy

__all__ = ["draw_waterfall"]

_KEPT, _DROPPED, _UNDECIDED = "#0072b2", "#d55e00", "#e69f00"
_MAX_REASONS = 3
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}


def draw_waterfall(report: Report) -> bytes:
    """The picture as PNG; the same report is the same bytes.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    stages = list(report.stages)
    drawn = figure(max(7.0, 1.35 * (len(stages) + 2)), 5.2)
    axes = drawn.subplots()
    labels = ["rows", *(stage.name for stage in stages), "kept"]
    axes.bar(0, report.rows, color=MUTED, width=0.72)
    axes.bar(len(labels) - 1, report.kept, color=_KEPT, width=0.72)
    for place, stage in enumerate(stages, start=1):
        flow = stage.total
        axes.bar(place, flow.kept, color="#cfe0ec", width=0.72)
        axes.bar(place, flow.undecided, bottom=flow.kept, color=_UNDECIDED, width=0.72)
        axes.bar(place, flow.dropped, bottom=flow.kept + flow.undecided, color=_DROPPED, width=0.72)
        _label(axes, place, flow.entered, report.rows, _lost(stage))
    for place, count in ((0, report.rows), (len(labels) - 1, report.kept)):
        axes.text(place, count + 0.012 * report.rows, f"{count:,}", ha="center", va="bottom", weight="bold")
    axes.set_xticks(range(len(labels)), labels, color=INK)
    axes.set_ylim(0, max(1, report.rows) * 1.32)
    axes.set_ylabel("samples")
    axes.locator_params(axis="y", integer=True)
    tidy(axes)
    share = f"{report.kept / report.rows:.0%}" if report.rows else "nothing"
    axes.set_title(f"{report.kept:,} of {report.rows:,} samples are kept ({share})", loc="left", color=INK, pad=14)
    _legend(axes, report)
    drawn.tight_layout()
    return image(drawn, "png")


def _label(axes: object, place: int, top: int, rows: int, lines: Sequence[str]) -> None:
    if lines:
        text = "\n".join(lines)
        axes.text(place, top + 0.012 * rows, text, ha="center", va="bottom", fontsize=7.5, color=INK, bbox=_PAPER)  # type: ignore[attr-defined]


def _lost(stage: StageReport) -> list[str]:
    """How many were lost, and to which reasons, the most frequent first."""
    flow = stage.total
    lost = flow.dropped + flow.undecided
    if not lost:
        return []
    found = sorted([*stage.reasons.items(), *stage.undecided.items()], key=lambda pair: (-pair[1], pair[0]))
    lines = [f"−{lost:,}"]
    for reason, count in found[:_MAX_REASONS]:
        lines += textwrap.wrap(reason.replace("_", " ") + (f" {count:,}" if len(found) > 1 else ""), 18)
    more = len(found) - _MAX_REASONS
    return [*lines, f"and {more} more"] if more > 0 else lines


def _legend(axes: object, report: Report) -> None:
    from matplotlib.patches import Patch

    shown = [Patch(color="#cfe0ec", label="goes on"), Patch(color=_DROPPED, label="dropped here")]
    if report.undecided:
        shown.append(Patch(color=_UNDECIDED, label="undecided: tried again"))
    axes.legend(handles=shown, frameon=False, loc="upper right", ncols=len(shown), fontsize=9)  # type: ignore[attr-defined]
