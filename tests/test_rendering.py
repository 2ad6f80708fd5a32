"""Render modes, images, timing."""

import gymnasium as gym
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_gym.images.transforms import MAX_PIXELS, MIN_PIXELS, fingerprint, fit, from_png, to_png
from metis_gym.rendering import IMAGE_HEIGHT, IMAGE_WIDTH
from metis_gym.wrappers import Timing

SIGNS = {"taskset": "signs:answers=choice,max_source=1792,required_share=0"}


def test_ansi_shows_the_conversation_and_the_verdict():
    env = gym.make("metis_gym:MetisVQA-v0", render_mode="ansi", **SIGNS)
    env.reset(seed=2)
    assert "[system]" in env.render() and "Question:" in env.render()
    env.step("hm")
    env.step({"answer": "C"})
    text = env.render()
    assert (
        text.index("hm")
        < text.index("neither a tool call")
        < text.index("<answer>C</answer>")
        < text.index("[right answer]")
    )


def test_rgb_array_has_one_size_and_changes_with_every_turn():
    env = gym.make("metis_gym:MetisVQA-v0", render_mode="rgb_array", **SIGNS)
    env.reset(seed=2)
    frames = [env.render()]
    for action in ("one", "two " * 400, "x" * 3000, {"answer": "A"}):
        env.step(action)
        frames.append(env.render())
    assert {frame.shape for frame in frames} == {(IMAGE_HEIGHT, IMAGE_WIDTH, 3)}
    assert len({fingerprint(frame) for frame in frames}) == len(frames)
    assert env.metadata["render_fps"] > 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000))
def test_fitted_images_keep_the_limits(height, width):
    fitted = fit(np.zeros((height, width, 3), np.uint8))
    rows, columns = fitted.shape[:2]
    assert rows % 32 == columns % 32 == 0
    assert MIN_PIXELS / 2 <= rows * columns <= MAX_PIXELS
    assert max(rows, columns) / min(rows, columns) <= 210
    if (
        height % 32 == width % 32 == 0
        and MIN_PIXELS <= height * width <= MAX_PIXELS
        and max(height, width) < 200 * min(height, width)
    ):
        assert (rows, columns) == (height, width)


def test_images_survive_png():
    image = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    assert np.array_equal(from_png(to_png(image)), image)
    assert fingerprint(image) != fingerprint(image.reshape(17, 31, 3))


def test_timing_is_in_the_info_and_nowhere_else():
    env = Timing(gym.make("metis_gym:MetisVQA-v0", **SIGNS))
    _, info = env.reset(seed=2)
    assert info["timing/episode_seconds"] == info["timing/step_seconds"] > 0
    *_, info = env.step({"answer": "A"})
    assert info["timing/episode_seconds"] > info["timing/step_seconds"] > 0
    assert info["timing/tool_seconds"] == 0.0
    plain = gym.make("metis_gym:MetisVQA-v0", **SIGNS)
    assert not any("second" in key for key in plain.reset(seed=2)[1])
