"""What a run is: one frozen configuration, and the two sets of defaults that it starts from."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metis_agents.hdpo import TrainerConfig
from metis_agents.qwen3vl.demonstrations import Habits
from metis_agents.qwen3vl.episodes import Budget
from metis_agents.qwen3vl.imitation import ImitationConfig
from metis_agents.qwen3vl.models import TINY, ModelConfig
from metis_agents.qwen3vl.optimizers import ROUNDINGS
from metis_gym import rewards
from metis_gym.rewards.parameters import check_parameters, choice, flag, whole

__all__ = ["ColdStartConfig", "RunConfig", "defaults_for"]


@dataclass(frozen=True, kw_only=True)
class ColdStartConfig:
    """What is imitated before RL.

    Attributes:
        imitation: How.
        grounding: What a model with random weights learns before: where things are in pictures; None for nothing.
        pictures: How many pictures it looks at for that.
        demonstrations: Tasks that are demonstrated both ways; 0 where data are given.
        habits: What the scripted demonstrator does first.
        lora: Rank of the LoRA that imitates, and is merged into the weights afterwards; None trains every weight.
        data: Recorded runs (folders) and chat files (JSONL) to imitate instead.
        train_vision: Train the vision tower in the cold start, too, whatever RL does.
    """

    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    grounding: ImitationConfig | None = None
    pictures: int = whole(8_000, low=1)
    demonstrations: int = whole(2_500, low=0)
    habits: Habits = field(default_factory=Habits)
    lora: int | None = whole(None, low=1, optional=True)
    data: tuple[str, ...] = ()
    train_vision: bool = flag(False)

    def __post_init__(self) -> None:
        check_parameters(self)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run.

    Attributes:
        out: The run's folder.
        model: The model.
        env_id: The environment.
        env: Its arguments.
        design: Name or spec of the reward design.
        batches: Batches of RL; 0 for a cold start alone.
        trainer: How RL learns.
        budget: Most tokens of an episode's parts.
        cold_start: What is imitated first; None for nothing.
        seed: Of tasks and episodes.
        evaluate_every: Batches between evaluations; 0 evaluates at the end only.
        evaluation_episodes: Episodes of an evaluation.
        save_every: Batches between checkpoints; 0 writes one at the end only.
        keep: How many checkpoints are kept.
        samples: Episodes of each evaluation that are recorded with their pictures.
        workers: Threads for environments and tools.
        overlap: Let the model write while tools run; without it a run is the same to the last bit each time.
        share_results: Run the same first calls on the same task once.
        capacity: Most conversations that are played at a time; each may hold a sandbox session open.
        engine: "transformers" or "vllm".
        rounding: How weights in bfloat16 take up updates: "nearest" with float32 masters, or "stochastic" without.
        parallel: What ranks share: "ddp" the gradients, "fsdp" the weights, too.
        wandb: A W&B project; empty for none.
    """

    out: Path
    model: ModelConfig = field(default_factory=ModelConfig)
    env_id: str = "MetisVQA-v0"
    env: Mapping[str, Any] = field(default_factory=dict)
    design: str = "hdpo"
    batches: int = whole(200, low=0)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    budget: Budget = field(default_factory=Budget)
    cold_start: ColdStartConfig | None = None
    seed: int = whole(0, low=0)
    evaluate_every: int = whole(20, low=0)
    evaluation_episodes: int = whole(256, low=1)
    save_every: int = whole(20, low=0)
    keep: int = whole(2, low=1)
    samples: int = whole(4, low=0)
    workers: int = whole(8, low=1)
    overlap: bool = flag(True)
    share_results: bool = flag(False)
    capacity: int = whole(128, low=1)
    engine: str = choice("transformers", "transformers", "vllm")
    rounding: str = choice("nearest", *ROUNDINGS)
    parallel: str = choice("ddp", "ddp", "fsdp")
    wandb: str = ""

    def __post_init__(self) -> None:
        check_parameters(self)
        rewards.make(self.design)  # an unknown design is an error now, not after the cold start

    def as_json(self) -> dict[str, Any]:
        """Plain data: what is written beside the results."""
        plain = dataclasses.asdict(self)
        plain["trainer"]["loss"].pop("_objective", None)
        loaded: dict[str, Any] = json.loads(json.dumps(plain, default=str))
        return loaded


def defaults_for(model: str, taskset: str) -> dict[str, Any]:
    """The defaults of a run with a model, by argument of the command: the published settings, or the tiny ones."""
    if model != TINY:
        return {
            "view_size": 448,
            "max_source": 4_096,
            "tasks": 128,
            "group_size": 16,
            "minibatches": 2,
            "lr": 1e-6,
            "batches": 200,
            "prompt_tokens": 24_576,
            "response_tokens": 16_384,
            "turn_tokens": 16_384,
            "observation_tokens": 8_192,
            "micro_batch_tokens": 32_768,
            "cold_start": 0,
            "grounding": 0,
            "capacity": 128,
        }
    is_small = all(part.startswith("patches") for part in taskset.split("+"))
    return {
        "view_size": 64 if is_small else 384,
        "max_source": 1_024 if is_small else 1_536,
        "tasks": 16,
        "group_size": 16,
        "minibatches": 1,
        "lr": 1e-4,
        "batches": 60,
        "prompt_tokens": 4_096,
        "response_tokens": 768,
        "turn_tokens": 128,
        "observation_tokens": 512,
        "micro_batch_tokens": 16_384,
        "cold_start": 700,
        "grounding": 1_000,
        "capacity": 128,
    }
