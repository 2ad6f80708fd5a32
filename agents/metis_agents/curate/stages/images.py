"""The stage `images`: every image of a sample can be decoded, and shows something.

Reasons: `missing`, `not_an_image`, `too_large`, `truncated`, `blank`. Bytes, pixels and aspect are looked at before
anything is decoded; then every image is decoded whole, by the project's one decoder, since a check of headers and
checksums misses files that end early. An image of one colour is blank; one that a tool returned may have one colour.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from metis_agents.curate.records import Sample, SampleImage, Verdict, dropped, kept
from metis_agents.curate.stages.stage import SampleStage
from metis_gym.errors import ImageError
from metis_gym.images import decode
from metis_gym.images.containers import open_container
from metis_gym.records import ImageArray
from metis_gym.search.index.dhash import dhash

__all__ = ["ImagesStage", "checked_image"]

_STEP = 31


@dataclass(frozen=True)
class ImagesStage(SampleStage):
    """Drops samples with an image that nobody could see.

    Attributes:
        max_pixels: Largest image.
        max_aspect: Largest ratio of the sides.
    """

    max_pixels: int = 50_000_000
    max_aspect: float = 100.0

    name: ClassVar[str] = "images"
    about: ClassVar[str] = "every image decodes, and shows something"
    is_cheap: ClassVar[bool] = True

    @property
    def settings(self) -> dict[str, Any]:
        """The limits."""
        return {"max_pixels": self.max_pixels, "max_aspect": self.max_aspect}

    def decide(self, sample: Sample) -> Verdict:
        """Decode every image; note the hashes of the question's images."""
        hashes = []
        asked = len(sample.images)
        for number, image in enumerate(sample.all_images):
            where = f"image {number + 1}" if number < asked else f"image {number + 1 - asked} of the results"
            found = checked_image(image, self.max_pixels, self.max_aspect)
            if isinstance(found, tuple):
                return dropped(found[0], f"{where}: {found[1]}")
            if number < asked:
                if _is_blank(found):
                    return dropped("blank", f"{where} has one colour")
                hashes.append(dhash(found).tobytes().hex())
        return kept({"hashes": hashes})


def checked_image(image: SampleImage, max_pixels: int, max_aspect: float) -> ImageArray | tuple[str, str]:
    """The decoded image, or the reason for which there is none and what exactly is wrong."""
    if image.problem:
        return image.problem, image.detail
    if not image.data:
        return "blank", "a file of 0 bytes"
    try:
        container = open_container(image.data)
    except ImageError as error:
        return ("truncated" if _begins_well(image.data) else "not_an_image"), str(error)
    width, height = container.width, container.height
    if min(width, height) < 1:
        return "blank", f"{width} x {height} pixels"
    if width * height > max_pixels or max(width, height) > max_aspect * min(width, height):
        limits = f"at most {max_pixels:,} pixels and an aspect of {max_aspect:g} are taken"
        return "too_large", f"{width} x {height} pixels; {limits}"
    try:
        return decode(image.data, max_pixels=max_pixels)
    except ImageError as error:
        return "truncated", str(error)


_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"RIFF")


def _begins_well(data: bytes) -> bool:
    """Does it begin as an image of a known format, so that it is one that ends early?"""
    return data.startswith(_SIGNATURES)


def _is_blank(image: ImageArray) -> bool:
    """Has every pixel the colour of the first? A few are looked at before all are."""
    colour = image[0, 0]
    return all(bool((part == colour).all()) for part in (image[::_STEP, ::_STEP], image))
