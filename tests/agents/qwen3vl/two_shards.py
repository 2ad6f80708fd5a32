"""Two gloo processes train the tiny model sharded, save, and go on from the checkpoint. Run by test_sharding.py.

Usage: python two_shards.py FOLDER PART…, of "imitation", "full", "lora"; with "resume", checkpoints are gone on from.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from qwen_toys import SCRIPT, ScriptedEngine, equipment, played_conversations, player
from two_qwen_ranks import judged

from metis_agents.qwen3vl.model.sharding import (
    ShardedPolicy,
    ShardedRanks,
    playing_copy,
    read_sharded,
    shard,
    take_up_weights,
    write_sharded,
)
from metis_agents.qwen3vl.rollouts.collector import EpisodeCollector
from metis_agents.qwen3vl.sft.demonstrations import Example
from metis_agents.qwen3vl.sft.sft import SFTConfig, fine_tune
from metis_agents.qwen3vl.train.checkpoints import Checkpoints
from metis_agents.qwen3vl.train.policy import Qwen3VLPolicy
from metis_agents.rl import Ranks, Trainer, TrainerConfig


class Judged(EpisodeCollector):
    """Calls two of three episodes right."""

    def collect(self, tasks, group_size):
        groups = super().collect(tasks, group_size)
        return [[judged(rollout, member) for member, rollout in enumerate(group)] for group in groups]


def setup(tasks, lora, ranks=None):
    """A trainer of its own; sharded, where ranks are given. Adam with a large ε: steps follow gradients smoothly."""
    kit = equipment(lora=lora)
    playing = playing_copy(kit.model)
    acting = player(kit, ScriptedEngine(kit.tokenizer, SCRIPT))
    if ranks is not None:
        shard(kit.scorer)
        # The ranks cut their episodes into two and into three pieces.
        policy = ShardedPolicy(kit.scorer, ranks, micro_batch_episodes=4 - 2 * ranks.rank)
    else:
        policy = Qwen3VLPolicy(kit.scorer, micro_batch_episodes=4)
    config = TrainerConfig(tasks=tasks, group_size=3, minibatches=1)
    learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    trainer = Trainer(
        policy,
        Judged(acting, seed=1, ranks=ranks),
        "hdpo",
        config,
        optimizer=torch.optim.AdamW(learning, lr=1e-2, eps=1e-2),
        ranks=ranks,
        cut=policy.cut,
    )
    return trainer, kit, playing, acting


def imitated(ranks):
    """The weights after three steps of SFT; every rank has other conversations, and not as many pieces."""
    kit = equipment()
    playing = playing_copy(kit.model)
    conversations = played_conversations(kit, tasks=2, group_size=3)
    units = [(Example(tokens, np.ones(tokens.model_tokens, dtype=np.float32)),) for tokens in conversations]
    mine = units[ranks.rank :: ranks.size]
    if ranks.size > 1:
        shard(kit.scorer)
    limit = None if ranks.rank else 200
    config = SFTConfig(steps=3, batch=6 // ranks.size, lr=1e-3, micro_batch_tokens=limit)
    fine_tune(kit.scorer, mine, config, ranks=ranks)
    return weights(kit, playing)


def weights(kit, playing):
    take_up_weights(kit.model, playing)
    names = [name for name, parameter in kit.model.named_parameters() if parameter.requires_grad]
    whole = dict(playing.named_parameters())
    return torch.cat([whole[name].flatten() for name in names]).tolist()


TRAINED = {"full": None, "lora": 4}


def worker(rank, folder, parts):
    """One of the two processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    said = {}
    if "imitation" in parts:
        said["imitation"] = imitated(ShardedRanks())
    for name in filter(parts.__contains__, TRAINED):
        checkpoints = Checkpoints(Path(folder, name))
        trainer, kit, playing, acting = setup(2, TRAINED[name], ShardedRanks())
        trainer.train(1)
        if "resume" in parts:
            write_sharded(checkpoints, trainer, kit.scorer, Ranks())
        trainer.train(1)
        said[name] = {"whole": weights(kit, playing)}
        acting.close()
        if "resume" in parts:
            trainer, kit, playing, acting = setup(2, TRAINED[name], ShardedRanks())
            read_sharded(checkpoints, trainer, kit.scorer)
            said[name]["done"] = trainer.batches_done
            trainer.train(1)
            said[name]["resumed"] = weights(kit, playing)
            acting.close()
    if rank == 0:
        for name, told in said.items():
            Path(folder, f"{name}.json").write_text(json.dumps(told))
    dist.barrier()
    os._exit(0)  # gloo's own teardown aborts once in a while, after the work is done


def alone(folder, parts):
    """The same by one process."""
    if "imitation" in parts:
        kit = equipment()
        start = weights(kit, playing_copy(kit.model))
        Path(folder, "imitation.one.json").write_text(json.dumps({"start": start, "end": imitated(Ranks())}))
    for name in filter(parts.__contains__, TRAINED):
        trainer, kit, playing, acting = setup(4, TRAINED[name])
        start = weights(kit, playing)
        trainer.train(2)
        one = {"start": start, "end": weights(kit, playing)}
        Path(folder, f"{name}.one.json").write_text(json.dumps(one))
        acting.close()


if __name__ == "__main__":
    folder, *parts = sys.argv[1:]
    # Forked, before anything has been computed: imports take longer than all that follows.
    ranks = mp.start_processes(worker, args=(folder, parts), nprocs=2, join=False, start_method="fork")
    alone(folder, parts)
    while not ranks.join():
        pass
