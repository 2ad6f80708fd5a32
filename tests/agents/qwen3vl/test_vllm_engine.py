"""The vLLM engine by its contract, against a fake with vLLM's own signatures that is driven by the tiny model itself.

The fake samples with the engine on transformers; so a conversation through the adapter must be the one that this engine
writes alone. `tests/vllm` has the same with the real vLLM.
"""

import importlib.machinery
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from fake_vllm import FakeSamplingParams, FakeVllm
from qwen_toys import equipment, jobs, player

from metis_agents.qwen3vl.chat.tokens import head
from metis_agents.qwen3vl.model.models import merged_weights
from metis_agents.qwen3vl.rollouts.engine import TurnRequest
from metis_agents.qwen3vl.rollouts.vllm_engine import VllmEngine, collapsed
from metis_agents.qwen3vl.rollouts.vllm_start import VllmConfig, make_vllm_engine
from metis_agents.qwen3vl.rollouts.vllm_weights import take_up
from metis_agents.qwen3vl.train.config import RunConfig
from metis_gym.errors import ConfigError, InfrastructureError, MissingDependencyError


class Remembering:
    """Finds the tokens behind what was given to vLLM; every request passes through `seen` first."""

    def __init__(self, kit):
        self._tokens, self._vocabulary = {}, kit.network.vocabulary

    def seen(self, tokens):
        images = tuple(np.array(image.pixels).tobytes() for image in tokens.images)
        self._tokens[tuple(collapsed(tokens, self._vocabulary)), images] = tokens

    def __call__(self, key):
        return self._tokens[key]


def make_engine(learning, **options):
    """The adapter around a fake that holds a copy of the weights."""
    known = Remembering(learning)
    fake = FakeVllm(equipment(), known)
    names = {name for name, weight in learning.model.named_parameters() if weight.requires_grad}
    engine = VllmEngine(
        fake,
        learning.network.vocabulary,
        sampling=FakeSamplingParams,
        weights=lambda everything: merged_weights(learning.model, None if everything else names),
        capacity=64,
        **options,
    )
    engine.calls = fake._calls
    original = engine.submit

    def submit(requests):
        for request in requests:
            known.seen(request.tokens)
        original(requests)

    engine.submit = submit
    return engine


@pytest.fixture
def engine(kit):
    return make_engine(kit)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own use of transformers
@pytest.mark.parametrize("lora", [None, 4])
def test_episodes_through_vllm_are_those_of_the_engine_on_transformers_also_after_an_update(lora):
    kit = equipment(lora=lora)
    engine = make_engine(kit)
    for seed in (2, 3):
        engine.refresh()
        through, alone = player(kit, engine), player(kit)
        for one, other in zip(through.play(jobs(seed=seed)), alone.play(jobs(seed=seed)), strict=True):
            np.testing.assert_array_equal(one.payload.ids_T, other.payload.ids_T)
            np.testing.assert_allclose(one.payload.logprobs_T, other.payload.logprobs_T, rtol=0, atol=2e-5)
            assert one.outcome == other.outcome
        through.close()
        alone.close()
        with torch.no_grad():
            for parameter in kit.scorer.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_refreshing_hands_over_all_weights_then_those_that_learn_and_drops_what_old_ones_made():
    kit = equipment(lora=2)
    engine = make_engine(kit)
    engine.refresh()
    engine.refresh()
    (first, everything), *resets, (second, learning) = engine.calls[:4]
    assert first == second == "reload_weights"
    assert resets == [("reset_encoder_cache",), ("reset_prefix_cache",)]
    plain = {name for name, _ in equipment().model.named_parameters()}
    assert set(everything) == plain
    assert len(everything) == len(plain), "each weight once"
    assert len(learning) == 2 * 7, "layers x linear maps of each"
    assert all("language_model" in name for name in learning)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_weights_go_over_one_by_one_in_the_models_type():
    """With LoRA in float32 beside weights in bfloat16, a sum is float32: twice the memory of the weights, and more."""
    kit = equipment(lora=2)
    kit.model.to(torch.bfloat16)
    for module in kit.model.modules():
        if hasattr(module, "lora_A"):
            module.lora_A.float()
            module.lora_B.float()
    asked = merged_weights(kit.model)
    name, weight = next(asked)
    assert name.endswith("q_proj.weight")
    assert {weight.dtype, *(weight.dtype for _, weight in asked)} == {torch.bfloat16}


