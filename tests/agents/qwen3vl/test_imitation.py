"""The cold start: what is imitated, how much each token counts, and that imitating works."""

import functools
import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from PIL import Image
from qwen_toys import CALL, equipment, make_env

from metis_agents.qwen3vl.sft.demonstrations import (
    Example,
    Habits,
    chat_conversations,
    example,
    grounding_examples,
    pair,
    recorded_conversations,
    scripted_pairs,
    scripted_texts,
)
from metis_agents.qwen3vl.sft.sft import SFTConfig, fine_tune
from metis_gym.errors import ConfigError, NonFiniteError, RecordingError, TaskDataError
from metis_gym.records import Message, Necessity, Role
from metis_gym.wrappers import Recorder

ANSWER = "<reason></reason><answer>red</answer>"


def ways():
    asked = Message(role=Role.USER, text="?")
    with_tool = [
        *(asked, Message(role=Role.ASSISTANT, text=CALL)),
        *(Message(role=Role.USER, text="seen"), Message(role=Role.ASSISTANT, text=ANSWER)),
    ]
    return with_tool, [asked, Message(role=Role.ASSISTANT, text=ANSWER)]


def test_the_token_at_which_two_ways_part_is_weighed_by_their_shares(kit):
    one, other = pair(kit.renderer, *ways(), tool_rate=0.9)
    # <reason> </reason> are common; the third token is <tool_call> or <answer>.
    for way, token, weight in ((one, "<tool_call>", 1.8), (other, "<answer>", 0.2)):
        ids = way.tokens.ids_T[way.tokens.is_model_token_T]
        assert kit.tokenizer.decode([int(ids[2])]) == token
        assert way.weights_N[2] == pytest.approx(weight)
        assert set(np.delete(way.weights_N, 2)) == {1.0}


def test_imitating_a_pair_makes_the_first_way_as_frequent_as_asked():
    """The loss's minimum at the parting token is the share itself: −s·log p − (1 − s)·log(1 − p) is least at p = s."""
    kit = equipment()
    units = [pair(kit.renderer, *ways(), tool_rate=0.8)]
    losses = fine_tune(kit.scorer, units, SFTConfig(steps=120, batch=1, lr=3e-3))
    assert losses[-1] < losses[0] / 5
    one = units[0][0].tokens
    with torch.no_grad():
        logprobs_N = kit.scorer([one]).logprobs_N
    assert float(logprobs_N[2].exp()) == pytest.approx(0.8, abs=0.05)


def test_pieces_of_a_batch_change_no_step(kit):
    unit = pair(kit.renderer, *ways(), tool_rate=0.8)
    moved = []
    for limit in (None, 40):
        fresh = equipment()
        fine_tune(fresh.scorer, [unit], SFTConfig(steps=1, batch=1, lr=1e-3, micro_batch_tokens=limit))
        moved.append(torch.cat([p.detach().flatten() for p in fresh.scorer.parameters()]))
    torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=2e-5)


def test_nothing_to_imitate_is_an_error(kit):
    with pytest.raises(ConfigError, match="Expect at least one conversation to imitate, actually: none"):
        fine_tune(kit.scorer, [], SFTConfig())


def test_a_loss_that_is_not_finite_stops(kit):
    broken = equipment()
    one = example(broken.renderer, ways()[1])
    weights_N = np.full_like(one.weights_N, np.nan)
    with pytest.raises(NonFiniteError, match="SFT loss is nan in step 0"):
        fine_tune(broken.scorer, [(Example(one.tokens, weights_N),)], SFTConfig(steps=1, batch=1))


def test_grounding_says_where_and_never_what_the_view_hides(kit):
    env = make_env()
    found = list(grounding_examples(env.unwrapped.taskset, kit.renderer, count=8, seed=4))
    rng = np.random.default_rng(4)
    for one in found:
        task = env.unwrapped.taskset.load(env.unwrapped.taskset.draw(rng))
        said = kit.tokenizer.decode(one.tokens.ids_T[one.tokens.is_model_token_T])
        hidden = task.necessity is Necessity.REQUIRED
        assert said == f"<answer>{'' if hidden else task.gold.value}</answer>{task.region}<|im_end|>"


