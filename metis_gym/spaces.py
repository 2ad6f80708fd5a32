"""Spaces for text and images as models see them.

`gymnasium.spaces.Text` needs a closed set of characters and `Box` one fixed size; a conversation has neither.
Gymnasium's asynchronous vector environments cannot carry such values through shared memory: they would return blank
text, so these spaces refuse it (`metis_gym.make_vec` sets `shared_memory=False`).
"""

from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
from gymnasium import Space
from gymnasium import spaces as gym_spaces
from gymnasium.spaces.utils import is_space_dtype_shape_equiv
from gymnasium.vector.utils import create_shared_memory

from metis_gym.deprecation import former_names
from metis_gym.errors import ConfigError
from metis_gym.records import ImageArray

__all__ = ["Image", "Images", "Unicode"]

_SAMPLE_ALPHABET = "abcdefghijklmnopqrstuvwxyzäöüßéñ 0123456789.,:;!?+-*/=<>(){}[]\"'\n日本語中文العربيةру"
_SAMPLE_LENGTH = 64
_SAMPLE_SIDE = 32


class Unicode(Space[str]):
    """Text of any Unicode characters up to a length.

    Lone surrogates are not characters and are not in the space.

    Args:
        max_length: Most characters that a text may have.
        seed: Seeds `sample`.

    Raises:
        ConfigError: `max_length` is not positive.
    """

    def __init__(self, max_length: int, seed: int | np.random.Generator | None = None) -> None:
        if max_length < 1:
            raise ConfigError(f"Unicode(max_length) must be at least 1, actually: {max_length}")
        self.max_length = max_length
        super().__init__(None, None, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def sample(self, mask: None = None, probability: None = None) -> str:
        """Draw a short random text."""
        if mask is not None or probability is not None:
            raise ConfigError("Unicode.sample takes no mask and no probability")
        length = int(self.np_random.integers(0, min(self.max_length, _SAMPLE_LENGTH) + 1))
        return "".join(_SAMPLE_ALPHABET[i] for i in self.np_random.integers(0, len(_SAMPLE_ALPHABET), length))

    def contains(self, x: Any) -> bool:
        """Whether `x` is text of at most `max_length` characters, without lone surrogates."""
        return isinstance(x, str) and len(x) <= self.max_length and _is_encodable(x)

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Texts are JSON as they are."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """The inverse of `to_jsonable`."""
        return [str(text) for text in sample_n]

    def __repr__(self) -> str:
        return f"Unicode({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unicode) and self.max_length == other.max_length

    __hash__ = None  # type: ignore[assignment]


class Image(Space[ImageArray]):
    """RGB images, uint8, of any height and width up to a cap.

    Args:
        max_height: Largest height in pixels.
        max_width: Largest width in pixels.
        seed: Seeds `sample`.

    Raises:
        ConfigError: A cap is not positive.
    """

    def __init__(self, max_height: int, max_width: int, seed: int | np.random.Generator | None = None) -> None:
        if max_height < 1 or max_width < 1:
            raise ConfigError(
                f"Image's largest height and width must be at least 1, actually: {max_height}, {max_width}"
            )
        self.max_height, self.max_width = max_height, max_width
        super().__init__(None, np.uint8, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Always false: images differ in size."""
        return False

    def sample(self, mask: None = None, probability: None = None) -> ImageArray:
        """Draw a small image of noise."""
        if mask is not None or probability is not None:
            raise ConfigError("Image.sample takes no mask and no probability")
        height = int(self.np_random.integers(1, min(self.max_height, _SAMPLE_SIDE) + 1))
        width = int(self.np_random.integers(1, min(self.max_width, _SAMPLE_SIDE) + 1))
        return self.np_random.integers(0, 256, (height, width, 3), dtype=np.uint8)

    def contains(self, x: Any) -> bool:
        """Whether `x` is a uint8 array of shape (height, width, 3) within the caps."""
        if not (isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 3 and x.shape[2] == 3):
            return False
        return bool(0 < x.shape[0] <= self.max_height and 0 < x.shape[1] <= self.max_width)

    def to_jsonable(self, sample_n: Iterable[ImageArray]) -> list[Any]:
        """As nested lists of numbers."""
        return [image.tolist() for image in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[ImageArray]:
        """The inverse of `to_jsonable`."""
        return [np.asarray(image, dtype=np.uint8) for image in sample_n]

    def __repr__(self) -> str:
        return f"Image({self.max_height}, {self.max_width})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and (self.max_height, self.max_width) == (other.max_height, other.max_width)

    __hash__ = None  # type: ignore[assignment]


class Images(gym_spaces.Sequence):
    """Any number of images, as a tuple."""

    def __init__(self, image: Image, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(image, seed=seed)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@create_shared_memory.register(Unicode)
@create_shared_memory.register(Image)
@create_shared_memory.register(Images)
def _refuse_shared_memory(space: Space[Any], n: int = 1, ctx: Any = None) -> NoReturn:  # noqa: ARG001
    raise ConfigError(
        f"{space} cannot travel through shared memory. Build the vector environment with "
        "metis_gym.make_vec(...), or pass vector_kwargs={'shared_memory': False} to gymnasium.make_vec."
    )


@is_space_dtype_shape_equiv.register(Unicode)
@is_space_dtype_shape_equiv.register(Image)
def _is_equivalent(space_1: Space[Any], space_2: Space[Any]) -> bool:
    return type(space_1) is type(space_2) and bool(space_1 == space_2)


__getattr__ = former_names(__name__, {"Picture": "Image", "Pictures": "Images"})
