"""Backgrounds: enlargements of photographs, and mosaics of several where one would be enlarged too far."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from metis_envs.scenes.photographs import PHOTOGRAPHS, photograph
from metis_gym.records import PictureArray

__all__ = ["Background", "paint_background"]

_LARGEST_TILE = 1_400


@dataclass(frozen=True, eq=False)
class Background:
    """A painted background.

    Attributes:
        pixels: Shape (height, width, 3), uint8; the caller's own copy.
        notes: What it is made of, for people: "mosaic of 4 photographs".
    """

    pixels: PictureArray
    notes: str


def paint_background(rng: np.random.Generator, width: int, height: int, split: str) -> Background:
    """Cut pieces out of photographs and enlarge them to the size of the scene.

    Args:
        rng: Chooses photographs and pieces.
        width: Width in pixels.
        height: Height in pixels.
        split: Which part of each photograph may be used.
    """
    columns, rows = math.ceil(width / _LARGEST_TILE), math.ceil(height / _LARGEST_TILE)
    names = [entry.name for entry in PHOTOGRAPHS]
    chosen = [names[i] for i in rng.choice(len(names), size=columns * rows, replace=False)]
    scene = Image.new("RGB", (width, height), None)
    for index, name in enumerate(chosen):
        row, column = divmod(index, columns)
        left, right = column * width // columns, (column + 1) * width // columns
        top, bottom = row * height // rows, (row + 1) * height // rows
        scene.paste(_piece(rng, name, right - left, bottom - top, split), (left, top))
    listed = ", ".join(chosen)
    notes = (
        f"mosaic of {len(chosen)} enlarged photographs: {listed}"
        if len(chosen) > 1
        else f"enlarged photograph: {listed}"
    )
    return Background(np.array(scene, dtype=np.uint8), notes)


def _piece(rng: np.random.Generator, name: str, width: int, height: int, split: str) -> Image.Image:
    """A random piece of one photograph with the aspect ratio of (width, height), enlarged to it."""
    photo = photograph(name, split)
    full_height, full_width = photo.shape[:2]
    largest = min(full_width / width, full_height / height)
    scale = largest * rng.uniform(0.7, 1.0)
    piece_width, piece_height = max(1, int(width * scale)), max(1, int(height * scale))
    left = int(rng.integers(0, full_width - piece_width + 1))
    top = int(rng.integers(0, full_height - piece_height + 1))
    box = (left, top, left + piece_width, top + piece_height)
    return Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR, box=box)
