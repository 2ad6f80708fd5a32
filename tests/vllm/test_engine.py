"""The engine on the real vLLM: one model, two programs, one result.

The folder that vLLM loads says other limits on pixels than the model in this process has: if vLLM were not told ours,
each image would have more tokens there. The model's output layer is tied to its embedding.
"""

import random

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.timeout(1_500)  # the first test waits for vLLM to be imported and started, on any machine

EXACT = 1e-4
"""What is demanded; 1.4e-6 was measured. A wrong position, image or former weight is of order 0.1."""

LENGTH = 4_096


@pytest.fixture(scope="module")
def lora():
    """A model with LoRA layers: its weights are handed over merged."""
    from qwen_toys import equipment

    return equipment(lora=4)


@pytest.fixture(scope="module")
def network(lora):
    return lora.network


@pytest.fixture(scope="module")
def conversations(lora):
    from qwen_toys import played_conversations

    found = played_conversations(lora)
    assert {len(tokens.images) for tokens in found} == {1, 2, 3}, "images come back, once and twice"
    return found


@pytest.fixture(scope="module")
def before():
    """The state of the process before vLLM was started in it."""
    torch.manual_seed(1)
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    return *state, torch.get_num_threads()


@pytest.fixture(scope="module")
def engine(lora, before, tmp_path_factory):
    from metis_agents.qwen3vl.model.images import ImageEncoder
    from metis_agents.qwen3vl.model.models import merged_weights
    from metis_agents.qwen3vl.rollouts.vllm_start import VllmConfig, make_vllm_engine

    folder = tmp_path_factory.mktemp("model")
    lora.save_pretrained(folder)
    ImageEncoder(min_pixels=65_536, max_pixels=16_777_216).save_pretrained(folder)
    learning = {name for name, weight in lora.model.named_parameters() if weight.requires_grad}
    asked = []

    def weights(everything):
        asked.append(everything)
        return merged_weights(lora.model, None if everything else learning)

    config = VllmConfig(cache_mib=64)
    engine = make_vllm_engine(str(folder), lora.network, weights=weights, capacity=32, length=LENGTH, config=config)
    assert torch.get_num_threads() == before[3]
    assert torch.get_rng_state().equal(before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]
    engine.asked = asked
    engine.refresh()
    return engine


def requests(conversations, max_tokens=24, first=0):
    from metis_agents.qwen3vl.rollouts.engine import TurnRequest

    return [
        TurnRequest(episode=first + i, tokens=tokens, max_tokens=max_tokens, seed=i)
        for i, tokens in enumerate(conversations)
    ]


def written(engine, asked):
    """Turns by episode; the conversations are over afterwards."""
    engine.submit(asked)
    turns = {}
    while not engine.is_idle:
        turns |= {turn.episode: turn for turn in engine.step()}
    engine.forget([request.episode for request in asked])
    return [turns[request.episode] for request in asked]


def difference(kit, conversations, turns):
    """Between what vLLM said of its tokens and what the trainer's forward pass says."""
    whole = [
        tokens.then(kit.renderer.written(turn.ids, turn.logprobs))
        for tokens, turn in zip(conversations, turns, strict=True)
    ]
    with torch.no_grad():
        scored_N = kit.scorer(whole).logprobs_N
    counts = [tokens.model_tokens for tokens in whole]
    last = [part[-len(turn.ids) :] for part, turn in zip(scored_N.split(counts), turns, strict=True)]
    said = torch.tensor([logprob for turn in turns for logprob in turn.logprobs])
    return float((torch.cat(last) - said).abs().max())


def test_tokens_that_vllm_writes_are_as_likely_as_the_trainer_says(lora, engine, conversations):
    """Over turns, with images that tools returned."""
    turns = written(engine, requests(conversations))
    assert sum(len(turn.ids) for turn in turns) > 100
    assert difference(lora, conversations, turns) < EXACT


