"""What this machine offers for isolation, what `auto` takes and why, and how to get a stronger tier."""

import os
from dataclasses import dataclass
from pathlib import Path

from metis_gym.errors import MetisError, MissingDependencyError, SandboxUnavailableError
from metis_gym.sandbox.advice import check_system, in_container, restrictions

__all__ = ["Finding", "doctor", "format_findings"]

_SECCOMP = "/proc/sys/kernel/seccomp/actions_avail"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What.
        ok: Whether it is as it should be.
        detail: What was found.
        remedy: What to do about it; empty when nothing is to be done.
    """

    subject: str
    ok: bool
    detail: str
    remedy: str = ""


def doctor() -> list[Finding]:
    """Look at the kernel, try every tier, and say which one `auto` takes. The last finding is about `auto`."""
    try:
        check_system("auto")
    except SandboxUnavailableError as error:
        return [_docker(), Finding(subject="auto", ok=False, detail=str(error))]
    return [_machine(), _user(), _user_namespaces(), _landlock(), _seccomp(), _docker(), *_tiers()]


def format_findings(findings: list[Finding]) -> str:
    """Format findings as a table for people."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{'ok  ' if finding.ok else 'NO  '}{finding.subject:<{width}}  {finding.detail}")
        if finding.remedy:
            lines.append(f"{'':<{width + 4}}  → {finding.remedy}")
    return "\n".join(lines)


def _machine() -> Finding:
    from metis_gym.sandbox.inside.syscalls import PLATFORMS

    system = os.uname()
    where = " in a container" if in_container() else ""
    ok = system.machine in PLATFORMS
    remedy = "" if ok else f"the daemon-less tiers know {' and '.join(PLATFORMS)}; use the backend 'docker'"
    return Finding(subject="machine", ok=ok, detail=f"Linux {system.release} on {system.machine}{where}", remedy=remedy)


def _user() -> Finding:
    from metis_gym.sandbox.inside.privileges import CAN_ADMINISTER, CAN_SET_USER, holds

    if os.geteuid():
        return Finding(subject="user", ok=True, detail=f"user {os.geteuid()}: sessions run as the same user")
    if holds(CAN_ADMINISTER, CAN_SET_USER):
        return Finding(subject="user", ok=True, detail="root: every session gets a user id of its own")
    return Finding(subject="user", ok=True, detail="root with few capabilities, as in a container")


def _user_namespaces() -> Finding:
    found = restrictions()
    if not found:
        return Finding(subject="user namespaces", ok=True, detail="no setting of this machine forbids them")
    causes = "; ".join(cause for cause, _ in found)
    return Finding(subject="user namespaces", ok=False, detail=causes, remedy="; ".join(remedy for _, remedy in found))


def _landlock() -> Finding:
    from metis_gym.sandbox.inside.landlock import MIN_ABI, abi

    version = abi()
    if version >= MIN_ABI:
        return Finding(subject="landlock", ok=True, detail=f"version {version}")
    detail = f"version {version}, and {MIN_ABI} is needed" if version else "absent"
    return Finding(
        subject="landlock", ok=False, detail=detail, remedy="Linux 6.2 or newer, with landlock in the boot option lsm="
    )


def _seccomp() -> Finding:
    ok = Path(_SECCOMP).exists()
    remedy = "" if ok else "a kernel with CONFIG_SECCOMP_FILTER"
    return Finding(subject="seccomp", ok=ok, detail="filters are available" if ok else "absent", remedy=remedy)


def _docker() -> Finding:
    from metis_gym.sandbox.containers import engine

    try:
        client = engine.connect()
    except (MissingDependencyError, SandboxUnavailableError) as error:
        return Finding(subject="docker", ok=False, detail=str(error), remedy="only the backend 'docker' needs it")
    has_image = bool(client.images.list(name=engine.IMAGE))
    client.close()
    if not has_image:
        detail = f"an engine runs, without the image {engine.IMAGE}"
        return Finding(subject="docker", ok=False, detail=detail, remedy="metis-gym sandbox build")
    return Finding(subject="docker", ok=True, detail=f"an engine runs, with the image {engine.IMAGE}")


def _tiers() -> list[Finding]:
    from metis_gym.sandbox.backends import ZygoteBackend
    from metis_gym.sandbox.sharing import AUTO_ORDER

    findings = []
    for name in AUTO_ORDER:
        backend = ZygoteBackend(name)
        try:
            with_session = backend.open()
            with_session.close()
            findings.append(Finding(subject=name, ok=True, detail="starts, and runs a session"))
        except SandboxUnavailableError as error:
            findings.append(Finding(subject=name, ok=False, detail=str(error)))
        except MetisError as error:
            findings.append(Finding(subject=name, ok=False, detail=f"broken: {error}"))
        finally:
            backend.close()
    return [*findings, _choice(findings)]


def _choice(tiers: list[Finding]) -> Finding:
    working = [finding.subject for finding in tiers if finding.ok]
    if not working:
        remedy = "see above, or use the backend 'docker', which needs a Docker engine"
        return Finding(subject="auto", ok=False, detail="nothing starts: make('auto') raises an error", remedy=remedy)
    if working[0] == tiers[0].subject:
        return Finding(subject="auto", ok=True, detail=f"takes {working[0]!r}, the strongest daemon-less tier")
    detail = f"takes {working[0]!r}, because {tiers[0].subject!r} does not start"
    return Finding(subject="auto", ok=True, detail=detail, remedy=f"for {tiers[0].subject!r}, see its line")
