"""A task's image from a decoded source: the source, and the view that a model is shown."""

import numpy as np
from PIL import Image

from metis_gym.records import ImageArray, TaskImage

__all__ = ["task_image"]


def task_image(source: ImageArray, view_size: int) -> TaskImage:
    """A source image with its view: shrunk so that the longest side is `view_size`, never enlarged."""
    height, width = source.shape[:2]
    if max(height, width) <= view_size:
        return TaskImage(source=source, view=source)
    scale = view_size / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    view = np.array(Image.fromarray(source).resize(size, Image.Resampling.BOX), dtype=np.uint8)
    return TaskImage(source=source, view=view)
