"""Two gloo processes train the tiny model; each writes what it moved. Run by test_training.py.

Usage: python two_qwen_ranks.py FOLDER
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from qwen_toys import SCRIPT, ScriptedEngine, equipment, player

from metis_agents.qwen3vl.rollouts.collector import EpisodeCollector
from metis_agents.qwen3vl.train.policy import Qwen3VLPolicy
from metis_agents.rl import Ranks, Trainer, TrainerConfig


def train(tasks, ranks):
    """One batch; the gradient is what the ranks have summed, before any step."""
    kit = equipment()
    acting = player(kit, ScriptedEngine(kit.tokenizer, SCRIPT))  # the same tokens, whatever the rounding
    policy = Qwen3VLPolicy(kit.scorer)
    config = TrainerConfig(tasks=tasks, group_size=3, minibatches=1, max_grad_norm=None)
    learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    trainer = Trainer(
        policy,
        EpisodeCollector(acting, seed=1, ranks=ranks),
        "hdpo",
        config,
        optimizer=torch.optim.SGD(learning, lr=1e-2),
        ranks=ranks,
        cut=policy.cut,
    )
    groups = trainer.collector.collect(tasks, 3)
    trainer.learn([[judged(rollout, member) for member, rollout in enumerate(group)] for group in groups])
    after = torch.cat([parameter.detach().flatten() for parameter in learning])
    acting.close()
    return {
        "parameters": after.tolist(),
        "gradient": torch.cat([parameter.grad.flatten() for parameter in learning]).tolist(),
        "tasks": [group[0].outcome.task_id for group in groups],
    }


def judged(rollout, member):
    """Scripted answers are right by chance: here two of each group are called right, with calls that differ."""
    outcome = dataclasses.replace(rollout.outcome, answer_score=float(member < 2))
    return dataclasses.replace(rollout, outcome=outcome)


def worker(rank, folder):
    """One of the two processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    Path(folder, f"{rank}.json").write_text(json.dumps(train(2, Ranks())))
    dist.barrier()
    os._exit(0)  # gloo's own teardown aborts once in a while, after the work is done


if __name__ == "__main__":
    ranks = mp.start_processes(worker, args=(sys.argv[1],), nprocs=2, join=False, start_method="fork")
    Path(sys.argv[1], "one.json").write_text(json.dumps(train(4, Ranks())))
    while not ranks.join():
        pass
