"""The report of a curation: what went in, what was kept, what was dropped and why, and what nobody looked at.

`report.json` and `report.md` depend on the verdicts only, so that a run that was killed and went on writes the same
bytes. What a run took (seconds, sandbox runs, tokens) stands beside the ledger, in `ledger/cost.json`.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metis_agents.curate.ledger import lines_of
from metis_agents.curate.run import LEDGER, Curation
from metis_agents.curate.stages.stage import SampleStage, Stage
from metis_gym import __version__

__all__ = ["Flow", "Report", "StageReport", "cost_table", "costs", "make_report"]

COST = "cost.json"


@dataclass
class Flow:
    """How many samples of a source reached a stage, and what became of them."""

    entered: int = 0
    kept: int = 0
    dropped: int = 0
    undecided: int = 0


@dataclass(frozen=True)
class StageReport:
    """What one stage did.

    Attributes:
        name: The stage.
        about: What it looks at.
        version: Of its rules.
        settings: What it was told.
        flows: By source.
        reasons: Dropped samples by reason.
        undecided: Undecided samples by reason.
        counted: What it counted beside its verdicts.
    """

    name: str
    about: str
    version: int
    settings: Mapping[str, Any]
    flows: Mapping[str, Flow]
    reasons: Mapping[str, int]
    undecided: Mapping[str, int]
    counted: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> Flow:
        """Over all sources."""
        whole = Flow()
        for flow in self.flows.values():
            whole.entered += flow.entered
            whole.kept += flow.kept
            whole.dropped += flow.dropped
            whole.undecided += flow.undecided
        return whole


@dataclass(frozen=True)
class Report:
    """What a curation came to.

    Attributes:
        kind: "sft" or "rl".
        stages: In order.
        files: The tables that were written.
        examples: "stage: reason" → files to look at.
        not_checked: What nobody looked at, in sentences.
        agreement: How far people agree with the judge, in sentences.
    """

    kind: str
    stages: Sequence[StageReport]
    files: Sequence[str] = ()
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    not_checked: Sequence[str] = ()
    agreement: Sequence[str] = ()

    @property
    def rows(self) -> int:
        """What went in."""
        return self.stages[0].total.entered

    @property
    def kept(self) -> int:
        """What every stage kept."""
        return self.stages[-1].total.kept

    @property
    def undecided(self) -> int:
        """What is tried again at the next start."""
        return sum(stage.total.undecided for stage in self.stages)

    def to_json(self) -> str:
        """For programs."""
        stages = [
            {
                "name": stage.name,
                "version": stage.version,
                "settings": dict(stage.settings),
                "sources": {name: vars(flow) for name, flow in stage.flows.items()},
                "dropped": dict(stage.reasons),
                "undecided": dict(stage.undecided),
                "counted": dict(stage.counted),
            }
            for stage in self.stages
        ]
        whole = {"kind": self.kind, "metis-gym": __version__, "rows": self.rows, "kept": self.kept}
        whole |= {"dropped": self.rows - self.kept - self.undecided, "undecided": self.undecided}
        whole |= {"stages": stages, "files": list(self.files), "not_checked": list(self.not_checked)}
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """For people: one screen."""
        gone = self.rows - self.kept - self.undecided
        share = f" ({self.kept / self.rows:.1%})" if self.rows else ""
        parts = [
            f"# Curated with `metis-gym curate {self.kind}`",
            f"{self.rows:,} rows, {self.kept:,} kept{share}, {gone:,} dropped, {self.undecided:,} undecided.",
            "![What each stage kept and dropped](waterfall.png)",
            self._flow_table(),
            self._reason_table(),
        ]
        if self.not_checked:
            parts.append("## Not checked\n\n" + "\n".join(f"* {line}" for line in self.not_checked))
        if self.agreement:
            parts.append("## The judge and people\n\n" + "\n".join(f"* {line}" for line in self.agreement))
        settings = [
            f"* `{stage.name}` {stage.version}: {_settings(stage.settings)}" for stage in self.stages if stage.settings
        ]
        parts.append(f"## Settings\n\nmetis-gym {__version__}\n\n" + "\n".join(settings))
        parts.append(f"Seconds, sandbox runs and tokens of each stage: `{LEDGER}/{COST}`.")
        return "\n\n".join(part for part in parts if part) + "\n"

    def _flow_table(self) -> str:
        sources = list(self.stages[0].flows)
        lines = [
            "| stage | source | in | kept | dropped | undecided | kept of in |",
            "|---|---|---:|---:|---:|---:|---:|",
        ]
        for stage in self.stages:
            rows = [("all", stage.total), *stage.flows.items()] if len(sources) > 1 else [("all", stage.total)]
            for number, (name, flow) in enumerate(rows):
                share = f"{flow.kept / flow.entered:.1%}" if flow.entered else "–"
                numbers = " | ".join(f"{n:,}" for n in (flow.entered, flow.kept, flow.dropped, flow.undecided))
                lines.append(f"| {stage.name if number == 0 else ''} | {_cell(name)} | {numbers} | {share} |")
        return "\n".join(lines)

    def _reason_table(self) -> str:
        lines = ["## Reasons\n", "| stage | reason | samples | to look at |", "|---|---|---:|---|"]
        for stage in self.stages:
            for reason, count in sorted(stage.reasons.items(), key=lambda pair: (-pair[1], pair[0])):
                lines.append(self._reason_row(stage.name, reason, count, ""))
            for reason, count in sorted(stage.undecided.items(), key=lambda pair: (-pair[1], pair[0])):
                lines.append(self._reason_row(stage.name, reason, count, " (undecided)"))
        for stage in self.stages:
            for name, value in stage.counted.items():
                lines.append(f"| {stage.name} | {_cell(name)} (counted) | {value:,g} | |")
        return "\n".join(lines) if len(lines) > 3 else "Nothing was dropped."

    def _reason_row(self, stage: str, reason: str, count: int, note: str) -> str:
        links = [f"[{n}]({file})" for n, file in enumerate(self.examples.get(f"{stage}: {reason}", ())[:2], start=1)]
        return f"| {stage} | {_cell(reason)}{note} | {count:,} | {' '.join(links)} |"


def make_report(
    kind: str,
    curation: Curation,
    *,
    files: Sequence[str] = (),
    examples: Mapping[str, Sequence[str]] | None = None,
    not_checked: Sequence[str] = (),
    agreement: Sequence[str] = (),
) -> Report:
    """Count what became of every sample."""
    order = [curation.read, *curation.stages]
    flows = {stage.name: {source.name: Flow() for source in curation.sources} for stage in order}
    reasons: dict[tuple[str, bool], Counter[str]] = {}
    for entry in curation.entries:
        source = curation.name_of(entry)
        for stage in order:
            flow = flows[stage.name][source]
            flow.entered += 1
            if entry.fate is None or entry.fate.stage != stage.name:
                flow.kept += 1
                continue
            is_undecided = entry.fate.kept is None
            flow.undecided += int(is_undecided)
            flow.dropped += int(not is_undecided)
            reasons.setdefault((stage.name, is_undecided), Counter())[entry.fate.reason] += 1
            break
    stages = [
        StageReport(
            name=stage.name,
            about=stage.about,
            version=stage.version,
            settings=stage.settings,
            flows=flows[stage.name],
            reasons=dict(sorted(reasons.get((stage.name, False), Counter()).items())),
            undecided=dict(sorted(reasons.get((stage.name, True), Counter()).items())),
            counted=_counted(curation, stage),
        )
        for stage in order
    ]
    return Report(kind, stages, files, examples or {}, not_checked, agreement)


def _counted(curation: Curation, stage: Stage) -> dict[str, float]:
    """The sums of what a stage's verdicts noted under the names that it counts."""
    names = stage.counts if isinstance(stage, SampleStage) else ()
    if not names:
        return {}
    sums = dict.fromkeys(names, 0.0)
    ledger = curation.ledgers[stage.name]
    for name in dict.fromkeys(curation.name_in(ledger, entry) for entry in curation.entries):
        if ledger.get(name) is not None:
            notes = ledger.read(name).get("notes", {})
            for counted in names:
                sums[counted] += float(notes.get(counted) or 0)
    return {name: value for name, value in sums.items() if value}


