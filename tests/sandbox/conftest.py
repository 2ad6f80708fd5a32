"""Backends that this machine has, started once for all tests."""

import warnings

import pytest

from metis_gym.errors import SandboxUnavailableError
from metis_gym.sandbox.backends import ZygoteBackend

TIERS = ("namespace", "landlock", "unsafe")


@pytest.fixture(scope="session", params=TIERS)
def backend(request):
    started = ZygoteBackend(request.param, grace=0.3)
    try:
        started.start()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield started
    started.close()


@pytest.fixture
def session(backend):
    opened = backend.open(seed=7)
    yield opened
    opened.close()


@pytest.fixture
def isolated(backend):
    if backend.name == "unsafe":
        pytest.skip("it isolates nothing, by design")
    return backend


@pytest.fixture(autouse=True)
def _no_descriptor_left_open():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        yield
