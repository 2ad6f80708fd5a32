"""Qwen3-VL, or Qwen2.5-VL, with what is asked of it: image features, hidden states, logits of what may be said.

The parts of transformers' model are called by themselves: the vision tower, the language model, the head. Nothing here
uses `generate`, positions that the model guesses, or state that it keeps between calls.

Axes: B rows, T tokens of the longest, H channels, V tokens of the vocabulary, 3 = temporal, height, width.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metis_agents.qwen3vl.chat.tokens import EncodedImage, Tokens
from metis_agents.qwen3vl.chat.vocabulary import Vocabulary
from metis_agents.qwen3vl.model.images import ImageEncoder

__all__ = ["Batch", "Features", "Network", "batch_of"]

_FORBIDDEN = float("-inf")


class Features(NamedTuple):
    """What the vision tower says of one image.

    Attributes:
        tokens_NH: One row for each of its N tokens.
        deepstack: What is added to them after the first language layers (DeepStack, arXiv 2406.04334); nothing in
            Qwen2.5-VL.
    """

    tokens_NH: Tensor
    deepstack: tuple[Tensor, ...]


class Batch(NamedTuple):
    """Pieces of conversations, padded on the right.

    Attributes:
        ids_BT: Token ids.
        positions_3BT: Multimodal rotary positions.
        lengths: Tokens of each row.
        images: The images of all rows, in order.
    """

    ids_BT: Tensor
    positions_3BT: Tensor
    lengths: list[int]
    images: list[EncodedImage]


def batch_of(pieces: Sequence[Tokens], device: torch.device, padding: int = 0) -> Batch:
    """Pad pieces on the right; the padding must not be the image token."""
    lengths = [len(piece) for piece in pieces]
    ids_BT = torch.full((len(pieces), max(lengths, default=0)), padding, dtype=torch.int64)
    positions_3BT = torch.zeros((3, *ids_BT.shape), dtype=torch.int64)
    for row, piece in enumerate(pieces):
        ids_BT[row, : len(piece)] = torch.from_numpy(piece.ids_T)
        positions_3BT[:, row, : len(piece)] = torch.from_numpy(piece.positions_3T)
    images = [image for piece in pieces for image in piece.images]
    return Batch(ids_BT.to(device), positions_3BT.to(device), lengths, images)


class Network:
    """A model and what goes with it.

    Args:
        model: `Qwen3VLForConditionalGeneration` or `Qwen2_5_VLForConditionalGeneration`, with or without LoRA layers.
        encoder: How it takes images.
        vocabulary: What it may write.
        temperature: Divides the logits, while acting and while learning.
    """

    def __init__(self, model: Any, encoder: ImageEncoder, vocabulary: Vocabulary, *, temperature: float = 1.0) -> None:
        self.model, self.encoder, self.vocabulary = model, encoder, vocabulary
        self.temperature = temperature
        self._is_forbidden_V = vocabulary.is_forbidden_V

    @property
    def device(self) -> torch.device:
        """The device that the model's weights are on."""
        device: torch.device = self.model.device
        return device

    @property
    def head_width(self) -> int:
        """Channels of a head of the language model."""
        text = self.model.config.text_config
        return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)

    def features(self, images: Sequence[EncodedImage]) -> list[Features]:
        """Look at images; the same image twice is looked at twice."""
        if not images:
            return []
        patches, grids = self.encoder.patches(images, self.device)
        visual = self.model.model.visual
        seen = visual(patches.to(visual.dtype), grid_thw=grids)
        sizes = [self.encoder.tokens(image) for image in images]
        tokens = seen.pooler_output.split(sizes)
        deepstack = [layer.split(sizes) for layer in getattr(seen, "deepstack_features", ())]
        return [Features(part, tuple(layer[i] for layer in deepstack)) for i, part in enumerate(tokens)]

    def hidden(self, batch: Batch, features: Sequence[Features], *, may_attend: Tensor | None, cache: Any) -> Tensor:
        """Hidden states of the last layer, shape (B, T, H).

        Args:
            batch: The rows.
            features: Of the batch's images, in order.
            may_attend: Boolean, shape (B or 1, 1, T, keys); None where the tokens are the last of their rows, all with
                the same number of tokens before them, padding only behind.
            cache: Keys and values before the batch, or None.
        """
        language = self.model.model.language_model
        embedded = language.embed_tokens(batch.ids_BT)
        is_image_BT = batch.ids_BT == self.vocabulary.image
        seen: dict[str, Any] = {}
        if features:
            tokens = torch.cat([part.tokens_NH for part in features]).to(embedded.dtype)
            embedded = embedded.masked_scatter(is_image_BT[..., None], tokens)
            deepstack = [torch.cat(layer) for layer in zip(*(part.deepstack for part in features), strict=True)]
            if deepstack:
                seen = {"visual_pos_masks": is_image_BT, "deepstack_visual_embeds": deepstack}
        done = language(
            inputs_embeds=embedded,
            position_ids=batch.positions_3BT,
            attention_mask=may_attend,
            past_key_values=cache,
            use_cache=False,
            **seen,
        )
        hidden_BTH: Tensor = done.last_hidden_state
        return hidden_BTH

    @contextlib.contextmanager
    def forbidding(self, tokens: Sequence[int]) -> Iterator[None]:
        """Forbid further tokens for a while."""
        kept = self._is_forbidden_V
        self._is_forbidden_V = kept.clone()
        self._is_forbidden_V[list(tokens)] = True
        try:
            yield
        finally:
            self._is_forbidden_V = kept

    def logits(self, hidden_NH: Tensor) -> Tensor:
        """Logits in float32, −∞ for what must not be written, divided by the temperature; shape (N, V)."""
        if self._is_forbidden_V.device != hidden_NH.device:
            self._is_forbidden_V = self._is_forbidden_V.to(hidden_NH.device)
        logits_NV: Tensor = self.model.lm_head(hidden_NH).float()
        logits_NV = logits_NV.masked_fill(self._is_forbidden_V, _FORBIDDEN)
        return logits_NV if self.temperature == 1.0 else logits_NV / self.temperature
