"""Tool noise: who is wrong how often, what a wrong tool shows, and where it reaches."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_agents.qwen3vl.rollouts.tool_sharing import ResultCache, SharingToolbox
from metis_envs.world.collection import DefaultCollection
from metis_envs.world.corpus import generated_passages
from metis_gym.backstage import backstage
from metis_gym.errors import ConfigError
from metis_gym.grading import Visit
from metis_gym.recording import Run, replay
from metis_gym.records import GoldAnswer, Task
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.text import write_text_index
from metis_gym.tasksets import Taskset, make_taskset
from metis_gym.tools.noise import ToolNoise
from metis_gym.variants import Variants
from metis_gym.vector import make_vec
from metis_gym.wrappers import Recorder

NUMERIC = "MetisVQA-Discrete-v0"


def made(answer):
    return Task(task_id="t", family="f", question=answer, images=(), gold=GoldAnswer(value=answer))


class Lettered(Taskset):
    """Tasks whose view leaves B to D of the answers A to E."""

    families = ("f",)

    def draw(self, rng):
        return "t"

    def build(self, task_id):
        return made("C")

    def variants(self, task_id, *, every=False):
        answers = "ABCDE" if every else "BCD"
        return Variants(answers, lambda place: made(answers[place]))


def shown(noise, visits, tools=("python",), taskset=None):
    taskset = taskset or Lettered()
    found = [noise.stand_ins(taskset, made("C"), visit, tools) for visit in visits]
    return [tuple(one[tool].make().gold.value if tool in one else "C" for tool in tools) for one in found]


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """Small ones."""
    folder = tmp_path_factory.mktemp("indexes")
    write_text_index(generated_passages(200), folder / "text.sqlite")
    write_image_index(DefaultCollection(landmarks=20, pieces=1).images(), folder / "images.sqlite")
    return {
        "text_engine": f"fts5:path={folder / 'text.sqlite'}",
        "image_engine": f"dhash:path={folder / 'images.sqlite'}",
    }


VISITS = [Visit(member, episode) for member in range(50) for episode in range(40)]


def test_a_tool_is_wrong_as_often_as_it_is_asked_to_be():
    letters = [letter for (letter,) in shown(ToolNoise(0.3), VISITS)]
    # 2,000 draws of .3: a standard error of .0102; of .15: .0080; four of them.
    assert abs(letters.count("C") / 2000 - 0.7) < 0.041
    assert all(abs(letters.count(other) / 2000 - 0.15) < 0.032 for other in "BD")
    assert set(letters) == set("BCD"), "only answers that the view leaves"


def test_run_member_episode_and_tool_are_wrong_independently():
    base = [one for one, _ in shown(ToolNoise(0.5), VISITS, ("python", "text_search"))]
    other = [one for _, one in shown(ToolNoise(0.5), VISITS, ("python", "text_search"))]
    rekeyed = [one for (one,) in shown(ToolNoise(0.5, key=1), VISITS)]
    for first, second in ((base, other), (base, rekeyed), (base[40:], base[:-40]), (base[1:], base[:-1])):
        agreement = np.mean([(a == "C") == (b == "C") for a, b in zip(first, second, strict=True)])
        assert abs(agreement - 0.5) < 0.045  # four standard errors of .0112
    assert base == [one for (one,) in shown(ToolNoise(0.5), VISITS)], "the same key, the same tools"


def test_a_view_that_leaves_one_answer_lets_tools_show_every_other():
    class Legible(Lettered):
        def variants(self, task_id, *, every=False):
            return super().variants(task_id, every=True) if every else Variants("C", lambda _: made("C"))

    assert {letter for (letter,) in shown(ToolNoise(1.0), VISITS, taskset=Legible())} == set("ABDE")


def test_a_taskset_without_variants_has_no_noise():
    class Plain(Lettered):
        variants = Taskset.variants

    assert ToolNoise(1.0).stand_ins(Plain(), made("C"), Visit(), ("python",)) == {}


@pytest.mark.parametrize("share", [-0.1, 1.1, True, "0.3", float("nan")])
def test_shares_that_cannot_be_right(share):
    with pytest.raises(ConfigError, match="tool_noise must be a share from 0 to 1"):
        gym.make(NUMERIC, tool_noise=share)


def crops(env, **options):
    """The reduced crop of the deciding cell, again, and of the whole grid."""
    env.reset(seed=3, options=options)
    cell = backstage(env).encode_action({"name": "python", "arguments": {}})
    returned = [env.step(number)[0]["returned"] for number in (cell, cell)]
    assert np.array_equal(*returned), "asking again shows the same"
    return returned[0]


@pytest.mark.parametrize("required_share", [0.0, 1.0])
def test_the_numeric_view_crops_another_answers_image(required_share):
    wrong = gym.make(NUMERIC, tool_noise=1.0, required_share=required_share)
    right = gym.make(NUMERIC, required_share=required_share)
    told = [crops(wrong, member=member) for member in range(6)]
    truth = crops(right)
    assert not any(np.array_equal(crop, truth) for crop in told)
    taskset, task = backstage(wrong).taskset, backstage(wrong).episode.task
    variants = taskset.variants(task.task_id, every=True)
    possible = []
    for variant in variants:
        backstage(right).use_taskset(Fixed(variant))
        possible.append(crops(right))
    assert all(any(np.array_equal(crop, other) for other in possible) for crop in told)
    assert any(not np.array_equal(told[0], other) for other in told), "members are wrong in their own ways"
    same_view = [np.array_equal(variant.images[0].view, task.images[0].view) for variant in variants]
    assert sum(same_view) == (4 if required_share else 1)


class Fixed(Taskset):
    families = ("patches",)

    def __init__(self, task):
        self._task = task

    def draw(self, rng):
        return self._task.task_id

    def build(self, task_id):
        return self._task

    load = build


@pytest.mark.parametrize(
    ("name", "tool"), [("facts", "text_search"), ("landmarks", "image_search"), ("charts", "python")]
)
def test_every_tool_works_on_another_answer(name, tool, sandbox_kwargs, engines):
    kwargs = {"taskset": f"{name}:answers=choice,required_share=1.0,max_source=1792", "disable_env_checker": True}
    wrong, right = (
        gym.make("MetisVQA-v0", **kwargs, **engines, **sandbox_kwargs, tool_noise=share) for share in (1.0, 0.0)
    )
    taskset = backstage(wrong).taskset
    rng = np.random.default_rng(0)
    while True:
        task = taskset.load(taskset.draw(rng))
        if task.solution[0].name == tool and len({call.name for call in task.solution}) == 1:
            break
    call = {"name": tool, "arguments": dict(task.solution[0].arguments)}
    seen = [played(env, task.task_id, call) for env in (wrong, right)]
    assert seen[0] != seen[1]
    backstage(right).use_taskset(Same(taskset))
    possible = []
    for place in range(len(task.alternatives)):
        Same.place = place
        possible.append(played(right, task.task_id, call))
    assert possible.count(seen[1]) == 1
    assert possible.count(seen[0]) == 1, "a wrong result is the right one of another answer"
    for env in (wrong, right):
        env.close()


def played(env, task_id, call):
    env.reset(options={"task_id": task_id})
    observation = env.step(call)[0]
    return observation["text"], tuple(image.tobytes() for image in observation["images"])


class Same(Taskset):
    """A taskset's tasks with the answer of one place."""

    place = 0
    families = ("facts",)

    def __init__(self, taskset):
        self._taskset = taskset

    def draw(self, rng):
        return self._taskset.draw(rng)

    def build(self, task_id):
        return self._taskset.variants(task_id)[self.place]

    load = build


