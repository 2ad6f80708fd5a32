"""Weights into a running vLLM. `take_up` runs in vLLM's worker, which is in this process: nothing is copied on the way.

vLLM loads weights layer by layer: what is given is an iterator, so that no more than a layer is held twice.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["take_up"]


@torch.no_grad()
def take_up(worker: Any, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Load weights into the model of a worker.

    Args:
        worker: vLLM's.
        weights: Weights by the checkpoint's names, all or some; those of one layer beside each other.
    """
    worker.reload_weights(weights_iterator=weights)
    _pack_again(worker.get_model())


def _pack_again(model: Any) -> None:
    """Pack output layers that share the embedding's weights: on a CPU they calculate with a copy of their own.

    vLLM packs a layer again when it loads its weights. Those of a tied output layer come in with the embedding, and the
    old copy would stay in use, in silence.
    """
    modules = list(model.modules())
    heads = [module for module in modules if hasattr(module, "tie_weights") and hasattr(module, "quant_method")]
    embedded = {id(getattr(module, "weight", None)) for module in modules if module not in heads}
    for head in heads:
        if id(head.weight) in embedded:
            head.quant_method.process_weights_after_loading(head)
