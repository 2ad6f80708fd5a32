"""Places where things stand: photographs, and drawn walls, desks, boards, shelves, skies and lakes.

A place is chosen first and painted later, at half the size of the scene (`metis_envs.scenes.draft`).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from PIL import Image

from metis_envs.scenes import materials
from metis_envs.scenes.background import choose_background
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.materials import Material, fall_of_light
from metis_envs.scenes.photographs import photograph, photographs_of
from metis_gym.records import ImageArray

__all__ = ["SETTINGS", "DrawnPlace", "Place", "choose_place"]

_Rng = np.random.Generator
_PHOTO_SHARE = 0.15
_FITTING_PHOTOS = {"street": ("rocket", "palace")}
"""Setting → photographs that may be such a place. Where a split has none of them, places are drawn."""
_PAINTS: tuple[Colour, ...] = (
    (214, 208, 194), (196, 205, 202), (222, 200, 168), (176, 190, 206), (205, 188, 186), (188, 198, 172),
    (230, 226, 216), (168, 164, 158), (150, 172, 176), (212, 178, 150),
)  # fmt: skip
_WOODS: tuple[tuple[Colour, Colour], ...] = (
    ((92, 58, 32), (178, 126, 78)), ((60, 38, 26), (118, 78, 52)), ((150, 112, 70), (222, 186, 138)),
    ((120, 104, 88), (186, 170, 150)), ((100, 46, 30), (172, 92, 60)), ((168, 146, 116), (232, 214, 186)),
)  # fmt: skip
_BRICKS: tuple[tuple[Colour, Colour], ...] = (
    ((70, 30, 22), (206, 138, 110)), ((96, 70, 50), (226, 200, 160)), ((60, 60, 64), (196, 194, 190)),
    ((110, 104, 98), (244, 240, 232)),
)  # fmt: skip


_Drawn: TypeAlias = tuple[str, Material, Callable[[_Rng, Draft], None] | None]
"""What a place is called, how it is drawn at a quarter of the scene's size, and what puts things on it."""


class Place(Protocol):
    """A place, chosen but not painted yet."""

    @property
    def notes(self) -> str:
        """What it is made of, for people."""
        ...

    def paint_half(self) -> ImageArray:
        """Paint it at half the size of the scene, rounded up; the caller's own."""
        ...


