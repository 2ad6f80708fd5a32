"""`metis-gym train`: HDPO, or any other reward design, for Qwen3-VL."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from transformers.utils import logging as transformers_logging

from metis_agents.hdpo import LossConfig, Ranks, TrainerConfig
from metis_agents.qwen3vl.demonstrations import Habits
from metis_agents.qwen3vl.episodes import Budget
from metis_agents.qwen3vl.imitation import ImitationConfig
from metis_agents.qwen3vl.models import TINY, ModelConfig
from metis_agents.qwen3vl.optimizers import ROUNDINGS
from metis_agents.qwen3vl.run import Training
from metis_agents.qwen3vl.run_config import ColdStartConfig, RunConfig, defaults_for
from metis_agents.qwen3vl.sharding import ShardedRanks
from metis_gym.terminal import say

__all__ = ["read_config", "train_command"]


def train_command(argv: Sequence[str]) -> int:
    """Train, evaluate and print the figures."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    parser = _parser()
    given = parser.parse_args(argv)
    config = read_config(given)
    if given.threads:
        torch.set_num_threads(given.threads)
    ranks = _ranks(config.parallel)
    training = Training(config, resume=given.resume, ranks=ranks, say=say)
    try:
        training.run()
    finally:
        training.close()
    return 0


def read_config(given: argparse.Namespace) -> RunConfig:
    """The configuration that the arguments ask for; what they do not say is the model's default."""
    values = {**vars(given)}
    values |= {key: value for key, value in _defaults(given).items() if values[key] is None}
    args = argparse.Namespace(**values)
    is_tiny = (args.sized or args.model) == TINY
    return RunConfig(
        out=args.out,
        model=ModelConfig(
            name=args.model,
            seed=args.seed,
            lora=args.lora,
            train_vision=args.train_vision,
            dtype=args.dtype or ("bfloat16" if torch.cuda.is_available() and not is_tiny else "float32"),
            device=args.device,
            temperature=args.temperature,
            gradient_checkpointing=args.gradient_checkpointing,
            random_weights=args.random_weights,
        ),
        env_id=args.env,
        env=_env_arguments(args),
        design=args.design,
        batches=args.batches,
        trainer=TrainerConfig(
            tasks=args.tasks,
            group_size=args.group_size,
            minibatches=args.minibatches,
            epochs=args.epochs,
            lr=args.lr,
            micro_batch_tokens=args.micro_batch_tokens,
            seed=args.seed,
            loss=LossConfig(
                surrogate=args.surrogate,
                denominator=args.denominator,
                aggregation=args.aggregation,
                kl_coef=args.kl,
                entropy_coef=args.entropy,
                importance_cap=args.importance_cap,
            ),
        ),
        budget=Budget(
            prompt=args.prompt_tokens,
            response=args.response_tokens,
            turn=args.turn_tokens,
            observation=args.observation_tokens,
        ),
        cold_start=_cold_start(args, is_tiny),
        seed=args.seed,
        evaluate_every=args.evaluate_every,
        evaluation_episodes=args.episodes,
        save_every=args.save_every,
        samples=args.samples,
        workers=args.workers,
        overlap=not args.exact,
        share_results=args.share_results,
        capacity=args.capacity,
        engine=args.engine,
        rounding=args.rounding,
        parallel=args.parallel,
        wandb=args.wandb,
    )


def _env_arguments(args: argparse.Namespace) -> dict[str, object]:
    return {
        "taskset": args.taskset,
        "view_size": args.view_size,
        "max_source": args.max_source,
        "answers": args.answers,
        "max_turns": args.max_turns,
        "dialect": args.dialect,
        "sandbox": args.sandbox,
        "tools": tuple(args.tools.split("+")) if args.tools else None,
        "grader_noise": args.grader_noise,
    }


def _cold_start(args: argparse.Namespace, is_tiny: bool) -> ColdStartConfig | None:
    if args.cold_start == 0:
        return None
    return ColdStartConfig(
        imitation=ImitationConfig(
            steps=args.cold_start,
            batch=args.cold_start_batch,
            lr=args.cold_start_lr or (2e-3 if is_tiny else 1e-5),
            micro_batch_tokens=args.micro_batch_tokens,
            seed=args.seed,
        ),
        grounding=ImitationConfig(steps=args.grounding, batch=64, lr=2e-3, seed=args.seed) if args.grounding else None,
        pictures=args.pictures,
        demonstrations=args.demonstrations,
        habits=Habits(
            tool_rate_none=args.tool_rate_none,
            tool_rate_required=args.tool_rate_required,
            look=64 if is_tiny else 640,
        ),
        lora=None if is_tiny else args.lora,
        data=tuple(args.cold_start_data),
        train_vision=is_tiny or args.train_vision,
    )


def _defaults(given: argparse.Namespace) -> dict[str, object]:
    return defaults_for(given.sized or given.model, given.taskset)


