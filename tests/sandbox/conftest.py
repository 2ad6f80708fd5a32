"""Backends that this machine has, started once for all tests."""

import warnings

import pytest

from metis_gym.errors import MissingDependencyError, SandboxUnavailableError
from tests.sandbox.available import TIERS, start


@pytest.fixture(scope="session", params=TIERS)
def backend(request):
    try:
        started = start(request.param)
    except (MissingDependencyError, SandboxUnavailableError) as error:
        pytest.skip(str(error))
    yield started
    started.close()


@pytest.fixture
def session(backend):
    opened = backend.open(seed=7)
    yield opened
    opened.close()


@pytest.fixture
def daemonless(backend):
    if backend.name == "docker":
        pytest.skip("it has no zygote in this process")
    return backend


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
