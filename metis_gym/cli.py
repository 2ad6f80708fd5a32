"""The `metis-gym` command: finds the sub-command by name and imports only that."""

import importlib
import os
import sys
from collections.abc import Sequence

from metis_gym.errors import MetisError
from metis_gym.registries import nearest
from metis_gym.terminal import say

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "audit": ("metis_envs.audit.command:audit_command", "probe what gives tasks away without looking"),
    "compare": ("metis_agents.compare.command:compare_command", "train with several reward designs and compare"),
    "eval": ("metis_agents.command:eval_command", "let an agent play episodes and print the table"),
    "gallery": ("metis_envs.gallery:gallery_command", "draw what the families look like"),
    "index": ("metis_gym.search.command:main", "build an index for text or image search, or search one"),
    "list": ("metis_gym.listing:list_command", "which names there are, built in and from installed packages"),
    "map": ("metis_agents.compare.command:map_command", "where each reward design works: weight × noise × guesses"),
    "train": ("metis_agents.qwen3vl.train.command:train_command", "train a Qwen3-VL by a reward design"),
    "replay": ("metis_gym.replaying:replay_command", "play a recorded run again and report differences"),
    "sandbox": ("metis_gym.sandbox.command:main", "what isolation this machine offers"),
}
"""Sub-command → where it is and what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; errors of this project end in one message and exit code 2."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        say(_usage().rstrip("\n"))
        return 0
    if words[0] in ("-V", "--version"):
        from metis_gym import __version__

        say(f"metis-gym {__version__}")
        return 0
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # so that module:Thing finds modules beside the user, behind installed ones
    name, *rest = words
    if name not in COMMANDS:
        say(f"metis-gym: unknown command {name!r}. {nearest(name, tuple(COMMANDS))}", stream=sys.stderr)
        return 2
    module, _, function = COMMANDS[name][0].partition(":")
    try:
        return int(getattr(importlib.import_module(module), function)(rest))
    except MetisError as error:
        say(f"metis-gym {name}: {error}", stream=sys.stderr)
        return 2


def _usage() -> str:
    lines = [f"  {name:<10}{meaning}" for name, (_, meaning) in COMMANDS.items()]
    return "usage: metis-gym COMMAND [OPTIONS]\n\n" + "\n".join(lines) + "\n\nmetis-gym COMMAND --help says more.\n"
