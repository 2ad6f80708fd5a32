"""The default image collection: some six thousand images.

Landmarks of the default corpus, drawn, with their names as titles; for every fifth a near-copy on another page, cropped
or of another brightness; and pieces of the real photographs, titled as what they are.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from PIL import Image

from metis_envs.scenes.photographs import PHOTOGRAPHS, photograph
from metis_envs.world.corpus import generated_things
from metis_envs.world.landmarks import draw_landmark
from metis_envs.world.names import choose
from metis_envs.world.things import Thing
from metis_gym.records import ImageArray, TitledImage

__all__ = ["LANDMARKS", "DefaultCollection", "image_of"]

GENERATION = 2
"""Raise this whenever any image or title is made differently."""

LANDMARKS = 4_000
PIECES = 56
"""Pieces of each photograph."""

_WIDTH, _HEIGHT = 192, 144
_COPY_SHARE = 0.2
_SEED = 20_260_102


class DefaultCollection:
    """The collection `default`.

    Args:
        landmarks: How many landmarks there are.
        pieces: How many pieces of each photograph.
    """

    def __init__(self, *, landmarks: int = LANDMARKS, pieces: int = PIECES) -> None:
        self.landmarks, self.pieces = landmarks, pieces

    @property
    def version(self) -> str:
        """Changes whenever the images do."""
        is_usual = (self.landmarks, self.pieces) == (LANDMARKS, PIECES)
        return str(GENERATION) if is_usual else f"{GENERATION}-{self.landmarks}-{self.pieces}"

    def images(self) -> Iterator[TitledImage]:
        """Landmarks with their copies first, then pieces of photographs.

        Raises:
            MissingDependencyError: The packages that ship the photographs are not installed.
        """
        pieces = list(_pieces(np.random.default_rng([_SEED, 0]), self.pieces))  # first: a package may be missing
        rng = np.random.default_rng([_SEED, 1])
        for thing in islice(generated_things(), self.landmarks):
            image = image_of(thing, _WIDTH, _HEIGHT)
            yield TitledImage(title=f"{thing.name}, {thing.town}", image=image, link=_link("gallery", thing))
            if rng.random() < _COPY_SHARE:
                title = f"Postcard: the {thing.name} in {thing.town}"
                yield TitledImage(title=title, image=_copied(rng, image), link=_link("postcards", thing))
        yield from pieces


def image_of(thing: Thing, width: int, height: int) -> ImageArray:
    """The image of a thing of the corpus; its look follows from its name and town.

    Returns:
        Shape (height, width, 3), uint8.
    """
    rng = np.random.default_rng(list(thing.full_name.encode()))
    return draw_landmark(rng, thing.kind, width, height)


def _copied(rng: np.random.Generator, image: ImageArray) -> ImageArray:
    """A little cropped, and a little brighter or darker."""
    height, width = image.shape[:2]
    left, top = int(0.06 * width * rng.random()), int(0.06 * height * rng.random())
    right, bottom = width - int(0.06 * width * rng.random()), height - int(0.06 * height * rng.random())
    factor = choose(rng, (0.8, 0.9, 1.1, 1.2))
    table = np.clip(np.arange(256) * factor, 0, 255).astype(np.uint8)
    return np.asarray(table[image[top:bottom, left:right]])


def _pieces(rng: np.random.Generator, count: int) -> Iterator[TitledImage]:
    for entry in PHOTOGRAPHS:
        whole = photograph(entry.name)
        for number in range(1, count + 1):
            title = f"Photograph: {entry.name} ({entry.terms}), piece {number}"
            yield TitledImage(title=title, image=_piece(rng, whole), link=f"photographs:{entry.name}#{number}")


def _piece(rng: np.random.Generator, whole: ImageArray) -> ImageArray:
    height, width = whole.shape[:2]
    share = 0.3 + 0.5 * rng.random()
    wide, high = int(width * share), int(height * share)
    left, top = int((width - wide) * rng.random()), int((height - high) * rng.random())
    piece = Image.fromarray(whole[top : top + high, left : left + wide])
    piece.thumbnail((_WIDTH, _WIDTH))
    return np.array(piece, dtype=np.uint8)


def _link(site: str, thing: Thing) -> str:
    return f"https://{site}.example/{thing.full_name.casefold().replace(' ', '-')}"
