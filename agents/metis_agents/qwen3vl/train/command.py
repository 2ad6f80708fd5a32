"""`metis-gym train`: HDPO, or any other reward design, for Qwen3-VL."""

import dataclasses
import datetime
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from transformers.utils import logging as transformers_logging

from metis_agents.progress import progress_bar
from metis_agents.qwen3vl.model.models import TINY
from metis_agents.qwen3vl.model.sharding import ShardedRanks
from metis_agents.qwen3vl.train.config import RunConfig
from metis_agents.qwen3vl.train.defaults import defaults_for
from metis_agents.qwen3vl.train.run import build
from metis_agents.rl import Ranks
from metis_agents.settings.command_line import Invocation, Parsed, parse
from metis_agents.settings.flags import Defaults, Scheme
from metis_gym.errors import ConfigError
from metis_gym.parameters import check_parameters, choice, flag, whole
from metis_gym.registration import REMOTE_ID
from metis_gym.terminal import say

__all__ = ["TRAIN", "TrainInvocation", "read_config", "train_command", "with_environments"]

_ENVIRONMENTS = "--environments"

_TIMEOUT = datetime.timedelta(seconds=3_600)
"""How long ranks wait for each other: while one still plays its episodes, the others have nothing to send. Torch's own
ten minutes for NCCL would end such a run."""


@dataclass(frozen=True, kw_only=True)
class TrainInvocation(Invocation):
    """How `metis-gym train` runs, whatever is trained.

    Attributes:
        config: A `config.json` to begin with, such as a run leaves; flags override it.
        resume: Go on after the last checkpoint in --out.
        sized: Whose defaults hold: those of the model, of tiny or of the published settings.
        threads: CPU threads of torch; none for its own choice.
    """

    resume: bool = flag(False)
    sized: str = choice("auto", "auto", TINY, "published")
    threads: int | None = whole(None, low=1, optional=True)

    def __post_init__(self) -> None:
        check_parameters(self)


def train_command(argv: Sequence[str]) -> int:
    """Cold start, RL, evaluation."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    parsed: Parsed[RunConfig] = parse(TRAIN, with_environments(argv))
    config, invocation = parsed.config, parsed.invocation
    if invocation.threads:
        torch.set_num_threads(invocation.threads)
    try:
        training = build(
            config, resume=invocation.resume, ranks=_ranks(config.parallel), say=say, progress=progress_bar
        )
    except ConfigError as error:
        raise parsed.explained(error) from error
    try:
        training.sft()
        training.train()
        training.evaluate()
    finally:
        training.close()
    return 0


def read_config(argv: Sequence[str]) -> RunConfig:
    """The configuration that a command line asks for."""
    config: RunConfig = parse(TRAIN, with_environments(argv)).config
    return config


def with_environments(argv: Sequence[str]) -> list[str]:
    """The command line with `--environments URL…` in full: the environment that plays on these servers.

    >>> with_environments(["--environments", "http://a:8000", "http://b:8000", "--lr", "1e-6"])[:4]
    ['--env', 'MetisRemote-v0', '--env.urls', 'http://a:8000+http://b:8000']

    Raises:
        ConfigError: No address follows, or one that cannot stand beside others.
    """
    words = list(argv)
    if _ENVIRONMENTS not in words:
        return words
    start = words.index(_ENVIRONMENTS)
    urls = list(itertools.takewhile(lambda word: not word.startswith("-"), words[start + 1 :]))
    if not urls or any("+" in url for url in urls):
        raise ConfigError(f"{_ENVIRONMENTS} takes the addresses of servers, without '+', actually: {' '.join(urls)!r}")
    return ["--env", REMOTE_ID, "--env.urls", "+".join(urls), *words[:start], *words[start + 1 + len(urls) :]]


def _defaults(told: Mapping[str, Any]) -> Defaults:
    env = told.get("env", {})
    taskset = told.get("env.taskset", env.get("taskset", "patches"))
    found = defaults_for(told.get("model.name", TINY), taskset=str(taskset), sized=told.get("sized", "auto"))
    if told.get("env_id") == REMOTE_ID:  # the servers decide what is played
        return dataclasses.replace(found, values={**found.values, "env": {}})
    return found


def _ranks(parallel: str) -> Ranks:
    """The ranks that torchrun started; one without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=_TIMEOUT)
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return ShardedRanks() if parallel == "fsdp" else Ranks()