def costs(curation: Curation) -> dict[str, dict[str, float]]:
    """What each stage took so far, over all starts: seconds of work, verdicts, and what its verdicts used."""
    taken: dict[str, dict[str, float]] = {}
    for stage in (curation.read, *curation.stages):
        sums: dict[str, float] = {"verdicts": 0, "seconds": 0.0}
        ledger = curation.ledgers[stage.name]
        ledger.flush()
        for line in lines_of(ledger.path):
            if line.get("key") == ledger.key:
                sums["verdicts"] += 1
                sums["seconds"] += float(line.get("seconds", 0))
                for name, value in line.get("used", {}).items():
                    sums[name] = sums.get(name, 0.0) + float(value)
        taken[stage.name] = {name: round(value, 3) for name, value in sums.items()}
    return taken


def cost_table(taken: Mapping[str, Mapping[str, float]]) -> str:
    """The costs as text."""
    lines = [f"{'stage':<14}{'verdicts':>10}{'seconds':>10}  used"]
    for name, sums in taken.items():
        used = ", ".join(f"{value:,g} {key.replace('_', ' ')}" for key, value in sums.items() if key not in _FIRST)
        lines.append(f"{name:<14}{sums['verdicts']:>10,g}{sums['seconds']:>10,.1f}  {used}".rstrip())
    return "\n".join(lines)


_FIRST = ("verdicts", "seconds")


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in sorted(settings.items()))


def _cell(text: str) -> str:
    """Text from elsewhere in a cell of a table."""
    return text.replace("\n", " ").replace("|", "\\|")
