"""Between two runs a session stands still, holds no more than its limits, and forgets nothing."""

import os
import tempfile
import time

import pytest

from metis_gym.sandbox import RunStatus, SandboxLimits

PAUSE = 0.4
COUNTING = """
import threading, time
longest, last = 0.0, time.monotonic()
def count():
    global longest, last
    while True:
        now = time.monotonic()
        longest, last = max(longest, now - last), now
threading.Thread(target=count, daemon=True).start()
"""

RESTED = "seen = last\nwhile last == seen:\n    time.sleep(0.01)\nlongest"
"""Waits for the thread's first step, which has to see the pause."""


def test_threads_rest_as_long_as_nothing_is_run(isolated):
    session = isolated.open()
    session.run(COUNTING)
    time.sleep(PAUSE)
    assert float(session.run(RESTED).result_text) > PAUSE - 0.05
    session.close()


def test_threads_rest_after_an_interrupted_run(isolated):
    session = isolated.open()
    assert session.run(COUNTING + "time.sleep(60)", timeout=0.3).status is RunStatus.TIMEOUT
    session.run("longest, last = 0.0, time.monotonic()")
    time.sleep(PAUSE)
    assert float(session.run(RESTED).result_text) > PAUSE - 0.05
    session.close()


def test_threads_go_on_where_they_were(backend):
    session = backend.open()
    session.run(
        "import threading, time\nseen = []\n"
        "def work():\n    for number in range(5):\n        time.sleep(0.02)\n        seen.append(number)\n"
        "thread = threading.Thread(target=work)\nthread.start()"
    )
    assert session.run("thread.join()\nseen").result_text == "[0, 1, 2, 3, 4]"
    session.close()


def test_what_a_thread_prints_later_belongs_to_a_later_run(backend):
    session = backend.open()
    session.run("import threading\ntimer = threading.Timer(0.1, print, ['late'])\ntimer.start()")
    time.sleep(PAUSE)
    assert session.run("timer.join()").stdout == "late\n"
    session.close()


def test_alarms_come_with_the_next_run(backend):
    session = backend.open()
    session.run(
        "import signal\nrang = []\nsignal.signal(signal.SIGALRM, lambda *_: rang.append(1))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.1)"
    )
    time.sleep(PAUSE)
    assert session.run("len(rang)").result_text == "1"
    session.close()


def test_an_alarm_that_raises_between_two_runs_costs_neither(backend):
    session = backend.open()
    session.run(
        "import signal\ndef ring(*_):\n    raise TimeoutError\nsignal.signal(signal.SIGALRM, ring)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.1)"
    )
    time.sleep(PAUSE)
    result = session.run("6 * 7")
    assert (result.status, result.result_text) == (RunStatus.OK, "42")
    session.close()


def test_an_event_loop_in_a_thread_goes_on(backend):
    session = backend.open()
    session.run(
        "import asyncio, threading\nloop = asyncio.new_event_loop()\n"
        "threading.Thread(target=loop.run_forever, daemon=True).start()\n"
        "async def later():\n    await asyncio.sleep(0.1)\n    return 42\n"
        "future = asyncio.run_coroutine_threadsafe(later(), loop)"
    )
    time.sleep(PAUSE)
    assert session.run("future.result(5)").result_text == "42"
    session.close()


def test_a_session_that_stands_still_can_be_closed(backend):
    session = backend.open()
    session.run("x = 1")
    started = time.monotonic()
    session.close()
    assert time.monotonic() - started < 5


FILLING = """
import ctypes, os, threading, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
def fill():
    for number in range(200):
        try:
            fd = os.open(f'f{number}', os.O_RDWR | os.O_CREAT)
            os.write(fd, bytes(8 << 20))
            libc.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_size_t(0))
            os.unlink(f'f{number}')
            os.close(fd)
        except OSError:
            return
threading.Thread(target=fill, daemon=True).start()
"""


def test_while_it_rests_it_holds_no_more_than_its_limit(isolated):
    session = isolated.open(limits=SandboxLimits(disk_bytes=16 << 20))
    session.run(FILLING)
    before = _free_bytes()
    time.sleep(PAUSE)
    assert before - _free_bytes() < 200 << 20  # of 1600 MB; others may write, too
    session.close()


def _free_bytes() -> int:
    state = os.statvfs(tempfile.gettempdir())
    return state.f_bfree * state.f_frsize


@pytest.mark.parametrize("way", ["mapped", "open", "named"])
def test_files_count_however_they_are_held(isolated, way):
    """Within the limit nothing happens, over it the run ends or the write fails; and the next session has its own."""
    holding = {
        "mapped": "held.append(mmap.mmap(fd, 4096)); os.unlink(name); os.close(fd)",
        "open": "held.append(fd); os.unlink(name)",
        "named": "os.close(fd)",
    }
    session = isolated.open(limits=SandboxLimits(disk_bytes=16 << 20))
    session.run("import mmap, os, time\nheld = []")
    code = (
        "for number in range({}):\n    name = f'file-{{len(held)}}-{{number}}'\n"
        "    fd = os.open(name, os.O_RDWR | os.O_CREAT)\n    os.write(fd, bytes(4 << 20))\n    " + holding[way]
    )
    assert session.run(code.format(3)).status is RunStatus.OK
    over = session.run(code.format(6) + "\ntime.sleep(0.5)")
    assert over.status in (RunStatus.ERROR, RunStatus.KILLED)
    assert "Disk limit of 16 MB reached." in over.stderr
    following = isolated.open(files={"a": b"x"})
    assert following.run("open('b', 'wb').write(bytes(1 << 20))").result_text == str(1 << 20)
    following.close()
    session.close()
