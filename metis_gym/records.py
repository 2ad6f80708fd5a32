"""The records that flow through everything, from the task to the outcome that a reward design sees.

All are frozen. An image is an array of shape (height, width, 3), uint8, RGB. Boxes are (left, top, right, bottom) in
pixels of the *source* image, right and bottom exclusive, as Pillow's `crop` takes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metis_gym.deprecation import former_names

__all__ = [
    "INVALID_CALLS",
    "AnswerKind",
    "Box",
    "Episode",
    "GoldAnswer",
    "ImageArray",
    "Message",
    "Necessity",
    "Outcome",
    "Passage",
    "Role",
    "Task",
    "TaskImage",
    "TitledImage",
    "ToolCall",
    "ToolResult",
    "ToolStatus",
    "Turn",
]

ImageArray: TypeAlias = NDArray[np.uint8]
Box: TypeAlias = tuple[int, int, int, int]

INVALID_CALLS = "invalid"
"""The name under which malformed calls and calls of unknown tools are counted and priced."""


class Necessity(StrEnum):
    """Does this task need a tool? Known by construction for built-in tasks."""

    NONE = "none"
    """The deciding detail is comfortably legible in the view: any call is redundant."""
    REQUIRED = "required"
    """The view is the same, to the bit, for every possible answer: without a tool one can only guess."""
    UNKNOWN = "unknown"
    """Nothing is known (benchmarks, users' own data)."""


class Role(StrEnum):
    """Who speaks in a conversation."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class AnswerKind(StrEnum):
    """How a gold answer is to be compared."""

    CHOICE = "choice"
    """The gold value is the letter of one of the task's options."""
    NUMBER = "number"
    """The gold value is a number, perhaps with a unit or a percent sign."""
    TEXT = "text"
    """The gold value is a word or phrase."""
    AUTO = "auto"
    """Nothing is known about the gold value: the whole cascade is tried."""


class ToolStatus(StrEnum):
    """How a tool call ended, seen from the model."""

    OK = "ok"
    """The tool ran."""
    ERROR = "error"
    """The tool ran and failed, by the call's own doing (an exception in the model's code)."""
    INVALID = "invalid"
    """The call could not be run: malformed JSON, an unknown tool, wrong arguments."""
    REFUSED = "refused"
    """The call was well formed, but past a limit (calls per turn, tool turns)."""


@dataclass(frozen=True, kw_only=True)
class GoldAnswer:
    """The right answer and how to compare with it.

    Attributes:
        value: The right answer, or the letter of the right option.
        kind: How it is compared.
        tolerance: Largest relative difference of numbers that still counts as right.
        candidates: Further answers that are as right as `value`.
    """

    value: str
    kind: AnswerKind = AnswerKind.AUTO
    tolerance: float = 1e-6
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskImage:
    """One image of a task.

    Attributes:
        source: Full resolution: what tools work on.
        view: What the model is shown: for built-in tasks the source, box-filtered down by an integer factor.
    """

    source: ImageArray
    view: ImageArray


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One tool call as the model asked for it.

    Attributes:
        name: The tool's name; empty when it could not be read.
        arguments: The arguments, as parsed; not yet validated.
        problem: Why the call could not be read, for the model; empty when it could.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class ToolResult:
    """What came back from one tool call.

    Attributes:
        name: The tool's name.
        status: How the call ended.
        output: What the tool has to say: printed output, search results, or what was wrong with the call.
        errors: The error stream: a traceback, a limit that was hit.
        images: Returned images, already fitted to the limits.
        captions: One title for each image, or nothing.
        seconds: Wall-clock time. Never part of an observation or an info, so that replays are identical.
    """

    name: str
    status: ToolStatus
    output: str = ""
    errors: str = ""
    images: tuple[ImageArray, ...] = ()
    captions: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Message:
    """One turn of the conversation. `text` holds one `<image>` for each image, where it stands."""

    role: Role
    text: str
    images: tuple[ImageArray, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A piece of text that text search can find.

    Attributes:
        title: Title of its page.
        text: The text.
        link: Address of its page; made up (`https://….example/…`) for generated text.
    """

    title: str
    text: str
    link: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class TitledImage:
    """An image that image search can find.

    Attributes:
        title: Title of the page it stands on.
        image: The image.
        link: Address of that page.
    """

    title: str
    image: ImageArray
    link: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One question about images, with everything that is known about it.

    Attributes:
        task_id: Pins the task: the same id is the same task, to the byte, under the versions that it names.
        family: The family or benchmark that it belongs to.
        question: The question, without the options.
        images: The images, in order: `image_1`, `image_2`, ….
        gold: The right answer.
        options: Texts of the options A, B, …; empty for an open question.
        necessity: Does the task need a tool?
        ability: "perception", "search" or "maths", as the paper's training mixture counts them.
        solution: The tool calls of the shortest solution; empty when the view suffices.
        explanation: The shortest solution in words, for people.
        region: The deciding detail, in source pixels of the first image.
        alternatives: All answers that could have been right, given everything but the deciding detail. A guesser draws
            from these.
        notes: What a reader of the image should be told, such as "mosaic of 6 photographs".
        tool_benefit: Measured gain of tools on this task, for designs that use it.
        passages: What text search finds for this task besides its corpus: facts drawn afresh, so that none can be
            learned by heart.
        titled_images: What image search finds for this task besides its index.
        search_key: Key of this task in a prepared image-search cache.
    """

    task_id: str
    family: str
    question: str
    images: tuple[TaskImage, ...]
    gold: GoldAnswer
    options: tuple[str, ...] = ()
    necessity: Necessity = Necessity.UNKNOWN
    ability: str = ""
    solution: tuple[ToolCall, ...] = ()
    explanation: str = ""
    region: Box | None = None
    alternatives: tuple[str, ...] = ()
    notes: str = ""
    tool_benefit: float | None = None
    passages: tuple[Passage, ...] = ()
    titled_images: tuple[TitledImage, ...] = ()
    search_key: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """One model turn and what came of it.

    Attributes:
        text: What the model wrote.
        calls: The tool calls found in it.
        results: One result for each call.
        answer: The final answer found in it, None when there was none.
        observation: The user turn that followed; None where the episode ended with this turn.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    answer: str | None = None
    observation: Message | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """An episode so far.

    Attributes:
        task: The task.
        system: The system turn.
        prompt: The first user turn.
        turns: The model's turns, each with the observation that followed.
    """

    task: Task
    system: str
    prompt: Message
    turns: tuple[Turn, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation with its roles, from the system turn on."""
        said = [Message(role=Role.SYSTEM, text=self.system), self.prompt] if self.system else [self.prompt]
        for turn in self.turns:
            said.append(Message(role=Role.ASSISTANT, text=turn.text))
            if turn.observation is not None:
                said.append(turn.observation)
        return tuple(said)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One finished episode: all that a reward design may look at. Correctness and tool cost are always apart.

    Attributes:
        task_id: The task.
        answer_score: Graded answer in [0, 1], after grader noise if there is any.
        format_score: 1 when the dialect's format was kept, else 0.
        tool_calls: T, the calls that the model asked for, malformed ones included.
        family: The task's family.
        tool_cost: Sum of the prices of these calls.
        tool_errors: How many of the calls did not end `ok`.
        turns: The model's turns.
        tokens: Length of what the model wrote. The environment knows no tokenizer and counts one for every four bytes
            of UTF-8; an agent that has one puts the true number here.
        truncated: The episode ended without an answer.
        scored: False when infrastructure failed: leave the episode out of every statistic and of the loss.
        necessity: Does the task need a tool?
        tool_calls_by: Calls by tool name; malformed ones under `"invalid"`.
        tool_benefit: Measured gain of tools on this task, None when it was not measured.
        true_answer_score: The graded answer before grader noise. Metrics use it, designs never do.
    """

    task_id: str
    answer_score: float
    format_score: float
    tool_calls: int
    family: str = ""
    tool_cost: float = 0.0
    tool_errors: int = 0
    turns: int = 1
    tokens: int = 0
    truncated: bool = False
    scored: bool = True
    necessity: Necessity = Necessity.UNKNOWN
    tool_calls_by: Mapping[str, int] = field(default_factory=dict)
    tool_benefit: float | None = None
    true_answer_score: float | None = None

    @property
    def correct(self) -> bool:
        """The papers' c: the answer got any credit."""
        return self.answer_score > 0

    @property
    def truly_correct(self) -> bool:
        """Correct by the true verdict, before grader noise."""
        score = self.answer_score if self.true_answer_score is None else self.true_answer_score
        return score > 0

    def to_info(self) -> dict[str, Any]:
        """As the flat `info` of an environment: floats, Python bools and text only, never None, NaN or int."""
        calls_by = {f"tool_calls_by/{name}": float(count) for name, count in self.tool_calls_by.items()}
        redundant = self.tool_calls if self.necessity is Necessity.NONE else 0
        return {
            "task_id": self.task_id,
            "family": self.family,
            "necessity": str(self.necessity.value),
            "correct": self.correct,
            "is_success": self.correct,
            "answer_score": float(self.answer_score),
            "true_answer_score": float(self.true_answer_score or 0.0),
            "true_answer_score_known": self.true_answer_score is not None,
            "format_score": float(self.format_score),
            "tool_calls": float(self.tool_calls),
            "tool_cost": float(self.tool_cost),
            "tool_errors": float(self.tool_errors),
            "redundant_tool_calls": float(redundant),
            "turns": float(self.turns),
            "tokens": float(self.tokens),
            "truncated": self.truncated,
            "scored": self.scored,
            "tool_benefit": float(self.tool_benefit or 0.0),
            "tool_benefit_known": self.tool_benefit is not None,
            **calls_by,
        }

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> "Outcome":
        """The outcome that an environment's last `info` describes; loses nothing.

        Raises:
            KeyError: The info is not of one of these environments.
        """
        prefix = "tool_calls_by/"
        calls_by = {key.removeprefix(prefix): int(n) for key, n in info.items() if key.startswith(prefix)}
        return cls(
            task_id=str(info["task_id"]),
            family=str(info["family"]),
            necessity=Necessity(str(info["necessity"])),
            answer_score=float(info["answer_score"]),
            true_answer_score=float(info["true_answer_score"]) if info["true_answer_score_known"] else None,
            format_score=float(info["format_score"]),
            tool_calls=int(info["tool_calls"]),
            tool_cost=float(info["tool_cost"]),
            tool_errors=int(info["tool_errors"]),
            turns=int(info["turns"]),
            tokens=int(info["tokens"]),
            truncated=bool(info["truncated"]),
            scored=bool(info["scored"]),
            tool_benefit=float(info["tool_benefit"]) if info["tool_benefit_known"] else None,
            tool_calls_by=calls_by,
        )


__getattr__ = former_names(__name__, {"PictureArray": "ImageArray", "TitledPicture": "TitledImage"})
