"""HTML that cannot be broken out of: the one place where text becomes markup.

Every text goes through `text`, every element through `tag`, which knows a fixed list of elements and attributes. There
are no links but to places in the page, no handlers and no inline styles.
"""

import base64
import html
import io
import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image

from metis_gym.records import ImageArray
from metis_gym.terminal import printable

__all__ = [
    "ATTRIBUTES",
    "ELEMENTS",
    "FINE",
    "SMALL",
    "Fidelity",
    "Html",
    "Part",
    "image_data",
    "image_tag",
    "join",
    "tag",
    "text",
]

ELEMENTS = frozenset(
    "a article aside b button code details div figcaption figure footer h1 h2 h3 header img input label main nav ol "
    "option p pre rect section select small span summary svg table tbody td th thead tr li ul".split()
)
"""Elements that a page may hold, besides those of its frame."""
ATTRIBUTES = frozenset(
    "alt class colspan for height hidden href id loading max min name open placeholder preserveAspectRatio role rx "
    "scope src tabindex title type value viewBox width x y".split()
)
"""Attributes that an element may have, besides `data-…` and `aria-…`."""
_OWN_NAME = re.compile(r"(?:data|aria)-[a-z0-9-]+")
_EMPTY = frozenset({"img", "input", "rect"})
_SMALL_VIEW = 200
_SMALLEST_SHOWN = 320


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How faithfully a page keeps images.

    Attributes:
        quality: Of WebP, up to 100.
        max_side: Longest side in pixels; larger images are reduced. What a page shows is seldom wider.
        resampling: How they are reduced.
    """

    quality: int
    max_side: int
    resampling: Image.Resampling = Image.Resampling.LANCZOS


FINE = Fidelity(quality=82, max_side=960)
"""For pages of a few episodes."""
SMALL = Fidelity(quality=55, max_side=400, resampling=Image.Resampling.HAMMING)
"""For pages of hundreds of episodes, which would have tens of megabytes, and take long to write, otherwise."""


class Html(str):
    """Markup that is safe to put into a page as it is."""

    __slots__ = ()


Part: TypeAlias = "Html | str"
"""Markup, or text that is still to be escaped."""


def text(value: object) -> Html:
    r"""Text as markup: escaped, with control and direction characters made visible.

    >>> text('<b onclick="x">\x1b')
    '&lt;b onclick=&quot;x&quot;&gt;\\x1b'
    """
    return Html(html.escape(printable(str(value)), quote=True))


def join(parts: "list[Part] | tuple[Part, ...]") -> Html:
    """Parts one after the other; those that are not markup are escaped."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts))


def tag(name: str, /, *content: Part, **attributes: object) -> Html:
    """An element.

    Args:
        name: One of `ELEMENTS`.
        *content: What is in it.
        **attributes: Its attributes; `class_` and `for_` stand for words of Python, and `_` becomes `-`. An attribute
            that is None or False is left out, one that is True has no value.

    Raises:
        ValueError: The element or an attribute is not in the list, or a link leads out of the page.
    """
    if name not in ELEMENTS:
        raise ValueError(f"a page holds no {name!r}")
    written = []
    for word, value in attributes.items():
        if value is None or value is False:
            continue
        key = word.rstrip("_").replace("_", "-")
        if key not in ATTRIBUTES and not _OWN_NAME.fullmatch(key):
            raise ValueError(f"an element has no attribute {key!r}")
        if key == "href" and not str(value).startswith("#"):
            raise ValueError(f"links lead to places in the page only, actually: {value!r:.80}")
        if key == "src" and not str(value).startswith("data:image/"):
            raise ValueError("images stand in the page itself")
        written.append(f" {key}" if value is True else f' {key}="{text(value)}"')
    if name in _EMPTY:
        return Html(f"<{name}{''.join(written)}>" if name != "rect" else f"<{name}{''.join(written)}/>")
    return Html(f"<{name}{''.join(written)}>{join(content)}</{name}>")


def image_data(image: ImageArray, fidelity: Fidelity = FINE) -> str:
    """An image as a `data:` address."""
    kept = Image.fromarray(np.ascontiguousarray(image))
    kept.thumbnail((fidelity.max_side, fidelity.max_side), fidelity.resampling)
    stream = io.BytesIO()
    kept.save(stream, format="WEBP", quality=fidelity.quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def image_tag(image: ImageArray, alt: str, *, class_: str = "", fidelity: Fidelity = FINE) -> Html:
    """An image that stands in the page, loaded when it is seen. Small ones are shown enlarged by a whole factor."""
    height, width = image.shape[:2]
    source = image_data(image, fidelity)
    factor = -(-_SMALLEST_SHOWN // max(width, height)) if max(width, height) < _SMALL_VIEW else 1
    classes = f"{class_} pixelated".strip() if factor > 1 else class_ or None
    return tag("img", src=source, alt=alt, width=width * factor, height=height * factor, loading="lazy", class_=classes)
