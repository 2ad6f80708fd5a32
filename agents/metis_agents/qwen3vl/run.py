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
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from metis_agents.hdpo import BatchReport, Ranks, Trainer
from metis_agents.qwen3vl.checkpoints import Checkpoints
from metis_agents.qwen3vl.collecting import EpisodeCollector
from metis_agents.qwen3vl.demonstrations import (
    Example,
    chat_conversations,
    example,
    recorded_conversations,
    scripted_pairs,
    scripted_texts,
)
from metis_agents.qwen3vl.engine import Engine
from metis_agents.qwen3vl.evaluating import play_tasks
from metis_agents.qwen3vl.imitation import imitate
from metis_agents.qwen3vl.journal import Journal
from metis_agents.qwen3vl.models import TINY, Equipment, ModelConfig, equip, load_pretrained, new_tiny
from metis_agents.qwen3vl.optimizers import make_optimizer
from metis_agents.qwen3vl.playing import Player
from metis_agents.qwen3vl.policy import Qwen3VLPolicy
from metis_agents.qwen3vl.run_config import ColdStartConfig, RunConfig
from metis_agents.qwen3vl.tokens import Tokens
from metis_agents.qwen3vl.transformers_engine import TransformersEngine
from metis_gym.errors import CheckpointError
from metis_gym.metrics import Estimate, summarise
from metis_gym.records import Outcome
from metis_gym.registration import register_all

__all__ = ["Training"]

_TEXTS = 300
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
        self.equipment = self._equipment(self._start_of(is_old))
        self.engine = self._engine()
        self._players: dict[str, Player] = {}
        self.trainer = self._trainer()
        if is_old:
            self.trainer.load_state_dict(self.checkpoints.read())
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
        figures |= {f"overrun/{name}": float(count) for name, count in self._player("train").counts.items()}
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

    def _save(self) -> None:
        if self.ranks.rank == 0:
            self.checkpoints.write(self.trainer.batches_done, self.trainer.state_dict())
        self.ranks.gather(None)

    def _write_results(self, figures: Mapping[str, Estimate]) -> None:
        if self.ranks.rank:
            return
        report = {name: dataclasses.asdict(estimate) for name, estimate in figures.items()}
        (self.config.out / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
        self.equipment.save_pretrained(self.config.out / "model")

    def _journal(self) -> Journal:
        return Journal(
            self.config.out,
            start=self.trainer.batches_done,
            wandb=self.config.wandb or None,
            config=self.config.as_json(),
        )
