"""Which values are images, and what they look like as raw RGB. The rules are those of a notebook.

Without matplotlib no value is a figure.
Images are taken when they are shown, so later changes to them do not matter.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image, ImageShow

from .frames import MAX_SIDE
from .spec import SessionLimits

try:
    import matplotlib.pyplot as plt
    from matplotlib.artist import Artist
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError:
    _Absent = type("_Absent", (), {})
    plt, Artist, FigureCanvasAgg, Figure = None, _Absent, _Absent, _Absent  # type: ignore[assignment, misc]

__all__ = ["Display", "NotShown"]

_NOTHING = SessionLimits(
    seconds=0, cpu_seconds=0, memory_bytes=0, disk_bytes=0, processes=0, output_bytes=0, images=0, image_pixels=0
)
"""Until a session says what it may show."""
_FEW = 1000
"""Collections of artists are looked through up to this length."""


class NotShown(Exception):  # noqa: N818 -- it is a verdict on the run, not an error of this program
    """An image is over a limit. The text says which."""


class Display:
    """The images of one run.

    Attributes:
        limits: How many there may be, and of how many pixels together.
        sizes: Width and height of each.
        pixels: Their RGB bytes.
        over_limit: What was wrong with one that was dropped.
    """

    def __init__(self) -> None:
        self.limits = _NOTHING
        self.sizes: list[tuple[int, int]] = []
        self.pixels: list[bytes | memoryview] = []
        self.over_limit = ""

    def install(self) -> None:
        """Send `plt.show()`, `figure.show()` and `image.show()` here."""

        def show(*_: object, **__: object) -> None:
            self.show_open_figures()

        def show_figure(figure: Figure, _warn: bool = True) -> None:
            self.show(figure)
            plt.close(figure)

        if plt is not None:
            plt.show = show
            Figure.show = show_figure  # type: ignore[assignment, method-assign]
        ImageShow._viewers[:] = [_Viewer(self)]

    def clear(self) -> None:
        """Forget what was shown: a new run begins."""
        self.sizes, self.pixels, self.over_limit = [], [], ""

    def show(self, value: object) -> bool:
        """Show a value if it is an image. Returns whether it is one."""
        try:
            if isinstance(value, Image.Image):
                self._add_image(value)
            elif isinstance(value, Figure):
                self._add_figure(value)
            elif isinstance(value, np.ndarray) and _is_image(value):
                self._add_array(value)
            else:
                return False
        except NotShown as reason:
            self.over_limit = self.over_limit or str(reason)
        return True

    def show_open_figures(self) -> None:
        """Show the figures that pyplot holds open, in order, and close them."""
        if plt is None:
            return
        for number in plt.get_fignums():
            self.show(plt.figure(number))
        plt.close("all")

    def show_result(self, value: object) -> bool:
        """Show the last expression of a run. Returns whether its `repr` would add nothing."""
        if isinstance(value, Figure):
            self.show(value)
            plt.close(value)
            return True
        return self.show(value) or (plt is not None and bool(plt.get_fignums()) and _is_artists(value))

    def _add_image(self, image: Image.Image) -> None:
        self._check(*image.size)
        rgb = _to_rgb(image)
        self._add(rgb.size, rgb.tobytes())

    def _add_figure(self, figure: Figure) -> None:
        width, height = (round(float(side)) for side in figure.get_size_inches() * figure.dpi)
        self._check(width, height)
        canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        self._add_image(Image.fromarray(drawn))

    def _add_array(self, array: np.ndarray[Any, Any]) -> None:
        self._check(array.shape[1], array.shape[0])
        colours = array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2)
        self._add((array.shape[1], array.shape[0]), colours.tobytes())

    def _add(self, size: tuple[int, int], pixels: bytes) -> None:
        width, height = size
        if len(pixels) != 3 * width * height:  # a subclass with ideas of its own
            raise NotShown(f"An image of {width}×{height} pixels cannot be shown: it gave {len(pixels)} bytes of RGB.")
        self.sizes.append((int(width), int(height)))
        self.pixels.append(pixels)

    def _check(self, width: int, height: int) -> None:
        if len(self.sizes) >= self.limits.images:
            raise NotShown(f"Limit of {self.limits.images} images per run reached; the others were dropped.")
        if not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
            raise NotShown(f"An image of {width}×{height} pixels cannot be shown: sides go from 1 to {MAX_SIDE}.")
        limit = self.limits.image_pixels
        if width * height > limit:
            raise NotShown(
                f"An image of {width}×{height} pixels is over the limit of {limit} pixels; crop or resize it."
            )
        shown = sum(one_width * one_height for one_width, one_height in self.sizes)
        if shown + width * height > limit:
            raise NotShown(
                f"Limit of {limit} pixels for all images of one run together reached: an image of {width}×{height} "
                f"pixels after {shown} pixels was dropped; crop or resize them, or show them in several runs."
            )


class _Viewer(ImageShow.Viewer):
    """What `image.show()` of Pillow calls."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def show(self, image: Image.Image, **_: object) -> int:
        self._display.show(image)
        return 1


def _is_image(array: np.ndarray[Any, Any]) -> bool:
    if array.dtype != np.uint8 or not array.size:
        return False
    return array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)


def _is_artists(value: object) -> bool:
    """Whether a value is what plotting functions return: an artist, or a non-empty collection of nothing else."""
    if isinstance(value, Artist):
        return True
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.ravel().tolist()
    if not isinstance(value, list | tuple) or not value or len(value) > _FEW:
        return False
    return _all_artists(value)


def _all_artists(values: Iterable[object]) -> bool:
    return all(isinstance(value, Artist) or _is_artists(value) for value in values)


def _to_rgb(image: Image.Image) -> Image.Image:
    """As RGB: transparent parts on white, 16-bit greys scaled down."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")
