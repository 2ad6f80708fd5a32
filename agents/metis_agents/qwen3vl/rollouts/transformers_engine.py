"""The rollout engine on transformers' own model: works wherever the model does, a CPU included.

* A prompt that several new conversations share is encoded once, with its images, and its keys and values copied.
* Keys and values stay over turns; a returned image costs its own tokens only.
* All live turns are written together; a finished one leaves the batch at once and waits aside for its tool.
* Positions are given for every token; tokens that must not be written have probability 0.

Rows of the slab: first those that are being written, then those that wait, then free ones.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metis_agents.qwen3vl.chat.tokens import tail
from metis_agents.qwen3vl.model.cache import CacheSlab, SlabView
from metis_agents.qwen3vl.model.features import FeatureStore
from metis_agents.qwen3vl.model.network import Batch, Network, batch_of
from metis_agents.qwen3vl.rollouts.engine import SampledTurn, TurnRequest
from metis_gym.errors import ConfigError

__all__ = ["TransformersEngine", "sample"]

Item = TypeVar("Item")

_FREE = -1
_ALMOST_ONE = 1.0 - 2.0**-20


@dataclass(eq=False)
class _Turn:
    """A turn that is being written."""

    request: TurnRequest
    uniforms: NDArray[np.float32]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    position: int = 0


class TransformersEngine:
    """Writes turns with a Qwen3-VL in this process.

    Args:
        network: The model; it may be the one that is being trained.
        capacity: Most conversations known at a time.
        prefill_tokens: Most tokens encoded in one forward pass, padding included.
        features: Where image features are kept.
        take_up: Called at each `refresh`, where the model is a copy that must take up the weights that learn.
    """

    def __init__(
        self,
        network: Network,
        *,
        capacity: int = 256,
        prefill_tokens: int = 16_384,
        features: FeatureStore | None = None,
        take_up: Callable[[], None] | None = None,
    ) -> None:
        self.network, self._take_up = network, take_up
        self.features = features or FeatureStore(network)
        self._capacity, self._prefill_tokens = capacity, prefill_tokens
        text = network.model.config.text_config
        self._slab = CacheSlab(
            text.num_hidden_layers, text.num_key_value_heads, text.head_dim, network.model.dtype, network.device
        )
        self._rows: list[int] = []
        self._turns: list[_Turn] = []
        self._waiting: list[TurnRequest] = []

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
        known = {row for row in self._rows if row != _FREE} | {request.episode for request in self._waiting}
        known |= {request.episode for request in requests}
        if len(known) > self._capacity:
            raise ConfigError(f"Expect at most capacity ({self._capacity}) conversations, actually: {len(known)}")
        self._waiting += requests

    @torch.no_grad()
    def step(self) -> list[SampledTurn]:
        """Encode what is waiting, then write one token for every live turn."""
        if self._waiting:
            requests, self._waiting = self._waiting, []
            known = set(self._rows)
            self._continue([request for request in requests if request.episode in known])
            self._begin([request for request in requests if request.episode not in known])
        else:
            self._write()
        return self._finished()

    def forget(self, episodes: Sequence[int]) -> None:
        """Free the rows of these conversations, and all memory for keys and values with the last of them."""
        gone = set(episodes)
        self._waiting = [request for request in self._waiting if request.episode not in gone]
        keep = [i for i, turn in enumerate(self._turns) if turn.request.episode not in gone]
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

    def _begin(self, requests: Sequence[TurnRequest]) -> None:
        """Encode each distinct prompt once, copy it to all that share it, and write their first tokens."""
        for part in self._pieces(list(_by_prompt(requests)), lambda group: len(group[0].tokens)):
            leaders, members = [group[0] for group in part], [group[1:] for group in part]
            first = len(self._turns)
            self._make_room([request.episode for group in part for request in group[:1]], first)
            hidden_DH = self._append(leaders, first)
            followers = [request for group in members for request in group]
            self._make_room([request.episode for request in followers], first + len(leaders))
            sources = [index for index, group in enumerate(members) for _ in group]
            places = range(first + len(leaders), first + len(leaders) + len(followers))
            self._slab.copy([first + source for source in sources], list(places))
            whose = torch.tensor([*range(len(leaders)), *sources], device=hidden_DH.device)
            self._open([*leaders, *followers], hidden_DH[whose])

    def _continue(self, requests: Sequence[TurnRequest]) -> None:
        """Encode what is new in known conversations and write their first tokens."""
        for part in self._pieces(requests, self._unkept):
            place = {episode: row for row, episode in enumerate(self._rows)}
            first, chosen = len(self._turns), [place[request.episode] for request in part]
            taken = {*range(first), *chosen}
            self._arrange([*range(first), *chosen, *(row for row in range(len(self._rows)) if row not in taken)])
            self._open(part, self._append(part, first))

    def _unkept(self, request: TurnRequest) -> int:
        """How many tokens of a known conversation are not encoded yet."""
        return len(request.tokens) - self._slab.lengths[self._rows.index(request.episode)]

    def _append(self, requests: Sequence[TurnRequest], first: int) -> Tensor:
        """Encode what the rows from `first` on do not have yet; the last token's hidden state, shape (B, H)."""
        kept = self._slab.lengths[first : first + len(requests)]
        batch = _tails(requests, kept, self.network)
        view = SlabView(self._slab, first, batch.lengths)
        seen = self.features.of(batch.images)
        hidden_BTH = self.network.hidden(batch, seen, may_attend=view.may_attend(), cache=view)
        view.commit()
        last_B = torch.tensor(batch.lengths, device=hidden_BTH.device) - 1
        return hidden_BTH[torch.arange(len(requests), device=hidden_BTH.device), last_B]

    def _open(self, requests: Sequence[TurnRequest], hidden_BH: Tensor) -> None:
        """Begin the turns of rows that have just been encoded, with their first token."""
        turns = [_Turn(request, _uniforms(request), position=request.tokens.end_position) for request in requests]
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
        ids_B, logprobs_B = sample(self.network.logits(hidden_BH), uniforms_B, is_greedy_B)
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


