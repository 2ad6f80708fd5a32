"""A run: model, cold start, RL, evaluation and checkpoints, from one configuration.

```
out/
├── config.json      what was asked for
├── model/           the model after the cold start, and after RL, in transformers' own form
├── checkpoints/     everything needed to go on exactly
├── metrics.jsonl    a line for each batch; tensorboard/ holds the same
├── samples/         recorded episodes of each evaluation
└── report.json      the last evaluation
```
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium as gym
import torch

from metis_agents.hdpo import BatchReport, Ranks, Trainer
from metis_agents.qwen3vl.checkpoints import Checkpoints
from metis_agents.qwen3vl.cold_start import ColdStart
from metis_agents.qwen3vl.collecting import EpisodeCollector
from metis_agents.qwen3vl.demonstrations import scripted_texts
from metis_agents.qwen3vl.engine import Engine
from metis_agents.qwen3vl.evaluating import play_tasks
from metis_agents.qwen3vl.features import FeatureStore
from metis_agents.qwen3vl.journal import Journal
from metis_agents.qwen3vl.models import (
    TINY,
    TORCH_DTYPES,
    Equipment,
    ModelConfig,
    equip,
    load_pretrained,
    merged_weights,
    new_tiny,
)
from metis_agents.qwen3vl.network import Network
from metis_agents.qwen3vl.optimizers import make_optimizer
from metis_agents.qwen3vl.playing import Player
from metis_agents.qwen3vl.policy import Qwen3VLPolicy
from metis_agents.qwen3vl.run_config import ColdStartConfig, RunConfig
from metis_agents.qwen3vl.sharding import (
    ShardedPolicy,
    read_sharded,
    shard,
    take_up_weights,
    whole_copy,
    write_sharded,
)
from metis_agents.qwen3vl.tokens import Tokens
from metis_agents.qwen3vl.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.vllm_engine import make_vllm_engine
from metis_gym.errors import CheckpointError, ConfigError
from metis_gym.metrics import Estimate, summarise
from metis_gym.records import ToolCall
from metis_gym.registration import register_all

__all__ = ["Training"]

_TEXTS = 300
_OPENS_CALLS = "<tool_call>"
_EVALUATION_SEED = 1_000_003
"""Test tasks are the same in every run, so that runs can be compared."""


class Training:
    """A run that is under way.

    Args:
        config: What is to be done.
        ranks: The ranks that share the work.
        say: Told what happens, in sentences; rank 0 only.

    Raises:
        ConfigError: Something in the configuration cannot be right.
        CheckpointError: The folder holds a run already, and it is not to be resumed.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        resume: bool = False,
        ranks: Ranks | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        register_all()
        self.config, self.ranks = config, ranks or Ranks()
        self._say = say if self.ranks.rank == 0 else lambda _: None
        self.checkpoints = Checkpoints(config.out / "checkpoints", keep=config.keep)
        is_old = bool(self.checkpoints.numbers())
        if is_old and not resume:
            raise CheckpointError(f"{config.out} holds a run already: resume it, or choose another folder")
        if self.ranks.rank == 0:
            config.out.mkdir(parents=True, exist_ok=True)
            (config.out / "config.json").write_text(json.dumps(config.as_json(), indent=2), encoding="utf-8")
        self._is_sharded = config.parallel == "fsdp"
        if self._is_sharded and self.ranks.size == 1:
            raise ConfigError("Expect several ranks with parallel='fsdp', started by torchrun; actually: one")
        self.equipment = self._equipment(self._start_of(is_old))
        self.playing = self._playing_copy() if self._is_sharded else self.equipment.model
        self.engine = self._engine()
        self._players: dict[str, Player] = {}
        self.trainer = self._trainer()
        if is_old:
            self._load()
            self._say(f"resumed after {self.trainer.batches_done} batches")

    def run(self) -> dict[str, Estimate]:
        """Do what is left of the run; the figures of its last evaluation.

        Raises:
            NonFiniteError: A loss or gradient is not finite; the last checkpoint stands.
            CheckpointError: A checkpoint cannot be written; the one before stands.
        """
        journal = self._journal() if self.ranks.rank == 0 else None
        try:
            while self.trainer.batches_done < self.config.batches:
                report = self.trainer.step()
                self._after(report, journal)
            figures = self.evaluate(f"{self.trainer.batches_done:06d}")
            if self.config.batches:
                self._save()
            else:
                figures |= self.evaluate_without_tools()
            self._write_results(figures)
            return figures
        finally:
            if journal is not None:
                journal.close()

    def evaluate(self, name: str) -> dict[str, Estimate]:
        """Play tasks of the test split, and record a few.

        Args:
            name: Of the folder of samples.
        """
        samples = self.config.out / "samples" / name if self.config.samples else None
        if samples is not None and samples.exists():
            samples = None  # a resumed run has them already
        outcomes = play_tasks(
            self._player("test"),
            episodes=self.config.evaluation_episodes,
            seed=_EVALUATION_SEED,
            ranks=self.ranks,
            samples=samples,
            sampled=self.config.samples,
        )
        figures = dict(summarise(outcomes))
        self._say(f"evaluation after {self.trainer.batches_done} batches: {_shown(figures)}")
        if any(not outcome.scored for outcome in outcomes):
            self._say(f"unscored so far: {_reasons(self._player('test').counts)}")
        return figures

    def evaluate_without_tools(self) -> dict[str, Estimate]:
        """Play the same tasks, while the token that opens a call cannot be written: what is right without a tool?

        RL can unlearn calls only where answers without them are right. Nothing where the dialect writes calls in
        another way, or where another engine writes.
        """
        opening = self.equipment.tokenizer.get_vocab().get(_OPENS_CALLS)
        if opening is None or not self._calls_open_with_it or not isinstance(self.engine, TransformersEngine):
            return {}
        with self.engine.network.forbidding([opening]):
            episodes = self.config.evaluation_episodes
            outcomes = play_tasks(self._player("test"), episodes=episodes, seed=_EVALUATION_SEED, ranks=self.ranks)
        found = summarise(outcomes)
        figures = {f"without_tools_{name}": found[f"accuracy_{name}"] for name in ("none", "required")}
        self._say(", ".join(f"{name} {figure}" for name, figure in figures.items()))
        return figures

    def close(self) -> None:
        """End environments and threads."""
        for player in self._players.values():
            player.close()

    def _after(self, report: BatchReport, journal: Journal | None) -> None:
        done, config = self.trainer.batches_done, self.config
        figures = {f"batch/{name}": float(value) for name, value in vars(report.batch).items()}
        for update in report.updates:
            figures |= {f"update/{name}": value for name, value in update.flat().items()}
        figures |= {f"unscored/{name}": float(count) for name, count in self._player("train").counts.items()}
        self._say(
            f"batch {report.index}: accuracy {report.batch.accuracy:.3f}, tool rate {report.batch.tool_rate:.3f}, "
            f"signal {report.batch.signal:.2f}"
        )
        if config.evaluate_every and done % config.evaluate_every == 0 and done < config.batches:
            found = self.evaluate(f"{done:06d}")
            figures |= {f"evaluation/{name}": estimate.mean for name, estimate in found.items()}
        if journal is not None:
            journal.write(report.index, figures)
        if config.save_every and done % config.save_every == 0 and done < config.batches:
            self._save()

    def _load(self) -> None:
        if self._is_sharded:
            read_sharded(self.checkpoints, self.trainer, self.equipment.scorer)
        else:
            self.trainer.load_state_dict(self.checkpoints.read())

    def _save(self) -> None:
        if self._is_sharded:
            write_sharded(self.checkpoints, self.trainer, self.equipment.scorer, self.ranks)
            return
        if self.ranks.rank == 0:
            self.checkpoints.write(self.trainer.batches_done, self.trainer.state_dict())
        self.ranks.gather(None)

    def _write_results(self, figures: Mapping[str, Estimate]) -> None:
        self.engine.refresh()
        if self.ranks.rank:
            return
        report = {name: dataclasses.asdict(estimate) for name, estimate in figures.items()}
        (self.config.out / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
        self.equipment.save_pretrained(self.config.out / "model", self.playing)

    def _journal(self) -> Journal:
        return Journal(
            self.config.out,
            start=self.trainer.batches_done,
            wandb=self.config.wandb or None,
            config=self.config.as_json(),
        )

    def _start_of(self, is_old: bool) -> ModelConfig:
        """The model to begin with: a resumed run's own, as it was after its cold start."""
        base = self.config.out / "start"
        is_local = is_old and base.is_dir()
        return dataclasses.replace(self.config.model, name=str(base)) if is_local else self.config.model

    def _equipment(self, model_config: ModelConfig) -> Equipment:
        """Build the model and, where asked for, let it imitate first."""
        probe = self._make_env("train")
        inner: Any = probe.unwrapped
        stop = inner.dialect.stop
        self._calls_open_with_it = _OPENS_CALLS in inner.dialect.write_calls([ToolCall(name="any", arguments={})])
        probe.close()
        cold_start = self.config.cold_start if model_config == self.config.model else None
        if model_config.name == TINY:
            habits = (cold_start or ColdStartConfig()).habits
            texts = scripted_texts(lambda: self._make_env("train"), habits, count=_TEXTS, seed=self.config.seed)
            model, tokenizer = new_tiny(texts, model_config)
        else:
            # Sharded weights are float32 masters; passes compute in the model's own type.
            wide = dataclasses.replace(model_config, dtype="float32") if self._is_sharded else model_config
            model, tokenizer = load_pretrained(wide)
        if cold_start is not None:
            start = ColdStart(self.config, cold_start, lambda: self._make_env("train"), self.ranks, self._say)
            model = start.imitate(model, tokenizer, stop)
        if self.ranks.rank == 0 and (cold_start is not None or model_config.name == TINY):
            model.save_pretrained(self.config.out / "start")
            tokenizer.save_pretrained(self.config.out / "start")
        return equip(model, tokenizer, model_config, stop)

    def _playing_copy(self) -> Any:
        """Spread the weights that learn over the ranks, and keep a whole copy that plays."""
        whole = whole_copy(self.equipment.model, TORCH_DTYPES[self.config.model.dtype])
        shard(self.equipment.scorer, compute=self.config.model.compute_dtype)
        return whole

    def _trainer(self) -> Trainer[Tokens]:
        config, equipment = self.config, self.equipment
        options: dict[str, Any] = {
            "adapter": equipment.adapter,
            "with_reference": config.trainer.loss.kl_coef > 0,
            "with_entropy": config.trainer.loss.entropy_coef > 0,
            "micro_batch_tokens": config.trainer.micro_batch_tokens,
            "micro_batch_episodes": config.trainer.micro_batch_episodes,
        }
        policy = (
            ShardedPolicy(equipment.scorer, self.ranks, **options)
            if self._is_sharded
            else Qwen3VLPolicy(equipment.scorer, **options)
        )
        learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        return Trainer(
            policy,
            EpisodeCollector(self._player("train"), seed=config.seed, ranks=self.ranks),
            config.design,
            config.trainer,
            optimizer=make_optimizer(
                learning, lr=config.trainer.lr, weight_decay=config.trainer.weight_decay, rounding=config.rounding
            ),
            ranks=self.ranks,
            cut=policy.cut,
        )

    def _engine(self) -> Engine:
        if self.config.engine == "vllm":
            start = self.config.out / "start"
            return make_vllm_engine(
                str(start) if start.is_dir() else self.config.model.name,
                self.equipment.network.vocabulary,
                weights=self._merged_weights,
                temperature=self.config.model.temperature,
                capacity=self.config.capacity,
            )
        if not self._is_sharded:
            return TransformersEngine(
                self.equipment.network, capacity=self.config.capacity, features=self.equipment.features
            )
        learning = self.equipment.network
        network = Network(self.playing, learning.encoder, learning.vocabulary, temperature=learning.temperature)
        features = FeatureStore(network, is_frozen=not self.config.model.train_vision)
        return TransformersEngine(
            network,
            capacity=self.config.capacity,
            features=features,
            take_up=lambda: take_up_weights(self.equipment.model, self.playing),
        )

    def _merged_weights(self) -> Iterable[tuple[str, torch.Tensor]]:
        """The weights by the checkpoint's names, LoRA added in; what does not learn is left out."""
        return merged_weights(self.equipment.model)

    def _player(self, split: str) -> Player:
        if split not in self._players:
            self._players[split] = Player(
                self.engine,
                self.equipment.renderer,
                lambda: self._make_env(split),
                budget=self.config.budget,
                workers=self.config.workers,
                overlap=self.config.overlap,
                share_results=self.config.share_results,
            )
        return self._players[split]

    def _make_env(self, split: str) -> gym.Env[Any, Any]:
        kwargs = {**self.config.env, "split": split, "noise_key": self.config.seed}
        return gym.make(self.config.env_id, disable_env_checker=True, **kwargs)


def _reasons(counts: Mapping[str, int]) -> str:
    """Why episodes were unscored: parts that were over their budget, and failures of the environment."""
    named = [f"{name} {count}" for name, count in counts.items()]
    return ", ".join(named) or "by other ranks"


def _shown(figures: Mapping[str, Estimate]) -> str:
    names = ("accuracy", "accuracy_none", "accuracy_required", "redundant_rate", "tool_recall", "unscored")
    return ", ".join(f"{name} {figures[name]}" for name in names)
