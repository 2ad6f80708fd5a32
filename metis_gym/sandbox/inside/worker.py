"""A session: runs cells of code in one `__main__`, as a notebook does, and answers on the channel."""

import _sitebuiltins
import ast
import builtins
import contextlib
import io
import os
import signal
import socket
import sys
import types
from _signal import pthread_sigmask  # type: ignore[import-not-found]  # `signal` makes 60 enum members of its answer
from collections.abc import Iterator
from dataclasses import dataclass

from . import frames
from .display import Display
from .printed import PrintedImages
from .spec import SessionLimits
from .tracebacks import CELL, format_error, is_a, is_out_of_memory, readable_size, remember_source

__all__ = ["Worker", "receive_exactly"]

_NOBODY_TO_ASK = "input() has nobody to ask here; put the value into the code"
_EXIT_GOES_ON = "exit() does not end the session here; it goes on with the next call.\n"


def receive_exactly(channel: socket.socket, length: int) -> bytes:
    """Read `length` bytes.

    Raises:
        EOFError: The other side is gone.
    """
    parts: list[bytes] = []
    while length:
        part = channel.recv(min(length, 1 << 20))
        if not part:
            raise EOFError("the host closed the channel")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


class _Signals:
    """Holds signals back between two cells, when the session stands still.

    They are handled when the next cell begins: an alarm's handler that raises would else break the conversation with
    the host. What it raises has nobody to be told to. Other threads of the code's may take a signal all the same.
    """

    def __init__(self) -> None:
        self._mask: set[int] = set()
        self._all = tuple(map(int, signal.valid_signals()))

    def hold(self) -> None:
        """Block all signals from now on and remember which were blocked."""
        with contextlib.suppress(BaseException):  # the boundary: handlers of the code's own may be called a last time
            self._mask = pthread_sigmask(signal.SIG_BLOCK, ())
        with contextlib.suppress(BaseException):
            pthread_sigmask(signal.SIG_BLOCK, self._all)

    def release(self) -> None:
        """Handle what came meanwhile, as far as the code wanted to hear of it."""
        with contextlib.suppress(BaseException):  # the boundary again
            pthread_sigmask(signal.SIG_SETMASK, self._mask)


class _NoInput(io.TextIOBase):
    """A standard input on which nobody ever types."""

    def readable(self) -> bool:
        return True

    def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override]
        raise EOFError(_NOBODY_TO_ASK)

    def read(self, _size: int | None = -1, /) -> str:
        raise EOFError(_NOBODY_TO_ASK)

    def close(self) -> None:
        """Stay open: `exit()` closes the standard input."""


