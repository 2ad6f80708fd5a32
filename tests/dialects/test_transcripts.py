"""Transcripts in each system's own form, written by hand, play to the expected calls in a real environment."""

import json
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import metis_gym  # noqa: F401
from metis_gym.errors import ConfigError, InvalidActionError
from metis_gym.tasksets import WeightedTaskset
from metis_gym.testing.examples import ExampleTasks

sys.path.insert(0, str(Path(__file__).parent))

TASK = "example/train/1"  # "Which colour is the image?", 256 x 256 pixels, seen at 64 x 64
EVERYTHING = ("python", "text_search", "image_search")


class Benchmark(ExampleTasks):
    """A benchmark."""

    is_benchmark = True
    tools = EVERYTHING


@pytest.fixture
def play(sandbox_kwargs):
    made = []

    def start(dialect, tools=EVERYTHING, **more):
        env = gym.make(
            "MetisVQA-v0",
            taskset="metis_gym.testing.examples:ExampleTasks",
            dialect=dialect,
            tools=tools,
            text_engine="toy_engines:OnePage",
            image_engine="toy_engines:OneImage",
            **sandbox_kwargs,
            **more,
        )
        env.reset(options={"task_id": TASK})
        made.append(env)
        return env

    yield start
    for env in made:
        env.close()


def turn(env, text):
    observation, _, _, _, info = env.step(text)
    last = env.unwrapped.episode.turns[-1]
    assert observation["text"].count("<image>") == len(observation["images"])
    return observation["text"], observation["images"], [(call.name, dict(call.arguments)) for call in last.calls], info


def gold(env):
    return env.unwrapped.episode.task.gold.value


def test_deepeyes_v2(play):
    env = play("deepeyes_v2")
    text, images, calls, _ = turn(
        env,
        "<think>The upper half is dark. I could write <answer>red</answer> or <code>1</code>, but first look.</think>\n"
        "<code>\n```python\nimport matplotlib.pyplot as plt\n\ncrop = image_1.crop((0, 128, 100, 200))\n"
        'plt.imshow(crop)\nplt.axis("off")\nplt.show()\nprint(image_1.size)\n```\n',  # the server left the stop out
    )
    assert [name for name, _ in calls] == ["python"] and calls[0][1]["code"].endswith("print(image_1.size)")
    assert text == ("Code execution result:\nstdout:\n```\n(256, 256)\n```\n\nstderr:\n```\n\n```\n\nImages:\n<image>")
    text, images, calls, _ = turn(env, "<think>Variables stay.</think><code>print(crop.size)</code>")
    assert calls == [("python", {"code": "print(crop.size)"})] and "(100, 72)" in text and not images
    text, images, calls, _ = turn(
        env, '<think>Who?</think>\n<tool_call>\n{"name": "search", "arguments": {"query": "a tower"}}\n</tool_call>'
    )
    assert calls == [("text_search", {"query": "a tower"})]
    assert text.startswith("<tool_response>\n") and "\n1. [The tower](https://page.example)\n\nAbout a tower." in text
    text, images, calls, _ = turn(env, '<think>Look.</think>\n<tool_call>\n{"name": "image_search"}\n</tool_call>')
    assert calls == [("image_search", {})] and "1. <image>\n[A tower]" in text and len(images) == 1
    text, images, calls, _ = turn(env, '<think>Again.</think><tool_call>{"name": "image_search"}</tool_call>')
    assert "already" in text and not images
    *_, info = turn(env, f"<think>Done.</think>\n<answer>{gold(env)}</answer>")
    assert info["correct"] and info["format_score"] == 0.0  # a stop was left out, so tags are not balanced
    assert info["tool_calls"] == 5.0 and info["tool_errors"] == 1.0


def test_deepeyes_v2_takes_the_last_code_and_its_last_fence(play):
    env = play("deepeyes_v2")
    text, _, calls, _ = turn(
        env,
        '<think>t</think><tool_call>{"name": "search", "arguments": {"query": "q"}}</tool_call>'
        "<code>print(1)</code><code>```python\nprint(2)\n```\nor\n```python\nprint(3)\n```</code>",
    )
    assert calls == [("python", {"code": "print(3)"})]
    assert "```\n3\n```" in text and "Only one call a turn" in text


def test_deepeyes_v2_ends_with_an_answer_beside_a_call(play):
    env = play("deepeyes_v2")
    _, _, calls, info = turn(env, f"<think>t</think><code>print(1)</code><answer>{gold(env)}</answer>")
    assert calls == [] and info["correct"] and info["tool_calls"] == 0.0


def test_deepeyes_v2_answers_in_code_do_not_act(play):
    env = play("deepeyes_v2")
    text, _, calls, _ = turn(env, "<think>t</think><code>print('<answer>red</answer>')</code>")
    assert len(calls) == 1 and "<answer>red</answer>" in text


def test_deepeyes_v2_shows_failing_code_its_traceback_and_no_blank_images(play):
    env = play("deepeyes_v2")
    code = "Image.new('RGB', (40, 40), 'white').show()\nImage.new('RGB', (40, 40), (249, 255, 255)).show()\n1 / 0"
    text, images, _, _ = turn(env, f"<think>t</think><code>\n```python\n{code}\n```\n</code>")
    assert len(images) == 1 and "ZeroDivisionError" in text


