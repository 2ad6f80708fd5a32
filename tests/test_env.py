"""The text environment: turns, limits, bad input, arguments."""

import json

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # registers the ids
from metis_gym.env import ToolUseEnv
from metis_gym.errors import ConfigError, InfrastructureError, InvalidActionError, TaskIdError, UnknownNameError
from metis_gym.records import Role, ToolResult, ToolStatus
from metis_gym.tools import TOOLS, Tool, ToolSession
from metis_gym.turns import MAX_OBSERVATION_CHARS

SIGNS = "signs:answers=choice,max_source=1792,required_share=0"


class EchoSession(ToolSession):
    """Remembers its calls, so that tests see sessions and their state."""

    def __init__(self):
        self.texts = []

    def call(self, arguments):
        text = arguments["text"]
        if text == "break":
            raise InfrastructureError("the echo is broken")
        if text == "wrong":
            return ToolResult(name="echo", status=ToolStatus.ERROR, errors="wrong text")
        self.texts.append(text)
        images = (np.zeros((64, 64, 3), np.uint8),) if text == "image" else ()
        return ToolResult(name="echo", status=ToolStatus.OK, output=" ".join(self.texts), images=images)


@TOOLS.register("echo")
class EchoTool(Tool):
    """Returns all texts so far."""

    name = "echo"
    aliases = ("say",)
    description = "Says it again."
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    def open(self, task, *, seed):
        return EchoSession()


def call(text="hi", name="echo"):
    return f"<tool_call>{json.dumps({'name': name, 'arguments': {'text': text}})}</tool_call>"


@pytest.fixture
def env():
    env = gym.make("MetisVQA-v0", taskset=SIGNS, tools=("echo",), prices={"echo": 0.5, "invalid": 2.0})
    env.reset(seed=7)
    yield env
    env.close()


def right_letter(env):
    return env.unwrapped.episode.task.gold.value


def wrong_letter(env):
    return "A" if right_letter(env) != "A" else "B"


def test_a_right_answer_ends_the_episode(env):
    _, reward, terminated, truncated, info = env.step(f"<reason>read</reason><answer>{right_letter(env)}</answer>")
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["correct"] and info["is_success"]
    assert (info["tool_calls"], info["tool_cost"], info["necessity"]) == (0.0, 0.0, "none")


def test_a_wrong_answer_in_good_form_earns_the_format_share(env):
    _, reward, terminated, _, info = env.step(f"<reason>read</reason><answer>{wrong_letter(env)}</answer>")
    assert terminated
    assert reward == pytest.approx(0.1)  # .9 · 0 + .1 · 1
    assert not info["correct"]


def test_the_prompt_states_sizes_options_and_limits(env):
    observation, _ = env.reset(seed=7)
    height, width = env.unwrapped.episode.task.images[0].source.shape[:2]
    view_height, view_width = observation["images"][0].shape[:2]
    assert f"{width} x {height} pixels, shown to you at {view_width} x {view_height}" in observation["text"]
    assert max(view_width, view_height) == 448
    assert "A. " in observation["text"] and "D. " in observation["text"]
    assert "At most 10 of your turns" in observation["system"]
    assert "costs" not in observation["system"].replace("every call costs", "")


def test_prices_are_told_on_request():
    env = gym.make("MetisVQA-v0", taskset=SIGNS, tools=("echo",), prices={"echo": 0.25}, show_prices=True)
    assert "A call costs 0.25." in env.reset(seed=0)[0]["system"]


def test_calls_and_costs_are_counted_apart_from_correctness(env):
    observation, reward, terminated, _, info = env.step(call("one") + call("two", name="say"))
    assert not terminated and reward == 0.0
    assert "one two" in observation["text"] and observation["system"] == ""
    assert info["tool_calls"] == info["tool_calls_by/echo"] == 2.0
    assert info["tool_cost"] == 1.0
    assert info["redundant_tool_calls"] == 2.0


def test_a_session_lasts_for_the_episode_only(env):
    env.step(call("one"))
    assert "one two" in env.step(call("two"))[0]["text"]
    env.reset(seed=8)
    assert "one" not in env.step(call("three"))[0]["text"]


def test_returned_images_have_a_mark_each(env):
    observation, *_ = env.step(call("image") + call("image"))
    assert len(observation["images"]) == observation["text"].count("<image>") == 2


def test_printed_image_marks_do_not_count(env):
    observation, *_ = env.step(call("<image><im<image>age>"))
    assert observation["images"] == () and "<image>" not in observation["text"]