def sample(logits_BV: Tensor, uniforms_B: Tensor, is_greedy_B: Tensor) -> tuple[Tensor, Tensor]:
    """Draw one token for each row by inverting its distribution function.

    What a row gets depends on its own logits and its own number only, whatever is in the batch beside it.

    Args:
        logits_BV: Logits, −∞ where a token must not be drawn.
        uniforms_B: Numbers in [0, 1).
        is_greedy_B: True where the likeliest token is taken instead.

    Returns:
        Token ids and their log-probabilities, each of shape (B,). A token of probability 0 is never drawn.
    """
    logprobs_BV = torch.log_softmax(logits_BV, dim=-1)
    probabilities_BV = logprobs_BV.exp()
    cumulated_BV = probabilities_BV.cumsum(dim=-1)
    drawn_B1 = (uniforms_B.clamp(max=_ALMOST_ONE) * cumulated_BV[:, -1]).unsqueeze(-1)
    ids_B1 = torch.searchsorted(cumulated_BV, drawn_B1, right=True).clamp(max=logits_BV.shape[-1] - 1)
    ids_B1 = torch.where(is_greedy_B.unsqueeze(-1), logits_BV.argmax(dim=-1, keepdim=True), ids_B1)
    if bool((probabilities_BV.gather(-1, ids_B1) == 0).any()):
        ids_B1 = _nearest_possible(ids_B1, probabilities_BV)
    return ids_B1.squeeze(-1), logprobs_BV.gather(-1, ids_B1).squeeze(-1)


def _nearest_possible(ids_B1: Tensor, probabilities_BV: Tensor) -> Tensor:
    """The nearest ids of a probability above 0.

    A sum that is made in blocks, as on a GPU, may grow by a rounding where nothing was added to it.
    """
    distances_BV = (torch.arange(probabilities_BV.shape[-1], device=ids_B1.device) - ids_B1).abs()
    return distances_BV.masked_fill(probabilities_BV == 0, probabilities_BV.shape[-1]).argmin(dim=-1, keepdim=True)


def _by_prompt(requests: Iterable[TurnRequest]) -> list[list[TurnRequest]]:
    """Requests that were given the same prompt object, together."""
    groups: dict[int, list[TurnRequest]] = {}
    for request in requests:
        groups.setdefault(id(request.tokens), []).append(request)
    return list(groups.values())


def _tails(requests: Sequence[TurnRequest], kept: Sequence[int], network: Network) -> Batch:
    """What of each conversation lies behind its kept tokens, at its true positions."""
    return batch_of(
        [tail(request.tokens, length) for request, length in zip(requests, kept, strict=True)], network.device
    )


def _uniforms(request: TurnRequest) -> NDArray[np.float32]:
    return np.random.Generator(np.random.Philox(request.seed)).random(request.max_tokens, dtype=np.float32)


def _as_sampled(turn: _Turn, stops: frozenset[int]) -> SampledTurn:
    return SampledTurn(
        episode=turn.request.episode,
        ids=tuple(turn.ids),
        logprobs=tuple(turn.logprobs),
        is_cut=turn.ids[-1] not in stops,
    )
