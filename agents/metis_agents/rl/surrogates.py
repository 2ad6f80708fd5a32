"""The clipped surrogate objectives, by name: what replaces `log π · A` once the policy has moved since it acted.

All have the same gradient on the first, fully on-policy update, where every ratio is 1: `A·∇log π` at each token. They
differ in what they do to tokens, or whole episodes, that moved far.

Axes: C channels, B episodes, T tokens. `logratio_BT` is log π − log π_old, 0 outside model tokens; `advantages_CB1` is
constant over an episode. Aggregation over tokens and episodes is the loss's business: GSPO and GMPO are written for
`sequence-mean`, the others for `token-mean`.

Before a log-ratio is exponentiated it is clamped to ±20, a ratio of 4.9e8, as verl does: e^89 is infinite in float32,
and the clip's slope of 0 times infinity is a NaN gradient of a finite loss. A token beyond ±20
has no gradient, except in CISPO, which exponentiates nothing that has one.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metis_gym.parameters import check_parameters, number
from metis_gym.registries import Registry, parse_spec

__all__ = ["MAX_LOGRATIO", "SURROGATES", "Objective", "Surrogate", "clamped", "make_surrogate"]

MAX_LOGRATIO = 20.0
"""Largest absolute log-ratio whose exponential is taken."""


def clamped(logratio: Tensor) -> Tensor:
    """The log-ratio within ±20; the same bits inside, and no gradient outside."""
    return logratio.clamp(-MAX_LOGRATIO, MAX_LOGRATIO)


class Objective(NamedTuple):
    """What a surrogate gives.

    Attributes:
        objective_CBT: To be maximised; summed over an episode's model tokens by the loss.
        is_clipped_CBT: True where clipping changed the objective, and so stopped or bounded the gradient.
    """

    objective_CBT: Tensor
    is_clipped_CBT: Tensor


@dataclass(frozen=True, kw_only=True)
class Surrogate(ABC):
    """A surrogate objective: a pure function of ratios and advantages."""

    def __post_init__(self) -> None:
        check_parameters(self)

    @abstractmethod
    def __call__(self, logratio_BT: Tensor, advantages_CB1: Tensor, is_model_token_BT: Tensor) -> Objective:
        """The objective of every token in every channel."""


@dataclass(frozen=True, kw_only=True)
class PpoClip(Surrogate):
    """`min(r·A, clip(r, 1 − ε_low, 1 + ε_high)·A)` (PPO, arXiv 1707.06347, equation 7).

    Args:
        eps_low: How far the ratio may fall.
        eps_high: How far the ratio may rise.
        dual_clip: With a bound c, `max(…, c·A)` for A < 0 (Ye et al., arXiv 1912.09729; c = 3 there). Off
            by default: the released code of arXiv 2604.08545 has it silently on.
    """

    eps_low: float = number(0.2, low=0, high=1)
    eps_high: float = number(0.2, low=0)
    dual_clip: float | None = number(None, above=1, optional=True)

    def __call__(self, logratio_BT: Tensor, advantages_CB1: Tensor, is_model_token_BT: Tensor) -> Objective:
        """Clip each token's ratio by itself."""
        del is_model_token_BT  # tokens are independent
        objective, is_clipped = _clipped(clamped(logratio_BT).exp(), advantages_CB1, self.eps_low, self.eps_high)
        if self.dual_clip is None:
            return Objective(objective, is_clipped)
        bound = self.dual_clip * advantages_CB1
        bounded = torch.where(advantages_CB1 < 0, torch.maximum(objective, bound), objective)
        return Objective(bounded, is_clipped | ((advantages_CB1 < 0) & (objective < bound)))


@dataclass(frozen=True, kw_only=True)
class Dapo(PpoClip):
    """PPO's clip with more room upwards, "clip-higher" (DAPO, arXiv 2503.14476, section 3.1: .2 and .28)."""

    eps_high: float = number(0.28, low=0)


@dataclass(frozen=True, kw_only=True)
class Gspo(Surrogate):
    """`min(s·A, clip(s, 1 − ε_low, 1 + ε_high)·A)`, `s = (π/π_old)^{1/|y|}` (GSPO, arXiv 2507.18071, equations 5, 7).

    The ratio and its clipping belong to the whole episode. ε are those of section 5.1.

    Args:
        eps_low: How far the sequence ratio may fall.
        eps_high: How far the sequence ratio may rise.
    """

    eps_low: float = number(3e-4, low=0, high=1)
    eps_high: float = number(4e-4, low=0)

    def __call__(self, logratio_BT: Tensor, advantages_CB1: Tensor, is_model_token_BT: Tensor) -> Objective:
        """Clip the geometric mean of an episode's ratios."""
        ratio_B1 = clamped(_token_mean(logratio_BT, is_model_token_BT)).exp()
        objective, is_clipped = _clipped(ratio_B1, advantages_CB1, self.eps_low, self.eps_high)
        return _on_every_token(objective, is_clipped, logratio_BT)


