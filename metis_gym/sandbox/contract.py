"""What a sandbox is, for those who use one and for those who write one.

A *backend* isolates; a *session* is one episode's interpreter, whose variables live until it is closed. Whatever the
code does (raise, hang, fill the memory) comes back as a `RunResult`. Only a sandbox that breaks raises
`metis_gym.errors.SandboxError`, and only a machine that cannot isolate at all raises `SandboxUnavailableError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from metis_gym.errors import ConfigError
from metis_gym.records import ImageArray

__all__ = ["RunResult", "RunStatus", "SandboxBackend", "SandboxLimits", "SandboxSession"]


class RunStatus(StrEnum):
    """How one piece of code ended. All of these are the code's doing."""

    OK = "ok"
    """It ran to its end."""
    ERROR = "error"
    """It raised; the traceback is in `stderr`. The session goes on."""
    TIMEOUT = "timeout"
    """It was interrupted at the time limit. The session goes on if the code let itself be interrupted."""
    MEMORY = "memory"
    """It asked for more memory than allowed. The session goes on if the interpreter survived."""
    OUTPUT_LIMIT = "output_limit"
    """It wrote or returned more than allowed; the first part is kept."""
    KILLED = "killed"
    """Its process ended: a crash, an exit, or a limit that cannot be reported more kindly."""


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What one session may use.

    Attributes:
        seconds: Wall-clock seconds of one run.
        cpu_seconds: CPU seconds of the whole session.
        memory_bytes: Memory of the session.
        disk_bytes: What the working folder may hold.
        processes: Threads at once, the interpreter's own included; new processes are never allowed.
        output_bytes: Kept bytes of stdout, and as many of stderr.
        images: Images that one run may return.
        image_pixels: Pixels of all images that one run returns, added up. The host holds three bytes for each.
    """

    seconds: float = 20.0
    cpu_seconds: float = 120.0
    memory_bytes: int = 1 << 30
    disk_bytes: int = 64 << 20
    processes: int = 16
    output_bytes: int = 64 << 10
    images: int = 8
    image_pixels: int = 20_000_000

    def __post_init__(self) -> None:
        """Refuse limits that are not positive."""
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"SandboxLimits.{name} must be positive, actually: {value!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResult:
    """What one run gave.

    Attributes:
        status: How it ended.
        stdout: What was printed, cut at the limit.
        stderr: The error stream; holds the traceback, or the name and the value of the limit that was hit.
        result_text: `repr` of the last bare expression, unless it is None or an image.
        images: Images shown: the last bare expression if it is one (Pillow, a matplotlib figure, an image-shaped
            uint8 array), and figures left open. RGB, uint8.
        seconds: Wall-clock seconds.
    """

    status: RunStatus
    stdout: str = ""
    stderr: str = ""
    result_text: str = ""
    images: tuple[ImageArray, ...] = ()
    seconds: float = 0.0


class SandboxSession(Protocol):
    """One isolated Python interpreter, which keeps its variables between runs."""

    @property
    def alive(self) -> bool:
        """Whether it can run more code: False once it was closed, or once a run ended its process."""
        ...

    def run(self, code: str, timeout: float | None = None) -> RunResult:
        """Run code; its variables stay for the next run.

        Args:
            code: Python source.
            timeout: Wall-clock seconds, at most the session's limit; None means the limit.

        Raises:
            SandboxError: The sandbox broke, or the session is over (closed, or its process was killed).
        """
        ...

    def close(self) -> None:
        """End the session and all it started. May be called twice."""
        ...


class SandboxBackend(Protocol):
    """A way to isolate code; opens sessions."""

    name: str

    def open(
        self,
        *,
        images: Sequence[ImageArray] = (),
        files: Mapping[str, bytes] | None = None,
        limits: SandboxLimits | None = None,
        seed: int = 0,
    ) -> SandboxSession:
        """Start a session.

        Args:
            images: Preloaded as Pillow images `image_1`, `image_2`, …, in memory that the session can change for itself
                only. `SharedImages` of them are prepared once for any number of sessions.
            files: Name → content, put into the working folder. Plain names, no folders.
            limits: What it may use; None means the defaults.
            seed: Seeds `random` and numpy's global generator inside, so that the same code gives the same output.

        Raises:
            SandboxUnavailableError: This machine cannot isolate in this way.
            SandboxError: It could, but starting failed.
        """
        ...

    def close(self) -> None:
        """End every session and the backend itself. May be called twice."""
        ...
