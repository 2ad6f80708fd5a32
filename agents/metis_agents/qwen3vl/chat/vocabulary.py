"""What a model may write: the tokens that end a turn, and those that it must never sample.

A sampled image token would have no image behind it, a sampled `<|im_start|>` would forge another speaker, and the
rows of the embedding beyond the tokenizer's vocabulary mean nothing. They are forbidden while sampling, and have
probability 0 in the loss, so that both speak of the same distribution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metis_gym.dialects import Dialect
from metis_gym.errors import ConfigError

__all__ = ["END", "IMAGE", "START", "VISION_END", "VISION_START", "Vocabulary", "stops_of"]

START, END = "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
IMAGE = "<|image_pad|>"


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """The ids that matter, of one tokenizer, model and dialect.

    Attributes:
        start: Opens a turn.
        end: Closes a turn.
        vision_start: Stands before an image.
        vision_end: Stands after an image.
        image: Stands for each part of an image.
        stops: All tokens after which a model's turn is over: `end`, and the dialect's stop strings.
        is_forbidden_V: True for ids that the model must not write; one for each row of the model's output.
    """

    start: int
    end: int
    vision_start: int
    vision_end: int
    image: int
    stops: frozenset[int]
    is_forbidden_V: Tensor

    @classmethod
    def of(cls, tokenizer: Any, size: int, stop: Sequence[str] = ()) -> "Vocabulary":
        """Read a tokenizer.

        Args:
            tokenizer: Of the Qwen3-VL family.
            size: Rows of the model's output.
            stop: The dialect's stop strings; each must be one token.

        Raises:
            ConfigError: A token that is needed is missing, or the tokenizer is larger than the model.
        """
        if len(tokenizer) > size:
            raise ConfigError(
                f"Expect a tokenizer that is not larger than the model's output ({size} rows), actually: "
                f"{len(tokenizer)} tokens"
            )
        ids = [_single(tokenizer, token) for token in (START, END, VISION_START, VISION_END, IMAGE)]
        stops = frozenset([ids[1], *(_single(tokenizer, token) for token in stop)])
        is_forbidden_V = torch.zeros(size, dtype=torch.bool)
        is_forbidden_V[len(tokenizer) :] = True
        special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
        is_forbidden_V[sorted(special | set(ids) - stops)] = True
        is_forbidden_V[sorted(stops)] = False
        return cls(
            start=ids[0],
            end=ids[1],
            vision_start=ids[2],
            vision_end=ids[3],
            image=ids[4],
            stops=stops,
            is_forbidden_V=is_forbidden_V,
        )


def _single(tokenizer: Any, token: str) -> int:
    """The id of a string that must be one token."""
    index = tokenizer.get_vocab().get(token)
    if index is None:
        raise ConfigError(
            f"Expect a tokenizer of the Qwen3-VL family that has {token!r} as one token; this one, "
            f"{type(tokenizer).__name__} with {len(tokenizer)} tokens, has not. Choose another model or dialect."
        )
    return int(index)


def stops_of(dialect: Dialect) -> tuple[str, ...]:
    """The stops of a dialect whose turns this engine can write.

    Raises:
        ConfigError: It goes on with a turn after an observation, or begins turns itself: here each turn is the model's.
    """
    if dialect.continues or dialect.prefill:
        raise ConfigError(
            f"the engine for Qwen3-VL opens a turn after each observation and writes nothing in it; the dialect "
            f"{dialect.name!r} needs another: choose 'metis' or 'qwen', or play it with an agent for endpoints"
        )
    return dialect.stop
