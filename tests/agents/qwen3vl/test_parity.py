"""One model, many ways to run it, one result.

Tolerances: float32 with another order of sums; the logits here are of order 10, so 2e-5 is a few units in their last
place after two layers. What a wrong position or a leak between episodes does is of order 0.1.
"""

import numpy as np
import pytest
import torch
from qwen_toys import BUDGET, equipment, jobs, player

from metis_agents.chat.hf_processor import load_processor
from metis_agents.qwen3vl.chat.tokens import head
from metis_agents.qwen3vl.model.models import LoadedModel, ModelConfig, equip, load_pretrained, merged_weights
from metis_agents.qwen3vl.model.network import batch_of
from metis_agents.qwen3vl.model.scoring import Layout, Scorer
from metis_agents.qwen3vl.rollouts.engine import TurnRequest
from metis_agents.qwen3vl.rollouts.sampling import sample
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine

EXACT = 2e-5


def transformers_logprobs(kit, tokens):
    """The independent way: transformers' own forward pass with its own positions, everything at once."""
    model = kit.model
    ids = torch.from_numpy(tokens.ids_T)[None]
    patches, grids = kit.network.encoder.patches(tokens.images, torch.device("cpu"))
    is_image = (ids == kit.network.vocabulary.image).int()
    positions, _ = model.model.get_rope_index(ids, mm_token_type_ids=is_image, image_grid_thw=grids)
    with torch.no_grad():
        logits = model(
            input_ids=ids, pixel_values=patches, image_grid_thw=grids, position_ids=positions, use_cache=False
        ).logits[0]
    logits = logits.masked_fill(kit.network.vocabulary.is_forbidden_V, float("-inf"))
    everything = torch.log_softmax(logits.float(), -1)
    places = np.flatnonzero(tokens.is_model_token_T)
    return everything[places - 1, tokens.ids_T[places]]


def own_logprobs(kit, conversations, layout):
    with torch.no_grad():
        return Scorer(kit.network, layout=layout, features=kit.features)(conversations).logprobs_N


@pytest.mark.parametrize("layout", Layout)
def test_scores_are_those_of_transformers_own_forward_pass(kit, conversations, layout):
    expected = torch.cat([transformers_logprobs(kit, tokens) for tokens in conversations])
    assert expected.std() > 0.3  # the model is not indifferent
    torch.testing.assert_close(own_logprobs(kit, conversations, layout), expected, rtol=0, atol=EXACT)


def test_positions_are_those_of_transformers(kit, conversations):
    for tokens in conversations:
        ids = torch.from_numpy(tokens.ids_T)[None]
        _, grids = kit.network.encoder.patches(tokens.images, torch.device("cpu"))
        is_image = (ids == kit.network.vocabulary.image).int()
        expected, _ = kit.model.model.get_rope_index(ids, mm_token_type_ids=is_image, image_grid_thw=grids)
        np.testing.assert_array_equal(tokens.positions_3T, expected[:, 0].numpy())


def test_gradients_do_not_depend_on_the_layout(kit, conversations):
    gradients = {}
    for layout in Layout:
        scorer = Scorer(kit.network, layout=layout, features=kit.features)
        scorer.zero_grad()
        scorer(conversations).logprobs_N.sum().backward()
        learning = [parameter for parameter in scorer.parameters() if parameter.requires_grad]
        gradients[layout] = torch.cat([parameter.grad.flatten() for parameter in learning])
    scale = gradients[Layout.PADDED].abs().max()
    for layout in (Layout.SHARED, Layout.PACKED):
        torch.testing.assert_close(gradients[layout], gradients[Layout.PADDED], rtol=0, atol=float(scale) * 1e-5)


def test_small_chunks_of_logits_change_nothing(kit, conversations):
    whole, pieces = (Scorer(kit.network, chunk=chunk, features=kit.features) for chunk in (4096, 7))
    one, other = whole(conversations, with_entropy=True), pieces(conversations, with_entropy=True)
    torch.testing.assert_close(one.logprobs_N, other.logprobs_N, rtol=0, atol=EXACT)
    torch.testing.assert_close(one.entropy_N, other.entropy_N, rtol=0, atol=EXACT)


