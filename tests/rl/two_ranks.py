"""Two gloo processes train on one batch; each writes its parameters and reports. Run by test_ranks.py.

Usage: python two_ranks.py FOLDER [lost]; with `lost` the second rank is killed, and the first writes what it was told.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hdpo_toys import Replay, ToyPolicy, toy_groups, toy_rollout

from metis_agents.rl import LossConfig, Ranks, Trainer, TrainerConfig
from metis_gym.errors import RankLostError

CASES = {
    "hdpo": ("hdpo", {}),
    "qualifying": ("hdpo", {"denominator": "qualifying", "surrogate": "gspo", "aggregation": "sequence-mean"}),
    "whitened": ("gdpo", {}),
    "memory": ("otc", {"surrogate": "cispo"}),
    "price": ("lagrangian", {}),
}


def groups_of(case):
    """Four groups; with "uneven" the last two, the second rank's, have no signal at all."""
    groups = toy_groups(np.random.default_rng(21), tasks=4, size=5)
    if case == "uneven":
        random = np.random.default_rng(4)
        groups[2] = [toy_rollout(random, "hopeless", right=False) for _ in range(5)]
        groups[3] = [toy_rollout(random, "broken", scored=False) for _ in range(5)]
    return groups


def train(case, groups, ranks):
    """Three batches of two epochs."""
    design, options = CASES.get(case, CASES["hdpo"])
    policy = ToyPolicy()
    config = TrainerConfig(
        tasks=len(groups), group_size=5, minibatches=1, epochs=2, micro_batch_episodes=4, loss=LossConfig(**options)
    )
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    trainer = Trainer(policy, Replay(groups), design, config, optimizer=optimizer, ranks=ranks)
    reports = trainer.train(3)
    return trainer, reports


def summary(trainer, reports):
    """What must be the same on one rank and on two."""
    parameters = torch.cat([p.detach().flatten() for p in trainer.policy.parameters()])
    return {
        "parameters": parameters.tolist(),
        "updates": [update.flat() for report in reports for update in report.updates],
        "batch": [vars(report.batch) for report in reports],
        "design": trainer.design.state_dict(),
    }


def worker(rank, folder):
    """One of the two processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    for case in (*CASES, "uneven"):
        mine = groups_of(case)[2 * rank : 2 * rank + 2]
        trainer, reports = train(case, mine, Ranks())
        Path(folder, f"{case}.{rank}.json").write_text(json.dumps(summary(trainer, reports)))
    dist.barrier()
    os._exit(0)  # gloo's own teardown aborts once in a while, after the work is done


def bereaved(rank, folder, operation):
    """Rank 1 dies between two operations; rank 0 must be told so by the next."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/{operation}", rank=rank, world_size=2)
    ranks = Ranks()
    ranks.gather(None)
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        ranks.gather(None) if operation == "gather" else ranks.sum_gradients(ToyPolicy().parameters())
    except RankLostError as error:
        Path(folder, f"{operation}.txt").write_text(str(error))
    os._exit(0)


if __name__ == "__main__":
    # Forked, before anything has been computed: imports take longer than all that follows.
    if len(sys.argv) == 2:
        mp.start_processes(worker, args=(sys.argv[1],), nprocs=2, start_method="fork")
    else:
        context = mp.get_context("fork")
        for operation in ("gather", "sum_gradients"):
            both = [context.Process(target=bereaved, args=(rank, sys.argv[1], operation)) for rank in (0, 1)]
            for process in both:
                process.start()
            for process in both:
                process.join(60)
