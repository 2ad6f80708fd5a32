"""Drawings of landmarks: a building under a sky, the same at any size.

Drawn, not photographed, and good enough to be told apart: the sky, the hills, the building's proportions and colours
are all drawn afresh. Lengths are shares of the image's height, so that a large drawing and a small one of the same
stream are copies of each other.
"""

import numpy as np
from PIL import Image, ImageDraw

from metis_envs.scenes.drawing import Colour
from metis_envs.world.buildings import BUILDINGS, Brush
from metis_envs.world.names import choose
from metis_gym.errors import ConfigError
from metis_gym.records import ImageArray

__all__ = ["TINTS", "draw_landmark"]

TINTS = 8
"""Paints that a building may have; all of a kind are as bright, so that image search cannot tell them apart."""

_SMOOTH = 2
_CLOUD_ROWS, _CLOUD_COLUMNS, _CLOUD_DEPTH = 5, 7, 90
_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((96, 150, 214), (206, 226, 240)),
    ((64, 88, 140), (238, 180, 130)),
    ((120, 132, 150), (208, 210, 208)),
    ((40, 66, 110), (146, 170, 200)),
    ((232, 196, 150), (180, 120, 120)),
)
_LANDS: tuple[Colour, ...] = ((86, 122, 62), (150, 134, 84), (112, 112, 104), (66, 98, 84), (188, 168, 120))
_WALLS: tuple[Colour, ...] = (
    (196, 182, 152),
    (168, 92, 74),
    (222, 216, 204),
    (120, 116, 120),
    (206, 168, 104),
    (148, 160, 170),
)
_WALL_PAINT, _ROOF_PAINT = (150, 40), (96, 52)
_ROOFS: tuple[Colour, ...] = ((150, 60, 48), (72, 82, 96), (84, 140, 122), (96, 70, 54), (44, 52, 60))


def draw_landmark(
    rng: np.random.Generator, kind: str, width: int, height: int, *, tint: int | None = None
) -> ImageArray:
    """Draw a landmark.

    Args:
        rng: Everything about it; the same stream gives the same landmark at any size of the same proportions.
        kind: A key of `metis_envs.world.KINDS`.
        width: Pixels.
        height: Pixels.
        tint: Which of the `TINTS` paints it has, whatever the stream says; None for what the stream says.

    Returns:
        Shape (height, width, 3), uint8; the caller's own.

    Raises:
        ConfigError: There is no such kind, or no room.
    """
    if kind not in BUILDINGS:
        raise ConfigError(f"a landmark is one of {', '.join(BUILDINGS)}, actually: {kind!r}")
    if min(width, height) < 16:
        raise ConfigError(f"a landmark needs at least 16 x 16 pixels, actually: {width} x {height}")
    sky = _sky(rng, width * _SMOOTH, height * _SMOOTH)
    horizon = 0.62 + 0.2 * rng.random()
    land = choose(rng, _LANDS)
    _hills(rng, sky, horizon, land)
    pen = ImageDraw.Draw(sky)
    ground = horizon + 0.05 + 0.1 * rng.random()
    pen.rectangle((0, ground * sky.height, sky.width, sky.height), fill=land)
    brush = Brush(
        pen=pen,
        unit=sky.height,
        centre=sky.width / sky.height * (0.32 + 0.36 * rng.random()),
        ground=ground + 0.02,
        wall=_painted(choose(rng, _WALLS), _WALL_PAINT, tint),
        roof=_painted(choose(rng, _ROOFS), _ROOF_PAINT, tint),
        wide=0.75 + 0.5 * rng.random(),
        high=(0.8 + 0.3 * rng.random()) * ground,
        count=3 + int(4 * rng.random()),
    )
    BUILDINGS[kind](brush)
    return np.array(sky.reduce(_SMOOTH), dtype=np.uint8)


def _painted(plain: Colour, paint: tuple[int, int], tint: int | None) -> Colour:
    """The colour itself, or a paint of a brightness and strength, in one of eight hues."""
    if tint is None:
        return plain
    brightness, strength = paint
    angle = 2 * np.pi * tint / TINTS
    blue, red = strength * np.cos(angle), strength * np.sin(angle)  # as in ITU-R BT.601
    green = -0.344 * blue - 0.714 * red
    return round(brightness + 1.402 * red), round(brightness + green), round(brightness + 1.772 * blue)


def _sky(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """From one colour above to another below, with soft clouds."""
    above, below = (np.array(colour, dtype=np.float64) for colour in choose(rng, _SKIES))
    share = np.linspace(0.0, 1.0, _CLOUD_ROWS)[:, None, None]
    clouds = (np.array([rng.random() for _ in range(_CLOUD_ROWS * _CLOUD_COLUMNS)]) - 0.5) * _CLOUD_DEPTH
    coarse = above + (below - above) * share + clouds.reshape(_CLOUD_ROWS, _CLOUD_COLUMNS, 1)
    small = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8))
    soft = small.resize((width // _SMOOTH, height // _SMOOTH), Image.Resampling.BILINEAR)
    return soft.resize((width, height), Image.Resampling.NEAREST)  # it has no edges to be smoothed


def _hills(rng: np.random.Generator, sky: Image.Image, horizon: float, land: Colour) -> None:
    """A far ridge, paler than the land."""
    heights = [horizon - 0.16 * rng.random() for _ in range(9)]
    points = [(sky.width * i / 8, sky.height * height) for i, height in enumerate(heights)]
    pale = tuple(int(0.6 * part + 0.4 * 190) for part in land)
    ImageDraw.Draw(sky).polygon([(0, sky.height), *points, (sky.width, sky.height)], fill=pale)
