"""The pool: order, bounds, counts; with a scripted backend where time matters, and with a real one."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from metis_gym.errors import ConfigError, SandboxError
from metis_gym.sandbox import RunResult, RunStatus, SandboxLimits
from metis_gym.sandbox import pool as pools
from metis_gym.sandbox.pool import Quantiles, SessionPool
from tests.sandbox.events import PATIENCE, is_in, wait_until


class ScriptedSession:
    """Runs `"name seconds"`: notes the name, lets that much time pass on the pool's clock, and waits for the gate."""

    def __init__(self, backend):
        self._backend = backend
        self.alive = True

    def run(self, code, timeout=None):
        name, seconds = code.split()
        if name == "broken":
            raise SandboxError("it broke")
        self._backend.enter(name)
        self._backend.gate(name)
        self._backend.leave(float(seconds))
        return RunResult(status=RunStatus.OK, stdout=name, seconds=float(seconds))

    def close(self):
        self.alive = False


class ScriptedBackend:
    name = "scripted"

    def __init__(self, gate=lambda name: None):
        self.order, self.at_once, self.most_at_once, self.now = [], 0, 0, 0.0
        self.gate = gate
        self._lock = threading.Lock()

    def open(self, **_):
        return ScriptedSession(self)

    def close(self):
        pass

    def enter(self, name):
        with self._lock:
            self.order.append(name)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)

    def leave(self, seconds):
        with self._lock:
            self.now += seconds
            self.at_once -= 1


@pytest.fixture
def clocked(monkeypatch):
    """A scripted backend, whose runs are what makes time pass."""

    def make(gate=lambda name: None):
        backend = ScriptedBackend(gate)
        monkeypatch.setattr(pools, "time", SimpleNamespace(monotonic=lambda: backend.now))
        return backend

    return make


