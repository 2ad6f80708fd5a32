"""A run: `build` puts its parts together, then `sft`, `train` and `evaluate` act, in this order.

```
out/
├── config.json      what was asked for
├── start/           the model that RL begins with
├── model/           the model after RL as a checkpoint of the hub, LoRA merged into its weights
├── adapter/         LoRA alone, where RL trained one
├── checkpoints/     everything needed to go on exactly
├── metrics.jsonl    a line for each batch; tensorboard/ holds the same
├── samples/         recorded episodes of each evaluation
└── report.json      the last evaluation
```
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from metis_agents.progress import Progress, no_progress
from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.model.models import TINY
from metis_agents.qwen3vl.rollouts.evaluation import play_tasks
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.sft.cold_start import ColdStart
from metis_agents.qwen3vl.train.checkpoints import Checkpoints
from metis_agents.qwen3vl.train.config import ColdStartConfig, RunConfig
from metis_agents.qwen3vl.train.metrics_log import MetricsLog
from metis_agents.qwen3vl.train.parallel import make_strategy
from metis_agents.qwen3vl.train.parts import OPENS_CALLS, Parts, make_env
from metis_agents.qwen3vl.train.schedules import rate
from metis_agents.rl import BatchReport, Ranks, Trainer
from metis_gym.errors import CheckpointError, ConfigError
from metis_gym.metrics import Estimate, summarise
from metis_gym.registration import register_all
from metis_gym.storage import write_json

__all__ = ["Training", "build"]

_EVALUATION_SEED = 1_000_003
"""Test tasks are the same in every run, so that runs can be compared."""


def build(
    config: RunConfig,
    *,
    resume: bool = False,
    ranks: Ranks | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = no_progress,
    evaluated: Callable[[int, Mapping[str, Estimate]], None] = lambda *_: None,
) -> "Training":
    """Put a run together. Nothing is loaded, trained or written yet.

    Args:
        config: What is to be done.
        resume: Go on after the last checkpoint in the run's folder, if there is one.
        ranks: The ranks that share the work; by default those of torch.distributed's default group.
        say: Told what happens, in sentences; by rank 0 only.
        progress: Shows how far each part is; on rank 0 only.
        evaluated: Told the number of batches and the metrics after each evaluation; on rank 0 only.

    Raises:
        ConfigError: Something in the configuration cannot be right.
        CheckpointError: The folder holds a run already, and it is not to be resumed.
    """
    register_all()
    strategy = make_strategy(config.parallel, ranks)
    if config.trainer.loss.kl_coef > 0 and config.model.lora is None:
        raise ConfigError(
            "Expect LoRA with kl_coef > 0: the reference is the model with its adapter switched off; actually: full "
            "fine-tuning"
        )
    checkpoints = Checkpoints(config.out / "checkpoints", keep=config.keep)
    is_resumed = bool(checkpoints.numbers())
    if is_resumed and not resume:
        raise CheckpointError(f"{config.out} holds a run already: resume it, or choose another folder")
    start = config.out / "start"
    has_start = is_resumed and start.is_dir()
    source = dataclasses.replace(config.model, name=str(start)) if has_start else config.model
    return Training(
        Parts(config, strategy, source),
        checkpoints,
        is_resumed=is_resumed,
        say=say,
        progress=progress,
        evaluated=evaluated,
    )


class Training:
    """A run; `build` makes one.

    Args:
        parts: Its parts.
        checkpoints: Its checkpoints.
        is_resumed: Whether it goes on after the last of them.
        say: Told what happens, in sentences; by rank 0 only.
        progress: Shows how far each part is; on rank 0 only.
        evaluated: Told the number of batches and the metrics after each evaluation; on rank 0 only.
    """

    def __init__(
        self,
        parts: Parts,
        checkpoints: Checkpoints,
        *,
        is_resumed: bool,
        say: Callable[[str], None],
        progress: Progress = no_progress,
        evaluated: Callable[[int, Mapping[str, Estimate]], None] = lambda *_: None,
    ) -> None:
        self.parts, self.checkpoints, self.is_resumed = parts, checkpoints, is_resumed
        self.config, self.ranks = parts.config, parts.strategy.ranks
        self._say = say if self.ranks.rank == 0 else lambda _: None
        self._progress = progress if self.ranks.rank == 0 else no_progress
        self._evaluated = evaluated
        self._has_start = False

    @functools.cached_property
    def trainer(self) -> Trainer[Tokens]:
        """The trainer; that of a resumed run stands after the last checkpoint."""
        trainer = self.parts.trainer
        if self.is_resumed:
            self.parts.strategy.load(self.checkpoints, trainer, self.parts.equipment)
            self._say(f"resumed after {trainer.batches_done} batches")
        return trainer

    def sft(self) -> None:
        """Do the cold start, and keep the model that it ends with in `start/`. A resumed run has it already.

        Raises:
            ConfigError: RL has begun.
        """
        if self.is_resumed and self._has_start:
            return
        if "trainer" in vars(self) and self.trainer.batches_done:
            raise ConfigError("Expect sft() before train(), actually: RL has begun")
        self._start(self.config.cold_start if self.parts.source == self.config.model else None)

    def train(self) -> None:
        """Do what is left of RL, and write checkpoints. Without `sft` it begins with the model as it is.

        Raises:
            NonFiniteError: A loss or gradient is not finite; the last checkpoint stands.
            CheckpointError: A checkpoint cannot be written; the one before stands.
        """
        self._ensure_start()
        trainer = self.trainer
        log = self._open_log() if self.ranks.rank == 0 else None
        try:
            with self._progress("RL, batches", self.config.batches, done=trainer.batches_done) as advance:
                while trainer.batches_done < self.config.batches:
                    self._set_rate(trainer)
                    self._after(trainer.step(), log)
                    advance(1)
        finally:
            if log is not None:
                log.close()
        if self.config.batches:
            self._save()

    def evaluate(self) -> dict[str, Estimate]:
        """Play tasks of the test split, and write `report.json` and `model/`.

        After a cold start alone the same tasks are played without tools, too.

        Returns:
            Metric → mean and interval.
        """
        self._ensure_start()
        metrics = self._play_test()
        if not self.config.batches:
            metrics |= self._play_without_tools()
        self._write_results(metrics)
        return metrics

    def run(self) -> dict[str, Estimate]:
        """Do all three; the metrics of the last evaluation."""
        self.sft()
        self.train()
        return self.evaluate()

    def close(self) -> None:
        """End environments and threads."""
        self.parts.close()

    def _set_rate(self, trainer: Trainer[Tokens]) -> None:
        """The learning rate of the next batch; a resumed run goes on with it."""
        config = self.config
        now = rate(
            config.trainer.lr,
            trainer.batches_done,
            batches=config.batches,
            schedule=config.schedule,
            warmup=config.warmup,
        )
        for group in trainer.optimizer.param_groups:
            group["lr"] = now

    def _ensure_start(self) -> None:
        if not self._has_start:
            self._start(None)

    def _start(self, cold_start: ColdStartConfig | None) -> None:
        """Load the model, let it imitate where asked for, and keep what RL begins with."""
        parts, config = self.parts, self.config
        if self.ranks.rank == 0:
            config.out.mkdir(parents=True, exist_ok=True)
            write_json(config.out / "config.json", config.as_json())
        self._say(f"run: {config.out}; building {parts.source.name}")
        loaded = parts.load()
        if cold_start is not None:
            stage = ColdStart(
                config, cold_start, lambda: make_env(config, "train"), parts.strategy, self._say, self._progress
            )
            loaded = stage.fine_tune(loaded, parts.stop)
        if self.ranks.rank == 0 and (cold_start is not None or parts.source.name == TINY):
            loaded.save_pretrained(config.out / "start")
        parts.use(loaded)
        vars(self).pop("trainer", None)
        self._has_start = True

    def _play_test(self) -> dict[str, Estimate]:
        """Play tasks of the test split, and record a few."""
        done = self.trainer.batches_done
        samples = self._samples if self.config.samples else None
        if samples is not None and samples.exists():
            samples = None  # a resumed run has them already
        player = self.parts.player("test")
        with self._progress("evaluation, episodes", self._share) as advance:
            outcomes = play_tasks(
                player,
                episodes=self.config.evaluation_episodes,
                seed=_EVALUATION_SEED,
                ranks=self.ranks,
                samples=samples,
                sampled=self.config.samples,
                heard=advance,
            )
        metrics = dict(summarise(outcomes))
        self._say(f"evaluation after {done} batches: {_shown(metrics)}")
        if any(not outcome.scored for outcome in outcomes):
            self._say(f"unscored so far: {_reasons(player.counts)}")
        if self.ranks.rank == 0:
            self._evaluated(done, metrics)
        return metrics

    @property
    def _samples(self) -> Path:
        """Where the episodes of an evaluation at this point are recorded."""
        return self.config.out / "samples" / f"{self.trainer.batches_done:06d}"

    def _play_without_tools(self) -> dict[str, Estimate]:
        """Play the same tasks, while the token that opens a call cannot be written: what is right without a tool?

        RL can unlearn calls only where answers without them are right. Nothing where the dialect writes calls in
        another way, or where another engine writes.
        """
        engine = self.parts.engine
        opening = self.parts.equipment.tokenizer.get_vocab().get(OPENS_CALLS)
        if opening is None or not self.parts.calls_open_with_it or not isinstance(engine, TransformersEngine):
            return {}
        with engine.network.forbidding([opening]):
            episodes = self.config.evaluation_episodes
            player = self.parts.player("test")
            with self._progress("evaluation without tools, episodes", self._share) as advance:
                outcomes = play_tasks(player, episodes=episodes, seed=_EVALUATION_SEED, ranks=self.ranks, heard=advance)
        found = summarise(outcomes)
        metrics = {f"without_tools_{name}": found[f"accuracy_{name}"] for name in ("none", "required")}
        self._say(", ".join(f"{name} {metric}" for name, metric in metrics.items()))
        return metrics

    @property
    def _share(self) -> int:
        """Episodes of an evaluation that this rank plays."""
        return len(range(self.ranks.rank, self.config.evaluation_episodes, self.ranks.size))

    def _after(self, report: BatchReport, log: MetricsLog | None) -> None:
        done, config = self.trainer.batches_done, self.config
        metrics = {f"batch/{name}": float(value) for name, value in vars(report.batch).items()}
        for update in report.updates:
            metrics |= {f"update/{name}": value for name, value in update.flat().items()}
        player = self.parts.player("train")
        metrics |= {f"unscored/{name}": float(count) for name, count in player.counts.items()}
        metrics["update/lr"] = float(self.trainer.optimizer.param_groups[0]["lr"])
        metrics["cut/observations"] = float(player.cut_observations)
        self._say(
            f"batch {report.index}: accuracy {report.batch.accuracy:.3f}, tool rate {report.batch.tool_rate:.3f}, "
            f"signal {report.batch.signal:.2f}"
        )
        if config.evaluate_every and done % config.evaluate_every == 0 and done < config.batches:
            metrics |= {f"evaluation/{name}": estimate.mean for name, estimate in self._play_test().items()}
            if log is not None:
                log.show_samples(report.index, self._samples)
        if log is not None:
            log.write(report.index, metrics)
        if config.save_every and done % config.save_every == 0 and done < config.batches:
            self._save()

    def _save(self) -> None:
        self.parts.strategy.save(self.checkpoints, self.trainer, self.parts.equipment)

    def _write_results(self, metrics: Mapping[str, Estimate]) -> None:
        self.parts.engine.refresh()
        if self.ranks.rank:
            return
        report = {name: dataclasses.asdict(estimate) for name, estimate in metrics.items()}
        write_json(self.config.out / "report.json", report)
        self.parts.equipment.save_pretrained(self.config.out / "model", self.parts.acting.model)
        self.parts.equipment.save_adapter(self.config.out / "adapter", self.parts.acting.model)

    def _open_log(self) -> MetricsLog:
        return MetricsLog(
            self.config.out,
            start=self.trainer.batches_done,
            wandb=self.config.wandb or None,
            config=self.config.as_json(),
        )


def _reasons(counts: Mapping[str, int]) -> str:
    """Why episodes were unscored: parts that were over their budget, and failures of the environment."""
    named = [f"{name} {count}" for name, count in counts.items()]
    return ", ".join(named) or "by other ranks"


def _shown(metrics: Mapping[str, Estimate]) -> str:
    names = ("accuracy", "accuracy_none", "accuracy_required", "redundant_rate", "tool_recall", "unscored")
    return ", ".join(f"{name} {metrics[name]}" for name in names)
