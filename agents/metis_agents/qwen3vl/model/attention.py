"""Attention over a kept cache without a mask, where none is needed.

transformers builds a full mask whenever there are more keys than queries, which rules out the fast kernels. Queries
that are the *last* tokens of their rows, with no padding before them, need no mask but the causal one aligned at the
lower right corner. Everything else is transformers' own scaled-dot-product attention.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

__all__ = ["NAME", "use_attention"]

NAME = "metis_sdpa"


def use_attention(model: Any) -> None:
    """Let the language model of a Qwen3-VL use this attention; the vision tower keeps its own."""
    model.set_attn_implementation({"text_config": NAME})


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    queries, keys = query.shape[2], key.shape[2]
    if attention_mask is None and 1 < queries < keys:
        attention_mask = causal_lower_right(queries, keys)
    attended: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return attended


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """Stands in where no mask was given: `_attend` makes do without."""


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _no_mask)