TRAIN = Scheme(
    prog="metis-gym train",
    description="Train a Qwen3-VL by a reward design: a cold start by supervised fine-tuning (SFT), then RL, then an "
    "evaluation. Defaults depend on the model: the published settings of arXiv 2604.08545, or small ones for `tiny`; "
    "`--help --model NAME` shows those of a model. Any flag may also be given by its path in config.json. "
    "`--environments URL…` plays on servers that `metis-gym serve` started on other machines.",
    config=RunConfig,
    invocation=TrainInvocation,
    groups={
        "model": ("model",),
        "learning": ("design", "batches", "trainer", "schedule", "warmup", "rounding", "parallel"),
        "episodes": (
            "engine",
            "vllm",
            "cache_gib",
            "top_p",
            "top_k",
            "capacity",
            "workers",
            "exact",
            "share_results",
            "budget",
        ),
        "cold start": ("cold_start",),
        "reports": ("evaluate_every", "evaluation_episodes", "samples", "save_every", "keep", "wandb"),
        "environment": ("env_id",),
    },
    names={
        "env_id": "env",
        "model.name": "model",
        **{f"model.{name}": name.replace("_", "-") for name in ("lora", "train_vision", "dtype", "device")},
        "model.temperature": "temperature",
        "model.gradient_checkpointing": "gradient-checkpointing",
        "model.random_weights": "random-weights",
        "model.min_pixels": "min-pixels",
        "model.max_pixels": "max-pixels",
        **{f"trainer.{name}": name.replace("_", "-") for name in ("tasks", "group_size", "minibatches", "epochs")},
        "trainer.lr": "lr",
        "trainer.max_grad_norm": "max-grad-norm",
        "trainer.micro_batch_tokens": "micro-batch-tokens",
        **{f"trainer.loss.{name}": name for name in ("surrogate", "denominator", "aggregation")},
        "trainer.loss.kl_coef": "kl",
        "trainer.loss.entropy_coef": "entropy",
        "trainer.loss.importance_cap": "importance-cap",
        **{f"budget.{name}": f"{name}-tokens" for name in ("prompt", "response", "turn", "observation")},
        "evaluation_episodes": "episodes",
        "cold_start.sft.steps": "sft-steps",
        "cold_start.sft.batch": "sft-batch",
        "cold_start.sft.lr": "sft-lr",
        "cold_start.data": "sft-data",
        "cold_start.demonstrations": "demonstrations",
        "cold_start.grounding.steps": "grounding-steps",
        "cold_start.images": "grounding-images",
        "cold_start.habits.tool_rate_none": "tool-rate-none",
        "cold_start.habits.tool_rate_required": "tool-rate-required",
    },
    prefixes={
        "cold_start": "sft",
        "cold_start.sft": "sft",
        "cold_start.habits": "sft",
        "cold_start.grounding": "grounding",
    },
    derived={
        **{f"{part}.seed": "seed" for part in ("model", "trainer", "cold_start.sft", "cold_start.grounding")},
        "cold_start.sft.micro_batch_tokens": "trainer.micro_batch_tokens",
        "cold_start.grounding.micro_batch_tokens": "trainer.micro_batch_tokens",
    },
    switches={"cold_start": "cold_start.sft.steps", "cold_start.grounding": "cold_start.grounding.steps"},
    abouts={
        "env.noise_key": "Key of grader noise and tool noise; the run's seed unless it is given.",
        "cold_start.sft.steps": "Optimiser steps of SFT; 0 for no cold start at all.",
        "cold_start.grounding.steps": "Steps before SFT in which a model with random weights learns where things are "
        "in images; 0 for none.",
        "cold_start.sft.lr": "Largest learning rate of SFT; it rises, then falls to 0 as a half cosine.",
        "cold_start.sft.weight_decay": "Weight decay of AdamW during SFT.",
        "cold_start.sft.max_grad_norm": "Gradients of SFT are scaled down to this norm.",
        "cold_start.lora": "Rank of the LoRA that SFT trains and merges into the weights; none trains every weight. "
        "Follows --lora unless the defaults are those of tiny.",
        "cold_start.train_vision": "Train the vision tower during SFT, whatever RL does. Follows --train-vision unless "
        "the defaults are those of tiny.",
        "cold_start.habits.tool_rate_none": "How often the cold start learns to call a tool where none is needed.",
        "cold_start.habits.tool_rate_required": "How often the cold start learns to call a tool where one is needed.",
        "cold_start.habits.look": "Longest side, in pixels, of the images that demonstrations ask for.",
        **{
            f"cold_start.grounding.{name}": f"As --{flag}, for grounding."
            for name, flag in {
                "batch": "sft-batch",
                "lr": "sft-lr",
                "warmup": "sft.warmup",
                "weight_decay": "sft.weight-decay",
                "max_grad_norm": "sft.max-grad-norm",
            }.items()
        },
    },
    renamed={
        "cold-start": "sft-steps",
        "cold-start-batch": "sft-batch",
        "cold-start-lr": "sft-lr",
        "cold-start-data": "sft-data",
        "grounding": "grounding-steps",
        "pictures": "grounding-images",
    },
    env_names=(
        *("taskset", "view_size", "max_source", "answers", "choices", "required_share", "partial_share"),
        *("tools", "dialect", "sandbox", "max_turns", "grader_noise"),
    ),
    env_refused={"split": "a run learns on the train split and is evaluated on the test split"},
    defaults=_defaults,
)
"""How the options of `metis-gym train` follow from `RunConfig`."""
