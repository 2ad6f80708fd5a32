"""Drawn walls to hang things on: plaster, brick, boards, concrete. No photograph is in them.

Their colours are painted at a quarter of the size of a scene, their grain at half of it, and that is doubled, as
enlarged photographs are: what is fine in a scene is what stands on its signs.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.noise import add_grain, clouds, roughness
from metis_gym.records import ImageArray

__all__ = ["WALLS", "paint_wall"]

_GRAIN = 5.0
_DARKEST = 0.72

_PLASTERS: tuple[Colour, ...] = ((214, 200, 172), (196, 178, 150), (222, 218, 206), (186, 164, 140), (168, 178, 176))
_BRICKS: tuple[Colour, ...] = ((150, 82, 62), (132, 76, 66), (168, 104, 78), (176, 140, 108))
_MORTAR: Colour = (178, 168, 152)
_BOARDS: tuple[Colour, ...] = ((140, 104, 70), (104, 84, 66), (96, 112, 104), (158, 132, 98))
_CONCRETES: tuple[Colour, ...] = ((150, 148, 142), (132, 134, 136), (168, 162, 152))


def paint_wall(rng: np.random.Generator, canvas: Canvas, material: str) -> ImageArray:
    """Paint a wall in uneven light, at half the size of the scene, rounded up.

    Args:
        rng: Everything about it.
        canvas: The size of the scene.
        material: A key of `WALLS`.

    Returns:
        Shape (⌈height / 2⌉, ⌈width / 2⌉, 3), uint8; the caller's own.
    """
    height, width = -(-canvas.height // 2), -(-canvas.width // 2)
    coarse = WALLS[material](rng, -(-height // 2), -(-width // 2))
    _light(rng, coarse)
    wall = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))
    add_grain(wall, rng, _GRAIN)
    return wall


def _light(rng: np.random.Generator, wall: ImageArray) -> None:
    """Darken it towards one side, and in soft shadows; in place."""
    height, width = wall.shape[:2]
    small = np.asarray(clouds(rng, 64, 64, ((48, 48), (24, 30)), step=1), dtype=np.float32) / 255
    slope = np.outer(np.linspace(0, 1, 64), np.ones(64)), np.outer(np.ones(64), np.linspace(0, 1, 64))
    down, across = rng.uniform(-1, 1, size=2)
    light = 0.5 + 0.35 * (down * (slope[0] - 0.5) + across * (slope[1] - 0.5)) + 0.5 * (small - 0.5)
    share = np.clip(_DARKEST + (1.12 - _DARKEST) * light, 0.5, 1.15)
    mask = Image.fromarray((share * 200).astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
    factor = np.asarray(mask, dtype=np.uint16)
    for channel in range(3):
        wall[:, :, channel] = np.minimum(wall[:, :, channel] * factor // 200, 255)


def _mottled(rng: np.random.Generator, height: int, width: int, colour: Colour, depth: float) -> ImageArray:
    """One colour, a little stained, with a rough surface that light falls on from the upper left."""
    stains = np.asarray(clouds(rng, height, width, ((height / 2, width / 2), (60, 60), (20, 24)), step=2), np.int16)
    shade = ((stains - 128) * 0.5 * depth).astype(np.int16) + roughness(rng, height, width)
    wall = np.empty((height, width, 3), np.uint8)
    for channel, tone in enumerate(colour):
        np.clip(shade + np.int16(tone), 0, 255, out=wall[:, :, channel], casting="unsafe")
    return wall


def _whole(wall: NDArray[np.int16]) -> ImageArray:
    clipped: ImageArray = np.clip(wall, 0, 255).astype(np.uint8)
    return clipped


def _plaster(rng: np.random.Generator, height: int, width: int) -> ImageArray:
    wall = _mottled(rng, height, width, _PLASTERS[int(rng.integers(len(_PLASTERS)))], 0.2)
    image = Image.fromarray(wall)
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 4))):  # cracks
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        points = [(x, y)]
        for _ in range(12):
            x, y = x + rng.normal(0, width / 60), y + abs(rng.normal(0, height / 40))
            points.append((x, y))
        pen.line(points, fill=tuple(int(0.78 * part) for part in wall[0, 0]), width=1)
    return np.array(image)


def _brick(rng: np.random.Generator, height: int, width: int) -> ImageArray:
    colour = _BRICKS[int(rng.integers(len(_BRICKS)))]
    brick_height = max(4, int(height / rng.uniform(14, 20)))
    brick_width, joint = int(2.9 * brick_height), max(1, brick_height // 10)
    wall = Image.new("RGB", (width, height), _MORTAR)
    pen = ImageDraw.Draw(wall)
    for row in range(height // brick_height + 1):
        start = -(brick_width // 2) * (row % 2) - int(rng.integers(3))
        for left in range(start, width, brick_width):
            tone = rng.normal(1.0, 0.1)
            top = row * brick_height
            box = (left, top, left + brick_width - joint - 1, top + brick_height - joint - 1)  # inclusive
            pen.rectangle(box, fill=tuple(int(np.clip(part * tone, 0, 255)) for part in colour))
            edge = tuple(int(np.clip(part * tone * 0.8, 0, 255)) for part in colour)
            pen.line((box[0], box[3], box[2], box[3]), fill=edge, width=joint)
    spots = np.asarray(clouds(rng, height, width, ((10, 15), (5, 6)), step=2), np.int16)[:, :, None]
    return _whole(np.asarray(wall, np.int16) + (spots - 128) // 5)


def _boards(rng: np.random.Generator, height: int, width: int) -> ImageArray:
    colour = np.array(_BOARDS[int(rng.integers(len(_BOARDS)))], np.int16)
    sizes = ((height / 2, 5), (height / 3, 2), (height / 9, 2))
    grain = np.asarray(clouds(rng, height, width, sizes, step=1), np.int16)
    board = max(4, int(width / rng.uniform(7, 11)))
    wall = np.empty((height, width, 3), np.int16)
    for left in range(-int(rng.integers(board)), width, board):
        place = slice(max(0, left), min(width, left + board))
        start, way = int(rng.integers(width - board + 1)), int(rng.choice((-1, 1)))
        fibres = grain[::way, start : start + place.stop - place.start]  # each board is of another piece
        wall[:, place] = colour + int(rng.normal(0, 13)) + ((fibres - 128) // 3)[:, :, None]
        if left >= 0:
            wall[:, left : left + 1] = wall[:, left : left + 1] // 4
            wall[:, left + 1 : left + 2] += 14
    return _whole(wall)


def _concrete(rng: np.random.Generator, height: int, width: int) -> ImageArray:
    wall = _mottled(rng, height, width, _CONCRETES[int(rng.integers(len(_CONCRETES)))], 0.2)
    for share in (rng.uniform(0.2, 0.4), rng.uniform(0.6, 0.8)):  # joints between slabs
        row = int(share * height)
        wall[row : row + max(1, height // 300)] //= 2
    return wall


WALLS: dict[str, Callable[[np.random.Generator, int, int], ImageArray]] = {
    "plaster": _plaster,
    "brick": _brick,
    "boards": _boards,
    "concrete": _concrete,
}
"""Material → paints it, given height and width."""
