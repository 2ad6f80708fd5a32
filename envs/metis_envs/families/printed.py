"""Notices with small print: what is asked for stands on the notice, or on a page that the small print leads to.

| necessity | large print | small print | the shortest solution |
|---|---|---|---|
| none | what is asked for | the key of a page, and something else | read it |
| required, a look | something else | the key, and what is asked for | crop it |
| required, a chain | something else | the key, and something else | crop the key, then search for it |

The question is the same for all three, and so is the layout: the same rows with texts of the same kind, of which two
in small print are concealed in every task. Pages are the same in number and kind for each key.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from metis_envs.families.family import Blueprint, Brief, Family, Overlay, look_at
from metis_envs.families.plates import draw_notice_scene
from metis_envs.scenes.notices import Notice, NoticeStyle, conceal_row, row_box, write_row
from metis_gym.records import AnswerKind, Box, ImageArray, Passage, ToolCall

__all__ = ["Printed", "PrintedFamily"]

_HEAD, _LARGE, _FOOT, _FINE, _KEY, _SMALL = range(6)
_CHAIN_SHARE = 0.92
"""Of the required tasks; the others need one look."""


@dataclass(frozen=True, kw_only=True)
class Printed:
    """What a notice says, and what is asked about it. Keys and answers are as many, and are given by index.

    Attributes:
        question: The question.
        answers: The possible answers.
        styles: How the notice may look.
        head: The first row, in large print.
        large: What large print says that states the answer, for each.
        large_other: What it says in its place.
        foot: The last row in large print.
        fine: A row of small print that never changes.
        keys: What small print says that leads to a page, for each key.
        small: What small print says that states the answer, for each.
        small_other: Texts of the same kind, as many; the first is what it says in its place.
        pages: What is found if a key's page gives an answer; the other keys' pages give the others.
        query: What to search for, given a key.
        searched: In words, what is searched for.
        kind: How an open answer is compared.
    """

    question: str
    answers: tuple[str, ...]
    styles: Sequence[NoticeStyle]
    head: str
    large: tuple[str, ...]
    large_other: str
    foot: str
    fine: str
    keys: tuple[str, ...]
    small: tuple[str, ...]
    small_other: tuple[str, ...]
    pages: Callable[[int, int], tuple[Passage, ...]]
    query: Callable[[int], str]
    searched: str
    kind: AnswerKind = AnswerKind.TEXT


class PrintedFamily(Family):
    """A family of notices with small print."""

    ability: ClassVar[str] = "search"
    smallest_view: ClassVar[int] = 384
    aspects: ClassVar[tuple[float, ...]] = (1.0, 4 / 3, 3 / 2)
    tools: tuple[str, ...] = ("python", "text_search")

    @abstractmethod
    def draw_printed(self, brief: Brief) -> Printed:
        """Draw what the notice says; the answer, and the key, are left open."""

    def plan(self, brief: Brief) -> Blueprint:
        """Draw the notice. Whether its small print states the answer or leads to it, the view does not tell."""
        printed = self.draw_printed(brief)
        is_chain = brief.hides and bool(brief.rng.random() < _CHAIN_SHARE)
        shown = int(brief.rng.integers(len(printed.answers)))
        large = ((printed.head,), (*printed.large, printed.large_other), (printed.foot,))
        small = ((printed.fine,), printed.keys, (*printed.small, *printed.small_other))
        scene = draw_notice_scene(brief, printed.styles, large, small)
        layer = _Layer(printed, scene.notice, brief.hides, is_chain, shown)

        def overlay(state: int, _source: ImageArray) -> Overlay:
            key, answer = divmod(state, len(printed.answers))
            return Overlay(passages=printed.pages(key if is_chain else shown, answer))

        def chain(key: int) -> tuple[ToolCall, ...]:
            search = ToolCall(name="text_search", arguments={"query": printed.query(key)})
            return look_at(layer.box), search

        return Blueprint(
            question=printed.question,
            answers=printed.answers,
            paint=lambda: layer.paint_constant(scene.paint()),
            draw_detail=layer.draw_detail,
            region=layer.box,
            notes=scene.notes,
            explanation=_explained(printed, scene.notice, brief, is_chain),
            kind=printed.kind,
            overlay=overlay,
            keys=len(printed.keys) if is_chain else 1,
            chain=chain if is_chain else None,
        )

    def _factors(self, smallest: int) -> list[int]:
        return super()._factors(smallest)[:2]


@dataclass(frozen=True)
class _Layer:
    """The print of a notice: what is always the same, and what depends on the state."""

    printed: Printed
    notice: Notice
    hides: bool
    is_chain: bool
    shown: int

    @property
    def box(self) -> Box:
        """Of the row that depends on the state."""
        if not self.hides:
            return row_box(self.notice, _LARGE)
        return row_box(self.notice, _KEY if self.is_chain else _SMALL)

    def paint_constant(self, scene: ImageArray) -> ImageArray:
        """Print all rows but one; small print is concealed among the texts that it might have said."""
        printed, notice = self.printed, self.notice
        for row, text in ((_HEAD, printed.head), (_FOOT, printed.foot), (_FINE, printed.fine)):
            write_row(scene, notice, row, text)
        if self.hides:
            write_row(scene, notice, _LARGE, printed.large_other)
        if not self.is_chain:
            conceal_row(scene, notice, _KEY, printed.keys, self.shown)
        if self.is_chain or not self.hides:
            conceal_row(scene, notice, _SMALL, printed.small_other, 0)
        return scene

    def draw_detail(self, scene: ImageArray, state: int) -> None:
        """Print the row that depends on the state."""
        key, answer = divmod(state, len(self.printed.answers))
        if not self.hides:
            write_row(scene, self.notice, _LARGE, self.printed.large[answer])
        elif self.is_chain:
            write_row(scene, self.notice, _KEY, self.printed.keys[key])
        else:
            write_row(scene, self.notice, _SMALL, self.printed.small[answer])


def _explained(printed: Printed, notice: Notice, brief: Brief, is_chain: bool) -> str:
    style = notice.style.name
    if not brief.hides:
        return f"Read it in the large print of the {style}."
    if is_chain:
        return f"Enlarge the small print of the {style}, then search for {printed.searched}; the newest page is right."
    return f"Enlarge the small print of the {style}, which states it."
