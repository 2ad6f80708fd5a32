"""What several test files use."""

import pytest

from metis_gym import sandbox
from metis_gym.errors import SandboxUnavailableError
from metis_gym.rewards import catalogue
from tests.browser import Browser, find_browser


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


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; skips where there is none."""
    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium here (looked for chromium and google-chrome)")
    with Browser(program) as running:
        yield running
