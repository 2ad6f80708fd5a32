"""How plaques and posters look, and the scene of one on a drawn wall."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metis_envs.families.blueprint import Brief
from metis_envs.scenes.draft import doubled
from metis_envs.scenes.notices import Notice, NoticeStyle, hang, lay_out
from metis_envs.scenes.walls import WALLS, paint_wall
from metis_envs.world.names import choose
from metis_gym.records import ImageArray

__all__ = ["PLAQUES", "POSTERS", "NoticeScene", "draw_notice_scene"]

PLAQUES = (
    NoticeStyle(
        name="brass plaque",
        fill=(176, 142, 72),
        ink=(34, 24, 10),
        border=(94, 70, 28),
        face="serif-bold",
        has_screws=True,
        gloss=0.6,
    ),
    NoticeStyle(
        name="enamel plaque",
        fill=(24, 60, 120),
        ink=(250, 250, 250),
        border=(236, 236, 236),
        radius=0.08,
        has_screws=True,
        gloss=0.4,
    ),
    NoticeStyle(
        name="stone plaque",
        fill=(206, 202, 192),
        ink=(40, 40, 44),
        border=(150, 146, 136),
        face="serif-bold",
        gloss=0.1,
    ),
)
"""Of buildings."""

POSTERS = (
    NoticeStyle(name="poster", fill=(238, 234, 220), ink=(30, 30, 34), border=(190, 60, 50)),
    NoticeStyle(name="board", fill=(26, 60, 46), ink=(244, 242, 230), border=(150, 120, 70), radius=0.0),
    NoticeStyle(name="sheet", fill=(252, 250, 244), ink=(24, 40, 90), border=(70, 90, 140), radius=0.0),
    NoticeStyle(name="sign", fill=(240, 206, 70), ink=(28, 26, 22), border=(60, 54, 40), has_screws=True, gloss=0.2),
)
"""Of stations and ticket offices."""


@dataclass(frozen=True)
class NoticeScene:
    """A notice on a wall.

    Attributes:
        notice: What is printed on.
        paint: Paints the wall with the notice, nothing printed on it yet.
        notes: What the image is made of.
    """

    notice: Notice
    paint: Callable[[], ImageArray]
    notes: str


def draw_notice_scene(
    brief: Brief, styles: Sequence[NoticeStyle], large: Sequence[Sequence[str]], small: Sequence[Sequence[str]]
) -> NoticeScene:
    """Draw a notice that has room for each text of each of its rows, and a wall behind it."""
    rng, canvas = brief.rng, brief.canvas
    notice = lay_out(rng, canvas, choose(rng, styles), large, small)
    material, seed = choose(rng, tuple(WALLS)), int(rng.integers(1 << 62))

    def paint() -> ImageArray:
        stream = np.random.default_rng(seed)
        half = paint_wall(stream, canvas, material)
        hang(half, notice, stream)
        return doubled(half, canvas)

    return NoticeScene(notice, paint, f"a drawn {notice.style.name} on a drawn wall ({material}), no photograph")
