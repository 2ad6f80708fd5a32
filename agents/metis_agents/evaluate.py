"""Evaluation: an agent plays episodes, the outcomes become a report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from metis_agents.agent import Agent, BatchAgent
from metis_agents.play import play
from metis_agents.progress import progress_bar
from metis_gym.errors import ConfigError
from metis_gym.frontier import FrontierPoint, accuracy_at, agent_point, optimal_frontier
from metis_gym.markdown import table
from metis_gym.metrics import Estimate, by_family, regret_curve, summarise
from metis_gym.records import Necessity, Outcome
from metis_gym.worth import DEFAULT_LAM, checked_lam

__all__ = ["Report", "compare_table", "evaluate", "markdown_table", "needs_table"]

_SHOWN = (
    *("accuracy", "accuracy_none", "accuracy_required", "redundant_rate", "tool_recall", "tool_calls"),
    *("regret", "unscored"),
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an evaluation found.

    Attributes:
        agent: The agent's name.
        env_id: The environment.
        outcomes: One for each episode, in order.
        metrics: Figure → mean and confidence interval, over all scored episodes.
        families: The same for each family.
        lam: λ, the accuracy that one unit of price is worth, of regret, excess and missing calls.
        regret_curve: λ → regret.
        frontier: The best accuracy on these tasks for each price of calls; empty where no plan is known.
        reached: What the agent reached on the same tasks.
    """

    agent: str
    env_id: str
    outcomes: tuple[Outcome, ...]
    metrics: Mapping[str, Estimate]
    families: Mapping[str, Mapping[str, Estimate]]
    lam: float = DEFAULT_LAM
    regret_curve: Mapping[float, Estimate] = field(default_factory=dict)
    frontier: tuple[FrontierPoint, ...] = ()
    reached: FrontierPoint | None = None

    @classmethod
    def of(cls, agent: str, env_id: str, outcomes: Sequence[Outcome], *, lam: float = DEFAULT_LAM) -> "Report":
        """The report on some episodes."""
        return cls(
            agent=agent,
            env_id=env_id,
            outcomes=tuple(outcomes),
            metrics=summarise(outcomes, lam=lam),
            families=by_family(outcomes, lam=lam),
            lam=lam,
            regret_curve=regret_curve(outcomes),
            frontier=optimal_frontier(outcomes),
            reached=agent_point(outcomes),
        )

    def to_json(self) -> dict[str, Any]:
        """All metrics as JSON, which has no NaN: null stands for it. The episodes are left out."""
        return {
            "agent": self.agent,
            "env_id": self.env_id,
            "episodes": len(self.outcomes),
            "lam": self.lam,
            "metrics": _as_json(self.metrics),
            "families": {family: _as_json(metrics) for family, metrics in self.families.items()},
            "regret_curve": [{"lam": lam, **_estimate_json(found)} for lam, found in self.regret_curve.items()],
            "frontier": {
                "optimal": [asdict(point) for point in self.frontier],
                "agent": None if self.reached is None else asdict(self.reached),
            },
        }

    def __str__(self) -> str:
        """A Markdown table: a row for each family and one for all."""
        rows = {**self.families, "all": self.metrics}
        head = f"{self.agent} on {self.env_id}, {len(self.outcomes)} episodes; mean [95 % interval]"
        return head + "\n\n" + markdown_table("family", rows, _SHOWN) + self._worth()

    def _worth(self) -> str:
        """A sentence on where the agent stands beside the best policy; empty where no plan is known."""
        if self.reached is None:
            return ""
        best, at_cost = self.frontier[0], accuracy_at(self.frontier, self.reached.cost)
        return (
            f"\n\nRegret at λ = {self.lam:g} a unit of price. The best policy is right in {best.accuracy:.3f} with "
            f"{best.calls:.2f} calls, and in {at_cost:.3f} at this agent's cost of {self.reached.cost:.2f}; the agent "
            f"in {self.reached.accuracy:.3f}."
        )


def compare_table(reports: Sequence[Report]) -> str:
    """A Markdown table with a row for each report."""
    return markdown_table("agent", {report.agent: report.metrics for report in reports}, _SHOWN)


def needs_table(reports: Sequence[Report]) -> str:
    """A Markdown table of what each family needs: a row for each, with each agent's accuracy in it.

    Args:
        reports: Of several agents on the same episodes. The tools are those that the first of them called.
    """
    first = reports[0]
    cells = [["family", "tasks that need a tool", f"tools that {first.agent} called", *(r.agent for r in reports)]]
    for family in first.families:
        outcomes = [outcome for outcome in first.outcomes if outcome.family == family]
        needy = sum(outcome.necessity is Necessity.REQUIRED for outcome in outcomes)
        called = sorted({name for outcome in outcomes for name, calls in outcome.tool_calls_by.items() if calls})
        accuracies = [f"{report.families[family]['accuracy'].mean:.2f}" for report in reports]
        cells.append([family, f"{needy} of {len(outcomes)}", ", ".join(called) or "–", *accuracies])
    return table(cells[0], cells[1:], aligned=True)


def markdown_table(corner: str, rows: Mapping[str, Mapping[str, Estimate]], columns: Sequence[str]) -> str:
    """A Markdown table of estimates with aligned columns."""
    cells = [[corner, *columns], *([name, *(str(row[column]) for column in columns)] for name, row in rows.items())]
    return table(cells[0], cells[1:], aligned=True)


def evaluate(
    agent: Agent | BatchAgent,
    env_id: str,
    episodes: int,
    seed: int,
    *,
    workers: int = 1,
    progress: bool = True,
    lam: float = DEFAULT_LAM,
    **make_kwargs: Any,
) -> Report:
    """Let an agent play episodes, and summarise them.

    Args:
        agent: The agent.
        env_id: One of this package's ids.
        episodes: How many, each on a task of its own.
        seed: The same seed gives the same tasks and the same report, whatever the number of workers.
        workers: Processes. With more than one, the calling script needs the usual `if __name__ == "__main__":`.
        progress: Show a progress bar on stderr.
        lam: λ, the accuracy that one unit of price is worth, for regret, excess and missing calls.
        **make_kwargs: For `gymnasium.make`; the split is "test" unless they say otherwise.

    Raises:
        ConfigError: `episodes` or `workers` is not positive, or `lam` is negative.
    """
    checked_lam(lam)
    if episodes < 1 or workers < 1:
        raise ConfigError(f"episodes and workers must be at least 1, actually: {episodes}, {workers}")
    with progress_bar(f"{agent.name} on {env_id}", episodes, shown=progress) as advance:
        outcomes = play(agent, env_id, tasks=episodes, seed=seed, workers=workers, advance=advance, **make_kwargs)
    return Report.of(agent.name, env_id, outcomes, lam=lam)


def _as_json(metrics: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: _estimate_json(estimate) for name, estimate in metrics.items()}


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    return {name: None if math.isnan(value) else value for name, value in asdict(estimate).items()}
