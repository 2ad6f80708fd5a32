"""The backends `namespace`, `landlock` and `unsafe` by name: imported everywhere, started on Linux only.

Their code needs modules that other systems lack; it is imported once the system is known to be Linux, so that everyone
else gets the same message, which names the backend that works there.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metis_gym.errors import SandboxUnavailableError
from metis_gym.sandbox.advice import check_system, three_ways_on
from metis_gym.sandbox.inside.spec import LANDLOCK, NAMESPACE, UNSAFE
from metis_gym.sandbox.inside.syscalls import MACHINE, PLATFORMS
from metis_gym.sandbox.view import PACKAGES

if TYPE_CHECKING:
    from metis_gym.sandbox.backends import ZygoteBackend

__all__ = ["UnsafeSandboxWarning", "landlock", "namespace", "unsafe"]


class UnsafeSandboxWarning(UserWarning):
    """Model-written code runs without isolation, because the backend `unsafe` was named."""


def namespace(packages: Sequence[str] = PACKAGES) -> "ZygoteBackend":
    """The strongest daemon-less backend: namespaces, Landlock, seccomp, limits.

    Args:
        packages: Import names that code inside may use.

    Raises:
        SandboxUnavailableError: This machine does not permit it.
    """
    return _started(NAMESPACE, packages)


def landlock(packages: Sequence[str] = PACKAGES) -> "ZygoteBackend":
    """The same without namespaces: works inside plain containers. See `namespace`."""
    return _started(LANDLOCK, packages)


def unsafe(packages: Sequence[str] = PACKAGES) -> "ZygoteBackend":
    """A separate process with limits on time, memory and output, and no walls: only for code that you trust."""
    check_system(UNSAFE)
    warnings.warn(
        "the sandbox 'unsafe' isolates nothing: the code can read and change whatever you can. Use it for debugging "
        "code that you trust.",
        UnsafeSandboxWarning,
        stacklevel=2,
    )
    return _started(UNSAFE, packages)


def _started(tier: str, packages: Sequence[str]) -> "ZygoteBackend":
    check_system(tier)
    if MACHINE not in PLATFORMS:
        raise SandboxUnavailableError(
            three_ways_on(f"The backend {tier!r} knows {', '.join(PLATFORMS)}, not {MACHINE}.")
        )
    from metis_gym.sandbox.backends import ZygoteBackend

    backend = ZygoteBackend(tier, packages)
    backend.start()
    return backend