def test_deepeyes_v2_shows_up_to_ten_images(play):
    env = play("deepeyes_v2")
    code = "for i in range(10): Image.new('RGB', (40, 40), (i, 0, 0)).show()"
    assert len(turn(env, f"<code>{code}</code>")[1]) == 10


def test_deepeyes_v2_prefill(play):
    env = play('deepeyes_v2:prefill="<think>"')
    assert env.unwrapped.dialect.prefill == "<think>"
    _, _, calls, _ = turn(env, "I could <code>print(1)</code>.</think><code>print(2)</code>")
    assert calls == [("python", {"code": "print(2)"})]
    with pytest.raises(ConfigError, match="prefill"):
        play("deepeyes_v2:prefill=x")


def test_skywork_r1v4(play):
    env = play("skywork_r1v4")
    assert '"image_1.png"' in env.unwrapped.episode.prompt.text
    code = (
        "from PIL import Image\nimport os\nimage = Image.open('/local/path/image_1.jpg')\nw, h = image.size\n"
        "processed_path = '/tmp/processed/crop_1.png'\nprocessed_path = os.path.basename(processed_path)\n"
        "image.crop((0, h // 2, w // 4, h)).save(processed_path)\nprint(processed_path)"
    )
    call = json.dumps({"name": "code", "arguments": {"code": code}})
    text, images, calls, _ = turn(env, f"<think>\nI crop.\n</think>\n<tool_call>{call}</tool_call>")
    assert [name for name, _ in calls] == ["python"] and "Image.open('image_1.png')" in calls[0][1]["code"]
    assert text == "<observation>crop_1.png\n<image></observation>" and images[0].shape == (128, 64, 3)
    text, images, calls, _ = turn(
        env,
        '<think>t</think><tool_call>{"name": "text_search", "arguments": {"queries": ["a tower", "a bridge"]}}'
        "</tool_call>",
    )
    assert calls == [("text_search", {"query": "a tower"}), ("text_search", {"query": "a bridge"})]
    assert text.count("<observation>") == text.count("</observation>") == 2
    assert "1. The tower link: https://page.example text: About a bridge." in text
    text, images, calls, _ = turn(
        env, '<think>t</think><tool_call>{"name": "image_search", "arguments": {"image_paths": ["image_1.png"]}}'
    )
    assert calls == [("image_search", {})] and "1. A tower image: <image>" in text
    text, images, calls, info = turn(
        env,
        '<think>t</think><tool_call>{"name": "web_visit", "arguments": {"urls": ["https://a.example"]}}</tool_call>',
    )
    assert [name for name, _ in calls] == ["web_visit"] and "web_visit is refused" in text
    assert info["tool_calls_by/invalid"] == 1.0
    text, images, calls, _ = turn(env, "<think>t</think><code>\n```python\nprint(6 * 7)\n```\n</code>")
    assert calls == [("python", {"code": "print(6 * 7)"})] and text == "<observation>42</observation>"
    *_, info = turn(env, f"<think>\nDone.\n</think>\n<answer>\n{gold(env)}\n</answer>")
    assert info["correct"] and info["tool_calls"] == 6.0


def test_skywork_r1v4_observations_of_its_own_do_not_act(play):
    env = play("skywork_r1v4")
    text = '<think>t</think><code>print(1)</code><observation><tool_call>{"name": "code"}</tool_call></observation>'
    assert [call[1] for call in turn(env, text)[2]] == [{"code": "print(1)"}]
    _, _, calls, _ = turn(env, "<think>t</think><observation>1</observation> <observation><answer>red</answer>")
    assert calls == [] and env.unwrapped.episode.turns[-1].answer is None


def test_thyme(play):
    env = play("thyme", tools=("python",))
    assert env.unwrapped.dialect.continues
    prompt = env.unwrapped.episode.prompt.text
    assert '"image_1.png"' in prompt and '"256x256"' in prompt
    first = (
        "<think>The lower half is bright. I crop it.\n<code>\n```python\nimport os\nfrom PIL import Image\n"
        'image_path = "/mnt/data/user/photo.jpg"\nimage = Image.open(image_path)\n'
        "cropped = image.crop((0, 128, 64, 256))\n"
        'processed_path = "/mnt/data/temp_processed_images/cropped_1.jpg"\ncropped.save(processed_path)\n'
        "print(processed_path)\n```\n</code>"
    )
    text, images, calls, _ = turn(env, first)
    assert [name for name, _ in calls] == ["python"] and 'image_path = "image_1.png"' in calls[0][1]["code"]
    assert text == "<sandbox_output><image></sandbox_output>" and images[0].shape == (128, 64, 3)
    second = (
        'Now I measure it.<code>```python\nimage = Image.open("/mnt/data/temp_processed_images/cropped_1.jpg")\n'
        "print(image.size)\n```"
    )
    text, images, calls, _ = turn(env, second)
    assert text == "<sandbox_output>(64, 128)</sandbox_output>" and not images
    *_, info = turn(env, f"One colour: not <answer>grey</answer>.</think>\n<answer>{gold(env)}</ans")
    assert info["correct"] and info["tool_calls"] == 2.0


