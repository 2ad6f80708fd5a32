"""What breaks around a session: it is repaired where nothing was lost, and an infrastructure error otherwise."""

import contextlib
import errno
import fcntl
import mmap
import os
import resource
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from metis_gym.errors import InfrastructureError, SandboxError
from metis_gym.sandbox import payload as parcel
from tests.sandbox.events import is_in, wait_until


def spares(backend):
    """Pids of the processes that wait to become a session: the children of the zygote, which forks one in advance."""
    last = set()  # a session that was closed is there for another moment
    while True:
        parents = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        generation = {backend._zygote._process.pid}
        for _ in range(2 if backend.name == "namespace" else 1):
            generation = {child for child, parent in parents.items() if parent in generation}
        if len(generation) == 1 and generation == last:
            return generation
        last = generation
        time.sleep(0.1)


def test_a_session_is_opened_although_the_one_prepared_for_it_was_killed(daemonless):
    daemonless.open().close()
    for _ in range(3):
        for pid in spares(daemonless):
            os.kill(pid, signal.SIGKILL)
        session = daemonless.open()
        assert session.run("6 * 7").result_text == "42"
        session.close()


def test_one_that_stands_still_while_it_is_prepared_and_is_killed_then_is_replaced(daemonless):
    daemonless.open().close()
    waiting = spares(daemonless)
    for pid in waiting:
        os.kill(pid, signal.SIGSTOP)

    opener = threading.current_thread()

    def kill():
        wait_until(lambda: is_in(opener, "_guard") or is_in(opener, "await_opening"))
        for pid in waiting:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    session = daemonless.open()
    killer.join()
    assert session.run("6 * 7").result_text == "42"
    session.close()


def test_killed_processes_are_not_left_as_zombies(daemonless):
    daemonless.open().close()
    for pid in (killed := spares(daemonless)):
        os.kill(pid, signal.SIGKILL)
    daemonless.open().close()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in killed))


@pytest.fixture
def held_block(monkeypatch):
    """Every block of memory is held by somebody with the right to write, so that it cannot be sealed."""
    make, held = os.memfd_create, []

    def make_and_hold(name, flags):
        fd = make(name, flags)
        os.ftruncate(fd, 1)
        held.append(mmap.mmap(fd, 1))
        return fd

    monkeypatch.setattr(parcel.os, "memfd_create", make_and_hold)
    yield held
    for page in held:
        page.close()


def test_a_block_that_is_busy_for_a_moment_is_sealed_then(held_block):
    sealer = threading.current_thread()

    def let_go():
        wait_until(lambda: is_in(sealer, "seal"))
        held_block.pop().close()

    threading.Thread(target=let_go).start()
    fd = parcel.make_payload({"a": b"xyz"})
    assert fcntl.fcntl(fd, 1034) == 0xF  # F_GET_SEALS
    os.close(fd)


def test_a_block_that_stays_busy_is_an_infrastructure_error(daemonless, held_block, monkeypatch):
    monkeypatch.setattr(parcel, "_SEAL_PAUSES", (0.001,))
    with pytest.raises(InfrastructureError, match=os.strerror(errno.EBUSY)):
        daemonless.open(files={"a": b"xyz"})
    with pytest.raises(InfrastructureError, match=os.strerror(errno.EBUSY)):
        daemonless.open(images=[np.zeros((9, 9, 3), np.uint8)])


@contextlib.contextmanager
def descriptors_left(count):
    """Let this process open so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 + max(map(int, os.listdir("/proc/self/fd"))), hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        while len(taken) < count:  # the numbers below the limit were few
            soft_now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft_now + 1, hard))
            taken.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_few_descriptors_are_an_infrastructure_error(daemonless):
    daemonless.open().close()
    image, ended = np.zeros((9, 9, 3), np.uint8), []
    for count in range(16):
        with descriptors_left(count):
            try:
                session = daemonless.open(images=[image])
            except SandboxError as error:
                ended.append(os.strerror(errno.EMFILE) in str(error))
            else:
                ended.append(None)
                session.close()
    assert ended[0] and ended[-1] is None
    assert False not in ended, "an error that does not say why"
    session = daemonless.open()
    assert session.run("1").result_text == "1"
    session.close()
