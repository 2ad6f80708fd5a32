"""Evaluate the four scripted agents on the mixture, print the tables, and draw what the families look like.

python examples/evaluate_scripted_agents.py --episodes 200 --out out/families
"""

import argparse
import os
from pathlib import Path

from PIL import Image

from metis_agents.evaluate import compare_table, evaluate, needs_table
from metis_agents.scripted import SCRIPTED
from metis_envs.gallery import contact_sheet, examples
from metis_gym.registration import FAMILY_IDS


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200, help="episodes for each agent (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/families"), help="where images go (default: %(default)s)")
    given = parser.parse_args()

    reports = [
        evaluate(agent(), "MetisVQA-v0", given.episodes, seed=0, workers=given.workers) for agent in SCRIPTED.values()
    ]
    print(compare_table(reports))
    print("\nWhat each family needs, and how often each agent is right:\n")
    print(needs_table(reports))

    given.out.mkdir(parents=True, exist_ok=True)
    print("\nImages, one for each family:")
    for family in FAMILY_IDS.values():
        path = given.out / f"{family}.png"
        Image.fromarray(contact_sheet(examples(family), columns=1)).save(path)
        print(f"  {path}")


if __name__ == "__main__":
    main()
