"""The families whose tasks are decided by search: the shortest solution finds what it needs, and no more is needed."""

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_agents.evaluate import evaluate
from metis_agents.scripted import OracleAgent
from metis_envs.mixture import WEIGHTS
from metis_envs.world.collection import DefaultCollection
from metis_envs.world.corpus import generated_passages
from metis_gym.records import Necessity
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.text import write_text_index
from metis_gym.tasksets import make_taskset

SEARCHED = ("facts", "flags", "landmarks", "plaques", "tariffs", "timetables")
NUMBERS = ("one", "two", "three", "four", "five")


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """Smaller than the default ones, and built of the same pages and images."""
    folder = tmp_path_factory.mktemp("indexes")
    write_text_index(generated_passages(2_000), folder / "text.sqlite")
    write_image_index(DefaultCollection(landmarks=300, pieces=1).images(), folder / "images.sqlite")
    return {
        "text_engine": f"fts5:path={folder / 'text.sqlite'}",
        "image_engine": f"dhash:path={folder / 'images.sqlite'}",
    }


@pytest.mark.parametrize("name", SEARCHED)
def test_the_shortest_solution_finds_the_answer(name, engines):
    env = gym.make("MetisVQA-v0", taskset=name, required_share=1.0, split="test", **engines).unwrapped
    for seed in range(12):
        env.reset(seed=seed)
        task = env.episode.task
        found = ""
        for call in task.solution:
            found += env.step({"name": call.name, "arguments": dict(call.arguments)})[0]["text"]
        if task.solution[-1].name != "python":  # what a crop shows is no text
            assert sought(task) in found, task.task_id
    env.close()


def sought(task):
    """The answer as pages say it: of a tariff, the price of one."""
    answer = task.options["ABCDEFGH".index(task.gold.value)] if task.options else task.gold.value
    if task.family != "tariffs":
        return answer
    number = next(n for n, word in enumerate(NUMBERS, 1) if word in task.question.casefold().split())
    return f"{float(answer) / number:.2f}"


def test_landmarks_have_one_hop_and_two():
    taskset = make_taskset("landmarks", split="train", view_size=448, options={"required_share": 1.0})
    solutions = {
        tuple(call.name for call in taskset.build(f"landmarks:required_share=1.0/train/448/{seed}").solution)
        for seed in range(40)
    }
    assert solutions == {("image_search",), ("image_search", "text_search")}


@pytest.mark.parametrize("name", SEARCHED)
def test_where_the_image_says_it_no_call_is_needed(name):
    taskset = make_taskset(name, split="train", view_size=448, options={"required_share": 0.0})
    task = taskset.build(f"{name}:required_share=0.0/train/448/5")
    assert (task.necessity, task.solution) == (Necessity.NONE, ())
    assert task.passages, "the twin can be searched for as well, in vain"


@pytest.mark.parametrize("name", SEARCHED)
def test_no_fact_is_shared_by_two_tasks_or_by_the_splits(name):
    def pages(split, seed):
        blueprint, _ = make_taskset(name, split=split, view_size=448).blueprint(seed)
        overlay = blueprint.overlay(0, np.zeros((64, 64, 3), np.uint8))
        return {page.link for page in overlay.passages} | {entry.link for entry in overlay.titled_images}

    own = [pages(split, seed) for split in ("train", "test") for seed in range(8)]
    assert all(own)
    assert all(a.isdisjoint(b) for i, a in enumerate(own) for b in own[:i])


def test_the_oracle_is_right_and_calls_only_where_it_has_to(engines):
    report = evaluate(OracleAgent(), "MetisVQA-v0", 24, 0, taskset="+".join(SEARCHED), **engines)
    assert all(outcome.correct and outcome.scored for outcome in report.outcomes)
    assert all((outcome.tool_calls > 0) == (outcome.necessity is Necessity.REQUIRED) for outcome in report.outcomes)


def test_the_mixture_has_the_papers_proportions():
    shares = dict.fromkeys(("perception", "search", "maths"), 0.0)
    for name, weight in WEIGHTS.items():
        shares[make_taskset(name, split="train", view_size=448).ability] += weight
    assert shares == pytest.approx({"perception": 0.45, "search": 0.36, "maths": 0.19})


def test_numbers_can_search_too(engines):
    env = gym.make(
        "MetisVQA-Discrete-v0", taskset="flags", required_share=1.0, text_engine=engines["text_engine"]
    ).unwrapped
    assert env.action_space.n == 4 + 16 + 1
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        assert not observation["mentions"].any()
        search = env.encode_action({"name": "text_search", "arguments": {}})
        observation, _, _, _, info = env.step(search)
        assert env.observation_space.contains(observation)
        assert int(np.argmax(observation["mentions"])) == "ABCD".index(env.episode.task.gold.value)
        assert info["tool_calls_by/text_search"] == 1.0
    env.close()


def test_where_no_task_is_searched_for_there_is_no_such_action():
    env = gym.make("MetisVQA-Discrete-v0").unwrapped
    assert env.action_space.n == 4 + 16
    assert "mentions" not in env.observation_space.spaces
    env.close()
