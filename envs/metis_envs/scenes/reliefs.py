"""Reliefs: how light falls on things that are round, folded or boxed, as grey images around 128.

A thing is drawn flat; its relief then lightens and darkens what was drawn. Reliefs are computed once.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metis_envs.scenes.noise import clouds
from metis_gym.records import ImageArray

__all__ = ["RELIEFS", "Relief", "light_up"]

_SIDE = 192
_VARIANTS = 6
_GAIN = 128

Relief = str
RELIEFS: tuple[Relief, ...] = ("ball", "tube", "cloth", "sail", "box", "foil")
"""What a thing may be like: a ball of gores, a tube, hanging cloth, a full sail, a box, a stretched foil."""


def light_up(pixels: ImageArray, flat: ImageArray, relief: Relief, variant: int) -> None:
    """Light what was drawn on a part of a scene, in place.

    Args:
        pixels: The part, with the thing drawn on it.
        flat: The same part before that.
        relief: One of `RELIEFS`.
        variant: Which folds and dents it has.
    """
    height, width = pixels.shape[:2]
    light = _relief(relief, variant % _VARIANTS).resize((width, height), Image.Resampling.BILINEAR)
    red, green, blue = (pixels[..., channel] != flat[..., channel] for channel in range(3))
    gain = np.where(red | green | blue, np.asarray(light, dtype=np.uint16), _GAIN).astype(np.uint16)
    for channel in range(3):
        pixels[..., channel] = np.minimum(pixels[..., channel] * gain // _GAIN, 255)


@functools.cache
def _relief(relief: Relief, variant: int) -> Image.Image:
    rng = np.random.default_rng([RELIEFS.index(relief), variant])
    across, down = np.meshgrid(np.linspace(-1, 1, _SIDE), np.linspace(-1, 1, _SIDE))
    light = _FORMS[relief](rng, across, down) * (1 + 0.05 * _noise(rng, (40, 40), (12, 12), (5, 5)))
    return Image.fromarray(np.clip(_GAIN * light, 0, 255).astype(np.uint8))


def _noise(rng: np.random.Generator, *sizes: tuple[float, float]) -> NDArray[np.float64]:
    """Smooth noise from -1 to 1."""
    return (np.asarray(clouds(rng, _SIDE, _SIDE, sizes, step=1), dtype=np.float64) - 128) / 128


def _slope(rng: np.random.Generator, *sizes: tuple[float, float]) -> NDArray[np.float64]:
    """How noise rises from left to right, about -1 to 1."""
    rise = np.gradient(_noise(rng, *sizes), axis=1)
    slope: NDArray[np.float64] = rise / (3 * rise.std() + 1e-9)
    return slope


def _ball(rng: np.random.Generator, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lit from the upper left; gores bulge between their seams."""
    x, y = across / 0.86, (down + 0.16) / 0.84
    depth = np.sqrt(np.clip(1 - x**2 - y**2, 0.0, 1.0))
    along = np.arcsin(np.clip(x / np.sqrt(np.clip(1 - y**2, 1e-3, 1.0)), -1, 1))
    gore = along * 7 / np.pi * 2 + rng.uniform(0, 1)
    bulge = (gore - np.floor(gore)) - 0.5
    lambert = np.clip(-0.5 * x - 0.55 * y + 0.67 * depth, 0.0, 1.0)
    light: NDArray[np.float64] = 0.46 + 0.72 * lambert - 0.2 * bulge * (0.4 + depth) - 0.5 * np.abs(bulge) ** 3
    return light + 0.1 * np.clip(y, 0, 1)


def _tube(rng: np.random.Generator, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.clip(across / 0.88, -1, 1)
    lambert = np.clip(-0.5 * x + 0.86 * np.sqrt(1 - x**2), 0.0, 1.0)
    shine = np.exp(-((x + rng.uniform(0.35, 0.5)) ** 2) / 0.012) * 0.22
    light: NDArray[np.float64] = 0.36 + 0.74 * lambert + shine + 0.06 * _slope(rng, (30, 24)) - 0.06 * down
    return light


def _cloth(rng: np.random.Generator, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Long folds that deepen downwards and run a little askew."""
    folds = _slope(rng, (150, 52), (90, 30)) * (0.5 + 0.3 * down)
    dents = _slope(rng, (60, 60)) * 0.12
    light: NDArray[np.float64] = 0.92 + 0.36 * folds + dents
    return light - 0.12 * across - 0.16 * across**2 - 0.05 * down


def _sail(rng: np.random.Generator, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    belly = 0.16 * np.cos(2.4 * (across + 0.25 * down + rng.uniform(-0.2, 0.2)))
    seams = np.where(((down - 0.12 * across) * 4.5) % 1 < 0.05, -0.07, 0.0)
    light: NDArray[np.float64] = 0.86 + belly + 0.09 * _slope(rng, (50, 60), (22, 26)) + seams
    return light - 0.08 * down


def _box(rng: np.random.Generator, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Darker towards its edges and below, worn, with dents."""
    edge = np.maximum(np.abs(across), np.abs(down))
    dents = 0.08 * _slope(rng, (50, 50), (20, 24))
    light: NDArray[np.float64] = 0.98 - 0.16 * down - 0.06 * across - 0.12 * np.clip(edge - 0.75, 0, 1) / 0.25
    return light + dents


def _foil(rng: np.random.Generator, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wrinkles that run from the spars to the corners."""
    turned = np.arctan2(down + 0.15, across)
    rays = 0.05 * np.sin(7 * turned + 3 * _noise(rng, (70, 70)))
    light: NDArray[np.float64] = 0.94 + rays + 0.1 * _slope(rng, (40, 30)) - 0.1 * (across + down)
    return light


_FORMS = {"ball": _ball, "tube": _tube, "cloth": _cloth, "sail": _sail, "box": _box, "foil": _foil}