def test_entropy_is_that_of_the_distribution_over_allowed_tokens(kit, conversations):
    entropy_N = kit.scorer(conversations[:1], with_entropy=True).entropy_N
    allowed = int((~kit.network.vocabulary.is_forbidden_V).sum())
    assert (entropy_N > 0).all()
    assert (entropy_N <= np.log(allowed)).all()


def test_episodes_that_the_model_sampled_itself_have_the_log_probabilities_that_it_said(kit):
    acting = player(kit)
    rollouts = acting.play(jobs(tasks=3, group_size=4))
    acting.close()
    conversations = [rollout.payload for rollout in rollouts]
    said = np.concatenate([tokens.logprobs_T[tokens.is_model_token_T] for tokens in conversations])
    for layout in Layout:
        recomputed = own_logprobs(kit, conversations, layout).numpy()
        np.testing.assert_allclose(recomputed, said, rtol=0, atol=EXACT)


def test_a_kept_cache_says_what_a_fresh_one_says(kit, conversations):
    """Each conversation with a returned image: prompt first, then the rest, against all at once."""
    longer = [tokens for tokens in conversations if len(tokens.images) > 1]
    assert longer
    kept, fresh = (TransformersEngine(kit.network, features=kit.features) for _ in range(2))
    turns = {}
    for engine in (kept, fresh):
        if engine is kept:
            engine.submit([request(i, head(tokens, tokens.prompt_length), 1) for i, tokens in enumerate(longer)])
            drained(engine)
        engine.submit([request(i, tokens, 12) for i, tokens in enumerate(longer)])
        turns[engine is kept] = drained(engine)
    for number in range(len(longer)):
        assert turns[True][number].ids == turns[False][number].ids
        np.testing.assert_allclose(turns[True][number].logprobs, turns[False][number].logprobs, rtol=0, atol=EXACT)


def test_a_shared_prompt_says_what_separate_ones_say(kit, conversations):
    prompts = [head(tokens, tokens.prompt_length) for tokens in conversations]
    together, alone = (TransformersEngine(kit.network, features=kit.features) for _ in range(2))
    together.submit([request(i, prompts[0], 20, seed=i) for i in range(5)])
    shared = drained(together)
    for number in range(5):
        alone.submit([request(number, prompts[0], 20, seed=number)])
        single = drained(alone)[number]
        assert single.ids == shared[number].ids
        np.testing.assert_allclose(single.logprobs, shared[number].logprobs, rtol=0, atol=EXACT)


def test_what_is_sampled_does_not_depend_on_the_company(kit, conversations):
    """Prefill pieces, other conversations and rows that leave: each turn follows from its own seed."""
    prompts = [head(tokens, tokens.prompt_length) for tokens in conversations]
    crowd = TransformersEngine(kit.network, features=kit.features, prefill_tokens=200)
    crowd.submit([request(i, prompt, 3 + 5 * i, seed=i) for i, prompt in enumerate(prompts)])
    in_company = drained(crowd)
    for number, prompt in enumerate(prompts):
        lonely = TransformersEngine(kit.network, features=kit.features)
        lonely.submit([request(number, prompt, 3 + 5 * number, seed=number)])
        assert drained(lonely)[number].ids == in_company[number].ids


def test_forgotten_rows_are_used_again(kit, conversations):
    engine = TransformersEngine(kit.network, features=kit.features, capacity=2)
    for index in range(5):  # one stays while the next one comes
        engine.submit([request(index, conversations[index], 4)])
        drained(engine)
        engine.forget([index - 1])
        assert engine._slab.rows == min(index + 1, 2)
    engine.forget([4])
    assert engine.cache_bytes == 0


def test_a_whole_run_is_the_same_to_the_last_bit(kit):
    runs = []
    for _ in range(2):
        acting = player(kit, overlap=False)
        runs.append([rollout.payload for rollout in acting.play(jobs(tasks=2, group_size=3))])
        acting.close()
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one.ids_T, other.ids_T)
        np.testing.assert_array_equal(one.logprobs_T, other.logprobs_T)


