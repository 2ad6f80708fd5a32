"""The smallest problem with a tool: call it, or answer at once. One task is one logit, one episode is one token.

It is the shortest example of a `Policy` and a `Collector`, and it has a theory. With q = P(tool), success p_t with the
tool and p_n without, and many episodes, HDPO moves the tool's logit by

    drift = q(1 − q)(p_t − p_n)/√(P(1 − P)) − w·κ·√(q(1 − q)·p_t·p_n),  P = q·p_t + (1 − q)·p_n,

κ = 1 with the denominator `all`, 1/P with `qualifying`. With p_n = 0 nothing presses against the tool. With p_n > 0, a
lucky guess, the second term wins near q = 0, however much the tool helps: there "no tool" is absorbing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metis_agents.rl.collect import Rollout, TokenLogprobs
from metis_agents.rl.counts import Denominator
from metis_gym.records import Outcome

__all__ = ["BanditCollector", "BanditPolicy", "BanditTask", "Choice", "bandit_rollout", "drift"]


@dataclass(frozen=True)
class BanditTask:
    """One task.

    Attributes:
        with_tool: p_t, how often the answer is right after calling the tool.
        without_tool: p_n, how often it is right without.
    """

    with_tool: float
    without_tool: float


@dataclass(frozen=True)
class Choice:
    """What was done in one episode: on which task, and whether the tool was called."""

    task: int
    tool: bool


def drift(q: float, task: BanditTask, w_tool: float, denominator: Denominator = Denominator.ALL) -> float:
    """How HDPO moves the tool's logit in the limit of many episodes, per unit of learning rate; 0 < q < 1.

    >>> drift(0.5, BanditTask(0.9, 0.0), 0.15) > 0, drift(0.01, BanditTask(0.9, 0.6), 0.15) < 0
    (True, True)
    """
    success = q * task.with_tool + (1 - q) * task.without_tool
    gain = q * (1 - q) * (task.with_tool - task.without_tool) / math.sqrt(success * (1 - success))
    kappa = 1.0 if denominator is Denominator.ALL else 1.0 / success
    return gain - w_tool * kappa * math.sqrt(q * (1 - q) * task.with_tool * task.without_tool)


class BanditPolicy(nn.Module):
    """One logit per task; float64.

    Args:
        logits: Where to start: the log-odds of calling the tool.
    """

    def __init__(self, logits: Sequence[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))

    def tool_rates(self) -> Tensor:
        """The rates q at which the tool is called, one for each task."""
        return torch.sigmoid(self.logits.detach())

    def logprobs(self, rollouts: Sequence[Rollout[Choice]]) -> TokenLogprobs:
        """The log-probability of each episode's only choice, shape (B, 1)."""
        tasks_B = torch.tensor([rollout.payload.task for rollout in rollouts])
        sign_B = torch.tensor([1.0 if rollout.payload.tool else -1.0 for rollout in rollouts], dtype=torch.float64)
        logprobs_B1 = nn.functional.logsigmoid(sign_B * self.logits[tasks_B]).unsqueeze(-1)
        return TokenLogprobs(logprobs_B1, torch.ones_like(logprobs_B1, dtype=torch.bool))


class BanditCollector:
    """Plays the tasks in turn, with its own random generator.

    Args:
        tasks: The tasks.
        policy: Who plays.
        seed: Of the generator.
    """

    def __init__(self, tasks: Sequence[BanditTask], policy: BanditPolicy, seed: int = 0) -> None:
        self._tasks = tuple(tasks)
        self._policy = policy
        self._random = torch.Generator().manual_seed(seed)
        self._next = 0

    def collect(self, tasks: int, group_size: int) -> list[list[Rollout[Choice]]]:
        """Play the next tasks, `group_size` episodes of each."""
        groups = []
        for _ in range(tasks):
            groups.append(self._play(self._next, group_size))
            self._next = (self._next + 1) % len(self._tasks)
        return groups

    def state_dict(self) -> dict[str, Any]:
        """The random generator and the next task."""
        return {"random": self._random.get_state(), "next": self._next}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take up a state that `state_dict` gave."""
        self._random.set_state(state["random"])
        self._next = state["next"]

    def _play(self, index: int, episodes: int) -> list[Rollout[Choice]]:
        task, tool_rate = self._tasks[index], float(self._policy.tool_rates()[index])
        draws = torch.rand((episodes, 2), generator=self._random, dtype=torch.float64).tolist()
        tools = [choose < tool_rate for choose, _ in draws]
        chances = [task.with_tool if tool else task.without_tool for tool in tools]
        return [
            bandit_rollout(index, tool, succeed < chance)
            for (_, succeed), tool, chance in zip(draws, tools, chances, strict=True)
        ]


def bandit_rollout(task: int, tool: bool, right: bool) -> Rollout[Choice]:
    """One finished episode of the bandit, as a rollout that the trainer takes."""
    outcome = Outcome(
        task_id=f"bandit/{task}", answer_score=float(right), format_score=1.0, tool_calls=int(tool), tokens=1
    )
    return Rollout(outcome=outcome, model_tokens=1, payload=Choice(task, tool))
