"""vLLM's engine as far as it is used, driven by a tiny model: a call or argument that vLLM lacks is an error.

`tests/vllm` compares the signatures with the real ones.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch

from metis_agents.qwen3vl.rollouts.engine import TurnRequest
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine


@dataclass(kw_only=True)
class FakeSamplingParams:
    """The sampling parameters that are used."""

    temperature: float
    top_p: float
    top_k: int
    seed: int
    max_tokens: int
    stop_token_ids: list
    ignore_eos: bool
    logit_bias: dict = field(default_factory=dict)
    logprobs: int
    detokenize: bool


class FakeWorker:
    """vLLM's worker: holds the weights."""

    def __init__(self, model, calls):
        self._model, self._calls = model, calls

    def reload_weights(self, weights_iterator=None, weights_path=None, is_checkpoint_format=True):
        assert iter(weights_iterator) is weights_iterator, "one weight after the other, never a list of all"
        assert weights_path is None
        assert is_checkpoint_format
        names = []
        own = dict(self._model.named_parameters())
        with torch.no_grad():
            for name, weight in weights_iterator:
                assert weight.dtype == own[name].dtype, "in the model's type"
                own[name].copy_(weight)
                names.append(name)
        self._calls.append(("reload_weights", names))

    def get_model(self):
        return self._model


class FakeVllm:
    """vLLM's engine.

    It expands images as vLLM does: what was behind a prompt is found by what was given, images included. Sampling is
    that of the engine on transformers, on a copy of the model.
    """

    def __init__(self, kit, known):
        self._engine = TransformersEngine(kit.network)
        self._vocabulary = kit.network.vocabulary
        self._known = known
        self._names = {}
        self._calls = []
        self._worker = FakeWorker(kit.model, self._calls)
        self._is_asleep = False

    def add_request(
        self,
        request_id,
        prompt,
        params,
        arrival_time=None,
        lora_request=None,
        tokenization_kwargs=None,
        trace_headers=None,
        priority=0,
        session_id=None,
        prompt_text=None,
        kv_hints=None,
    ):
        assert not self._is_asleep
        images = prompt.get("multi_modal_data", {"image": []})["image"]
        assert prompt["prompt_token_ids"].count(self._vocabulary.image) == len(images)
        assert len(prompt.get("multi_modal_uuids", {"image": []})["image"]) == len(images)
        key = tuple(prompt["prompt_token_ids"]), tuple(np.asarray(image).tobytes() for image in images)
        assert set(params.logit_bias) == set(self._vocabulary.is_forbidden_V.nonzero()[:, 0].tolist())
        assert set(params.logit_bias.values()) == {-100.0}
        number = int(request_id)
        self._names[number] = request_id
        request = TurnRequest(
            episode=number,
            tokens=self._known(key),
            max_tokens=params.max_tokens,
            seed=params.seed,
            is_greedy=params.temperature == 0.0,
        )
        self._engine.submit([request])
        return request_id

    def step(self):
        turns = [] if self._engine.is_idle else self._engine.step()
        self._engine.forget([turn.episode for turn in turns])
        return [SimpleNamespace(request_id="unknown", finished=False, outputs=[]), *map(self._output, turns)]

    def abort_request(self, request_ids, internal=False):
        self._calls.append(("abort", request_ids))
        self._engine.forget([int(name) for name in request_ids])

    def collective_rpc(self, method, timeout=None, args=(), kwargs=None):
        function = getattr(FakeWorker, method) if isinstance(method, str) else method
        return [function(self._worker, *args, **(kwargs or {}))]

    def reset_encoder_cache(self):
        self._calls.append(("reset_encoder_cache",))
        self._engine.refresh()

    def reset_prefix_cache(self, reset_running_requests=False, reset_connector=False):
        self._calls.append(("reset_prefix_cache",))
        return self._engine.is_idle

    def sleep(self, level=1, mode="abort"):
        assert self._engine.is_idle
        self._is_asleep = True
        self._calls.append(("sleep", level))

    def wake_up(self, tags=None):
        self._is_asleep = False
        self._calls.append(("wake_up",))
        return True

    def _output(self, turn):
        logprobs = [{i: SimpleNamespace(logprob=p)} for i, p in zip(turn.ids, turn.logprobs, strict=True)]
        completion = SimpleNamespace(token_ids=list(turn.ids), logprobs=logprobs)
        return SimpleNamespace(request_id=self._names[turn.episode], finished=True, outputs=[completion])
