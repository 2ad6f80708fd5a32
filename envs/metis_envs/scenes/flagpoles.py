"""Flags on poles: one that flies, one that is rolled up in its cover, and the signs at their feet."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.drawing import Colour, font, paste, shadow, text_width
from metis_gym.records import Box, ImageArray

__all__ = ["Flagpole", "draw_cover", "draw_flag", "draw_pole", "draw_sign"]

_WIDTH, _HEIGHT, _THICK = 0.34, 0.25, 0.022
"""Of cloth and pole, as shares of the view's shorter side."""
_SIGN_WIDTH, _SIGN_HEIGHT = 0.38, 0.11
_POLE: Colour = (206, 206, 210)
_CANVAS: Colour = (150, 140, 118)
_MIN_TEXT = 8


@dataclass(frozen=True)
class Flagpole:
    """A pole, in view pixels.

    Attributes:
        canvas: The scene.
        x: Its left edge.
        top: Its upper end.
        foot: Its lower end, where its sign stands.
        waves: Phase and strength of the folds of its flag.
    """

    canvas: Canvas
    x: int
    top: int
    foot: int
    waves: tuple[float, float]

    @property
    def side(self) -> int:
        """The view's shorter side."""
        return min(self.canvas.view_width, self.canvas.view_height)

    @property
    def thick(self) -> int:
        """How thick the pole is."""
        return max(1, round(self.side * _THICK))

    @property
    def cloth(self) -> Box:
        """Where the flag is, flying or covered, in source pixels, on the cells."""
        left, top = self.x + self.thick, self.top + max(1, self.side // 50)
        return self.canvas.box(left, top, left + round(self.side * _WIDTH), top + round(self.side * _HEIGHT))

    @property
    def sign(self) -> Box:
        """Where its sign is, in source pixels, on the cells."""
        width, height = round(self.side * _SIGN_WIDTH), round(self.side * _SIGN_HEIGHT)
        left = max(0, min(self.x + self.thick // 2 - width // 4, self.canvas.view_width - width))
        top = self.foot - height - max(1, self.side // 24)
        return self.canvas.box(left, top, left + width, top + height)


def draw_pole(scene: ImageArray, pole: Flagpole) -> None:
    """Draw the bare pole with its knob, in place."""
    left, top, right, bottom = pole.canvas.box(pole.x, pole.top, pole.x + pole.thick, pole.foot)
    width = right - left
    light = np.linspace(1.12, 0.6, width)[None, :, None]
    scene[top:bottom, left:right] = np.clip(np.array(_POLE) * light, 0, 255).astype(np.uint8)
    radius = round(0.9 * width)
    knob = Image.new("RGBA", (2 * radius, 2 * radius), (0, 0, 0, 0))
    ImageDraw.Draw(knob).ellipse((0, 0, 2 * radius - 1, 2 * radius - 1), fill=(212, 176, 84, 255))
    paste(scene, knob, (left + right) // 2 - radius, top - radius)


def draw_flag(scene: ImageArray, pole: Flagpole, colour: Colour) -> None:
    """Draw the flag flying, in folds, in place; inside the cloth's box."""
    left, top, right, bottom = pole.cloth
    height, width = bottom - top, right - left
    phase, strength = pole.waves
    x = np.linspace(0, 1, width)
    wave = np.sin(7.5 * x + phase)
    drop = (0.5 + 0.5 * wave * x) * 0.1 * height * strength
    rows = np.arange(height)[:, None]
    is_cloth = (rows >= drop) & (rows < drop + 0.88 * height)
    down = rows / height
    folds = 7.5 * x[None, :] + phase + 0.9 * np.sin(2.2 * down + phase)  # they lean, and have finer ones between them
    shade = 0.19 * np.cos(folds) + 0.07 * np.cos(2.3 * folds + 4 * down) * x[None, :]
    light = (0.88 + shade - 0.06 * x[None, :] + 0.04 * np.sin(5 * down))[:, :, None]
    cloth = np.clip(np.array(colour, dtype=np.float32) * light, 0, 255).astype(np.uint8)
    part = scene[top:bottom, left:right]
    part[is_cloth] = cloth[is_cloth]


def draw_cover(scene: ImageArray, pole: Flagpole) -> None:
    """Draw the flag rolled up along the pole in a cover of canvas, tied at three places, in place."""
    left, top, right, bottom = pole.cloth
    height, width = bottom - top, max(3, (right - left) // 7)
    stamp = Image.new("RGB", (width, height), _CANVAS)
    pixels = np.asarray(stamp, np.float32)
    light = 1.15 - 0.55 * np.abs(np.linspace(-0.7, 1, width))[None, :, None]
    folds = 1 + 0.05 * np.sin(np.linspace(0, 26, height))[:, None, None]
    shaded = Image.fromarray(np.clip(pixels * light * folds, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(shaded)
    for share in (0.16, 0.5, 0.84):
        pen.line((0, share * height, width, share * height), fill=(64, 58, 48), width=max(1, height // 40))
    cover = Image.new("L", (width, height), 0)
    ImageDraw.Draw(cover).rounded_rectangle((0, 0, width - 1, height - 1), width // 2, fill=255)
    shaded.putalpha(cover)
    paste(scene, shaded, left - width // 4, top)


def draw_sign(scene: ImageArray, pole: Flagpole, text: str, fill: Colour, ink: Colour) -> None:
    """Draw the sign at the foot of a pole, in place; in a view too small to read it, without its text."""
    left, top, right, bottom = pole.sign
    width, height = right - left, bottom - top
    shadow(scene, pole.sign, blur=max(2, height // 8), strength=0.35)
    stamp = Image.new("RGBA", (width, height), (*ink, 255))
    edge = max(1, height // 16)
    pen = ImageDraw.Draw(stamp)
    pen.rectangle((edge, edge, width - 1 - edge, height - 1 - edge), fill=(*fill, 255))
    size = height // 2
    while size > _MIN_TEXT and text_width(text, font("sans-bold", size)) > 0.9 * width:
        size -= 1
    pen.text((width / 2, height / 2), text, fill=(*ink, 255), font=font("sans-bold", size), anchor="mm")
    paste(scene, stamp, left, top)
