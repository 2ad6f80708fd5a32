"""The rules of playing: a person makes the moves of a model in a real environment. Knows no page and no socket."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from metis_gym.backstage import backstage
from metis_gym.errors import InvalidActionError
from metis_gym.records import Box, Necessity, Outcome
from metis_gym.tools.crop_code import crop_call
from metis_gym.viewer.episodes import EpisodeCard, card_of_episode
from metis_gym.viewer.rendering import crops_of
from metis_gym.worth import DEFAULT_LAM, regret

__all__ = ["MAX_TEXT_CHARS", "Game", "Tally", "seen_share"]

MAX_TEXT_CHARS = 2_000
"""Longest answer or query."""
_MIN_SIDE = 2
_SHOWN_SIDE = 640


@dataclass(frozen=True)
class Tally:
    """How somebody has played so far.

    Attributes:
        outcomes: The episodes that were scored.
    """

    outcomes: tuple[Outcome, ...] = ()

    def count(self, necessity: Necessity, *, called: bool) -> tuple[int, int]:
        """Episodes of a cell of the table of needs and calls, and how many of them were right."""
        inside = [one for one in self.outcomes if one.necessity is necessity and (one.tool_calls > 0) is called]
        return len(inside), sum(one.truly_correct for one in inside)

    @property
    def right(self) -> int:
        """Right answers."""
        return sum(one.truly_correct for one in self.outcomes)

    @property
    def redundant(self) -> int:
        """Episodes with a call that was not needed."""
        return self.count(Necessity.NONE, called=True)[0]

    @property
    def missed(self) -> int:
        """Episodes without a call that was needed."""
        return self.count(Necessity.REQUIRED, called=False)[0]

    @property
    def mean_regret(self) -> float | None:
        """Utility lost to the best policy, a task; None where no task says what its tools are worth."""
        known = [regret(one, DEFAULT_LAM) for one in self.outcomes if one.plans]
        return sum(known) / len(known) if known else None


class Game:
    """A person in place of the model: sees the views, may call each tool, answers.

    Args:
        env: An environment of this package. The game closes it.
        seed: Pins the tasks; None for others each time.
    """

    def __init__(self, env: gym.Env[Any, Any], *, seed: int | None = None) -> None:
        self._env, self._inside, self._seed = env, backstage(env), seed
        self._tally: list[Outcome] = []
        self.number = 0
        self.is_over = True

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools that may be called."""
        return tuple(self._inside.toolbox.tools)

    @property
    def card(self) -> EpisodeCard:
        """The episode so far. What it says of the task may be shown when it `is_over`."""
        episode = self._inside.episode
        card = card_of_episode(episode, self._inside.outcome if self.is_over else None, is_plain=True)
        broken = self._inside.failure
        return dataclasses.replace(card, number=self.number, failure="" if broken is None else str(broken))

    @property
    def tally(self) -> Tally:
        """How it went so far."""
        return Tally(tuple(self._tally))

    @property
    def place(self) -> str:
        """Where the game stands; every move changes it, so that a move that was meant for another place is known."""
        return f"{self.number}.{len(self._inside.episode.turns) if self.number else 0}"

    def next(self) -> None:
        """Start the next task.

        Raises:
            InvalidActionError: The last one has no answer yet.
        """
        if not self.is_over:
            raise InvalidActionError("answer this question first")
        self._env.reset(seed=self._seed if self.number == 0 else None)
        self.number += 1
        self.is_over = False

    def crop(self, box: Box) -> None:
        """Enlarge a box of the first image, as a model's code would: one call of `python`.

        Args:
            box: In pixels of the source; what lies outside of the image is cut off.

        Raises:
            InvalidActionError: It holds no pixel, or no move is possible.
        """
        images = self._inside.episode.task.images if self.number else ()
        if not images:
            raise InvalidActionError("there is no image to crop")
        height, width = images[0].source.shape[:2]
        left, top, right, bottom = box
        left, right = sorted((max(0, min(left, width)), max(0, min(right, width))))
        top, bottom = sorted((max(0, min(top, height)), max(0, min(bottom, height))))
        if right - left < _MIN_SIDE or bottom - top < _MIN_SIDE:
            raise InvalidActionError(f"a box has at least {_MIN_SIDE} × {_MIN_SIDE} pixels of the image")
        scale = _SHOWN_SIDE / max(right - left, bottom - top)
        size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        self._call("python", crop_call((left, top, right, bottom), size).arguments)

    def search(self, query: str) -> None:
        """Search text: one call of `text_search`."""
        self._call("text_search", {"query": _checked(query, "a query")})

    def search_image(self) -> None:
        """Search for the image: one call of `image_search`."""
        self._call("image_search", {})

    def answer(self, text: str) -> None:
        """Answer, which ends the episode."""
        self._step({"answer": _checked(text, "an answer")})

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def _call(self, tool: str, arguments: Mapping[str, Any]) -> None:
        if tool not in self.tools:
            raise InvalidActionError(f"there is no tool {tool!r} here; there are: {', '.join(self.tools) or 'none'}")
        self._step({"name": tool, "arguments": dict(arguments)})

    def _step(self, action: Mapping[str, Any]) -> None:
        if self.is_over:
            raise InvalidActionError("the episode is over: go to the next task")
        _, _, terminated, truncated, _ = self._env.step(self._inside.encode_action(action))
        self.is_over = bool(terminated or truncated)
        if self.is_over and self._inside.outcome.scored:
            self._tally.append(self._inside.outcome)


def seen_share(card: EpisodeCard) -> float | None:
    """The largest share of the deciding detail that one crop held; None without a crop or a known detail."""
    crops = crops_of(card)
    if card.task is None or card.task.region is None or not crops:
        return None
    left, top, right, bottom = card.task.region
    area = max(1, (right - left) * (bottom - top))
    return max(
        max(0, min(right, box[2]) - max(left, box[0])) * max(0, min(bottom, box[3]) - max(top, box[1])) / area
        for box in crops
    )


def _checked(text: str, what: str) -> str:
    if not text.strip() or len(text) > MAX_TEXT_CHARS:
        raise InvalidActionError(f"{what} has 1 to {MAX_TEXT_CHARS:,} characters, actually: {len(text.strip()):,}")
    return text.strip()