def _ranks(parallel: str) -> Ranks:
    """The ranks that torchrun started; one without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return ShardedRanks() if parallel == "fsdp" else Ranks()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym train",
        description="Train a Qwen3-VL by a reward design: cold start, then RL. Numbers that are not given depend on "
        "the model: the published settings of arXiv 2604.08545, or small ones for `tiny`.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the run")
    add("--resume", action="store_true", help="go on after the last checkpoint in --out")
    add("--seed", type=int, default=0)
    add("--model", default=TINY, help='"tiny", a folder, or a checkpoint such as Qwen/Qwen3-VL-8B-Instruct')
    add("--sized", choices=(TINY, "published"), help="whose defaults the numbers below have (the model's)")
    add("--lora", type=int, metavar="RANK", help="train LoRA of this rank in the language model")
    add("--train-vision", action="store_true", help="train the vision tower, too")
    add("--dtype", choices=("float32", "bfloat16"), help="default: bfloat16 on a GPU, float32 on a CPU")
    add("--device", default="auto")
    add("--threads", type=int, help="CPU threads of torch")
    add("--random-weights", action="store_true", help="take the checkpoint's configuration only, for measurements")
    add("--gradient-checkpointing", action="store_true")

    group = parser.add_argument_group("environment")
    add = group.add_argument
    add("--env", default="MetisVQA-v0")
    add("--taskset", default="patches", help='"mixture", "signs+sums", "parquet:train.parquet" (default: %(default)s)')
    add("--view-size", type=int)
    add("--max-source", type=int)
    add("--answers", default="open", choices=("open", "choice", "mixed"))
    add("--tools", help="names joined by + (default: those that the taskset's tasks are made for)")
    add("--dialect", default="metis")
    add("--sandbox", default="auto")
    add("--max-turns", type=int, default=10)
    add("--grader-noise", type=float, default=0.0, help="share of verdicts flipped while training")

    group = parser.add_argument_group("learning")
    add = group.add_argument
    add("--design", default="hdpo", help='reward design: "hdpo:w_tool=0.15", "coupled:alpha=0.1", … (%(default)s)')
    add("--batches", type=int)
    add("--tasks", type=int, help="tasks in a batch of one rank")
    add("--group-size", type=int, help="episodes of each task")
    add("--minibatches", type=int)
    add("--epochs", type=int, default=1)
    add("--lr", type=float)
    add("--surrogate", default="ppo_clip")
    add("--denominator", default="all")
    add("--aggregation", default="token-mean", help="token-mean or sequence-mean")
    add("--kl", type=float, default=0.0, help="weight of the KL penalty towards the start; needs --lora")
    add("--entropy", type=float, default=0.0)
    add("--importance-cap", type=float, help="cap of truncated importance sampling, for engines that differ")
    add("--temperature", type=float, default=1.0)
    add("--micro-batch-tokens", type=int)
    add(
        "--rounding", choices=ROUNDINGS, default="nearest", help="of bfloat16 weights: with float32 masters, or without"
    )
    add("--parallel", choices=("ddp", "fsdp"), default="ddp", help="what the ranks of torchrun share")

    group = parser.add_argument_group("episodes")
    add = group.add_argument
    add("--engine", choices=("transformers", "vllm"), default="transformers")
    add("--capacity", type=int, help="episodes played at a time")
    add("--workers", type=int, default=8, help="threads for environments and tools")
    add("--exact", action="store_true", help="wait for all tools in each turn: runs are the same to the last bit")
    add("--share-results", action="store_true", help="run the same first calls on the same task once")
    for name in ("prompt", "response", "turn", "observation"):
        add(f"--{name}-tokens", type=int)

    group = parser.add_argument_group("cold start")
    add = group.add_argument
    add("--cold-start", type=int, metavar="STEPS", help="optimiser steps of imitation; 0 for none")
    add("--cold-start-data", nargs="*", default=[], metavar="PATH", help="recorded runs and chat JSONL to imitate")
    add("--cold-start-batch", type=int, default=16)
    add("--grounding", type=int, metavar="STEPS", help="steps in which a model with random weights learns to see")
    add("--cold-start-lr", type=float)
    add("--pictures", type=int, default=8_000, help="pictures that it looks at for that")
    add("--demonstrations", type=int, default=2_500, help="tasks that are demonstrated")
    add("--tool-rate-none", type=float, default=0.955, help="calls of the clone where no tool is needed")
    add("--tool-rate-required", type=float, default=0.995, help="calls of the clone where one is")

    group = parser.add_argument_group("reports")
    add = group.add_argument
    add("--evaluate-every", type=int, default=20)
    add("--episodes", type=int, default=256, help="of an evaluation")
    add("--samples", type=int, default=4, help="recorded episodes of an evaluation")
    add("--save-every", type=int, default=20)
    add("--wandb", default="", metavar="PROJECT")
    return parser