def test_the_same_holds_of_turns_that_go_on_from_the_prefix_cache(lora, engine, conversations):
    from metis_agents.qwen3vl.chat.tokens import head

    prompts = [head(tokens, tokens.prompt_length) for tokens in conversations]
    written(engine, requests(prompts, 1))
    assert difference(lora, conversations, written(engine, requests(conversations))) < EXACT


@pytest.mark.parametrize("step", range(3))
def test_the_same_holds_after_an_update(lora, engine, conversations, step):
    former, asked = written(engine, requests(conversations)), len(engine.asked)
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for parameter in lora.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    engine.refresh()
    turns = written(engine, requests(conversations))
    assert difference(lora, conversations, turns) < EXACT
    assert difference(lora, conversations, former) > 100 * EXACT, "the update changes what is likely"
    assert engine.asked[asked:] == [False], "only the first time all weights are handed over"


def test_a_tied_output_layer_follows_its_embedding(lora, engine, conversations):
    """The embedding does not learn with LoRA; a full update hands it over."""
    embedding = lora.model.model.language_model.embed_tokens.weight
    assert lora.model.lm_head.weight is embedding
    with torch.no_grad():
        embedding.add_(0.3 * torch.randn(embedding.shape, generator=torch.Generator().manual_seed(5)))
    engine._has_weights = False
    engine.refresh()
    assert difference(lora, conversations, written(engine, requests(conversations))) < EXACT


def test_what_a_turn_samples_depends_on_its_seed_alone(engine, conversations):
    together = written(engine, requests(conversations))
    alone = [written(engine, [request])[0] for request in requests(conversations)]
    backwards = written(engine, requests(conversations)[::-1])[::-1]
    for turns in (alone, backwards):
        assert [turn.ids for turn in turns] == [turn.ids for turn in together]
    assert len({turn.ids for turn in together}) > 1


def test_tokens_that_must_not_be_written_are_not(network, engine, conversations):
    ids = [index for turn in written(engine, requests(conversations * 3, 80)) for index in turn.ids]
    forbidden = set(network.vocabulary.is_forbidden_V.nonzero()[:, 0].tolist())
    assert len(ids) > 500
    assert forbidden
    assert not forbidden & set(ids)


def test_turns_that_are_given_up_are_gone(engine, conversations):
    engine.submit(requests(conversations))
    engine.step()
    engine.forget(range(len(conversations)))
    assert engine.is_idle
    assert not engine._engine.has_unfinished_requests()


def test_whole_episodes_play(lora, engine):
    from qwen_toys import jobs, player

    acting = player(lora, engine)
    rollouts = acting.play(jobs(tasks=2, group_size=4))
    acting.close()
    conversations = [rollout.payload for rollout in rollouts]
    said = np.concatenate([tokens.logprobs_T[tokens.is_model_token_T] for tokens in conversations])
    with torch.no_grad():
        np.testing.assert_allclose(lora.scorer(conversations).logprobs_N.numpy(), said, rtol=0, atol=EXACT)
    assert all(rollout.outcome.scored for rollout in rollouts)


def test_the_fake_of_other_tests_has_vllms_own_signatures():
    import inspect

    from fake_vllm import FakeSamplingParams, FakeVllm, FakeWorker
    from vllm import LLMEngine, SamplingParams
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner
    from vllm.v1.worker.gpu_worker import Worker

    def arguments(function):
        return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]

    def methods(kind):
        return {name: member for name, member in vars(kind).items() if inspect.isfunction(member) and name[0] != "_"}

    for name, method in methods(FakeVllm).items():
        assert arguments(method) == arguments(getattr(LLMEngine, name)), name
    assert set(inspect.signature(FakeSamplingParams).parameters) <= set(inspect.signature(SamplingParams).parameters)
    # The worker passes whatever it is given on to the model runner.
    assert set(methods(FakeWorker)) == {"reload_weights", "get_model"}
    assert arguments(FakeWorker.reload_weights) == arguments(GPUModelRunner.reload_weights)
    assert arguments(FakeWorker.get_model) == arguments(Worker.get_model)
