"""Text from elsewhere on a terminal: control and direction characters are shown, never sent.

A terminal obeys what it is sent: ESC and the C1 controls move the cursor, retitle the window, write to the clipboard or
hide what was printed before; bidirectional controls reorder what is read. Model output, tool output, recordings,
datasets and replies of services may hold any of them, and so may an error message that quotes these.
"""

import re
import sys
from typing import TextIO

__all__ = ["printable", "say"]

_HARMFUL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\xad\u061c\u180e"  # soft hyphen, Arabic letter mark, Mongolian vowel separator
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"  # zero width, separators of lines, directions, invisible operators
    "\ufeff\ufff9-\ufffb"  # byte order mark, annotations
    "\ud800-\udfff"  # lone surrogates, which no stream can encode
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # shorthand and music format controls
    "\U000e0000-\U000e0fff"  # tags, which spell invisible ASCII
    "]"
)


def printable(text: str) -> str:
    r"""The text with every control, direction and invisible formatting character as a visible escape.

    Newlines and tabs stay, and so do the joiners U+200C and U+200D, which ordinary words and emoji need.

    >>> printable("done\x1b[2J\u202e \t ok\r")
    'done\\x1b[2J\\u202e \t ok\\x0d'
    """
    return _HARMFUL.sub(_escape, text)


def say(text: str, *, stream: TextIO | None = None) -> None:
    """Write a printable line, and flush: what every command of this project writes with.

    Args:
        text: What to say; a newline is added.
        stream: Where to; standard output by default. What its encoding lacks is escaped as well.
    """
    out = sys.stdout if stream is None else stream
    line = printable(text) + "\n"
    encoding = getattr(out, "encoding", None) or "utf-8"
    out.write(line.encode(encoding, "backslashreplace").decode(encoding))
    out.flush()


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
