"""Image features that are computed once: by the engine, and by nobody again while the vision tower stays."""

from collections import OrderedDict
from collections.abc import Sequence

import torch

from metis_agents.qwen3vl.chat.tokens import EncodedImage
from metis_agents.qwen3vl.model.network import Features, Network

__all__ = ["FeatureStore"]


class FeatureStore:
    """Keeps the features of the most recently used images, without gradients.

    Args:
        network: Who looks at images.
        is_frozen: Whether the vision tower never changes; otherwise `refresh` forgets everything.
        capacity_bytes: Most memory for features.
        pixels: Most pixels that are looked at in one forward pass; a larger image gets a pass of its own.
    """

    def __init__(
        self,
        network: Network,
        *,
        is_frozen: bool = False,
        capacity_bytes: int = 1 << 30,
        pixels: int = 1 << 24,
    ) -> None:
        self.network, self.is_frozen = network, is_frozen
        self._capacity_bytes, self._pixels = capacity_bytes, pixels
        self._kept: OrderedDict[str, Features] = OrderedDict()
        self._bytes = 0

    @torch.no_grad()
    def of(self, images: Sequence[EncodedImage]) -> list[Features]:
        """The features of images, in order; each different image is looked at once."""
        found = {image.name: self._kept[image.name] for image in images if image.name in self._kept}
        missing = list({image.name: image for image in images if image.name not in found}.values())
        for part in self._parts(missing):
            new = dict(zip((image.name for image in part), self.network.features(part), strict=True))
            found |= new
            self._keep(new)
        for name in found:
            if name in self._kept:
                self._kept.move_to_end(name)
        return [found[image.name] for image in images]

    def refresh(self) -> None:
        """The model's weights have changed."""
        if not self.is_frozen:
            self._kept.clear()
            self._bytes = 0

    def _parts(self, images: Sequence[EncodedImage]) -> list[list[EncodedImage]]:
        parts: list[list[EncodedImage]] = []
        filled = 0
        for image in images:
            size = image.pixels.size // 3
            if not parts or filled + size > self._pixels:
                parts.append([])
                filled = 0
            parts[-1].append(image)
            filled += size
        return parts

    def _keep(self, new: dict[str, Features]) -> None:
        self._kept |= new
        self._bytes += sum(map(_bytes, new.values()))
        while self._bytes > self._capacity_bytes and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= _bytes(dropped)


def _bytes(features: Features) -> int:
    return sum(part.numel() * part.element_size() for part in (features.tokens_NH, *features.deepstack))