@pytest.mark.parametrize(
    ("layout", "lora"),
    [
        (Layout.SHARED, None),
        *(
            pytest.param(layout, lora, marks=pytest.mark.slow)
            for layout in Layout
            for lora in (None, 4)
            if (layout, lora) != (Layout.SHARED, None)
        ),
    ],
)
def test_activations_computed_again_change_neither_rollouts_nor_gradients(layout, lora):
    found = []
    for recomputes in (False, True):
        kit = equipment(lora=lora, layout=layout, gradient_checkpointing=recomputes)
        played, kept = [], 0

        def count(tensor):
            nonlocal kept
            kept += tensor.numel()
            return tensor

        for _ in range(2):  # acting, learning, acting again
            acting = player(kit, overlap=False)
            played += [rollout.payload for rollout in acting.play(jobs(tasks=2, group_size=3))]
            acting.close()
            with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
                loss = kit.scorer(played).logprobs_N.mean()
            loss.backward()
        gradients = [p.grad.flatten() for p in kit.scorer.parameters() if p.requires_grad]
        found.append((played, torch.cat(gradients), kept))
    (plain, gradient, much), (recomputed, same, little) = found
    for one, other in zip(plain, recomputed, strict=True):
        np.testing.assert_array_equal(one.ids_T, other.ids_T)
        np.testing.assert_allclose(one.logprobs_T, other.logprobs_T, rtol=0, atol=EXACT)
    assert gradient.norm() > 0
    torch.testing.assert_close(same, gradient, rtol=0, atol=EXACT)
    assert little < much / 2


@pytest.mark.parametrize("layout", Layout)
def test_activations_computed_again_give_the_gradients_of_kept_ones(conversations, layout):
    gradients, kept = [], []

    def count(tensor):
        kept[-1] += tensor.numel()
        return tensor

    for recomputes in (False, True):
        kit = equipment(layout=layout, gradient_checkpointing=recomputes)
        kept.append(0)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = kit.scorer(conversations).logprobs_N.mean()
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in kit.scorer.parameters() if p.requires_grad]))
    assert gradients[0].norm() > 0
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=EXACT)
    assert kept[1] < kept[0] / 2


def test_forbidden_tokens_are_never_drawn(kit):
    rng = torch.Generator().manual_seed(0)
    logits_BV = torch.randn(64, 200, generator=rng)
    logits_BV[:, 50:150] = float("-inf")
    uniforms_B = torch.cat([torch.rand(62, generator=rng), torch.tensor([0.0, 1.0 - 2.0**-24])])
    ids_B, logprobs_B = sample(logits_BV, uniforms_B, torch.zeros(64, dtype=torch.bool))
    assert not ((ids_B >= 50) & (ids_B < 150)).any()
    torch.testing.assert_close(logprobs_B, torch.log_softmax(logits_BV, -1)[torch.arange(64), ids_B])


def test_tokens_can_be_forbidden_for_a_while(kit, conversations):
    hidden_NH = torch.randn(3, kit.model.config.text_config.hidden_size)
    before = kit.network.logits(hidden_NH)
    allowed = int(before[0].argmax())
    with kit.network.forbidding([allowed]):
        assert kit.network.logits(hidden_NH)[:, allowed].isneginf().all()
    assert kit.network.logits(hidden_NH).equal(before)


