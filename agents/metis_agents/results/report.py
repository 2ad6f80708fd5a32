"""The report of an evaluation: metrics, usage and cost, as a narrow table and as `report.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from metis_agents.chat.usage import Usage
from metis_agents.results.agreement import Agreement
from metis_agents.results.benchmarks import benchmark_json
from metis_gym.frontier import FrontierPoint, accuracy_at
from metis_gym.markdown import fitting, shortened, table
from metis_gym.metrics import Estimate
from metis_gym.records import Necessity, Outcome
from metis_gym.scores import Score
from metis_gym.worth import DEFAULT_LAM

__all__ = ["Report", "compare_table", "estimate_json", "markdown_table", "needs_table", "short"]

COLUMNS = {
    "accuracy": "accuracy",
    "redundant_rate": "calls, none needed",
    "tool_recall": "calls, needed",
    "regret": "regret",
    "tool_calls": "calls each",
    "unscored": "unscored",
}
"""The metrics that tables show, with the heads of their columns; one that no report has is left out."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an evaluation found.

    Attributes:
        agent: The agent's name.
        env_id: The environment.
        outcomes: One for each episode, in order.
        metrics: Name → mean and confidence interval, over all scored episodes.
        families: The same for each family.
        usage: What the model used, episodes that were played again included; None for agents that do not say.
        cost: Of the tokens, in the user's currency; None without prices. The cost of tools stands in the metrics.
        warnings: What must be known to read this report.
        tools_ran: "theirs" where the system ran tools itself.
        failures: Why episodes are not scored: reason → how many.
        stopped: Why the evaluation ended early; empty if it did not.
        lam: λ, the accuracy that one unit of price is worth, of regret, excess and missing calls.
        regret_curve: λ → regret.
        frontier: The best accuracy on these tasks for each price of calls; empty where no plan is known.
        reached: What the agent reached on the same tasks.
        benchmarks: The figures of each benchmark that was played whole.
        settings: The agent with how it decodes, the environment with its grader, the episodes and the seed.
        by_judge: Rules and an LLM judge on the same answers, where both were asked about every answer.
    """

    agent: str
    env_id: str
    outcomes: tuple[Outcome, ...]
    metrics: Mapping[str, Estimate]
    families: Mapping[str, Mapping[str, Estimate]]
    usage: Usage | None = None
    cost: float | None = None
    warnings: tuple[str, ...] = ()
    tools_ran: str = "ours"
    failures: Mapping[str, int] = field(default_factory=dict)
    stopped: str = ""
    lam: float = DEFAULT_LAM
    regret_curve: Mapping[float, Estimate] = field(default_factory=dict)
    frontier: tuple[FrontierPoint, ...] = ()
    reached: FrontierPoint | None = None
    benchmarks: tuple[Score, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    by_judge: Agreement | None = None

    def __str__(self) -> str:
        """A Markdown table, a row for each family and one for all; below it what the model used."""
        return self.text()

    def text(self, *, wide: bool = False) -> str:
        """The same, on request with the columns that do not fit 100 characters."""
        rows = {**self.families, "all": self.metrics}
        head = f"{self.agent} on {self.env_id}, {len(self.outcomes)} episodes; mean [95 % interval]"
        parts = [head, markdown_table("family", rows, wide=wide), "\n".join(self._below())]
        return "\n\n".join(filter(None, parts))

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        from metis_gym.viewer.notebook import table_repr

        head, rows = _cells("family", {**self.families, "all": self.metrics})
        return table_repr(head, rows, f"{self.agent} on {self.env_id}, {len(self.outcomes)} episodes", *self._below())

    def to_json(self) -> dict[str, Any]:
        """For `report.json`."""
        metrics = {name: estimate_json(estimate) for name, estimate in self.metrics.items()}
        if self.tools_ran != "ours":
            metrics["tool_errors"] = None  # nobody knows
        return {
            "agent": self.agent,
            "env_id": self.env_id,
            "episodes": len(self.outcomes),
            "metrics": metrics,
            "families": {
                family: {name: estimate_json(estimate) for name, estimate in found.items()}
                for family, found in self.families.items()
            },
            "usage": None if self.usage is None else self.usage.to_json(),
            "cost": self.cost,
            "tools_ran": self.tools_ran,
            "warnings": list(self.warnings),
            "failures": dict(self.failures),
            "stopped": self.stopped,
            "lam": self.lam,
            "regret_curve": [{"lam": lam, "regret": estimate_json(found)} for lam, found in self.regret_curve.items()],
            "frontier": {
                "optimal": [asdict(point) for point in self.frontier],
                "agent": None if self.reached is None else asdict(self.reached),
            },
            "benchmarks": [benchmark_json(score) for score in self.benchmarks],
            "settings": json.loads(json.dumps(self.settings, default=repr)),
            **({} if self.by_judge is None else {"judge_all": self.by_judge.to_json()}),
        }

    def _below(self) -> list[str]:
        lines = [*map(str, self.benchmarks), *([] if self.by_judge is None else [str(self.by_judge)]), *self._worth()]
        lines += [] if self.usage is None else [_usage_line(self.usage, self.cost)]
        lines += [f"not scored, {count} times: {reason}" for reason, count in self.failures.items()]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return [*lines, f"stopped early: {self.stopped}"] if self.stopped else lines

    def _worth(self) -> list[str]:
        """Where the agent stands beside the best policy; nothing where no plan is known."""
        if self.reached is None:
            return []
        best, at_cost = self.frontier[0], accuracy_at(self.frontier, self.reached.cost)
        return [
            f"Regret at λ = {self.lam:g} a unit of price. The best policy is right in {best.accuracy:.3f} with "
            f"{best.calls:.2f} calls, and in {at_cost:.3f} at this agent's cost of {self.reached.cost:.2f}; the agent "
            f"in {self.reached.accuracy:.3f}."
        ]


def compare_table(reports: Sequence[Report], *, wide: bool = False) -> str:
    """A Markdown table with a row for each report."""
    return markdown_table("agent", {report.agent: report.metrics for report in reports}, wide=wide)


def needs_table(reports: Sequence[Report], *, wide: bool = False) -> str:
    """A Markdown table of what each family needs: a row for each, with each agent's accuracy in it.

    Args:
        reports: Of several agents on the same episodes. The tools are those that the first of them called.
        wide: With the columns that do not fit 100 characters.
    """
    first = reports[0]
    head = ["family", "need a tool", *(shortened(r.agent) for r in reports), f"called by {shortened(first.agent)}"]
    cells = []
    for family in first.families:
        outcomes = [outcome for outcome in first.outcomes if outcome.family == family]
        needy = sum(outcome.necessity is Necessity.REQUIRED for outcome in outcomes)
        called = sorted({name for outcome in outcomes for name, calls in outcome.tool_calls_by.items() if calls})
        accuracies = [f"{report.families[family]['accuracy'].mean:.2f}" for report in reports]
        cells.append([family, f"{needy} of {len(outcomes)}", *accuracies, ", ".join(called) or "–"])
    return _shown(head, cells, wide)


def markdown_table(corner: str, rows: Mapping[str, Mapping[str, Estimate]], *, wide: bool = False) -> str:
    """A Markdown table of the metrics in `COLUMNS`, 100 characters wide unless it may be wider."""
    head, cells = _cells(corner, rows)
    return _shown(head, cells, wide)


def _shown(head: list[str], cells: list[list[str]], wide: bool) -> str:
    if wide:
        return table(head, cells, aligned=True)
    fits, narrow, left_out = fitting(head, cells, kept=[COLUMNS["unscored"]])
    note = f"\n\nLeft out for width, shown by --wide: {', '.join(left_out)}." if left_out else ""
    return table(fits, narrow, aligned=True) + note


def _cells(corner: str, rows: Mapping[str, Mapping[str, Estimate]]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a table of the metrics in `COLUMNS`."""
    shown = [name for name in COLUMNS if any(name in row for row in rows.values())]
    if all(row["unscored"].mean == 0 for row in rows.values()):
        shown.remove("unscored")
    cells = [[name, *(short(row[column]) if column in row else "–" for column in shown)] for name, row in rows.items()]
    return [corner, *(COLUMNS[name] for name in shown)], cells


def short(estimate: Estimate) -> str:
    """An estimate in few characters.

    >>> nan = float("nan")
    >>> short(Estimate(0.8333, 0.7, 0.91, 60)), short(Estimate(nan, nan, nan, 0))
    ('0.83 [0.70, 0.91]', '–')
    """
    return "–" if estimate.n == 0 else f"{estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def estimate_json(estimate: Estimate) -> dict[str, Any] | None:
    """An estimate as JSON; None where no episode speaks for it."""
    if estimate.n == 0:
        return None
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _usage_line(usage: Usage, cost: float | None) -> str:
    parts = [
        f"{usage.prompt_tokens:,} tokens read ({usage.cached_tokens:,} cached)",
        f"{usage.completion_tokens:,} written",
        f"{usage.requests:,} requests",
    ]
    parts += [f"cost {cost:.4g}"] if cost is not None else []
    notes = {
        "cut": "turns cut off",
        "refused": "refused",
        "overflow": "too long for the context",
        "estimated": "estimated",
    }
    parts += [f"{getattr(usage, name)} {words}" for name, words in notes.items() if getattr(usage, name)]
    return ", ".join(parts)
