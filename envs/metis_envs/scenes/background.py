"""Backgrounds: enlargements of photographs, and mosaics of several where one would be enlarged too far."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.photographs import PHOTOGRAPHS, photograph
from metis_gym.records import Box, ImageArray

__all__ = ["Background", "choose_background"]

_MAX_TILE = 1_400


@dataclass(frozen=True)
class _Tile:
    """A piece of a photograph (`piece`, in its own pixels) and where it goes (`place`, in pixels of the scene)."""

    name: str
    piece: Box
    place: Box


@dataclass(frozen=True)
class Background:
    """A background, chosen but not painted yet.

    Attributes:
        canvas: The size of the scene.
        split: Which part of each photograph is used.
        tiles: What goes where.
    """

    canvas: Canvas
    split: str
    tiles: tuple[_Tile, ...]

    @property
    def notes(self) -> str:
        """What it is made of, for people."""
        names = ", ".join(tile.name for tile in self.tiles)
        count = len(self.tiles)
        return f"mosaic of {count} enlarged photographs: {names}" if count > 1 else f"enlarged photograph: {names}"

    def paint(self) -> ImageArray:
        """Paint it: shape (height, width, 3), uint8, the caller's own."""
        scene = np.empty((self.canvas.height, self.canvas.width, 3), dtype=np.uint8)
        for tile in self.tiles:
            left, top, right, bottom = tile.place
            scene[top:bottom, left:right] = _enlarged(tile, right - left, bottom - top, self.split)
        return scene


def _enlarged(tile: _Tile, width: int, height: int, split: str) -> ImageArray:
    """Smoothly to half the size, then each pixel doubled: a photograph enlarged this far has no finer detail."""
    photo = Image.fromarray(photograph(tile.name, split))
    half = photo.resize((width // 2, height // 2), Image.Resampling.BILINEAR, box=tile.piece)
    return np.asarray(half.resize((width, height), Image.Resampling.NEAREST))


def choose_background(rng: np.random.Generator, canvas: Canvas, split: str) -> Background:
    """Choose photographs and the pieces of them that are to be enlarged.

    Args:
        rng: Chooses.
        canvas: The size of the scene.
        split: Which part of each photograph may be used.
    """
    columns, rows = math.ceil(canvas.width / _MAX_TILE), math.ceil(canvas.height / _MAX_TILE)
    tiles = []
    for index, chosen in enumerate(rng.choice(len(PHOTOGRAPHS), size=columns * rows, replace=False)):
        row, column = divmod(index, columns)
        left, right = column * canvas.width // columns, (column + 1) * canvas.width // columns
        top, bottom = row * canvas.height // rows, (row + 1) * canvas.height // rows
        name = PHOTOGRAPHS[int(chosen)].name
        tiles.append(_Tile(name, _piece(rng, name, right - left, bottom - top, split), (left, top, right, bottom)))
    return Background(canvas, split, tuple(tiles))


def _piece(rng: np.random.Generator, name: str, width: int, height: int, split: str) -> Box:
    """A random piece of one photograph with the aspect ratio of (width, height)."""
    full_height, full_width = photograph(name, split).shape[:2]
    largest = min(full_width / width, full_height / height)
    scale = largest * rng.uniform(0.7, 1.0)
    piece_width, piece_height = max(1, int(width * scale)), max(1, int(height * scale))
    left = int(rng.integers(0, full_width - piece_width + 1))
    top = int(rng.integers(0, full_height - piece_height + 1))
    return left, top, left + piece_width, top + piece_height
