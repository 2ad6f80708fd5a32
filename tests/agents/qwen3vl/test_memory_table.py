"""docs/qwen3vl.md's table of memory, computed anew from the 8B model's shapes; nothing of its size is made."""

import re
import sys
from pathlib import Path

import pytest
import torch
from qwen_toys import texts

from metis_agents.qwen3vl.model.cache import CacheSlab
from metis_agents.qwen3vl.model.models import ModelConfig, _with_lora
from metis_agents.qwen3vl.model.tiny import tiny_tokenizer
from metis_agents.qwen3vl.rollouts import transformers_engine

ROOT = Path(__file__).parents[3]
GIB = 2**30
CARD = 139.0
PAGE = (ROOT / "docs" / "qwen3vl.md").read_text()


@pytest.fixture(scope="module")
def models():
    sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
    from bench_qwen3vl_8b import new_model

    full, lora = (new_model(tiny_tokenizer(texts()), "meta", is_small=False) for _ in range(2))
    full.model.visual.requires_grad_(False)
    with torch.device("meta"):
        _with_lora(lora, ModelConfig(lora=64, dtype="bfloat16"))
    return {"full": full, "lora": lora}


def count(model, *, learning=False):
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad or not learning) / GIB


def computed(models):
    """The lines of the table: weights, gradients, Adam, masters, in GiB."""
    lora, adapted = count(models["lora"]), count(models["lora"], learning=True)
    full, trained = count(models["full"]), count(models["full"], learning=True)
    return {
        "LoRA of rank 64": (2 * lora, 2 * adapted, 8 * adapted, 4 * adapted),
        "every weight, stochastic rounding": (2 * full, 2 * trained, 8 * trained, 0.0),
        "every weight, float32 masters": (2 * full, 2 * trained, 8 * trained, 4 * trained),
        # The playing copy is whole; gradients (float32, as they are reduced), Adam and masters are an eighth of all.
        "every weight, FSDP2 on 8 GPUs": (2 * full, 4 * trained / 8, 8 * trained / 8, 4 * full / 8),
    }


def rows():
    found = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE[PAGE.index("What it takes, by sizes") :], flags=re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found}


def test_the_table_is_what_the_shapes_say(models):
    table = rows()
    for name, parts in computed(models).items():
        *shown, together, left = table[name]
        assert [0.0 if cell == "–" else float(cell) for cell in shown] == pytest.approx(parts, abs=0.051), name
        assert float(together) == pytest.approx(sum(parts), abs=0.11), name
        weights, _, adam, masters = parts
        free = transformers_engine._SHARE * (CARD - weights - adam - masters)
        gib, conversations = re.match(r"([\d.]+) \((\d+)(?: conversations of 16,384 tokens)?\)", left).groups()
        assert float(gib) == pytest.approx(free, abs=0.11), name
        text = models["full"].config.text_config
        slab = CacheSlab(
            text.num_hidden_layers, text.num_key_value_heads, text.head_dim, torch.bfloat16, torch.device("meta")
        )
        assert slab.bytes_of(1, 128) == 128 * 144 * 2**10
        assert int(conversations) == int(free * GIB / slab.bytes_of(1, 16_384)), name
    assert "8.77 B weights, of which 8.19 B" in PAGE
    billions = [count(models["full"], learning=learning) * GIB / 1e9 for learning in (False, True)]
    assert billions == pytest.approx([8.77, 8.19], abs=0.005)


def test_what_the_script_asks_for_fits(models):
    """An update: weights, gradients, optimiser, inputs of each layer for 16,384 tokens, logits and their gradient."""
    script = (ROOT / "examples" / "train_qwen3vl_8b.sh").read_text()
    assert "--micro-batch-tokens 16384" in script
    text = models["full"].config.text_config
    inputs = 2 * text.num_hidden_layers * text.hidden_size * 16_384 / GIB
    assert inputs / 16_384 * 2**10 == pytest.approx(0.28, abs=0.005)  # MiB a token
    logits = 3 * 4 * 4_096 * text.vocab_size / GIB
    assert logits == pytest.approx(7, abs=0.1)
    fits = {name: sum(parts) + inputs + logits < CARD - 10 for name, parts in computed(models).items()}
    assert fits.pop("every weight, float32 masters") is False
    assert all(fits.values())
    assert "--rounding stochastic" in script


def test_a_sharded_run_starts_within_what_the_page_says(models):
    """The checkpoint, the shards of all, and the widest unit: what is not a layer of the language model."""
    full = models["full"]
    layers = sum(weight.numel() for weight in full.model.language_model.layers.parameters()) / GIB
    most = 2 * count(full) + 4 * count(full) / 8 + 4 * (count(full) - layers)
    assert most == pytest.approx(27, abs=0.5)
    assert "27 GiB at most" in PAGE