def in_threads(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def test_no_more_run_at_once_than_allowed():
    is_open = threading.Event()
    backend = ScriptedBackend(gate=lambda name: is_open.wait(PATIENCE))
    pool = SessionPool(backend, running=3)
    sessions = [pool.open() for _ in range(12)]
    threads = in_threads(*(lambda s=s: s.run("a 0") for s in sessions))
    wait_until(lambda: backend.at_once + pool.statistics().waiting == 12)
    assert (backend.at_once, pool.statistics().running) == (3, 3)
    is_open.set()
    for thread in threads:
        thread.join()
    assert backend.most_at_once == 3
    assert len(backend.order) == 12


def test_who_has_had_least_goes_first(clocked):
    is_over = threading.Event()
    backend = clocked(gate=lambda name: name == "blocker" and is_over.wait(PATIENCE))
    pool = SessionPool(backend, running=1)
    greedy, modest, blocker = pool.open(), pool.open(), pool.open()
    greedy.run("greedy 0.2")
    # While the blocker runs, the greedy one asks first and the modest one second; the modest one has had less.
    threads = in_threads(lambda: blocker.run("blocker 0.1"))
    wait_until(lambda: pool.statistics().running == 1)
    threads += in_threads(lambda: greedy.run("greedy 0"))
    wait_until(lambda: pool.statistics().waiting == 1)
    threads += in_threads(lambda: modest.run("modest 0"))
    wait_until(lambda: pool.statistics().waiting == 2)
    is_over.set()
    for thread in threads:
        thread.join()
    assert backend.order == ["greedy", "blocker", "modest", "greedy"]


def test_a_flood_of_runs_of_one_session_does_not_starve_another(clocked):
    steps, stop = threading.Semaphore(0), threading.Event()
    backend = clocked(gate=lambda name: name == "flood" and steps.acquire(timeout=PATIENCE))
    pool = SessionPool(backend, running=1)

    def flood():
        session = pool.open()
        while not stop.is_set():
            session.run("flood 0.01")

    threads = in_threads(flood, flood, flood)
    steps.release(6)
    wait_until(lambda: len(backend.order) == 7 and pool.statistics().waiting == 2)
    modest = pool.open()
    for _ in range(5):
        before = len(backend.order)
        asking = in_threads(lambda: modest.run("modest 0"))[0]
        wait_until(lambda: pool.statistics().waiting == 3)
        while asking.is_alive() and len(backend.order) - before < 9:
            count = len(backend.order)
            steps.release()
            wait_until(lambda count=count: len(backend.order) > count + ("modest" in backend.order[count:]))
        asking.join(PATIENCE)
        assert backend.order[before:].index("modest") <= 3  # a run of each of the others at most
        wait_until(lambda: pool.statistics().waiting == 2)
    stop.set()
    steps.release(9)
    for thread in threads:
        thread.join()


def test_a_session_that_was_idle_has_no_right_to_catch_up(clocked):
    pool = SessionPool(clocked(), running=1)
    idle, busy = pool.open(), pool.open()
    for _ in range(20):
        busy.run("busy 0.005")
    idle.run("idle 0.001")
    assert idle.used == pytest.approx(0.095 + 0.001)  # it was put beside the busy one's last run, not at zero


def test_open_waits_for_a_place():
    pool = SessionPool(ScriptedBackend(), sessions=2)
    first, _second = pool.open(), pool.open()
    opened = []
    thread = in_threads(lambda: opened.append(pool.open()))[0]
    wait_until(lambda: opened or is_in(thread, "wait"))
    assert opened == []
    first.close()
    thread.join(PATIENCE)
    assert len(opened) == 1
    first.close()  # twice gives no second place
    assert pool.statistics().sessions == 2


def test_open_gives_up_in_the_end():
    pool = SessionPool(ScriptedBackend(), sessions=1, patience=0.05)
    pool.open()
    with pytest.raises(SandboxError, match=r"no place in the pool within 0\.05 s: 1 of 1 sessions are open"):
        pool.open()


def test_memory_of_all_sessions_is_bounded():
    pool = SessionPool(ScriptedBackend(), memory_bytes=3 << 30, patience=0.05)
    limits = SandboxLimits(memory_bytes=2 << 30)
    first = pool.open(limits=limits)
    with pytest.raises(SandboxError, match="no place"):
        pool.open(limits=limits)
    first.close()
    pool.open(limits=limits).close()
    with pytest.raises(ConfigError, match="cannot fit into a pool"):
        pool.open(limits=SandboxLimits(memory_bytes=4 << 30))


@pytest.mark.parametrize("wrong", [{"running": 0}, {"sessions": -1}, {"memory_bytes": 0}, {"patience": 0}])
def test_numbers_have_to_be_positive(wrong):
    with pytest.raises(ConfigError, match="must be positive"):
        SessionPool(ScriptedBackend(), **wrong)


def test_a_broken_run_frees_its_turn_and_is_counted():
    pool = SessionPool(ScriptedBackend(), running=1)
    session = pool.open()
    with pytest.raises(SandboxError, match="it broke"):
        session.run("broken 0")
    session.run("fine 0")
    statistics = pool.statistics()
    assert (statistics.failures, statistics.runs, statistics.running) == (1, 1, 0)


def test_quantiles_by_hand():
    assert Quantiles.of([]) == Quantiles(0, 0)
    assert Quantiles.of([float(n) for n in range(100)]) == Quantiles(50.0, 99.0)


def test_a_real_pool_counts_what_happened(backend):
    pool = SessionPool(backend, running=2, sessions=30)
    sessions = [pool.open(images=[np.zeros((4, 4, 3), np.uint8)], seed=n) for n in range(20)]
    answers = {}

    def live(number):
        sessions[number].run(f"x = {number}")
        answers[number] = sessions[number].run("x").result_text

    for thread in in_threads(*(lambda n=n: live(n) for n in range(20))):
        thread.join()
    assert answers == {number: str(number) for number in range(20)}
    sessions[0].run("1 / 0")
    sessions[1].run("while True: pass", timeout=0.1)
    sessions[2].run("import os\nos._exit(1)")
    assert not sessions[2].alive
    statistics = pool.statistics()
    assert statistics.by_status == {"ok": 40, "error": 1, "timeout": 1, "killed": 1}
    assert statistics.sessions == statistics.opened == 20
    metrics = statistics.as_metrics()
    assert metrics["sandbox/status/killed"] == 1.0
    assert metrics["sandbox/run_seconds/p99"] >= 0.1
    pool.close()
    pool.close()
    assert pool.statistics().sessions == 0
    assert backend.open().run("1").result_text == "1"  # the backend itself stays open
