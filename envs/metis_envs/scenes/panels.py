"""Panels of charts, drawn by matplotlib's renderer, the same whatever the user's matplotlib settings are.

Lines, bars and labels are placed straight into a figure: a panel needs none of what makes matplotlib's axes slow, and
most of the time of a fresh scene would go there.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metis_envs.scenes.drawing import Colour, FontName, font_path
from metis_gym.errors import MissingDependencyError
from metis_gym.records import ImageArray

__all__ = ["LINE_COLOURS", "PanelStyle", "draw_bars", "draw_lines"]

LINE_COLOURS: tuple[Colour, ...] = (
    (31, 90, 180),
    (214, 60, 30),
    (30, 140, 70),
    (140, 60, 160),
    (196, 138, 0),
    (60, 60, 60),
)

_DPI = 72  # one point of matplotlib is then one pixel
_BLACK = (0.0, 0.0, 0.0)
_GRID = (0.8, 0.8, 0.8)
_BAR_WIDTH = 0.56


@dataclass(frozen=True)
class PanelStyle:
    """Sizes of a panel.

    Attributes:
        width: Width in source pixels.
        height: Height in source pixels.
        text_size: Font size in source pixels.
        line_width: Width of a line in source pixels.
        hollow: Draw bars as outlines: a filled area would vanish where it is concealed.
    """

    width: int
    height: int
    text_size: float
    line_width: float
    hollow: bool = False


def draw_lines(style: PanelStyle, curves: NDArray[np.float64], names: Sequence[str]) -> ImageArray:
    """Draw curves over x = 0, 1, …, each with its name at its right end.

    Args:
        style: Sizes.
        curves: Shape (curves, points), values in [0, 1].
        names: One for each curve.

    Returns:
        Shape (height, width, 3), uint8, on white.
    """
    last = curves.shape[1] - 1
    with _plain_settings():
        panel = _Panel(style, x_range=(-0.1, last + 0.6), y_range=(-0.08, 1.08))
        for x in range(last + 1):
            panel.line([x, x], panel.y_range, _GRID, style.line_width / 3)
            panel.tick(x, str(x))
        for curve, name, colour in zip(curves, names, LINE_COLOURS, strict=False):
            shade = _unit(colour)
            panel.line(range(last + 1), curve, shade, style.line_width)
            panel.text(last + 0.12, curve[-1], name, shade, font="sans-bold", ha="left", va="center")
        return panel.image()


def draw_bars(
    style: PanelStyle, heights: NDArray[np.float64], names: Sequence[str], labels: Sequence[str] | None = None
) -> ImageArray:
    """Draw bars with their names below, and labels above them if there are any.

    Args:
        style: Sizes.
        heights: Height of each bar in [0, 1].
        names: One for each bar.
        labels: What is printed above each bar.

    Returns:
        Shape (height, width, 3), uint8, on white.
    """
    with _plain_settings():
        panel = _Panel(style, x_range=(-0.5, len(heights) - 0.5), y_range=(0.0, 1.3 if labels else 1.08))
        for place, (height, name, colour) in enumerate(zip(heights, names, LINE_COLOURS, strict=False)):
            panel.bar(place, float(height), _unit(colour))
            panel.tick(place, name)
        for place, label in enumerate(labels or ()):
            panel.text(place, heights[place] + 0.03, label, _BLACK, ha="center", va="bottom")
        return panel.image()


class _Panel:
    """A figure with two axis lines, and a mapping from data to its pixels."""

    def __init__(self, style: PanelStyle, *, x_range: tuple[float, float], y_range: tuple[float, float]) -> None:
        from matplotlib.figure import Figure

        self.style, self.x_range, self.y_range = style, x_range, y_range
        self._figure: Any = Figure(figsize=((style.width + 0.01) / _DPI, (style.height + 0.01) / _DPI), dpi=_DPI)
        self._left, self._right = 0.5 * style.text_size, style.width - 0.5 * style.text_size
        self._bottom, self._top = 1.7 * style.text_size, style.height - 0.5 * style.text_size
        left_bottom_right = [self._left, self._left, self._right], [self._top, self._bottom, self._bottom]
        self._add_line(*left_bottom_right, _BLACK, style.line_width / 2)

    def line(self, xs: Sequence[float], ys: Any, colour: tuple[float, float, float], width: float) -> None:
        """A line through data points."""
        self._add_line([self._x(x) for x in xs], [self._y(y) for y in ys], colour, width)

    def bar(self, place: float, height: float, colour: tuple[float, float, float]) -> None:
        """A bar on the lower axis."""
        from matplotlib.patches import Rectangle

        left, right = self._x(place - _BAR_WIDTH / 2), self._x(place + _BAR_WIDTH / 2)
        fill = {"facecolor": "none", "edgecolor": colour} if self.style.hollow else {"facecolor": colour}
        size = (right - left, self._y(height) - self._bottom)
        patch = Rectangle((left, self._bottom), *size, linewidth=self.style.line_width, **fill)
        patch.set_transform(_pixels())
        self._figure.add_artist(patch)

    def tick(self, x: float, name: str) -> None:
        """A mark and a name below the lower axis."""
        length = self.style.text_size / 4
        self._add_line([self._x(x)] * 2, [self._bottom, self._bottom - length], _BLACK, self.style.line_width / 2)
        self._add_text(self._x(x), self._bottom - length - 2, name, _BLACK, ha="center", va="top")

    def text(self, x: float, y: float, text: str, colour: tuple[float, float, float], **options: str) -> None:
        """Text at a data point."""
        self._add_text(self._x(x), self._y(y), text, colour, **options)

    def image(self) -> ImageArray:
        """Shape (height, width, 3), uint8."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas: Any = FigureCanvasAgg(self._figure)
        canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])

    def _x(self, x: float) -> float:
        low, high = self.x_range
        return self._left + (x - low) / (high - low) * (self._right - self._left)

    def _y(self, y: float) -> float:
        low, high = self.y_range
        return self._bottom + (y - low) / (high - low) * (self._top - self._bottom)

    def _add_line(self, xs: list[float], ys: list[float], colour: tuple[float, float, float], width: float) -> None:
        from matplotlib.lines import Line2D

        line = Line2D(xs, ys, color=colour, linewidth=width, linestyle="-", marker="None", antialiased=True)
        line.set_solid_capstyle("round")
        line.set_solid_joinstyle("round")
        line.set_transform(_pixels())
        self._figure.add_artist(line)

    def _add_text(
        self,
        x: float,
        y: float,
        text: str,
        colour: tuple[float, float, float],
        *,
        font: FontName = "sans",
        **align: str,
    ) -> None:
        from matplotlib.font_manager import FontProperties

        face = FontProperties(fname=font_path(font), size=self.style.text_size)  # by file: another machine has others
        self._figure.text(x, y, text, color=colour, fontproperties=face, transform=_pixels(), **align)


def _pixels() -> Any:
    from matplotlib.transforms import IdentityTransform

    return IdentityTransform()


def _unit(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (part / 255 for part in colour)
    return red, green, blue


@contextlib.contextmanager
def _plain_settings() -> Iterator[None]:
    """The settings that matplotlib ships, whatever the user's are."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingDependencyError.of("matplotlib", "envs", "Drawing charts") from error
    shipped: Any = matplotlib.rcParamsDefault
    settings: Any = matplotlib.rcParams
    plain = {key: value for key, value in dict.items(shipped) if not key.startswith("backend")}
    with matplotlib.rc_context():
        dict.update(settings, plain)  # past the validation, which takes as long as drawing
        yield
