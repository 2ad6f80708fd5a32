"""Environments in another process, played as if they were here: the same seed, the same bytes.

python examples/serve_and_play.py

`metis-gym serve` does the same on another machine; OpenEnv's own clients may play on it, too.
"""

import gymnasium as gym
import numpy as np

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.serve.app import ServeConfig
from metis_gym.serve.running import Workers


def main() -> None:
    """Serve, play one episode there and one here, and compare them."""
    arguments = {"taskset": "signs", "answers": "choice"}
    workers = Workers(ServeConfig(env=arguments, sessions=4), "127.0.0.1", 0, workers=1)
    try:
        far = gym.make("MetisRemote-v0", urls=[f"http://127.0.0.1:{port}" for port in workers.ports])
        near = gym.make("MetisVQA-v0", **arguments)
        there, here = far.reset(seed=3)[0], near.reset(seed=3)[0]
        print(there["text"].partition("Question: ")[2])
        print("the same image:", np.array_equal(there["images"][0], here["images"][0]))
        call = {"name": "python", "arguments": {"code": "image_1.crop((0, 0, 200, 150))"}}
        print("images that a tool returned:", len(far.step(call)[0]["images"]))
        _, reward, terminated, _, info = far.step({"answer": "A"})
        print(f"reward {reward}, over: {terminated}, calls: {info['tool_calls']:.0f}")
        far.close()
        near.close()
    finally:
        workers.close()


if __name__ == "__main__":
    main()
