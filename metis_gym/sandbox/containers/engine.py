"""The Docker engine: finding it, the flags of hardened containers, clearing up after hosts that died."""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metis_gym.errors import MissingDependencyError, SandboxUnavailableError
from metis_gym.sandbox.containers.profile import seccomp_profile

__all__ = ["IMAGE", "SESSIONS", "USER", "ContainerLimits", "connect", "create", "remove", "remove_leftovers"]

IMAGE = "metis-gym-sandbox:1"
"""What `metis-gym sandbox build` builds."""
USER = "65533:65533"
SESSIONS = "/sessions"
"""Where the sessions' file systems are mounted in a container."""
LABEL = "metis-gym.sandbox"
_BUILD = "Build it with: metis-gym sandbox build"
_INSTALL = "Start it (systemctl start docker, or Docker Desktop), or name another with DOCKER_HOST"
_PERMISSION = "Add the user to the group docker, or use a rootless engine"
_ANSWER_SECONDS = 10.0
_BYTES_PER_INODE = 16 << 10
_MIN_INODES = 1024
_TEMPORARY_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class ContainerLimits:
    """What one container may use, all of its sessions together.

    Attributes:
        memory_bytes: Memory, without any swap on top.
        cpus: Processors; None for all.
        processes: Processes and threads.
        disk_bytes: What the file system of one session may hold; each session has one, held in memory.
    """

    memory_bytes: int = 8 << 30
    cpus: float | None = None
    processes: int = 2048
    disk_bytes: int = 64 << 20


def connect() -> Any:
    """A client of the engine.

    Raises:
        MissingDependencyError: The package `docker` is absent.
        SandboxUnavailableError: No engine answers, or it may not be used.
    """
    try:
        import docker
    except ImportError as error:
        raise MissingDependencyError.of("docker", "docker", "the sandbox backend 'docker'") from error
    try:
        _knock(docker.utils.parse_host(os.environ.get("DOCKER_HOST"), is_win32=sys.platform == "win32"))
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise SandboxUnavailableError(_explain(str(error))) from error
    return client


def create(
    client: Any, image: str, command: list[str], limits: ContainerLimits, runtime: str | None, sessions: int = 1
) -> str:
    """Create a container, and return its id. It ends when its standard input is closed, and is removed then.

    Args:
        client: Of the engine.
        image: The image.
        command: What to run in it.
        limits: What the container may use.
        runtime: Such as `runsc`; None for the engine's default.
        sessions: How many sessions it may have at a time.

    Raises:
        SandboxUnavailableError: The image is absent, or the engine refuses the flags.
    """
    import docker

    api = client.api
    try:
        host = api.create_host_config(
            **_host_options(limits, runtime, sessions), log_config=docker.types.LogConfig(type="none")
        )
        made = api.create_container(
            image,
            command,
            user=USER,
            hostname="sandbox",
            environment={"LANG": "C.UTF-8", "HOME": "/tmp", "OPENBLAS_NUM_THREADS": "1"},
            working_dir="/tmp",
            stdin_open=True,
            labels={LABEL: _identity()},
            host_config=host,
            network_disabled=True,
        )
    except docker.errors.ImageNotFound as error:
        raise SandboxUnavailableError(f"the image {image!r} of the sandbox 'docker' is absent. {_BUILD}") from error
    except docker.errors.APIError as error:
        raise SandboxUnavailableError(f"the Docker engine refuses the sandbox's container: {error}") from error
    return str(made["Id"])


def remove(client: Any, container: str) -> None:
    """End a container and remove it, if it is still there."""
    import docker

    with contextlib.suppress(docker.errors.NotFound, docker.errors.APIError):
        client.api.remove_container(container, force=True)


def remove_leftovers(client: Any) -> int:
    """Remove containers whose host, on this machine, no longer runs. Returns how many there were."""
    gone = list(_orphans(client))
    for container in gone:
        remove(client, container)
    return len(gone)


def _host_options(limits: ContainerLimits, runtime: str | None, sessions: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "network_mode": "none",
        "ipc_mode": "none",
        "read_only": True,
        "tmpfs": _file_systems(limits.disk_bytes, sessions),
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true", f"seccomp={json.dumps(seccomp_profile())}"],
        "pids_limit": limits.processes,
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
        "oom_score_adj": 500,
        "auto_remove": True,
        "runtime": runtime,
    }
    if limits.cpus is not None:
        options["nano_cpus"] = int(limits.cpus * 1e9)
    return options


def _file_systems(disk_bytes: int, sessions: int) -> dict[str, str]:
    """One for each session, one for the zygote, and a small /tmp: the kernel bounds each by itself."""
    user, _, group = USER.partition(":")
    inodes = max(_MIN_INODES, disk_bytes // _BYTES_PER_INODE)
    flags = "rw,noexec,nosuid,nodev"
    each = f"{flags},size={disk_bytes},nr_inodes={inodes},mode=0700,uid={user},gid={group}"
    return {"/tmp": f"{flags},size={_TEMPORARY_BYTES},mode=1777"} | {
        f"{SESSIONS}/{number:04d}": each for number in range(sessions + 1)
    }


def _identity() -> str:
    """Names this process among all that ever ran: boot, pid, and when it began."""
    return f"{_boot()} {os.getpid()} {_beginning(os.getpid())}"


def _orphans(client: Any) -> Iterator[str]:
    for container in client.api.containers(all=True, filters={"label": LABEL}):
        identity = container["Labels"][LABEL].split()
        if len(identity) == 3 and identity[0] == _boot() and _beginning(int(identity[1])) != identity[2]:
            yield container["Id"]


def _boot() -> str:
    """Which start of this machine it is; empty where the system does not say, as on macOS and Windows."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _beginning(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    return ""


def _knock(host: str) -> None:
    """Try the engine's local socket first: the client library leaves its own open where nothing answers."""
    scheme, _, path = host.partition("://")
    if scheme == "http+unix":
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_ANSWER_SECONDS)
            knocking.connect(path)


def _explain(error: str) -> str:
    remedy = f"{_PERMISSION}." if "ermission denied" in error else f"{_INSTALL}."
    cause = "may not be used by this user" if "ermission denied" in error else "does not answer"
    return f"the sandbox 'docker' is not available on this machine: the Docker engine {cause} ({error}). {remedy}"
