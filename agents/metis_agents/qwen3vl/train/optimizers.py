"""Optimisers that are right for the parameters' type.

At a learning rate of 1e-6 an update is smaller than the spacing of bfloat16, and most weights never move when they are
rounded to the nearest. Two ways out: float32 masters, to which updates are added and whose rounding the parameters are;
or stochastic rounding, which is right on average and needs no masters. Bytes for each weight, its gradient included:

```
float32 masters       2 + 2 + 4 + 8 = 16
stochastic rounding   2 + 2     + 8 = 12
```
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metis_gym.errors import CheckpointError

__all__ = ["ROUNDINGS", "NarrowAdamW", "make_optimizer"]

ROUNDINGS = ("nearest", "stochastic")


class NarrowAdamW(torch.optim.Optimizer):
    """AdamW in float32 for parameters of a narrower type, one after the other, so that little is wide at a time.

    Args:
        parameters: What learns.
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        rounding: "nearest" keeps float32 masters; "stochastic" keeps none, and rounds bfloat16 up or down by chance, in
            proportion to what lies between. What is drawn follows from the number of steps alone: ranks that hold the
            same weights and gradients round in the same way, whatever else each of them draws.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], *, lr: float, weight_decay: float, rounding: str = "nearest"
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self._parameters = list(parameters)
        self._keeps_masters = rounding == "nearest"
        self._steps = 0
        # A wide stand-in for each parameter; without masters it is empty but for its own step.
        self._wide = [nn.Parameter(self._widened(parameter)) for parameter in parameters]
        self._inner = [
            torch.optim.AdamW([wide], lr=lr, weight_decay=weight_decay, foreach=False) for wide in self._wide
        ]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002 — torch's signature
        """Move each parameter by its gradient, and round it back."""
        self._steps += 1
        chances = dict[torch.device, torch.Generator]()
        for parameter, wide, inner in zip(self._parameters, self._wide, self._inner, strict=True):
            if parameter.grad is None:
                continue
            inner.param_groups[0]["lr"] = self.param_groups[0]["lr"]
            if not self._keeps_masters:
                wide.data = parameter.float()
            wide.grad = parameter.grad.float()
            inner.step()
            wide.grad = None
            if self._keeps_masters:
                parameter.copy_(wide)
            else:
                if wide.device not in chances:
                    chances[wide.device] = torch.Generator(wide.device).manual_seed(self._steps)
                parameter.copy_(_rounded_by_chance(wide, chances[wide.device]))
                wide.data = parameter.new_empty(0, dtype=torch.float32)

    def state_dict(self) -> dict[str, Any]:
        """The inner optimisers' states, the masters where there are any, and the number of steps."""
        masters: list[Tensor] = [wide.detach() for wide in self._wide] if self._keeps_masters else []
        return {"inner": [inner.state_dict() for inner in self._inner], "masters": masters, "steps": self._steps}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave.

        Raises:
            CheckpointError: It is of an optimiser that rounds in the other way.
        """
        if self._keeps_masters != bool(state["masters"]):
            raise CheckpointError("Expect a state with the same rounding: one has float32 masters, the other has none")
        self._steps = int(state["steps"])
        for inner, saved in zip(self._inner, state["inner"], strict=True):
            inner.load_state_dict(saved)
        if self._keeps_masters:
            for wide, master in zip(self._wide, state["masters"], strict=True):
                wide.copy_(master)

    def _widened(self, parameter: nn.Parameter) -> Tensor:
        if self._keeps_masters:
            return parameter.detach().float().clone()
        return parameter.detach().new_empty(0, dtype=torch.float32)


def make_optimizer(
    parameters: Sequence[nn.Parameter], *, lr: float, weight_decay: float, rounding: str = "nearest"
) -> torch.optim.Optimizer:
    """AdamW; `NarrowAdamW` where a parameter is narrower than float32.

    Args:
        parameters: What learns.
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        rounding: How narrow parameters take up their updates; one of `ROUNDINGS`.
    """
    if any(parameter.dtype in (torch.bfloat16, torch.float16) for parameter in parameters):
        return NarrowAdamW(parameters, lr=lr, weight_decay=weight_decay, rounding=rounding)
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)


def _rounded_by_chance(wide: Tensor, generator: torch.Generator) -> Tensor:
    """float32 whose lower half, all that bfloat16 cannot hold, was rounded up with its own share as the chance."""
    bits = wide.view(torch.int32)
    chance = torch.randint(1 << 16, bits.shape, generator=generator, dtype=torch.int32, device=bits.device)
    return ((bits + chance) & ~0xFFFF).view(torch.float32)
