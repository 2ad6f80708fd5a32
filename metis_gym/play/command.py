"""`metis-gym play`: a page on this machine to play the tasks on."""

import argparse
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.errors import ConfigError
from metis_gym.play.game import Game
from metis_gym.play.server import PlayServer
from metis_gym.terminal import say

__all__ = ["play_command"]

_MAX_PORT = 65_535


def play_command(argv: Sequence[str]) -> int:
    """Serve a game until it is interrupted."""
    given = _parser().parse_args(argv)
    if not 0 <= given.port <= _MAX_PORT:
        raise ConfigError(f"--port must be from 0 to {_MAX_PORT}, actually: {given.port}")
    if given.seed is not None and given.seed < 0:
        raise ConfigError(f"--seed must be 0 or more, actually: {given.seed}")
    env: gym.Env[Any, Any] = gym.make(
        "MetisVQA-v0", taskset=given.taskset, split=given.split, sandbox=given.sandbox, disable_env_checker=True
    )
    if given.record:
        from metis_gym.wrappers import Recorder

        env = Recorder(env, given.record, {"agent": "a person"})
    game = Game(env, seed=given.seed)
    try:
        server = PlayServer(game, title=given.taskset, port=given.port)
    except OSError as error:
        game.close()
        raise ConfigError(f"cannot listen on port {given.port}: {error.strerror}; choose another --port") from error
    say(f"play at {server.address}")
    say(f"from another machine: ssh -L {server.port}:127.0.0.1:{server.port} HOST, then open the same address there")
    say("Ctrl-C ends the game")
    if given.open:
        webbrowser.open(server.address)
    try:
        server.serve()
    except KeyboardInterrupt:
        say("")
    finally:
        server.close()
    tally = game.tally
    say(
        f"played {len(tally.outcomes)}, right {tally.right}, redundant calls in {tally.redundant}, "
        f"needed calls missed in {tally.missed}"
    )
    if given.record:
        say(f"recorded: {given.record}; metis-gym view {given.record}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym play",
        description="Play the tasks yourself: see what a model sees, drag a box to look closer, search, answer.",
    )
    parser.add_argument("--taskset", default="mixture", help="what to play, as in charts+signs (default: %(default)s)")
    parser.add_argument("--split", default="train", choices=("train", "test"), help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, help="pins the tasks")
    parser.add_argument("--sandbox", default="auto", help="where crops run (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--record", type=Path, metavar="DIR", help="record the game, for metis-gym view and replay")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser
