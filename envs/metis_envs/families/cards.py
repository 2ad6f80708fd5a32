"""What families of cards share: a scene with one card that is asked for, and others beside it.

The question names the card by its colour, in the same words for both values of necessity: only the image tells
whether that card is near, and legible in the view, or far, and plain grey there.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.cards import Content, draw_card, draw_frame, place_cards
from metis_gym.records import AnswerKind, ImageArray, Necessity

__all__ = ["CardFamily", "CardTask"]

_MAX_OTHERS = 2
OPEN_ANSWERS = 12
"""Possible answers of an open question."""


@dataclass(frozen=True, kw_only=True)
class CardTask:
    """A question about a card.

    Attributes:
        question: With `{card}` where the card is named, such as "the red card".
        answers: All answers that could be right.
        contents: What the card carries for each answer; all of one size.
        kind: How an open answer is compared.
        explanation: How the answer follows from what the card carries.
    """

    question: str
    answers: tuple[str, ...]
    contents: tuple[Content, ...]
    kind: AnswerKind = AnswerKind.TEXT
    explanation: str = "read the answer off it"


class CardFamily(Family):
    """A family whose deciding detail is the ink of one card."""

    smallest_view: ClassVar[int] = 384
    card_name: ClassVar[str] = "card"

    @abstractmethod
    def draw_task(self, brief: Brief) -> CardTask:
        """Draw what a card carries and what is asked of it."""

    def plan(self, brief: Brief) -> Blueprint:
        """Place the card that is asked for, and one or two others, near or far."""
        rng = brief.rng
        are_far = [brief.hides, *(bool(far) for far in rng.random(int(rng.integers(1, _MAX_OTHERS + 1))) < 0.6)]
        briefs = [replace(brief, necessity=Necessity.REQUIRED if far else Necessity.NONE) for far in are_far]
        tasks = [self.draw_task(of_card) for of_card in briefs]
        cards = place_cards(rng, brief.canvas, [task.contents for task in tasks], are_far)
        shown = [int(rng.integers(len(task.contents))) for task in tasks]
        background = choose_background(rng, brief.canvas, brief.split)
        task, card = tasks[0], cards[0]
        if card is None:
            raise RuntimeError("the first card always finds a place")

        def paint() -> ImageArray:
            scene = background.paint()
            for other, placed, index in zip(tasks, cards, shown, strict=True):
                if placed is not None:
                    draw_frame(scene, placed)
                    if placed is not card:
                        draw_card(scene, placed, other.contents[index])
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            draw_card(scene, card, task.contents[index])

        name = f"the {card.colour} {self.card_name}"
        where = f"{name.capitalize()} is far away: crop it, and" if brief.hides else f"{name.capitalize()} is near:"
        return Blueprint(
            question=task.question.format(card=name),
            answers=task.answers,
            paint=paint,
            draw_detail=draw_detail,
            region=card.paper,
            notes=background.notes,
            explanation=f"{where} {task.explanation}.",
            kind=task.kind,
        )
