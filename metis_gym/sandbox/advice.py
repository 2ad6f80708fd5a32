"""From a step that the kernel refused to what a person can do about it."""

import contextlib
import os
import sys
from pathlib import Path

from metis_gym.errors import SandboxUnavailableError

__all__ = ["check_system", "explain_failure", "restrictions", "three_ways_on"]

_SWITCHES = (
    (
        "user/max_user_namespaces",
        "0",
        "the limit user.max_user_namespaces is 0",
        "sysctl user.max_user_namespaces=15000",
    ),
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "kernel.unprivileged_userns_clone is 0",
        "sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1, as on Ubuntu 24.04)",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)

_SYSTEMS = {"darwin": "macOS", "win32": "Windows"}


def explain_failure(tier: str, step: str, error: str) -> str:
    """The message of the error that a tier which cannot start raises.

    Args:
        tier: Its name.
        step: What was being tried.
        error: What the kernel said.
    """
    advice = _cause_and_remedy(step, error)
    return f"the sandbox {tier!r} is not available on this machine: {step} failed ({error}). {advice}".strip()


def check_system(backend: str) -> None:
    """See that this system can have a sandbox without a daemon.

    Args:
        backend: The backend that is wanted, for the message.

    Raises:
        SandboxUnavailableError: It is not Linux. The message is the same wherever it is found out.
    """
    if sys.platform != "linux":
        system = _SYSTEMS.get(sys.platform, sys.platform)
        raise SandboxUnavailableError(
            f"the sandbox {backend!r} needs Linux, and this is {system}: model-written code is never run without "
            "isolation. Use the backend 'docker' (sandbox=\"docker\", or --env.sandbox docker), which needs a Docker "
            "engine such as Docker Desktop, or work in Linux, such as WSL 2. Everything else works here."
        )


def three_ways_on(cause: str) -> str:
    """The message of the error that `auto` raises when nothing starts."""
    return (
        f"no isolation can be had on this machine, and model-written code is never run without it. {cause}\n"
        "Three ways on: (1) permit user namespaces or use Linux 6.2 or newer with Landlock; "
        "`metis-gym sandbox doctor` says what is missing. (2) Use the backend 'docker', which needs a Docker engine. "
        "(3) Name the backend 'unsafe', for debugging code that you trust: it isolates nothing."
    )


def restrictions() -> list[tuple[str, str]]:
    """Settings of this machine that forbid user namespaces, each with the command that changes it."""
    found = []
    for name, bad, cause, remedy in _SWITCHES:
        with contextlib.suppress(OSError):
            if Path("/proc/sys", name).read_text(encoding="ascii").strip() == bad:
                found.append((cause, remedy))
    return found


def in_container() -> bool:
    """Whether this looks like a container, whose seccomp profile may refuse `unshare`."""
    return os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv") or "container" in os.environ


def _cause_and_remedy(step: str, error: str) -> str:
    if "namespace" in step and (known := restrictions()):
        return " ".join(f"Cause: {cause}. Remedy: {remedy}." for cause, remedy in known)
    if "namespace" in step and in_container():
        return (
            "Cause: this is a container whose profile refuses namespaces. Remedy: use the tier 'landlock' in it, or "
            "start it with --security-opt seccomp=unconfined."
        )
    if "mount_setattr" in error:
        return "Cause: the kernel is older than Linux 5.12. Remedy: a newer kernel."
    if "Landlock" in step:
        return "Remedy: Linux 6.2 or newer with landlock in its list of security modules (boot option lsm=landlock,…)."
    if "libraries" in step:
        return "Remedy: install numpy and Pillow where this Python finds them, not as links to elsewhere."
    return ""
