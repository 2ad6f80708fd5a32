"""Optimisers that are right for the parameters' type.

At a learning rate of 1e-6 an update is smaller than the spacing of bfloat16, and most weights never move. Parameters in
bfloat16 therefore get float32 masters: the update is added to those, and the parameters are their rounding.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["MasterAdamW", "make_optimizer"]


class MasterAdamW(torch.optim.Optimizer):
    """AdamW on float32 copies of parameters of a narrower type.

    Args:
        parameters: What learns.
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self._parameters = list(parameters)
        self._masters = [nn.Parameter(parameter.detach().float().clone()) for parameter in parameters]
        self._inner = torch.optim.AdamW(self._masters, lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002 — torch's signature
        """Move the masters by the parameters' gradients, then round them back."""
        for ours, group in zip(self._inner.param_groups, self.param_groups, strict=True):
            ours["lr"] = group["lr"]
        for parameter, master in zip(self._parameters, self._masters, strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
        self._inner.step()
        for parameter, master in zip(self._parameters, self._masters, strict=True):
            master.grad = None
            parameter.copy_(master)

    def state_dict(self) -> dict[str, Any]:
        """The inner optimiser's state and the masters."""
        masters: list[Tensor] = [master.detach() for master in self._masters]
        return {"inner": self._inner.state_dict(), "masters": masters}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self._inner.load_state_dict(dict(state["inner"]))
        for master, saved in zip(self._masters, state["masters"], strict=True):
            master.copy_(saved)


def make_optimizer(parameters: Sequence[nn.Parameter], *, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW; with float32 masters where a parameter is narrower than float32."""
    if any(parameter.dtype in (torch.bfloat16, torch.float16) for parameter in parameters):
        return MasterAdamW(parameters, lr=lr, weight_decay=weight_decay)
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
