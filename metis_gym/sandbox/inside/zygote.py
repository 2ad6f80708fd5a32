"""The zygote: one process that has everything imported, and forks a session whenever the host asks for one.

It trusts the host, which it talks to over a socket of its own; no session ever holds that socket. It ends when the host
does, and takes its sessions along.
"""

import contextlib
import json
import os
import select
import signal
import socket
import traceback
from dataclasses import dataclass
from typing import NoReturn

from . import tiers
from .images import MAX_PARTS
from .namespaces import PRIVATE, TEMPORARY, WORK
from .privileges import die_with_parent
from .spec import STOP, ZygoteSpec
from .trees import remove_tree
from .warmup import warm_up

__all__ = ["main"]

_MAX_DESCRIPTORS = 4 + MAX_PARTS
_REQUEST_BYTES = 1 << 16
_REMEMBERED_ENDS = 1024
_LOW_DESCRIPTORS = 8


class _Steps:
    """Remembers what is being tried."""

    def __init__(self) -> None:
        self.current = "starting"

    def __call__(self, name: str) -> None:
        self.current = name


def main(control_fd: int, host_fd: int, text: str) -> NoReturn:
    """Become a zygote.

    Args:
        control_fd: Socket to the host, which keeps the borders of messages.
        host_fd: Pidfd of the host.
        text: A `ZygoteSpec`.
    """
    control = socket.socket(fileno=control_fd)
    _occupy_low_descriptors()
    steps = _Steps()
    try:
        spec = ZygoteSpec.from_json(text)
        tier = tiers.make(spec)
        if tier.needs_launcher:
            tier.unshare(steps)
            _continue_in_child(control)
        tier.prepare(steps)
        steps("importing the libraries")
        warm_up(spec.import_path, _environment(spec), then="session")
    except (OSError, ImportError, ValueError, RuntimeError) as error:
        _report(control, {"failed": steps.current, "error": f"{error}", "errno": getattr(error, "errno", None)})
        os._exit(1)
    _report(control, {"ready": True})
    zygote = _Zygote(control, host_fd, tier)
    if zygote.serve():
        zygote.clear_up(spec.folder)
    os._exit(0)


def _occupy_low_descriptors() -> None:
    """Keep the numbers that sessions give to their own descriptors from being given to those of a tier."""
    while os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) < _LOW_DESCRIPTORS:
        pass


def _continue_in_child(control: socket.socket) -> None:
    """Fork; the child is the first process of its pid namespace, the parent waits for its end and does nothing else."""
    child = os.fork()
    if child:
        control.close()
        os.waitpid(child, 0)
        os._exit(0)
    die_with_parent()


def _environment(spec: ZygoteSpec) -> dict[str, str]:
    return {
        "HOME": WORK,
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": spec.own_folder or PRIVATE,
        "PYTHONHASHSEED": "0",
        "TMPDIR": TEMPORARY,
        "TZ": "UTC",
        "USER": "sandbox",
        "XDG_DATA_HOME": spec.font_folder,
        "JOBLIB_MULTIPROCESSING": "0",
        **spec.environment,
    }


def _report(control: socket.socket, message: dict[str, object]) -> None:
    control.send(json.dumps(message).encode())


@dataclass(frozen=True)
class _Spare:
    """A child that waits to be told which session it is to be. Forking takes most of the time of opening one."""

    pid: int
    pidfd: int
    link: socket.socket


