"""The real photographs that scenes are made with: public-domain and CC0 images, and two under CC BY 2.0.

They come with scikit-image, scikit-learn and matplotlib; nothing is downloaded and nothing is shipped by this package.
The splits share no photograph: each belongs to one of them.
"""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from metis_gym.errors import MissingDependencyError
from metis_gym.images import decode_file
from metis_gym.records import ImageArray

__all__ = ["PHOTOGRAPHS", "Photograph", "photograph", "photographs_of"]


@dataclass(frozen=True)
class Photograph:
    """A photograph and its terms.

    Attributes:
        name: Short name.
        package: The package that ships it.
        path: File inside that package.
        terms: Licence, and the author where the licence asks for it.
        split: "train" or "test": the split that may show it.
        is_texture: A surface without a subject: it is used as a material of things, never as a scene.
    """

    name: str
    package: str
    path: str
    terms: str
    split: str
    is_texture: bool = False


_SKIMAGE, _SKLEARN, _MATPLOTLIB = "scikit-image", "scikit-learn", "matplotlib"
_PUBLIC, _CC0 = "public domain", "CC0"
_TRAIN, _TEST = "train", "test"

PHOTOGRAPHS = (
    Photograph("astronaut", _SKIMAGE, "data/astronaut.png", f"{_PUBLIC} (NASA)", _TRAIN),
    Photograph("rocket", _SKIMAGE, "data/rocket.jpg", f"{_PUBLIC} (SpaceX)", _TRAIN),
    Photograph("galaxies", _SKIMAGE, "data/hubble_deep_field.jpg", f"{_PUBLIC} (NASA)", _TRAIN),
    Photograph("clock", _SKIMAGE, "data/clock_motion.png", f"{_PUBLIC} (Stefan van der Walt)", _TEST),
    Photograph("photographer", _SKIMAGE, "data/camera.png", f"{_CC0} (Lav Varshney)", _TRAIN),
    Photograph("cat", _SKIMAGE, "data/chelsea.png", f"{_CC0} (Stefan van der Walt)", _TRAIN),
    Photograph("coffee", _SKIMAGE, "data/coffee.png", f"{_CC0} (Rachel Michetti)", _TEST),
    Photograph("retina", _SKIMAGE, "data/retina.jpg", f"{_CC0} (Mikael Häggström)", _TRAIN),
    Photograph("cell", _SKIMAGE, "data/cell.png", f"{_CC0} (Paul Müller and others)", _TEST),
    Photograph("bricks", _SKIMAGE, "data/brick.png", f"{_CC0} (CC0Textures)", _TRAIN, is_texture=True),
    Photograph("grass", _SKIMAGE, "data/grass.png", f"{_CC0} (linolafett, DeviantArt)", _TRAIN, is_texture=True),
    Photograph("gravel", _SKIMAGE, "data/gravel.png", f"{_CC0} (CC0Textures)", _TEST, is_texture=True),
    Photograph("coins", _SKIMAGE, "data/coins.png", "no known restrictions (Brooklyn Museum)", _TRAIN),
    Photograph("tissue", _SKIMAGE, "data/ihc.png", "no known restrictions (CMMI)", _TEST),
    Photograph("palace", _SKLEARN, "datasets/images/china.jpg", "CC BY 2.0 (danielbuechele, flickr)", _TEST),
    Photograph("dahlia", _SKLEARN, "datasets/images/flower.jpg", "CC BY 2.0 (vultilion, flickr)", _TEST),
    Photograph("admiral", _MATPLOTLIB, "mpl-data/sample_data/grace_hopper.jpg", f"{_PUBLIC} (US Navy)", _TEST),
)
"""All photographs in use. The README repeats the credits."""

_MODULES = {_SKIMAGE: "skimage", _SKLEARN: "sklearn", _MATPLOTLIB: "matplotlib"}


def photographs_of(split: str, *, textures: bool = False) -> tuple[Photograph, ...]:
    """The photographs of a split: those with a subject, or the textures.

    >>> [entry.name for entry in photographs_of("train", textures=True)]
    ['bricks', 'grass']
    """
    return tuple(entry for entry in PHOTOGRAPHS if entry.split == split and entry.is_texture == textures)


@functools.lru_cache(maxsize=64)
def photograph(name: str) -> ImageArray:
    """A whole photograph, read-only.

    Args:
        name: One of the names in `PHOTOGRAPHS`.

    Returns:
        Shape (height, width, 3), uint8.

    Raises:
        MissingDependencyError: The package that ships it is not installed.
    """
    entry = next(entry for entry in PHOTOGRAPHS if entry.name == name)
    pixels = decode_file(_folder(entry.package) / entry.path)
    pixels.flags.writeable = False
    return pixels


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(_MODULES[package])
    if found is None or found.origin is None:
        raise MissingDependencyError.of(package, "envs", "Drawing tasks on real photographs")
    return Path(found.origin).parent
