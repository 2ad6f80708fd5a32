"""Attention over a kept cache: without a mask where none is needed, and without copies of keys and values.

transformers builds a full mask whenever there are more keys than queries, which rules out the fast kernels. Queries
that are the *last* tokens of their rows, with no padding before them, need no mask but the causal one aligned at the
lower right corner. While a turn is written, each row has one query: the heads that share keys and values then stand
beside each other as if they were several queries of one head (grouped-query attention), where transformers before 5.23
copies the whole cache for each of them. Everything else is transformers' own scaled-dot-product attention.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
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
    if queries == 1:
        return _one_query(query, key, value, attention_mask, kwargs.get("scaling")), None
    if attention_mask is None and queries < keys:
        attention_mask = causal_lower_right(queries, keys)
    attended: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return attended


def _one_query(
    query_BH1D: Tensor, key_BKTD: Tensor, value_BKTD: Tensor, may_attend: Tensor | None, scale: float | None
) -> Tensor:
    """Attention of one query in each row, shape (B, 1, H, D). H heads share K heads of keys, T of them, in order."""
    rows, heads, _, width = query_BH1D.shape
    shared = key_BKTD.shape[1]
    query_BKGD = query_BH1D.reshape(rows, shared, heads // shared, width)
    seen_BKGD = scaled_dot_product_attention(query_BKGD, key_BKTD, value_BKTD, attn_mask=may_attend, scale=scale)
    return seen_BKGD.reshape(rows, 1, heads, -1)


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """Stands in where no mask was given: `_attend` makes do without."""


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _no_mask)
