"""Images for the model: resized to its grid of patches, and cut into patches, without torchvision.

The arithmetic is that of Qwen2-VL's image processor in transformers, which Qwen3-VL uses: sides rounded to a multiple
of patch × merge, the number of pixels kept within limits, bicubic resizing, normalising, patches in the order of the
merger. A test compares the two. The numbers are those of the checkpoint's `preprocessor_config.json`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from metis_agents.qwen3vl.chat.tokens import EncodedImage
from metis_gym.errors import BudgetError, ConfigError
from metis_gym.images.transforms import MAX_ASPECT, fingerprint
from metis_gym.records import ImageArray
from metis_gym.storage import write_json

__all__ = ["ImageEncoder"]

_FILE = "preprocessor_config.json"
_STEPS: dict[str, Any] = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "rescale_factor": 1 / 255,
    "resample": int(Image.Resampling.BICUBIC),
}
"""What an encoder always does; a checkpoint whose processor does something else is refused."""


@dataclass(frozen=True, kw_only=True)
class ImageEncoder:
    """How a model takes images. The defaults are those of the tiny model; a checkpoint brings its own (`load`).

    Attributes:
        patch: Side of a patch, pixels.
        merge: Patches along a side that become one token.
        temporal: Frames of a patch; an image is repeated.
        min_pixels: Smaller images are enlarged.
        max_pixels: Larger images are reduced.
        mean: Of each channel, for normalising.
        std: Of each channel, for normalising.
        processor: transformers' class that other programs put around it, with the tokenizer.
    """

    patch: int = 16
    merge: int = 2
    temporal: int = 2
    min_pixels: int = 4_096
    max_pixels: int = 5_242_880
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    processor: str = "Qwen3VLProcessor"

    def __post_init__(self) -> None:
        if not 0 < self.min_pixels <= self.max_pixels:
            raise ConfigError(
                f"Expect 0 < min_pixels ≤ max_pixels, actually: min_pixels {self.min_pixels}, max_pixels "
                f"{self.max_pixels}"
            )

    @classmethod
    def load(cls, name: str, *, min_pixels: int | None = None, max_pixels: int | None = None) -> "ImageEncoder":
        """Read how a checkpoint takes images.

        Args:
            name: A folder, or a checkpoint on the hub.
            min_pixels: Another lower limit than the checkpoint's.
            max_pixels: Another upper limit than the checkpoint's.

        Raises:
            ConfigError: The checkpoint does not say it, or does something else with images.
        """
        import transformers

        library: Any = transformers  # as untyped as it is
        try:
            processor = library.AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"cannot read {_FILE} of {name!r}, which says at what size the model takes images: {error}. Copy it "
                "there from the checkpoint that the model was made from."
            ) from error
        return cls.of(processor, min_pixels=min_pixels, max_pixels=max_pixels)

    @classmethod
    def of(cls, processor: Any, *, min_pixels: int | None = None, max_pixels: int | None = None) -> "ImageEncoder":
        """The same as an image processor of transformers does it, with other limits on pixels where given.

        Raises:
            ConfigError: It is not one of Qwen2-VL's kind, or is told to do something else with images.
        """
        if not type(processor).__name__.startswith("Qwen2VLImageProcessor"):
            raise ConfigError(
                f"Expect images to be taken by a Qwen2VLImageProcessor, as Qwen3-VL does, actually: "
                f"{type(processor).__name__}"
            )
        for step, expected in _STEPS.items():
            actual = getattr(processor, step)
            if not math.isclose(actual, expected):
                raise ConfigError(f"Expect an image processor with {step} {expected}, actually: {actual}")
        return cls(
            patch=int(processor.patch_size),
            merge=int(processor.merge_size),
            temporal=int(processor.temporal_patch_size),
            min_pixels=min_pixels or int(processor.size["shortest_edge"]),
            max_pixels=max_pixels or int(processor.size["longest_edge"]),
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `preprocessor_config.json`, in the form of the hub's checkpoints."""
        write_json(
            Path(folder) / _FILE,
            {
                "image_processor_type": "Qwen2VLImageProcessorFast",
                "processor_class": self.processor,
                **_STEPS,
                "do_convert_rgb": True,
                "size": {"shortest_edge": self.min_pixels, "longest_edge": self.max_pixels},
                "patch_size": self.patch,
                "merge_size": self.merge,
                "temporal_patch_size": self.temporal,
                "image_mean": list(self.mean),
                "image_std": list(self.std),
            },
        )

    def check(self, vision: Any) -> None:
        """Check that a model's vision tower takes patches of this size.

        Raises:
            ConfigError: It takes others.
        """
        ours = (self.patch, self.merge, self.temporal)
        theirs = (vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)
        if ours != theirs:
            raise ConfigError(
                f"Expect the image processor to have the model's (patch, merge, temporal) sizes {theirs}, actually: "
                f"{ours} in {_FILE}"
            )

    def tokens(self, image: EncodedImage) -> int:
        """How many tokens an image takes."""
        return image.rows * image.columns // self.merge**2

    def encode(self, image: ImageArray) -> EncodedImage:
        """Bring an image of shape (height, width, 3) to the model's size.

        Raises:
            BudgetError: One side is more than 200 times the other.
        """
        height, width = self._size(*image.shape[:2])
        if (height, width) != image.shape[:2]:
            resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
            image = np.asarray(resized, dtype=np.uint8)
        return EncodedImage(image, height // self.patch, width // self.patch, fingerprint(image))

    def patches(self, images: Sequence[EncodedImage], device: torch.device) -> tuple[Tensor, Tensor]:
        """What the vision tower takes.

        Returns:
            Patches of all images, float32, one row for each patch, and (1, rows, columns) of each image, int64.
        """
        grids = torch.tensor([[1, image.rows, image.columns] for image in images], device=device)
        return torch.cat([self._cut(image, device) for image in images]), grids

    def _cut(self, image: EncodedImage, device: torch.device) -> Tensor:
        """Patches of one image in the order in which the merger joins them."""
        pixels = torch.from_numpy(np.array(image.pixels)).to(device).permute(2, 0, 1).float()
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        pixels = (pixels / 255.0 - mean) / std
        rows, columns = image.rows // self.merge, image.columns // self.merge
        cut = pixels.reshape(3, rows, self.merge, self.patch, columns, self.merge, self.patch)
        cut = cut.permute(1, 4, 2, 5, 0, 3, 6).unsqueeze(5)
        repeated = cut.expand(-1, -1, -1, -1, -1, self.temporal, -1, -1)
        return repeated.reshape(image.rows * image.columns, -1)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        if max(height, width) > MAX_ASPECT * min(height, width):
            raise BudgetError(
                f"Expect an image with sides of a ratio up to {MAX_ASPECT}, actually: {width} x {height} pixels"
            )
        unit = self.patch * self.merge
        rows, columns = round(height / unit) * unit, round(width / unit) * unit  # 0 is enlarged below
        if rows * columns > self.max_pixels:
            shrink = math.sqrt(height * width / self.max_pixels)
            rows, columns = (max(unit, math.floor(side / shrink / unit) * unit) for side in (height, width))
        elif rows * columns < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            rows, columns = (math.ceil(side * grow / unit) * unit for side in (height, width))
        return rows, columns
