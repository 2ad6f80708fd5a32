"""Panels of charts, drawn by matplotlib's own renderer, the same whatever the user's matplotlib settings are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metis_envs.scenes.drawing import Colour
from metis_gym.errors import MissingDependencyError
from metis_gym.records import PictureArray

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


def draw_lines(style: PanelStyle, curves: NDArray[np.float64], names: Sequence[str]) -> PictureArray:
    """Draw curves over x = 0, 1, …, each with its name at its right end.

    Args:
        style: Sizes.
        curves: Shape (curves, points), values in [0, 1].
        names: One for each curve.

    Returns:
        Shape (height, width, 3), uint8, on white.
    """
    last = curves.shape[1] - 1

    def draw(axes: Any) -> None:
        for curve, name, colour in zip(curves, names, LINE_COLOURS, strict=False):
            shade = _unit(colour)
            axes.plot(range(last + 1), curve, color=shade, linewidth=style.line_width, solid_capstyle="round")
            axes.text(last + 0.12, curve[-1], name, color=shade, size=style.text_size, weight="bold", va="center")
        axes.set_xlim(-0.1, last + 0.6)
        axes.set_ylim(-0.08, 1.08)
        axes.set_xticks(range(last + 1))
        axes.set_yticks([])
        axes.grid(axis="x", color=(0.8, 0.8, 0.8), linewidth=style.line_width / 3)

    return _render(style, draw)


def draw_bars(
    style: PanelStyle, heights: NDArray[np.float64], names: Sequence[str], labels: Sequence[str] | None = None
) -> PictureArray:
    """Draw bars with their names below, and labels above them if there are any.

    Args:
        style: Sizes.
        heights: Height of each bar in [0, 1].
        names: One for each bar.
        labels: What is printed above each bar.

    Returns:
        Shape (height, width, 3), uint8, on white.
    """

    def draw(axes: Any) -> None:
        places = range(len(heights))
        shades = [_unit(colour) for colour in LINE_COLOURS[: len(heights)]]
        fill = {"color": "none", "edgecolor": shades} if style.hollow else {"color": shades}
        axes.bar(places, heights, width=0.56, linewidth=style.line_width, **fill)
        for place, height, label in zip(places, heights, labels or (), strict=False):
            axes.text(place, height + 0.03, label, size=style.text_size, ha="center", va="bottom")
        axes.set_ylim(0, 1.3 if labels else 1.08)
        axes.set_xticks(places, names)
        axes.set_yticks([])

    return _render(style, draw)


def _unit(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (part / 255 for part in colour)
    return red, green, blue


def _render(style: PanelStyle, draw: Callable[[Any], None]) -> PictureArray:
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.of("matplotlib", "envs", "Drawing charts") from error
    with matplotlib.rc_context():
        settings: Any = matplotlib.rcParams
        dict.update(settings, _defaults(matplotlib))  # past the validation, which takes as long as drawing
        inches = ((style.width + 0.01) / _DPI, (style.height + 0.01) / _DPI)
        figure = Figure(figsize=inches, dpi=_DPI)
        canvas: Any = FigureCanvasAgg(figure)
        pad_x, pad_y = style.text_size / style.width, style.text_size / style.height
        axes = figure.add_axes((0.5 * pad_x, 1.7 * pad_y, 1 - pad_x, 1 - 2.2 * pad_y))
        draw(axes)
        axes.tick_params(labelsize=style.text_size, length=style.text_size / 4, width=style.line_width / 2, pad=2)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_linewidth(style.line_width / 2)
        canvas.draw()
        return np.array(canvas.buffer_rgba())[:, :, :3].copy()


def _defaults(matplotlib: Any) -> dict[str, Any]:
    """The settings that matplotlib ships, whatever the user's are."""
    return {key: value for key, value in dict.items(matplotlib.rcParamsDefault) if not key.startswith("backend")}
