"""Log-probabilities of what the model wrote: the forward pass of training, in three layouts with one result.

| layout | what is in a forward pass |
|---|---|
| `shared` | each distinct prompt once, then all that follows it, which attends to the prompt's keys and values |
| `padded` | whole conversations, padded on the right; causal attention without a mask |
| `packed` | whole conversations in one row; a mask keeps them apart |

Only hidden states from which a token of the model was drawn reach the head, in chunks that are computed again in the
backward pass, so that no logits of a whole batch ever exist.

Axes: B conversations, T tokens, N tokens that the models wrote in all of them, H channels, P distinct prompts.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from metis_agents.qwen3vl.chat.tokens import EncodedImage, Tokens, head, tail
from metis_agents.qwen3vl.model.cache import PrefixCache, RecordingCache
from metis_agents.qwen3vl.model.features import FeatureStore
from metis_agents.qwen3vl.model.network import Batch, Features, Network, batch_of

__all__ = ["Layout", "Scorer", "Scores", "prompt_groups"]


class Layout(StrEnum):
    """How conversations stand in a forward pass."""

    SHARED = "shared"
    """Each distinct prompt once: the episodes of a group pay for their own tokens only."""
    PADDED = "padded"
    """Whole conversations, one in a row."""
    PACKED = "packed"
    """Whole conversations behind each other in one row."""


class Scores(NamedTuple):
    """What the model says of the tokens that it wrote, conversation after conversation.

    Attributes:
        logprobs_N: Their log-probabilities.
        entropy_N: Entropy of the distributions that they were drawn from, where asked for.
    """

    logprobs_N: Tensor
    entropy_N: Tensor | None


class Scorer(nn.Module):
    """Scores conversations, differentiably in the model's trainable parameters.

    Args:
        network: The model.
        layout: How conversations stand in a forward pass.
        chunk: Most tokens whose logits exist at a time.
        features: Where features of a frozen vision tower are kept; None when the tower is trained.
    """

    def __init__(
        self,
        network: Network,
        *,
        layout: Layout = Layout.SHARED,
        chunk: int = 4_096,
        features: FeatureStore | None = None,
    ) -> None:
        super().__init__()
        self.model: nn.Module = network.model
        self.network, self.layout, self._chunk, self._features = network, layout, chunk, features

    def forward(self, conversations: Sequence[Tokens], with_entropy: bool = False) -> Scores:
        """Score the model's tokens; no conversations give no scores, but a graph that reaches every parameter."""
        if not conversations:
            return _nothing(self.forward(self._placeholder(), with_entropy))
        seen = self._seen([image for tokens in conversations for image in tokens.images])
        hidden_NH = {
            Layout.SHARED: self._shared,
            Layout.PADDED: self._padded,
            Layout.PACKED: self._packed,
        }[self.layout](conversations, seen)
        written = np.concatenate([tokens.ids_T[tokens.is_model_token_T] for tokens in conversations])
        return self._score(hidden_NH, torch.from_numpy(written).to(hidden_NH.device), with_entropy)

    def _shared(self, conversations: Sequence[Tokens], seen: dict[str, Features]) -> Tensor:
        """Encode each prompt once, then everything behind the prompts."""
        prompts, prompt_B = prompt_groups(conversations)
        recorded = RecordingCache()
        before = batch_of(prompts, self.network.device)
        hidden_PTH = self._hidden(before, seen, None, recorded)
        recorded.is_recording = False
        tails = [tail(tokens, tokens.prompt_length) for tokens in conversations]
        after = batch_of(tails, self.network.device)
        prompt_index_B = torch.tensor(prompt_B, device=self.network.device)
        lengths = [before.lengths[prompt] for prompt in prompt_B]
        cache = PrefixCache(recorded, prompt_index_B)
        hidden_BTH = self._hidden(after, seen, _behind(lengths, before, after), cache)
        rows, places = _sources(tails)
        last_H = hidden_PTH[prompt_index_B, torch.tensor(lengths, device=hidden_PTH.device) - 1]
        # A tail's first token is drawn from the prompt's last hidden state: column 0 stands for it.
        return torch.cat([last_H[:, None], hidden_BTH], dim=1)[rows, places]

    def _padded(self, conversations: Sequence[Tokens], seen: dict[str, Features]) -> Tensor:
        batch = batch_of(conversations, self.network.device)
        hidden_BTH = self._hidden(batch, seen, None, None)
        rows, places = _sources(conversations)
        return hidden_BTH[rows, places - 1]

    def _packed(self, conversations: Sequence[Tokens], seen: dict[str, Features]) -> Tensor:
        device = self.network.device
        ids_1T = torch.from_numpy(np.concatenate([tokens.ids_T for tokens in conversations]))[None]
        positions_31T = torch.from_numpy(np.concatenate([tokens.positions_3T for tokens in conversations], axis=1))
        images = [image for tokens in conversations for image in tokens.images]
        batch = Batch(ids_1T.to(device), positions_31T[:, None].to(device), [ids_1T.shape[1]], images)
        whose_T = torch.repeat_interleave(torch.tensor([len(tokens) for tokens in conversations])).to(device)
        may_attend = (whose_T[:, None] == whose_T).tril()[None, None]
        hidden_1TH = self._hidden(batch, seen, may_attend, None)
        is_model_token_T = np.concatenate([tokens.is_model_token_T for tokens in conversations])
        return hidden_1TH[0, torch.from_numpy(np.flatnonzero(is_model_token_T) - 1).to(device)]

    def _hidden(self, batch: Batch, seen: dict[str, Features], may_attend: Tensor | None, cache: object) -> Tensor:
        features = [seen[image.name] for image in batch.images]
        return self.network.hidden(batch, features, may_attend=may_attend, cache=cache)

    def _seen(self, images: Sequence[EncodedImage]) -> dict[str, Features]:
        """Features of each different image, with gradients where the vision tower is trained."""
        different = list({image.name: image for image in images}.values())
        look = self.network.features if self._features is None else self._features.of
        return dict(zip((image.name for image in different), look(different), strict=True))

    def _score(self, hidden_NH: Tensor, ids_N: Tensor, with_entropy: bool) -> Scores:
        parts = []
        for hidden, ids in zip(torch.split(hidden_NH, self._chunk), torch.split(ids_N, self._chunk), strict=True):
            if len(ids_N) > self._chunk and torch.is_grad_enabled():
                parts.append(checkpoint(self._score_chunk, hidden, ids, with_entropy, use_reentrant=False))
            else:
                parts.append(self._score_chunk(hidden, ids, with_entropy))
        entropy_N = torch.cat([entropy for _, entropy in parts]) if with_entropy else None
        return Scores(torch.cat([logprobs for logprobs, _ in parts]), entropy_N)

    def _score_chunk(self, hidden_NH: Tensor, ids_N: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy; the latter is empty where it is not asked for."""
        everything_NV = torch.log_softmax(self.network.logits(hidden_NH), dim=-1)
        logprobs_N = everything_NV.gather(-1, ids_N[:, None])[:, 0]
        if not with_entropy:
            return logprobs_N, logprobs_N[:0]
        # A forbidden token has probability 0 and adds nothing: 0 · −∞ is taken as 0.
        allowed_NV = everything_NV.masked_fill(everything_NV.isneginf(), 0.0)
        return logprobs_N, -(everything_NV.exp() * allowed_NV).sum(-1)

    def _placeholder(self) -> list[Tokens]:
        ids_T = np.full(2, self.network.vocabulary.end, dtype=np.int64)
        positions_3T = np.tile(np.arange(2), (3, 1))
        return [Tokens(ids_T, positions_3T, np.array([False, True]), np.zeros(2, dtype=np.float32))]


def prompt_groups(conversations: Sequence[Tokens]) -> tuple[list[Tokens], list[int]]:
    """The distinct prompts of some conversations, and which of them each conversation has."""
    prompts: dict[tuple[bytes, tuple[str, ...]], int] = {}
    first: list[Tokens] = []
    which = []
    for tokens in conversations:
        prompt = head(tokens, tokens.prompt_length)
        key = prompt.ids_T.tobytes(), tuple(image.name for image in prompt.images)
        if key not in prompts:
            prompts[key] = len(first)
            first.append(prompt)
        which.append(prompts[key])
    return first, which


def _sources(conversations: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
    """Row and place of every token that the model wrote."""
    places = [np.flatnonzero(tokens.is_model_token_T) for tokens in conversations]
    rows = np.repeat(np.arange(len(places)), [len(part) for part in places])
    return torch.from_numpy(rows), torch.from_numpy(np.concatenate(places))


def _behind(lengths: Sequence[int], before: Batch, after: Batch) -> Tensor | None:
    """What tails may attend to: their own prompt, without its padding, and themselves; None where no mask is needed."""
    longest = before.ids_BT.shape[1]
    if set(lengths) == {longest}:
        return None
    device, tokens = after.ids_BT.device, after.ids_BT.shape[1]
    is_prompt_BT = torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
    sees_prompt = is_prompt_BT[:, None, None].expand(-1, 1, tokens, -1)
    sees_tail = torch.ones((tokens, tokens), dtype=torch.bool, device=device).tril()
    return torch.cat([sees_prompt, sees_tail.expand(len(lengths), 1, -1, -1)], dim=-1)


def _nothing(scores: Scores) -> Scores:
    return Scores(scores.logprobs_N[:0], None if scores.entropy_N is None else scores.entropy_N[:0])
