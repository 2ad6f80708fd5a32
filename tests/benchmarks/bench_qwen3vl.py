"""Rollouts and training steps of the tiny Qwen3-VL beside the plain way, in one process, in turn, in CPU time.

* Rollouts: 4 tasks × 16 episodes of two turns with a returned picture. Beside a loop around transformers' `generate`
  that starts every turn anew and runs until the longest turn of the batch has ended, as trainers without a kept cache
  do. Turn lengths are the same on both sides; environments and tools take no part.
* A training step on the same 64 conversations (forward and backward pass): beside transformers' own forward pass over
  padded rows, with every row's prompt and pictures encoded again and logits at every place.

Prints one line each, with the peak of memory that the step's tensors took. Ratios, never seconds, are what is claimed.
"""

import dataclasses
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "agents" / "qwen3vl"))

import numpy as np
import torch
from qwen_toys import equipment, make_env

from metis_agents.qwen3vl.engine import TurnRequest
from metis_agents.qwen3vl.network import Network
from metis_agents.qwen3vl.scoring import Scorer
from metis_agents.qwen3vl.transformers_engine import TransformersEngine

TASKS, GROUP_SIZE, PAIRS = 4, 16, 7
FIRST, SECOND = (24, 72), (8, 24)
"""Shortest and longest first and second turn, in tokens."""


def endless(kit):
    """The same model without tokens that end a turn, so that lengths are what is asked for."""
    vocabulary = kit.network.vocabulary
    forbidden = vocabulary.is_forbidden_V.clone()
    forbidden[sorted(vocabulary.stops)] = True
    vocabulary = dataclasses.replace(vocabulary, stops=frozenset(), is_forbidden_V=forbidden)
    return Network(kit.model, kit.network.encoder, vocabulary)


def prompts_and_returns(kit):
    """A prompt for each task, and what a tool returned in it: a text and a picture."""
    env = make_env(view_size=128)
    found = []
    for seed in range(TASKS):
        observation, _ = env.reset(seed=seed)
        prompt = kit.renderer.prompt(observation["system"], observation["text"], observation["images"])
        picture = env.unwrapped.episode.task.images[0].source[:128, :128]
        found.append((prompt, kit.renderer.observation("Images:\n<image>", [np.array(picture)], is_closed=False)))
    return found


def turn_lengths():
    random = np.random.default_rng(0)
    size = TASKS * GROUP_SIZE
    return random.integers(*FIRST, size).tolist(), random.integers(*SECOND, size).tolist()


