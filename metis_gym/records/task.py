"""A task: a question, its answer, and what is known about the worth of tools."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from metis_gym.records.values import Box, ImageArray, Passage, TitledImage, ToolCall

__all__ = ["AnswerKind", "GoldAnswer", "Necessity", "Plan", "PricedPlan", "Task", "TaskImage"]


class Necessity(StrEnum):
    """Whether a task needs a tool, known by construction for built-in tasks."""

    NONE = "none"
    """The deciding detail is comfortably legible in the view: any call is redundant."""
    PARTIAL = "partial"
    """The view rules out some of the possible answers and leaves several: a tool helps, by a known amount."""
    REQUIRED = "required"
    """The view is the same, to the bit, for every possible answer: without a tool one can only guess."""
    UNKNOWN = "unknown"
    """Nothing is known (benchmarks, users' own data)."""


class AnswerKind(StrEnum):
    """How a gold answer is to be compared."""

    CHOICE = "choice"
    """The gold value is the letter of one of the task's options."""
    NUMBER = "number"
    """The gold value is a number, perhaps with a unit or a percent sign."""
    TEXT = "text"
    """The gold value is a word or phrase."""
    LETTERS = "letters"
    """The gold value is a set of labels that stand in the image or the question, such as `A, C`. All must be named."""
    AUTO = "auto"
    """Nothing is known about the gold value: the whole cascade is tried."""
    JUDGED = "judged"
    """Only an LLM judge can compare answers; without one, the cascade is tried as for AUTO."""


@dataclass(frozen=True, kw_only=True)
class GoldAnswer:
    """The right answer and how to compare with it.

    Attributes:
        value: The right answer, or the letter of the right option.
        kind: How it is compared.
        tolerance: Largest relative difference of numbers that still counts as right.
        candidates: Further answers that are as right as `value`.
        decimals: Numbers are compared after rounding both to so many places; None for no rounding.
        absolute: Largest absolute difference of numbers that still counts as right.
        rubric: What a judge is told about this answer; empty for nothing.
    """

    value: str
    kind: AnswerKind = AnswerKind.AUTO
    tolerance: float = 1e-6
    candidates: tuple[str, ...] = ()
    decimals: int | None = None
    absolute: float = 0.0
    rubric: str = ""


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
class Plan:
    """A way to play a task, and how often the best reply after it is right.

    Attributes:
        calls: Calls by the tool's name; empty for an answer without a tool.
        accuracy: Probability that the best reply, given all that these calls show, is right.
    """

    calls: Mapping[str, int]
    accuracy: float

    @property
    def length(self) -> int:
        """How many calls it has."""
        return sum(self.calls.values())


@dataclass(frozen=True, kw_only=True)
class PricedPlan:
    """A plan as an environment offers it: at its prices, with what its tools are worth there.

    Attributes:
        calls: How many calls it has.
        cost: The sum of their prices.
        accuracy: Probability that the best reply after it is right.
    """

    calls: int
    cost: float
    accuracy: float


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
        blind_accuracy: The best accuracy that is possible without a tool, given all that is shown; None if unknown.
        plans: The ways to play that are worth comparing, the empty one included; empty if unknown. The best policy for
            any price of a call is to follow the plan with the largest accuracy minus price.
        tool_benefit: Measured gain of tools on this task, for designs that use it.
        query: What a policy that writes no words searches text for; empty for the question.
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
    blind_accuracy: float | None = None
    plans: tuple[Plan, ...] = ()
    tool_benefit: float | None = None
    query: str = ""
    passages: tuple[Passage, ...] = ()
    titled_images: tuple[TitledImage, ...] = ()
    search_key: str = ""

    def __repr__(self) -> str:
        sizes = ", ".join(f"{image.source.shape[1]} x {image.source.shape[0]}" for image in self.images)
        return f"Task({self.task_id!r}, {self.necessity.value}, {self.question!r:.80}, images: {sizes or 'none'})"

    def _repr_html_(self) -> str:
        """The task for a notebook: what is shown, the deciding detail, and what is known."""
        from metis_gym.viewer.notebook import task_repr

        return task_repr(self)

    @property
    def best_plan(self) -> Plan | None:
        """The most accurate plan, and of these the shortest; None if no plan is known."""
        return min(self.plans, key=lambda plan: (-plan.accuracy, plan.length)) if self.plans else None

    @property
    def min_calls(self) -> int | None:
        """Calls of the best plan; None if unknown."""
        return None if self.best_plan is None else self.best_plan.length

    @property
    def tool_accuracy(self) -> float | None:
        """Accuracy of the best plan; None if unknown."""
        return None if self.best_plan is None else self.best_plan.accuracy