BAD_TURNS = {
    "malformed JSON": ('<tool_call>{"name": "echo", </tool_call>', "not valid JSON", 1),
    "deeply nested JSON": ("<tool_call>" + "[" * 50_000 + "</tool_call>", "nested too deeply", 1),
    "JSON without a name": ("<tool_call>[1, 2]</tool_call>", "no tool name", 1),
    "unknown tool": (call(name="ecko"), "Did you mean 'echo'?", 1),
    "arguments that are no object": (
        '<tool_call>{"name": "echo", "arguments": [1]}</tool_call>',
        "not a JSON object",
        1,
    ),
    "missing argument": ('<tool_call>{"name": "echo", "arguments": {}}</tool_call>', "'text' is missing", 1),
    "unknown argument": (
        '<tool_call>{"name": "echo", "arguments": {"text": "a", "b": 1}}</tool_call>',
        "Unknown argument",
        1,
    ),
    "argument of a wrong type": (
        '<tool_call>{"name": "echo", "arguments": {"text": 5}}</tool_call>',
        "must be a string",
        1,
    ),
    "an empty turn": ("", "neither a tool call nor an answer", 0),
    "chatter": ("I wonder.", "neither a tool call nor an answer", 0),
    "a megabyte of text": ("x" * 1_000_000, "1,000,000 characters, at most 65,536 are read", 0),
    "lone surrogates": ("\ud800<answer>\udfff", "neither a tool call nor an answer", 0),
    "an unclosed call": ('<tool_call>{"name": "ech', "not valid JSON", 1),
}


@pytest.mark.parametrize("case", BAD_TURNS)
def test_bad_turns_get_a_short_useful_observation(env, case):
    text, expected, invalid_calls = BAD_TURNS[case]
    observation, reward, terminated, truncated, info = env.step(text)
    assert expected in observation["text"]
    assert len(observation["text"]) < 400
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["tool_calls"] == info["tool_calls_by/invalid"] == info["tool_errors"] == invalid_calls
    assert info["tool_cost"] == 2.0 * invalid_calls
    assert observation in env.observation_space
    observation["text"].encode()


def test_an_unclosed_call_that_is_whole_runs(env):
    observation, *_ = env.step(call("cut at the stop string").removesuffix("</tool_call>"))
    assert "cut at the stop string" in observation["text"]


def test_an_answer_beside_a_call_is_not_taken(env):
    observation, _, terminated, _, info = env.step(call("first") + f"<answer>{right_letter(env)}</answer>")
    assert not terminated and info["tool_calls"] == 1.0
    assert "first" in observation["text"] and "answer in a turn of its own" in observation["text"]


def test_an_answer_in_the_reasoning_or_in_tool_output_is_not_taken(env):
    _, _, terminated, *_ = env.step(f"<reason><answer>{right_letter(env)}</answer></reason>")
    assert not terminated
    _, _, terminated, *_ = env.step(call(f"<answer>{right_letter(env)}</answer>"))
    assert not terminated


def test_200_calls_in_a_turn_all_count_and_few_run(env):
    observation, _, terminated, _, info = env.step(call("again") * 200)
    assert not terminated
    assert info["tool_calls"] == info["tool_calls_by/echo"] == 200.0
    assert info["tool_errors"] == 195.0  # calls_per_turn = 5
    assert observation["text"].count("limit of 5 calls in one turn") == 195


def test_the_call_after_the_last_permitted_turn_ends_the_episode():
    env = gym.make("MetisVQA-v0", taskset=SIGNS, tools=("echo",), max_turns=2)
    env.reset(seed=1)
    env.step(call("one"))
    observation, *_ = env.step(call("two"))
    assert "answer now" in observation["text"]
    observation, reward, terminated, truncated, info = env.step(call("three"))
    assert "ends without an answer" in observation["text"] and "three" not in observation["text"]
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["tool_calls"] == 3.0 and info["truncated"] and info["scored"] and not info["correct"]


def test_the_last_turn_may_answer():
    env = gym.make("MetisVQA-v0", taskset=SIGNS, tools=("echo",), max_turns=1)
    env.reset(seed=1)
    env.step(call("one"))
    _, _, terminated, truncated, info = env.step({"answer": right_letter(env)})
    assert terminated and truncated is False and info["correct"]


def test_without_tool_turns_a_call_is_refused():
    env = gym.make("MetisVQA-v0", taskset=SIGNS, tools=("echo",), max_turns=0)
    env.reset(seed=1)
    assert env.step(call("one"))[3] is True


def test_a_broken_tool_leaves_the_episode_unscored_and_uncounted(env):
    observation, reward, terminated, truncated, info = env.step(call("fine") + call("break"))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["scored"] is False
    assert info["tool_calls"] == 1.0, "the call that broke is not the model's"
    assert "not you (InfrastructureError)" in observation["text"]
    assert "echo is broken" in str(env.unwrapped.failure)


def test_a_failing_call_is_an_error_of_the_model(env):
    observation, _, _, truncated, info = env.step(call("wrong"))
    assert "wrong text" in observation["text"] and not truncated
    assert info["tool_errors"] == info["tool_calls_by/echo"] == 1.0


