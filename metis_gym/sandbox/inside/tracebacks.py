"""Tracebacks as the author of the code wants to read them: own lines, no frames of the sandbox, limits by name."""

import errno
import linecache
import traceback
from collections.abc import Iterator

from .privileges import DESCRIPTORS
from .spec import SessionLimits

__all__ = ["CELL", "format_error", "is_a", "is_out_of_memory", "readable_size", "remember_source"]

_OURS = (__file__.rpartition("/")[0] + "/", "<frozen _sitebuiltins>")
CELL = "<cell "
"""What the file names of cells begin with."""
_MAX_FRAMES = 2000
"""The innermost frames that are looked at: memory can be filled with a million of them."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_PERMITTED = (errno.EPERM, errno.EACCES, errno.EROFS)


def remember_source(name: str, code: str) -> None:
    """Let tracebacks show the lines of a cell. All have to end with a line feed, or carets are misplaced."""
    lines = [line + "\n" for line in code.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    linecache.cache[name] = (len(code), None, lines, name)


def format_error(error: BaseException, limits: SessionLimits) -> str:
    """The traceback of an error, with a line about the limit that caused it, if one did."""
    try:
        report = traceback.TracebackException.from_exception(error, limit=-_MAX_FRAMES, compact=True)
        for part in _all_parts(report):
            _cut(part)
        text = "".join(report.format())
    except (MemoryError, RecursionError):
        text = f"{type(error).__name__} (its traceback is too large to show)\n"
    return text + _hint(error, limits)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it followed from, is a lack of memory."""
    return any(is_a(cause, MemoryError) for cause in _chain(error))


def is_a(error: BaseException, kind: type[BaseException]) -> bool:
    """As `isinstance`, without asking the error, whose author may have written its `__class__`."""
    return issubclass(type(error), kind)


def readable_size(count: int) -> str:
    """A number of bytes for people.

    >>> readable_size(1 << 30), readable_size(64 << 10), readable_size(1000)
    ('1024 MB', '64 kB', '1000 bytes')
    """
    if count >= 1 << 20:
        return f"{count >> 20} MB"
    return f"{count >> 10} kB" if count >= 1 << 10 else f"{count} bytes"


def _all_parts(report: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The report itself, what it was caused by, and the members of exception groups."""
    waiting: list[traceback.TracebackException | None] = [report]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        waiting += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
        yield part


def _cut(part: traceback.TracebackException) -> None:
    """Leave out the frames of the sandbox, and those between them and the first cell (of the compiler, say)."""
    frames = list(part.stack)
    if frames and frames[0].filename.startswith(_OURS):
        cells = [index for index, frame in enumerate(frames) if frame.filename.startswith(CELL)]
        frames = frames[cells[0] :] if cells else []
    kept = [frame for frame in frames if not frame.filename.startswith(_OURS)]
    part.stack = traceback.StackSummary.from_list(kept) if kept else None  # type: ignore[assignment]


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(100):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


def _hint(error: BaseException, limits: SessionLimits) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if is_out_of_memory(error):
        return f"Memory limit of {readable_size(limits.memory_bytes)} reached.\n"
    if code in _NO_SPACE:
        return f"Disk limit of {readable_size(limits.disk_bytes)} reached.\n"
    if code == errno.EMFILE:
        return f"Limit of {DESCRIPTORS} open files reached.\n"
    if is_a(error, RuntimeError) and "new thread" in str(error):
        return f"Limit of {limits.processes} threads or of {readable_size(limits.memory_bytes)} of memory reached.\n"
    if code in _NOT_PERMITTED:
        return "Sandbox: files can be written in the working folder only; new processes and the network are off.\n"
    return ""
