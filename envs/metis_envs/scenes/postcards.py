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
    picture = draw_landmark(
        np.random.default_rng(card.seed), card.kind, width - 2 * frame, height - 2 * frame - strip, tint=card.tint
    )
    if has_grain:
        _age(picture, np.random.default_rng(card.seed + 1))
    image[frame : frame + picture.shape[0], frame : width - frame] = picture
    if not has_grain:
        return image
    add_grain(image, np.random.default_rng(card.seed + 2), _GRAIN)
    return doubled(image, canvas)


def _age(picture: ImageArray, rng: np.random.Generator) -> None:
    """Soften it a little and let walls and land weather, as prints do; in place."""
    height, width = picture.shape[:2]
    spots = np.asarray(clouds(rng, height, width, ((9, 9), (26, 30)), step=2), np.int16)[:, :, None]
    soft = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(max(1, width // 500))), np.int16)
    picture[:] = np.clip(soft + (spots - 128) // 7, 0, 255)


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
