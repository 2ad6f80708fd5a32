"""Can a reward teach a policy to call a tool only when it is needed? Four reward designs, three seeds each.

python examples/demo.py

A small policy starts out calling its tool on nearly every question. Half of the questions need the tool, and the grader
is wrong 30 % of the time. Prints a table and where the images are; stopped at any moment, the same command goes on.
Some eight minutes on two quiet cores.
"""

import argparse
import os
import time
from pathlib import Path

from metis_agents.compare import Plan, Settings, compare, write_report

DESIGNS = ("accuracy", "coupled:alpha=0.05", "coupled:alpha=1,gated=false", "hdpo")
SHOWN = {"redundant_rate": "redundant calls", "tool_recall": "needed calls", "accuracy": "right answers"}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each design (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=200, help="batches of 256 episodes (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the results")
    given = parser.parse_args()

    started = time.monotonic()
    settings = Settings(env={"grader_noise": 0.3, "choices": 4}, batches=given.batches)
    plan = Plan(designs=DESIGNS, seeds=tuple(range(given.seeds)), settings=settings)
    comparison = compare(plan, given.out, processes=given.jobs)
    written = write_report(comparison, given.out)

    rows = {"(cold start)": comparison.start(), **comparison.estimates()}
    print(f"\n{'':<28}" + "".join(f"{title:>17}" for title in SHOWN.values()))
    for name, figures in rows.items():
        print(f"{name:<28}" + "".join(f"{100 * figures[shown].mean:>15.1f} %" for shown in SHOWN))
    print(f"\nOn the test split, means of {given.seeds} seeds. {time.monotonic() - started:.0f} s.")
    print("\n".join(f"  {path}" for path in written))
    print(f"\nLook at {given.out / 'summary.png'}")


if __name__ == "__main__":
    main()
