"""A grader that is wrong now and then: a share of verdicts is flipped in training, never in evaluation.

Which ones is a pure function of the run's key, the task, and who plays it. So the episodes of a group flip
independently of each other, and a run that is resumed sees the verdicts that it would have seen.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metis_gym.errors import ConfigError
from metis_gym.grading.cascade import Grade, GradingStep
from metis_gym.registries import nearest

__all__ = ["GraderNoise", "Visit"]

_OPTIONS = ("task_id", "member", "episode")


@dataclass(frozen=True)
class Visit:
    """Who plays a task, and for the how many-th time: the options of `reset` that grader noise is keyed by.

    Attributes:
        member: Which episode of the task's group this is, from 0 on.
        episode: Tells apart the times that a task comes up in one run, such as the number of the batch.
    """

    member: int = 0
    episode: int = 0

    @classmethod
    def of(cls, options: Mapping[str, Any] | None) -> "Visit":
        """Read the options of `reset`.

        Raises:
            ConfigError: An unknown option, or a number that is negative or not whole.
        """
        options = options or {}
        for name in options:
            if name not in _OPTIONS:
                raise ConfigError(f"reset has no option {name!r}. {nearest(name, _OPTIONS)}")
        visit = cls(options.get("member", 0), options.get("episode", 0))
        for name, value in dataclasses.asdict(visit).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ConfigError(f"Expect reset's option {name!r} to be a whole number from 0 on, actually: {value!r}")
        return visit


@dataclass(frozen=True)
class GraderNoise:
    """Flips verdicts.

    Attributes:
        share: Share of answers whose verdict is flipped, 0 to 0.5.
        key: Of the run, usually its seed.
        split: "train" flips, "test" never does.

    Raises:
        ConfigError: A share or a key that is not valid.
    """

    share: float = 0.0
    key: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not isinstance(self.share, int | float) or not 0 <= self.share <= 0.5:
            raise ConfigError(f"grader_noise must be a share from 0 to 0.5, actually: {self.share!r}")
        if isinstance(self.key, bool) or not isinstance(self.key, int):
            raise ConfigError(f"noise_key must be a whole number, actually: {self.key!r}")

    def flips(self, task_id: str, visit: Visit) -> bool:
        """Whether the verdict on this episode is flipped.

        >>> GraderNoise(0.3, key=1).flips("t", Visit(member=1)), GraderNoise(0.3, key=1).flips("t", Visit(member=3))
        (False, True)
        """
        if self.share == 0 or self.split == "test":
            return False
        text = f"{self.key}/{task_id}/{visit.member}/{visit.episode}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2.0**64

    def verdict(self, grade: Grade, task_id: str, visit: Visit) -> float:
        """The score that training sees: the grade's, or 1 minus it. Where there is no answer, there is no verdict."""
        is_flipped = grade.step is not GradingStep.NO_ANSWER and self.flips(task_id, visit)
        return 1.0 - grade.score if is_flipped else grade.score
