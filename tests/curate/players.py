"""Agents and judges that the tests ask: agents of a known rate, and a judge that reads its verdict in the question."""

import json
from typing import ClassVar

from metis_agents.chat.stub import Stub
from metis_agents.chat.stub_replies import completion
from metis_agents.scripted import ScriptedAgent


class Coin(ScriptedAgent):
    """Right with probability `p`; a question that says so is always or never answered right."""

    name = "coin"

    def __init__(self, p=0.5, wrong="no idea"):
        self.p, self.wrong = p, wrong

    def _choose(self, task, rng):
        p = 1.0 if "easy" in task.question else 0.0 if "hard" in task.question else self.p
        if rng.random() < p:
            return task.gold.value
        if task.options:
            return next(letter for letter in "ABCDEFGH" if letter != task.gold.value)
        return self.wrong if self.wrong != "varied" else f"{self.wrong} {rng.integers(1 << 30)}"


class Nearsighted(Coin):
    """Brings the environment's arguments from its training: right where the view is as small as it was there."""

    env_kwargs: ClassVar = {"view_size": 64, "max_turns": 3, "tools": None, "taskset": "patches"}

    def act(self, observation, info):
        answer = super().act(observation, info)
        return answer if max(observation["images"][0].shape) == 64 else {"answer": "nothing"}


def said(body):
    parts = body["messages"][-1]["content"]
    return parts if isinstance(parts, str) else "".join(part.get("text", "") for part in parts)


def judge_script(body):
    """Fails the criteria that the question names."""
    text = said(body)
    criteria = ("visual_relevance", "coherence", "rationale", "answerable")
    verdict = {name: f"fails {name}" not in text for name in criteria}
    return completion("Hm? {no} So:\n```json\n" + json.dumps(verdict) + "\n```" if "mumble" not in text else "Well.")


def judge():
    return Stub(judge_script, keep=True)