def our_rollouts(kit, network, tasks, features):
    """Both turns of all episodes; their conversations."""
    first, second = turn_lengths()
    engine = TransformersEngine(network, features=features)
    engine.refresh()
    features.refresh()
    conversations = {index: tasks[index // GROUP_SIZE][0] for index in range(TASKS * GROUP_SIZE)}
    for lengths in (first, second):
        engine.submit(
            [TurnRequest(episode=i, tokens=t, max_tokens=lengths[i], seed=i) for i, t in conversations.items()]
        )
        while not engine.is_idle:
            for turn in engine.step():
                written = kit.renderer.written(turn.ids, turn.logprobs)
                conversations[turn.episode] = conversations[turn.episode].then(written)
        if lengths is first:
            conversations = {i: t.then(tasks[i // GROUP_SIZE][1]) for i, t in conversations.items()}
    return [conversations[index] for index in range(TASKS * GROUP_SIZE)]


def inputs(kit, conversations):
    """What transformers' model takes: rows padded on the left, the pictures of every row."""
    longest = max(map(len, conversations))
    pad = kit.tokenizer.pad_token_id
    ids = torch.full((len(conversations), longest), pad)
    for row, tokens in enumerate(conversations):
        ids[row, longest - len(tokens) :] = torch.from_numpy(tokens.ids_T)
    pictures = [picture for tokens in conversations for picture in tokens.pictures]
    patches, grids = kit.network.encoder.patches(pictures, torch.device("cpu"))
    is_picture = (ids == kit.network.vocabulary.picture).int()
    return {
        "input_ids": ids,
        "attention_mask": (torch.arange(longest) >= longest - torch.tensor([[len(t)] for t in conversations])).long(),
        "pixel_values": patches,
        "image_grid_thw": grids,
        "mm_token_type_ids": is_picture,
    }


def their_rollouts(kit, network, tasks):
    """The same by `generate`, each turn from the beginning, to the longest turn of the batch."""
    first, second = turn_lengths()
    never = network.vocabulary.is_forbidden_V.nonzero()[:, 0].tolist()
    conversations = [tasks[index // GROUP_SIZE][0] for index in range(TASKS * GROUP_SIZE)]
    for lengths in (first, second):
        given = inputs(kit, conversations)
        with torch.no_grad():
            written = kit.model.generate(
                **given,
                max_new_tokens=max(lengths),
                min_new_tokens=max(lengths),
                do_sample=True,
                top_k=0,
                suppress_tokens=never,
                pad_token_id=kit.tokenizer.pad_token_id,
            )[:, given["input_ids"].shape[1] :]
        turns = [kit.renderer.written(row[:n].tolist(), [0.0] * n) for row, n in zip(written, lengths, strict=True)]
        conversations = [t.then(turn) for t, turn in zip(conversations, turns, strict=True)]
        if lengths is first:
            conversations = [t.then(tasks[index // GROUP_SIZE][1]) for index, t in enumerate(conversations)]
    return conversations


def our_step(scorer, conversations):
    scorer.zero_grad(set_to_none=True)
    scorer.network.model.zero_grad(set_to_none=True)
    scorer(conversations).logprobs_N.mean().backward()


def their_step(kit, conversations):
    kit.model.zero_grad(set_to_none=True)
    given = inputs(kit, conversations)
    logits = kit.model(**given, use_cache=False).logits.float()
    logprobs = torch.log_softmax(logits[:, :-1], -1).gather(-1, given["input_ids"][:, 1:, None])[..., 0]
    longest = given["input_ids"].shape[1]
    is_model_token = torch.zeros_like(given["input_ids"], dtype=torch.bool)
    for row, tokens in enumerate(conversations):
        is_model_token[row, longest - len(tokens) :] = torch.from_numpy(tokens.is_model_token_T)
    logprobs[is_model_token[:, 1:]].mean().backward()


def ratios(theirs, ours, pairs=PAIRS):
    """CPU time of theirs over ours, one for each pair."""
    found = []
    for pair in range(pairs + 1):
        taken = {}
        for way in (theirs, ours) if pair % 2 else (ours, theirs):
            started = time.process_time()
            way()
            taken[way] = time.process_time() - started
        found.append(taken[theirs] / taken[ours])
    return found[1:]


def peak_mebibytes(step):
    """Most memory that tensors made in a step held at a time."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        step()
    held = peak = 0
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak / 2**20


def main():
    """Print both lines."""
    torch.set_num_threads(1)
    kit = equipment()
    network, features = endless(kit), kit.features
    tasks = prompts_and_returns(kit)
    conversations = our_rollouts(kit, network, tasks, features)
    scorer = Scorer(network, features=features)
    rollout = ratios(lambda: their_rollouts(kit, network, tasks), lambda: our_rollouts(kit, network, tasks, features))
    step = ratios(lambda: their_step(kit, conversations), lambda: our_step(scorer, conversations))
    theirs, ours = (
        peak_mebibytes(lambda: their_step(kit, conversations)),
        peak_mebibytes(lambda: our_step(scorer, conversations)),
    )
    tokens = sum(tokens.model_tokens for tokens in conversations)
    for what, found in (("rollouts", rollout), ("a training step", step)):
        low, _, high = statistics.quantiles(found, n=4)
        sys.stdout.write(
            f"qwen3vl: {what}: {statistics.median(found):.2f} times as fast as the plain way (median of {len(found)} "
            f"pairs, quartiles {low:.2f} to {high:.2f}; {len(conversations)} episodes, {tokens} sampled tokens)\n"
        )
    sys.stdout.write(f"qwen3vl: a training step holds {ours:.0f} MiB at most, the plain way {theirs:.0f} MiB\n")


if __name__ == "__main__":
    main()
