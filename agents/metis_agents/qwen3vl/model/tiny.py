"""A tiny Qwen3-VL, built on the spot: the real architecture with about half a million parameters, random weights.

It runs the whole path on a CPU in seconds: the same classes, files and code as the 8B model. Its tokenizer is a
byte-level BPE, trained here on the suite's own texts, with the family's control tokens and the dialects' tags. Unlike
the family's it may merge across spaces, which keeps the suite's long fixed prompts short; digits stay single.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from metis_gym.errors import MissingDependencyError

__all__ = ["CHAT_TEMPLATE", "CONTROL_TOKENS", "TAGS", "tiny_config", "tiny_model", "tiny_tokenizer"]

CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Special tokens of the Qwen3-VL family."""

TAGS = (
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
    *("<reason>", "</reason>", "<answer>", "</answer>"),
)
"""Tokens that are not special: the family's, and the tags of the `metis` dialect."""

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.content is string %}{{ message.content }}"
    "{%- else %}{%- for part in message.content %}"
    "{%- if part.type == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{%- else %}{{ part.text }}"
    "{%- endif %}{%- endfor %}{%- endif %}"
    "{{ '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"
)
"""The family's chat form, without tools, for programs that render conversations by a template."""

VOCABULARY = 1024


def tiny_tokenizer(texts: Iterable[str], size: int = VOCABULARY) -> Any:
    """Train a tokenizer.

    Args:
        texts: What it should write with few tokens.
        size: Tokens, control tokens and tags included.
    """
    try:
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise MissingDependencyError.of("transformers", "agents", "The tiny model's tokenizer") from error
    single = pre_tokenizers.Split(Regex(r"\p{N}|[<>(),]"), "isolated")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [single, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(CONTROL_TOKENS) - len(TAGS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(texts), trainer)
    make: Any = PreTrainedTokenizerFast
    fast = make(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
    fast.add_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS])
    fast.add_tokens([AddedToken(token, special=False, normalized=False) for token in TAGS])
    return fast


def tiny_config(tokenizer: Any, *, layers: int = 2, deepstack: Sequence[int] = (0,)) -> Any:
    """The configuration that goes with a tokenizer."""
    from transformers import Qwen3VLConfig

    def token(text: str) -> int:
        return int(tokenizer.get_vocab()[text])

    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,  # vLLM takes no smaller ones
        "max_position_embeddings": 32_768,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": [6, 5, 5],  # half a head
            "mrope_interleaved": True,
        },
        "tie_word_embeddings": True,
        "pad_token_id": token("<|endoftext|>"),
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 64,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": list(deepstack),
    }
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=True,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )


def tiny_model(tokenizer: Any, seed: int = 0, **options: Any) -> Any:
    """A `Qwen3VLForConditionalGeneration` with random weights that depend on the seed only."""
    from transformers import Qwen3VLForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = Qwen3VLForConditionalGeneration(tiny_config(tokenizer, **options))
        return model.eval()
