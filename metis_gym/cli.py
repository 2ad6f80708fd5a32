"""The `metis-gym` command: finds the sub-command by name and imports only that."""

import importlib
import os
import sys
from collections.abc import Sequence

from metis_gym.errors import MetisError, MissingDependencyError
from metis_gym.extras import extra_of
from metis_gym.registries import nearest
from metis_gym.terminal import say

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "audit": ("metis_envs.audit.command:audit_command", "find what gives tasks away without looking"),
    "compare": (
        "metis_agents.compare.command:compare_command",
        "train a small policy with several reward designs and compare them",
    ),
    "completion": ("metis_gym.completion:completion_command", "print a script that completes commands in your shell"),
    "curate": ("metis_agents.curate.command:curate_command", "filter trajectories and prompts into training data"),
    "doctor": ("metis_gym.doctoring:doctor_command", "check the whole installation"),
    "eval": ("metis_agents.command:eval_command", "evaluate agents and print a table"),
    "export": ("metis_gym.exporting:export_command", "write a recorded run for other programs: parquet, inspect"),
    "gallery": ("metis_envs.gallery:gallery_command", "draw example tasks of each family"),
    "index": ("metis_gym.search.command:main", "build or query an index for text or image search"),
    "list": ("metis_gym.listing:list_command", "list the names of each kind, built in and from installed packages"),
    "map": (
        "metis_agents.compare.command:map_command",
        "map where each reward design works: weight × noise × answer options",
    ),
    "results": ("metis_agents.results.compare:results_command", "compare finished evaluations side by side"),
    "train": ("metis_agents.qwen3vl.train.command:train_command", "train a Qwen3-VL with a reward design"),
    "replay": ("metis_gym.replaying:replay_command", "replay a recorded run and report differences"),
    "play": ("metis_gym.play.command:play_command", "play the tasks yourself, on a page of this machine"),
    "verl": ("metis_agents.verl.command:verl_command", "train with verl on one or many nodes"),
    "verl-check": ("metis_agents.verl.command:verl_check_command", "check that verl finds the parts of metis-gym"),
    "view": ("metis_gym.viewer.command:view_command", "show recorded runs as one HTML page"),
    "serve": ("metis_gym.serve.command:serve_command", "serve environments to trainers on other machines"),
    "sandbox": ("metis_gym.sandbox.command:main", "check or build what isolates model-written code"),
}
"""Sub-command → where it is and what it does."""

_HEAVY = ("compare", "map", "train")
"""Commands that import torch before they can say anything, which takes seconds."""


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
    if name in _HEAVY and not {"-h", "--help"}.intersection(rest):
        say(f"metis-gym {name}: loading torch", stream=sys.stderr)
    try:
        return int(getattr(importlib.import_module(module), function)(rest))
    except MetisError as error:
        say(f"metis-gym {name}: {error}", stream=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        missing = MissingDependencyError.of(str(error.name), extra, f"`metis-gym {name}`")
        say(f"metis-gym {name}: {missing}", stream=sys.stderr)
        return 2


def _usage() -> str:
    lines = [f"  {name:<12}{meaning}" for name, (_, meaning) in COMMANDS.items()]
    return (
        "usage: metis-gym COMMAND [OPTIONS]\n\n"
        + "\n".join(lines)
        + "\n\nRun metis-gym COMMAND --help for its options.\n"
    )
