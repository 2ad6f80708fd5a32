"""What a run is: one frozen configuration. `metis_agents.qwen3vl.train.defaults` says what it is for which model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metis_agents.qwen3vl.model.models import ModelConfig
from metis_agents.qwen3vl.rollouts.rollout import Budget
from metis_agents.qwen3vl.rollouts.vllm_start import VllmConfig
from metis_agents.qwen3vl.sft.demonstrations import Habits
from metis_agents.qwen3vl.sft.sft import SFTConfig
from metis_agents.qwen3vl.train.optimizers import ROUNDINGS
from metis_agents.qwen3vl.train.schedules import SCHEDULES
from metis_agents.rl import TrainerConfig
from metis_agents.settings.fields import assemble, frozen, read_json, to_json
from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.parameters import check_parameters, choice, flag, number, whole

__all__ = ["ColdStartConfig", "RunConfig"]


@dataclass(frozen=True, kw_only=True)
class ColdStartConfig:
    """Supervised fine-tuning (SFT) before RL.

    Attributes:
        sft: How the model is fine-tuned on conversations.
        grounding: How a model with random weights first learns where things are in images; None for not at all.
        images: Images that grounding looks at.
        demonstrations: Tasks that scripted agents demonstrate both with and without a tool.
        habits: What the scripted demonstrator does first.
        lora: Rank of the LoRA that is trained and then merged into the weights; none trains every weight.
        data: Recorded runs and results of `metis-gym curate sft` (folders), and chat files (JSONL or parquet), to
            imitate instead of scripted demonstrations.
        train_vision: Train the vision tower in the cold start, whatever RL does.
    """

    sft: SFTConfig = field(default_factory=SFTConfig)
    grounding: SFTConfig | None = None
    images: int = whole(8_000, low=1)
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
        out: Folder of the run.
        model: The model.
        env_id: Id of the environment.
        env: Arguments of the environment.
        design: Name or spec of the reward design, such as "hdpo:w_tool=0.15" or "coupled:alpha=0.1".
        batches: Batches of RL; 0 for a cold start alone.
        trainer: How RL learns.
        schedule: How the learning rate of RL goes on after the warm-up.
        warmup: Batches in which the learning rate of RL rises.
        top_p: Rollouts draw from the likeliest tokens that together have this probability; 1 for all.
        top_k: Rollouts draw from so many of the likeliest tokens; none for all.
        budget: How many tokens the parts of an episode may have.
        cold_start: Supervised fine-tuning before RL; None for none.
        seed: Seed of weights, tasks, episodes and the order of everything.
        evaluate_every: Batches between evaluations; 0 evaluates at the end only.
        evaluation_episodes: Episodes of an evaluation.
        save_every: Batches between checkpoints; 0 writes one at the end only.
        keep: Checkpoints that are kept.
        samples: Episodes of each evaluation that are recorded with their images.
        workers: Threads for environments and tools.
        exact: Wait for all tools in each turn, so that a run is the same to the last bit each time; otherwise the model
            goes on writing while tools run.
        share_results: Run the same first calls on the same task once.
        capacity: Episodes that are played at a time; each may hold a sandbox session open.
        engine: What writes the model's turns.
        cache_gib: Most memory for keys and values of the engine on transformers, in GiB; none for most of what the GPU
            has left, and for no limit on a CPU.
        vllm: How vLLM shares the GPU, where it is the engine.
        rounding: How weights in bfloat16 take up updates: nearest, with float32 masters, or stochastic, without.
        parallel: What the ranks of torchrun share: ddp the gradients, fsdp the weights, too.
        wandb: W&B project to report to; empty for none.
    """

    out: Path
    model: ModelConfig = field(default_factory=ModelConfig)
    env_id: str = "MetisVQA-v0"
    env: Mapping[str, Any] = field(default_factory=dict)
    design: str = "hdpo"
    batches: int = whole(200, low=0)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    schedule: str = choice("constant", *SCHEDULES)
    warmup: int = whole(0, low=0)
    top_p: float = number(1.0, above=0, high=1)
    top_k: int | None = whole(None, low=1, optional=True)
    budget: Budget = field(default_factory=Budget)
    cold_start: ColdStartConfig | None = None
    seed: int = whole(0, low=0)
    evaluate_every: int = whole(20, low=0)
    evaluation_episodes: int = whole(256, low=1)
    save_every: int = whole(20, low=0)
    keep: int = whole(2, low=1)
    samples: int = whole(4, low=0)
    workers: int = whole(8, low=1)
    exact: bool = flag(False)
    share_results: bool = flag(False)
    capacity: int = whole(128, low=1)
    engine: str = choice("transformers", "transformers", "vllm")
    cache_gib: float | None = number(None, above=0, optional=True)
    vllm: VllmConfig = field(default_factory=VllmConfig)
    rounding: str = choice("nearest", *ROUNDINGS)
    parallel: str = choice("ddp", "ddp", "fsdp")
    wandb: str = ""

    def __post_init__(self) -> None:
        check_parameters(self)
        object.__setattr__(self, "env", frozen(self.env))
        if self.engine == "vllm":
            self._check_vllm()
        self._check_learning()
        rewards.make(self.design)  # an unknown design is an error now, not after the cold start

    def _check_learning(self) -> None:
        if self.warmup and self.warmup >= self.batches:
            raise ConfigError(f"Expect warmup ({self.warmup}) below batches ({self.batches})")
        if (self.top_p < 1 or self.top_k is not None) and self.trainer.loss.importance_cap is None:
            raise ConfigError(
                f"Expect an importance cap with top_p {self.top_p} and top_k {self.top_k}: what is drawn is then "
                "likelier than the policy that learns says; such as --importance-cap 2; actually: none"
            )

    def _check_vllm(self) -> None:
        longest, given = self.budget.prompt + self.budget.response, self.vllm.max_model_len
        if given is not None and given < longest:
            raise ConfigError(
                f"Expect vllm.max_model_len of at least budget.prompt + budget.response ({longest}), actually: {given}"
            )
        if ":" in self.model.device and self.model.device != "cuda:0":
            raise ConfigError(
                f"Expect engine='vllm' on the first GPU, as vLLM sees it, actually: model.device "
                f"{self.model.device!r}; choose the GPU with CUDA_VISIBLE_DEVICES"
            )

    def as_json(self) -> dict[str, Any]:
        """Plain data: what is written beside the results, and what `--config` reads."""
        return to_json(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any], where: str = "config.json") -> "RunConfig":
        """The configuration that `as_json` wrote.

        Args:
            plain: What it wrote. Settings that are missing have their defaults.
            where: Where it was read from, for messages.

        Raises:
            ConfigError: An unknown setting, or a value that is not valid.
        """
        return assemble(cls, read_json(cls, plain, where))