def test_groups_share_results_only_where_their_tools_show_the_same(engines):
    cache = ResultCache()
    told = []
    for share in (False, True):
        env = gym.make(
            "MetisVQA-v0", taskset="facts:required_share=1.0", tool_noise=0.5, disable_env_checker=True, **engines
        )
        if share:
            backstage(env).use_toolbox(SharingToolbox(backstage(env).toolbox, cache))
        task_id = backstage(env).taskset.draw(np.random.default_rng(1))
        call = dict(backstage(env).taskset.load(task_id).solution[0].arguments)
        texts = []
        for member in range(10):
            env.reset(options={"task_id": task_id, "member": member})
            texts.append(env.step({"name": "text_search", "arguments": call})[0]["text"])
        told.append(texts)
        env.close()
    assert told[0] == told[1]
    assert len(set(told[0])) > 1


def test_vector_environments_and_copies_are_wrong_alike():
    kwargs = {"tool_noise": 0.5, "required_share": 1.0, "noise_key": 4}
    alone = gym.make(NUMERIC, **kwargs)
    copy = pickle.loads(pickle.dumps(alone.unwrapped))
    expected = [crops(alone, member=member) for member in range(4)]
    assert all(np.array_equal(crops(copy, member=member), crop) for member, crop in enumerate(expected))
    envs = make_vec(NUMERIC, num_envs=2, **kwargs)
    envs.reset(seed=[3, 3])
    cell = backstage(alone).encode_action({"name": "python", "arguments": {}})
    observation, *_ = envs.step(np.array([cell, cell]))
    assert all(np.array_equal(crop, expected[0]) for crop in observation["returned"])
    envs.close()


def test_a_recorded_run_replays_with_its_noise(tmp_path):
    env = Recorder(gym.make(NUMERIC, tool_noise=0.5, noise_key=2, required_share=1.0), tmp_path / "run")
    for member in range(6):
        crops(env, member=member)
    env.close()
    run = Run(tmp_path / "run")
    assert list(replay(run)) == []
    assert list(replay(run, live_tools=True)) == []


def test_no_variant_is_made_unless_a_wrong_tool_is_called(monkeypatch):
    env = gym.make(NUMERIC, tool_noise=1.0, disable_env_checker=True)
    env.reset(seed=3)
    taskset = backstage(env).taskset
    asked = []
    monkeypatch.setattr(type(taskset), "variants", lambda *args, **kwargs: asked.append(args) or Variants((), None))
    env.reset(seed=3)
    env.step(0)
    assert asked == []
    env.reset(seed=3)
    env.step(4)
    assert asked


def test_variants_are_the_task_with_each_answer():
    taskset = make_taskset("signs", split="train", view_size=448, options={"max_source": 1792, "partial_share": 0.0})
    task = taskset.load(taskset.task_id(3))
    variants = taskset.variants(task.task_id)
    assert variants.answers == task.alternatives
    own = variants[variants.answers.index(task.gold.value)]
    assert np.array_equal(own.images[0].source, task.images[0].source)
    assert [variant.gold.value for variant in variants] == list(variants.answers)
    every = taskset.variants(task.task_id, every=True)
    assert set(variants.answers) <= set(every.answers)