def test_keys_and_values_that_stay_are_an_error(kit, engine, monkeypatch):
    monkeypatch.setattr(FakeVllm, "reset_prefix_cache", lambda *_: False)
    with pytest.raises(InfrastructureError, match="did not drop"):
        engine.refresh()


def test_vllm_sleeps_while_no_conversation_is_known(kit, conversations):
    engine = make_engine(kit, sleeps=True)
    prompt = head(conversations[0], conversations[0].prompt_length)
    engine.refresh()
    names = [call[0] for call in engine.calls]
    assert names == ["sleep", "wake_up", "reload_weights", "reset_encoder_cache", "reset_prefix_cache"]
    for episodes in ([0, 1], [2]):
        engine.submit([TurnRequest(episode=i, tokens=prompt, max_tokens=4, seed=0) for i in episodes])
        while not engine.is_idle:
            engine.step()
        engine.forget(episodes[:1])
        if len(episodes) > 1:
            assert engine.calls[-1][0] != "sleep", "a conversation waits for its tool"
            engine.forget(episodes[1:])
        assert engine.calls[-1] == ("sleep", 1)
    engine.forget([])
    assert [call[0] for call in engine.calls[-3:]] == ["sleep", "wake_up", "sleep"]


def test_forgotten_turns_are_aborted(kit, engine, conversations):
    prompt = head(conversations[0], conversations[0].prompt_length)
    engine.submit([TurnRequest(episode=5, tokens=prompt, max_tokens=4, seed=0)])
    assert not engine.is_idle
    engine.forget([5, 6])
    assert engine.is_idle
    assert engine.calls == [("abort", ["1"])]


def test_more_than_the_capacity_is_refused(kit, conversations):
    engine = VllmEngine(None, kit.network.vocabulary, sampling=FakeSamplingParams, capacity=1)
    requests = [TurnRequest(episode=i, tokens=conversations[0], max_tokens=4, seed=0) for i in range(2)]
    with pytest.raises(ConfigError, match=r"at most capacity \(1\) conversations, actually: 2"):
        engine.submit(requests)


def test_a_tied_output_layer_is_packed_again():
    packed = []

    class Head(torch.nn.Linear):
        quant_method = SimpleNamespace(process_weights_after_loading=packed.append)

        def tie_weights(self, embedding):
            self.weight = embedding.weight
            return self

    class Model(torch.nn.Module):
        def __init__(self, is_tied):
            super().__init__()
            self.embedding, self.head = torch.nn.Embedding(3, 2), Head(2, 3)
            if is_tied:
                self.head.tie_weights(self.embedding)

    for is_tied in (False, True):
        model = Model(is_tied)
        take_up(SimpleNamespace(reload_weights=lambda weights_iterator: None, get_model=lambda m=model: m), iter([]))
    assert packed == [model.head]


