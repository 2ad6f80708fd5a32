"""What all plots of the project have in common: inks, an empty figure, and the same bytes for the same figure."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metis_gym.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["INK", "MUTED", "figure", "image", "tidy"]

INK, MUTED, RULE = "#1c2530", "#6b7683", "#d8dde3"

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "svg.hashsalt": "metis-gym",
}

_METADATA: Mapping[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def figure(width: float, height: float) -> "Figure":
    """An empty figure.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.of("matplotlib", "envs", "Drawing plots") from error
    mpl.rcParams.update(_RC)
    return Figure(figsize=(width, height), dpi=130, facecolor="white")


def image(drawn: "Figure", form: str) -> bytes:
    """The figure as "png", "svg" or "pdf". The same figure is the same bytes: nothing in it depends on the clock.

    Raises:
        ConfigError: Another format.
    """
    if form not in _METADATA:
        raise ConfigError(f"Expect the format of an image to be one of {sorted(_METADATA)}, actually: {form!r}")
    file = io.BytesIO()
    drawn.savefig(file, format=form, metadata=_METADATA[form])
    return file.getvalue()


def tidy(axes: "Axes") -> None:
    """No box around the plot, and a light grid."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
