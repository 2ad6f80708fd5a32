"""The rollout engine on transformers' own model: works wherever the model does, a CPU included.

* A prompt that several new conversations share is encoded once, with its images, and its keys and values copied.
* Keys and values stay over turns; a returned image costs its own tokens only.
* All live turns are written together; a finished one leaves the batch at once and waits aside for its tool.
* Positions are given for every token; tokens that must not be written have probability 0.
* Keys and values stay within a budget of bytes: conversations are admitted as they fit. Where those that are being
  written outgrow it, the keys and values of others are dropped, and made again when there is room.

Rows of the slab: first those that are being written, then those that wait, then free ones.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metis_agents.qwen3vl.chat.tokens import Tokens, tail
from metis_agents.qwen3vl.model.cache import CacheSlab, SlabView
from metis_agents.qwen3vl.model.features import FeatureStore
from metis_agents.qwen3vl.model.network import Batch, Network, batch_of
from metis_agents.qwen3vl.rollouts.engine import SampledTurn, TurnRequest
from metis_agents.qwen3vl.rollouts.sampling import sample, truncated
from metis_gym.errors import ConfigError

__all__ = ["TransformersEngine"]

Item = TypeVar("Item")

_FREE = -1
_HEADROOM = 1_024
"""Tokens that a conversation is expected to grow by, when it is admitted; where it grows more, others make room."""

_SHARE = 0.8
"""Of the memory that a GPU has left: the rest is for the activations of a forward pass."""


@dataclass(eq=False)
class _Turn:
    """A turn that is being written, or waits to be; one that was interrupted has tokens already."""

    request: TurnRequest
    uniforms: NDArray[np.float32]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    position: int = 0

    @property
    def episode(self) -> int:
        return self.request.episode

    def __len__(self) -> int:
        return len(self.request.tokens) + len(self.ids)

    @property
    def tokens(self) -> Tokens:
        """The conversation, and what is written of this turn."""
        if not self.ids:
            return self.request.tokens
        ids_T = np.array(self.ids, dtype=np.int64)
        positions_3T = np.tile(np.arange(len(ids_T)), (3, 1))
        written = Tokens(ids_T, positions_3T, np.ones(len(ids_T), dtype=np.bool_), np.zeros(len(ids_T), np.float32))
        return self.request.tokens.then(written)


class TransformersEngine:
    """Writes turns with a Qwen3-VL in this process.

    Args:
        network: The model; it may be the one that is being trained.
        capacity: Most conversations known at a time.
        prefill_tokens: Most tokens encoded in one forward pass, padding included.
        features: Where image features are kept.
        take_up: Called at each `refresh`, where the model is a copy that must take up the weights that learn.
        top_p: Draw from the likeliest tokens that together have this probability.
        top_k: Draw from so many of the likeliest tokens; None for all.
        cache_bytes: Most memory for keys and values; None for most of what the GPU has left when the first conversation
            begins, and for no limit on a CPU. One conversation is written in any case.
    """

    def __init__(
        self,
        network: Network,
        *,
        capacity: int = 256,
        prefill_tokens: int = 16_384,
        features: FeatureStore | None = None,
        take_up: Callable[[], None] | None = None,
        top_p: float = 1.0,
        top_k: int | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        self.network, self._take_up = network, take_up
        self._top_p, self._top_k = top_p, top_k
        self._given_bytes, self._max_bytes = cache_bytes, cache_bytes
        self.features = features or FeatureStore(network)
        self._capacity, self._prefill_tokens = capacity, prefill_tokens
        text = network.model.config.text_config
        self._slab = CacheSlab(
            text.num_hidden_layers, text.num_key_value_heads, network.head_width, network.model.dtype, network.device
        )
        self._rows: list[int] = []
        self._turns: list[_Turn] = []
        self._waiting: list[_Turn] = []

    @property
    def capacity(self) -> int:
        """Most conversations known at a time."""
        return self._capacity

    @property
    def is_idle(self) -> bool:
        """Whether nothing submitted is unfinished."""
        return not (self._turns or self._waiting)

    @property
    def cache_bytes(self) -> int:
        """Memory that the kept keys and values take."""
        return self._slab.bytes

    def submit(self, requests: Sequence[TurnRequest]) -> None:
        """Take up turns to be written.

        Raises:
            ConfigError: More conversations than the capacity.
        """
        known = {row for row in self._rows if row != _FREE} | {turn.episode for turn in self._waiting}
        known |= {request.episode for request in requests}
        if len(known) > self._capacity:
            raise ConfigError(f"Expect at most capacity ({self._capacity}) conversations, actually: {len(known)}")
        self._waiting += [
            _Turn(request, _uniforms(request), position=request.tokens.end_position) for request in requests
        ]

    @torch.no_grad()
    def step(self) -> list[SampledTurn]:
        """Encode what is waiting and fits, or write one token for every live turn."""
        admitted = self._admitted()
        if admitted:
            known = set(self._rows)
            self._continue([turn for turn in admitted if turn.episode in known])
            self._begin([turn for turn in admitted if turn.episode not in known])
        else:
            self._make_way()
            self._write()
        return self._finished()

    def forget(self, episodes: Sequence[int]) -> None:
        """Free the rows of these conversations, and all memory for keys and values with the last of them."""
        gone = set(episodes)
        self._waiting = [turn for turn in self._waiting if turn.episode not in gone]
        keep = [i for i, turn in enumerate(self._turns) if turn.episode not in gone]
        rest = [row for row in range(len(self._rows)) if row not in set(keep)]
        self._turns = [self._turns[i] for i in keep]
        self._arrange([*keep, *rest])
        self._rows = [_FREE if row in gone else row for row in self._rows]
        if all(row == _FREE for row in self._rows):  # the update needs the memory
            self._rows = []
            self._slab.clear()

    def refresh(self) -> None:
        """Forget every conversation and, where the vision tower may have changed, every image."""
        if self._take_up is not None:
            self._take_up()
        self._rows, self._turns, self._waiting = [], [], []
        self._slab.clear()
        self.features.refresh()

    def _begin(self, turns: Sequence[_Turn]) -> None:
        """Encode each distinct prompt once, copy it to all that share it, and write their first tokens."""
        for part in self._pieces(list(_by_prompt(turns)), lambda group: len(group[0])):
            leaders, members = [group[0] for group in part], [group[1:] for group in part]
            first = len(self._turns)
            self._make_room([turn.episode for turn in leaders], first)
            hidden_DH = self._append(leaders, first)
            followers = [turn for group in members for turn in group]
            self._make_room([turn.episode for turn in followers], first + len(leaders))
            sources = [index for index, group in enumerate(members) for _ in group]
            places = range(first + len(leaders), first + len(leaders) + len(followers))
            self._slab.copy([first + source for source in sources], list(places))
            whose = torch.tensor([*range(len(leaders)), *sources], device=hidden_DH.device)
            self._open([*leaders, *followers], hidden_DH[whose])

    def _continue(self, turns: Sequence[_Turn]) -> None:
        """Encode what is new in known conversations and write their first tokens."""
        for part in self._pieces(turns, self._unkept):
            place = {episode: row for row, episode in enumerate(self._rows)}
            first, chosen = len(self._turns), [place[turn.episode] for turn in part]
            taken = {*range(first), *chosen}
            self._arrange([*range(first), *chosen, *(row for row in range(len(self._rows)) if row not in taken)])
            self._open(part, self._append(part, first))

    def _unkept(self, turn: _Turn) -> int:
        """How many tokens of a known conversation are not encoded yet."""
        return len(turn) - self._slab.lengths[self._rows.index(turn.episode)]

    def _append(self, turns: Sequence[_Turn], first: int) -> Tensor:
        """Encode what the rows from `first` on do not have yet; the last token's hidden state, shape (B, H)."""
        kept = self._slab.lengths[first : first + len(turns)]
        batch = batch_of(
            [tail(turn.tokens, length) for turn, length in zip(turns, kept, strict=True)], self.network.device
        )
        view = SlabView(self._slab, first, batch.lengths)
        seen = self.features.of(batch.images)
        hidden_BTH = self.network.hidden(batch, seen, may_attend=view.may_attend(), cache=view)
        view.commit()
        last_B = torch.tensor(batch.lengths, device=hidden_BTH.device) - 1
        return hidden_BTH[torch.arange(len(turns), device=hidden_BTH.device), last_B]

    def _open(self, turns: Sequence[_Turn], hidden_BH: Tensor) -> None:
        """Write the turns of rows that have just been encoded, beginning with one token."""
        self._turns += turns
        self._sample(turns, hidden_BH)

    def _write(self) -> None:
        """One more token for every live turn."""
        if not self._turns:
            return
        device = self.network.device
        ids_B1 = torch.tensor([[turn.ids[-1]] for turn in self._turns], device=device)
        positions_B1 = torch.tensor([[turn.position + len(turn.ids) - 1] for turn in self._turns], device=device)
        counts = [1] * len(self._turns)
        batch = Batch(ids_B1, positions_B1.expand(3, -1, -1), counts, [])
        view = SlabView(self._slab, 0, counts)
        hidden_B1H = self.network.hidden(batch, [], may_attend=view.may_attend(), cache=view)
        view.commit()
        self._sample(self._turns, hidden_B1H[:, 0])

    def _sample(self, turns: Sequence[_Turn], hidden_BH: Tensor) -> None:
        uniforms_B = torch.tensor([turn.uniforms[len(turn.ids)] for turn in turns], device=hidden_BH.device)
        is_greedy_B = torch.tensor([turn.request.is_greedy for turn in turns], device=hidden_BH.device)
        logits_BV = truncated(self.network.logits(hidden_BH), top_p=self._top_p, top_k=self._top_k)
        ids_B, logprobs_B = sample(logits_BV, uniforms_B, is_greedy_B)
        for turn, index, logprob in zip(turns, ids_B.tolist(), logprobs_B.tolist(), strict=True):
            turn.ids.append(index)
            turn.logprobs.append(logprob)

    def _finished(self) -> list[SampledTurn]:
        """Take finished turns out of the batch."""
        stops = self.network.vocabulary.stops
        is_over = [turn.ids[-1] in stops or len(turn.ids) >= turn.request.max_tokens for turn in self._turns]
        if not any(is_over):
            return []
        going = [row for row, over in enumerate(is_over) if not over]
        over = [row for row, over in enumerate(is_over) if over]
        self._arrange([*going, *over, *range(len(self._turns), len(self._rows))])
        finished = [_as_sampled(self._turns[row], stops) for row in over]
        self._turns = [self._turns[row] for row in going]
        return finished

    def _admitted(self) -> list[_Turn]:
        """Take from those that wait, in order, as many as fit; the first in any case where nothing is being written."""
        if not any(row != _FREE for row in self._rows):
            self._max_bytes = self._given_bytes if self._given_bytes is not None else _left_on(self.network.device)
        if self._max_bytes is None:
            admitted, self._waiting = self._waiting, []
            return admitted
        rows = {row for row in self._rows if row != _FREE}
        longest = max(self._slab.lengths, default=0)
        admitted = []
        for turn in self._waiting:
            wanted, grown = rows | {turn.episode}, min(turn.request.max_tokens - len(turn.ids), _HEADROOM)
            tokens = max(longest, len(turn) + grown)
            if not self._fits(len(wanted), tokens) and (admitted or self._turns):
                break
            rows, longest = wanted, tokens
            admitted.append(turn)
        self._waiting = self._waiting[len(admitted) :]
        if admitted:
            self._within(rows, longest, admitted)
        return admitted

    def _make_way(self) -> None:
        """Before each live turn grows by a token: see that they fit, and interrupt the last ones where they do not."""
        if self._max_bytes is None or not self._turns:
            return
        lengths = self._slab.lengths
        while len(self._turns) > 1 and not self._fits(len(self._turns), max(lengths[: len(self._turns)]) + 1):
            self._waiting.insert(0, self._turns.pop())
            self._drop({self._waiting[0].episode})
        kept = {row for row in self._rows if row != _FREE}
        self._within(kept, max(max(lengths[: len(self._turns)]) + 1, *lengths), self._turns)

    def _within(self, rows: set[int], tokens: int, needed: Sequence[_Turn]) -> None:
        """Bring the slab to so many rows and tokens; what nobody needs now is dropped where it would not fit."""
        if not self._fits(len(rows), tokens):
            rows = rows & ({turn.episode for turn in needed} | {turn.episode for turn in self._turns})
            self._drop({row for row in self._rows if row != _FREE} - rows)
        if not self._fits(*self._slab.size_for(len(rows), tokens)):
            used = [row for row, episode in enumerate(self._rows) if episode != _FREE]
            self._arrange([*used, *(row for row in range(len(self._rows)) if self._rows[row] == _FREE)])
            self._slab.rebuild(len(rows), tokens)
            self._rows = self._rows[: len(used)] + [_FREE] * (len(rows) - len(used))

    def _drop(self, episodes: set[int]) -> None:
        """Forget the keys and values of conversations; they are encoded again when they go on."""
        for row, episode in enumerate(self._rows):
            if episode in episodes:
                self._rows[row] = _FREE
                self._slab.lengths[row] = 0

    def _fits(self, rows: int, tokens: int) -> bool:
        return self._max_bytes is None or self._slab.bytes_of(rows, tokens) <= self._max_bytes

    def _make_room(self, episodes: Sequence[int], first: int) -> None:
        """Name the rows from `first` on: free ones, moved there, and new ones."""
        free = [row for row in range(first, len(self._rows)) if self._rows[row] == _FREE][: len(episodes)]
        missing = len(episodes) - len(free)
        have = len(self._rows)
        self._slab.reserve(have + missing, 0)
        self._rows += [_FREE] * missing
        chosen = [*free, *range(have, have + missing)]
        taken = {*range(first), *chosen}
        self._arrange([*range(first), *chosen, *(row for row in range(len(self._rows)) if row not in taken)])
        for row, episode in enumerate(episodes, start=first):
            self._rows[row] = episode
            self._slab.lengths[row] = 0

    def _arrange(self, order: list[int]) -> None:
        self._slab.arrange(order)
        self._rows = [self._rows[row] for row in order]

    def _pieces(self, items: Sequence[Item], length: Callable[[Item], int]) -> Iterator[list[Item]]:
        """Cut into pieces whose padded size stays within `prefill_tokens`."""
        piece: list[Item] = []
        longest = 0
        for item in items:
            size = length(item)
            if piece and (len(piece) + 1) * max(longest, size) > self._prefill_tokens:
                yield piece
                piece, longest = [], 0
            piece.append(item)
            longest = max(longest, size)
        if piece:
            yield piece


def _by_prompt(turns: Iterable[_Turn]) -> list[list[_Turn]]:
    """Turns that were given the same prompt object, together; an interrupted one stands alone."""
    groups: dict[tuple[int, int], list[_Turn]] = {}
    for turn in turns:
        groups.setdefault((id(turn.request.tokens), turn.episode if turn.ids else _FREE), []).append(turn)
    return list(groups.values())


def _left_on(device: torch.device) -> int | None:
    """Most of the memory that a GPU has left, for keys and values; None for no limit."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(_SHARE * (free + unused))


def _uniforms(request: TurnRequest) -> NDArray[np.float32]:
    return np.random.Generator(np.random.Philox(request.seed)).random(request.max_tokens, dtype=np.float32)


def _as_sampled(turn: _Turn, stops: frozenset[int]) -> SampledTurn:
    return SampledTurn(
        episode=turn.request.episode,
        ids=tuple(turn.ids),
        logprobs=tuple(turn.logprobs),
        is_cut=turn.ids[-1] not in stops,
    )
