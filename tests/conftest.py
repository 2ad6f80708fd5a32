"""What several test files use."""

import pytest

from metis_gym import sandbox
from metis_gym.errors import SandboxUnavailableError
from metis_gym.rewards import catalogue


@pytest.fixture(autouse=True)
def own_designs_stay_in_their_test(monkeypatch):
    monkeypatch.setattr(catalogue.DESIGNS, "_entries", dict(catalogue.DESIGNS._entries))


@pytest.fixture(scope="session")
def sandbox_kwargs():
    """Arguments for environments whose `python` tool runs; skips where this machine cannot isolate."""
    try:
        session = sandbox.make("auto").open()
    except SandboxUnavailableError as error:
        pytest.skip(f"this machine offers no sandbox: {error}")
    session.close()
    return {"sandbox": "auto"}
