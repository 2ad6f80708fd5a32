"""Rollouts and training steps of the tiny Qwen3-VL beside the plain way, in one process, in turn, in CPU time.

* Rollouts: 4 tasks × 16 episodes of two turns with a returned image. Beside a loop around transformers' `generate`
  that starts every turn anew and runs until the longest turn of the batch has ended, as trainers without a kept cache
  do. Turn lengths are the same on both sides; environments and tools take no part.
* A training step on the same 64 conversations (forward and backward pass): beside transformers' own forward pass over
  padded rows, with every row's prompt and images encoded again and logits at every place.
* A whole update of GRPO on them (advantages or loss, gradients, clipping, AdamW): beside TRL's GRPOTrainer, which is
  given the same conversations and advantages. The two gradients are compared first: they must be the same one.

Prints one line each, with the peak of memory that the step's tensors took. Ratios, never seconds, are what is claimed.
"""

import copy
import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "agents" / "qwen3vl"))

import numpy as np
import torch
from qwen_toys import equipment, make_env

from metis_agents.qwen3vl.model.network import Network
from metis_agents.qwen3vl.model.scoring import Scorer
from metis_agents.qwen3vl.rollouts.engine import TurnRequest
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.train.policy import Qwen3VLPolicy
from metis_agents.rl import Rollout, Trainer, TrainerConfig
from metis_agents.rl.batch import compute_channels
from metis_agents.rl.distributed import Ranks
from metis_gym import rewards
from metis_gym.records import Outcome

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
    """A prompt for each task, and what a tool returned in it: a text and an image."""
    env = make_env(view_size=128)
    found = []
    for seed in range(TASKS):
        observation, _ = env.reset(seed=seed)
        prompt = kit.renderer.prompt(observation["system"], observation["text"], observation["images"])
        image = env.unwrapped.episode.task.images[0].source[:128, :128]
        found.append((prompt, kit.renderer.observation("Images:\n<image>", [np.array(image)], is_closed=False)))
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
    """What transformers' model takes: rows padded on the left, the images of every row."""
    longest = max(map(len, conversations))
    pad = kit.tokenizer.pad_token_id
    ids = torch.full((len(conversations), longest), pad)
    for row, tokens in enumerate(conversations):
        ids[row, longest - len(tokens) :] = torch.from_numpy(tokens.ids_T)
    images = [image for tokens in conversations for image in tokens.images]
    patches, grids = kit.network.encoder.patches(images, torch.device("cpu"))
    is_image = (ids == kit.network.vocabulary.image).int()
    return {
        "input_ids": ids,
        "attention_mask": (torch.arange(longest) >= longest - torch.tensor([[len(t)] for t in conversations])).long(),
        "pixel_values": patches,
        "image_grid_thw": grids,
        "mm_token_type_ids": is_image,
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


def groups_of(conversations):
    """The conversations as groups of episodes, every second one correct."""
    rollouts = [
        Rollout(
            outcome=Outcome(
                task_id=str(index // GROUP_SIZE), answer_score=float(index % 2), format_score=1.0, tool_calls=1
            ),
            model_tokens=tokens.model_tokens,
            payload=tokens,
            length=len(tokens),
        )
        for index, tokens in enumerate(conversations)
    ]
    return [rollouts[start : start + GROUP_SIZE] for start in range(0, len(rollouts), GROUP_SIZE)]


class TrlUpdate:
    """One update of TRL's GRPOTrainer on given conversations, by its own `training_step`."""

    def __init__(self, kit, conversations, advantages_N, folder):
        import trl
        from datasets import Dataset

        self.version = trl.__version__
        arguments = trl.GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=len(conversations),
            num_generations=GROUP_SIZE,
            loss_type="bnpo",
            beta=0.0,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
        )
        self.trainer = trl.GRPOTrainer(
            model=copy.deepcopy(kit.model),
            reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": ["?"] * len(conversations)}),
            processing_class=kit.tokenizer,
        )
        self.trainer._prepare_inputs = lambda batch: batch  # the batch is given; nothing is to be sampled
        self.trainer.current_gradient_accumulation_steps = 1
        self.parameters = [p for p in self.trainer.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-6)
        self.batch = self._batch(kit, conversations, advantages_N)

    def gradients(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.trainer.training_step(self.trainer.model, self.batch, len(self.batch["prompt_ids"]))

    def __call__(self):
        self.gradients()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()

    def _batch(self, kit, conversations, advantages_N):
        """Prompts padded on the left, completions on the right, as the trainer makes them."""
        starts = [int(np.argmax(tokens.is_model_token_T)) for tokens in conversations]
        prompt, longest = max(starts), max(len(t) - start for t, start in zip(conversations, starts, strict=True))
        shape = (len(conversations), prompt + longest)
        ids, is_there, is_own = torch.full(shape, kit.tokenizer.pad_token_id), torch.zeros(shape), torch.zeros(shape)
        for row, (tokens, start) in enumerate(zip(conversations, starts, strict=True)):
            place = slice(prompt - start, prompt - start + len(tokens))
            ids[row, place], is_there[row, place] = torch.from_numpy(tokens.ids_T), 1
            is_own[row, place] = torch.from_numpy(tokens.is_model_token_T).float()
        images = [image for tokens in conversations for image in tokens.images]
        patches, grids = kit.network.encoder.patches(images, torch.device("cpu"))
        return {
            "prompt_ids": ids[:, :prompt],
            "prompt_mask": is_there[:, :prompt].long(),
            "completion_ids": ids[:, prompt:],
            "completion_mask": is_there[:, prompt:].long(),
            "tool_mask": is_own[:, prompt:].long(),
            "advantages": torch.tensor(advantages_N, dtype=torch.float32),
            "pixel_values": patches,
            "image_grid_thw": grids,
            "num_images": [len(tokens.images) for tokens in conversations],
            "mm_token_type_ids": (ids == kit.network.vocabulary.image).int(),
        }


def beside_trl(kit, features, conversations):
    """CPU times of TRL's update over ours, the most memory of both, and what was compared."""
    groups = groups_of(conversations)
    channel = compute_channels(groups, rewards.make("accuracy"), Ranks()).channels[0]
    # Its forward pass knows no forbidden tokens, so ours is compared without any.
    vocabulary = kit.network.vocabulary
    vocabulary = dataclasses.replace(vocabulary, is_forbidden_V=torch.zeros_like(vocabulary.is_forbidden_V))
    network = Network(kit.model, kit.network.encoder, vocabulary)
    config = TrainerConfig(tasks=TASKS, group_size=GROUP_SIZE, minibatches=1, lr=1e-6, max_grad_norm=1.0)
    ours = Trainer(Qwen3VLPolicy(Scorer(network, features=features)), None, "accuracy", config)
    with tempfile.TemporaryDirectory() as folder:
        theirs = TrlUpdate(kit, conversations, channel.advantages, folder)
        theirs.gradients()
        gradient = torch.cat([p.grad.flatten() for p in theirs.parameters])
        ours.learn(groups)
        same = torch.cat([p.grad.flatten() for p in kit.model.parameters() if p.requires_grad])
        apart = float((gradient / gradient.norm() - same / same.norm()).norm())
        memory = peak_mebibytes(theirs), peak_mebibytes(lambda: ours.learn(groups))
        what = f"GRPOTrainer of TRL {theirs.version} (gradients {apart:.0e} apart)"
        return ratios(theirs, lambda: ours.learn(groups)), memory, what


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
    update, held, trl = beside_trl(kit, features, conversations)
    for what, other, found in (
        ("rollouts", "the plain way", rollout),
        ("a training step", "the plain way", step),
        ("an update", trl, update),
    ):
        low, _, high = statistics.quantiles(found, n=4)
        sys.stdout.write(
            f"qwen3vl: {what}: {statistics.median(found):.2f} times as fast as {other} (median of {len(found)} "
            f"pairs, quartiles {low:.2f} to {high:.2f}; {len(conversations)} episodes, {tokens} sampled tokens)\n"
        )
    sys.stdout.write(f"qwen3vl: a training step holds {ours:.0f} MiB at most, the plain way {theirs:.0f} MiB\n")
    sys.stdout.write(f"qwen3vl: an update holds {held[1]:.0f} MiB at most, {trl} {held[0]:.0f} MiB\n")


if __name__ == "__main__":
    main()
