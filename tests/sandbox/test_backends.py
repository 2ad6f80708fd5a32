"""Backends: by name, shared, across forks, and what they say where they cannot start."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from metis_gym import sandbox
from metis_gym.errors import ConfigError, SandboxError, SandboxUnavailableError, UnknownNameError
from metis_gym.sandbox.backends import ZygoteBackend
from metis_gym.sandbox.daemonless import UnsafeSandboxWarning
from tests.sandbox.events import is_in, wait_until

_REPOSITORY = Path(__file__).parents[2]


def run_python(code, *arguments, script=None):
    command = [
        sys.executable,
        "-W",
        "error",
        *([str(script)] if script else []),
        *arguments,
        *([] if script else ["-c"]),
        code,
    ]
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_names():
    assert {"auto", "namespace", "landlock", "unsafe"} <= set(sandbox.names())


def test_an_unknown_name_is_an_error_that_suggests():
    with pytest.raises(UnknownNameError, match=r"unknown sandbox 'namspace'\. Did you mean 'namespace'\?"):
        sandbox.make("namspace")


def test_one_backend_of_each_name_and_auto_is_one_of_them():
    chosen = sandbox.make()
    assert chosen is sandbox.make("auto")
    assert chosen is sandbox.make(chosen.name)
    assert chosen.name in ("namespace", "landlock")
    sandbox.close_all()
    assert sandbox.make(chosen.name) is not chosen
    sandbox.close_all()


def test_unsafe_warns_by_name():
    with pytest.warns(UnsafeSandboxWarning, match="isolates nothing"):
        backend = sandbox.make("unsafe")
    assert sandbox.make("unsafe") is backend  # without another warning, which would be an error here
    sandbox.close_all()


def test_a_backend_of_ones_own():
    class Own:
        name = "own-of-test"

        def open(self, *, images=(), files=None, limits=None, seed=0):
            raise NotImplementedError

        def close(self):
            self.closed = True

    sandbox.register("own-of-test")(Own)
    backend = sandbox.make("own-of-test")
    assert isinstance(backend, Own)
    sandbox.close_all()
    assert backend.closed


def test_the_projects_own_packages_are_never_shown():
    with pytest.raises(ConfigError, match="metis_envs cannot be shown in a sandbox"):
        ZygoteBackend("namespace", packages=["numpy", "metis_envs"]).start()


def test_many_threads_share_a_backend(backend):
    wrong = []

    def live(number):
        for turn in range(5):
            session = backend.open(images=[np.full((4, 4, 3), number, np.uint8)])
            session.run(f"x = {number * 100 + turn}")
            said = session.run("(x, image_1.getpixel((0, 0))[0])").result_text
            if said != str((number * 100 + turn, number)):
                wrong.append(said)
            session.close()

    threads = [threading.Thread(target=live, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_many_sessions_at_once_all_answer(backend):
    sessions = [backend.open() for _ in range(40)]
    for number, session in enumerate(sessions):
        session.run(f"x = {number}")
    assert [session.run("x").result_text for session in sessions] == [str(number) for number in range(40)]
    for session in sessions:
        session.close()


def test_closing_from_another_thread_ends_a_run(backend):
    session = backend.open()
    results = []

    def run():
        results.append(session.run("import time\ntime.sleep(30)"))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: is_in(thread, "_wait") or is_in(thread, "ask"))
    session.close()
    thread.join(25)
    assert not thread.is_alive()
    assert results[0].status is sandbox.RunStatus.KILLED


def test_sessions_leave_nothing_behind(backend):
    backend.open().close()
    gc.collect()

    def held():
        return len(os.listdir("/proc/self/fd"))

    before = held()
    for _ in range(50):
        session = backend.open(files={"a": b"x"})
        session.run("open('b', 'w').write('y')")
        session.close()
    assert held() == before


def test_a_session_that_is_dropped_is_closed(daemonless):
    backend = daemonless
    session = backend.open()
    handle = session._handle
    del session
    gc.collect()
    assert handle.has_ended(5)


def test_a_zygote_that_dies_takes_its_sessions_along_and_is_replaced(daemonless):
    backend = daemonless
    session = backend.open()
    os.kill(backend._zygote._process.pid, signal.SIGKILL)
    with pytest.raises(SandboxError):
        session.run("import time\ntime.sleep(5)")
    session.close()
    following = backend.open()
    assert following.run("6 * 7").result_text == "42"
    following.close()


def test_a_backend_may_be_used_again_after_it_was_closed():
    backend = ZygoteBackend(sandbox.make().name)
    backend.open().close()
    backend.close()
    backend.close()
    session = backend.open()
    assert session.run("1").result_text == "1"
    session.close()
    backend.close()


def _in_child(backend, session, answers):
    """What a worker of a vector environment does with objects it got by forking."""
    own = backend.open()
    answers.put(own.run("'own'").result_text)
    try:
        session.run("1")
    except SandboxError as error:
        answers.put(str(error))
    session.close()
    own.close()
    answers.put(sandbox.make("auto").open().run("'made'").result_text)
    sandbox.close_all()
    backend.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_zygote_of_its_own(backend):
    session = backend.open()
    session.run("x = 5")
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_child, args=(backend, session, answers))
    child.start()
    said = [answers.get(timeout=60) for _ in range(3)]
    child.join(30)
    assert child.exitcode == 0
    assert said[0] == "'own'"
    assert "belongs to the process that this one was forked from" in said[1]
    assert said[2] == "'made'"
    assert session.run("x").result_text == "5"
    session.close()


def _in_spawned(answers):
    answers.put(sandbox.make().open().run("'spawned'").result_text)


def test_a_spawned_child_has_a_zygote_of_its_own():
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=_in_spawned, args=(answers,))
    child.start()
    assert answers.get(timeout=60) == "'spawned'"
    child.join(30)
    assert child.exitcode == 0


HOST = """
import sys
from metis_gym.sandbox.backends import ZygoteBackend
backend = ZygoteBackend(sys.argv[1])
sessions = [backend.open() for _ in range(3)]
sessions[1].run("import os\\nfor _ in range(50):\\n    os.mkdir('d'); os.chdir('d'); open('f', 'w').write('x')")
import threading
threading.Thread(target=sessions[0].run, args=("while True: pass",), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["namespace", "landlock", "unsafe"])
def test_when_the_host_is_killed_nothing_stays(name, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "TMPDIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOST, name], **pipes, text=True, env=environment) as host:
        if host.stdout.readline() != "ready\n":
            pytest.skip(f"{name} does not start here")
        family = _all_children(host.pid)
        assert len(family) >= 4  # the zygote and three sessions
        assert bool(os.listdir(tmp_path)) == (name != "namespace")
        host.kill()
        host.wait()
    wait_until(lambda: not any(map(_runs, family)) and os.listdir(tmp_path) == [])


def _all_children(pid):
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    family, grew = {pid}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in family} - family
        family |= more
        grew = bool(more)
    return family - {pid}


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


