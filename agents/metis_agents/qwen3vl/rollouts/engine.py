"""What a rollout engine is: it continues conversations, many at once, and says how likely each token was.

The collector submits a turn when a conversation is ready for it and takes finished turns as they come, so that tools
run while others are being written for. An engine may keep whatever it likes of a conversation (keys and values) until
it is told to forget it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from metis_agents.qwen3vl.chat.tokens import Tokens

__all__ = ["Engine", "SampledTurn", "TurnRequest"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TurnRequest:
    """A turn to be written.

    Attributes:
        episode: Number of the conversation; the same in all its turns.
        tokens: The conversation so far. New conversations that are given the same object share its encoding.
        max_tokens: Longest turn.
        seed: Everything random in this turn comes from here, whatever is written beside it.
        is_greedy: Take the likeliest token instead of sampling.
    """

    episode: int
    tokens: Tokens
    max_tokens: int
    seed: int
    is_greedy: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledTurn:
    """A finished turn.

    Attributes:
        episode: Whose.
        ids: The sampled tokens, the one that ended the turn included.
        logprobs: Log-probability of each under the distribution that it was sampled from.
        is_cut: True where the turn did not end but met `max_tokens`.
    """

    episode: int
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    is_cut: bool


class Engine(Protocol):
    """Generates the assistant's next turn of many conversations at once."""

    @property
    def capacity(self) -> int:
        """Most conversations that may be known at a time."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether nothing submitted is unfinished."""
        ...

    def submit(self, requests: Sequence[TurnRequest]) -> None:
        """Take up turns to be written."""
        ...

    def step(self) -> list[SampledTurn]:
        """Write one token, or more, for every conversation; the turns that are finished by that."""
        ...

    def forget(self, episodes: Sequence[int]) -> None:
        """These conversations are over, or given up."""
        ...

    def refresh(self) -> None:
        """The model's weights have changed: nothing that was kept is valid any more."""
        ...