def test_tokens_are_drawn_as_often_as_they_are_likely():
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3])
    uniforms_B = (torch.arange(1000) + 0.5) / 1000
    ids_B, _ = sample(probabilities.log().expand(1000, -1), uniforms_B, torch.zeros(1000, dtype=torch.bool))
    assert torch.bincount(ids_B, minlength=4).tolist() == [100, 0, 600, 300]


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own use of transformers
@pytest.mark.parametrize("lora", [None, 4])
def test_saved_and_loaded_it_says_the_same(tmp_path, conversations, lora):
    kit = equipment(lora=lora)
    learning = [parameter for parameter in kit.scorer.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in learning:
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    expected = own_logprobs(kit, conversations, Layout.SHARED)
    kit.save_pretrained(tmp_path)
    loaded = [load_pretrained(ModelConfig(name=str(tmp_path)))]
    if lora is not None:
        from peft import PeftModel

        kit.save_adapter(tmp_path / "adapter")
        model = PeftModel.from_pretrained(equipment().model, tmp_path / "adapter").merge_and_unload()
        loaded.append(LoadedModel(model, kit.tokenizer, kit.network.encoder))
    for one in loaded:
        again = equip(one, ModelConfig(), ("</tool_call>",))
        torch.testing.assert_close(own_logprobs(again, conversations, Layout.SHARED), expected, rtol=0, atol=EXACT)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("lora", [None, 4])
def test_what_is_saved_loads_in_plain_transformers(tmp_path, conversations, lora):
    """By the general classes, knowing nothing of this package: model, tokenizer, template and image processor."""
    import transformers

    kit = equipment(lora=lora)
    with torch.no_grad():
        for parameter in kit.scorer.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    kit.save_pretrained(tmp_path)
    model, report = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    model.eval()
    tokens = conversations[0]
    images = load_processor(str(tmp_path)).image_processor([image.pixels for image in tokens.images])
    ids = torch.from_numpy(tokens.ids_T)[None]
    with torch.no_grad():
        logits = model(
            input_ids=ids,
            mm_token_type_ids=(ids == kit.network.vocabulary.image).int(),
            pixel_values=torch.as_tensor(np.asarray(images["pixel_values"])),
            image_grid_thw=torch.as_tensor(np.asarray(images["image_grid_thw"])),
        ).logits[0]
    logits = logits.masked_fill(kit.network.vocabulary.is_forbidden_V, float("-inf"))
    places = np.flatnonzero(tokens.is_model_token_T)
    said = torch.log_softmax(logits.float(), -1)[places - 1, tokens.ids_T[places]]
    torch.testing.assert_close(own_logprobs(kit, [tokens], Layout.SHARED), said, rtol=0, atol=EXACT)
    assert (tmp_path / "generation_config.json").exists()
    assert transformers.AutoTokenizer.from_pretrained(tmp_path).chat_template


def test_lora_learns_in_the_language_model_only():
    kit = equipment(lora=4)
    learning = [name for name, parameter in kit.model.named_parameters() if parameter.requires_grad]
    assert learning
    assert all("language_model" in name and "lora_" in name for name in learning)


def test_merged_weights_make_a_plain_model_say_what_lora_says(conversations):
    kit, plain = equipment(lora=4), equipment()
    with torch.no_grad():
        for parameter in kit.scorer.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05)
    everything, merged = dict(merged_weights(kit.model)), dict(merged_weights(kit.model, names=()))
    assert len(merged) == 14  # seven layers in each of two blocks
    assert set(merged) < set(everything)
    assert set(everything) == {name for name, _ in plain.model.named_parameters()}
    plain.model.load_state_dict(merged, strict=False)
    expected = own_logprobs(kit, conversations, Layout.SHARED)
    torch.testing.assert_close(own_logprobs(plain, conversations, Layout.SHARED), expected, rtol=0, atol=EXACT)


def test_padding_holds_no_image(kit, conversations):
    batch = batch_of(conversations, torch.device("cpu"))
    images = sum(kit.network.encoder.tokens(image) for image in batch.images)
    assert int((batch.ids_BT == kit.network.vocabulary.image).sum()) == images


def request(episode, tokens, max_tokens, seed=0):
    return TurnRequest(episode=episode, tokens=tokens, max_tokens=max_tokens, seed=seed)


def drained(engine):
    """Finished turns by conversation."""
    turns = {}
    while not engine.is_idle:
        turns |= {turn.episode: turn for turn in engine.step()}
    return turns


def test_budget_of_these_tests_is_met(conversations):
    assert max(map(len, conversations)) < BUDGET.prompt + BUDGET.response
