"""Cold starts and runs: played in any process, resumed wherever they were stopped.

Runs of the same seed meet the same tasks, and drawing a task takes longer than playing it. So they are trained side by
side, batch by batch: what one of them has drawn, the others find in the cache. No run sees anything of another.
"""

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from metis_agents.compare.plan import Run, Start
from metis_agents.compare.records import CURVES, Played, Result, played_from_json, point
from metis_agents.compare.store import Store
from metis_agents.sb3 import HDPO, GroupVecEnv, StopAfterBatches, cold_start
from metis_agents.sb3.play import play_with_and_without
from metis_agents.states import fitting, from_bytes, to_bytes
from metis_gym.errors import CheckpointError, ConfigError

__all__ = ["has_start", "make_start", "train"]

Advance = Callable[[], None]

_ENDLESS = 10**12


def has_start(start: Start, store: Store) -> bool:
    """Whether a cold start is there, with its weights."""
    return store.has(f"starts/{start.key}.json") and store.has(_weights(start))


def make_start(start: Start, store: Store) -> None:
    """Make a cold start and see what it does, unless it is there.

    Args:
        start: Which one.
        store: Where it is kept.
    """
    if has_start(start, store):
        return
    env = GroupVecEnv(start.settings.env_id, tasks=1, group_size=2, seed=start.seed, **start.env)
    with contextlib.closing(env):
        model = HDPO("MultiInputPolicy", env, seed=start.seed, device="cpu")
        cold_start(model.policy, start.settings.env_id, start.config, **start.env)
    with_tools, without = _played([model], start)[0]
    store.write(_weights(start), to_bytes(model.policy.state_dict()))
    store.write_json(f"starts/{start.key}.json", {"with_tools": asdict(with_tools), "without": asdict(without)})


def train(runs: Sequence[Run], store: Store, advance: Advance) -> None:
    """Train, play the test split, and keep the results, where they are missing. The cold start must be there.

    Args:
        runs: Runs from the same cold start, trained side by side; each ends with the numbers that it has alone.
        store: Where results and checkpoints are kept.
        advance: Called once for each batch, those of an earlier start of these runs included.

    Raises:
        ConfigError: The runs are from different cold starts.
    """
    missing = [run for run in runs if not store.has(f"runs/{run.key}.json")]
    if not missing:
        return
    if len({run.start.key for run in missing}) > 1:
        raise ConfigError("Expect runs from the same cold start")
    with _environments(missing) as envs:
        trainings = [_Training(run, store, envs[_env_key(run)], advance) for run in missing]
        unfinished = trainings
        while unfinished := [training for training in unfinished if not training.is_over]:
            min(unfinished, key=lambda training: training.batches_done).do_batch()
    played = _played([training.model for training in trainings], missing[0].start)
    for training, (final, without_tools) in zip(trainings, played, strict=True):
        training.finish(final, without_tools)


class _Training:
    """One run on its way: from its checkpoint if there is one, else from its cold start."""

    def __init__(self, run: Run, store: Store, env: GroupVecEnv, advance: Advance) -> None:
        self._run, self._store, self._advance = run, store, advance
        self.model, self._curve = _resumed(run, store, env) if store.has(_checkpoint(run)) else _begun(run, store, env)
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        for _ in self._curve:
            advance()

    @property
    def batches_done(self) -> int:
        return self.model.batches_done

    @property
    def is_over(self) -> bool:
        return self.batches_done >= self._run.settings.batches

    def do_batch(self) -> None:
        """Learn from one more batch, note how it went, and keep a checkpoint now and then."""
        kept = _KeepGroups()
        rate = self._run.settings.learning_rate_at(self.batches_done)
        self.model.lr_schedule = lambda _: rate
        callbacks = [kept, StopAfterBatches(self.batches_done + 1)]
        self.model.learn(_ENDLESS, callback=callbacks, log_interval=0, reset_num_timesteps=False)
        report = self.model.last_report
        assert report is not None, "a batch was learned from"
        seen = report.batch
        outcomes = [rollout.outcome for group in kept.groups for rollout in group]
        self._curve.append(point(self.model.num_timesteps, outcomes, seen.accuracy, seen.sign_reversal, seen.cosine))
        self._advance()
        if self.is_over or self.batches_done % self._run.settings.checkpoint_every == 0:
            self._keep()

    def finish(self, final: Played, without_tools: Played) -> None:
        """Keep the result; the checkpoint is not needed any more."""
        run, started = self._run, self._store.read_json(f"starts/{self._run.start.key}.json")
        result = Result(
            design=run.design,
            seed=run.seed,
            env=dict(run.settings.env),
            curve={name: [row[column] for row in self._curve] for column, name in enumerate(CURVES)},
            final=final,
            without_tools=without_tools,
            start=played_from_json(started["with_tools"]),
            start_without_tools=played_from_json(started["without"]),
        )
        self._store.write_json(f"runs/{run.key}.json", result.to_json())
        self._store.remove(_checkpoint(run))

    def _keep(self) -> None:
        saved = io.BytesIO()
        self.model.save(saved)
        self._store.write(_checkpoint(self._run), to_bytes({"model": saved.getvalue(), "curve": self._curve}))