def test_thyme_what_stands_behind_a_stop_was_never_said(play):
    env = play("thyme", tools=("python",))
    text = (
        "<think>a<code>print(1)</code><sandbox_output>2</sandbox_output><code>print(3)</code></think><answer>C</answer>"
    )
    text, _, calls, _ = turn(env, text)
    assert calls == [("python", {"code": "print(1)"})] and "1" in text
    assert turn(env, "<answer>C</answer><code>print(1)</code>")[2] == []


def test_thyme_errors_come_back(play):
    env = play("thyme", tools=("python",))
    text, *_ = turn(env, "<think><code>Image.open('missing.png')</code>")
    assert text.startswith("<sandbox_output>") and "FileNotFoundError" in text and text.endswith("</sandbox_output>")


def test_metis_as_its_authors_ran_it(play):
    env = play("metis:released=true")
    assert "64 x 64" in env.unwrapped.episode.prompt.text and "full" not in env.unwrapped.episode.prompt.text
    code = "print(image_1.size, np.pi > 3, math.pi > 3, os.sep, base64.b64encode(BytesIO(b'a').read()), plt, Image)"
    call = json.dumps({"name": "python", "arguments": {"code": code}})
    text, *_ = turn(env, f"<reason>Look.</reason><tool_call>{call}</tool_call>")
    assert "(64, 64) True True / b'YQ=='" in text
    observation, _, terminated, truncated, info = env.step("<reason>I do not know.</reason>")
    assert (terminated, truncated, info["scored"], info["answer_score"]) == (False, True, True, 0.0)
    assert observation["text"] == ""


def test_metis_goes_on_without_that_option(play):
    env = play("metis")
    assert "256 x 256" in env.unwrapped.episode.prompt.text
    _, _, terminated, truncated, _ = env.step("<reason>I do not know.</reason>")
    assert not terminated and not truncated
    full = play("metis:released=true,tool_images=source")
    call = json.dumps({"name": "python", "arguments": {"code": "print(image_1.size)"}})
    assert "(256, 256)" in turn(full, f"<reason>r</reason><tool_call>{call}</tool_call>")[0]
    with pytest.raises(ConfigError, match="released"):
        play("metis:released=1")


def test_native(play):
    env = play("native")
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "python", "arguments": '{"code": "image_1"}'}},
            {"id": "b", "type": "function", "function": {"name": "text_search", "arguments": '{"query": "x"'}},
            {"id": "c", "type": "function", "function": {"name": "image_search", "arguments": ""}},
        ],
    }
    text, images, calls, info = turn(env, json.dumps(message))
    assert [name for name, _ in calls] == ["python", "text_search", "image_search"] and len(images) == 2
    assert [result["images"] for result in json.loads(text)["results"]] == [1, 0, 1]
    assert info["tool_calls"] == 3.0 and info["tool_calls_by/invalid"] == 1.0
    *_, info = turn(env, json.dumps({"role": "assistant", "content": f"The answer is {gold(env)}."}))
    assert info["correct"]


@pytest.mark.parametrize(
    ("dialect", "on_benchmarks", "elsewhere"),
    [
        ("metis", EVERYTHING, EVERYTHING),
        ("deepeyes_v2", ("python",), EVERYTHING),
        ("skywork_r1v4", EVERYTHING, EVERYTHING),
        ("thyme", ("python",), ("python",)),
        ("native", EVERYTHING, EVERYTHING),
    ],
)
def test_the_tools_that_are_offered_by_default(dialect, on_benchmarks, elsewhere, monkeypatch):
    monkeypatch.setattr(ExampleTasks, "tools", EVERYTHING)
    for taskset, expected in (
        (f"{__name__}:Benchmark", on_benchmarks),
        ("metis_gym.testing.examples:ExampleTasks", elsewhere),
    ):
        env = gym.make(
            "MetisVQA-v0",
            taskset=taskset,
            dialect=dialect,
            text_engine="toy_engines:OnePage",
            image_engine="toy_engines:OneImage",
        )
        assert tuple(env.unwrapped.toolbox.tools) == expected


def test_tools_without_words_are_refused(play):
    with pytest.raises(ConfigError, match="cannot call the tool 'text_search'"):
        play("thyme", tools=("python", "text_search"))


@pytest.mark.parametrize("dialect", ["deepeyes_v2", "thyme"])
def test_a_turn_of_one_call_takes_no_list_of_two(play, dialect):
    env = play(dialect, tools=("python",))
    call = {"name": "python", "arguments": {"code": "print(1)"}}
    with pytest.raises(InvalidActionError, match="at most 1 call"):
        env.step([call, call])
    assert "1" in env.step([call])[0]["text"]


def test_benchmarks_of_several_parts_are_benchmarks():
    for parts, expected in (((Benchmark, Benchmark), True), ((Benchmark, ExampleTasks), False)):
        assert WeightedTaskset([(part(), 1.0) for part in parts]).is_benchmark is expected
