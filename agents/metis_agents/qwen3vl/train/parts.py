"""The parts of a run: model, engine, players and trainer, each made when it is first asked for. Nothing is written."""

import functools
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
from torch import Tensor

from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.chat.vocabulary import stops_of
from metis_agents.qwen3vl.model.models import (
    TINY,
    Equipment,
    LoadedModel,
    ModelConfig,
    equip,
    load_pretrained,
    merged_weights,
    new_tiny,
)
from metis_agents.qwen3vl.rollouts.collector import EpisodeCollector, check_resumable
from metis_agents.qwen3vl.rollouts.engine import Engine
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.rollouts.vllm_start import make_vllm_engine
from metis_agents.qwen3vl.rollouts.worker import RolloutWorker
from metis_agents.qwen3vl.sft.demonstrations import scripted_texts
from metis_agents.qwen3vl.train.config import ColdStartConfig, RunConfig
from metis_agents.qwen3vl.train.optimizers import make_optimizer
from metis_agents.qwen3vl.train.parallel import Acting, Strategy
from metis_agents.rl import Trainer
from metis_gym.backstage import backstage
from metis_gym.records import ToolCall
from metis_gym.registration import find_spec

__all__ = ["OPENS_CALLS", "Parts", "make_env"]

OPENS_CALLS = "<tool_call>"
"""What opens a call in the dialects of this model family."""

_TEXTS = 300
_GIB = 1 << 30


def make_env(config: RunConfig, split: str) -> gym.Env[Any, Any]:
    """An environment of a run.

    Raises:
        ConfigError: One of its arguments cannot be right.
    """
    find_spec(config.env_id)
    kwargs = {"noise_key": config.seed, **config.env, "split": split}
    return gym.make(config.env_id, disable_env_checker=True, **kwargs)


class Parts:
    """The parts of a run.

    Making this makes one environment, to learn its dialect and to find arguments that are not valid.

    Args:
        config: The run.
        strategy: What its ranks share.
        source: The model to begin with.

    Raises:
        ConfigError: One of the environment's arguments cannot be right.
    """

    def __init__(self, config: RunConfig, strategy: Strategy, source: ModelConfig) -> None:
        self.config, self.strategy, self.source = config, strategy, source
        probe = make_env(config, "train")
        inside = backstage(probe)
        self.stop = stops_of(inside.dialect)
        self.calls_open_with_it = OPENS_CALLS in inside.dialect.write_calls([ToolCall(name="any", arguments={})])
        check_resumable(inside.taskset)
        probe.close()
        self._given: LoadedModel | None = None
        self._workers: dict[str, RolloutWorker] = {}

    def load(self) -> LoadedModel:
        """The model to begin with, newly loaded or built."""
        if self.source.name != TINY:
            return load_pretrained(self.source)
        habits = (self.config.cold_start or ColdStartConfig()).habits
        texts = scripted_texts(lambda: make_env(self.config, "train"), habits, count=_TEXTS, seed=self.config.seed)
        return new_tiny(texts, self.source)

    def use(self, loaded: LoadedModel) -> None:
        """Make everything anew around this model."""
        self.close()
        for name in ("equipment", "acting", "engine", "trainer"):
            self.__dict__.pop(name, None)
        self._given = loaded

    @functools.cached_property
    def equipment(self) -> Equipment:
        """The model, ready to learn."""
        return equip(self._given or self.load(), self.source, self.stop)

    @functools.cached_property
    def acting(self) -> Acting:
        """The model that generates rollouts; it follows the learning one."""
        return self.strategy.spread(self.equipment, self.config.model)

    @functools.cached_property
    def engine(self) -> Engine:
        """What writes the model's turns."""
        acting, config = self.acting, self.config
        if config.engine != "vllm":
            return TransformersEngine(
                acting.network,
                capacity=config.capacity,
                features=acting.features,
                take_up=acting.take_up,
                top_p=config.top_p,
                top_k=config.top_k,
                cache_bytes=None if config.cache_gib is None else int(config.cache_gib * _GIB),
            )
        start = config.out / "start"
        return make_vllm_engine(
            str(start) if start.is_dir() else config.model.name,
            acting.network,
            weights=self._weights,
            capacity=config.capacity,
            length=config.budget.prompt + config.budget.response,
            config=config.vllm,
            has_weights=not config.model.random_weights,
            top_p=config.top_p,
            top_k=config.top_k,
        )

    def _weights(self, everything: bool) -> Iterator[tuple[str, Tensor]]:
        """The weights that play, for another program: all, or those that learn."""
        acting = self.acting
        if acting.take_up is not None:
            acting.take_up()
        learning = {name for name, weight in self.equipment.model.named_parameters() if weight.requires_grad}
        return merged_weights(acting.model, None if everything else learning)

    @functools.cached_property
    def trainer(self) -> Trainer[Tokens]:
        """The trainer, before its first batch."""
        config, equipment = self.config, self.equipment
        player = self.player("train")  # weights are spread over ranks before an optimiser takes them
        policy = self.strategy.policy(
            equipment,
            with_reference=config.trainer.loss.kl_coef > 0,
            with_entropy=config.trainer.loss.entropy_coef > 0,
            micro_batch_tokens=config.trainer.micro_batch_tokens,
            micro_batch_episodes=config.trainer.micro_batch_episodes,
        )
        learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        return Trainer(
            policy,
            EpisodeCollector(player, seed=config.seed, ranks=self.strategy.ranks),
            config.design,
            config.trainer,
            optimizer=make_optimizer(
                learning, lr=config.trainer.lr, weight_decay=config.trainer.weight_decay, rounding=config.rounding
            ),
            ranks=self.strategy.ranks,
            cut=policy.cut,
        )

    def player(self, split: str) -> RolloutWorker:
        """What plays tasks of a split with the current weights; built at its first use."""
        if split not in self._workers:
            config = self.config
            self._workers[split] = RolloutWorker(
                self.engine,
                self.equipment.renderer,
                lambda: make_env(config, split),
                budget=config.budget,
                workers=config.workers,
                overlap=not config.exact,
                share_results=config.share_results,
            )
        return self._workers[split]

    def close(self) -> None:
        """End environments and threads."""
        for player in self._workers.values():
            player.close()
        self._workers = {}
