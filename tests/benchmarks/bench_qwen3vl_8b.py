"""Qwen3-VL-8B at full size with random weights on one GPU: does it fit, how fast is it, what does the GPU wait for?

python tests/benchmarks/bench_qwen3vl_8b.py               LoRA, then every weight of the language model
python tests/benchmarks/bench_qwen3vl_8b.py --only lora   one of the two; `--only full` is the other
python tests/benchmarks/bench_qwen3vl_8b.py --rehearse    the same lines with a tiny model on any machine; says nothing

One group of 16 episodes: a prompt with an image, four turns, a returned image after each but the last, 16,384 tokens
in all. Rollouts write `--written` of them (the rest is given); the update trains on all. No checkpoint is needed: the
configuration is written out here, the tokenizer is that of the tiny model.

The last line is all of it as JSON. Beside a CUDA image's torch and numpy it imports these wheels: accelerate, anyio,
cloudpickle, Farama-Notifications, filelock, fsspec, gymnasium, h11, httpcore2, httpx2, huggingface_hub, idna, Jinja2,
MarkupSafe, packaging, peft, pillow, psutil, PyYAML, regex, safetensors, scipy, tokenizers, tqdm, transformers,
truststore, typing_extensions; and metis-gym itself with PYTHONPATH=.:envs:agents.

Model FLOPs: 2 for each weight and token in the forward pass, 4 in the backward pass (2 with LoRA, whose frozen weights
need no gradient), and attention's; what is computed twice to save memory is not counted.
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "agents" / "qwen3vl"))

import numpy as np
import torch
from bench_qwen3vl import GROUP_SIZE, endless, groups_of
from qwen_toys import make_env, texts

from metis_agents.qwen3vl.model.images import ImageEncoder
from metis_agents.qwen3vl.model.models import LoadedModel, ModelConfig, equip
from metis_agents.qwen3vl.model.scoring import Scorer
from metis_agents.qwen3vl.model.tiny import tiny_config, tiny_tokenizer
from metis_agents.qwen3vl.rollouts.engine import TurnRequest
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.train.optimizers import make_optimizer
from metis_agents.qwen3vl.train.policy import Qwen3VLPolicy
from metis_agents.rl import Trainer, TrainerConfig

TURNS = 4
PEAK_FLOPS = 989e12
"""Dense bfloat16, of an H100 and an H200, by NVIDIA's data sheets."""
TEXT = {
    "vocab_size": 151_936,
    "hidden_size": 4_096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 262_144,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5_000_000.0,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
    "tie_word_embeddings": False,
}
VISION = {
    "depth": 27,
    "hidden_size": 1_152,
    "intermediate_size": 4_304,
    "num_heads": 16,
    "out_hidden_size": 4_096,
    "num_position_embeddings": 2_304,
    "deepstack_visual_indexes": [8, 16, 24],
}


def new_model(tokenizer, device, *, is_small):
    """Random weights at full size, made where they stay."""
    from transformers import Qwen3VLForConditionalGeneration

    config = tiny_config(tokenizer)
    if not is_small:
        config.text_config.update(TEXT)
        config.vision_config.update(VISION)
        config.tie_word_embeddings = False
    with torch.device(device):
        return Qwen3VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)


class Clock:
    """Seconds of the machine, after the GPU has done what it was given."""

    def __init__(self, device):
        self.device = device

    def now(self):
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def peak_gibibytes(self):
        return torch.cuda.max_memory_allocated() / 2**30 if self.device == "cuda" else float("nan")

    def start_anew(self):
        gc.collect()  # models hold themselves in circles
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def play(kit, network, tokens, written):
    """A group's conversations of so many tokens each; seconds and sampled tokens of what was written."""
    env = make_env(view_size=448 if tokens > 4_000 else 64, max_source=1_792 if tokens > 4_000 else 1_024)
    observation, _ = env.reset(seed=0)
    prompt = kit.renderer.prompt(observation["system"], observation["text"], observation["images"])
    image = np.array(env.unwrapped.episode.task.images[0].source[:448, :448])
    returned = kit.renderer.observation("Images:\n<image>", [image], is_closed=False)
    engine = TransformersEngine(network, capacity=GROUP_SIZE, features=kit.features)
    conversations = dict.fromkeys(range(GROUP_SIZE), prompt)
    random = np.random.default_rng(0)
    given = (tokens - len(prompt) - (TURNS - 1) * len(returned)) // TURNS - written
    clock, seconds = Clock(str(kit.network.device).partition(":")[0]), 0.0
    for turn in range(TURNS):
        ids = random.choice(np.flatnonzero(~network.vocabulary.is_forbidden_V.cpu().numpy()), (GROUP_SIZE, given))
        started = clock.now()
        engine.submit([TurnRequest(episode=i, tokens=t, max_tokens=written, seed=i) for i, t in conversations.items()])
        while not engine.is_idle:
            for said in engine.step():
                now = kit.renderer.written(said.ids, said.logprobs)
                conversations[said.episode] = conversations[said.episode].then(now)
        seconds += clock.now() - started
        for index in conversations:
            longer = conversations[index].then(kit.renderer.written(ids[index].tolist(), [0.0] * given))
            conversations[index] = longer if turn == TURNS - 1 else longer.then(returned)
    engine.refresh()
    return list(conversations.values()), seconds, TURNS * written * GROUP_SIZE


