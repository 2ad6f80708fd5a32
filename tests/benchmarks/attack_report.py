"""Every attack on every backend, ours and the alternatives, as the table of docs/sandbox.md.

    python tests/benchmarks/attack_report.py            # prints the table
    python tests/benchmarks/attack_report.py --write    # puts it into docs/sandbox.md

As root only: each backend is attacked from a process of a user without rights, alone in its namespaces and without a
network, because most of the alternatives contain little. The containers are attacked as they are used, by root.
"""

import argparse
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.attacks.attack import Attack
from tests.attacks.catalogue import ATTACKS, FAMILIES

_REPOSITORY = Path(__file__).resolve().parents[2]
COLUMNS = ("namespace", "landlock", "docker", "bubblewrap", "subprocess", "docker-default", "jupyter")
_TITLES = {
    "namespace": "`namespace`",
    "landlock": "`landlock`",
    "docker": "`docker`",
    "bubblewrap": "bubblewrap",
    "docker-default": "docker, default flags",
    "jupyter": "Jupyter kernel, forbidden words",
    "subprocess": "bare subprocess",
}
_USUAL = ("namespace", "landlock", "docker", "bubblewrap", "subprocess")
"""Without those that need a machine to spare: in a container with default flags one attack fills the host's disk."""
_IN_CONTAINERS = ("docker", "docker-default")
_OURS = ("namespace", "landlock", "docker")
_SECONDS = 60.0
_BEGIN, _END = "<!-- attacks: begin -->", "<!-- attacks: end -->"


class Attacker:
    """A process that runs attacks on one backend, and is replaced when an attack ends it."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._process: subprocess.Popen[str] | None = None

    def attack(self, attack: Attack) -> list[str] | None:
        """What was breached; None when the backend is not to be had."""
        if self._process is None:
            self._process = self._start()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"backend": self._backend, "attack": attack.name}) + "\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], _SECONDS)
            line = process.stdout.readline() if ready else ""
        except BrokenPipeError:
            line = ""
        if not line:
            self.close()
            return ["the process of the host ended or hung"]
        answer = json.loads(line)
        return None if "unavailable" in answer else list(answer["breaches"])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        self._process = None

    def _start(self) -> "subprocess.Popen[str]":
        attacks = _REPOSITORY / "tests" / "attacks"
        server = [sys.executable, str(attacks / "server.py")]
        guarded = [sys.executable, str(attacks / "plain_user.py"), "--alone", *server]
        return subprocess.Popen(
            server if self._backend in _IN_CONTAINERS else guarded,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": str(_REPOSITORY), "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp"},
            text=True,
            start_new_session=True,
        )


Found = dict[str, dict[str, list[str]]]
"""Breaches by backend and attack."""


def judge_all(columns: Sequence[str], after_each: Callable[[Found], None]) -> Found:
    """Attack backend after backend; those that are not to be had are left out.

    Args:
        columns: Which.
        after_each: Told what is known so far, since the alternatives take long.
    """
    found: Found = {}
    for column in columns:
        attacker = Attacker(column)
        for attack in ATTACKS:
            breaches = attacker.attack(attack)
            if breaches is None:
                sys.stderr.write(f"{column} is not to be had here\n")
                break
            if column not in _OURS:
                breaches = [text for text in breaches if not _is_about_comfort(text)]
            found.setdefault(column, {})[attack.name] = breaches
        attacker.close()
        contained = sum(not breaches for breaches in found.get(column, {}).values())
        sys.stderr.write(f"{column}: {contained} of {len(ATTACKS)} contained\n")
        after_each(found)
    return found


def _is_about_comfort(breach: str) -> bool:
    """Whether it only says that a result is worded otherwise than ours, which is no breach of a wall."""
    return breach.startswith(("status ", "the result does not say", "the next session says"))


def as_table(found: Found) -> str:
    """Contained attacks by family and backend, in Markdown."""
    columns = list(found)
    lines = [
        "| attacks | " + " | ".join(_TITLES[column] for column in columns) + " |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for family in FAMILIES:
        names = [attack.name for attack in family.attacks]
        cells = [f"{sum(not found[column].get(name, ['?']) for name in names)}" for column in columns]
        lines.append(f"| {family.name} ({len(names)}) | " + " | ".join(cells) + " |")
    totals = [f"**{sum(not b for b in found[column].values())}**" for column in columns]
    lines.append(f"| **all ({len(ATTACKS)})** | " + " | ".join(totals) + " |")
    return "\n".join(lines)


def as_details(found: Found) -> str:
    """One line for each attack: ✓ where it is contained."""
    columns = list(found)
    lines = [
        "| attack | " + " | ".join(_TITLES[column] for column in columns) + " |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for attack in ATTACKS:
        cells = ["✓" if not found[column].get(attack.name, ["?"]) else "–" for column in columns]
        lines.append(f"| {attack.name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_page(found: Found) -> str:
    """Both tables, the long one folded away."""
    return f"{as_table(found)}\n\n<details><summary>Attack by attack</summary>\n\n{as_details(found)}\n\n</details>"


def write(found: Found) -> None:
    """Put the tables into docs/sandbox.md."""
    page = _REPOSITORY / "docs" / "sandbox.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    page.write_text(f"{before}{_BEGIN}\n{as_page(found)}\n{_END}{rest.partition(_END)[2]}", encoding="utf-8")


def main() -> None:
    """Attack everything and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/sandbox.md")
    parser.add_argument("--columns", nargs="*", default=_USUAL, choices=COLUMNS, help="backends to attack")
    parser.add_argument("--verbose", action="store_true", help="say what was breached, on standard error")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("this has to be run by root, who alone can shut what is not contained away")
    found = judge_all(options.columns, write if options.write else lambda _: None)
    if options.verbose:
        for column, verdicts in found.items():
            for name, breaches in verdicts.items():
                for breach in breaches:
                    sys.stderr.write(f"{column}: {name}: {breach[:150]}\n")
    if not options.write:
        print(as_page(found))


if __name__ == "__main__":
    main()