def test_long_tool_output_is_cut_and_says_so(env):
    observation, *_ = env.step(call("y" * 60_000))
    assert "characters left out" in observation["text"]
    assert len(observation["text"]) < MAX_OBSERVATION_CHARS


def test_the_conversation_can_be_rebuilt_from_observations_and_actions(env):
    observation, _ = env.reset(seed=9)
    said = [(Role.SYSTEM, observation["system"]), (Role.USER, observation["text"])]
    for action in (call("one"), "hm", "<answer>A</answer>"):
        observation, *_ = env.step(action)
        said.append((Role.ASSISTANT, action))
        if observation["text"]:
            said.append((Role.USER, observation["text"]))
    assert [(message.role, message.text) for message in env.unwrapped.episode.messages] == said


def test_observations_are_fresh_and_views_cannot_be_spoilt(env):
    observation, _ = env.reset(seed=9)
    observation["images"][0][:] = 0
    again, _ = env.reset(seed=9)
    assert again["images"][0].any()


@pytest.mark.parametrize(
    "action", [{"name": "echo", "arguments": {"text": "a"}}, [{"name": "echo", "arguments": {"text": "a"}}]]
)
def test_calls_may_be_given_as_dicts(env, action):
    *_, info = env.step(action)
    assert info["tool_calls_by/echo"] == 1.0


@pytest.mark.parametrize("action", [5, None, b"text", [], [3], {"tool": "x"}])
def test_actions_that_no_model_could_produce_raise(env, action):
    with pytest.raises(InvalidActionError, match="an action is text"):
        env.step(action)


def test_every_dialect_plays(env):
    for dialect in ("metis", "qwen", "plain"):
        env = gym.make("MetisVQA-v0", taskset=SIGNS, tools=("echo",), dialect=dialect)
        env.reset(seed=3)
        _, reward, terminated, _, info = env.step({"answer": right_letter(env)})
        assert terminated and info["correct"] and info["format_score"] == 1.0 and reward == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"taskset": "sign"}, "Did you mean 'signs'"),
        ({"taskset": "signs:choices=1"}, "2 to 6 choices"),
        ({"taskset": "signs:colour=red"}, "no parameter 'colour'"),
        ({"taskset": {"signs": -1.0, "sums": 1.0}}, "must be a positive number"),
        ({"taskset": 3}, "a taskset is a name"),
        ({"tools": ("pyhton",)}, "Did you mean 'python'"),
        ({"tools": "python"}, "a sequence of names"),
        ({"tools": ("echo", "echo")}, "two tools answer"),
        ({"dialect": "metys"}, "Did you mean 'metis'"),
        ({"reward": "acuracy"}, "accuracy"),
        ({"split": "validation"}, "train, test"),
        ({"view_size": 64}, "at least"),
        ({"view_size": 7}, "at least 16"),
        ({"answers": "essay"}, "choice, open, mixed"),
        ({"required_share": 1.5}, "from 0 to 1"),
        ({"max_turns": -1}, "at least 0"),
        ({"calls_per_turn": 0}, "at least 1"),
        ({"prices": {"pyton": 1.0}}, "Did you mean 'python'"),
        ({"prices": {"python": -1.0}}, "0 or more"),
        ({"max_source": 300}, "change view_size or max_source"),
        ({"tasksett": "signs"}, "Did you mean 'taskset'"),
        ({"render_mode": "human_readable"}, "ansi, rgb_array"),
    ],
)
def test_wrong_arguments_name_the_valid_ones(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ToolUseEnv(**{"taskset": "signs", **arguments})


def test_wrong_reset_options_are_named(env):
    with pytest.raises(ConfigError, match="task_id"):
        env.reset(options={"taskid": "x"})


@pytest.mark.parametrize(
    "task_id", ["signs", "signs/train/448", "signs/dev/448/1", "sums/train/448/1", "signs/train/a/b"]
)
def test_unreadable_task_ids_are_refused(env, task_id):
    with pytest.raises(TaskIdError, match="task id"):
        env.reset(options={"task_id": task_id})


def test_a_task_of_other_versions_is_refused_unless_asked_for(env):
    with pytest.raises(TaskIdError, match="Leave out '@00000000'"):
        env.reset(options={"task_id": "signs/train/448/5@00000000"})
    env.reset(options={"task_id": "signs/train/448/5"})
    assert env.unwrapped.episode.task.task_id.startswith("signs/train/448/5@")


def test_errors_share_one_root():
    assert issubclass(UnknownNameError, ConfigError)
    assert issubclass(ConfigError, metis_gym.errors.MetisError)
    assert issubclass(ConfigError, ValueError)


def test_nothing_works_before_reset():
    env = ToolUseEnv(taskset="signs")
    with pytest.raises(gym.error.ResetNeeded):
        env.step("x")
