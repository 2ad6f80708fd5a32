"""What a recorded observation says, without the frame that its dialect puts around it, and whether two say the same.

Text is compared after paths, addresses, dates, times and white space are made equal; numbers are compared in place.
A recorded text that a limit cut off is compared as far as it goes.
"""

import math
import re
from collections.abc import Sequence

from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.images.transforms import fit
from metis_gym.records import ImageArray
from metis_gym.search.index.dhash import BITS, dhash, differing_bits

__all__ = ["image_difference", "is_error", "payload", "text_difference"]

NEAR = 0.10
"""Share of differing bits up to which two images show the same."""
NUMBER_TOLERANCE = 1e-3
_SIDE_PIXELS, _ASPECT_SHARE = 2, 0.02

_FRAME = re.compile(
    r"^[ \t]*(?:Code execution result:|stdout:|stderr:|Images?:|```\w*|\(no output\)|Result \d+ of \d+ \([^)\n]*\):"
    r"|</?(?:tool_response|sandbox_output|observation|result)>)[ \t]*$",
    re.MULTILINE,
)
_TAG = re.compile(r"</?(?:tool_response|sandbox_output|observation)>")
_ERROR = re.compile(
    r"^Traceback \(most recent call last\):|^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt)(?::|[ \t]*$)",
    re.MULTILINE,
)
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
_SAME = (
    (re.compile(r"0x[0-9a-fA-F]{6,16}\b"), "<address>"),
    (re.compile(rf"\b\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_TIME}(?:Z|[+-]\d{{2}}:?\d{{2}})?)?"), "<time>"),
    (re.compile(rf"\b{_TIME}\b(?=[^\w]|$)"), "<time>"),
    (re.compile(r"(?<![\w<])(?:[A-Za-z]:)?(?:[\w.~-]*/)+[\w.-]+"), "<path>"),
    (re.compile(r"\b[\w-]+\.(?:png|jpe?g|bmp|gif|webp|tiff?)\b", re.IGNORECASE), "<path>"),
)
_PIECE = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[^\W\d]+|[^\w\s]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_CUT = re.compile(
    r"(?:\.\.\.|…|\[?(?:output )?truncated\]?|\[… [\d,]+ characters left out …\][\s\S]*)\s*\Z", re.IGNORECASE
)


def payload(observation: str) -> str:
    r"""What an observation says, without headings, fences, tags and marks.

    >>> payload("Code execution result:\nstdout:\n```\n17\n```\nImages:\n<image>")
    '17'
    """
    text = _TAG.sub("\n", observation.replace(IMAGE_MARK, ""))
    lines = (line.rstrip() for line in _FRAME.sub("", text).splitlines())
    return "\n".join(line for line in lines if line)


def is_error(text: str) -> bool:
    r"""Does a recorded result show an error of its code?

    >>> is_error("Traceback (most recent call last):\n  …"), is_error("ValueError: no"), is_error("Error bars: 2")
    (True, True, False)
    """
    return _ERROR.search(text) is not None


def text_difference(recorded: str, again: str) -> str:
    """What differs between a recorded text and that of a new run; empty if they say the same.

    >>> text_difference("mean 0.33333", "mean  0.3333"), text_difference("<A at 0x7f01ab>", "<A at 0x55ffee>")
    ('', '')
    >>> text_difference("17", "18")
    "recorded '17', run again '18'"
    >>> text_difference("1 2 3 ...", "1 2 3 4 5")
    ''
    """
    cut = _CUT.search(recorded)
    first, second = _pieces(recorded[: cut.start()] if cut else recorded), _pieces(again)
    for one, other in zip(first, second, strict=False):
        if not _same(one, other):
            return f"recorded {one!r:.80}, run again {other!r:.80}"
    if len(first) == len(second) or (cut and len(first) < len(second)):
        return ""
    more, which = (first, "recorded") if len(first) > len(second) else (second, "run again")
    rest = " ".join(more[min(len(first), len(second)) :])
    return f"only {which}: {rest!r:.120}"


def _pieces(text: str) -> list[str]:
    for pattern, name in _SAME:
        text = pattern.sub(name, text)
    return _PIECE.findall(text)


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    if not (_NUMBER.fullmatch(one) and _NUMBER.fullmatch(other)):
        return False
    return math.isclose(float(one), float(other), rel_tol=NUMBER_TOLERANCE, abs_tol=1e-9)


def image_difference(recorded: Sequence[ImageArray], again: Sequence[ImageArray]) -> tuple[str, str]:
    """The reason for which recorded images are not those of a new run, and what differs; two empty texts if they are.

    Sources resized their results in ways of their own: sizes may differ where the shape does not.
    """
    if len(recorded) != len(again):
        return "count_differs", f"{len(recorded)} images recorded, {len(again)} when run again"
    for number, (old, new) in enumerate(zip(recorded, again, strict=True), start=1):
        if not (_same_shape(old, new) or _same_shape(old, fit(new))):
            sizes = f"{old.shape[1]} x {old.shape[0]} recorded, {new.shape[1]} x {new.shape[0]} when run again"
            return "images_differ", f"image {number}: {sizes}"
        share = int(differing_bits(dhash(new)[:, None], dhash(old))[0]) / BITS
        if share > NEAR:
            return (
                "images_differ",
                f"image {number}: {share:.2f} of its hash's bits differ; at most {NEAR:.2f} may",
            )
    return "", ""


def _same_shape(old: ImageArray, new: ImageArray) -> bool:
    (height, width), (rows, columns) = old.shape[:2], new.shape[:2]
    is_close = max(abs(height - rows), abs(width - columns)) <= _SIDE_PIXELS
    return is_close or math.isclose(width / height, columns / rows, rel_tol=_ASPECT_SHARE)
