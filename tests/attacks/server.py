"""Runs attacks by name for another process: `python server.py backend`, one JSON request a line on standard input.

The test session starts one of these as a user without rights.
"""

import json
import os
import sys
from dataclasses import asdict

from metis_gym.errors import MissingDependencyError, SandboxUnavailableError
from tests.attacks.arena import GRACE, Arena
from tests.attacks.catalogue import BY_NAME
from tests.benchmarks.alternatives import ALTERNATIVES
from tests.sandbox.available import TIERS, start


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    arenas: dict[str, Arena] = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request["backend"]
        try:
            if name not in arenas:
                is_ours = name in TIERS
                arenas[name] = Arena(start(name, GRACE) if is_ours else ALTERNATIVES[name](), try_next=is_ours)
            verdict = arenas[name].attack(BY_NAME[request["attack"]])
            answer = asdict(verdict)
        except (MissingDependencyError, SandboxUnavailableError) as error:
            answer = {"unavailable": str(error)}
        answers.write(json.dumps(answer) + "\n")
    for arena in arenas.values():
        arena.close()


if __name__ == "__main__":
    main()
