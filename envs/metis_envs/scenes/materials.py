"""Materials: plaster, wood, cork, concrete, brick, sky, water. Each fills an area at a quarter of a scene's size."""

import itertools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image

from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.noise import add_grain, clouds, roughness
from metis_envs.scenes.photographs import photograph
from metis_gym.records import ImageArray

__all__ = [
    "Material",
    "brushed",
    "concrete",
    "cork",
    "fall_of_light",
    "photographed",
    "plaster",
    "sky",
    "water",
    "wood",
    "wooded",
]

_HAZE: Colour = (218, 226, 232)
"""Of the sky at the horizon."""
_ROWS = 32
"""So many rows at a time stay in the processor's cache."""

Material: TypeAlias = Callable[[np.random.Generator, int, int], ImageArray]
"""From a stream, a height and a width to pixels, shape (height, width, 3)."""


def _toned(noise: Image.Image, dark: Colour, light: Colour, middle: Colour | None = None) -> ImageArray:
    """Noise as colours, from `dark` for 0 to `light` for 255."""
    stops = np.array([dark, middle or [(a + b) / 2 for a, b in zip(dark, light, strict=True)], light], dtype=float)
    table = np.stack([np.interp(np.arange(256), [0, 128, 255], stops[:, channel]) for channel in range(3)], axis=1)
    toned = Image.fromarray(np.asarray(noise))
    toned.putpalette(np.rint(table).astype(np.uint8).tobytes())
    return np.array(toned.convert("RGB"))


def _around(colour: Colour, spread: float) -> tuple[Colour, Colour]:
    darker, lighter = ([min(255, max(0, round(part + way * spread))) for part in colour] for way in (-1, 1))
    return (darker[0], darker[1], darker[2]), (lighter[0], lighter[1], lighter[2])


def plaster(colour: Colour, *, rough: float = 14.0) -> Material:
    """A painted wall, a little stained, with a rough surface."""

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        sizes = ((height / 2, width / 2), (height / 6, width / 6), (12, 12))
        stains = np.asarray(clouds(rng, height, width, sizes, step=4), np.int16)
        shades = np.clip(stains + 4 * roughness(rng, height, width), 0, 255).astype(np.uint8)
        return _toned(Image.fromarray(shades), *_around(colour, rough))

    return fill


def wooded(colour: Colour, *, rough: float) -> Material:
    """Land with woods and meadows, seen from afar."""

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        sizes = ((height / 2, width / 5), (7, 18), (3, 6), (2, 2))
        return _toned(clouds(rng, height, width, sizes, step=1), *_around(colour, rough))

    return fill


def concrete(colour: Colour) -> Material:
    """Cast concrete: spots of all sizes, pores."""

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        sizes = ((height / 2, width / 3), (45, 30), (9, 9), (4, 4))
        pixels = _toned(clouds(rng, height, width, sizes, step=2), *_around(colour, 40))
        add_grain(pixels, rng, 6.0)
        return pixels

    return fill


def brushed(colour: Colour) -> Material:
    """Brushed metal or painted sheet metal: fine streaks along it."""

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        sizes = ((height / 2, width / 2), (3, width / 2))
        return _toned(clouds(rng, height, width, sizes, step=1), *_around(colour, 18))

    return fill


def wood(dark: Colour, light: Colour, *, planks: int, upright: bool = False) -> Material:
    """Planks side by side, with their fibres along them.

    Args:
        dark: Of the fibres.
        light: Of the fibres.
        planks: How many.
        upright: Do they stand?
    """

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        long, short = (height, width) if upright else (width, height)
        fibres = clouds(rng, short, long, ((short / 2, long), (13, long / 2), (4, long / 3), (2, long / 6)), step=1)
        shades = np.asarray(fibres).astype(np.int16)
        edges = np.linspace(0, short, planks + 1).round().astype(int)
        for top, bottom in itertools.pairwise(edges):
            shades[top:bottom] += int(rng.integers(-34, 35))
            shades[top] = 0 if planks > 1 else shades[top]
        pixels = _toned(Image.fromarray(np.clip(shades, 0, 255).astype(np.uint8)), dark, light)
        if upright:
            pixels = np.ascontiguousarray(pixels.transpose(1, 0, 2))
        return pixels

    return fill


def cork(colour: Colour = (186, 140, 92)) -> Material:
    """Cork: dark and light crumbs."""

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        pixels = _toned(clouds(rng, height, width, ((2, 2), (5, 5), (30, 30)), step=1), *_around(colour, 70))
        add_grain(pixels, rng, 9.0)
        return pixels

    return fill


