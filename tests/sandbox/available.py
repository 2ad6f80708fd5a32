"""Backends that this machine has, made for tests: quick to end what does not end by itself."""

from metis_gym.sandbox import SandboxBackend
from metis_gym.sandbox.backends import ZygoteBackend
from metis_gym.sandbox.containers.backend import DockerBackend

ISOLATING = ("namespace", "landlock", "docker")
TIERS = (*ISOLATING, "unsafe")


def start(name: str, grace: float = 0.2) -> SandboxBackend:
    """Start a backend.

    Raises:
        SandboxUnavailableError: This machine does not have it; the reason to skip a test for.
        MissingDependencyError: Nor the package for it.
    """
    backend = DockerBackend(containers=1, grace=grace) if name == "docker" else ZygoteBackend(name, grace=grace)
    backend.start()
    return backend
