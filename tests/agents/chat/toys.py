"""Checkpoints of four architectures at toy size, in folders as on the hub: random weights, a toy tokenizer.

Random weights call no tools. `says` makes a model say one text in its first turn and another one in all further turns:
each text is a token, the layers add nothing, and the output layer maps the token that ends the prompt to the text. The
template ends the prompt of the first turn with another token than that of further turns.
"""

import json

import torch

from metis_agents.qwen3vl.model.tiny import CHAT_TEMPLATE, CONTROL_TOKENS, tiny_tokenizer

QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if messages|selectattr('role', 'equalto', 'assistant')|list %}<|quad_end|>{% else %}<|quad_start|>{% endif %}"
    "{% endif %}"
)
LLAVA_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }} "
    "{% for part in message.content %}{% if part.type == 'image' %}<image>\n{% endif %}{% endfor %}"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if messages|selectattr('role', 'equalto', 'assistant')|list %}<|quad_end|>{% else %}<|quad_start|>{% endif %}"
    "{% endif %}"
)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "tie_word_embeddings": False,
}
QWEN3_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 4,
    "patch_size": 16,
    "out_hidden_size": 32,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0],
}
ROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}
QWEN3_ROPE = {**ROPE, "mrope_section": [6, 5, 5], "mrope_interleaved": True}


def _tokenizer(*, image, video, template):
    tokenizer = tiny_tokenizer(["Question: what is in the image? Answer: A B C D"], size=512)
    tokenizer.add_tokens([token for token in (image, video) if token not in CONTROL_TOKENS], special_tokens=True)
    tokenizer.chat_template = template
    return tokenizer


def _ids(tokenizer, *names):
    return [tokenizer.get_vocab()[name] for name in names]


def _qwen_ids(tokenizer):
    names = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    keys = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return {"tie_word_embeddings": False, **dict(zip(keys, _ids(tokenizer, *names), strict=True))}


def qwen3_vl(tokenizer):
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {**TEXT, "head_dim": 32, "vocab_size": len(tokenizer), "rope_parameters": QWEN3_ROPE}
    config = Qwen3VLConfig(text_config=text, vision_config=QWEN3_VISION, **_qwen_ids(tokenizer))
    return Qwen3VLForConditionalGeneration(config)


def qwen3_vl_moe(tokenizer):
    from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
    text = {**TEXT, **experts, "head_dim": 32, "vocab_size": len(tokenizer)}
    text["rope_parameters"] = QWEN3_ROPE
    config = Qwen3VLMoeConfig(text_config=text, vision_config=QWEN3_VISION, **_qwen_ids(tokenizer))
    return Qwen3VLMoeForConditionalGeneration(config)


def qwen2_5_vl(tokenizer):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32}
    vision |= {"patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1]}
    text = {**TEXT, "vocab_size": len(tokenizer), "rope_parameters": ROPE}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_qwen_ids(tokenizer))
    return Qwen2_5_VLForConditionalGeneration(config)


def llava_onevision(tokenizer):
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

    text = {**TEXT, "model_type": "qwen2", "vocab_size": len(tokenizer)}
    vision = {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 4, "image_size": 56, "patch_size": 14, "vision_use_head": False}
    image, video = _ids(tokenizer, "<image>", "<video>")
    config = LlavaOnevisionConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=[[56, 56], [56, 112], [112, 56], [112, 112]],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    return LlavaOnevisionForConditionalGeneration(config)


LLAVA_PROCESSOR = {
    "processor_class": "LlavaOnevisionProcessor",
    "image_token": "<image>",
    "video_token": "<video>",
    "num_image_tokens": 16,
    "vision_feature_select_strategy": "full",
}

ARCHITECTURES = {
    "qwen3_vl": qwen3_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "llava_onevision": llava_onevision,
    "qwen3_vl_moe": qwen3_vl_moe,
}


HUB_FORM = ("<|quad_start|>", "<|quad_end|>")
CONTINUED_FORM = ("<|quad_start|>", "</sandbox_output>")
QWEN3_FORM = ("<|im_start|>assistant\n",)
EITHER_FORM = QWEN3_FORM * 2
"""What ends a prompt: of the first turn and of further ones in our templates, of an observation of Thyme's behind the
first turn, of any turn in Qwen3-VL's own template; twice the same, so that the model says either, about as often."""


def write_checkpoint(folder, architecture, *, says=(), form=HUB_FORM):
    """Write a checkpoint as on the hub.

    Args:
        folder: Where.
        architecture: One of `ARCHITECTURES`.
        says: What the model says in its first turn, and what in all further ones; nothing for random weights.
        form: The tokens that end the prompts before these.
    """
    is_llava = architecture == "llava_onevision"
    image, video = ("<image>", "<video>") if is_llava else ("<|image_pad|>", "<|video_pad|>")
    tokenizer = _tokenizer(image=image, video=video, template=LLAVA_TEMPLATE if is_llava else QWEN_TEMPLATE)
    tokenizer.add_tokens(list(dict.fromkeys(says)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ARCHITECTURES[architecture](tokenizer)
        if says:
            prompts = [tokenizer.encode(prompt, add_special_tokens=False)[-1] for prompt in form]
            _make_it_say(model, tokenizer, list(zip(prompts, _ids(tokenizer, *says), strict=False)))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    if form in (QWEN3_FORM, EITHER_FORM):
        tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    settings = _llava_settings() if is_llava else _qwen_settings(architecture)
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    if is_llava:  # on the hub, too, these stand in a file of their own
        (folder / "processor_config.json").write_text(json.dumps(LLAVA_PROCESSOR))
    return folder


@torch.no_grad()
def _make_it_say(model, tokenizer, texts):
    for name, weight in model.named_parameters():
        if "language_model" in name and name.endswith(("o_proj.weight", "down_proj.weight", "down_proj")):
            weight.zero_()
    before = model.get_input_embeddings().weight
    after = model.get_output_embeddings().weight
    before.normal_()
    after.zero_()
    after[0] = -1e-3  # the others stay below the right one
    for prompt, text in texts:
        after[text] += 4 * before[prompt] + 0.05 * torch.randn(before.shape[1])  # or two texts would have one gradient
        after[tokenizer.eos_token_id] += 4 * before[text]


def _qwen_settings(architecture):
    patch = 14 if architecture == "qwen2_5_vl" else 16
    size = {"shortest_edge": 3_136, "longest_edge": 50_176}
    common = {"image_processor_type": "Qwen2VLImageProcessorFast", "patch_size": patch, "merge_size": 2, "size": size}
    return {**common, "temporal_patch_size": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def _llava_settings():
    return {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "image_grid_pinpoints": [[56, 56], [56, 112], [112, 56], [112, 112]],
        "size": {"height": 56, "width": 56},
    }