def test_habits_depend_on_what_a_task_needs():
    env = make_env()
    rates = set()
    for seed in range(12):
        env.reset(seed=seed)
        task = env.unwrapped.episode.task
        rate = Habits(tool_rate_none=0.2, tool_rate_required=0.7).rate(task)
        assert rate == (0.7 if task.necessity is Necessity.REQUIRED else 0.2)
        rates.add(rate)
    assert rates == {0.2, 0.7}


def test_demonstrations_search_where_that_decides(kit):
    """A crop of such an image shows nothing: imitating it would teach calls that cannot help."""
    make = functools.partial(make_env, taskset="flags", tools=None)
    for with_tool, direct in scripted_pairs(make, kit.renderer, Habits(), count=2, seed=0, workers=1):
        one, other = (
            kit.tokenizer.decode(way.tokens.ids_T[way.tokens.is_model_token_T]) for way in (with_tool, direct)
        )
        assert '"name": "text_search"' in one
        assert "python" not in one
        assert "<answer>" in one
        assert "tool_call" not in other
    assert any('"name": "text_search"' in text for text in scripted_texts(make, Habits(), count=2, seed=0))


def test_recorded_episodes_come_back_as_conversations_and_wrong_ones_are_left_out(tmp_path):
    env = Recorder(make_env(), tmp_path / "run")
    expected = []
    for seed, is_right in ((0, True), (1, False)):
        env.reset(seed=seed)
        env.step(CALL)
        task = env.unwrapped.episode.task
        env.step({"answer": task.gold.value if is_right else "nothing of the kind"})
        if is_right:
            expected.append(env.unwrapped.episode.messages)
    env.close()
    found = list(recorded_conversations(tmp_path / "run"))
    assert len(found) == 1
    for ours, theirs in zip(found[0][:4], expected[0][:4], strict=True):
        assert (ours.role, ours.text, len(ours.images)) == (theirs.role, theirs.text, len(theirs.images))
    assert found[0][-1].text == expected[0][-1].text, "the answer, too, in the words of the dialect"
    assert len(list(recorded_conversations(tmp_path / "run", keep=lambda info: True))) == 2


def test_chat_files_are_read_with_their_images(tmp_path):
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "a.png")
    row = {
        "messages": [{"role": "user", "content": "<image>what?"}, {"role": "assistant", "content": ANSWER}],
        "images": ["a.png"],
    }
    (tmp_path / "chat.jsonl").write_text(json.dumps(row) + "\n")
    (conversation,) = chat_conversations(tmp_path / "chat.jsonl")
    assert [message.role for message in conversation] == [Role.USER, Role.ASSISTANT]
    assert conversation[0].images[0].shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: expected .* actually: JSONDecodeError"),
        ('{"images": []}', "line 1: expected .* actually: KeyError"),
        ('{"messages": [{"role": "nobody", "content": ""}]}', "line 1: expected .* 'nobody' is not a valid Role"),
        ('{"messages": [], "images": ["gone.png"]}', "there is no image"),
        ('{"messages": [], "images": ["../gone.png"]}', "leads out of"),
        ("[" * 100_000, "line 1: expected .* actually: RecursionError"),
        ("[]", "line 1: expected .* actually: AttributeError"),
        ('{"messages": [{"role": "user", "content": "<image>"}]}', "1 more <image> than images"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    (tmp_path / "chat.jsonl").write_text(line + "\n")
    with pytest.raises(TaskDataError, match=message):
        list(chat_conversations(tmp_path / "chat.jsonl"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TaskDataError, match="there is no file"):
        list(chat_conversations(tmp_path / "gone.jsonl"))


def test_a_recording_without_conversations_is_named(tmp_path):
    env = Recorder(gym.make("MetisVQA-Discrete-v0"), tmp_path / "run")
    env.reset(seed=0)
    env.close()
    with pytest.raises(RecordingError, match=r"events\.jsonl, line 1.*no environment with text"):
        list(recorded_conversations(tmp_path / "run"))
