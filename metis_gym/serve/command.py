"""`metis-gym serve`: environments for trainers on other machines."""

import argparse
import contextlib
import ipaddress
import math
import signal
import threading
from collections.abc import Sequence
from typing import Any

from metis_gym.errors import ConfigError, MissingDependencyError
from metis_gym.registration import find_spec
from metis_gym.specs import parse_pairs
from metis_gym.terminal import say

__all__ = ["serve_command"]

_MAX_PORT = 65_535


def serve_command(argv: Sequence[str]) -> int:
    """Serve environments until interrupted."""
    given = _parser().parse_args(argv)
    try:
        from metis_gym.serve.app import ServeConfig
        from metis_gym.serve.running import Workers
    except ModuleNotFoundError as error:
        raise MissingDependencyError.of(str(error.name), "openenv", "`metis-gym serve`") from error
    from metis_gym.serve.connection import read_token

    _check(given)
    config = ServeConfig(
        env_id=given.env,
        env=_environment(given),
        sessions=math.ceil(given.sessions / given.workers),
        idle=given.idle,
        image_format=given.image_format,
        token=read_token(given.token_env),
    )
    find_spec(config.env_id)
    config.make_env().close()  # what is wrong with its arguments is said before any worker starts
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    workers = Workers(config, given.host, given.port, given.workers)
    with contextlib.closing(workers):
        urls = [f"http://{_shown(given.host)}:{port}" for port in workers.ports]
        say(f"serving {given.taskset or given.env}, {config.sessions} sessions on each of {len(urls)} ports")
        say(f"environments: {' '.join(urls)}")
        say("Ctrl-C ends it")
        for port in workers.watch(stopped):
            say(f"the worker on port {port} had ended and was started again; its episodes are lost")
    return 0


def _check(given: argparse.Namespace) -> None:
    if not 0 <= given.port <= _MAX_PORT - given.workers:
        raise ConfigError(f"--port must be from 0 to {_MAX_PORT - given.workers}, actually: {given.port}")
    if min(given.workers, given.sessions) < 1:
        raise ConfigError(
            f"--workers and --sessions must be at least 1, actually: {given.workers} and {given.sessions}"
        )
    if not _is_loopback(given.host) and not given.token_env:
        raise ConfigError(
            f"--host {given.host} lets other machines in: a token is required then. Put one into an environment "
            "variable and name it with --token-env"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _environment(given: argparse.Namespace) -> dict[str, Any]:
    """The arguments of the environment: those of `--set` are JSON, or text where they are not."""
    taskset = {"taskset": given.taskset} if given.taskset else {}
    return {"split": given.split, **taskset, **parse_pairs(given.set)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym serve",
        description="Serve environments by OpenEnv's protocol, for trainers on other machines.",
    )
    add = parser.add_argument
    add("--env", default="MetisVQA-v0", help="environment id (default: %(default)s)")
    add("--taskset", help="what to play, as in charts+signs (default: the id's own)")
    add("--split", default="train", choices=("train", "test"), help="(default: %(default)s)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help='another argument of the environment, as JSON or text, such as reward=hdpo or tools=["python"]',
    )
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8000, help="port of the first worker; the others follow (default: %(default)s)")
    add("--workers", type=int, default=1, help="processes, each with a port of its own (default: %(default)s)")
    add("--sessions", type=int, default=16, help="most sessions at a time, of all workers (default: %(default)s)")
    add("--idle", type=float, default=600.0, help="seconds after which an idle session ends (default: %(default)g)")
    add(
        "--image-format",
        default="png",
        choices=("png", "jpeg"),
        help="how images are sent; jpeg is smaller but no longer the same to the byte (default: %(default)s)",
    )
    add("--token-env", default="", metavar="VARIABLE", help="environment variable with the token that clients show")
    return parser
