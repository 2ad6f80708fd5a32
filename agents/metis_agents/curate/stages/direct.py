"""The stage `direct`: trajectories that use tools for what the base model answers without any are dropped.

The paper's sentence is that instances go which the base model "can already answer directly", measured by pass@8 = 1.
With k tries pass@k = 1 can be read in three ways, and the reading is an option:

* `any`: at least one of 8 answers is right, as the estimator defines pass@8;
* `all`: all of them are;
* `above_chance` (default): `any` for open questions; for a choice, as many as guessing reaches with P < .05.

Of 8 blind guesses among four options one is right with probability .9: `any` would drop most questions with options,
whatever tools they need. The report counts all three readings. Reason: `answered_directly`; undecided: `unscored`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metis_agents.curate.records import Sample, Verdict, dropped, kept, undecided
from metis_agents.curate.rollouts import Player, Rollouts
from metis_agents.curate.stages.stage import SampleStage, Timed, shared_time
from metis_gym.errors import ConfigError

__all__ = ["READINGS", "DirectStage", "min_scored", "right_by_chance"]

READINGS = ("above_chance", "any", "all")
APPLIES = ("calls", "all")
_CHANCE = 0.05


@dataclass(frozen=True)
class DirectStage(SampleStage):
    """Drops trajectories whose question the base model answers without tools.

    Attributes:
        player: The base model, without tools.
        reading: One of `READINGS`.
        tries: Answers for each question.
        applies: "calls" for trajectories with tool calls, "all" for every one: without calls one teaches abstaining.
    """

    player: Player
    reading: str = "above_chance"
    tries: int = 8
    applies: str = "calls"

    name: ClassVar[str] = "direct"
    about: ClassVar[str] = "the base model does not answer it without tools"
    batch: ClassVar[int] = 16
    counts: ClassVar[tuple[str, ...]] = ("asked_directly", *(f"direct_{reading}" for reading in READINGS))
    is_remote: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.reading not in READINGS or self.applies not in APPLIES:
            raise ConfigError(
                f"--direct must be one of {', '.join(READINGS)} and --direct-applies one of {', '.join(APPLIES)}, "
                f"actually: {self.reading!r} and {self.applies!r}"
            )
        if self.tries < 1:
            raise ConfigError(f"--direct-tries must be at least 1, actually: {self.tries}")

    @property
    def settings(self) -> dict[str, Any]:
        """Who was asked, how often, and how the answers are read."""
        return {**self.player.settings, "reading": self.reading, "tries": self.tries, "applies": self.applies}

    def decide(self, sample: Sample) -> Verdict:
        """Decide about one sample."""
        return next(self.decide_all([sample], 1)).verdict

    def decide_all(self, samples: Sequence[Sample], workers: int) -> Iterator[Timed]:
        """Ask about all samples at a time."""
        asked = [place for place, sample in enumerate(samples) if sample.calls or self.applies == "all"]
        verdicts = [kept()] * len(samples)

        def ask() -> None:
            played = self.player.play([samples[place] for place in asked], range(self.tries), workers)
            for place, rollouts in zip(asked, played, strict=True):
                verdicts[place] = self._verdict(samples[place], rollouts)

        seconds = shared_time(ask, len(samples)) if asked else 0.0
        yield from (Timed(verdict, seconds) for verdict in verdicts)

    def _verdict(self, sample: Sample, rollouts: Rollouts) -> Verdict:
        right, scored = rollouts.right, rollouts.scored
        used: dict[str, float] = dict(rollouts.used)
        if scored < min_scored(self.tries):
            return undecided("unscored", f"{scored} of {self.tries} answers count: {rollouts.failures[0]}", **used)
        enough = {"any": 1, "all": scored, "above_chance": right_by_chance(scored, len(sample.options))}
        notes: dict[str, Any] = {"direct_right": right, "direct_rollouts": scored, "asked_directly": 1}
        notes |= {f"direct_{reading}": int(right >= least) for reading, least in enough.items()}
        if right >= enough[self.reading]:
            return dropped("answered_directly", f"{right} of {scored} answers without tools are right", notes, **used)
        return kept(notes, **used)


def min_scored(tries: int) -> int:
    """How many of the tries must count: three quarters.

    >>> min_scored(8)
    6
    """
    return math.ceil(0.75 * tries)


def right_by_chance(tries: int, options: int) -> int:
    """The smallest number of right answers that guessing reaches with P < .05; 1 for open questions.

    Args:
        tries: Answers.
        options: Of the question; 0 for an open one.

    >>> [right_by_chance(8, options) for options in (0, 2, 3, 4, 5, 6, 10)]
    [1, 7, 6, 5, 5, 4, 3]
    """
    if options < 2:
        return 1
    reached = 0.0
    for right in range(tries, -1, -1):
        reached += math.comb(tries, right) * (options - 1) ** (tries - right) / options**tries
        if reached >= _CHANCE:
            return right + 1
    return 1