class _KeepGroups(BaseCallback):
    """Keeps the groups of the newest batch."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: Any = ()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.groups = self.locals["groups"]


def _begun(run: Run, store: Store, env: GroupVecEnv) -> tuple[HDPO, list[list[float]]]:
    model = HDPO(
        "MultiInputPolicy",
        env,
        learning_rate=run.settings.learning_rate,
        reward_design=run.design,
        seed=run.seed,
        device="cpu",
    )
    name = _weights(run.start)
    weights = from_bytes(store.read(name), str(store.folder / name))
    with fitting(str(store.folder / name)):
        model.policy.load_state_dict(weights)
    return model, []


def _resumed(run: Run, store: Store, env: GroupVecEnv) -> tuple[HDPO, list[list[float]]]:
    """The run as its checkpoint holds it. What the run is comes from the plan; the file gives weights and counts."""
    name = str(store.folder / _checkpoint(run))
    saved = from_bytes(store.read(_checkpoint(run)), name)
    with _named(name), fitting("the checkpoint"):
        own: dict[str, Any] = {
            "reward_design": run.design,
            "learning_rate": run.settings.learning_rate,
            "seed": run.seed,
        }
        model = HDPO.load(io.BytesIO(saved["model"]), env, device="cpu", **own)
        curve = [[float(number) for number in row] for row in saved["curve"]]
        if len(curve) != model.batches_done or any(len(row) != len(CURVES) for row in curve):
            raise CheckpointError(f"it has a curve of {len(curve)} points after {model.batches_done} batches")
    return model, curve


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which checkpoint does not fit, and what to do."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}. Delete it to begin the run again") from error


def _played(models: Sequence[HDPO], start: Start) -> list[tuple[Played, Played]]:
    """How each of the models does on the test split: with tools, and with the tools switched off."""
    settings = start.settings
    played = play_with_and_without(
        [model.policy for model in models],
        settings.env_id,
        tasks=settings.eval_tasks,
        episodes_per_task=settings.eval_episodes,
        seed=start.seed,
        **start.env,
    )
    return [(Played.of(with_tools), Played.of(without)) for with_tools, without in played]


@contextlib.contextmanager
def _environments(runs: Sequence[Run]) -> Iterator[dict[str, GroupVecEnv]]:
    """One environment for all runs that differ in nothing but the design: a round is all the state it has."""
    with contextlib.ExitStack() as stack:
        envs: dict[str, GroupVecEnv] = {}
        for run in runs:
            if _env_key(run) not in envs:
                settings = run.settings
                envs[_env_key(run)] = stack.enter_context(
                    contextlib.closing(
                        GroupVecEnv(
                            settings.env_id,
                            tasks=settings.tasks,
                            group_size=settings.group_size,
                            seed=run.seed,
                            **settings.env,
                        )
                    )
                )
        yield envs


def _env_key(run: Run) -> str:
    settings = run.settings
    return json.dumps([settings.env, settings.tasks, settings.group_size], sort_keys=True)


def _checkpoint(run: Run) -> str:
    return f"checkpoints/{run.key}.safetensors"


def _weights(start: Start) -> str:
    return f"starts/{start.key}.safetensors"
