"""A checkpoint with the hub's own files, in both types, with LoRA and without: one model, many ways to run it.

In float32 all ways agree but for the order of sums. In bfloat16 each rounds on its own; there the measure is how far
transformers' own forward pass in bfloat16 is from float32: every way of ours is as near to float32 as that.
"""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
from true_layout import FIRST_SPECIAL, SIZE, ranks, vocabulary_file, write_true_layout

pytestmark = [
    pytest.mark.timeout(1_500),
    pytest.mark.skipif(vocabulary_file() is None, reason="`make test-vllm` installs Qwen's vocabulary"),
]

EXACT = 5e-5  # float32; the logits are of order 30 here
CASES = [(dtype, lora) for dtype in ("float32", "bfloat16") for lora in (None, 4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_true_layout(tmp_path_factory.mktemp("checkpoint"))


def loaded(folder, dtype, lora=None, **options):
    from qwen_toys import make_env

    from metis_agents.qwen3vl.model.models import ModelConfig, equip, load_pretrained

    config = ModelConfig(name=str(folder), dtype=dtype, lora=lora, **options)
    kit = equip(load_pretrained(config), config, make_env().unwrapped.dialect.stop)
    if lora:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in learning(kit):
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return kit


def learning(kit):
    return [parameter for parameter in kit.model.parameters() if parameter.requires_grad]


@pytest.fixture(scope="module", params=CASES, ids=[f"{dtype}-{'lora' if lora else 'full'}" for dtype, lora in CASES])
def case(request):
    return request.param


@pytest.fixture(scope="module")
def kit(folder, case):
    return loaded(folder, *case)


@pytest.fixture(scope="module")
def wide(folder, kit, case):
    """The same weights in float32."""
    wide = loaded(folder, "float32", case[1])
    with torch.no_grad():
        for one, other in zip(wide.model.parameters(), kit.model.parameters(), strict=True):
            one.copy_(other)
    return wide


def budget():
    from metis_agents.qwen3vl.rollouts.rollout import Budget

    return Budget(prompt=4_096, response=1_536, turn=40, observation=512)


@pytest.fixture(scope="module")
def conversations(kit):
    from qwen_toys import played_conversations

    found = played_conversations(kit, budget=budget())
    assert {len(tokens.images) for tokens in found} == {1, 2, 3}
    return found


def said_by_transformers(kit, conversations):
    from test_parity import transformers_logprobs

    return torch.cat([transformers_logprobs(kit, tokens) for tokens in conversations])


def assert_as_near(kit, wide, conversations, found):
    """What one way says, beside float32 and transformers' own pass."""
    truth = said_by_transformers(wide, conversations)
    if kit.model.dtype == torch.float32:
        torch.testing.assert_close(found, truth, rtol=0, atol=EXACT)
        return
    theirs, ours = (said_by_transformers(kit, conversations) - truth), found - truth
    assert 1e-4 < theirs.square().mean().sqrt() < 0.05
    assert ours.square().mean().sqrt() < 1.5 * theirs.square().mean().sqrt()
    assert ours.abs().max() < 3 * theirs.abs().max()


def sampled(conversations):
    return torch.from_numpy(np.concatenate([tokens.logprobs_T[tokens.is_model_token_T] for tokens in conversations]))


def test_the_vocabulary_is_qwens(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    entries = ranks()
    assert len(entries) == FIRST_SPECIAL
    specials = [tokenizer.convert_tokens_to_ids(name) for name in ("<|im_start|>", "<|im_end|>", "<|image_pad|>")]
    assert specials == [151_644, 151_645, 151_655]  # as config.json of each Qwen3-VL says
    assert [tokenizer.convert_tokens_to_ids(name) for name in ("<tool_call>", "</think>")] == [151_657, 151_668]
    for text in ("The shop closes at 17:45, doesn't it?", "größer als 3 × 10²", "价格是 42 元。\n\n  indented\tcode()"):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids) == text
        assert max(ids) < FIRST_SPECIAL
    tiktoken = pytest.importorskip("tiktoken")
    from true_layout import WORDS

    own = tiktoken.Encoding("qwen", pat_str=WORDS, mergeable_ranks=entries, special_tokens={})
    text = "Any text — 12,345.67 m², naïve façade's “quotes”; def f(x):\n    return x ** 2\n價格 🚀🚀"
    assert tokenizer.encode(text, add_special_tokens=False) == own.encode(text)


def test_rows_without_a_token_are_forbidden(kit):
    forbidden = kit.network.vocabulary.is_forbidden_V
    assert len(forbidden) == SIZE
    assert forbidden[151_669:].all()
    assert forbidden[[151_643, 151_644, 151_652, 151_655]].all()
    assert not forbidden[:FIRST_SPECIAL].any()
    assert kit.network.vocabulary.stops == {151_645, 151_658}


def test_lora_has_the_models_type(kit, case):
    assert {parameter.dtype for parameter in kit.model.parameters()} == {getattr(torch, case[0])}


@pytest.mark.parametrize("layout", ["shared", "padded", "packed"])
def test_scores(kit, wide, conversations, layout):
    from metis_agents.qwen3vl.model.scoring import Layout, Scorer

    with torch.no_grad():
        found = Scorer(kit.network, layout=Layout(layout), features=kit.features)(conversations).logprobs_N
    assert_as_near(kit, wide, conversations, found)


def test_positions(kit, conversations):
    from test_parity import test_positions_are_those_of_transformers as check

    check(kit, conversations)


def test_what_the_engine_says_of_episodes_that_it_plays(kit, wide):
    from qwen_toys import jobs, player

    acting = player(kit, budget=budget())
    rollouts = acting.play(jobs(tasks=2, group_size=4))
    acting.close()
    conversations = [rollout.payload for rollout in rollouts]
    assert sum(tokens.model_tokens for tokens in conversations) > 200
    assert_as_near(kit, wide, conversations, sampled(conversations))


def test_what_the_engine_says_behind_a_kept_cache(kit, wide, conversations):
    """Over turns with returned images; the cache holds the prompt, and rows have different lengths."""
    from test_parity import drained, request

    from metis_agents.qwen3vl.chat.tokens import head
    from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine

    engine = TransformersEngine(kit.network, features=kit.features)
    engine.submit([request(i, head(tokens, tokens.prompt_length), 1) for i, tokens in enumerate(conversations)])
    drained(engine)
    engine.submit([request(i, tokens, 12) for i, tokens in enumerate(conversations)])
    turns = drained(engine)
    found = torch.tensor([logprob for i in range(len(conversations)) for logprob in turns[i].logprobs])
    longer = [with_turn(kit, tokens, turns[i]) for i, tokens in enumerate(conversations)]
    assert_as_near(kit, wide, longer, found)


def with_turn(kit, tokens, turn):
    """The conversation as what is behind it, and the turn as all that the model wrote."""
    import dataclasses

    given = dataclasses.replace(tokens, is_model_token_T=np.zeros_like(tokens.is_model_token_T))
    return given.then(kit.renderer.written(turn.ids, turn.logprobs))


def test_gradients(kit, wide, conversations):
    from metis_agents.qwen3vl.model.scoring import Layout, Scorer

    found = {}
    for name, one, layout in (("wide", wide, "padded"), *((layout, kit, layout) for layout in Layout)):
        scorer = Scorer(one.network, layout=Layout(layout), features=one.features)
        scorer.zero_grad()
        scorer(conversations).logprobs_N.mean().backward()
        found[name] = torch.cat([p.grad.flatten().float() for p in learning(one) if p.grad is not None])
        scorer.zero_grad()
    truth = found.pop("wide")
    errors = {name: float((gradient - truth).norm() / truth.norm()) for name, gradient in found.items()}
    assert max(errors.values()) < (1e-4 if kit.model.dtype == torch.float32 else 0.05)
    if kit.model.dtype != torch.float32:
        assert max(errors.values()) < 1.5 * errors["padded"]


def test_saved_it_is_the_same_for_everybody(kit, conversations, tmp_path):
    """In the checkpoint's own type; with LoRA merged, which rounds the weights once more."""
    import transformers
    from qwen_toys import make_env

    from metis_agents.qwen3vl.model.models import ModelConfig, equip, load_pretrained

    kit.save_pretrained(tmp_path)
    model, report = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.dtype == kit.model.dtype
    config = ModelConfig(name=str(tmp_path), dtype=str(kit.model.dtype).removeprefix("torch."))
    again = equip(load_pretrained(config), config, make_env().unwrapped.dialect.stop)
    assert again.network.encoder == kit.network.encoder
    difference = said_by_transformers(again, conversations) - said_by_transformers(kit, conversations)
    merged = kit.adapter is not None
    if kit.model.dtype == torch.float32:
        assert difference.abs().max() < EXACT
    elif merged:
        assert difference.square().mean().sqrt() < 0.1
    else:
        assert difference.abs().max() == 0


def test_prompts_are_those_of_the_hubs_own_processor(folder):
    from transformers import AutoProcessor

    kit, processor = loaded(folder, "bfloat16"), AutoProcessor.from_pretrained(folder)
    small = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    large = np.random.default_rng(1).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    text = "Wie groß ist es?\n  (a) 3 m²\n  (b) 12,5 — 價格"
    content = [{"type": "image", "image": small}, {"type": "image", "image": large}, {"type": "text", "text": text}]
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": content},
    ]
    theirs = processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_tensors="np", add_generation_prompt=True
    )
    ours = kit.renderer.prompt("Be brief.", f"<image><image>{text}", [small, large])
    assert theirs["input_ids"][0].tolist() == ours.ids_T.tolist()
    assert kit.network.encoder.tokens(ours.images[0]) == 64, "public checkpoints enlarge small images"
    patches, grids = kit.network.encoder.patches(ours.images, torch.device("cpu"))
    assert theirs["image_grid_thw"].tolist() == grids.tolist()
    np.testing.assert_allclose(patches.numpy(), np.asarray(theirs["pixel_values"]), rtol=0, atol=0.02)