AUTO = """
import warnings
from metis_gym import sandbox
from metis_gym.errors import SandboxUnavailableError
try:
    backend = sandbox.make()
    print(backend.name, backend.open().run("6 * 7").result_text)
except SandboxUnavailableError as error:
    print("unavailable:", error)
sandbox.close_all()
"""


def restricted(case, code):
    result = run_python(code, case, script=Path(__file__).parent / "restricted.py")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_auto_takes_landlock_where_namespaces_are_refused():
    if sandbox.make("landlock").name != "landlock":
        pytest.skip("no Landlock here")
    assert restricted("no-unshare", AUTO) == "landlock 42\n"
    assert restricted("no-user-namespaces", AUTO) == "landlock 42\n"


def test_where_nothing_can_be_had_auto_explains_and_runs_nothing():
    said = restricted("nothing", AUTO)
    assert said.startswith("unavailable: no isolation can be had on this machine")
    for part in ("namespace", "landlock", "Landlock's version is 0", "Three ways on", "docker", "unsafe", "doctor"):
        assert part in said


def test_a_named_tier_that_is_refused_says_why_and_what_to_do():
    code = AUTO.replace("sandbox.make()", "sandbox.make('namespace')")
    said = restricted("no-user-namespaces", code)
    assert "the sandbox 'namespace' is not available on this machine: making a user namespace failed" in said
    assert "Cause: the limit user.max_user_namespaces is 0. Remedy: sysctl user.max_user_namespaces=15000." in said


def test_off_linux_everything_imports_and_names_docker(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    sandbox.close_all()
    with pytest.raises(SandboxUnavailableError, match="'docker'"):
        sandbox.make("auto")
    assert sandbox.doctor()[-1].ok is False


def test_importing_is_light_and_starts_nothing():
    heavy = "import sys, metis_gym.sandbox\nprint([m for m in ('matplotlib', 'PIL', 'docker') if m in sys.modules])"
    assert run_python(heavy).stdout == "[]\n"
