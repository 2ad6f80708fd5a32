"""The `python` tool inside the environment, with a real sandbox."""

import json

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_gym import sandbox
from metis_gym.errors import InfrastructureError, SandboxError, SandboxUnavailableError

CHARTS = "charts:answers=choice,required_share=1,max_source=1792"


def call(code):
    return f"<tool_call>{json.dumps({'name': 'python', 'arguments': {'code': code}})}</tool_call>"


@pytest.fixture
def env(sandbox_kwargs):
    env = gym.make("MetisVQA-v0", taskset=CHARTS, **sandbox_kwargs)
    env.reset(seed=7)
    yield env
    env.close()


def test_a_bare_image_comes_back_as_a_image(env):
    observation, *_ = env.step(call("image_1.crop((600, 80, 760, 240)).resize((640, 640))"))
    source = env.unwrapped.episode.task.images[0].source
    assert observation["images"][0].shape == (640, 640, 3)
    assert "Images:\n<image>" in observation["text"]
    assert np.array_equal(env.step(call("image_1.crop((64, 32, 128, 96))"))[0]["images"][0], source[32:96, 64:128])


def test_a_figure_comes_back_as_a_image(env):
    observation, *_ = env.step(call("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.gcf()"))
    assert len(observation["images"]) == 1


def test_prints_come_back_as_text_and_variables_stay(env):
    env.step(call("width, height = image_1.size"))
    observation, *_ = env.step(call("print('the size is', width, height)\nwidth * 2"))
    source = env.unwrapped.episode.task.images[0].source
    assert f"the size is {source.shape[1]} {source.shape[0]}\n{2 * source.shape[1]}" in observation["text"]


def test_errors_come_back_as_the_traceback_that_the_model_needs(env):
    observation, _, terminated, truncated, info = env.step(call("a = 1\nb = a / 0\n"))
    assert "ZeroDivisionError: division by zero" in observation["text"]
    assert "b = a / 0" in observation["text"]
    assert "metis_gym" not in observation["text"]
    assert (terminated, truncated, info["tool_errors"]) == (False, False, 1.0)


def test_two_calls_in_a_turn_run_in_order(env):
    observation, *_ = env.step(call("x = 5") + call("print(x + 1)"))
    assert "Result 2 of 2 (python)" in observation["text"] and "6" in observation["text"]


def test_a_killed_interpreter_is_told_and_replaced(env):
    env.step(call("import os; x = 1; os._exit(3)"))
    observation, *_, info = env.step(call("print('x' in globals(), image_1.size[0] > 0)"))
    assert "False True" in observation["text"]
    assert "restarted" in observation["text"]
    assert info["scored"]


def test_the_task_its_answer_and_this_package_cannot_be_read(env):
    observation, *_ = env.step(call("import metis_gym"))
    assert "ModuleNotFoundError" in observation["text"] or "ImportError" in observation["text"]
    observation, *_ = env.step(
        call("import skimage.data, os; print(os.listdir(os.path.dirname(skimage.data.__file__)))")
    )
    assert "astronaut.png" not in observation["text"]


def test_the_episodes_of_a_group_share_the_memory_of_their_images(sandbox_kwargs):
    group = [gym.make("MetisVQA-v0", taskset=CHARTS, **sandbox_kwargs) for _ in range(3)]
    task_id = group[0].reset(seed=7)[1]["task_id"]
    for member in group:
        member.reset(options={"task_id": task_id})
    opened = [member.unwrapped.toolbox._sessions["python"] for member in group]
    group[0].step(call("image_1.paste('red', (0, 0, 99, 99))"))
    shown = [member.step(call("image_1.crop((0, 0, 96, 96))"))[0]["images"][0] for member in group]
    assert len({id(session._images) for session in opened}) == 1
    source = group[0].unwrapped.episode.task.images[0].source
    assert not np.array_equal(shown[0], source[:96, :96])
    assert all(np.array_equal(image, source[:96, :96]) for image in shown[1:])
    for member in group:
        member.close()


def test_the_oracle_crop_shows_what_the_view_hides(env):
    code = env.unwrapped.episode.task.solution[0].arguments["code"]
    shown = env.step(call(code))[0]["images"][0]
    assert shown.std() > 5, "the panel is no plain grey"


def test_same_seed_same_output(sandbox_kwargs):
    texts = []
    for _ in range(2):
        env = gym.make("MetisVQA-v0", taskset=CHARTS, **sandbox_kwargs)
        env.reset(seed=7)
        code = "import random, numpy\nprint(random.random(), numpy.random.rand(), {*'abcdef'})"
        texts.append(env.step(call(code))[0]["text"])
        env.close()
    assert texts[0] == texts[1]


def test_an_episode_without_calls_opens_no_session(env, monkeypatch):
    monkeypatch.setattr(sandbox, "make", lambda name: pytest.fail("a session was opened"))
    env.step({"answer": "A"})


class _Broken:
    name = "broken"

    def __init__(self, error):
        self.error = error

    def open(self, **_):
        raise self.error


def test_a_broken_sandbox_leaves_the_episode_unscored(env, monkeypatch):
    monkeypatch.setattr(sandbox, "make", lambda name: _Broken(SandboxError("the zygote died")))
    _, reward, _, truncated, info = env.step(call("1"))
    assert (reward, truncated, info["scored"], info["tool_calls"]) == (0.0, True, False, 0.0)
    assert isinstance(env.unwrapped.failure, InfrastructureError)


def test_without_isolation_nothing_runs_and_the_error_says_why(env, monkeypatch):
    monkeypatch.setattr(sandbox, "make", lambda name: _Broken(SandboxUnavailableError("no user namespaces here")))
    with pytest.raises(SandboxUnavailableError, match="no user namespaces"):
        env.step(call("1"))
