"""Qwen2.5-VL behind the same renderer, engine and scorer: the parity tests of Qwen3-VL, on another backbone.

Its patches are 14 pixels wide, its vision tower attends in windows and adds nothing to later layers, its queries, keys
and values have biases, and its rotary channels are not interleaved.
"""

import json
import sys
from pathlib import Path

import pytest
import torch
from qwen_toys import make_env, played_conversations, texts

sys.path.insert(0, str(Path(__file__).parents[1] / "chat"))

from test_parity import (  # noqa: F401 — pytest runs what stands in this module, with the fixtures of this module
    test_a_kept_cache_says_what_a_fresh_one_says,
    test_a_shared_prompt_says_what_separate_ones_say,
    test_episodes_that_the_model_sampled_itself_have_the_log_probabilities_that_it_said,
    test_gradients_do_not_depend_on_the_layout,
    test_positions_are_those_of_transformers,
    test_scores_are_those_of_transformers_own_forward_pass,
    test_what_is_sampled_does_not_depend_on_the_company,
)

from metis_agents.qwen3vl.model.images import ImageEncoder
from metis_agents.qwen3vl.model.models import LoadedModel, ModelConfig, equip, load_pretrained
from metis_agents.qwen3vl.model.tiny import tiny_tokenizer
from metis_gym.errors import ConfigError

CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}


def equipment(**options):
    from toys import qwen2_5_vl

    tokenizer = tiny_tokenizer(texts())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = qwen2_5_vl(tokenizer)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
            else:
                parameter.add_(0.1 * torch.randn(parameter.shape))
    images = ImageEncoder(patch=14, min_pixels=3_136, max_pixels=12_845_056, processor="Qwen2_5_VLProcessor", **CLIP)
    return equip(LoadedModel(model, tokenizer, images), ModelConfig(**options), make_env().unwrapped.dialect.stop)


@pytest.fixture(scope="module", params=[None, 4], ids=["full", "lora"])
def kit(request):
    kit = equipment(lora=request.param)
    if request.param:
        with torch.no_grad():
            for parameter in kit.model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return kit


@pytest.fixture(scope="module")
def conversations(kit):
    return played_conversations(kit)


def test_it_is_saved_and_loaded_as_a_checkpoint_of_the_hub(kit, conversations, tmp_path):
    kit.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert (written["processor_class"], written["patch_size"]) == ("Qwen2_5_VLProcessor", 14)
    again = equip(load_pretrained(ModelConfig(name=str(tmp_path))), ModelConfig(), make_env().unwrapped.dialect.stop)
    assert type(again.model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert again.network.encoder == kit.network.encoder
    with torch.no_grad():
        said, expected = (one.scorer(conversations).logprobs_N for one in (again, kit))
    torch.testing.assert_close(said, expected, rtol=0, atol=2e-5)


def test_layers_that_do_not_attend_to_everything_are_refused(kit, tmp_path):
    kit.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"] |= {"use_sliding_window": True, "layer_types": ["full_attention", "sliding_attention"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="attend to everything before"):
        load_pretrained(ModelConfig(name=str(tmp_path)))
