"""Postcards: a picture of a landmark in a white frame, with room for a caption below it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import doubled
from metis_envs.scenes.drawing import font, text_width
from metis_envs.scenes.noise import add_grain, clouds
from metis_envs.scenes.notices import Notice, NoticeStyle
from metis_envs.world.landmarks import draw_landmark
from metis_gym.records import ImageArray

__all__ = ["Postcard", "caption_of", "paint_postcard"]

_PAPER = (244, 240, 228)
_CAPTION = NoticeStyle(name="caption", fill=_PAPER, ink=(44, 40, 44), border=_PAPER, face="serif-bold")
_TEXT, _STRIP, _FRAME = 17, 58, 12
"""In view pixels of a view of 448 px: font size of the caption, height of its strip, width of the frame."""
_VIEW = 448
_GRAIN = 5.0


@dataclass(frozen=True)
class Postcard:
    """What a postcard shows.

    Attributes:
        seed: Of the landmark's stream.
        kind: Of the landmark.
        tint: Its paint; see `metis_envs.world.landmarks`.
    """

    seed: int
    kind: str
    tint: int


def paint_postcard(card: Postcard, canvas: Canvas, *, has_grain: bool = True) -> ImageArray:
    """Paint a postcard without its caption.

    Args:
        card: What it shows.
        canvas: Its size.
        has_grain: Painted at half its size, with grain, and doubled; else at its own size and plain.

    Returns:
        Shape (height, width, 3), uint8; the caller's own.
    """
    step = 2 if has_grain else 1
    width, height = -(-canvas.width // step), -(-canvas.height // step)
    unit = max(width, height) / _VIEW
    frame, strip = round(_FRAME * unit), round(_STRIP * unit)
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = _PAPER
    size = (width - 2 * frame, height - 2 * frame - strip)
    image[frame : frame + size[1], frame : width - frame] = _painted(card, *size) if has_grain else _drawn(card, *size)
    if not has_grain:
        return image
    add_grain(image, np.random.default_rng(card.seed + 2), _GRAIN)
    return doubled(image, canvas)


def _drawn(card: Postcard, width: int, height: int) -> ImageArray:
    return draw_landmark(np.random.default_rng(card.seed), card.kind, width, height, tint=card.tint)


def _painted(card: Postcard, width: int, height: int) -> ImageArray:
    """Paint the landmark in water colours: an unsteady hand, darker edges, pigment in the grain of the paper."""
    rng = np.random.default_rng(card.seed + 1)
    small = (-(-width // 2), -(-height // 2))
    drawn = _unsteady(Image.fromarray(_drawn(card, *small)), rng).filter(ImageFilter.GaussianBlur(0.8))
    washed = np.asarray(drawn, np.int16)
    soft = np.asarray(drawn.filter(ImageFilter.BoxBlur(4)), np.int16)
    edges = np.clip(np.abs(washed - soft).max(axis=2) - 6, 0, 60)
    pools = np.asarray(clouds(rng, small[1], small[0], ((90, 120), (34, 40), (12, 14)), step=2), np.int16) - 128
    tooth = np.asarray(clouds(rng, small[1], small[0], ((2, 2), (4, 4)), step=1), np.int16) - 128
    thin = np.clip(70 + pools // 2 + tooth // 4, 30, 127)  # how far the paper shows through, of 256
    paper = np.array(_PAPER, np.int16)
    mixed = [
        washed[..., channel] + (paper[channel] - washed[..., channel]) * thin // 256 - edges // 2
        for channel in range(3)
    ]
    whole = Image.fromarray(np.clip(np.stack(mixed, axis=2), 0, 255).astype(np.uint8))
    return np.asarray(whole.resize((width, height), Image.Resampling.BILINEAR))


def _unsteady(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Every line a little off its course."""
    columns, rows = 28, round(28 * image.height / image.width)
    xs, ys = np.linspace(0, image.width, columns + 1), np.linspace(0, image.height, rows + 1)
    off = rng.normal(0, 0.0022 * image.width, (rows + 1, columns + 1, 2))
    off[0] = off[-1] = off[:, 0] = off[:, -1] = 0.0
    mesh = []
    for row in range(rows):
        for column in range(columns):
            box = (int(xs[column]), int(ys[row]), int(xs[column + 1]), int(ys[row + 1]))
            corners = ((row, column), (row + 1, column), (row + 1, column + 1), (row, column + 1))
            quad = tuple(
                float(part) for y, x in corners for part in (int(xs[x]) + off[y, x, 0], int(ys[y]) + off[y, x, 1])
            )
            mesh.append((box, quad))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def caption_of(canvas: Canvas, rows: Sequence[Sequence[str]]) -> Notice:
    """Where the caption's rows go, in the strip below the picture; each with all texts that it may say.

    Raises:
        ValueError: A text is too long.
    """
    unit = max(canvas.width, canvas.height) / _VIEW
    size = canvas.px(_TEXT)
    face = font(_CAPTION.face, size)
    widest = [max(text_width(text, face) for text in texts) for texts in rows]
    if max(widest) > canvas.width - 2 * _FRAME * unit:
        raise ValueError(f"no legible size for the caption {rows!r} in a view of {canvas.view_width} px")
    strip = round(_STRIP * unit)
    middle = round(canvas.height - (_FRAME * unit + strip) / 2)
    heights = [round((row - (len(rows) - 1) / 2) * 1.35 * size) for row in range(len(rows))]
    places = tuple((height, size, width) for height, width in zip(heights, widest, strict=True))
    centre = (canvas.width // 2, middle)
    return Notice(_CAPTION, canvas, centre, (canvas.width, strip), 0.0, places, len(rows))
