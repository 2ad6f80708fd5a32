"""A family of tasks."""

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_gym.records import AnswerKind, Necessity


class Dots(Family):
    """How many large dots are there? Seen at once: no tool is needed."""

    name = "dots"
    necessities = (Necessity.NONE,)
    smallest_view = 64

    def plan(self, brief: Brief) -> Blueprint:
        """Choose colours, places and the possible counts; the answer is drawn later."""
        canvas, colours = brief.canvas, brief.rng.integers(0, 256, size=(2, 3))
        counts = 1 + brief.rng.permutation(9)[: brief.choices or 9]
        places = brief.rng.permutation(64)[:9]
        side = min(canvas.width, canvas.height) // 8

        def draw_detail(scene: np.ndarray, index: int) -> None:
            for row, column in zip(*divmod(places[: counts[index]], 8), strict=True):
                scene[row * side : row * side + side // 2, column * side : column * side + side // 2] = colours[0]

        return Blueprint(
            question="How many dots are in the image?",
            answers=tuple(str(count) for count in counts),
            paint=lambda: np.full((canvas.height, canvas.width, 3), (colours[0] + 128) % 256, np.uint8),
            draw_detail=draw_detail,
            region=(0, 0, canvas.width, canvas.height),
            kind=AnswerKind.NUMBER,
        )
