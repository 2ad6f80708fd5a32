"""Backgrounds: one photograph, or a piece of one, enlarged, with the grain of film.

Photographs of some 500 px are enlarged two to eight times, so a background has no finer detail than its grain; in the
view, which is smaller than the source, it looks like the photograph that it is.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.photographs import photograph, photographs_of
from metis_gym.records import Box, ImageArray

__all__ = ["Background", "choose_background"]

_MIN_SHARE = 0.6


@dataclass(frozen=True)
class Background:
    """A background, chosen but not painted yet.

    Attributes:
        canvas: The size of the scene.
        name: The photograph.
        piece: The piece of it that is shown, in its own pixels.
        is_mirrored: Whether left and right are exchanged.
        seed: Of the grain.
    """

    canvas: Canvas
    name: str
    piece: Box
    is_mirrored: bool
    seed: int

    @property
    def notes(self) -> str:
        """What it is made of, for people."""
        return f"one enlarged photograph, with grain: {self.name}"

    def paint_half(self) -> ImageArray:
        """Paint it without grain, at half the size of the scene, rounded up; the caller's own."""
        photo = Image.fromarray(photograph(self.name))
        size = (-(-self.canvas.width // 2), -(-self.canvas.height // 2))
        half = photo.resize(size, Image.Resampling.BILINEAR, box=self.piece)
        if self.is_mirrored:
            half = half.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.array(half)

    def paint(self) -> ImageArray:
        """Paint it: shape (height, width, 3), uint8, the caller's own. Each pixel of the half size is doubled."""
        return Draft(self.canvas, self.paint_half()).scene(seed=self.seed)


def choose_background(
    rng: np.random.Generator, canvas: Canvas, split: str, *, among: tuple[str, ...] = ()
) -> Background:
    """Choose a photograph of a split and the piece of it that is to be enlarged.

    Args:
        rng: Chooses.
        canvas: The size of the scene.
        split: The split whose photographs may be shown.
        among: Names to choose from, where the split has some of them; by default all that are no textures.
    """
    names = [entry.name for entry in photographs_of(split)]
    fitting = [name for name in names if name in among] or names
    name = fitting[int(rng.integers(len(fitting)))]
    full_height, full_width = photograph(name).shape[:2]
    largest = min(full_width / canvas.width, full_height / canvas.height)
    scale = largest * rng.uniform(_MIN_SHARE, 1.0)
    width, height = max(1, int(canvas.width * scale)), max(1, int(canvas.height * scale))
    left, top = int(rng.integers(0, full_width - width + 1)), int(rng.integers(0, full_height - height + 1))
    piece = (left, top, left + width, top + height)
    return Background(canvas, name, piece, bool(rng.random() < 0.5), int(rng.integers(1 << 31)))
