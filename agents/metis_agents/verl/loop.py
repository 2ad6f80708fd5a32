"""The agent loop `metis`: an episode in a real environment. verl's server writes the turns, our renderer the tokens.

verl plays all members of a group in one worker, so that a scene is drawn once. What fails around the model leaves the
episode out (`[]`, which verl takes for a session without output): an exception would drop the whole group.
"""

import asyncio
import functools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import gymnasium as gym
import ray
from PIL import Image
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput

from metis_agents.qwen3vl.chat.renderer import Renderer
from metis_agents.qwen3vl.chat.vocabulary import Vocabulary, stops_of
from metis_agents.qwen3vl.model.images import ImageEncoder
from metis_agents.qwen3vl.rollouts.engine import SampledTurn
from metis_agents.qwen3vl.rollouts.rollout import ActiveRollout, RolloutPlan
from metis_agents.verl.settings import VerlSettings
from metis_gym.backstage import backstage
from metis_gym.errors import InfrastructureError
from metis_gym.records import Outcome
from metis_gym.tasksets import Taskset

__all__ = ["OUTCOME", "MetisAgentLoop", "Stage"]

OUTCOME = "metis_outcome"
"""The extra field that holds an episode's outcome, as JSON."""

_FORBIDDEN = -100.0
Found = TypeVar("Found")


class Stage:
    """What the episodes of one worker process share: a renderer, threads, and environments that are free.

    Args:
        settings: What is played.
        tokenizer: The model's.
        processor: The model's, with the limits on pixels with which verl encodes images.
    """

    def __init__(self, settings: VerlSettings, tokenizer: Any, processor: Any) -> None:
        self.settings = settings
        first = settings.make_env("train")
        stops = stops_of(backstage(first).dialect)
        size = max(len(tokenizer), max(tokenizer.get_vocab().values()) + 1)
        vocabulary = Vocabulary.of(tokenizer, size, stops)
        self.renderer = Renderer(tokenizer, ImageEncoder.of(processor.image_processor), vocabulary)
        self.sampling = {
            "stop_token_ids": sorted(vocabulary.stops),
            "logit_bias": {int(token): _FORBIDDEN for token in vocabulary.is_forbidden_V.nonzero()[:, 0]},
        }
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="environment")
        self._tasksets: dict[str, Taskset] = {"train": backstage(first).taskset}
        self._idle: dict[str, list[gym.Env[Any, Any]]] = {"train": [first]}
        self._lock = threading.Lock()
        self._rooms: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}

    @property
    def room(self) -> asyncio.Semaphore:
        """Bounds the episodes that are played at a time."""
        return self._rooms.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self.settings.episodes))

    async def in_thread(self, act: Callable[..., Found], *args: Any) -> Found:
        """Do something that takes a while."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act, *args)

    def take(self, split: str) -> gym.Env[Any, Any]:
        """An environment that nobody plays in; those of a split share its tasks."""
        with self._lock:
            if self._idle.setdefault(split, []):
                return self._idle[split].pop()
        env = self.settings.make_env(split)
        with self._lock:
            taskset = self._tasksets.setdefault(split, backstage(env).taskset)
        backstage(env).use_taskset(taskset)
        return env

    def give_back(self, split: str, env: gym.Env[Any, Any]) -> None:
        """The episode is over; its tools' sessions end now."""
        backstage(env).toolbox.close()
        with self._lock:
            self._idle[split].append(env)


@functools.lru_cache(maxsize=4)
def _stage(settings: str, tokenizer: Any, processor: Any) -> Stage:
    return Stage(VerlSettings(**json.loads(settings)), tokenizer, processor)


class MetisAgentLoop(AgentLoopBase):
    """Plays one episode; verl makes one of these for each."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput | list[AgentLoopOutput]:
        """Play the task that the row names.

        Args:
            sampling_params: verl's.
            **kwargs: The row: `extra_info` with the task's id and split, `session_id`, `global_steps`.

        Returns:
            The episode; nothing where it is not scored.
        """
        settings = VerlSettings.of(self.data_config)
        stage = _stage(settings.as_text(), self.tokenizer, self.processor)
        info = kwargs["extra_info"]
        async with stage.room:
            env = await stage.in_thread(stage.take, info["split"])
            try:
                plan = RolloutPlan(
                    task_id=info["task_id"],
                    member=int(kwargs.get("session_id", 0)),
                    episode=max(0, int(kwargs.get("global_steps", 0))),
                    seed=0,
                )
                budget = settings.budget(
                    int(self.rollout_config.prompt_length), int(self.rollout_config.response_length)
                )
                live = ActiveRollout(0, plan, env, budget)
                await self._play(live, stage, sampling_params, str(kwargs.get("uid", "")))
            except (InfrastructureError, ray.exceptions.RayError, OSError, TimeoutError):
                return []
            finally:
                await stage.in_thread(stage.give_back, info["split"], env)
        return self._output(live) if live.outcome is not None and live.outcome.scored else []

    async def _play(self, live: ActiveRollout, stage: Stage, sampling_params: dict[str, Any], uid: str) -> None:
        """Play to the end; an engine that breaks off leaves the rollout without an outcome."""
        await stage.in_thread(live.begin, stage.renderer, None)
        request_id = f"{uid}-{live.job.member}-{id(live)}"  # the same in all turns: verl keeps to one server
        while live.outcome is None:
            turn = live.request()
            images = [Image.fromarray(image.pixels) for image in live.tokens.images]
            written = await self.server_manager.generate(
                request_id=request_id,
                prompt_ids=live.tokens.ids_T.tolist(),
                sampling_params={**sampling_params, **stage.sampling, "max_tokens": turn.max_tokens},
                image_data=images or None,
            )
            ids = tuple(written.token_ids)
            if not ids or written.stop_reason == "aborted":
                return
            logprobs = tuple(written.log_probs or (0.0,) * len(ids))
            sampled = SampledTurn(episode=0, ids=ids, logprobs=logprobs, is_cut=len(ids) >= turn.max_tokens)
            await stage.in_thread(live.act, sampled, stage.renderer)

    def _output(self, live: ActiveRollout) -> AgentLoopOutput:
        tokens, start, outcome = live.tokens, live.prompt_length, live.outcome
        assert outcome is not None
        return AgentLoopOutput(
            prompt_ids=tokens.ids_T[:start].tolist(),
            response_ids=tokens.ids_T[start:].tolist(),
            response_mask=tokens.is_model_token_T[start:].astype(int).tolist(),
            response_logprobs=tokens.logprobs_T[start:].tolist(),
            multi_modal_data={"images": [Image.fromarray(image.pixels) for image in tokens.images]},
            reward_score=outcome.answer_score,
            num_turns=2 * outcome.turns,
            metrics=AgentLoopMetrics(),
            extra_fields={OUTCOME: json.dumps(outcome.to_info()), "reward_extra_info": _shown(outcome)},
        )


def _shown(outcome: Outcome) -> dict[str, float]:
    """What verl's validation averages."""
    return {
        "acc": float(outcome.truly_correct),
        "format": outcome.format_score,
        "tool_calls": float(outcome.tool_calls),
        "tool_cost": outcome.tool_cost,
    }
