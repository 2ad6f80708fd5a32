"""The stage `pass_rate`: prompts that the policy to be trained solves sometimes, and not always.

The paper's sentence is that prompts stay whose pass rate lies strictly between 0 and 1, with 8 rollouts each. Rollouts
have tools. Reasons: `always_right`, `never_right`, with `--rate` `outside_rate`, and with `--drop-suspect`
`suspect_gold`: three quarters of the rollouts agree on one wrong answer, so that the right one is doubtful. Fewer than
three quarters of the rollouts that count leave a prompt undecided (`unscored`).

A task that succeeds in 5 % of tries never does so in 8 rollouts with probability .66, in 16 with .44: `--retry-never`
plays a second set, and the detail of each verdict states which rates are possible.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metis_agents.curate.records import Sample, Verdict, dropped, kept, undecided
from metis_agents.curate.rollouts import Player, Rollouts, who
from metis_agents.curate.stages.direct import min_scored
from metis_agents.curate.stages.stage import SampleStage, Timed, shared_time
from metis_gym.errors import ConfigError

__all__ = ["PassRateStage", "possible_rates"]


@dataclass(frozen=True)
class PassRateStage(SampleStage):
    """Drops prompts that teach the policy nothing.

    Attributes:
        player: The policy, with tools.
        rollouts: For each prompt.
        retry_never: Further ones where none was right.
        direct_rollouts: Rollouts without tools, to measure what tools are worth; 0 for none.
        min_rate: Smallest share of right rollouts that is kept, besides being above 0.
        max_rate: Largest, besides being below 1.
        drop_suspect: Drop prompts whose right answer is doubtful, instead of counting them only.
    """

    player: Player
    rollouts: int = 8
    retry_never: int = 0
    direct_rollouts: int = 0
    min_rate: float = 0.0
    max_rate: float = 1.0
    drop_suspect: bool = False

    name: ClassVar[str] = "pass_rate"
    about: ClassVar[str] = "the policy solves it sometimes, not always"
    batch: ClassVar[int] = 16
    counts: ClassVar[tuple[str, ...]] = ("suspect_gold",)
    is_remote: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.rollouts < 2 or min(self.retry_never, self.direct_rollouts) < 0:
            raise ConfigError(
                "expected --rollouts of at least 2, --retry-never and --direct-rollouts of at least 0, actually: "
                f"{self.rollouts}, {self.retry_never} and {self.direct_rollouts}"
            )
        if not 0 <= self.min_rate <= self.max_rate <= 1:
            raise ConfigError(f"--rate must be LOW..HIGH within 0..1, actually: {self.min_rate}..{self.max_rate}")

    @property
    def settings(self) -> dict[str, Any]:
        """Who plays, how often, and which rates stay."""
        names = ("rollouts", "retry_never", "direct_rollouts", "min_rate", "max_rate", "drop_suspect")
        return {**self.player.settings, **{name: getattr(self, name) for name in names}}

    def decide(self, sample: Sample) -> Verdict:
        """Decide about one prompt."""
        return next(self.decide_all([sample], 1)).verdict

    def decide_all(self, samples: Sequence[Sample], workers: int) -> Iterator[Timed]:
        """Play all prompts at a time."""
        verdicts: list[Verdict] = []

        def play() -> None:
            played = self.player.play(samples, range(self.rollouts), workers)
            never = [n for n, one in enumerate(played) if not one.right and one.scored >= min_scored(self.rollouts)]
            if self.retry_never and never:
                members = range(self.rollouts, self.rollouts + self.retry_never)
                again = self.player.play([samples[n] for n in never], members, workers)
                for number, more in zip(never, again, strict=True):
                    _add(played[number], more)
            direct: Sequence[Rollouts | None] = [None] * len(samples)
            if self.direct_rollouts:
                blind = Player(self.player.agent, (), self.player.dialect, self.player.grader, self.player.sandbox)
                direct = blind.play(samples, range(self.direct_rollouts), workers)
            verdicts.extend(map(self._verdict, played, direct))

        seconds = shared_time(play, len(samples))
        yield from (Timed(verdict, seconds) for verdict in verdicts)

    def _verdict(self, played: Rollouts, direct: Rollouts | None) -> Verdict:
        right, scored = played.right, played.scored
        used: dict[str, float] = dict(played.used)
        if scored < min_scored(self.rollouts):
            return undecided("unscored", f"{scored} of {self.rollouts} rollouts count: {played.failures[0]}", **used)
        notes = self._notes(played, direct)
        low, high = possible_rates(right, scored)
        detail = f"{right} of {scored} rollouts are right: rates from {low:.0%} to {high:.0%} are possible"
        if notes.get("suspect_gold"):
            detail += f"; {played.wrong.most_common(1)[0][1]} agree on {played.wrong.most_common(1)[0][0]!r:.120}"
            if self.drop_suspect:
                return dropped("suspect_gold", detail, notes, **used)
        if right in (0, scored):
            return dropped("never_right" if right == 0 else "always_right", detail, notes, **used)
        if not self.min_rate <= right / scored <= self.max_rate:
            return dropped("outside_rate", detail, notes, **used)
        return kept(notes, **used)

    def _notes(self, played: Rollouts, direct: Rollouts | None) -> dict[str, Any]:
        rate = played.right / played.scored
        notes: dict[str, Any] = {"right": played.right, "rollouts": played.scored, "policy": who(self.player.agent)}
        notes["tool_calls_mean"] = played.tool_calls / played.scored
        if direct is not None and direct.scored:
            notes |= {"direct_right": direct.right, "direct_rollouts": direct.scored}
            notes["tool_benefit"] = rate - direct.right / direct.scored
        most = max(played.wrong.values(), default=0)
        return notes | ({"suspect_gold": 1} if most >= min_scored(played.scored) else {})


def _add(rollouts: Rollouts, more: Rollouts) -> None:
    rollouts.right += more.right
    rollouts.scored += more.scored
    rollouts.tool_calls += more.tool_calls
    rollouts.wrong += more.wrong
    rollouts.failures += more.failures
    rollouts.used += more.used


def possible_rates(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson's), of which so many of some tries were right.

    >>> [round(rate, 2) for rate in possible_rates(0, 8)]
    [0.0, 0.32]
    """
    z = 1.959964
    share, spread = right / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z * (share * (1 - share) / count + spread / (4 * count)) ** 0.5 / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
