"""vLLM, started in this process: beside the model that learns, on the same GPU, or on a CPU."""

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from metis_agents.qwen3vl.model.network import Network
from metis_agents.qwen3vl.rollouts.vllm_engine import VllmEngine, Weights
from metis_gym.errors import ConfigError, MissingDependencyError
from metis_gym.parameters import check_parameters, flag, number, whole

__all__ = ["VllmConfig", "make_vllm_engine"]

_MAX_IMAGES = 1_000
"""Images of a prompt that vLLM admits; it would refuse a longer conversation. Their tokens are limited by budgets."""

_CPU_CACHE = 256
"""Memory for keys and values on a CPU, MiB: vLLM would take a share of all."""

_MIN_BATCHED = 8_192


@dataclass(frozen=True, kw_only=True)
class VllmConfig:
    """How vLLM shares a GPU with the model that learns.

    Attributes:
        memory_share: Share of the GPU's memory that vLLM takes for its weights, keys and values.
        cache_mib: Memory for keys and values, in MiB; none for what is left of the share, on a CPU for 256.
        max_model_len: Most tokens of a conversation; none for what the budgets of prompt and response allow.
        sleep: Hand vLLM's memory back during updates; its weights then wait in the host's memory.
        eager: Start without CUDA graphs: sooner, then slower.
    """

    memory_share: float = number(0.4, above=0, high=1)
    cache_mib: int | None = whole(None, low=1, optional=True)
    max_model_len: int | None = whole(None, low=1, optional=True)
    sleep: bool = flag(False)
    eager: bool = flag(False)

    def __post_init__(self) -> None:
        check_parameters(self)


def make_vllm_engine(
    model: str,
    network: Network,
    *,
    weights: Weights | None = None,
    capacity: int = 256,
    length: int,
    config: VllmConfig | None = None,
    has_weights: bool = True,
    **sampling: Any,
) -> VllmEngine:
    """Start vLLM in this process. Under torchrun each rank starts its own, on its own GPU.

    Args:
        model: Folder or name of the checkpoint.
        network: The model that learns: type of its weights, limits on pixels, temperature, what may be written.
        weights: Gives the weights.
        capacity: Most conversations at a time.
        length: Most tokens of a conversation.
        config: How it shares the GPU.
        has_weights: False for a checkpoint without weights: all come from `weights`.
        **sampling: `top_p` and `top_k` of `VllmEngine`.

    Raises:
        MissingDependencyError: vLLM is not installed.
        ConfigError: The platform that vLLM runs on cannot sleep.
    """
    config = config or VllmConfig()
    with _undisturbed():
        try:
            from vllm import EngineArgs, LLMEngine, SamplingParams
            from vllm.platforms import current_platform
        except ImportError as error:
            raise MissingDependencyError.of("vllm", "vllm", "The vLLM engine") from error
        if config.sleep and not current_platform.is_sleep_mode_available():
            raise ConfigError(f"Expect vllm.sleep on a GPU, actually: vLLM runs on {current_platform.device_type!r}")
        options = _options(network, config, max_model_len=config.max_model_len or length)
        if current_platform.is_cpu():
            options |= _on_a_cpu(options)
        if not has_weights:
            options["load_format"] = "dummy"
        engine = LLMEngine.from_engine_args(EngineArgs(model=model, max_num_seqs=capacity, **options))
    return VllmEngine(
        engine,
        network.vocabulary,
        sampling=SamplingParams,
        weights=weights,
        temperature=network.temperature,
        capacity=capacity,
        sleeps=config.sleep,
        **sampling,
    )


def _options(network: Network, config: VllmConfig, *, max_model_len: int) -> dict[str, Any]:
    """What vLLM is told on every platform."""
    images = network.encoder
    return {
        "dtype": str(network.model.dtype).removeprefix("torch."),
        "max_model_len": max_model_len,
        "gpu_memory_utilization": config.memory_share,
        "kv_cache_memory_bytes": None if config.cache_mib is None else config.cache_mib << 20,
        "enable_sleep_mode": config.sleep,
        "enforce_eager": config.eager,
        "enable_prefix_caching": True,
        "logprobs_mode": "processed_logprobs",
        "limit_mm_per_prompt": {"image": _MAX_IMAGES, "video": 0},
        "mm_processor_kwargs": {"size": {"shortest_edge": images.min_pixels, "longest_edge": images.max_pixels}},
        "disable_log_stats": True,
        # One vLLM a rank; without this all ranks' would be on the first GPU.
        "distributed_executor_backend": "external_launcher" if _has_ranks() else None,
    }


def _on_a_cpu(options: dict[str, Any]) -> dict[str, Any]:
    """What else vLLM must be told on a CPU."""
    return {
        "kv_cache_memory_bytes": options["kv_cache_memory_bytes"] or _CPU_CACHE << 20,
        "block_size": 32,
        "enforce_eager": True,
        "skip_mm_profiling": True,
        # Prompts in pieces and seeds of requests end in an error together; whole prompts need room in a batch.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(_MIN_BATCHED, options["max_model_len"]),
    }


def _has_ranks() -> bool:
    """Whether torchrun started this process with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Start vLLM in this very process, and keep what it changes there: random states, threads, precision.

    Whether vLLM's core runs in the process is said by an environment variable alone; in another one weights could not
    be handed over as they are.
    """
    key = "VLLM_ENABLE_V1_MULTIPROCESSING"
    before, os.environ[key] = os.environ.get(key), "0"
    set_threads, precision = torch.set_num_threads, torch.get_float32_matmul_precision()
    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(drawn)
        np.random.set_state(drawn_by_numpy)
        torch.set_num_threads = set_threads
        torch.set_float32_matmul_precision(precision)
        if before is None:
            del os.environ[key]
        else:
            os.environ[key] = before
