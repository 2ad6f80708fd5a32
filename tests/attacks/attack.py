"""What an attack is: code that tries one thing and says BREACH when it worked."""

from collections.abc import Callable
from dataclasses import dataclass, field

from metis_gym.sandbox import RunResult, SandboxLimits

BREACH = "BREACH"
"""An attack prints this word, and what it achieved, when it is not contained."""

LIMITS = SandboxLimits(
    seconds=10,
    cpu_seconds=20,
    memory_bytes=256 << 20,
    disk_bytes=16 << 20,
    processes=12,
    output_bytes=16 << 10,
    images=3,
    image_pixels=1_000_000,
)
"""What attacks run under, small enough for exceeding it to be quick and harmless where nothing is contained."""

PREAMBLE = """
import ctypes, errno, os, sys, time
def breach(what):
    print("BREACH", what, flush=True)
def attempt(what, function, *arguments):
    try:
        got = function(*arguments)
    except (OSError, ImportError, AttributeError, RuntimeError, MemoryError, ValueError) as error:
        return None
    breach(f"{what}: {str(got)[:80]}")
    return got
libc = ctypes.CDLL(None, use_errno=True)
def system_call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result
IS_X86 = os.uname().machine == "x86_64"
def read(path):
    with open(path, "rb") as file:
        return file.read(1 << 20)
"""
"""Helpers that every attack finds. `G` is what the attacker is told about the host: see `Ground.hints`."""


def _nothing(_: RunResult) -> str:
    return ""


@dataclass(frozen=True)
class Attack:
    """One attempt.

    Attributes:
        name: Unique.
        family: Which chapter of the threat model it belongs to.
        cells: Code, run one cell after the other in one session.
        timeout: Seconds of each cell.
        pause: Seconds between two cells, in which nothing is run.
        limits: What it runs under.
        judge: Looks at the last result; says what was breached, or nothing.
        image_files: Whether the session returns the images whose paths are printed, where the backend can.
    """

    name: str
    family: str
    cells: tuple[str, ...]
    timeout: float = 5.0
    limits: SandboxLimits = LIMITS
    judge: Callable[[RunResult], str] = field(default=_nothing)
    pause: float = 0.0
    image_files: bool = False


class Family:
    """Collects the attacks of one chapter."""

    def __init__(self, name: str, *, image_files: bool = False) -> None:
        self.name = name
        self.image_files = image_files
        self.attacks: list[Attack] = []

    def add(
        self,
        name: str,
        *cells: str,
        timeout: float = 5.0,
        limits: SandboxLimits = LIMITS,
        judge: Callable[[RunResult], str] = _nothing,
        pause: float = 0.0,
    ) -> None:
        attack = Attack(f"{self.name}-{name}", self.name, cells, timeout, limits, judge, pause, self.image_files)
        self.attacks.append(attack)


def must_say(text: str) -> Callable[[RunResult], str]:
    """Judge that the result names a limit."""

    def judge(result: RunResult) -> str:
        return "" if text in result.stderr else f"the result does not say {text!r}: {result.stderr[-200:]!r}"

    return judge


def must_be(*statuses: str) -> Callable[[RunResult], str]:
    """Judge the status."""

    def judge(result: RunResult) -> str:
        return "" if result.status.value in statuses else f"status {result.status.value}, expected {statuses}"

    return judge
