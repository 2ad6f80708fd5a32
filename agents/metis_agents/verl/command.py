"""`metis-gym verl` writes verl's command line and runs it; `metis-gym verl-check` says whether verl knows our parts."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from metis_agents.verl.settings import VerlSettings
from metis_gym.errors import ConfigError
from metis_gym.specs import parse_pairs
from metis_gym.terminal import say

__all__ = ["overrides", "verl_check_command", "verl_command"]

_MODES = ("sync", "colocate_async", "separate_async")
_NO_DUAL_CLIP = 1e9
"""verl's dual clip is on at 3 and cannot be switched off; no ratio reaches this bound."""


def verl_command(argv: Sequence[str]) -> int:
    """Print verl's command line, and run it."""
    given = _parser().parse_args(argv)
    strange = [word for word in given.overrides if "=" not in word]
    if strange:
        raise ConfigError(f"Expect overrides of verl as key=value, actually: {' '.join(strange)}")
    words = [sys.executable, "-m", "verl.trainer.main_ppo", *overrides(given), *given.overrides]
    say(shlex.join(words))
    if given.dry_run:
        return 0
    from metis_agents.verl.check import check

    broken = [finding for finding in check() if not finding.is_right]
    if broken:
        raise ConfigError(f"verl does not know our parts ({broken[0].what}): run `metis-gym verl-check`")
    return subprocess.call(words)


def verl_check_command(argv: Sequence[str]) -> int:
    """Print what verl knows of ours; 1 where something is missing."""
    argparse.ArgumentParser(
        prog="metis-gym verl-check",
        description="Check that verl finds the parts of metis-gym, and show why it does not.",
    ).parse_args(argv)
    from metis_agents.verl.check import check

    findings = check()
    for finding in findings:
        say(f"{'ok' if finding.is_right else 'NO'}  {finding.what}: {finding.detail}")
    return 0 if all(finding.is_right for finding in findings) else 1


def overrides(given: argparse.Namespace) -> list[str]:
    """The overrides of verl for what was asked for.

    Raises:
        ConfigError: A value is not valid, or the batch is no multiple of the mini-batch.
    """
    if given.tasks % given.minibatch:
        raise ConfigError(f"--tasks ({given.tasks}) must be divisible by --minibatch ({given.minibatch})")
    settings = VerlSettings(
        env_id=given.env,
        env=_environment(given),
        design=given.design,
        seed=given.seed,
        tasks=given.tasks * given.batches,
        turn_tokens=given.turn_tokens,
        observation_tokens=given.observation_tokens,
        threads=given.threads,
        episodes=given.episodes,
    )
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    values = {
        "algorithm.adv_estimator": "metis",
        "algorithm.use_kl_in_reward": False,
        "trainer.v1.trainer_mode": f"metis_{given.mode}",
        "data.custom_cls.path": "pkg://metis_agents.verl.tasks",
        "data.custom_cls.name": "MetisTasks",
        "data.train_files": "train",
        "data.val_files": "test",
        "data.train_batch_size": given.tasks,
        "data.max_prompt_length": given.prompt_tokens,
        "data.max_response_length": given.response_tokens,
        "actor_rollout_ref.model.path": given.model,
        f"{actor}.ppo_mini_batch_size": given.minibatch,
        f"{actor}.policy_loss.loss_mode": "metis_two_channel",
        f"{actor}.loss_agg_mode": "token-mean",
        f"{actor}.clip_ratio": given.clip,
        f"{actor}.clip_ratio_c": _NO_DUAL_CLIP,
        f"{actor}.use_kl_loss": False,
        f"{actor}.entropy_coeff": 0.0,
        f"{actor}.optim.lr": given.lr,
        f"{rollout}.name": given.engine,
        f"{rollout}.n": given.group_size,
        f"{rollout}.agent.default_agent_loop": "metis",
        f"{rollout}.tensor_model_parallel_size": given.tensor_parallel,
        f"{rollout}.calculate_log_probs": True,
        "trainer.nnodes": given.nodes,
        "trainer.n_gpus_per_node": given.gpus,
        "trainer.total_training_steps": given.batches,
    }
    return [f"{name}={value}" for name, value in values.items()] + [f"+data.metis={_quoted(settings.as_text())}"]


def _quoted(text: str) -> str:
    """A text as hydra reads it: in single quotes, with a backslash before each inner one."""
    escaped = text.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"'{escaped}'"


def _environment(given: argparse.Namespace) -> dict[str, Any]:
    taskset = {"taskset": given.taskset} if given.taskset else {}
    return {**taskset, **parse_pairs(given.set)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym verl",
        allow_abbrev=False,
        description="Train with verl on one or many nodes. The defaults are the published settings of arXiv "
        "2604.08545.",
    )
    add = parser.add_argument
    add("--model", default="Qwen/Qwen3-VL-8B-Instruct", help="(default: %(default)s)")
    add("--design", default="hdpo", help="reward design (default: %(default)s)")
    add("--env", default="MetisVQA-v0", help="environment id (default: %(default)s)")
    add("--taskset", default="mixture", help="what to play (default: %(default)s)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another argument of the environment, as JSON or text",
    )
    add("--nodes", type=int, default=1, help="machines of the Ray cluster (default: %(default)s)")
    add("--gpus", type=int, default=8, help="GPUs of each machine (default: %(default)s)")
    add("--tensor-parallel", type=int, default=1, help="GPUs that share one copy while writing (default: %(default)s)")
    add("--mode", default="sync", choices=_MODES, help="which trainer of verl (default: %(default)s)")
    add("--engine", default="vllm", choices=("vllm", "sglang"), help="what writes (default: %(default)s)")
    add("--batches", type=int, default=200, help="(default: %(default)s)")
    add("--tasks", type=int, default=128, help="tasks of a batch (default: %(default)s)")
    add("--minibatch", type=int, default=64, help="tasks of an optimiser step (default: %(default)s)")
    add("--group-size", type=int, default=16, help="episodes of a task (default: %(default)s)")
    add("--lr", type=float, default=1e-6, help="(default: %(default)s)")
    add("--clip", type=float, default=0.2, help="how far a ratio may move (default: %(default)s)")
    add("--prompt-tokens", type=int, default=24_576, help="(default: %(default)s)")
    add("--response-tokens", type=int, default=16_384, help="all turns and observations (default: %(default)s)")
    add("--turn-tokens", type=int, help="one turn (default: as long as the response)")
    add("--observation-tokens", type=int, default=8_192, help="(default: %(default)s)")
    add("--threads", type=int, default=8, help="threads for environments in each worker (default: %(default)s)")
    add("--episodes", type=int, default=64, help="most episodes of a worker at a time (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the tasks (default: %(default)s)")
    add("--dry-run", action="store_true", help="print the command line only")
    add("overrides", nargs="*", metavar="key=value", help="overrides of verl's own configuration")
    return parser
