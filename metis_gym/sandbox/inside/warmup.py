"""Does in the zygote, once, what every session would otherwise do at its start: imports, caches, a first figure.

Source of the idea: Android's zygote; `gc.freeze` keeps the collector from touching, and so copying, shared pages.
"""

import contextlib
import gc
import importlib
import importlib.util
import os
import random
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_OTHER_STREAM = 0x9E3779B97F4A7C15

__all__ = ["seed_generators", "warm_up"]

_OFTEN_USED = """
base64 bisect collections colorsys copy csv dataclasses datetime decimal difflib enum fractions functools glob heapq
io itertools json math operator os pathlib pickle random re statistics string struct tempfile textwrap threading time
traceback typing uuid zlib
numpy numpy.fft numpy.linalg numpy.ma numpy.polynomial numpy.random
PIL.Image PIL.ImageChops PIL.ImageColor PIL.ImageDraw PIL.ImageEnhance PIL.ImageFilter PIL.ImageFont PIL.ImageOps
PIL.ImageStat PIL.BmpImagePlugin PIL.GifImagePlugin PIL.JpegImagePlugin PIL.PngImagePlugin PIL.WebPImagePlugin
"""
_WHERE_INSTALLED = "matplotlib matplotlib.pyplot matplotlib.patches"


class _ShownFinder(PathFinder):
    """Takes modules that may not be read for absent. Landlock would answer "permission denied" instead.

    Libraries try optional imports, and expect an ImportError where there is nothing.
    """

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As `PathFinder.find_spec`."""
        spec = super().find_spec(name, path, target)
        if spec is None or path is not None or not spec.has_location or spec.origin is None:
            return spec
        try:
            os.close(os.open(spec.origin, os.O_RDONLY | os.O_CLOEXEC))
        except PermissionError:
            return None
        return spec


def warm_up(import_path: tuple[str, ...], environment: dict[str, str], then: str) -> None:
    """Import what sessions use and render one image of each kind.

    Args:
        import_path: Replaces `sys.path`.
        environment: Replaces the environment.
        then: The module of this package that builds on those libraries, imported last.

    Raises:
        ImportError: A library is missing from the view.
    """
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = import_path
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [_ShownFinder if finder is PathFinder else finder for finder in sys.meta_path]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _OFTEN_USED.split():
            importlib.import_module(name)
        if importlib.util.find_spec("matplotlib"):
            for name in _WHERE_INSTALLED.split():
                importlib.import_module(name)
            _plot_once()
        _draw_once()
    with contextlib.suppress(ImportError):
        importlib.import_module("PIL.AvifImagePlugin")
    importlib.import_module(f".{then}", __package__)
    gc.collect()
    gc.freeze()


def seed_generators(seed: int) -> None:
    """Make the code's randomness repeatable: `random`, numpy's global generator, and `default_rng()` without a seed."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    entropy = random.Random(seed ^ _OTHER_STREAM)
    np.random.bit_generator.randbits = entropy.getrandbits  # type: ignore[attr-defined]


def _plot_once() -> None:
    import matplotlib
    import matplotlib.pyplot as plt
    from matplotlib import font_manager

    matplotlib.use("agg")
    figure, axes = plt.subplots()
    axes.plot([0, 1], [0, 1], label="a")
    axes.set_title("$x^2$ warm")
    axes.legend()
    figure.canvas.draw()
    plt.close(figure)
    # matplotlib does this in every forked child, where it costs time: children would share the fonts' open files.
    font_manager._get_font.cache_clear()  # type: ignore[attr-defined]


def _draw_once() -> None:
    import io

    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (32, 32))
    ImageDraw.Draw(image).text((0, 0), "a", font=ImageFont.load_default(12))
    for kind in ("PNG", "JPEG"):
        held = io.BytesIO()
        image.save(held, kind)
        Image.open(io.BytesIO(held.getvalue())).load()
    np.linalg.svd(np.eye(3) @ np.eye(3))