def photographed(name: str, dark: Colour, light: Colour, *, enlarged: float = 1.2) -> Material:
    """A texture of which there is a photograph, such as bricks, in colours of one's own.

    Args:
        name: The photograph; a square one.
        dark: For its darkest parts.
        light: For its lightest parts.
        enlarged: Its side as a multiple of the longer side of the area, at least 1: it is never repeated.
    """

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        tile = Image.fromarray(photograph(name)).convert("L")
        if name == "bricks":
            tile = tile.transpose(Image.Transpose.ROTATE_90)
        side = round(enlarged * max(height, width))
        top, left = int(rng.integers(0, side - height + 1)), int(rng.integers(0, side - width + 1))
        share = tile.width / side
        piece = (left * share, top * share, (left + width) * share, (top + height) * share)
        shades = tile.resize((width, height), Image.Resampling.BILINEAR, box=piece)
        return _toned(shades, dark, light)

    return fill


def sky(blue: Colour, cloud: Colour, *, cover: float) -> Material:
    """A sky with clouds, lighter towards the horizon.

    Args:
        blue: Of the sky overhead.
        cloud: Of the clouds.
        cover: How much of it is clouded, in [0, 1].
    """

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        side = min(height, width)
        sizes = [(side / part, 1.7 * side / part) for part in (1.5, 3, 6, 12, 24, 48)]
        noise = np.asarray(clouds(rng, height, width, tuple(sizes), step=1)).astype(np.int16)
        rows = ((1 - np.linspace(1.0, 0.0, height) ** 0.75) * (height - 1)).astype(int)  # far off they lie closer
        noise = noise[rows]
        dense = np.clip((noise - round(150 - 52 * cover)) * 5, 0, 255)
        deep = np.clip((noise - round(150 - 52 * cover)) * 3 - 24, 0, 120)
        step = max(3, side // 26)
        before = np.pad(noise, ((step, 0), (step, 0)), mode="edge")[:height, :width]
        below = np.clip(noise - before, -24, 24)  # lighter above and to the left, where the sun is
        tone = np.clip(np.array(cloud, dtype=np.int16) - (deep // 3 - below)[:, :, None] + 4, 0, 255).astype(np.uint8)
        up = np.linspace(0.0, 1.0, height)[:, None] ** 1.4
        shade = (np.array(blue) * (1 - up) * 0.86 + np.array(_HAZE) * up).astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(shade[:, None, :], (height, width, 3))))
        image.paste(Image.fromarray(tone), (0, 0), Image.fromarray((dense * 235 // 255).astype(np.uint8)))
        return np.array(image)

    return fill


def water(dark: Colour, light: Colour) -> Material:
    """A lake: waves that grow towards the lower edge."""

    def fill(rng: np.random.Generator, height: int, width: int) -> ImageArray:
        sizes = ((height / 3, width), (5, 35), (3, 17), (2, 8))
        noise = np.asarray(clouds(rng, height, width, sizes, step=1)).astype(np.int16)
        rows = (np.linspace(0.0, 1.0, height) ** 0.55 * (height - 1)).astype(int)
        shades = np.clip((noise[rows] - 128) * 2 + 120, 0, 255).astype(np.uint8)
        pixels = _toned(Image.fromarray(shades), dark, light)
        return fall_of_light(pixels, 1.12, 1.0, 0.86, 0.9)

    return fill


def fall_of_light(
    pixels: ImageArray, upper_left: float, upper_right: float, lower_right: float, lower_left: float
) -> ImageArray:
    """Pixels under a light that differs between the four corners: the best lit one as it is, the others darker."""
    height, width = pixels.shape[:2]
    best = max(1.0, upper_left, upper_right, lower_right, lower_left)
    corners = np.array([[upper_left, upper_right], [lower_left, lower_right]]) / best
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 256, width).repeat(3)[None, :]
    left, right = (corners[0, side] * (1 - down) + corners[1, side] * down for side in (0, 1))
    lit = np.empty((height, 3 * width), dtype=np.uint8)
    rows = pixels.reshape(height, 3 * width)
    steps = across.astype(np.int32)
    start, slope = (256 * left).astype(np.int32), (256 * (right - left)).astype(np.int32)
    for top in range(0, height, _ROWS):
        part = slice(top, top + _ROWS)
        light = (start[part] + (slope[part] * steps >> 8)).astype(np.uint16)
        lit[part] = rows[part] * light >> 8
    return lit.reshape(height, width, 3)
