"""A small and fast policy for the numeric view."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecTransposeImage
from torch import Tensor, nn

from metis_gym.errors import ConfigError

__all__ = ["NumericExtractor", "ToolUsePolicy", "seen_by"]

_IMAGES, _COUNTS = ("image", "returned"), ("tool_counts", "turns_left")
_NUMERIC_VIEW = frozenset({*_IMAGES, *_COUNTS, "text"})
_MENTIONS = "mentions"
_PATCH = 4
_MAX_CELLS = 8
_HEADS = 4
_SHARPNESS = 4.0
_COUNT_UNIT = 4.0
_BYTES = 256


class NumericExtractor(BaseFeaturesExtractor):
    """Features of the numeric view's observations: each image, the text's bytes, the counts, and what a search found.

    An image becomes a grid of cells of 16 × 16 pixels, at most 8 × 8 of them. Four cells are attended to: their
    features, and where they are, are what is known of the image. The text is read as a bag of bytes: enough to tell
    questions apart.

    Args:
        observation_space: That of `MetisVQA-Discrete-v0`.
        width: Features of a cell.
        text_width: Features of the text.

    Raises:
        ConfigError: The space is not that of the numeric view.
    """

    def __init__(self, observation_space: spaces.Space[Any], width: int = 64, text_width: int = 16) -> None:
        expected = _NUMERIC_VIEW
        if not isinstance(observation_space, spaces.Dict) or not expected <= set(observation_space.spaces):
            raise ConfigError(
                f"Expect the observation space of the numeric view, a Dict with {', '.join(sorted(expected))}, "
                f"actually: {observation_space}"
            )
        super().__init__(observation_space, features_dim=1)
        image: Any = observation_space["image"]
        self.channels_first = is_image_space_channels_first(image)
        side = image.shape[-1] if self.channels_first else image.shape[0]
        glances = {name: Glance(side, width) for name in _IMAGES}
        self.glances = nn.ModuleDict(glances)
        self.text = nn.Sequential(nn.Linear(_BYTES, text_width), nn.LayerNorm(text_width))
        self._features_dim = sum(glance.features for glance in glances.values()) + text_width + len(_COUNTS)
        self.mentions: nn.Module | None = None
        if _MENTIONS in observation_space.spaces:
            choices = int(np.prod(observation_space[_MENTIONS].shape or ()))
            self.mentions = nn.Sequential(nn.Linear(choices, text_width), nn.LayerNorm(text_width))
            self._features_dim += text_width

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Features of shape (B, features_dim) of preprocessed observations, images in [0, 1]."""
        parts = [self.glances[name](self._channels_first(observations[name])) for name in _IMAGES]
        parts.append(self.text(_byte_counts(observations["text"])))
        parts += [observations[name].float() / _COUNT_UNIT for name in _COUNTS]
        if self.mentions is not None:
            parts.append(self.mentions(observations[_MENTIONS].float()))
        return torch.cat(parts, dim=1)

    def _channels_first(self, images: Tensor) -> Tensor:
        return images if self.channels_first else images.permute(0, 3, 1, 2)


class Glance(nn.Module):
    """An image of shape (B, 3, side, side) → the features of the cells that are attended to, and the attention.

    Axes: H heads, W features of a cell, C cells.

    Args:
        side: Of the image, pixels.
        width: Features of a cell.

    Raises:
        ConfigError: The image is smaller than a cell.
    """

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        if side < _PATCH**2:
            raise ConfigError(f"Expect images of at least {_PATCH**2} pixels on each side, actually: {side}")
        cells = min(side // _PATCH**2, _MAX_CELLS)
        self.features = _HEADS * (width + cells**2)
        self.cells = nn.Sequential(
            nn.Conv2d(3, 16, _PATCH + 2, _PATCH, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, width, _PATCH, _PATCH),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(cells) if side // _PATCH**2 > cells else nn.Identity(),
            nn.Flatten(2),
        )
        self.score = nn.Sequential(nn.Conv1d(width, 32, 1), nn.ReLU(), nn.Conv1d(32, _HEADS, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Features of shape (B, features)."""
        cells_BWC = self.cells(images)
        scores_BHC = self.score(cells_BWC) * _SHARPNESS
        seen_BHW = torch.einsum("bwc,bhc->bhw", cells_BWC, scores_BHC.softmax(-1))
        return torch.cat([seen_BHW.flatten(1), scores_BHC.flatten(1)], dim=1)


class ToolUsePolicy(MultiInputActorCriticPolicy):
    """`MultiInputPolicy` with one hidden layer and, on the numeric view, that view's extractor.

    Its value head is for `stable_baselines3.PPO`; group methods leave it alone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        space = kwargs.get("observation_space", args[0] if args else None)
        if isinstance(space, spaces.Dict) and set(space.spaces) >= _NUMERIC_VIEW:
            kwargs.setdefault("features_extractor_class", NumericExtractor)
        kwargs.setdefault("net_arch", {"pi": [64], "vf": [64]})
        kwargs.setdefault("activation_fn", nn.ReLU)
        super().__init__(*args, **kwargs)


def seen_by(policy: type[BasePolicy], policy_kwargs: Mapping[str, Any], space: spaces.Space[Any]) -> spaces.Space[Any]:
    """The space that a policy is made for: images have their channels first where its extractor is the library's.

    The library's extractors read no other order, and its policies turn the axes of observations as their space says.
    """
    extractor = policy_kwargs.get("features_extractor_class", NumericExtractor)
    if issubclass(policy, ToolUsePolicy) and issubclass(extractor, NumericExtractor):
        return space
    if not isinstance(space, spaces.Dict):
        return space
    return spaces.Dict({name: _channels_first(part) for name, part in space.items()})


def _channels_first(space: spaces.Space[Any]) -> spaces.Space[Any]:
    if is_image_space(space) and not is_image_space_channels_first(cast("spaces.Box", space)):
        return VecTransposeImage.transpose_space(cast("spaces.Box", space))
    return space


def _byte_counts(text: Tensor) -> Tensor:
    """How often each byte comes up, shape (B, 256); the padding is left out."""
    counts = text.new_zeros((len(text), _BYTES), dtype=torch.float32)
    counts.scatter_add_(1, text.long(), torch.ones_like(text, dtype=torch.float32))
    return counts.index_fill(1, torch.zeros(1, dtype=torch.long, device=text.device), 0.0) / 16.0
