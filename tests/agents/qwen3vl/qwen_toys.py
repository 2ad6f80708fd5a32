"""A tiny model that knows nothing, an environment with a toy tool, and what several tests do with them."""

import functools
import itertools

import gymnasium as gym
import numpy as np
import torch

import metis_gym  # noqa: F401 — registers the ids
from metis_agents.qwen3vl.model.models import ModelConfig, equip, new_tiny
from metis_agents.qwen3vl.rollouts.engine import SampledTurn
from metis_agents.qwen3vl.rollouts.rollout import Budget, RolloutPlan
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.rollouts.worker import RolloutWorker
from metis_agents.qwen3vl.sft.demonstrations import Habits, scripted_texts
from metis_gym.registration import register_all
from metis_gym.tools import TOOLS
from metis_gym.tools.crop import CropTool

torch.set_num_threads(1)
register_all()

BUDGET = Budget(prompt=512, response=512, turn=80, observation=256)


class LensTool(CropTool):
    """Crops by host code, so that these tests need no sandbox; the image it returns is 64 x 96 pixels."""

    name = "lens"

    def open(self, task, *, seed):
        session = super().open(task, seed=seed)
        original = session.call
        session.call = lambda arguments: _renamed(original(arguments))
        return session


def _renamed(result):
    import dataclasses

    return dataclasses.replace(result, name="lens")


if "lens" not in TOOLS.names():
    TOOLS.register("lens")(LensTool)

CALL = '<reason></reason><tool_call>{"name": "lens", "arguments": {"box": [0, 0, 96, 64]}}</tool_call>'


def make_env(split="train", **kwargs):
    options = {"taskset": "patches", "answers": "open", "view_size": 64, "max_source": 1024, "tools": ("lens",)}
    return gym.make("MetisVQA-v0", disable_env_checker=True, split=split, max_turns=2, **{**options, **kwargs})


@functools.cache
def texts():
    written = scripted_texts(make_env, Habits(), count=40, seed=0)
    return (*written, CALL, *(str(number) for number in range(100)))


def equipment(seed=0, **options):
    """A tiny model with weights that are large enough for its distributions to differ from uniform ones."""
    config = ModelConfig(seed=seed, **options)
    loaded = new_tiny(texts(), config)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0)
    return equip(loaded, config, make_env().unwrapped.dialect.stop)


class ScriptedEngine:
    """Writes given turns; an honest stand-in for a model that knows what it wants.

    Args:
        tokenizer: Encodes the turns.
        script: For each conversation, by number modulo their count, the texts of its turns.
    """

    capacity = 64

    def __init__(self, tokenizer, script):
        # Encoded once: what is asked of a tokenizer while threads play should not depend on their pace.
        self._script = [[tokenizer.encode(text, add_special_tokens=False) for text in turns] for turns in script]
        self._waiting, self._turns = [], {}

    @property
    def is_idle(self):
        return not self._waiting

    def submit(self, requests):
        self._waiting += requests

    def step(self):
        requests, self._waiting = self._waiting, []
        return [self._write(request) for request in requests]

    def forget(self, episodes):
        for episode in episodes:
            self._turns.pop(episode, None)

    def refresh(self):
        self._turns = {}

    def _write(self, request):
        turn = self._turns.setdefault(request.episode, itertools.count())
        script = self._script[request.episode % len(self._script)]
        ids = script[next(turn)][: request.max_tokens]
        return SampledTurn(episode=request.episode, ids=tuple(ids), logprobs=(-0.5,) * len(ids), is_cut=False)


def player(kit, engine=None, **options):
    engine = engine or TransformersEngine(kit.network, features=kit.features)
    return RolloutWorker(engine, kit.renderer, make_env, budget=options.pop("budget", BUDGET), workers=2, **options)


def task_ids(count, seed=0):
    taskset = make_env().unwrapped.taskset
    rng = np.random.default_rng(seed)
    return [taskset.draw(rng) for _ in range(count)]


def jobs(tasks=2, group_size=3, seed=0):
    return [
        RolloutPlan(task_id=task_id, member=member, seed=100 * number + member + seed)
        for number, task_id in enumerate(task_ids(tasks, seed))
        for member in range(group_size)
    ]


SCRIPT = (
    (CALL, "<reason></reason><answer>red</answer><|im_end|>"),
    ("<reason></reason><answer>blue</answer><|im_end|>",),
    (CALL, CALL, "<reason>hm</reason><answer>dots</answer><|im_end|>"),
)
"""Three conversations: one call, none, two."""


def played_conversations(kit, tasks=2, group_size=3, **options):
    """Conversations of different lengths, with and without returned images, several with one prompt."""
    scripted = player(kit, ScriptedEngine(kit.tokenizer, SCRIPT), **options)
    rollouts = scripted.play(jobs(tasks, group_size))
    scripted.close()
    return [rollout.payload for rollout in rollouts]
