"""The size of a scene, and the grid of cells that its view is made from."""

from dataclasses import dataclass

import numpy as np

from metis_gym.records import Box

__all__ = ["Canvas"]


@dataclass(frozen=True)
class Canvas:
    """The size of a scene. Places in a scene are multiples of `factor` source pixels, which is one view pixel.

    Attributes:
        view_width: Width of the view.
        view_height: Height of the view.
        factor: k: the source is k times as wide and high.
    """

    view_width: int
    view_height: int
    factor: int

    @property
    def width(self) -> int:
        """Width of the source."""
        return self.view_width * self.factor

    @property
    def height(self) -> int:
        """Height of the source."""
        return self.view_height * self.factor

    def px(self, view_pixels: float) -> int:
        """Source pixels of a length given in view pixels."""
        return round(view_pixels * self.factor)

    def box(self, left: int, top: int, right: int, bottom: int) -> Box:
        """Source box of a box given in whole view pixels: it lies on the cells."""
        return left * self.factor, top * self.factor, right * self.factor, bottom * self.factor

    def place(self, rng: np.random.Generator, width: int, height: int, margin: int = 4) -> Box:
        """A random source box of a size given in whole view pixels, on the cells and inside the scene.

        Raises:
            ValueError: It does not fit.
        """
        if width + 2 * margin > self.view_width or height + 2 * margin > self.view_height:
            raise ValueError(f"{width} x {height} does not fit into a view of {self.view_width} x {self.view_height}")
        left = int(rng.integers(margin, self.view_width - width - margin + 1))
        top = int(rng.integers(margin, self.view_height - height - margin + 1))
        return self.box(left, top, left + width, top + height)