def test_vllm(folder, kit, wide, conversations, tmp_path):
    """Before and after an update; the first turn, and turns behind returned images."""
    from test_engine import requests, written

    from metis_agents.qwen3vl.model.models import merged_weights
    from metis_agents.qwen3vl.rollouts.vllm_start import VllmConfig, make_vllm_engine

    names = {name for name, weight in kit.model.named_parameters() if weight.requires_grad}
    engine = make_vllm_engine(
        str(folder),
        kit.network,
        weights=lambda everything: merged_weights(kit.model, None if everything else names),
        capacity=16,
        length=6_144,
        config=VllmConfig(cache_mib=128),
    )
    generator = torch.Generator().manual_seed(3)
    for step in range(2):
        engine.refresh()
        turns = written(engine, requests(conversations, 16))
        longer = [with_turn(kit, tokens, turn) for tokens, turn in zip(conversations, turns, strict=True)]
        found = torch.tensor([logprob for turn in turns for logprob in turn.logprobs])
        if kit.adapter is None or kit.model.dtype == torch.float32:
            assert_as_near(kit, wide, longer, found)
        else:  # merging rounds LoRA into the weights' own type
            error = (found - said_by_transformers(wide, longer)).square().mean().sqrt()
            assert error < 0.1
        if not step:
            with torch.no_grad():
                for one, other in zip(kit.model.parameters(), wide.model.parameters(), strict=True):
                    if one.requires_grad:
                        one.add_(0.05 * one.float().std() * torch.randn(one.shape, generator=generator))
                        other.copy_(one)
