"""A conversation as the model sees it: token ids, positions, images, and which of the tokens are the model's own.

Token-in, token-out: what was sampled is kept as ids and never decoded and encoded again, so that what is trained is
what was sampled, over turns and returned images.

Axes: T tokens; 3 = temporal, height, width (the rows of Qwen3-VL's positions).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metis_gym.records import ImageArray

__all__ = ["EncodedImage", "Tokens", "head", "join", "tail"]


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image at the size at which the model takes it.

    Attributes:
        pixels: Shape (16·rows, 16·columns, 3), uint8, for a patch of 16 pixels.
        rows: Rows of patches.
        columns: Columns of patches.
        name: The fingerprint of `pixels`: images of one name are one image.
    """

    pixels: ImageArray
    rows: int
    columns: int
    name: str


@dataclass(frozen=True, eq=False)
class Tokens:
    """A conversation, or a piece of one; the positions of a piece begin at 0.

    Attributes:
        ids_T: Token ids; an image is a run of the image token.
        positions_3T: Multimodal rotary positions.
        is_model_token_T: True where the model itself wrote the token.
        logprobs_T: What the engine said of the tokens that it sampled; 0 elsewhere.
        images: The images in order.
        places: Where the tokens of each image begin.
    """

    ids_T: NDArray[np.int64]
    positions_3T: NDArray[np.int64]
    is_model_token_T: NDArray[np.bool_]
    logprobs_T: NDArray[np.float32]
    images: tuple[EncodedImage, ...] = ()
    places: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids_T)

    @property
    def model_tokens(self) -> int:
        """How many tokens the model wrote."""
        return int(self.is_model_token_T.sum())

    @property
    def prompt_length(self) -> int:
        """How many tokens stand before the first one of the model's; all where it wrote none."""
        return int(np.argmax(self.is_model_token_T)) if self.is_model_token_T.any() else len(self)

    @property
    def end_position(self) -> int:
        """The position at which the next token stands; the last token is never an image's."""
        return int(self.positions_3T[:, -1].max()) + 1 if len(self) else 0

    def then(self, piece: "Tokens") -> "Tokens":
        """This conversation with a piece behind it."""
        return join([self, piece])


def join(pieces: Sequence[Tokens]) -> Tokens:
    """Pieces one behind the other, each at the positions that follow the one before."""
    positions = np.cumsum([0, *(piece.end_position for piece in pieces[:-1])])
    offsets = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
    shifted = [piece.positions_3T + start for piece, start in zip(pieces, positions, strict=True)]
    places = [place + int(offset) for piece, offset in zip(pieces, offsets, strict=True) for place in piece.places]
    return Tokens(
        ids_T=np.concatenate([piece.ids_T for piece in pieces]),
        positions_3T=np.concatenate(shifted, axis=1),
        is_model_token_T=np.concatenate([piece.is_model_token_T for piece in pieces]),
        logprobs_T=np.concatenate([piece.logprobs_T for piece in pieces]),
        images=tuple(image for piece in pieces for image in piece.images),
        places=tuple(places),
    )


def tail(tokens: Tokens, start: int) -> Tokens:
    """What stands from a token on, at its true positions; `start` must not lie inside an image."""
    if start == 0:
        return tokens
    return _part(tokens, slice(start, len(tokens)))


def head(tokens: Tokens, end: int) -> Tokens:
    """What stands before a token; `end` must not lie inside an image."""
    return _part(tokens, slice(0, end))


def _part(tokens: Tokens, part: slice) -> Tokens:
    inside = [i for i, place in enumerate(tokens.places) if part.start <= place < part.stop]
    return Tokens(
        ids_T=tokens.ids_T[part],
        positions_3T=tokens.positions_3T[:, part],
        is_model_token_T=tokens.is_model_token_T[part],
        logprobs_T=tokens.logprobs_T[part],
        images=tuple(tokens.images[i] for i in inside),
        places=tuple(tokens.places[i] - part.start for i in inside),
    )
