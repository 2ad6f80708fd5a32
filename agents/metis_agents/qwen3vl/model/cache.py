"""Where keys and values are kept: a slab for acting, pass-through caches for learning.

All three speak the part of transformers' cache interface that the layers use: `update`, and the lengths for masks.

Axes: R rows of the slab, B rows of a forward pass, K key-value heads, T tokens, D channels of a head.
"""

import torch
from torch import Tensor

__all__ = ["CacheSlab", "PrefixCache", "RecordingCache", "SlabView"]

_BLOCK = 128


class _Cache:
    """The part of the interface that only masks ask for; masks are given here, so the answers do not matter."""

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 — the interface's
        """How many tokens are kept, as transformers asks for it."""
        return 0

    def get_query_offset(self, layer_idx: int = 0) -> int:  # noqa: ARG002 — the interface's
        """The position at which the queries begin, as transformers asks for it."""
        return 0

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:  # noqa: ARG002 — the interface's
        """Number of keys and their offset, from which transformers builds the attention mask."""
        return query_length, 0


class CacheSlab:
    """Keys and values of R conversations of different lengths, in place: appending a token copies nothing.

    Args:
        layers: Layers of the language model.
        heads: Key-value heads.
        width: Channels of a head.
        dtype: Of keys and values.
        device: Where they are.
    """

    def __init__(self, layers: int, heads: int, width: int, dtype: torch.dtype, device: torch.device) -> None:
        self._shape = (heads, width)
        self._dtype, self._device = dtype, device
        self.layers = [(self._empty(0, 0), self._empty(0, 0)) for _ in range(layers)]
        self.lengths: list[int] = []

    @property
    def rows(self) -> int:
        """How many conversations the slab holds."""
        return len(self.lengths)

    @property
    def bytes(self) -> int:
        """Memory that the slab holds."""
        return sum(part.numel() * part.element_size() for layer in self.layers for part in layer)

    def bytes_of(self, rows: int, tokens: int) -> int:
        """Memory that a slab of so many rows of so many tokens would hold."""
        heads, width = self._shape
        return 2 * len(self.layers) * rows * heads * _blocks(tokens) * width * self._dtype.itemsize

    def size_for(self, rows: int, tokens: int) -> tuple[int, int]:
        """Rows and tokens that the slab has after `reserve`."""
        have_rows, have_tokens = self.layers[0][0].shape[0], self.layers[0][0].shape[2]
        return max(rows, have_rows), _roomy(tokens, have_tokens)

    def rebuild(self, rows: int, tokens: int) -> None:
        """Make the slab as large as this and no larger; what is kept in these rows stays, and must fit."""
        tokens = _blocks(tokens)
        for layer, (keys, values) in enumerate(self.layers):
            self.layers[layer] = self._fitted(keys, rows, tokens), self._fitted(values, rows, tokens)
        self.lengths = [*self.lengths, *[0] * rows][:rows]

    def reserve(self, rows: int, tokens: int) -> None:
        """Make room for so many rows of so many tokens, in blocks; what is kept stays."""
        have_rows, have_tokens = self.layers[0][0].shape[0], self.layers[0][0].shape[2]
        if rows > have_rows or tokens > have_tokens:
            rows, tokens = self.size_for(rows, tokens)
            for layer, (keys, values) in enumerate(self.layers):  # one after the other: no two slabs at a time
                self.layers[layer] = self._fitted(keys, rows, tokens), self._fitted(values, rows, tokens)
        self.lengths += [0] * (max(rows, have_rows) - self.rows)

    def copy(self, sources: list[int], targets: list[int]) -> None:
        """Give other rows what these rows keep: prompts that were encoded once."""
        if not targets:
            return
        length = max(self.lengths[source] for source in sources)
        for keys, values in self.layers:
            for part in (keys, values):
                part[targets, :, :length] = part[sources, :, :length]
        for source, target in zip(sources, targets, strict=True):
            self.lengths[target] = self.lengths[source]

    def arrange(self, order: list[int]) -> None:
        """Put row `order[i]` at place i. Rows that stay are not touched."""
        moved = [place for place, row in enumerate(order) if place != row]
        if not moved:
            return
        sources = [order[place] for place in moved]
        length = max(self.lengths[row] for row in sources)
        for keys, values in self.layers:
            for part in (keys, values):
                part[moved, :, :length] = part[sources, :, :length]
        self.lengths = [self.lengths[row] for row in order]

    def clear(self) -> None:
        """Drop all rows and give their memory back to the device."""
        self.layers = [(self._empty(0, 0), self._empty(0, 0)) for _ in self.layers]
        self.lengths = []

    def _empty(self, rows: int, tokens: int) -> Tensor:
        heads, width = self._shape
        return torch.zeros((rows, heads, tokens, width), dtype=self._dtype, device=self._device)

    def _fitted(self, part: Tensor, rows: int, tokens: int) -> Tensor:
        fitted = self._empty(rows, tokens)
        rows, tokens = min(rows, part.shape[0]), min(tokens, part.shape[2])
        fitted[:rows, :, :tokens] = part[:rows, :, :tokens]
        return fitted


