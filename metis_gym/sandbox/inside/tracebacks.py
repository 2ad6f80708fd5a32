"""Tracebacks as the author of the code wants to read them: own lines, no frames of the sandbox, limits by name."""

import errno
import linecache
import traceback
from collections.abc import Iterator

from .privileges import DESCRIPTORS
from .spec import SessionLimits

__all__ = ["format_error", "is_out_of_memory", "mebibytes", "remember_source"]

_OURS = (__file__.rpartition("/")[0] + "/", "<frozen _sitebuiltins>")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_PERMITTED = (errno.EPERM, errno.EACCES, errno.EROFS)


def remember_source(name: str, code: str) -> None:
    """Let tracebacks show the lines of a cell."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)


def format_error(error: BaseException, limits: SessionLimits) -> str:
    """The traceback of an error, with a line about the limit that caused it, if one did."""
    try:
        report = traceback.TracebackException.from_exception(error, compact=True)
        for part in _all_parts(report):
            part.stack = traceback.StackSummary.from_list([f for f in part.stack if not f.filename.startswith(_OURS)])
        text = "".join(report.format())
    except (MemoryError, RecursionError):
        text = f"{type(error).__name__} (its traceback is too large to show)\n"
    return text + _hint(error, limits)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it followed from, is a lack of memory."""
    return any(isinstance(cause, MemoryError) for cause in _chain(error))


def mebibytes(count: int) -> str:
    """A number of bytes for people.

    >>> mebibytes(1 << 30), mebibytes(64 << 10)
    ('1024 MB', '64 kB')
    """
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count >> 10} kB"


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
        return f"Memory limit of {mebibytes(limits.memory_bytes)} reached.\n"
    if code in _NO_SPACE:
        return f"Disk limit of {mebibytes(limits.disk_bytes)} reached.\n"
    if code == errno.EMFILE:
        return f"Limit of {DESCRIPTORS} open files reached.\n"
    if isinstance(error, RuntimeError) and "new thread" in str(error):
        return f"Limit of {limits.processes} threads or of {mebibytes(limits.memory_bytes)} of memory reached.\n"
    if code in _NOT_PERMITTED:
        return "Sandbox: files can be written in the working folder only; new processes and the network are off.\n"
    return ""
