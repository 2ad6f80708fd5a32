"""Measures the baselines that stand on the pages of environments, and writes docs/site/baselines.json.

    python docs/site/baselines.py --episodes 40

Run it after a change to families, tools or scripted agents; a test fails while a family has no figures.
"""

import argparse
import json
from pathlib import Path

from metis_agents.agents import make_agent
from metis_agents.evaluate import evaluate
from metis_gym.registration import FAMILY_IDS

PLACE = Path(__file__).with_name("baselines.json")
AGENTS = ("never-tool", "always-tool", "oracle")
METRICS = ("accuracy", "redundant_rate", "tool_recall", "tool_calls")


def main() -> None:
    """Play every family with every agent on the test split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=40, help="episodes of each agent on each family")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    given = parser.parse_args()
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for env_id in FAMILY_IDS:
        found[env_id] = {}
        for agent in AGENTS:
            report = evaluate(make_agent(agent), env_id, given.episodes, 0, workers=given.workers, progress=False)
            metrics = {name: report.metrics[name] for name in METRICS if report.metrics[name].n}
            found[env_id][agent] = {name: [round(one.mean, 3), one.n] for name, one in metrics.items()}
        print(env_id, found[env_id], flush=True)
    PLACE.write_text(json.dumps({"episodes": given.episodes, "metrics": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