@dataclass(frozen=True, kw_only=True)
class Gmpo(Surrogate):
    """`A·Π_t min(r_t^σ, clip(r_t^σ, e^{−ε_low}, e^{ε_high}))^{σ/|y|}`, σ = sign A (GMPO, arXiv 2507.20673).

    Tokens are clipped one by one, in logarithms, and joined by their geometric mean. ±.4 is the released code's.

    Args:
        eps_low: How far a token's log-ratio may fall.
        eps_high: How far a token's log-ratio may rise.
    """

    eps_low: float = number(0.4, low=0)
    eps_high: float = number(0.4, low=0)

    def __call__(self, logratio_BT: Tensor, advantages_CB1: Tensor, is_model_token_BT: Tensor) -> Objective:
        """Clip log-ratios against the advantage's sign, then average them."""
        sign_CB1 = advantages_CB1.sign()
        clamped_BT = logratio_BT.clamp(-self.eps_low, self.eps_high)
        kept_CBT = sign_CB1 * torch.minimum(sign_CB1 * logratio_BT, sign_CB1 * clamped_BT)
        objective_CB1 = advantages_CB1 * clamped(_token_mean(kept_CBT, is_model_token_BT)).exp()
        is_clipped = sign_CB1 * clamped_BT < sign_CB1 * logratio_BT
        return Objective(objective_CB1.expand_as(kept_CBT), is_clipped)


@dataclass(frozen=True, kw_only=True)
class Cispo(Surrogate):
    """`sg(clip(r, 1 − ε_low, 1 + ε_high))·A·log π` (CISPO, MiniMax-M1, arXiv 2506.13585, equations 4 and 5).

    No token loses its gradient: the weight is clipped, not the update. log π_old is subtracted, which no gradient sees.
    The paper has no lower bound and prints no ε_high; 4, a ratio of at most 5, is common in libraries (unconfirmed).

    Args:
        eps_low: How far the weight may fall; 1 is no bound.
        eps_high: How far the weight may rise.
    """

    eps_low: float = number(1.0, low=0, high=1)
    eps_high: float = number(4.0, low=0)

    def __call__(self, logratio_BT: Tensor, advantages_CB1: Tensor, is_model_token_BT: Tensor) -> Objective:
        """Weigh each token's log-probability by its clipped ratio."""
        del is_model_token_BT  # tokens are independent
        ratio_BT = clamped(logratio_BT.detach()).exp()
        weight_BT = ratio_BT.clamp(1.0 - self.eps_low, 1.0 + self.eps_high)
        objective_CBT = weight_BT * advantages_CB1 * logratio_BT
        return Objective(objective_CBT, (weight_BT != ratio_BT).expand_as(objective_CBT))


@dataclass(frozen=True, kw_only=True)
class Sapo(Surrogate):
    """`A·(4/τ)·sigmoid(τ·(r − 1))`, τ by the sign of A (SAPO, arXiv 2511.20347; read in two libraries' documentation).

    A soft gate in place of a clip: its slope at r = 1 is 1 and falls off on both sides. Nothing counts as clipped.

    Args:
        tau_pos: How fast the gate closes for A > 0.
        tau_neg: How fast the gate closes for A < 0; larger, because punishing one token raises many others.
    """

    tau_pos: float = number(1.0, above=0)
    tau_neg: float = number(1.05, above=0)

    def __call__(self, logratio_BT: Tensor, advantages_CB1: Tensor, is_model_token_BT: Tensor) -> Objective:
        """Gate each token by its ratio."""
        del is_model_token_BT  # tokens are independent
        tau_pos, tau_neg = advantages_CB1.new_tensor(self.tau_pos), advantages_CB1.new_tensor(self.tau_neg)
        tau_CB1 = torch.where(advantages_CB1 > 0, tau_pos, tau_neg)
        objective = advantages_CB1 * (4.0 / tau_CB1) * torch.sigmoid(tau_CB1 * (clamped(logratio_BT).exp() - 1.0))
        return Objective(objective, torch.zeros_like(objective, dtype=torch.bool))


SURROGATES: Registry[Surrogate] = Registry(
    "surrogate",
    {
        "cispo": f"{__name__}:Cispo",
        "dapo": f"{__name__}:Dapo",
        "gmpo": f"{__name__}:Gmpo",
        "gspo": f"{__name__}:Gspo",
        "ppo_clip": f"{__name__}:PpoClip",
        "sapo": f"{__name__}:Sapo",
    },
    group="surrogates",
)
"""The surrogates by name; `SURROGATES.register("mine")` adds one's own."""


def make_surrogate(spec: str) -> Surrogate:
    """Build a surrogate from a name or a spec.

    >>> make_surrogate("ppo_clip:eps_high=0.3,dual_clip=3")
    PpoClip(eps_low=0.2, eps_high=0.3, dual_clip=3)

    Raises:
        ConfigError: An unknown name or parameter, or a value that is not valid.
    """
    name, parameters = parse_spec(spec)
    return SURROGATES.create(name, **parameters)


def _clipped(ratio: Tensor, advantages_CB1: Tensor, eps_low: float, eps_high: float) -> tuple[Tensor, Tensor]:
    plain = ratio * advantages_CB1
    clipped = ratio.clamp(1.0 - eps_low, 1.0 + eps_high) * advantages_CB1
    return torch.minimum(plain, clipped), clipped < plain


def _token_mean(values: Tensor, is_model_token_BT: Tensor) -> Tensor:
    """Mean over an episode's model tokens, last axis kept with size 1; 0 where there are none."""
    lengths_B1 = is_model_token_BT.sum(-1, keepdim=True).clamp(min=1)
    return (values * is_model_token_BT).sum(-1, keepdim=True) / lengths_B1


def _on_every_token(objective_CB1: Tensor, is_clipped_CB1: Tensor, like_BT: Tensor) -> Objective:
    shape = (*objective_CB1.shape[:-1], like_BT.shape[-1])
    return Objective(objective_CB1.expand(shape), is_clipped_CB1.expand(shape))