def model_flops(model, conversations, *, lora):
    """FLOPs of one update on these conversations, nothing computed twice."""
    text = model.config.text_config
    weights = sum(p.numel() for n, p in model.named_parameters() if "language_model.layers" in n and "lora" not in n)
    own = sum(tokens.model_tokens for tokens in conversations)
    passes = 4 if lora else 6
    head = passes * text.hidden_size * text.vocab_size * own
    shape = text.num_hidden_layers * text.num_attention_heads * text.head_dim
    attention = sum(6 * shape * len(tokens) ** 2 for tokens in conversations)  # causal: half of 4 · T², three passes
    return passes * weights * sum(map(len, conversations)) + head + attention


def measure(device, *, lora, rounding, tokens, written, is_small):
    """One line, and what stands in it by name."""
    clock = Clock(device)
    clock.start_anew()
    tokenizer = tiny_tokenizer(texts())
    config = ModelConfig(lora=lora, dtype="bfloat16", device=device, gradient_checkpointing=True)
    loaded = LoadedModel(new_model(tokenizer, device, is_small=is_small), tokenizer, ImageEncoder())
    kit = equip(loaded, config, make_env().unwrapped.dialect.stop)
    network = endless(kit)
    conversations, seconds, sampled = play(kit, network, tokens, written)
    rollouts = clock.peak_gibibytes()

    scorer = Scorer(network, features=kit.features)
    policy = Qwen3VLPolicy(scorer, micro_batch_tokens=tokens)
    learning = [parameter for parameter in scorer.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(learning, lr=1e-6, weight_decay=0.01, rounding=rounding)
    trainer = Trainer(
        policy,
        None,
        "hdpo",
        TrainerConfig(tasks=1, group_size=GROUP_SIZE, minibatches=1),
        optimizer=optimizer,
        cut=policy.cut,
    )
    groups = groups_of(conversations)
    trainer.learn(groups)  # makes the optimiser's state
    clock.start_anew()
    started = clock.now()
    trainer.learn(groups)
    update = clock.now() - started
    every = sum(map(len, conversations))
    flops = model_flops(kit.model, conversations, lora=lora)
    found = {
        "rollout_tokens_per_second": sampled / seconds,
        "rollout_peak_gib": rollouts,
        "update_tokens": every,
        "update_seconds": update,
        "training_tokens_per_second": every / update,
        "mfu": flops / update / PEAK_FLOPS,
        "update_peak_gib": clock.peak_gibibytes(),
        "idle_share": 1 - busy(trainer, groups),
    }
    sys.stdout.write(
        f"8b: {'LoRA of rank ' + str(lora) if lora else f'every weight, {rounding} rounding'}: rollouts "
        f"{sampled / seconds:,.0f} tokens/s (peak {rollouts:.1f} GiB); an update of {every:,} tokens {update:.1f} s, "
        f"{every / update:,.0f} tokens/s, {found['mfu']:.1%} of peak FLOPs (peak {found['update_peak_gib']:.1f} GiB), "
        f"GPU idle {found['idle_share']:.0%}\n"
    )
    sys.stdout.flush()
    return {name: None if number != number else number for name, number in found.items()}  # NaN: not measured here


def busy(trainer, groups):
    """Share of an update in which the GPU had work, by torch's profiler."""
    if not torch.cuda.is_available():
        return float("nan")
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        torch.cuda.synchronize()
        started = time.perf_counter()
        trainer.learn(groups)
        torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return sum(event.self_device_time_total for event in found.key_averages()) / 1e6 / seconds


def main():
    """Print a line for each way to train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="a tiny model, wherever this runs")
    parser.add_argument("--only", choices=("lora", "full"))
    parser.add_argument("--tokens", type=int, default=16_384, help="of each of the 16 conversations")
    parser.add_argument("--written", type=int, default=128, help="tokens that each turn really samples")
    given = parser.parse_args()
    if not (given.rehearse or torch.cuda.is_available()):
        sys.stdout.write("8b: no CUDA device, nothing measured (--rehearse runs the same lines with a tiny model)\n")
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokens, written = (1_024, 8) if given.rehearse else (given.tokens, given.written)
    found = {}
    for name, lora in (("lora", 64), ("full", None)):
        if given.only in (None, name):
            rounding = "stochastic" if lora is None else "nearest"
            found[name] = measure(
                device, lora=lora, rounding=rounding, tokens=tokens, written=written, is_small=given.rehearse
            )
            Clock(device).start_anew()
    where = torch.cuda.get_device_name() if device == "cuda" else "rehearsal on a CPU"
    sys.stdout.write(json.dumps({"device": where, "torch": torch.__version__, **found}) + "\n")


if __name__ == "__main__":
    main()