class _Interrupt:
    """Turns the host's SIGINT into a KeyboardInterrupt of the running cell, at most once, and never in between."""

    def __init__(self) -> None:
        self.is_armed = False
        self.was_used = False

    def __call__(self, _signal: int, _frame: object) -> None:
        if self.is_armed:
            self.is_armed = False
            self.was_used = True
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Let SIGINT interrupt the cell that runs inside this context, and nothing else."""
        signal.signal(signal.SIGINT, self)
        self.was_used = False
        self.is_armed = True
        try:
            yield
        finally:
            self.is_armed = False


@dataclass(frozen=True)
class _Outcome:
    status: int
    text: bytes = b""
    message: str = ""


class Worker:
    """Runs the cells of one session. It is made in the zygote, so that a session has less to do."""

    def __init__(self) -> None:
        self._display = Display()
        self._interrupt = _Interrupt()
        self._signals = _Signals()
        self._cells = 0
        self._printed: PrintedImages | None = None
        self._main = types.ModuleType("__main__")
        self._main.__dict__.update(__builtins__=builtins, **_at_hand())
        self._display.install()
        _provide_exit()

    def serve(
        self, channel: socket.socket, limits: SessionLimits, preloaded: dict[str, object], *, image_files: bool
    ) -> None:
        """Answer requests until the host closes the channel.

        Args:
            channel: Where requests come from and replies go to.
            limits: The session's limits.
            preloaded: Variables that the first cell finds. They are taken out, so that code can free what it deletes.
            image_files: Return the images whose paths are printed.
        """
        self._channel = channel
        self._limits = self._display.limits = limits
        if image_files:
            self._printed = PrintedImages(self._display, limits.output_bytes)
        self._main.__dict__.update(preloaded)
        preloaded.clear()
        sys.modules["__main__"] = self._main
        self._send(bytes(frames.NONCE_BYTES), _Outcome(frames.READY))
        while True:
            try:
                head = receive_exactly(self._channel, frames.REQUEST.size)
                _, nonce, length = frames.REQUEST.unpack(head)
                code = receive_exactly(self._channel, length)
            except (EOFError, OSError):
                return
            self._answer(nonce, code.decode("utf-8", "surrogatepass"))

    def _answer(self, nonce: bytes, code: str) -> None:
        self._signals.release()
        outcome = self._run(code)
        self._signals.hold()
        _write_error(outcome.message)
        self._send(nonce, outcome)

    def _send(self, nonce: bytes, outcome: _Outcome) -> None:
        header = frames.pack_reply_header(nonce, outcome.status, outcome.text, self._display.sizes)
        self._channel.sendall(header)
        for pixels in self._display.pixels:
            self._channel.sendall(pixels)
        self._display.clear()

    def _run(self, code: str) -> _Outcome:
        self._cells += 1
        name = f"{CELL}{self._cells}>"
        remember_source(name, code)
        _restore_streams(self._printed)
        if self._printed:
            self._printed.forget()
        try:
            with self._interrupt.armed():
                text = self._run_cell(code, name).encode("utf-8", "backslashreplace")
                message = self._printed.show() if self._printed else ""
                _flush()
        except BaseException as error:  # noqa: BLE001 — the boundary: whatever the code raises is the code's result
            return self._failure(error)
        if self._display.over_limit:
            return _Outcome(frames.OUTPUT, text, message + self._display.over_limit + "\n")
        if len(text) > self._limits.output_bytes:
            kept = text[: self._limits.output_bytes]
            return _Outcome(
                frames.OUTPUT, kept, f"Output limit of {readable_size(self._limits.output_bytes)} reached.\n"
            )
        return _Outcome(frames.OK, text, message)

    def _run_cell(self, code: str, name: str) -> str:
        """Run a cell, show its images, return the `repr` of its last expression."""
        body, last = _split(code, name)
        exec(body, self._main.__dict__)
        value = eval(last, self._main.__dict__) if last else None
        says_nothing = value is None or self._display.show_result(value)
        text = "" if says_nothing else repr(value)
        self._display.show_open_figures()
        return text

    def _failure(self, error: BaseException) -> _Outcome:
        try:
            with self._interrupt.armed() if not self._interrupt.was_used else contextlib.nullcontext():
                message = format_error(error, self._limits)
                message += self._printed.show() if self._printed and not self._interrupt.was_used else ""
                _flush()
        except BaseException as second:  # noqa: BLE001 — the boundary again: formatting calls `__str__` of the code's own errors
            message = f"{type(error).__name__} (its message could not be shown: {type(second).__name__})\n"
        if is_a(error, SystemExit):
            message += _EXIT_GOES_ON
        if self._interrupt.was_used:
            return _Outcome(frames.INTERRUPTED, message=message)
        return _Outcome(frames.MEMORY if is_out_of_memory(error) else frames.ERROR, message=message)


def _split(code: str, name: str) -> tuple[types.CodeType, types.CodeType | None]:
    """Compile a cell into its statements and, if it ends with a bare expression, that expression."""
    tree = ast.parse(code, name)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";"):
        expression = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        last = compile(expression, name, "eval", dont_inherit=True)
    return compile(tree, name, "exec", dont_inherit=True), last


def _restore_streams(printed: PrintedImages | None) -> None:
    """Point the standard streams at their descriptors, whatever the last cell did to them."""
    sys.stdin = _NoInput()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name, None)
        if isinstance(stream, _Stream) and not stream.closed:
            continue
        raw = io.FileIO(descriptor, "w", closefd=False)
        fresh = _Stream(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)
        if printed is not None and name == "stdout":
            fresh.hear(printed)
        setattr(sys, name, fresh)
        setattr(sys, f"__{name}__", fresh)


class _Stream(io.TextIOWrapper):
    """A standard stream of the sandbox. Closing it leaves the descriptor open."""

    def hear(self, printed: PrintedImages) -> None:
        """Let somebody listen to what is written."""
        write = super().write

        def write_and_tell(text: str) -> int:
            count = write(text)
            printed.hear(text)
            return count

        self.write = write_and_tell  # type: ignore[method-assign]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _write_error(message: str) -> None:
    data = message.encode("utf-8", "backslashreplace")
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(2, data) :]


def _at_hand() -> dict[str, object]:
    """What code finds imported, as the systems of the field find it in their kernels."""
    import base64
    import math

    import numpy as np
    from PIL import Image

    found: dict[str, object] = {"np": np, "Image": Image, "BytesIO": io.BytesIO}
    with contextlib.suppress(ImportError):  # without matplotlib there is no `plt`
        import matplotlib.pyplot as plt

        found["plt"] = plt
    return {**found, "base64": base64, "os": os, "math": math}


def _provide_exit() -> None:
    """Offer `exit`, `quit` and `help`, which Python's `site` module, not loaded here, would bring."""
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))
    builtins.help = _sitebuiltins._Helper()
