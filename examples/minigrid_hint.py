"""An environment that is not ours: a MiniGrid room with a hint to ask for, learned with several reward designs.

pip install minigrid
python examples/minigrid_hint.py

Two boxes stand in a room, one of them holds the prize. In half of the rooms the boxes' colours tell which one: green is
right, red is wrong. In the others both are grey, and only a hint can tell. MiniGrid's action `done`, which nothing else
uses here, asks for the hint. An agent that is paid for right answers alone has no reason not to ask everywhere.

Three designs and three seeds take about fifteen minutes of one core; `--seeds 1` takes five.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import FilterObservation
from minigrid.core.actions import Actions
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Box, Wall
from minigrid.minigrid_env import MiniGridEnv
from minigrid.wrappers import OneHotPartialObsWrapper
from scipy import stats

from metis_agents.rl import LossConfig
from metis_agents.sb3 import HDPO, GroupVecEnv, ToolTasks

DESIGNS = ("accuracy", "coupled:alpha=1,gated=false", "hdpo:w_tool=0.15")
RIGHT, WRONG, CLOSED = "green", "red", "grey"
ENV = "TwoBoxes-v0"
ENTROPY = 0.03


class TwoBoxes(MiniGridEnv):
    """A room of three cells with a box at either end; opening one ends the episode.

    The last info has what `metis_agents.sb3.HDPO` learns from, `correct` and `tool_calls`, and `needed`, which only
    the evaluation below looks at.
    """

    def __init__(self, **kwargs: Any) -> None:
        mission = MissionSpace(mission_func=lambda: "open the box with the prize")
        super().__init__(mission, width=5, height=3, max_steps=6, agent_view_size=3, see_through_walls=True, **kwargs)

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.agent_pos, self.agent_dir, self.mission = (width // 2, 1), 3, "open the box with the prize"
        self.prize, self.needed, self.hints = int(self.np_random.integers(2)), bool(self.np_random.integers(2)), 0
        self._boxes = [Box(CLOSED if self.needed else RIGHT if side == self.prize else WRONG) for side in (0, 1)]
        for box, x in zip(self._boxes, (1, width - 2), strict=True):
            self.put_obj(box, x, 1)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """MiniGrid's step; `done` asks for the hint: the wall ahead turns blue for left, yellow for right."""
        opened = self.grid.get(*self.front_pos) if action == Actions.toggle else None
        if action == Actions.done:
            self.hints += 1
            self.grid.set(self.width // 2, 0, Wall(("blue", "yellow")[self.prize]))
        observation, _, _, truncated, _ = super().step(action)
        correct = opened is self._boxes[self.prize]
        info = {"correct": correct, "tool_calls": self.hints, "needed": self.needed}
        return observation, float(correct), opened in self._boxes, truncated, info


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", nargs="+", default=DESIGNS, help="reward designs (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each design (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=250, help="batches of 64 × 8 episodes (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=1000, help="test episodes of a run (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/minigrid_hint"), help="folder of the results")
    given = parser.parse_args()

    torch.set_num_threads(1)
    gym.register(ENV, make_room)
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(given.seeds):
        for design in given.designs:
            rows.append({"design": design, "seed": seed, **run(design, seed, given.batches, given.episodes)})
            print(json.dumps(rows[-1]), flush=True)
            with (given.out / "results.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
    print("\n" + table(rows))


def make_room() -> gym.Env[Any, Any]:
    """The room as numbers: each cell one-hot, and the direction. The mission is text, and always the same."""
    return FilterObservation(OneHotPartialObsWrapper(TwoBoxes()), ["image", "direction"])


def run(design: str, seed: int, batches: int, episodes: int) -> dict[str, float]:
    """Train one policy from scratch; per cent of the test episodes."""
    env = GroupVecEnv(ENV, tasks=64, group_size=8, seed=seed)
    loss = LossConfig(entropy_coef=ENTROPY)
    model = HDPO("MultiInputPolicy", env, reward_design=design, learning_rate=2e-3, loss=loss, seed=seed)
    for _ in range(batches):
        model.learn(1, reset_num_timesteps=False, log_interval=0)
    env.close()
    rooms = ToolTasks(gym.make(ENV))
    played = [play(model, rooms, seed=2**31 + seed * episodes + number) for number in range(episodes)]
    needed = np.array([info["needed"] for info in played])
    called = np.array([info["tool_calls"] > 0 for info in played])
    correct = np.array([info["correct"] for info in played])
    return {
        "redundant": 100 * called[~needed].mean(),
        "needed": 100 * called[needed].mean(),
        "right": 100 * correct.mean(),
        "calls": np.mean([info["tool_calls"] for info in played]),
    }


def play(model: HDPO, env: gym.Env[Any, Any], seed: int) -> dict[str, Any]:
    """The last info of one episode, actions drawn as in training."""
    observation, _ = env.reset(seed=seed)
    while True:
        action, _ = model.predict(observation, deterministic=False)
        observation, _, terminated, truncated, info = env.step(int(action))
        if terminated or truncated:
            return info


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Each design's mean over seeds with Student's 95 % interval, and the seeds."""
    lines = ["| design | redundant % | needed % | right % |", "|---|---|---|---|"]
    for design in dict.fromkeys(row["design"] for row in rows):
        cells = []
        for name in ("redundant", "needed", "right"):
            values = np.array([row[name] for row in rows if row["design"] == design])
            seeds = ", ".join(f"{value:.1f}" for value in values)
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else 0.0
            cells.append(f"{values.mean():.1f} ± {half:.1f} ({seeds})" if len(values) > 1 else seeds)
        lines.append(f"| `{design}` | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
