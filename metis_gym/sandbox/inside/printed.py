"""Images that code saves and names: the paths in what a run printed, and the files that they lead to.

Everything happens in the session, which can only harm itself: what a file holds is decoded here, within the session's
limits, and the host is sent pixels.
"""

import os
import re
import stat
import tempfile

from PIL import Image

from .display import Display

__all__ = ["PrintedImages"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
_BETWEEN = re.compile(r"""[\s'"`<>|;,()\[\]{}=]+""")
_MAX_PATHS = 64
"""Paths that are looked at in one run."""
_MAX_MESSAGE = 200


class PrintedImages:
    """Listens to what is printed, and shows the images whose paths it holds.

    Args:
        display: Where they are shown.
        max_chars: How much of what one run prints is listened to.
    """

    def __init__(self, display: Display, max_chars: int) -> None:
        self._display = display
        self._max_chars = max_chars
        self._folders = [os.path.realpath(folder) + "/" for folder in (os.getcwd(), tempfile.gettempdir())]
        self._heard: list[str] = []
        self._chars = 0

    def hear(self, text: str) -> None:
        """Something is printed."""
        if self._chars < self._max_chars:
            self._heard.append(text[: self._max_chars - self._chars])
            self._chars += len(self._heard[-1])

    def forget(self) -> None:
        """Forget what was heard: a new run begins."""
        self._heard, self._chars = [], 0

    def show(self) -> str:
        """Show the images whose paths were heard in this run, each once, in order.

        Returns:
            What was wrong with files that cannot be shown, a line for each.
        """
        problems = (self._show(path) for path in self._paths("".join(self._heard)))
        return "".join(f"{problem[:_MAX_MESSAGE]}\n" for problem in problems if problem)

    def _paths(self, text: str) -> list[str]:
        """The files that lines, or words of them, name."""
        found: dict[str, str] = {}
        looked_at = 0
        for line in text.splitlines():
            if not any(suffix in line.lower() for suffix in _SUFFIXES):
                continue
            named = [line.strip().strip("'\"`"), *_BETWEEN.split(line)]
            for name in named:
                path = name.rstrip(".:!")
                if not path.lower().endswith(_SUFFIXES):
                    continue
                looked_at += 1
                if looked_at > _MAX_PATHS:
                    return list(found.values())
                if self._is_own_file(path):
                    found.setdefault(os.path.realpath(path), path)
                    if name is named[0]:
                        break
        return list(found.values())

    def _is_own_file(self, path: str) -> bool:
        try:
            real = os.path.realpath(path)
            return any(real.startswith(folder) for folder in self._folders) and stat.S_ISREG(os.stat(real).st_mode)
        except (OSError, ValueError):
            return False

    def _show(self, path: str) -> str:
        try:
            with Image.open(path, formats=_FORMATS) as image:
                self._display.show(image)
        except Exception as error:  # noqa: BLE001 — the boundary: decoders raise what they like on damaged files
            return f"{path} was printed, but cannot be shown as an image: {type(error).__name__}: {error}"
        return ""
