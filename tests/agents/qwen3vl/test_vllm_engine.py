"""The vLLM engine by its contract, against a fake of vLLM's four calls that is driven by the tiny model itself.

The fake expands images as vLLM does and samples with the engine on transformers; so a conversation through the
adapter must be the one that this engine writes alone.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from qwen_toys import jobs, player

from metis_agents.qwen3vl.chat.tokens import head
from metis_agents.qwen3vl.model.images import ImageEncoder
from metis_agents.qwen3vl.rollouts.engine import TurnRequest
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.rollouts.vllm_engine import VllmEngine, collapsed, make_vllm_engine
from metis_gym.errors import ConfigError, MissingDependencyError


class FakeVllm:
    """vLLM's calls; the tokens of a prompt are looked up by what was given, images included."""

    def __init__(self, kit, known):
        self._engine = TransformersEngine(kit.network, features=kit.features)
        self._vocabulary = kit.network.vocabulary
        self._known = known
        self._names = {}
        self.calls = []

    def add_request(self, name, prompt, parameters):
        images = prompt.get("multi_modal_data", {"image": []})["image"]
        assert prompt["prompt_token_ids"].count(self._vocabulary.image) == len(images)
        key = tuple(prompt["prompt_token_ids"]), tuple(np.asarray(image).tobytes() for image in images)
        assert not set(parameters["allowed_token_ids"]) & {self._vocabulary.image, self._vocabulary.start}
        number = int(name)
        self._names[number] = name
        request = TurnRequest(
            episode=number,
            tokens=self._known(key),
            max_tokens=parameters["max_tokens"],
            seed=parameters["seed"],
            is_greedy=parameters["temperature"] == 0.0,
        )
        self._engine.submit([request])

    def step(self):
        turns = [] if self._engine.is_idle else self._engine.step()
        return [SimpleNamespace(request_id="unknown", finished=False, outputs=[]), *map(self._output, turns)]

    def abort_request(self, names):
        self.calls.append(("abort", names))
        self._engine.forget([int(name) for name in names])

    def collective_rpc(self, method, args):
        self.calls.append((method, [name for name, _ in args[0]]))

    def reset_prefix_cache(self):
        self.calls.append(("reset", None))

    def _output(self, turn):
        logprobs = [{i: SimpleNamespace(logprob=p)} for i, p in zip(turn.ids, turn.logprobs, strict=True)]
        completion = SimpleNamespace(token_ids=list(turn.ids), logprobs=logprobs)
        return SimpleNamespace(request_id=self._names[turn.episode], finished=True, outputs=[completion])


class Remembering:
    """Finds the tokens behind what was given to vLLM; every request passes through `seen` first."""

    def __init__(self, kit):
        self._tokens, self._vocabulary = {}, kit.network.vocabulary

    def seen(self, tokens):
        images = tuple(np.array(image.pixels).tobytes() for image in tokens.images)
        self._tokens[tuple(collapsed(tokens, self._vocabulary)), images] = tokens

    def __call__(self, key):
        return self._tokens[key]


@pytest.fixture
def engine(kit):
    known = Remembering(kit)
    fake = FakeVllm(kit, known)
    engine = VllmEngine(fake, kit.network.vocabulary, sampling=dict, weights=lambda: [("w", None)], capacity=64)
    engine.fake = fake
    original = engine.submit

    def submit(requests):
        for request in requests:
            known.seen(request.tokens)
        original(requests)

    engine.submit = submit
    return engine


def test_episodes_through_vllm_are_those_of_the_engine_on_transformers(kit, engine):
    through, alone = player(kit, engine), player(kit)
    for one, other in zip(through.play(jobs(seed=2)), alone.play(jobs(seed=2)), strict=True):
        np.testing.assert_array_equal(one.payload.ids_T, other.payload.ids_T)
        np.testing.assert_allclose(one.payload.logprobs_T, other.payload.logprobs_T, rtol=0, atol=2e-5)
        assert one.outcome == other.outcome
    through.close()
    alone.close()


def test_refreshing_hands_over_weights_and_drops_the_cache(engine):
    engine.refresh()
    assert engine.fake.calls == [("load_weights", ["w"]), ("reset", None)]


def test_forgotten_turns_are_aborted(kit, engine, conversations):
    prompt = head(conversations[0], conversations[0].prompt_length)
    engine.submit([TurnRequest(episode=5, tokens=prompt, max_tokens=4, seed=0)])
    assert not engine.is_idle
    engine.forget([5, 6])
    assert engine.is_idle
    assert engine.fake.calls == [("abort", ["1"])]


def test_more_than_the_capacity_is_refused(kit, conversations):
    engine = VllmEngine(None, kit.network.vocabulary, sampling=dict, capacity=1)
    requests = [TurnRequest(episode=i, tokens=conversations[0], max_tokens=4, seed=0) for i in range(2)]
    with pytest.raises(ConfigError, match=r"at most capacity \(1\) conversations, actually: 2"):
        engine.submit(requests)


def test_without_vllm_the_error_names_the_extra(kit, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metis-gym\[vllm\]'"):
        make_vllm_engine("somewhere", kit.network.vocabulary, images=kit.network.encoder)


def test_vllm_is_told_the_limits_on_pixels(kit, monkeypatch):
    class Arguments(dict):
        def __init__(self, **told):
            super().__init__(told)

    told = []
    fake = ModuleType("vllm")
    fake.EngineArgs, fake.SamplingParams = Arguments, dict
    fake.LLMEngine = SimpleNamespace(from_engine_args=told.append)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    images = ImageEncoder(min_pixels=65_536, max_pixels=100_000)
    make_vllm_engine("somewhere", kit.network.vocabulary, images=images)
    assert told[0]["mm_processor_kwargs"] == {"min_pixels": 65_536, "max_pixels": 100_000}
