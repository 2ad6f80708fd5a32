"""Qwen3-VL as an agent that learns when to use a tool: rollouts, cold start, HDPO, from a tiny model to 8B.

```
metis-gym train --model tiny --taskset patches:answers=open --design hdpo:w_tool=0.15 --out runs/tiny
```
The parts, each usable by itself: `Renderer` (conversation → tokens), `TransformersEngine` and `RolloutWorker` (episodes
with a kept KV cache), `Scorer` and `Qwen3VLPolicy` (log-probabilities for the shared trainer of `metis_agents.rl`).
"""

try:
    import torch as _torch  # noqa: F401
    import transformers as _transformers  # noqa: F401
except ImportError as error:
    from metis_gym.errors import MissingDependencyError

    raise MissingDependencyError.of(
        error.name or "transformers", extra="agents", purpose="metis_agents.qwen3vl"
    ) from error