def test_without_vllm_the_error_names_the_extra(kit, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metis-gym\[vllm\]'"):
        make_vllm_engine("somewhere", kit.network, length=64)


@pytest.fixture
def told(monkeypatch):
    """What a vLLM that does not start is told; `platform` says where it would run."""

    class Arguments(dict):
        def __init__(self, **given):
            super().__init__(given)

    told = []
    platform = SimpleNamespace(device_type="cuda", is_cpu=lambda: False, is_sleep_mode_available=lambda: True)
    fake, platforms = ModuleType("vllm"), ModuleType("vllm.platforms")
    fake.__spec__ = importlib.machinery.ModuleSpec("vllm", None)
    fake.EngineArgs, fake.SamplingParams, platforms.current_platform = Arguments, FakeSamplingParams, platform
    fake.LLMEngine = SimpleNamespace(from_engine_args=told.append)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    return SimpleNamespace(arguments=told, platform=platform)


def test_vllm_is_told_what_the_model_is_and_how_to_share_a_gpu(kit, told, monkeypatch):
    config = VllmConfig(memory_share=0.3, cache_mib=10, sleep=True, eager=True)
    make_vllm_engine("somewhere", kit.network, length=99, capacity=7, config=config)
    monkeypatch.setenv("WORLD_SIZE", "8")
    make_vllm_engine("somewhere", kit.network, length=99, config=VllmConfig(max_model_len=100), has_weights=False)
    one, ranks = told.arguments
    encoder = kit.network.encoder
    size = {"shortest_edge": encoder.min_pixels, "longest_edge": encoder.max_pixels}
    assert one["mm_processor_kwargs"] == {"size": size}
    assert (one["dtype"], one["max_model_len"], one["max_num_seqs"]) == ("float32", 99, 7)
    assert (one["gpu_memory_utilization"], one["kv_cache_memory_bytes"]) == (0.3, 10 << 20)
    assert one["enable_sleep_mode"]
    assert one["enforce_eager"]
    assert (one["distributed_executor_backend"], ranks["distributed_executor_backend"]) == (None, "external_launcher")
    assert (ranks["max_model_len"], ranks["load_format"], ranks["kv_cache_memory_bytes"]) == (100, "dummy", None)
    assert "load_format" not in one


def test_on_a_cpu_vllm_takes_no_share_of_all_memory_and_cannot_sleep(kit, told):
    told.platform.is_cpu, told.platform.device_type = lambda: True, "cpu"
    told.platform.is_sleep_mode_available = lambda: False
    make_vllm_engine("somewhere", kit.network, length=20_000)
    assert told.arguments[0]["kv_cache_memory_bytes"] == 256 << 20
    assert told.arguments[0]["max_num_batched_tokens"] == 20_000, "whole prompts"
    with pytest.raises(ConfigError, match=r"vllm\.sleep on a GPU, actually: vLLM runs on 'cpu'"):
        make_vllm_engine("somewhere", kit.network, length=64, config=VllmConfig(sleep=True))


def test_starting_leaves_the_process_as_it_was(kit, told, monkeypatch):
    import os

    def disturb(arguments):
        assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
        torch.manual_seed(0)
        np.random.seed(0)
        torch.set_num_threads = None

    sys.modules["vllm"].LLMEngine = SimpleNamespace(from_engine_args=disturb)
    monkeypatch.delenv("VLLM_ENABLE_V1_MULTIPROCESSING", raising=False)
    torch.manual_seed(7)
    set_threads, drawn, by_numpy = torch.set_num_threads, torch.get_rng_state(), np.random.get_state()[1]
    make_vllm_engine("somewhere", kit.network, length=64)
    assert torch.set_num_threads is set_threads
    assert torch.get_rng_state().equal(drawn)
    np.testing.assert_array_equal(np.random.get_state()[1], by_numpy)
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in os.environ


def test_settings_that_cannot_be_right_are_named():
    with pytest.raises(ConfigError, match=r"at least budget\.prompt \+ budget\.response \(40960\), actually: 4096"):
        RunConfig(out=Path("x"), engine="vllm", vllm=VllmConfig(max_model_len=4096))
    from metis_agents.qwen3vl.model.models import ModelConfig

    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES"):
        RunConfig(out=Path("x"), engine="vllm", model=ModelConfig(device="cuda:1"))
    with pytest.raises(ConfigError, match="memory_share"):
        VllmConfig(memory_share=1.5)
