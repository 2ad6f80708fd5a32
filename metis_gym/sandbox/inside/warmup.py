"""Does in the zygote, once, what every session would otherwise do at its start: imports, caches, a first figure.

Source of the idea: Android's zygote; `gc.freeze` keeps the collector from touching, and so copying, shared pages.
"""

import contextlib
import gc
import importlib
import os
import random
import sys
import warnings

_OTHER_STREAM = 0x9E3779B97F4A7C15

__all__ = ["seed_generators", "warm_up"]

_OFTEN_USED = """
base64 bisect collections colorsys copy csv dataclasses datetime decimal difflib enum fractions functools glob heapq
io itertools json math operator os pathlib pickle random re statistics string struct tempfile textwrap threading time
traceback typing uuid zlib
numpy numpy.fft numpy.linalg numpy.ma numpy.polynomial numpy.random
PIL.Image PIL.ImageChops PIL.ImageColor PIL.ImageDraw PIL.ImageEnhance PIL.ImageFilter PIL.ImageFont PIL.ImageOps
PIL.ImageStat PIL.BmpImagePlugin PIL.GifImagePlugin PIL.JpegImagePlugin PIL.PngImagePlugin PIL.WebPImagePlugin
matplotlib matplotlib.pyplot matplotlib.patches
"""


def warm_up(import_path: tuple[str, ...], environment: dict[str, str], then: str) -> None:
    """Import what sessions use and render one picture of each kind.

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _OFTEN_USED.split():
            importlib.import_module(name)
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


def _draw_once() -> None:
    import io

    import matplotlib
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    matplotlib.use("agg")
    figure, axes = plt.subplots()
    axes.plot([0, 1], [0, 1], label="a")
    axes.set_title("$x^2$ warm")
    axes.legend()
    figure.canvas.draw()
    plt.close(figure)
    # matplotlib does this in every forked child, where it costs time: children would share the fonts' open files.
    font_manager._get_font.cache_clear()  # type: ignore[attr-defined]
    picture = Image.new("RGB", (32, 32))
    ImageDraw.Draw(picture).text((0, 0), "a", font=ImageFont.load_default(12))
    for kind in ("PNG", "JPEG"):
        held = io.BytesIO()
        picture.save(held, kind)
        Image.open(io.BytesIO(held.getvalue())).load()
    np.linalg.svd(np.eye(3) @ np.eye(3))
