"""Compare a reward design of one's own with HDPO, from Python.

python examples/compare_rewards.py

A short comparison, one seed: about a minute on two cores. For numbers to rely on, use several seeds and 200 batches.
"""

import argparse
import os
from pathlib import Path

from metis_agents.compare import Plan, Settings, compare, write_report
from metis_agents.sb3 import SFTConfig
from metis_gym import rewards
from metis_gym.records import Outcome


# Registered outside of main(), so that the worker processes know it too.
@rewards.register("halving")
class Halving(rewards.SingleReward):
    """Each call halves what a right answer earns."""

    def score(self, outcome: Outcome) -> float:
        """Reward of one episode."""
        return outcome.correct / 2**outcome.tool_calls


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each design (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=30, help="batches of 256 episodes (default: %(default)s)")
    parser.add_argument("--start-tasks", type=int, default=1200, help="tasks of the cold start (default: %(default)s)")
    parser.add_argument("--eval-tasks", type=int, default=64, help="test tasks, 4 episodes each (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/compare_rewards"), help="folder of the results")
    given = parser.parse_args()

    settings = Settings(
        env={"grader_noise": 0.0, "choices": 4},
        batches=given.batches,
        learning_rate=1e-3,
        eval_tasks=given.eval_tasks,
        start=SFTConfig(tasks=given.start_tasks),
    )
    plan = Plan(designs=("halving", "hdpo"), seeds=tuple(range(given.seeds)), settings=settings)
    comparison = compare(plan, given.out, processes=given.jobs)
    print(comparison.markdown())
    for design, figures in comparison.estimates().items():
        print(f"{design}: redundant calls {figures['redundant_rate']}, needed calls {figures['tool_recall']}")
    print("\n".join(str(path) for path in write_report(comparison, given.out)))


if __name__ == "__main__":
    main()
