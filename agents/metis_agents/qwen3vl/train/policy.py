"""Qwen3-VL as a policy of the shared HDPO trainer.

Axes: B episodes, T tokens that the longest of them wrote itself (prompts and tool output are left out).
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.model.scoring import Layout, Scorer, prompt_groups
from metis_agents.rl import Rollout, TokenLogprobs
from metis_gym.errors import CheckpointError, ConfigError

__all__ = ["Qwen3VLPolicy"]


class Qwen3VLPolicy:
    """What learns.

    Args:
        scorer: The forward pass.
        adapter: The PEFT model around the scorer's model; needed for a reference.
        with_reference: Give log-probabilities of the model without its adapter, for a KL penalty.
        with_entropy: Give entropies, for an entropy bonus.
        micro_batch_tokens: Most tokens in one forward pass, padding included; None is no limit.
        micro_batch_episodes: Most episodes in one forward pass; None is no limit.

    Raises:
        ConfigError: A reference is wanted without an adapter to switch off.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        adapter: Any | None = None,
        with_reference: bool = False,
        with_entropy: bool = False,
        micro_batch_tokens: int | None = None,
        micro_batch_episodes: int | None = None,
    ) -> None:
        if with_reference and adapter is None:
            raise ConfigError(
                "Expect LoRA with kl_coef > 0: the reference is the model with its adapter switched off; actually: "
                "full fine-tuning"
            )
        self.scorer, self._adapter = scorer, adapter
        self._with_reference, self._with_entropy = with_reference, with_entropy
        self._tokens, self._episodes = micro_batch_tokens, micro_batch_episodes

    def logprobs(self, rollouts: Sequence[Rollout[Tokens]]) -> TokenLogprobs:
        """Score what the episodes' models wrote; several forward passes are the trainer's business."""
        conversations = [rollout.payload for rollout in rollouts]
        logprobs_N, entropy_N = self.scorer(conversations, self._with_entropy)
        counts = torch.tensor([tokens.model_tokens for tokens in conversations], dtype=torch.int64)
        longest = int(counts.max()) if len(counts) else 0
        is_model_token_BT = (torch.arange(longest) < counts[:, None]).to(logprobs_N.device)
        sampled = [torch.from_numpy(tokens.logprobs_T[tokens.is_model_token_T]) for tokens in conversations]
        sampled_N = torch.cat([logprobs_N.new_zeros(0), *(part.to(logprobs_N) for part in sampled)])
        return TokenLogprobs(
            _placed(logprobs_N, is_model_token_BT),
            is_model_token_BT,
            None if entropy_N is None else _placed(entropy_N, is_model_token_BT),
            _placed(self._reference(conversations), is_model_token_BT) if self._with_reference else None,
            _placed(sampled_N, is_model_token_BT),
        )

    def cut(self, rollouts: Sequence[Rollout[Tokens]]) -> list[list[int]]:
        """Cut episodes into micro-batches within the budgets, keeping those of one prompt together."""
        return cut([rollout.payload for rollout in rollouts], self.scorer.layout, self._tokens, self._episodes)

    def parameters(self) -> Iterable[nn.Parameter]:
        """All parameters of the model; the trainer moves those that require a gradient."""
        return self.scorer.parameters()

    def state_dict(self) -> Mapping[str, Any]:
        """The trainable parameters by name."""
        return {name: parameter.detach() for name, parameter in self._trainable()}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take up a state that `state_dict` gave.

        Raises:
            CheckpointError: It is of a model with other trainable parameters.
        """
        mine = dict(self._trainable())
        if mine.keys() != state.keys():
            differing = sorted(mine.keys() ^ state.keys())
            raise CheckpointError(
                f"Expect a state of the same {len(mine)} trainable parameters, actually: {len(differing)} differ, such "
                f"as {differing[0]!r}"
            )
        with torch.no_grad():
            for name, parameter in mine.items():
                parameter.copy_(state[name])

    def _trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        named = self.scorer.named_parameters()
        return ((name, parameter) for name, parameter in named if parameter.requires_grad)

    @torch.no_grad()
    def _reference(self, conversations: Sequence[Tokens]) -> Tensor:
        with self._adapter.disable_adapter() if self._adapter is not None else contextlib.nullcontext():
            reference_N: Tensor = self.scorer(conversations).logprobs_N
        return reference_N


def cut(
    conversations: Sequence[Tokens], layout: Layout, tokens: int | None = None, episodes: int | None = None
) -> list[list[int]]:
    """Cut conversations into pieces, longest first, those of one prompt beside each other.

    Args:
        conversations: What to cut.
        layout: How a piece will stand in a forward pass; with `shared` a prompt counts once.
        tokens: Most tokens in a piece, padding included. A conversation that is longer by itself gets its own piece.
        episodes: Most conversations in a piece.

    Returns:
        Positions of the conversations, one list for each piece.
    """
    if not conversations:
        return []
    _, prompt_B = prompt_groups(conversations)
    longest: dict[int, int] = {}
    for prompt, conversation in zip(prompt_B, conversations, strict=True):
        longest[prompt] = max(longest.get(prompt, 0), len(conversation))
    order = sorted(
        range(len(conversations)), key=lambda i: (-longest[prompt_B[i]], prompt_B[i], -len(conversations[i]))
    )
    pieces: list[list[int]] = []
    for index in order:
        grown = [*pieces[-1], index] if pieces else []
        is_within = (episodes is None or len(grown) <= episodes) and (
            tokens is None or _size([conversations[i] for i in grown], [prompt_B[i] for i in grown], layout) <= tokens
        )
        if grown and is_within:
            pieces[-1] = grown
        else:
            pieces.append([index])
    return pieces


def _size(conversations: Sequence[Tokens], prompts: Sequence[int], layout: Layout) -> int:
    """Tokens that a forward pass of these conversations takes, padding included."""
    lengths = [len(tokens) for tokens in conversations]
    if not lengths or layout is Layout.PACKED:
        return sum(lengths)
    if layout is Layout.PADDED:
        return len(lengths) * max(lengths)
    before = [tokens.prompt_length for tokens in conversations]
    after = max(length - prompt for length, prompt in zip(lengths, before, strict=True))
    return len(set(prompts)) * max(before) + len(lengths) * after


def _placed(values_N: Tensor, is_model_token_BT: Tensor) -> Tensor:
    """Values in rows of episodes, 0 elsewhere."""
    placed_BT = values_N.new_zeros(is_model_token_BT.shape)
    return placed_BT.masked_scatter(is_model_token_BT, values_N)
