"""The rollout engine on vLLM, behind the same contract as the one on transformers. An optional extra; needs a GPU.

vLLM takes token ids with one image token for each image and expands it itself; what it sampled comes back as ids
with their log-probabilities, so that training sees what was sampled. Prompts that are shared, and conversations that go
on, are found by vLLM's prefix cache. vLLM and the trainer round differently: train with an importance cap.

The engine is used through four calls of `vllm.LLMEngine`: `add_request`, `step`, `abort_request` and `collective_rpc`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.chat.vocabulary import Vocabulary
from metis_agents.qwen3vl.model.images import ImageEncoder
from metis_agents.qwen3vl.rollouts.engine import SampledTurn, TurnRequest
from metis_gym.errors import ConfigError, MissingDependencyError

__all__ = ["VllmEngine", "collapsed", "make_vllm_engine"]

_SEED_BITS = 63


class VllmEngine:
    """Writes turns with vLLM.

    Args:
        engine: A `vllm.LLMEngine`, or what has its four calls.
        vocabulary: What may be written.
        sampling: Makes sampling parameters from keywords: `vllm.SamplingParams`.
        weights: Gives the weights that learn, by the checkpoint's names; they are handed over at `refresh`. None where
            the weights never change.
        temperature: Of sampling.
        capacity: Most conversations at a time.
    """

    def __init__(
        self,
        engine: Any,
        vocabulary: Vocabulary,
        *,
        sampling: Callable[..., Any],
        weights: Callable[[], Iterable[tuple[str, Tensor]]] | None = None,
        temperature: float = 1.0,
        capacity: int = 256,
    ) -> None:
        self._engine, self._vocabulary, self._sampling = engine, vocabulary, sampling
        self._weights, self._temperature, self._capacity = weights, temperature, capacity
        self._allowed = (~vocabulary.is_forbidden_V).nonzero()[:, 0].tolist()
        self._live: dict[str, TurnRequest] = {}
        self._count = 0

    @property
    def capacity(self) -> int:
        """Most conversations at a time."""
        return self._capacity

    @property
    def is_idle(self) -> bool:
        """Whether nothing submitted is unfinished."""
        return not self._live

    def submit(self, requests: Sequence[TurnRequest]) -> None:
        """Take up turns to be written.

        Raises:
            ConfigError: More than the capacity.
        """
        if len(self._live) + len(requests) > self._capacity:
            raise ConfigError(
                f"Expect at most capacity ({self._capacity}) conversations, actually: {len(self._live) + len(requests)}"
            )
        for request in requests:
            self._count += 1
            name = str(self._count)
            self._live[name] = request
            self._engine.add_request(name, self._prompt(request.tokens), self._parameters(request))

    def step(self) -> list[SampledTurn]:
        """Let vLLM write; the turns that are finished by that."""
        finished = []
        for output in self._engine.step():
            if output.finished and output.request_id in self._live:
                finished.append(self._turn(self._live.pop(output.request_id), output.outputs[0]))
        return finished

    def forget(self, episodes: Sequence[int]) -> None:
        """Give up the unfinished turns of these conversations; vLLM's prefix cache needs no telling."""
        gone = [name for name, request in self._live.items() if request.episode in set(episodes)]
        for name in gone:
            del self._live[name]
        if gone:
            self._engine.abort_request(gone)

    def refresh(self) -> None:
        """Hand over the weights that learn, and drop keys and values that the old ones made."""
        self.forget([request.episode for request in self._live.values()])
        if self._weights is not None:
            self._engine.collective_rpc("load_weights", args=(list(self._weights()),))
            self._engine.reset_prefix_cache()

    def _prompt(self, tokens: Tokens) -> dict[str, Any]:
        prompt: dict[str, Any] = {"prompt_token_ids": collapsed(tokens, self._vocabulary)}
        if tokens.images:
            prompt["multi_modal_data"] = {"image": [Image.fromarray(np.array(p.pixels)) for p in tokens.images]}
            prompt["multi_modal_uuids"] = {"image": [image.name for image in tokens.images]}
        return prompt

    def _parameters(self, request: TurnRequest) -> Any:
        return self._sampling(
            temperature=0.0 if request.is_greedy else self._temperature,
            top_p=1.0,
            top_k=-1,
            seed=request.seed % (1 << _SEED_BITS),
            max_tokens=request.max_tokens,
            stop_token_ids=sorted(self._vocabulary.stops),
            ignore_eos=True,
            allowed_token_ids=self._allowed,
            logprobs=0,
            detokenize=False,
        )

    def _turn(self, request: TurnRequest, completion: Any) -> SampledTurn:
        ids = tuple(int(index) for index in completion.token_ids)
        logprobs = tuple(
            float(of_token[index].logprob) for index, of_token in zip(ids, completion.logprobs, strict=True)
        )
        is_cut = not ids or ids[-1] not in self._vocabulary.stops
        return SampledTurn(episode=request.episode, ids=ids, logprobs=logprobs, is_cut=is_cut)


def collapsed(tokens: Tokens, vocabulary: Vocabulary) -> list[int]:
    """The ids with one image token for each image, as vLLM takes them.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> run = SimpleNamespace(ids_T=np.array([5, 9, 9, 9, 6, 9, 7]), places=(1, 5))
    >>> collapsed(run, SimpleNamespace(image=9))
    [5, 9, 6, 9, 7]
    """
    is_kept_T = tokens.ids_T != vocabulary.image
    is_kept_T[list(tokens.places)] = True
    kept: list[int] = tokens.ids_T[is_kept_T].tolist()
    return kept


def make_vllm_engine(
    model: str,
    vocabulary: Vocabulary,
    *,
    images: ImageEncoder,
    weights: Callable[[], Iterable[tuple[str, Tensor]]] | None = None,
    temperature: float = 1.0,
    capacity: int = 256,
    **options: Any,
) -> VllmEngine:
    """Start vLLM in this process.

    Args:
        model: Folder or name of the checkpoint.
        vocabulary: What may be written.
        images: How the model takes images: vLLM is given its limits on pixels, or it would resize images once more.
        weights: Gives the weights that learn.
        temperature: Of sampling.
        capacity: Most conversations at a time.
        **options: For `vllm.EngineArgs`: `gpu_memory_utilization`, `max_model_len`, ….

    Raises:
        MissingDependencyError: vLLM is not installed.
    """
    try:
        from vllm import EngineArgs, LLMEngine, SamplingParams
    except ImportError as error:
        raise MissingDependencyError.of("vllm", "vllm", "The vLLM engine") from error
    arguments = EngineArgs(
        model=model,
        max_num_seqs=capacity,
        enable_prefix_caching=True,
        logprobs_mode="processed_logprobs",
        limit_mm_per_prompt={"image": 64},
        mm_processor_kwargs={"min_pixels": images.min_pixels, "max_pixels": images.max_pixels},
        **options,
    )
    engine = LLMEngine.from_engine_args(arguments)
    return VllmEngine(
        engine, vocabulary, sampling=SamplingParams, weights=weights, temperature=temperature, capacity=capacity
    )