class _Zygote:
    """The loop: open sessions, notice their ends."""

    def __init__(self, control: socket.socket, host_fd: int, tier: tiers.Tier) -> None:
        self._control = control
        self._host_fd = host_fd
        self._tier = tier
        self._children: dict[int, tuple[int, int]] = {}  # pidfd → session number, pid
        self._ends: dict[int, dict[str, object]] = {}
        self._spare: _Spare | None = None
        self._poll = select.poll()
        for fd in (control.fileno(), host_fd):
            self._poll.register(fd, select.POLLIN)

    def serve(self) -> bool:
        """Answer the host until it says that it is done, or dies. Returns whether it died."""
        self._prepare_spare()
        while True:
            ready = [fd for fd, _ in self._poll.poll()]
            if self._host_fd in ready:
                return True
            for fd in ready:
                if fd in self._children:
                    self._reap(fd)
                elif self._spare and fd == self._spare.pidfd:
                    self._give_up(self._spare)  # the next one is forked when it is asked for
            if self._control.fileno() in ready:
                data, fds, _, _ = socket.recv_fds(self._control, _REQUEST_BYTES, _MAX_DESCRIPTORS)
                if not data or data == STOP:
                    return not data
                self._answer(data, fds)
                self._prepare_spare()

    def clear_up(self, folder: str) -> None:
        """After the host's death: end all sessions, and remove their folders, which nobody else does now.

        Args:
            folder: Where they are; empty when they have file systems of their own.
        """
        for _, pid in self._children.values():
            os.kill(pid, signal.SIGKILL)
        for _, pid in self._children.values():
            os.waitpid(pid, 0)
        if folder:
            remove_tree(folder)

    def _answer(self, data: bytes, fds: list[int]) -> None:
        request = json.loads(data)
        if "end_of" in request:
            _report(self._control, self._end_of(request["end_of"]))
            return
        try:
            self._open(request["number"], data, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _open(self, number: int, data: bytes, fds: list[int]) -> None:
        """Give a request to the spare child, and the host a handle that stays valid whatever becomes of the pid."""
        try:
            spare = self._hand_over(data, fds)
        except OSError as error:
            _report(self._control, {"error": f"{error}", "errno": error.errno})
            return
        self._children[spare.pidfd] = (number, spare.pid)
        self._poll.register(spare.pidfd, select.POLLIN)
        socket.send_fds(self._control, [json.dumps({"pid": spare.pid}).encode()], [spare.pidfd])

    def _hand_over(self, data: bytes, fds: list[int]) -> _Spare:
        """Tell a spare child what it is to be: another one when the first was killed while it waited."""
        if self._spare:
            try:
                socket.send_fds(self._spare.link, [data], fds)
                return self._take_spare()
            except OSError:
                self._give_up(self._spare)
        self._spare = self._fork_spare()
        socket.send_fds(self._spare.link, [data], fds)
        return self._take_spare()

    def _take_spare(self) -> _Spare:
        spare = self._spare
        assert spare is not None  # the caller has just talked to it
        self._spare = None
        spare.link.close()
        return spare

    def _give_up(self, spare: _Spare) -> None:
        """End a spare child that is of no use, or has ended already."""
        self._spare = None
        with contextlib.suppress(KeyError):
            self._poll.unregister(spare.pidfd)
        spare.link.close()
        os.kill(spare.pid, signal.SIGKILL)
        os.waitpid(spare.pid, 0)
        os.close(spare.pidfd)

    def _prepare_spare(self) -> None:
        """Fork ahead, while nobody waits. When it fails, the next request tries again and reports it."""
        if self._spare is None:
            with contextlib.suppress(OSError):
                self._spare = self._fork_spare()
                self._poll.register(self._spare.pidfd, select.POLLIN)

    def _fork_spare(self) -> _Spare:
        self._tier.before_fork()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._control.close()
            self._become_session(theirs)
        theirs.close()
        return _Spare(pid, os.pidfd_open(pid), ours)

    def _become_session(self, link: socket.socket) -> NoReturn:
        from .session import wait_and_run  # imported beforehand by `main`, once the libraries it needs were

        try:
            wait_and_run(self._tier, link)
        except BaseException:  # noqa: BLE001 — the boundary of a process: nothing may return into the zygote's loop
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def _reap(self, pidfd: int) -> None:
        number, pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        self._ends[number] = {
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
        }
        while len(self._ends) > _REMEMBERED_ENDS:
            self._ends.pop(next(iter(self._ends)))

    def _end_of(self, number: int) -> dict[str, object]:
        """How a session ended. The host asks after it has killed it, so that the wait is short."""
        for pidfd, (candidate, _) in list(self._children.items()):
            if candidate == number:
                select.select([pidfd], [], [])
                self._reap(pidfd)
        return self._ends.pop(number, {"signal": signal.SIGKILL, "code": 0, "cpu_seconds": 0.0})
