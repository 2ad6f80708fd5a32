"""Drawing tokens: from the whole distribution, or from its likeliest part."""

import torch
from torch import Tensor

__all__ = ["sample", "truncated"]

_ALMOST_ONE = 1.0 - 2.0**-20


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


def truncated(logits_BV: Tensor, *, top_p: float = 1.0, top_k: int | None = None) -> Tensor:
    """Logits with −∞ for all but the likeliest tokens: the first `top_k`, and of these those that reach `top_p`.

    >>> truncated(torch.tensor([[0.5, 0.2, 0.3]]).log(), top_p=0.6).exp().round(decimals=3).tolist()
    [[0.5, 0.0, 0.30000001192092896]]
    """
    if top_k is not None and top_k < logits_BV.shape[-1]:
        least_B1 = logits_BV.topk(top_k, dim=-1).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < least_B1, float("-inf"))
    if top_p < 1.0:
        sorted_BV, order_BV = logits_BV.softmax(dim=-1).sort(dim=-1, descending=True)
        is_beyond_BV = sorted_BV.cumsum(dim=-1) - sorted_BV >= top_p  # what stands before it is enough
        is_beyond_BV = torch.zeros_like(is_beyond_BV).scatter(-1, order_BV, is_beyond_BV)
        logits_BV = logits_BV.masked_fill(is_beyond_BV, float("-inf"))
    return logits_BV


def _nearest_possible(ids_B1: Tensor, probabilities_BV: Tensor) -> Tensor:
    """The nearest ids of a probability above 0.

    A sum that is made in blocks, as on a GPU, may grow by a rounding where nothing was added to it.
    """
    distances_BV = (torch.arange(probabilities_BV.shape[-1], device=ids_B1.device) - ids_B1).abs()
    return distances_BV.masked_fill(probabilities_BV == 0, probabilities_BV.shape[-1]).argmin(dim=-1, keepdim=True)
