"""An audit's report as a table for terminals, and as JSON."""

import dataclasses
from typing import Any

from metis_envs.audit.results import ProbeResult, Report, Verdict

__all__ = ["as_json", "as_table"]

_WIDTH = 100
_NAME = 30


def as_table(report: Report) -> str:
    """A block of lines for each family, none longer than 100 columns, and a summary."""
    lines = [
        f"{report.taskset}: {report.tasks} tasks of each family, {report.split} split, views of {report.view_size} px, "
        f"seed {report.seed}"
    ]
    for part in report.parts:
        lines += [
            "",
            part,
            f"  {'probe':<{_NAME}} {'share':>6}  {'95 % interval':<14} {'limit':<8} {'tasks':>5}  verdict",
        ]
        lines += [_row(result) for result in report.results if result.part == part]
        skipped = [entry for entry in report.not_probed if entry.part == part]
        lines += [f"  {entry.probe:<{_NAME}} not probed: {entry.reason}" for entry in skipped]
    return "\n".join(_cut(line) for line in [*lines, "", *_summary(report)])


def _row(result: ProbeResult) -> str:
    share = result.share
    limit = f"{'≥' if result.is_floor else '≤'} {result.limit:.3f}"
    interval = f"{share.low:.3f} – {share.high:.3f}"
    notes = ", ".join(note for note in (share.by and f"by {share.by}", result.note) if note)
    row = f"  {result.probe:<{_NAME}} {share.value:6.3f}  {interval:<14} {limit:<8} {share.tasks:5}  "
    return f"{row}{result.verdict.value:<8} {notes}"


def _summary(report: Report) -> list[str]:
    counts = {verdict: len(report.with_verdict(verdict)) for verdict in Verdict}
    lines = [
        f"{len(report.results)} limits: {counts[Verdict.KEPT]} kept, {counts[Verdict.UNCLEAR]} unclear, "
        f"{counts[Verdict.BROKEN]} broken; {len(report.not_probed)} could not be probed."
    ]
    if counts[Verdict.BROKEN]:
        lines.append("Broken: the whole 95 % interval is beyond the limit.")
    if counts[Verdict.UNCLEAR]:
        lines.append("Unclear: the share is beyond the limit, its interval is not; more --tasks would decide.")
    return lines


def _cut(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def as_json(report: Report) -> dict[str, Any]:
    """The whole report, notes uncut, as values for JSON."""
    values = dataclasses.asdict(report)
    for result, row in zip(report.results, values["results"], strict=True):
        row["verdict"] = result.verdict.value
    return values
