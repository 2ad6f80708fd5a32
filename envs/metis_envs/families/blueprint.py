"""What a family plans: a task before its answer is drawn.

A *blueprint* holds everything that is fixed before the answer is drawn: the question, the options, all answers that
could be right, and a way to draw the image for each of them. The answer is drawn last, uniformly and from a stream of
its own. So nothing but the deciding detail can depend on it.

Answers lie in *blocks*. The views of all answers of a block are equal to the bit, so that the view tells the block and
nothing more: one answer in each block for a task that needs no tool, all answers in one for a task that needs one.

A chain of calls has *keys* besides: what an earlier call shows (a name in small print, the title of an image) and a
later one is asked for. Each answer goes with each key, so that the key alone tells nothing about the answer, and pages
without the key tell nothing either. A *state* is an answer with a key; without keys, states are answers.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.concealment import conceal_among
from metis_gym.records import AnswerKind, Box, ImageArray, Necessity, Passage, Plan, TitledImage, ToolCall

__all__ = ["Blueprint", "Brief", "Overlay", "draw_blocks"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Brief:
    """What a family is asked to plan.

    Attributes:
        rng: Everything random in the plan comes from here.
        canvas: The size of the scene.
        split: "train" or "test".
        necessity: Whether the task is to need a tool.
        choices: Number of options; 0 for an open question.
        words: Chooses the wording of the question: a stream of its own, so that words tell nothing about the scene.
    """

    rng: np.random.Generator
    canvas: Canvas
    split: str
    necessity: Necessity
    choices: int
    words: np.random.Generator

    @property
    def hides(self) -> bool:
        """Whether the deciding detail is hidden from the view, wholly or in part."""
        return self.necessity in (Necessity.REQUIRED, Necessity.PARTIAL)


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """What a task brings for the search tools to find; see `metis_gym.search`.

    Attributes:
        passages: For text search.
        titled_images: For image search.
    """

    passages: tuple[Passage, ...] = ()
    titled_images: tuple[TitledImage, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Blueprint:
    """A task before its answer is drawn.

    Attributes:
        question: The question; the same for every answer.
        answers: All answers that could be right, equally likely. For a choice these are the options, in their order.
        paint: Paints the scene without the deciding detail, shape (height, width, 3), uint8.
        draw_detail: Draws the detail that an answer, given by its index, has; plainly, in place, inside the region.
        region: All that `draw_detail` may change, in source pixels, on the cells.
        parts: The boxes inside the region that it may change, on the cells, where these are several small ones that
            do not overlap: they are concealed one by one. By default the region.
        focus: The part of it that has to be looked at; None for all of it.
        notes: What the image is made of.
        explanation: The shortest solution in words.
        kind: How an open answer is compared.
        overlay: What the task brings for the search tools, given the index of its state and its image.
        searches: The calls of the shortest solution; without any, it is a look at the focus.
        keys: How many keys the answers go with. State `key * len(answers) + answer` is what `draw_detail` and `overlay`
            are given; what is drawn of a state that is concealed depends on its key alone.
        chain: The calls of the shortest solution, given the key that its later calls have in their arguments.
        query: What to search for, where that does not depend on the key; also where no search is needed.
        tool_benefit: Measured gain of tools, for tasks of unknown necessity.
        plans: The ways to play besides an answer at once; by default the solution, after which the answer is known.
        decoys: How many further drawings, with the indices after those of the answers, enter the smudge that the view
            shows. For details with few answers.
        blocks: The block of each answer; the family fills it in.
        factor: Source pixels per view pixel; the family fills it in.
    """

    question: str
    answers: tuple[str, ...]
    paint: Callable[[], ImageArray]
    draw_detail: Callable[[ImageArray, int], None]
    region: Box
    parts: tuple[Box, ...] = ()
    notes: str = ""
    explanation: str = ""
    focus: Box | None = None
    kind: AnswerKind = AnswerKind.TEXT
    overlay: Callable[[int, ImageArray], Overlay] = lambda _index, _source: Overlay()
    searches: tuple[ToolCall, ...] = ()
    keys: int = 1
    chain: Callable[[int], tuple[ToolCall, ...]] | None = None
    query: str = ""
    tool_benefit: float | None = None
    plans: tuple[Plan, ...] = ()
    decoys: int = 0
    blocks: tuple[int, ...] = ()
    factor: int = 1

    def answer_of(self, state: int) -> int:
        """The answer, by index, of a state."""
        return state % len(self.answers)

    def block(self, state: int) -> tuple[int, ...]:
        """The states whose view is that of this one; itself included."""
        answer, count = self.answer_of(state), len(self.answers)
        alike = [other for other in range(count) if self.blocks and self.blocks[other] == self.blocks[answer]]
        if len(alike) < 2:
            return (state,)
        return tuple(key * count + other for key in range(self.keys) for other in alike)

    def left(self, state: int) -> tuple[int, ...]:
        """The answers, by index, that the view of a state leaves, its own included."""
        return tuple(sorted({self.answer_of(other) for other in self.block(state)}))

    def seen(self, state: int) -> tuple[int, ...]:
        """The states of its block that are drawn differently: with keys, one for each key."""
        count = len(self.answers)
        block = self.block(state)
        return block if self.keys == 1 or len(block) == 1 else tuple(range(state % count, count * self.keys, count))

    def calls(self, state: int) -> tuple[ToolCall, ...]:
        """The calls of the shortest solution in a state; empty for a look at the focus."""
        return self.searches if self.chain is None else self.chain(state // len(self.answers))

    def render(self, index: int) -> ImageArray:
        """The source image for a state, shape (height, width, 3); the caller's own."""
        return self._with_detail(self._scene.copy(), index)

    def render_alone(self, index: int) -> ImageArray:
        """As `render`, where no other state will be asked for: the scene is not kept."""
        return self._with_detail(self.paint(), index)

    def _with_detail(self, scene: ImageArray, index: int) -> ImageArray:
        block = self.block(index)
        if len(block) == 1:
            self.draw_detail(scene, index)
            return scene
        parts = self.parts or (self.region,)
        conceal_among(scene, parts, self.draw_detail, index, (*self.seen(index), *self._decoys), self.factor)
        return scene

    @property
    def _decoys(self) -> range:
        return range(len(self.answers), len(self.answers) + self.decoys)

    @functools.cached_property
    def _scene(self) -> ImageArray:
        return self.paint()


def draw_blocks(rng: np.random.Generator, necessity: Necessity, answers: int) -> tuple[int, ...]:
    """The block of each answer. A partial task has two or more blocks of two or more answers.

    >>> draw_blocks(np.random.default_rng(0), Necessity.REQUIRED, 3)
    (0, 0, 0)
    >>> sorted(draw_blocks(np.random.default_rng(0), Necessity.PARTIAL, 4))
    [0, 0, 1, 1]
    """
    if necessity is Necessity.REQUIRED:
        return (0,) * answers
    if necessity is not Necessity.PARTIAL:
        return tuple(range(answers))
    count = int(rng.integers(2, answers // 2 + 1))
    first = [block for block in range(count) for _ in range(2)]
    rest = [int(block) for block in rng.integers(count, size=answers - len(first))]
    order = rng.permutation(answers)
    blocks = [*first, *rest]
    return tuple(blocks[place] for place in order)