@dataclass(frozen=True)
class DrawnPlace:
    """A place that is drawn.

    Attributes:
        canvas: The size of the scene.
        notes: What it is made of, for people.
        seed: Of all that is random in it.
        draw: Draws it at a quarter of the size of the scene.
        furnish: Puts things on it.
    """

    canvas: Canvas
    notes: str
    seed: int
    draw: Material
    furnish: Callable[[_Rng, Draft], None] | None = None

    def paint_half(self) -> ImageArray:
        """Paint it at half the size of the scene, rounded up; the caller's own."""
        height, width = -(-self.canvas.height // 2), -(-self.canvas.width // 2)
        rng = np.random.default_rng(self.seed)
        far = Image.fromarray(self.draw(rng, -(-height // 2), -(-width // 2)))
        draft = Draft(self.canvas, np.array(far.resize((width, height), Image.Resampling.BILINEAR)))
        if self.furnish is not None:
            self.furnish(rng, draft)
        return draft.pixels


def choose_place(rng: _Rng, canvas: Canvas, split: str, setting: str) -> Place:
    """Choose a place: a photograph, or a drawn one in colours of its own.

    Args:
        rng: Chooses.
        canvas: The size of the scene.
        split: The split whose photographs may be shown.
        setting: One of `SETTINGS`.
    """
    names = {entry.name for entry in photographs_of(split)}
    fitting = tuple(name for name in _FITTING_PHOTOS.get(setting, ()) if name in names)
    if rng.random() < _PHOTO_SHARE and fitting:
        return choose_background(rng, canvas, split, among=fitting)
    name, draw, furnish = _DRAWN[setting](rng, split)
    return DrawnPlace(canvas, f"drawn {name}", int(rng.integers(1 << 31)), draw, furnish)


def _draws(material: Material) -> Material:
    def draw(rng: _Rng, height: int, width: int) -> ImageArray:
        pixels = material(rng, height, width)
        first, second, third, fourth = rng.uniform(0.72, 1.08, size=4)
        return fall_of_light(pixels, first, second, third, fourth)

    return draw


def _surface(rng: _Rng, split: str) -> tuple[str, Material]:
    """The surface of a wall."""
    kind = int(rng.integers(5))
    if kind == 0:
        dark, light = _BRICKS[int(rng.integers(len(_BRICKS)))]
        if split == "train":
            name = "brick wall (photograph: bricks)"
            return name, materials.photographed("bricks", dark, light, enlarged=float(rng.uniform(1.0, 1.7)))
        name = "gabion wall (photograph: gravel)"
        return name, materials.photographed("gravel", dark, light, enlarged=float(rng.uniform(1.0, 1.2)))
    if kind == 1:
        grey = int(rng.integers(120, 190))
        return "concrete wall", materials.concrete((grey, grey - 3, grey - 8))
    if kind == 2:
        dark, light = _WOODS[int(rng.integers(len(_WOODS)))]
        return "wooden wall", materials.wood(
            dark, light, planks=int(rng.integers(5, 12)), upright=bool(rng.random() < 0.6)
        )
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    return "painted wall", materials.plaster(paint, rough=float(rng.uniform(8, 26)))


def _bare(rng: _Rng, split: str) -> _Drawn:
    """A wall with nothing on it."""
    name, surface = _surface(rng, split)
    return name, _draws(surface), None


def _wall(rng: _Rng, split: str) -> _Drawn:
    """A wall indoors, mostly with a picture on it."""
    name, surface = _surface(rng, split)
    photos = [entry.name for entry in photographs_of(split)]
    shown = photos[int(rng.integers(len(photos)))] if rng.random() < 0.6 else None
    if shown is None:
        return name, _draws(surface), None
    return f"{name}, with a photograph: {shown}", _draws(surface), functools.partial(_hang, name=shown)


def _hang(rng: _Rng, draft: Draft, name: str) -> None:
    """Hang a framed photograph somewhere on a wall, or lay a print on a desk."""
    canvas = draft.canvas
    photo = Image.fromarray(photograph(name))
    width = canvas.width * rng.uniform(0.25, 0.5)
    height = width * photo.height / photo.width
    left = rng.uniform(-0.3 * width, canvas.width - 0.7 * width)
    top = rng.uniform(-0.3 * height, canvas.height - 0.6 * height)
    frame, mount = canvas.px(rng.uniform(2, 5)), canvas.px(rng.uniform(0, 8))
    wood = int(rng.integers(20, 120))

    def box(inset: float) -> list[tuple[float, float]]:
        a, b, c, d = left + inset, top + inset, left + width - inset, top + height - inset
        return [(a, b), (c, b), (c, d), (a, d)]

    draft.shadow(box(0), blur=canvas.px(5), drop=(canvas.px(2), canvas.px(4)))
    draft.fill(box(0), (wood, round(0.8 * wood), round(0.62 * wood)), light=(1.3, 1.1, 0.9, 1.0))
    draft.fill(box(frame), (240, 238, 230), light=(0.86, 0.95, 1.0, 0.95))
    draft.place(box(frame + mount), photo)


def _street(rng: _Rng, split: str) -> _Drawn:
    """A wall outdoors, mostly with a pavement before it."""
    name, surface = _surface(rng, split)
    plain = _draws(surface)
    share = float(rng.uniform(0.06, 0.2)) if rng.random() < 0.7 else 0.0
    grey = int(rng.integers(90, 150))

    def draw(rng: _Rng, height: int, width: int) -> ImageArray:
        pixels = plain(rng, height, width)
        ground = round(share * height)
        if ground:
            pavement = materials.concrete((grey, grey, grey - 4))(rng, ground, width)
            pixels[-ground:] = fall_of_light(pavement, 0.7, 0.7, 1.05, 1.05)
            edge = pixels[-ground - 2 : -ground]
            edge[:] = edge // 3
        return pixels

    return name + (" and pavement" if share else ""), draw, None


def _desk(rng: _Rng, split: str) -> _Drawn:
    """A desk seen from above, with a photograph or a pencil on it."""
    dark, light = _WOODS[int(rng.integers(len(_WOODS)))]
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    is_wood = rng.random() < 0.75
    top = materials.wood(dark, light, planks=int(rng.integers(1, 6))) if is_wood else materials.plaster(paint, rough=8)
    photos = [entry.name for entry in photographs_of(split)]
    shown = photos[int(rng.integers(len(photos)))] if rng.random() < 0.4 else None
    has_pencil = bool(rng.random() < 0.7)

    def furnish(rng: _Rng, draft: Draft) -> None:
        if shown:
            _hang(rng, draft, shown)
        if has_pencil:
            _drop_pencil(rng, draft)

    return "desk" + (f", with a photograph: {shown}" if shown else ""), _draws(top), furnish


def _drop_pencil(rng: _Rng, draft: Draft) -> None:
    canvas = draft.canvas
    angle, length, thick = rng.uniform(0, np.pi), canvas.px(rng.uniform(120, 170)), canvas.px(6)
    start = np.array([rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)])
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]]) * thick / 2
    colour = ((206, 160, 34), (170, 40, 36), (40, 96, 70), (38, 60, 120))[int(rng.integers(4))]

    def strip(begin: float, end: float, narrow: float = 1.0) -> list[tuple[float, float]]:
        near, far = start + along * begin, start + along * end
        points = (near - across, near + across, far + across * narrow, far - across * narrow)
        return [(float(x), float(y)) for x, y in points]

    draft.shadow(strip(0, length), blur=canvas.px(3), drop=(canvas.px(1), canvas.px(3)), strength=0.5)
    draft.fill(strip(0, 0.05 * length), (214, 138, 134))
    draft.fill(strip(0.05 * length, 0.08 * length), (180, 178, 170))
    draft.fill(strip(0.08 * length, 0.9 * length), colour, light=(1.2, 1.1, 0.9, 1.0))
    draft.fill(strip(0.9 * length, length, 0.15), (222, 190, 150))
    draft.fill(strip(0.975 * length, length, 0.2), (50, 48, 48))


