"""Arenas: one for each backend and user."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metis_gym.errors import MissingDependencyError, SandboxUnavailableError
from tests.attacks.arena import GRACE, Arena, Verdict
from tests.attacks.attack import Attack
from tests.sandbox.available import ISOLATING, start

_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[1]


def pytest_collection_modifyitems(config, items):
    """Keep the attacks on one backend in one worker of pytest-xdist: every worker would start every backend."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        arena = getattr(getattr(item, "callspec", None), "params", {}).get("arena")
        if arena is not None and item.path.parent == _HERE:
            item.add_marker(pytest.mark.xdist_group(f"arena-{arena}"))


class RemoteArenas:
    """Arenas in a process of a user without rights."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_HERE / "plain_user.py"), sys.executable, "-W", "error", str(_HERE / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PYTHONPATH": str(_REPOSITORY),
                "PATH": "/usr/bin:/bin",
                "HOME": "/tmp",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            text=True,
        )

    def attack(self, backend: str, attack: Attack) -> Verdict:
        self._process.stdin.write(json.dumps({"backend": backend, "attack": attack.name}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            pytest.skip(f"no process of a plain user here: it exited with {self._process.wait()}; see standard error")
        answer = json.loads(line)
        if "unavailable" in answer:
            pytest.skip(answer["unavailable"])
        return Verdict(**answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class PlainArena:
    """One backend there."""

    def __init__(self, remote: RemoteArenas, backend: str) -> None:
        self._remote = remote
        self._backend = backend

    def attack(self, attack: Attack) -> Verdict:
        return self._remote.attack(self._backend, attack)


@pytest.fixture(scope="session")
def remote_arenas():
    if os.geteuid() != 0:
        pytest.skip("the tests run as a plain user already")
    remote = RemoteArenas()
    yield remote
    remote.close()


_ARENAS = [
    *(f"{name}-current" for name in ISOLATING),
    *(pytest.param(f"{name}-plain", marks=pytest.mark.slow) for name in ISOLATING),  # CI plays them as a plain user
]


@pytest.fixture(scope="module", params=_ARENAS)
def arena(request):
    name, _, user = request.param.partition("-")
    if user == "plain":
        yield PlainArena(request.getfixturevalue("remote_arenas"), name)
        return
    try:
        own = Arena(start(name, GRACE))
    except (MissingDependencyError, SandboxUnavailableError) as error:
        pytest.skip(str(error))
    yield own
    own.close()
