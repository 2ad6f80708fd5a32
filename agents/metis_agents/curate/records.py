"""What is curated: samples read from a file's rows, and the verdicts on them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metis_gym.records import ToolCall
from metis_gym.turns import encodable

__all__ = ["ModelTurn", "Observed", "RowError", "Sample", "SampleImage", "Verdict", "dropped", "kept", "undecided"]

MAX_DETAIL = 2_000
"""Longest detail of a verdict, characters."""


class RowError(Exception):
    """A row that is no sample, with the reason for which it is dropped."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class SampleImage:
    """An image as it stood in the source, not decoded.

    Attributes:
        data: The image file's content; empty where it could not be read.
        problem: The reason for which it could not be read; empty if it could.
        detail: What exactly was wrong.
        name: Its path or name in the source, which the source's code may use; empty if there is none.
    """

    data: bytes
    problem: str = ""
    detail: str = ""
    name: str = ""


@dataclass(frozen=True)
class Observed:
    """What the environment answered to a turn, as recorded: text with one `<image>` for each image."""

    text: str
    images: tuple[SampleImage, ...] = ()


@dataclass(frozen=True)
class ModelTurn:
    """One model turn of a trajectory.

    Attributes:
        text: What the model wrote.
        calls: The tool calls in it, by the source's dialect.
        answer: The final answer in it; None if there is none.
        observed: What followed; None after the last turn.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    answer: str | None = None
    observed: Observed | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A prompt, or with `turns` a trajectory.

    Attributes:
        source: The file or folder, as it was named.
        row: Which row of it, from 0 on.
        question: The question, without the options and without marks.
        gold: The right answer; empty if the source does not say.
        candidates: Further right answers.
        options: Texts of the options; empty for an open question.
        images: The question's images, as the model sees them.
        ability: What the source says about it.
        system: The system turn; empty if there is none.
        prompt: The first user turn as recorded, with its marks; empty if there is none.
        dialect: The spec of the dialect that the turns are written in; empty for prompts.
        turns: The model's turns.
        rebuild: The id of the built-in task, whose full-resolution images tools worked on; empty for other sources.
        raw: The row as it was read, for formats that are written back as they were.
    """

    source: str
    row: int
    question: str
    gold: str = ""
    candidates: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    images: tuple[SampleImage, ...] = ()
    ability: str = ""
    system: str = ""
    prompt: str = ""
    dialect: str = ""
    turns: tuple[ModelTurn, ...] = ()
    rebuild: str = ""
    raw: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits of what is in it: the same in any file, at any place."""
        digest = hashlib.sha256()
        for part in _parts(self):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()[:16]

    @property
    def answer(self) -> str:
        """The trajectory's final answer; empty if there is none."""
        answers = [turn.answer for turn in self.turns if turn.answer is not None]
        return answers[-1] if answers else ""

    @property
    def calls(self) -> int:
        """How many tool calls its turns make."""
        return sum(len(turn.calls) for turn in self.turns)

    @property
    def all_images(self) -> tuple[SampleImage, ...]:
        """The question's images, then those of the observations, in order."""
        seen = [turn.observed.images for turn in self.turns if turn.observed is not None]
        return self.images + tuple(image for images in seen for image in images)


def _parts(sample: Sample) -> Iterable[bytes]:
    yield from (image.data or image.name.encode() for image in sample.all_images)
    texts: Sequence[str] = [sample.question, sample.gold, *sample.options]
    for turn in sample.turns:
        texts = [*texts, turn.text, turn.observed.text if turn.observed else ""]
    yield from (text.encode("utf-8", "replace") for text in texts)


@dataclass(frozen=True)
class Verdict:
    """What a stage decided.

    Attributes:
        kept: True, False, or None where nothing could be decided: neither kept nor dropped, and tried again.
        reason: Why not, one of the stage's reasons; empty for what is kept.
        detail: What exactly, for people.
        notes: What was measured, for later stages, the output and the report; values that JSON can hold.
        used: What it took, by name ("sandbox_runs", "requests", "tokens", …).
    """

    kept: bool | None
    reason: str = ""
    detail: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)


def kept(notes: Mapping[str, Any] | None = None, **used: float) -> Verdict:
    """The sample stays."""
    return Verdict(True, notes=notes or {}, used=used)


def dropped(reason: str, detail: str = "", notes: Mapping[str, Any] | None = None, **used: float) -> Verdict:
    """The sample goes, for this reason."""
    return Verdict(False, reason, encodable(detail[:MAX_DETAIL]), notes or {}, used)


def undecided(reason: str, detail: str = "", **used: float) -> Verdict:
    """Something around the sample failed: it is tried again at the next start."""
    return Verdict(None, reason, encodable(detail[:MAX_DETAIL]), {}, used)