def _blocks(tokens: int) -> int:
    return -(-tokens // _BLOCK) * _BLOCK


def _roomy(wanted: int, have: int) -> int:
    """Grow by a quarter at least, so that the copies of a growing slab stay few."""
    return have if wanted <= have else _blocks(max(wanted, have + have // 4))


class SlabView(_Cache):
    """The rows `start … start + B` of a slab during one forward pass that appends to each of them.

    Args:
        slab: The slab.
        start: First row.
        counts: How many tokens each of the B rows appends; the rest of a row of the pass is padding.
    """

    def __init__(self, slab: CacheSlab, start: int, counts: list[int]) -> None:
        self._slab, self._rows, self._counts = slab, slice(start, start + len(counts)), counts
        device = slab.layers[0][0].device
        self.lengths_B = torch.tensor(slab.lengths[self._rows], device=device)
        longest = max(counts)
        self.keys = max(length + longest for length in slab.lengths[self._rows])
        slab.reserve(slab.rows, self.keys)
        self._row_B1 = torch.arange(start, start + len(counts), device=device)[:, None]
        self._place_BT = self.lengths_B[:, None] + torch.arange(longest, device=device)

    def may_attend(self) -> Tensor | None:
        """Boolean mask of shape (B, 1, T, keys): each token sees its row up to itself.

        None where all rows keep the same number of tokens: causal attention needs no mask then, and fast kernels take
        none. What is behind a shorter row is padding, which nobody sees.
        """
        if len(set(self._slab.lengths[self._rows])) == 1:
            return None
        seen = torch.arange(self.keys, device=self.lengths_B.device) <= self._place_BT[:, :, None]
        return seen[:, None]

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: object) -> tuple[Tensor, Tensor]:
        """Append to the rows; padding is written behind their ends and overwritten later."""
        for part, new in zip(self._slab.layers[layer_idx], (keys, values), strict=True):
            part[self._row_B1, :, self._place_BT] = new.transpose(1, 2)
        kept_keys, kept_values = self._slab.layers[layer_idx]
        return kept_keys[self._rows, :, : self.keys], kept_values[self._rows, :, : self.keys]

    def commit(self) -> None:
        """The appended tokens are kept from now on."""
        for row, count in enumerate(self._counts, start=self._rows.start):
            self._slab.lengths[row] += count


class RecordingCache(_Cache):
    """Notes the keys and values of a forward pass, with their gradients' way back."""

    def __init__(self) -> None:
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.is_recording = True

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: object) -> tuple[Tensor, Tensor]:
        """Note them, unless they come from a recomputation during the backward pass."""
        if self.is_recording:
            self.layers[layer_idx] = (keys, values)
        return keys, values


class PrefixCache(_Cache):
    """Puts recorded keys and values in front of those of a forward pass.

    Args:
        recorded: What was recorded, one row for each prefix.
        prefix_B: The prefix of each of the B rows.
    """

    def __init__(self, recorded: RecordingCache, prefix_B: Tensor) -> None:
        self._layers, self._prefix_B = recorded.layers, prefix_B

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: object) -> tuple[Tensor, Tensor]:
        """Each row's prefix, then the row's own."""
        before_keys, before_values = (part.index_select(0, self._prefix_B) for part in self._layers[layer_idx])
        return torch.cat([before_keys, keys], dim=2), torch.cat([before_values, values], dim=2)
