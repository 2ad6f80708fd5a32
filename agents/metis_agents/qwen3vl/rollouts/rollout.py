"""One episode, as the player sees it: what is asked of it, what it may take, and how its tokens grow."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from metis_agents.agent import RolloutRequest
from metis_agents.qwen3vl.chat.renderer import Renderer
from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.rollouts.engine import SampledTurn, TurnRequest
from metis_agents.rl import Rollout
from metis_gym.errors import BudgetError, ConfigError
from metis_gym.parameters import check_parameters, whole
from metis_gym.records import Outcome

__all__ = ["ActiveRollout", "Budget", "RolloutPlan"]

_SEEDS = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Largest numbers of tokens in an episode's parts. The defaults are the published settings of arXiv 2604.08545.

    Attributes:
        prompt: Largest number of tokens in the system turn and the first user turn, images included.
        response: Largest number of tokens in everything after the prompt.
        turn: Largest number of tokens in one turn of the model.
        observation: Largest number of tokens in one observation, images included; a longer one is cut, with a note.
    """

    prompt: int = whole(24_576, low=1)
    response: int = whole(16_384, low=1)
    turn: int = whole(16_384, low=1)
    observation: int = whole(8_192, low=1)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.turn > self.response:
            raise ConfigError(f"Expect turn ({self.turn}) to be at most response ({self.response})")


@dataclass(frozen=True, kw_only=True)
class RolloutPlan(RolloutRequest):
    """An episode to be played. Those of one task that stand beside each other share the encoding of its prompt.

    Attributes:
        is_greedy: Take the likeliest tokens.
        watch: Wraps the environment for this episode, to record it; None plays in the plain one.
    """

    is_greedy: bool = False
    watch: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None


@dataclass(eq=False)
class ActiveRollout:
    """An episode that is being played.

    Attributes:
        index: Its place among the jobs; names the conversation for the engine.
        job: What was asked for.
        base: The environment.
        budget: What its parts may take.
        env: The environment as it is played in: watched, where the job says so.
        tokens: The conversation so far.
        prompt_length: How many of the tokens are the prompt.
        info: What the environment said last.
        outcome: None until the episode is over.
        overran: Which budget the prompt exceeded, where that made the episode unscored.
        cuts: How many observations were cut.
    """

    index: int
    job: RolloutPlan
    base: gym.Env[Any, Any]
    budget: Budget
    env: gym.Env[Any, Any] = field(init=False)
    tokens: Tokens = field(init=False)
    prompt_length: int = 0
    info: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None
    overran: str = ""
    cuts: int = 0

    def __post_init__(self) -> None:
        self.env = self.base if self.job.watch is None else self.job.watch(self.base)
        self.tokens = _NOTHING
        self._seeds = np.random.default_rng(self.job.seed)

    def begin(self, renderer: Renderer, prompt: Tokens | None) -> Tokens | None:
        """Start the episode.

        Args:
            renderer: Encodes the prompt.
            prompt: The prompt of an earlier episode of the same task, to be shared.

        Returns:
            The prompt; None where the model cannot take it, and the episode is over.
        """
        observation, self.info = self.env.reset(options=self.job.pin.options)
        if prompt is None:
            try:
                prompt = renderer.prompt(observation["system"], observation["text"], observation["images"])
            except BudgetError:
                self._overrun("image")
                return None
            if len(prompt) > self.budget.prompt:
                self._overrun("prompt")
                return None
        self.tokens, self.prompt_length = prompt, len(prompt)
        return prompt

    def request(self) -> TurnRequest:
        """Ask for the next turn; its seed follows from the job's."""
        return TurnRequest(
            episode=self.index,
            tokens=self.tokens,
            max_tokens=min(self.budget.turn, self._left),
            seed=int(self._seeds.integers(_SEEDS)),
            is_greedy=self.job.is_greedy,
        )

    def act(self, turn: SampledTurn, renderer: Renderer) -> None:
        """Take a turn in the environment, and append it and what came of it to the conversation."""
        self.tokens = self.tokens.then(renderer.written(turn.ids, turn.logprobs))
        text = renderer.text(turn.ids)
        observation, _, terminated, truncated, self.info = self.env.step(text)
        if terminated or truncated:
            self.outcome = self._outcome()
            return
        is_closed = turn.ids[-1] == renderer.vocabulary.end
        answer, is_cut = renderer.fitted_observation(
            observation["text"], observation["images"], is_closed=is_closed, max_tokens=self.budget.observation
        )
        self.cuts += is_cut
        if len(answer) >= self._left:
            # Its own doing: the model has written so much that nothing fits behind it. Wrong, not failed.
            self.outcome = dataclasses.replace(self._outcome(), truncated=True)
        else:
            self.tokens = self.tokens.then(answer)

    def rollout(self) -> Rollout[Tokens]:
        """The finished episode, for the trainer."""
        assert self.outcome is not None
        return Rollout(
            outcome=self.outcome,
            model_tokens=self.tokens.model_tokens,
            payload=self.tokens,
            length=len(self.tokens),
        )

    @property
    def _left(self) -> int:
        """Tokens that the response may still take."""
        return self.prompt_length + self.budget.response - len(self.tokens)

    def _outcome(self) -> Outcome:
        return dataclasses.replace(Outcome.from_info(self.info), tokens=self.tokens.model_tokens)

    def _overrun(self, what: str) -> None:
        """The task's prompt does not fit, which is not the model's doing: the episode is unscored."""
        self.overran = what
        self.outcome = dataclasses.replace(self._outcome(), truncated=True, scored=False)


def _empty() -> Tokens:
    nothing = np.zeros(0, dtype=np.int64)
    return Tokens(nothing, np.zeros((3, 0), dtype=np.int64), nothing.astype(np.bool_), nothing.astype(np.float32))


_NOTHING = _empty()
