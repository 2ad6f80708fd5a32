"""Runs a curation whole, and another that is killed again and again: `killed.py SOURCE WHOLE KILLED KILLS SECONDS`.

With few kills nothing is drawn, which is what takes longest.
"""

import os
import random
import signal
import sys

import datasketch  # noqa: F401 — imported before the forks, which are then quick
import pyarrow.parquet  # noqa: F401

from metis_agents.curate import waterfall
from metis_agents.curate.command import curate_command

FEW = 5


def attempt(words, seconds):
    """Run in a forked process, which an alarm ends without a word after so many seconds; None lets it end by itself."""
    child = os.fork()
    if not child:
        if seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        os._exit(curate_command(words))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    source, whole, out, kills, longest = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])
    if kills < FEW:
        waterfall.draw_waterfall = lambda _: b"a picture"
    else:
        import matplotlib.figure  # noqa: F401
    draw = random.Random(5)
    options = ["--workers", "1", "--no-execute"]
    words = ["sft", source, out, *options]
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if attempt(["sft", source, whole, *options], None):
        return 1
    killed = 0
    while killed < kills:
        ended = attempt(words, draw.uniform(0.01, longest))
        killed += ended == -signal.SIGALRM
        if ended == 0:
            longest *= 0.8  # it was done before the alarm: next time earlier
    return attempt(words, None)


if __name__ == "__main__":
    sys.exit(main())
