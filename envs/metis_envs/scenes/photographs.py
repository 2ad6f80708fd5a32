"""The real photographs that scenes are drawn on: public-domain and CC0 images, and two under CC BY 2.0.

They come with scikit-image and scikit-learn; nothing is downloaded and nothing is shipped by this package. The splits
share no part of a photograph: "train" sees the left 70 % of each, "test" the right 30 %.
"""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from metis_gym.errors import MissingDependencyError
from metis_gym.images import decode_file
from metis_gym.records import ImageArray

__all__ = ["PHOTOGRAPHS", "Photograph", "photograph"]

_TRAIN_SHARE = 0.7


@dataclass(frozen=True)
class Photograph:
    """A photograph and its terms.

    Attributes:
        name: Short name.
        package: The package that ships it.
        path: File inside that package.
        terms: Licence, and the author where the licence asks for it.
    """

    name: str
    package: str
    path: str
    terms: str


_SKIMAGE, _SKLEARN = "scikit-image", "scikit-learn"
_PUBLIC, _CC0 = "public domain", "CC0"

PHOTOGRAPHS = (
    Photograph("astronaut", _SKIMAGE, "data/astronaut.png", f"{_PUBLIC} (NASA)"),
    Photograph("rocket", _SKIMAGE, "data/rocket.jpg", f"{_PUBLIC} (SpaceX)"),
    Photograph("galaxies", _SKIMAGE, "data/hubble_deep_field.jpg", f"{_PUBLIC} (NASA)"),
    Photograph("clock", _SKIMAGE, "data/clock_motion.png", f"{_PUBLIC} (Stefan van der Walt)"),
    Photograph("photographer", _SKIMAGE, "data/camera.png", f"{_CC0} (Lav Varshney)"),
    Photograph("cat", _SKIMAGE, "data/chelsea.png", f"{_CC0} (Stefan van der Walt)"),
    Photograph("coffee", _SKIMAGE, "data/coffee.png", f"{_CC0} (Rachel Michetti)"),
    Photograph("retina", _SKIMAGE, "data/retina.jpg", f"{_CC0} (Mikael Häggström)"),
    Photograph("cell", _SKIMAGE, "data/cell.png", f"{_CC0} (Paul Müller and others)"),
    Photograph("bricks", _SKIMAGE, "data/brick.png", f"{_CC0} (CC0Textures)"),
    Photograph("grass", _SKIMAGE, "data/grass.png", f"{_CC0} (linolafett, DeviantArt)"),
    Photograph("gravel", _SKIMAGE, "data/gravel.png", f"{_CC0} (CC0Textures)"),
    Photograph("coins", _SKIMAGE, "data/coins.png", "no known restrictions (Brooklyn Museum)"),
    Photograph("tissue", _SKIMAGE, "data/ihc.png", "no known restrictions (CMMI)"),
    Photograph("palace", _SKLEARN, "datasets/images/china.jpg", "CC BY 2.0 (danielbuechele, flickr)"),
    Photograph("dahlia", _SKLEARN, "datasets/images/flower.jpg", "CC BY 2.0 (vultilion, flickr)"),
)
"""All photographs in use. The README repeats the credits."""

_MODULES = {_SKIMAGE: "skimage", _SKLEARN: "sklearn"}


@functools.lru_cache(maxsize=64)
def photograph(name: str, split: str) -> ImageArray:
    """The part of a photograph that a split may use, read-only.

    Args:
        name: One of the names in `PHOTOGRAPHS`.
        split: "train" or "test".

    Returns:
        Shape (height, width, 3), uint8.

    Raises:
        MissingDependencyError: The package that ships it is not installed.
    """
    entry = next(entry for entry in PHOTOGRAPHS if entry.name == name)
    pixels = decode_file(_folder(entry.package) / entry.path)
    border = int(pixels.shape[1] * _TRAIN_SHARE)
    part = pixels[:, :border] if split == "train" else pixels[:, border:]
    part.flags.writeable = False
    return part


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(_MODULES[package])
    if found is None or found.origin is None:
        raise MissingDependencyError.of(package, "envs", "Drawing tasks on real photographs")
    return Path(found.origin).parent
