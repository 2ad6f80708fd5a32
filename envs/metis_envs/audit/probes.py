"""The probes: what might give a task away without looking, each held against a ceiling.

A probe takes the samples of one part and returns what it came to, or why it could not be made. The ceilings are
constants here; docs/tasks.md explains them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np

from metis_envs.audit.guessing import (
    Guesser,
    best_share,
    by_letters,
    by_numbers,
    by_patches,
    by_pixels,
    by_tree,
    rankers,
)
from metis_envs.audit.results import NotProbed, ProbeResult, Share, mean
from metis_envs.audit.samples import Sample
from metis_gym.records import Necessity

__all__ = ["OVERALL", "PROBES", "Probe", "probe_part"]

WORDS_ABOVE = 0.05
WORDS_OVERALL = 0.60
TOOL_ABOVE = 0.10
IMAGES = 0.60
ANSWER_ABOVE = 0.05
LEGIBLE_IN_VIEW, LEGIBLE_IN_CROP = 0.95, 0.90
OVERALL = "all"
"""The part that is the whole of a taskset with several families."""

_MIN_OF_EACH = 20
"""Tasks of a label, or of a kind of question, below which nothing is probed."""
_MIN_READ = 6
_IS_PRINT = 0.75
"""Share of plain drawings that must be read for a detail to be called print."""
_NECESSITIES = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED)

Probe: TypeAlias = "Callable[[str, Sequence[Sample], int], list[ProbeResult | NotProbed]]"
_Outcome: TypeAlias = "list[ProbeResult | NotProbed]"


def _words_to_necessity(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:
    """Question and options → necessity."""

    def guessers(chosen: Sequence[Sample], labels: Sequence[str]) -> dict[str, Guesser]:
        return _word_guessers(chosen, labels)

    limit = WORDS_OVERALL if part == OVERALL else 0.5 + WORDS_ABOVE
    return _by_necessity(part, "words → necessity", samples, guessers, limit, seed)


def _word_guessers(samples: Sequence[Sample], labels: Sequence[str]) -> dict[str, Guesser]:
    texts = ["\n".join((sample.question, *sample.options)) for sample in samples]
    return {
        "letters": by_letters(texts, labels),
        "numbers": by_numbers(np.stack([sample.numbers for sample in samples]), labels),
    }


def _statistics_to_necessity(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:
    """Whole-image statistics → necessity."""

    def guessers(chosen: Sequence[Sample], labels: Sequence[str]) -> dict[str, Guesser]:
        rows = np.stack([sample.statistics for sample in chosen if sample.statistics is not None])
        return {f"depth {depth}": by_tree(rows, labels, depth=depth) for depth in (1, 3, 5)}

    drawn = [sample for sample in samples if sample.statistics is not None]
    return _by_necessity(part, "image statistics → necessity", drawn, guessers, IMAGES, seed)


def _thumbnail_to_necessity(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:
    """A 16-px thumbnail → necessity."""

    def guessers(chosen: Sequence[Sample], labels: Sequence[str]) -> dict[str, Guesser]:
        small = np.stack([sample.thumbnail for sample in chosen if sample.thumbnail is not None])
        return {
            "patches": by_patches(small, labels, seed=seed),
            "pixels": by_pixels(small, labels),
        }

    drawn = [sample for sample in samples if sample.thumbnail is not None]
    return _by_necessity(part, "thumbnail → necessity", drawn, guessers, IMAGES, seed)


def _by_necessity(
    part: str,
    probe: str,
    samples: Sequence[Sample],
    guessers: Callable[[Sequence[Sample], Sequence[str]], dict[str, Guesser]],
    limit: float,
    seed: int,
) -> _Outcome:
    """How well two kinds of necessity are told apart, as many tasks of each; of the pair that is told apart best."""
    if not samples:
        return [NotProbed(part=part, probe=probe, reason="its tasks have no image, or none was drawn")]
    counts = Counter(sample.necessity for sample in samples)
    pairs = [pair for pair in combinations(_NECESSITIES, 2) if min(counts[kind] for kind in pair) >= _MIN_OF_EACH]
    if not pairs:
        found = ", ".join(f"{counts[kind]} {kind.value}" for kind in Necessity if counts[kind])
        reason = f"there are not {_MIN_OF_EACH} tasks each of two kinds of necessity, but {found}"
        return [NotProbed(part=part, probe=probe, reason=reason)]
    found_shares = {}
    for pair in pairs:
        chosen = _balanced(samples, pair, seed)
        labels = [sample.necessity.value for sample in chosen]
        found_shares[pair] = best_share(
            guessers(chosen, labels), len(chosen), seed=seed, labels=labels, tried=len(pairs)
        )
    worst = max(found_shares, key=lambda pair: found_shares[pair].value)
    note = "" if len(pairs) == 1 else f"{worst[0].value} or {worst[1].value}"
    return [ProbeResult(part=part, probe=probe, share=found_shares[worst], limit=limit, note=note)]


def _balanced(samples: Sequence[Sample], pair: Sequence[Necessity], seed: int) -> list[Sample]:
    """As many tasks of each of two kinds of necessity, by lot."""
    rng = np.random.default_rng([seed, 1])
    kinds = [[sample for sample in samples if sample.necessity is kind] for kind in pair]
    count = min(map(len, kinds))
    return [kind[int(place)] for kind in kinds for place in rng.permutation(len(kind))[:count]]


def _words_to_tool(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:
    """Question and options → the tools of the best plan, among tasks that need one."""
    probe = "words → tool"
    known = [sample for sample in samples if sample.necessity is Necessity.REQUIRED and sample.tools]
    counts = Counter(sample.tools for sample in known)
    kept = [sample for sample in known if counts[sample.tools] >= _MIN_OF_EACH]
    labels = ["+".join(sample.tools) for sample in kept]
    if len(set(labels)) < 2:
        reason = "no task needs a tool" if not known else "all tasks that need tools need the same ones"
        if len(counts) > 1:
            reason = f"there are not {_MIN_OF_EACH} tasks each that need different tools"
        return [NotProbed(part=part, probe=probe, reason=reason)]
    majority = max(Counter(labels).values()) / len(labels)
    share = best_share(_word_guessers(kept, labels), len(kept), seed=seed, labels=labels)
    return [ProbeResult(part=part, probe=probe, share=share, limit=majority + TOOL_ABOVE)]


def _text_only(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:
    """Question and candidates → answer."""
    outcomes: _Outcome = []
    for kind, is_choice in (("choice", True), ("open", False)):
        probe = f"words → answer, {kind}"
        chosen = [sample for sample in samples if sample.choosing is not None and bool(sample.options) is is_choice]
        if len(chosen) < _MIN_OF_EACH:
            reason = _too_few(samples, kind, is_choice, len(chosen))
            outcomes.append(NotProbed(part=part, probe=probe, reason=reason))
            continue
        features = [sample.choosing for sample in chosen if sample.choosing is not None]
        texts = [(sample.question, sample.candidates) for sample in chosen]
        guessers = rankers(features, [sample.gold for sample in chosen], texts)
        outcomes.append(_above_chance(part, probe, guessers, chosen, seed))
    return outcomes


def _too_few(samples: Sequence[Sample], kind: str, is_choice: bool, count: int) -> str:
    there = sum(bool(sample.options) is is_choice for sample in samples)
    if there and not count:
        return "which answers are possible, or which is right, is not known"
    return f"there are {count} {kind} questions, and {_MIN_OF_EACH} are needed"


def _above_chance(
    part: str, probe: str, guessers: Mapping[str, Guesser], samples: Sequence[Sample], seed: int
) -> ProbeResult:
    chance = mean(1 / len(sample.candidates) for sample in samples)
    share = best_share(guessers, len(samples), seed=seed)
    return ProbeResult(part=part, probe=probe, share=share, limit=chance + ANSWER_ABOVE, note=f"chance {chance:.3f}")


def _blind_with_tools(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:
    """Text search for the question and each candidate → answer."""
    probe = "blind with tools"
    chosen = [sample for sample in samples if sample.found is not None]
    if len(chosen) < _MIN_OF_EACH:
        offered = any(sample.found is not None for sample in samples)
        reason = (
            f"only {len(chosen)} tasks could be searched" if offered else "its tasks offer no text search, or no image"
        )
        return [NotProbed(part=part, probe=probe, reason=reason)]
    features = [sample.found for sample in chosen if sample.found is not None]
    guessers = rankers(features, [sample.gold for sample in chosen])
    return [_above_chance(part, probe, guessers, chosen, seed)]


def _gold_position(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:
    """Where the gold stands: the most frequent place, and the other split's place at the same seed."""
    chosen = [sample for sample in samples if sample.options and sample.gold >= 0]
    if len(chosen) < _MIN_OF_EACH:
        reason = f"there are {len(chosen)} choice questions, and {_MIN_OF_EACH} are needed"
        return [NotProbed(part=part, probe="gold position", reason=reason)]
    chance = mean(1 / len(sample.options) for sample in chosen)
    places = np.array([sample.gold for sample in chosen])

    def most_frequent(learnt: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        return np.asarray(places[held_out] == np.bincount(places[learnt]).argmax(), dtype=np.float64)

    share = best_share({"": most_frequent}, len(chosen), seed=seed)
    limit, note = chance + ANSWER_ABOVE, f"chance {chance:.3f}"
    outcomes: _Outcome = [ProbeResult(part=part, probe="gold position", share=share, limit=limit, note=note)]
    paired = [sample for sample in chosen if sample.gold_elsewhere >= 0]
    if len(paired) >= _MIN_OF_EACH:
        agreed = Share.of(mean(float(sample.gold == sample.gold_elsewhere) for sample in paired), len(paired))
        probe = "gold position in other split"
        outcomes.append(ProbeResult(part=part, probe=probe, share=agreed, limit=limit, note=note))
    return outcomes


def _gold_between_families(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:  # noqa: ARG001
    """Where the gold stands in another family's task of the same seed."""
    probe = "gold position in other family"
    by_number: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        if sample.options and sample.gold_elsewhere >= 0:
            by_number.setdefault((sample.number, len(sample.options)), []).append(sample)
    pairs = [(same[0], same[1]) for same in by_number.values() if len(same) > 1]
    if len(pairs) < _MIN_OF_EACH:
        return [NotProbed(part=part, probe=probe, reason=f"only {len(pairs)} tasks of the same seed can be compared")]
    chance = mean(1 / len(one.options) for one, _ in pairs)
    agreed = Share.of(mean(float(one.gold == other.gold) for one, other in pairs), len(pairs))
    note = f"chance {chance:.3f}"
    return [ProbeResult(part=part, probe=probe, share=agreed, limit=chance + ANSWER_ABOVE, note=note)]


def _views(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:  # noqa: ARG001
    """The views of all answers: identical inside blocks, different between them."""
    looked_at = [sample.views_hold for sample in samples if sample.views_hold is not None]
    if not looked_at:
        reason = "it says nothing of the other answers that a view leaves (`variants`), or nothing was drawn"
        return [NotProbed(part=part, probe="views of all answers", reason=reason)]
    wrong = [text for text in looked_at if text]
    share = Share.exact(1 - len(wrong) / len(looked_at), len(looked_at))
    note = wrong[0] if wrong else ""
    return [ProbeResult(part=part, probe="views of all answers", share=share, limit=1.0, is_floor=True, note=note)]


def _print(part: str, samples: Sequence[Sample], seed: int) -> _Outcome:  # noqa: ARG001
    """What tesseract reads in view and crop."""
    read = [sample for sample in samples if sample.reading is not None]
    if not read:
        return [NotProbed(part=part, probe="print", reason="tesseract is not installed, or no task could be read")]
    outcomes: _Outcome = []
    legible = [sample for sample in read if sample.necessity is Necessity.NONE]
    hidden = [sample for sample in read if sample.necessity is Necessity.REQUIRED]
    for group, checks in (
        (legible, (("print in the view, none", "view", LEGIBLE_IN_VIEW),)),
        (
            hidden,
            (("print in the view, required", "view", None), ("print in the crop, required", "crop", LEGIBLE_IN_CROP)),
        ),
    ):
        readings = [sample.reading for sample in group if sample.reading is not None and sample.reading.candidates]
        plain = mean(reading.plain for reading in readings)
        for probe, where, floor in checks:
            if len(readings) < _MIN_READ or plain < _IS_PRINT:
                reason = (
                    f"{len(readings)} of {len(group)} tasks draw the answers differently, and {_MIN_READ} are needed"
                    if len(readings) < _MIN_READ
                    else f"its detail is no print: drawn plainly, {plain:.2f} of it is read"
                )
                outcomes.append(NotProbed(part=part, probe=probe, reason=reason))
                continue
            share = Share.of(mean(getattr(reading, where) for reading in readings), len(readings))
            chance = mean(1 / reading.candidates for reading in readings)
            limit = chance if floor is None else floor * plain
            note = f"chance {chance:.2f}" if floor is None else f"plain print {plain:.2f}"
            outcomes.append(
                ProbeResult(part=part, probe=probe, share=share, limit=limit, is_floor=floor is not None, note=note)
            )
    return outcomes


PROBES: Mapping[str, Probe] = {
    "necessity": _words_to_necessity,
    "tool": _words_to_tool,
    "statistics": _statistics_to_necessity,
    "thumbnail": _thumbnail_to_necessity,
    "answer": _text_only,
    "blind": _blind_with_tools,
    "position": _gold_position,
    "views": _views,
    "print": _print,
}
"""Name for `--probes` → the probe."""
OVERALL_PROBES: Mapping[str, Probe] = {
    "necessity": _words_to_necessity,
    "tool": _words_to_tool,
    "position": _gold_between_families,
}
"""Those that are made on a taskset of several families as a whole."""


def probe_part(part: str, samples: Sequence[Sample], probes: Iterable[str], seed: int) -> _Outcome:
    """Make some probes on the samples of a part; on those of all parts if it is "all"."""
    table = OVERALL_PROBES if part == OVERALL else PROBES
    return [outcome for name in probes if name in table for outcome in table[name](part, samples, seed)]
