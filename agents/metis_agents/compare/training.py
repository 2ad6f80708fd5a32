"""One cold start, and one run: played in any process, resumed wherever they were stopped."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback

from metis_agents.compare.plan import Run, Start
from metis_agents.compare.records import CURVES, Played, Result, played_from_json, point
from metis_agents.compare.store import Store
from metis_agents.sb3 import HDPO, GroupVecEnv, StopAfterBatches, cold_start
from metis_agents.sb3.playing import play_with_and_without

__all__ = ["make_start", "train"]

Advance = Callable[[], None]

_ENDLESS = 10**12


def make_start(start: Start, store: Store) -> None:
    """Make a cold start and see what it does, unless it is there.

    Args:
        start: Which one.
        store: Where it is kept.
    """
    if store.has(f"starts/{start.key}.json"):
        return
    model = HDPO("MultiInputPolicy", _env(start.settings.env_id, 1, 2, start), seed=start.seed, device="cpu")
    cold_start(model.policy, start.settings.env_id, start.config, **start.env)
    with_tools, without = _played(model, start)
    weights = io.BytesIO()
    torch.save(model.policy.state_dict(), weights)
    store.write(f"starts/{start.key}.pt", weights.getvalue())
    store.write_json(f"starts/{start.key}.json", {"with_tools": asdict(with_tools), "without": asdict(without)})


def train(run: Run, store: Store, advance: Advance) -> None:
    """Train, play the test split, and keep the result, unless it is there. Its cold start must be there.

    Args:
        run: Which one.
        store: Where results and checkpoints are kept.
        advance: Called once for each batch, those of an earlier start of this run included.
    """
    if store.has(f"runs/{run.key}.json"):
        return
    env = _env(run.settings.env_id, run.settings.tasks, run.settings.group_size, run)
    with contextlib.closing(env):
        model, curve = _resumed(run, store, env) if store.has(_checkpoint(run)) else _begun(run, store, env)
        for _ in curve:
            advance()
        recorder = _Recorder(run, store, curve, advance)
        if model.batches_done < run.settings.batches:
            model.learn(_ENDLESS, callback=[recorder, StopAfterBatches(run.settings.batches)], log_interval=0)
    store.write_json(f"runs/{run.key}.json", _result(run, store, model, curve).to_json())
    store.remove(_checkpoint(run))


class _Recorder(BaseCallback):
    """Keeps the curves, and a checkpoint every so many batches, between one batch and the next."""

    def __init__(self, run: Run, store: Store, curve: list[list[float]], advance: Advance) -> None:
        super().__init__()
        self._run, self._store, self._curve, self._advance = run, store, curve, advance
        self._groups: Any = None

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._groups = self.locals["groups"]

    def _on_rollout_start(self) -> None:
        self._finish_batch()

    def _on_training_end(self) -> None:
        self._finish_batch()

    def _finish_batch(self) -> None:
        if self._groups is None:
            return
        model: Any = self.model
        outcomes = [rollout.outcome for group in self._groups for rollout in group]
        seen = model.last_report.batch
        self._curve.append(point(model.num_timesteps, outcomes, seen.accuracy, seen.sign_reversal, seen.cosine))
        self._groups = None
        self._advance()
        if model.batches_done % self._run.settings.checkpoint_every == 0:
            saved, file = io.BytesIO(), io.BytesIO()
            model.save(saved)
            torch.save({"model": saved.getvalue(), "curve": self._curve}, file)
            self._store.write(_checkpoint(self._run), file.getvalue())


def _begun(run: Run, store: Store, env: GroupVecEnv) -> tuple[HDPO, list[list[float]]]:
    model = HDPO(
        "MultiInputPolicy",
        env,
        learning_rate=run.settings.learning_rate,
        reward_design=run.design,
        seed=run.seed,
        device="cpu",
    )
    weights = torch.load(io.BytesIO(store.read(f"starts/{run.start.key}.pt")), weights_only=True)
    model.policy.load_state_dict(weights)
    return model, []


def _resumed(run: Run, store: Store, env: GroupVecEnv) -> tuple[HDPO, list[list[float]]]:
    saved = torch.load(io.BytesIO(store.read(_checkpoint(run))), weights_only=True)
    return HDPO.load(io.BytesIO(saved["model"]), env, device="cpu"), saved["curve"]


def _result(run: Run, store: Store, model: HDPO, curve: list[list[float]]) -> Result:
    final, without_tools = _played(model, run.start)
    started = store.read_json(f"starts/{run.start.key}.json")
    return Result(
        design=run.design,
        seed=run.seed,
        env=dict(run.settings.env),
        curve={name: [row[column] for row in curve] for column, name in enumerate(CURVES)},
        final=final,
        without_tools=without_tools,
        start=played_from_json(started["with_tools"]),
        start_without_tools=played_from_json(started["without"]),
    )


def _played(model: HDPO, start: Start) -> tuple[Played, Played]:
    settings = start.settings
    outcomes = play_with_and_without(
        model.policy,
        settings.env_id,
        tasks=settings.eval_tasks,
        episodes_per_task=settings.eval_episodes,
        seed=start.seed,
        **start.env,
    )
    return Played.of(outcomes[0]), Played.of(outcomes[1])


def _env(env_id: str, tasks: int, group_size: int, of: Run | Start) -> GroupVecEnv:
    kwargs = of.settings.env if isinstance(of, Run) else of.env
    return GroupVecEnv(env_id, tasks=tasks, group_size=group_size, seed=of.seed, **kwargs)


def _checkpoint(run: Run) -> str:
    return f"checkpoints/{run.key}.pt"
