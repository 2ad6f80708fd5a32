"""`metis-gym completion SHELL`: a script that completes commands, options and names at the Tab key.

The script holds every word that can follow a command. It is made once, from the commands' own help, so that pressing
Tab starts no Python.
"""

import argparse
import contextlib
import importlib
import io
import re
from collections.abc import Mapping, Sequence

from metis_gym.errors import MetisError
from metis_gym.terminal import say

__all__ = ["SHELLS", "completion_command", "words_of"]

_OPTION = re.compile(r"(?<![\w-])--[a-z][\w.-]*")
_INSTALL = {
    "bash": 'eval "$(metis-gym completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(metis-gym completion zsh)" in ~/.zshrc',
    "fish": "metis-gym completion fish > ~/.config/fish/completions/metis-gym.fish",
}
SHELLS = tuple(_INSTALL)
"""Shells that scripts are made for."""

_BASH = """\
_metis_gym() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words
    if [ "$COMP_CWORD" -eq 1 ]; then words="{commands}"; else
        case "${{COMP_WORDS[1]}}" in
{cases}
            *) words="" ;;
        esac
    fi
    case "$word" in
        -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
        *) COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word")) ;;
    esac
}}
complete -o filenames -F _metis_gym metis-gym
"""


def completion_command(argv: Sequence[str]) -> int:
    """Print the script."""
    uses = "; ".join(f"{shell}: {use}" for shell, use in _INSTALL.items())
    parser = argparse.ArgumentParser(
        prog="metis-gym completion", description=f"Print a script that completes commands and options. Use: {uses}"
    )
    parser.add_argument("shell", choices=SHELLS)
    shell = parser.parse_args(argv).shell
    words = words_of()
    say((_fish(words) if shell == "fish" else _bash(words, for_zsh=shell == "zsh")).rstrip("\n"))
    return 0


def words_of() -> dict[str, list[str]]:
    """Command → its sub-commands and options, as its help names them.

    A command whose extra is not installed has none.
    """
    from metis_gym.cli import COMMANDS

    return {name: _words(path) for name, (path, _) in COMMANDS.items()}


def _words(path: str) -> list[str]:
    module, _, function = path.partition(":")
    try:
        run = getattr(importlib.import_module(module), function)
    except (ImportError, MetisError):
        return []
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit, MetisError):
        run(["--help"])
    text = shown.getvalue()
    choices = re.search(r"^\s*\{([\w,-]+)\}", text, re.MULTILINE)
    subcommands = choices[1].split(",") if choices else []
    return sorted({*subcommands, *_OPTION.findall(text)})


def _bash(words: Mapping[str, Sequence[str]], *, for_zsh: bool) -> str:
    cases = "\n".join(f'            {name}) words="{" ".join(found)}" ;;' for name, found in words.items())
    script = _BASH.format(commands=" ".join(words), cases=cases)
    return f"autoload -U +X bashcompinit && bashcompinit\n{script}" if for_zsh else script


def _fish(words: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c metis-gym -n __fish_use_subcommand -a '{' '.join(words)}'"]
    for name, found in words.items():
        for word in found:
            given = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            lines.append(f"complete -c metis-gym -n '__fish_seen_subcommand_from {name}' {given}")
    return "\n".join(lines) + "\n"
