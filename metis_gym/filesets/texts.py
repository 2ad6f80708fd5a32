"""Texts of unknown origin: what is taken out of them, and how values are shown in messages."""

import reprlib

from metis_gym.dialects.contract import without_image_marks

__all__ = ["clean", "shown"]

_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], None)
_CONTROLS.pop(ord("\n"))
_CONTROLS.pop(ord("\t"))
_MAX_SHOWN = 80

_brief = reprlib.Repr()
_brief.maxlevel, _brief.maxstring, _brief.maxother = 3, _MAX_SHOWN, _MAX_SHOWN


def clean(text: str) -> str:
    r"""The text as a model may see it.

    `<image>` stands for an image and nothing else, so written marks are taken out, as are control characters other than
    line breaks and tabs. Lone surrogates, which are no characters, become `?`.

    >>> clean("What is in <image> this\x00 \ud800?\r\n")
    'What is in  this ??\n'
    """
    return without_image_marks(text.translate(_CONTROLS).encode("utf-8", "replace").decode())


def shown(value: object) -> str:
    """A value for a message: short, whatever its size and depth.

    >>> shown([[[[[1]]]]]), shown(10**5000), len(shown("x" * 1000))
    ('list [[[[...]]]]', 'int of 16610 bits', 84)
    """
    kind = type(value).__name__
    if isinstance(value, int) and value.bit_length() > 256:
        return f"{kind} of {value.bit_length()} bits"
    if isinstance(value, str | bytes):
        value = value[:_MAX_SHOWN]
    try:
        return f"{kind} {_brief.repr(value):.{_MAX_SHOWN}}"
    except (ValueError, RecursionError):  # a huge number inside
        return kind
