"""Agents that read what the environment returned by comparing it with every possible answer.

They are told the rules of an episode (`metis_gym.rules`): the task drawn with each possible answer, and what any call
would show on each of these. They never see which answer is right, nor whether a tool is needed.

| agent | calls | answers |
|---|---|---|
| `OptimalAgent` | as the best plan at its λ does | the answer that is most probable after all that was shown |
| `LastResultAgent` | always | what its last call showed, whatever the view says |
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metis_gym.errors import ConfigError
from metis_gym.records import Task, ToolCall
from metis_gym.rules import Rules, same_observation
from metis_gym.tools.crop_code import crop_call
from metis_gym.worth import DEFAULT_LAM, checked_lam

__all__ = ["InformedAgent", "LastResultAgent", "OptimalAgent"]

Action = Mapping[str, Any]

_SHOWN = (448, 448)


class InformedAgent:
    """Plays by the rules of an episode: `study` follows `reset`. A subclass has a `name`, `_plan` and `_choose`."""

    name = ""

    def __getstate__(self) -> dict[str, Any]:
        """Leave the episode behind: it stays with the environment of its process."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode."""
        self._rng = rng
        self._actions: list[Action] = []
        self._left: tuple[int, ...] = ()

    def study(self, rules: Rules) -> None:
        """Learn the rules of the episode.

        Args:
            rules: Say neither which answer is right nor whether a tool is needed.
        """
        self._rules = rules

    def act(self, observation: Any, info: dict[str, Any]) -> Action:  # noqa: ARG002
        """The next call, or the answer."""
        if self._actions:
            self._hear(observation)
        else:
            self._look(observation)
        call = self._next_call()
        if call is None:
            return {"answer": self._rules.possible.answers[self._choose()]}
        self._actions.append({"name": call.name, "arguments": dict(call.arguments)})
        return self._actions[-1]

    def _look(self, observation: Any) -> None:
        """Keep the possible answers whose view and text are those that are shown."""
        self._first = observation
        places = range(len(self._rules.possible))
        self._left = tuple(place for place in places if same_observation(self._rules.rehearse(place), observation))
        if not self._left:
            raise ConfigError(
                "the taskset is not finished: variants(task_id, every=True) must hold the task as it is shown, but the "
                f"view or the text of each of these {len(places)} differs"
            )

    def _showing(self, observation: Any, places: Sequence[int]) -> tuple[int, ...]:
        """Of some answers those for which the calls so far would have shown what is new in this."""
        news = [key for key in observation if not same_observation(observation[key], self._first[key])]

        def is_shown(place: int) -> bool:
            would = self._rules.rehearse(place, self._actions)
            return all(same_observation(would[key], observation[key]) for key in news)

        return tuple(filter(is_shown, places))

    def _hear(self, observation: Any) -> None:
        """Take in what the last call showed."""
        raise NotImplementedError

    def _next_call(self) -> ToolCall | None:
        """The next call; None to answer."""
        raise NotImplementedError

    def _choose(self) -> int:
        """The place of the answer."""
        raise NotImplementedError


class OptimalAgent(InformedAgent):
    """The best policy for a price of calls: its expected regret at its λ is 0.

    It keeps the answers whose view is the one that is shown, follows the plan with the largest accuracy − λ · price,
    and answers what is most probable then. Of n answers that the view leaves, one for which a tool, wrong with
    probability h, would show what was shown gains the factor 1 − h + h · (others that show it) / (n − 1), any other
    one h · (those that show it) / (n − 1): a wrong tool shows the same wrong answer all through the episode.

    Args:
        lam: λ, the accuracy that one unit of price is worth.

    Raises:
        ConfigError: λ is not a number of 0 or more.
    """

    name = "optimal"

    def __init__(self, lam: float = DEFAULT_LAM) -> None:
        self.lam = checked_lam(lam)

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode."""
        super().reset(rng)
        self._shown: dict[str, tuple[int, ...]] = {}

    def _hear(self, observation: Any) -> None:
        tool = self._actions[-1]["name"]
        self._shown[tool] = self._showing(observation, self._shown.get(tool, self._left))

    def _next_call(self) -> ToolCall | None:
        if self._answers_left < 2:
            return None
        task = self._rules.possible[int(np.argmax(self._weights))]
        plan = self._rules.best_plan(task, self.lam)
        wanted = Counter(call.name for call in task.solution) if plan is None else Counter(plan.calls)
        made = Counter(action["name"] for action in self._actions)
        passed: Counter[str] = Counter()
        for call in task.solution:
            passed[call.name] += 1
            if made[call.name] < passed[call.name] <= wanted[call.name]:
                return call
        return None

    def _choose(self) -> int:
        possible, weights = self._rules.possible, self._weights
        sums = np.array([weights[[one == answer for one in possible.answers]].sum() for answer in possible.answers])
        return int(self._rng.choice(np.flatnonzero(sums >= sums.max() * (1 - 1e-9))))

    @property
    def _answers_left(self) -> int:
        return len({self._rules.possible.answers[place] for place in self._left})

    @property
    def _weights(self) -> NDArray[np.float64]:
        """How probable each place is, up to a factor; 0 for those that the view rules out."""
        weights = np.zeros(len(self._rules.possible))
        weights[list(self._left)] = 1.0
        for shown in self._shown.values():
            if shown:  # else nothing that is known would show this: it tells nothing
                weights *= self._likelihoods(shown)
        return weights

    def _likelihoods(self, shown: Sequence[int]) -> NDArray[np.float64]:
        """How probable it is at each place that a tool shows what it would show at these places.

        A wrong tool works on another answer with the same key.
        """
        answers, keys = (np.array(of) for of in (self._rules.possible.answers, self._rules.possible.keys))
        noise, others = self._rules.noise, self._answers_left - 1
        is_shown = np.isin(np.arange(len(answers)), shown)
        wrong = (keys[:, None] == keys[list(shown)]) & (answers[:, None] != answers[list(shown)])
        likelihoods: NDArray[np.float64] = is_shown * (1 - noise) + wrong.sum(axis=1) * noise / others
        return likelihoods


class LastResultAgent(InformedAgent):
    """Calls tools on every task, and answers what its last call showed, even where the view says otherwise.

    The calls are those of the task's shortest solution, or a look at the deciding detail where none is needed.
    """

    name = "last-result"

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode."""
        super().reset(rng)
        self._read: tuple[int, ...] = ()

    def _hear(self, observation: Any) -> None:
        every = range(len(self._rules.possible))
        self._read = self._showing(observation, self._read or every) or self._showing(observation, every)

    def _next_call(self) -> ToolCall | None:
        places = self._read or self._left
        task = self._rules.possible[places[0]]
        calls = task.solution or (_look_at(task),)
        return calls[len(self._actions)] if len(self._actions) < len(calls) else None

    def _choose(self) -> int:
        possible = self._read or self._left
        return possible[int(self._rng.integers(len(possible)))]


def _look_at(task: Task) -> ToolCall:
    height, width = task.images[0].source.shape[:2]
    return crop_call(task.region or (0, 0, width, height), _SHOWN)
