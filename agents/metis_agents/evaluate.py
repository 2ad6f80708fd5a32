"""Evaluation: an agent plays episodes, the outcomes become a report."""

import contextlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from metis_agents.agent import Agent
from metis_agents.progress import progress_bar
from metis_gym.errors import ConfigError
from metis_gym.metrics import Estimate, by_family, summarise
from metis_gym.numeric import NumericToolUseEnv
from metis_gym.records import Necessity, Outcome
from metis_gym.registration import register_all
from metis_gym.registries import adopt, in_process_names

__all__ = ["Report", "compare_table", "evaluate", "markdown_table", "needs_table"]

_CHUNK = 8
_SHOWN = ("accuracy", "accuracy_none", "accuracy_required", "redundant_rate", "tool_recall", "tool_calls", "unscored")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an evaluation found.

    Attributes:
        agent: The agent's name.
        env_id: The environment.
        outcomes: One for each episode, in order.
        metrics: Figure → mean and confidence interval, over all scored episodes.
        families: The same for each family.
    """

    agent: str
    env_id: str
    outcomes: tuple[Outcome, ...]
    metrics: Mapping[str, Estimate]
    families: Mapping[str, Mapping[str, Estimate]]

    def __str__(self) -> str:
        """A Markdown table: a row for each family and one for all."""
        rows = {**self.families, "all": self.metrics}
        head = f"{self.agent} on {self.env_id}, {len(self.outcomes)} episodes; mean [95 % interval]"
        return head + "\n\n" + markdown_table("family", rows, _SHOWN)


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
    return _aligned(cells)


def markdown_table(corner: str, rows: Mapping[str, Mapping[str, Estimate]], columns: Sequence[str]) -> str:
    """A Markdown table of estimates with aligned columns."""
    cells = [[corner, *columns], *([name, *(str(row[column]) for column in columns)] for name, row in rows.items())]
    return _aligned(cells)


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def evaluate(
    agent: Agent,
    env_id: str,
    episodes: int,
    seed: int,
    *,
    workers: int = 1,
    progress: bool = True,
    **make_kwargs: Any,
) -> Report:
    """Let an agent play episodes.

    Args:
        agent: The agent.
        env_id: One of this package's ids.
        episodes: How many.
        seed: The same seed gives the same tasks and the same report, whatever the number of workers.
        workers: Processes. With more than one, the calling script needs the usual `if __name__ == "__main__":`.
        progress: Show a progress bar on stderr.
        **make_kwargs: For `gymnasium.make`; the split is "test" unless they say otherwise.

    Raises:
        ConfigError: `episodes` or `workers` is not positive.
    """
    if episodes < 1 or workers < 1:
        raise ConfigError(f"episodes and workers must be at least 1, actually: {episodes}, {workers}")
    kwargs = {"split": "test", **make_kwargs}
    chunks = [range(start, min(start + _CHUNK, episodes)) for start in range(0, episodes, _CHUNK)]
    played: dict[int, Outcome] = {}
    with progress_bar(f"{agent.name} on {env_id}", episodes, shown=progress) as advance:
        for part in _play_all(agent, env_id, kwargs, seed, chunks, workers):
            played.update(part)
            advance(len(part))
    outcomes = tuple(played[number] for number in range(episodes))
    return Report(
        agent=agent.name, env_id=env_id, outcomes=outcomes, metrics=summarise(outcomes), families=by_family(outcomes)
    )


def _play_all(
    agent: Agent, env_id: str, kwargs: Mapping[str, Any], seed: int, chunks: Sequence[range], workers: int
) -> Iterator[dict[int, Outcome]]:
    if workers == 1:
        for chunk in chunks:
            yield _play_chunk(agent, env_id, kwargs, seed, chunk)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=adopt, initargs=(in_process_names(),)) as pool:
        running = [pool.submit(_play_chunk, agent, env_id, kwargs, seed, chunk) for chunk in chunks]
        for done in as_completed(running):
            yield done.result()


def _play_chunk(
    agent: Agent, env_id: str, kwargs: Mapping[str, Any], seed: int, numbers: Sequence[int]
) -> dict[int, Outcome]:
    register_all()
    with contextlib.closing(gym.make(env_id, **kwargs)) as env:
        return {number: _play_episode(agent, env, seed, number) for number in numbers}


def _play_episode(agent: Agent, env: gym.Env[Any, Any], seed: int, number: int) -> Outcome:
    """Episode `number` of `seed`: its task and the agent's randomness depend on these two only."""
    streams = np.random.SeedSequence([seed, number]).spawn(2)
    observation, info = env.reset(seed=int(streams[0].generate_state(1)[0]))
    inner: Any = env.unwrapped
    agent.reset(inner.episode.task, np.random.default_rng(streams[1]))
    is_over = False
    while not is_over:
        action = agent.act(observation, info)
        if isinstance(inner, NumericToolUseEnv) and isinstance(action, Mapping):
            action = inner.encode_action(action)
        observation, _, terminated, truncated, info = env.step(action)
        is_over = bool(terminated or truncated)
    return Outcome.from_info(info)
