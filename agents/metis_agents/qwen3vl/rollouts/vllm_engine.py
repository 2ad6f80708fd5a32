"""The rollout engine on vLLM, behind the same contract as the one on transformers. An optional extra.

vLLM takes token ids with one image token for each image and expands it itself; what it sampled comes back as ids
with their log-probabilities, so that training sees what was sampled. Prompts that are shared, and conversations that go
on, are found by vLLM's prefix cache. vLLM and the trainer round differently: train with an importance cap.

`vllm_start` beside this file starts vLLM and hands weights over.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.chat.vocabulary import Vocabulary
from metis_agents.qwen3vl.rollouts.engine import SampledTurn, TurnRequest
from metis_agents.qwen3vl.rollouts.vllm_weights import take_up
from metis_gym.errors import ConfigError, InfrastructureError

__all__ = ["VllmEngine", "Weights", "collapsed"]

Weights = Callable[[bool], Iterable[tuple[str, Tensor]]]
"""Gives weights by the checkpoint's names, one after the other: all of them, or (False) those that learn."""

_SEED_BITS = 63
_NEVER = -100.0
"""What is added to the logit of a token that must not be written: the most that vLLM allows. The probability that is
left is below 1e-40, and the list is short; the opposite, a list of all 151,000 tokens that may be written, would cost
30 ms a request."""


class VllmEngine:
    """Writes turns with vLLM.

    Args:
        engine: A `vllm.LLMEngine` in this process.
        vocabulary: What may be written.
        sampling: Makes sampling parameters from keywords: `vllm.SamplingParams`.
        weights: Gives the weights at each `refresh`: all at the first one, then those that learn. None where vLLM's own
            never change.
        temperature: Of sampling.
        top_p: Draw from the likeliest tokens that together have this probability.
        top_k: Draw from so many of the likeliest tokens; None for all.
        capacity: Most conversations at a time.
        sleeps: Hand the memory of vLLM back while no conversation is known: during updates.
    """

    def __init__(
        self,
        engine: Any,
        vocabulary: Vocabulary,
        *,
        sampling: Callable[..., Any],
        weights: Weights | None = None,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int | None = None,
        capacity: int = 256,
        sleeps: bool = False,
    ) -> None:
        self._engine, self._vocabulary, self._sampling = engine, vocabulary, sampling
        self._weights, self._temperature, self._capacity = weights, temperature, capacity
        self._top_p, self._top_k = top_p, -1 if top_k is None else top_k
        self._sleeps, self._is_asleep, self._has_weights = sleeps, False, False
        self._forbidden = dict.fromkeys(vocabulary.is_forbidden_V.nonzero()[:, 0].tolist(), _NEVER)
        self._known: set[int] = set()
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
        known = self._known | {request.episode for request in requests}
        if len(known) > self._capacity:
            raise ConfigError(f"Expect at most capacity ({self._capacity}) conversations, actually: {len(known)}")
        if requests:
            self._wake()
        self._known = known
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
        """Give up the unfinished turns of these conversations; after the last of them vLLM may sleep."""
        gone = set(episodes)
        names = [name for name, request in self._live.items() if request.episode in gone]
        for name in names:
            del self._live[name]
        if names:
            self._engine.abort_request(names)
        self._known -= gone
        if self._sleeps and not self._known and not self._is_asleep:
            self._engine.sleep(1)  # weights go to the host's memory, keys and values away
            self._is_asleep = True

    def refresh(self) -> None:
        """Hand weights over, and drop keys, values and image features that the old ones made.

        Raises:
            InfrastructureError: vLLM kept old keys and values.
        """
        self.forget(list(self._known))
        if self._weights is None:
            return
        self._wake()
        self._engine.collective_rpc(take_up, args=(self._weights(not self._has_weights),))
        self._has_weights = True
        self._engine.reset_encoder_cache()
        if not self._engine.reset_prefix_cache():
            raise InfrastructureError("vLLM did not drop the keys and values of the former weights")

    def _wake(self) -> None:
        if self._is_asleep:
            self._engine.wake_up()
            self._is_asleep = False

    def _prompt(self, tokens: Tokens) -> dict[str, Any]:
        prompt: dict[str, Any] = {"prompt_token_ids": collapsed(tokens, self._vocabulary)}
        if tokens.images:
            prompt["multi_modal_data"] = {"image": [Image.fromarray(np.array(p.pixels)) for p in tokens.images]}
            prompt["multi_modal_uuids"] = {"image": [image.name for image in tokens.images]}
        return prompt

    def _parameters(self, request: TurnRequest) -> Any:
        return self._sampling(
            temperature=0.0 if request.is_greedy else self._temperature,
            top_p=self._top_p,
            top_k=self._top_k,
            seed=request.seed % (1 << _SEED_BITS),
            max_tokens=request.max_tokens,
            stop_token_ids=sorted(self._vocabulary.stops),
            ignore_eos=True,
            logit_bias=self._forbidden,
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
