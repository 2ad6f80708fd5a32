"""A checkpoint at toy size whose files are those of Qwen3-VL on the hub.

Qwen's own vocabulary (151,643 entries of bytes, and the control tokens behind them), an output layer of 151,936 rows
that is not tied, weights in bfloat16 shards, the image processor's public limits, and the chat template in a file of
its own. The vocabulary is a file of the package `dashscope`, which is not imported.
"""

import base64
import importlib.util
import itertools
import json
from pathlib import Path

from metis_agents.qwen3vl.model.tiny import CHAT_TEMPLATE, CONTROL_TOKENS, tiny_config

SIZE = 151_936
FIRST_SPECIAL = 151_643
PLAIN = (
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
)
"""Tokens behind the control tokens; they are not special."""

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How the family cuts texts into words, as each of its `tokenizer.json` says."""

PIXELS = {"shortest_edge": 65_536, "longest_edge": 16_777_216}


def vocabulary_file():
    """Qwen's vocabulary; None where it is not installed."""
    found = importlib.util.find_spec("dashscope")
    place = None if found is None else Path(found.origin).parent / "resources" / "qwen.tiktoken"
    return place if place is not None and place.exists() else None


def ranks():
    """The entries, as bytes, and their ids."""
    lines = vocabulary_file().read_text().splitlines()
    return {base64.b64decode(entry): int(rank) for entry, rank in (line.split() for line in lines)}


def _halves(entry, ranks):
    """The two entries of which byte-pair encoding makes this one last."""
    parts = [entry[i : i + 1] for i in range(len(entry))]
    while len(parts) > 2:
        pairs = [ranks.get(left + right, SIZE) for left, right in itertools.pairwise(parts)]
        place = min(range(len(pairs)), key=pairs.__getitem__)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def _letters():
    """Bytes as the letters that byte-level tokenizers write for them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + number) for number, byte in enumerate(hidden)}


def qwen_tokenizer():
    """The family's tokenizer."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known, letters = ranks(), _letters()

    def written(entry):
        return "".join(letters[byte] for byte in entry)

    merges = [tuple(map(written, _halves(entry, known))) for entry in known if len(entry) > 1]
    tokenizer = Tokenizer(models.BPE({written(entry): rank for entry, rank in known.items()}, merges))
    tokenizer.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in PLAIN])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def write_true_layout(folder):
    """Write the checkpoint; weights are large enough for its distributions to differ from uniform ones."""
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    tokenizer = qwen_tokenizer()
    config = tiny_config(tokenizer)
    config.text_config.vocab_size = SIZE
    config.text_config.tie_word_embeddings = config.tie_word_embeddings = False
    config.image_token_id, config.video_token_id = FIRST_SPECIAL + 12, FIRST_SPECIAL + 13
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = Qwen3VLForConditionalGeneration(config)
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(10.0 if "lm_head" in name else 3.0)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="15MB")
    tokenizer.save_pretrained(folder)
    images = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2, "size": PIXELS}
    images |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "processor_class": "Qwen3VLProcessor"}
    write = {
        "preprocessor_config.json": {**images, "image_processor_type": "Qwen2VLImageProcessorFast"},
        "video_preprocessor_config.json": {**images, "video_processor_type": "Qwen3VLVideoProcessor"},
        "chat_template.json": {"chat_template": CHAT_TEMPLATE},
    }
    for name, content in write.items():
        (folder / name).write_text(json.dumps(content))
    return folder