def _board(rng: _Rng, _split: str) -> _Drawn:
    """A notice board."""
    if rng.random() < 0.6:
        return "notice board of cork", _draws(materials.cork()), None
    green = int(rng.integers(40, 110))
    felt = materials.concrete((green - 20, green, green + int(rng.integers(-20, 40))))
    return "notice board of felt", _draws(felt), None


def _sky(rng: _Rng, _split: str) -> _Drawn:
    """A sky over hills."""
    blue = (int(rng.integers(70, 130)), int(rng.integers(130, 170)), int(rng.integers(190, 225)))
    material = materials.sky(blue, (244, 244, 242), cover=float(rng.uniform(0.1, 0.9)))
    share = float(rng.uniform(0.08, 0.2))
    green = int(rng.integers(70, 110))

    def draw(rng: _Rng, height: int, width: int) -> ImageArray:
        pixels = material(rng, height, width)
        for depth in (1.0, 0.7, 0.4):
            haze = max(0.0, depth - 0.4)
            near = (round(green * 0.72), green, round(0.5 * green))
            _raise_hills(rng, pixels, round(share * depth * height), near, haze)
        return pixels

    return "sky over hills", draw, None


def _raise_hills(rng: _Rng, pixels: ImageArray, rise: int, colour: Colour, haze: float) -> None:
    """Raise wooded hills at the lower edge, in place; `haze` is how far they have the colour of the sky, up to 1."""
    height, width = pixels.shape[:2]
    rise = max(2, rise)
    crest = np.zeros(width)
    for spots, weight in ((6, 0.75), (25, 0.17), (max(30, width // 3), 0.08)):
        drawn = Image.fromarray(rng.integers(40, 256, (1, spots), dtype=np.uint8))
        crest += weight * np.asarray(drawn.resize((width, 1), Image.Resampling.BICUBIC))[0] * rise / 255
    far = tuple(round(part + haze * (hazy - part)) for part, hazy in zip(colour, (176, 194, 206), strict=True))
    land = materials.wooded((far[0], far[1], far[2]), rough=46 * (1 - 0.8 * haze))(rng, rise, width)
    below = np.arange(rise)[:, None] >= rise - crest[None, :]
    part = pixels[height - rise :]
    part[below] = land[below]


def _water(rng: _Rng, _split: str) -> _Drawn:
    """A lake under a sky."""
    blue = (int(rng.integers(90, 140)), int(rng.integers(140, 175)), int(rng.integers(190, 220)))
    above = materials.sky(blue, (240, 240, 238), cover=float(rng.uniform(0.1, 0.9)))
    tone = rng.integers(-18, 19, size=3)
    dark = (30 + int(tone[0]), 70 + int(tone[1]), 96 + int(tone[2]))
    below = materials.water(dark, (dark[0] + 110, dark[1] + 104, dark[2] + 100))
    share = float(rng.uniform(0.14, 0.24))

    def draw(rng: _Rng, height: int, width: int) -> ImageArray:
        horizon = round(share * height)
        pixels = np.concatenate([above(rng, horizon, width), below(rng, height - horizon, width)])
        _raise_hills(rng, pixels[:horizon], round(0.5 * horizon), (66, 96, 62), 0.6)
        _raise_hills(rng, pixels[:horizon], round(0.25 * horizon), (56, 84, 50), 0.25)
        return pixels

    return "lake", draw, None


_DRAWN: dict[str, Callable[[_Rng, str], _Drawn]] = {
    "street": _street,
    "bare wall": _bare,
    "wall": _wall,
    "desk": _desk,
    "board": _board,
    "sky": _sky,
    "water": _water,
}

SETTINGS = tuple(_DRAWN)
"""What places there are to choose from."""
