"""A Qwen3-VL, or a finished run of `metis-gym train`, as an agent that plays many episodes at a time."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from metis_agents.agent import MakeEnv, RolloutRequest
from metis_agents.qwen3vl.chat.vocabulary import stops_of
from metis_agents.qwen3vl.model.models import Equipment, ModelConfig, equip, load_pretrained
from metis_agents.qwen3vl.rollouts.rollout import Budget, RolloutPlan
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.rollouts.worker import RolloutWorker
from metis_gym.backstage import backstage
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome

__all__ = ["Qwen3VLAgent"]

_MODEL, _CONFIG = "model", "config.json"
_NOT_FOR_EVALUATION = ("split", "noise_key", "grader_noise", "curriculum")


class Qwen3VLAgent:
    """Plays with the engine that training uses: keys and values are kept over turns.

    Args:
        model: Folder of a finished run of `metis-gym train`, a folder with a checkpoint, or a name on the hub. A run
            brings the environment's arguments, the token budget and the temperature that it was trained with.
        greedy: Take the likeliest tokens instead of sampling.
        device: "auto", "cpu", "cuda", "cuda:1".
        dtype: "float32" or "bfloat16".
        capacity: Most episodes at a time.
        workers: Threads for environments and tools.
        temperature: Divides the logits; None for the run's own, or 1.
        min_pixels: Smaller images are enlarged to so many pixels; None for what the checkpoint says.
        max_pixels: Larger images are reduced to so many pixels; None for what the checkpoint says.

    Attributes:
        name: The folder's or checkpoint's name.
        env_id: The environment that a run was trained in; None for a checkpoint.
        env_kwargs: That environment's arguments; empty for a checkpoint.

    Raises:
        ConfigError: There is no such model, or the run is not finished.
    """

    def __init__(
        self,
        model: str,
        *,
        greedy: bool = False,
        device: str = "auto",
        dtype: str = "float32",
        capacity: int = 64,
        workers: int = 8,
        temperature: float | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> None:
        folder = Path(model)
        run = _read_run(folder)
        self.name = folder.name or model
        self.env_id: str | None = run.get("env_id")
        self.env_kwargs: Mapping[str, Any] = {
            key: value for key, value in run.get("env", {}).items() if key not in _NOT_FOR_EVALUATION
        }
        self.budget = Budget(**run.get("budget", {}))
        self._greedy, self._capacity, self._workers = greedy, capacity, workers
        self._config = ModelConfig(
            name=str(folder / _MODEL) if run else model,
            device=device,
            dtype=dtype,
            temperature=temperature or run.get("model", {}).get("temperature", 1.0),
            min_pixels=min_pixels,
            max_pixels=max_pixels,
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides how it plays."""
        return {
            "model": self._config.name,
            "greedy": self._greedy,
            "dtype": self._config.dtype,
            "temperature": self._config.temperature,
        }

    def play(self, make_env: MakeEnv, requests: Sequence[RolloutRequest]) -> Iterator[tuple[int, Outcome]]:
        """Play episodes.

        Args:
            make_env: Makes an environment whose actions are text.
            requests: The episodes.

        Yields:
            The place of a request and its outcome.

        Raises:
            ConfigError: The model cannot be loaded, or the environment is not one of text.
        """
        probe = make_env()
        stop = stops_of(backstage(probe).dialect)
        probe.close()
        equipment = self._load(stop)
        engine = TransformersEngine(equipment.network, capacity=self._capacity, features=equipment.features)
        player = RolloutWorker(engine, equipment.renderer, make_env, budget=self.budget, workers=self._workers)
        jobs = [RolloutPlan(**dataclasses.asdict(request), is_greedy=self._greedy) for request in requests]
        try:
            for place, rollout in player.rollouts(jobs):
                yield place, rollout.outcome
        finally:
            player.close()

    def _load(self, stop: Sequence[str]) -> Equipment:
        return equip(load_pretrained(self._config), self._config, stop)


def _read_run(folder: Path) -> dict[str, Any]:
    """The configuration of a finished run; nothing where the folder is a plain checkpoint, or none."""
    if not (folder / _MODEL).is_dir():
        if (folder / "checkpoints").is_dir():
            raise ConfigError(f"the run in {folder} is not finished: go on with it (`metis-gym train --resume`) first")
        return {}
    found: dict[str, Any] = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    return found
