"""Chains of calls: what each call shows is enumerated over all states of a task, and compared with its plans."""

import re

import numpy as np
import pytest

from metis_envs.mixture import CHAINED, WEIGHTS, chained_share, mixture
from metis_envs.world.corpus import generated_passages
from metis_gym.records import Necessity
from metis_gym.search import search_text
from metis_gym.search.engines.fts5 import Fts5Engine
from metis_gym.search.index.dhash import near_distances
from metis_gym.search.index.text import write_text_index
from metis_gym.tasksets import make_taskset

SEARCHED = ("facts", "flags", "landmarks", "plaques", "tariffs", "timetables")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text.sqlite"
    write_text_index(generated_passages(1_000), path)
    return Fts5Engine(path=str(path))


def family(name, **options):
    return make_taskset(name, split=options.pop("split", "train"), view_size=448, options=options)


def shown(task, call, engine):
    """What a call returns, worked out from the task alone; the same bytes where the results are the same."""
    if call.name == "python":
        left, top, right, bottom = map(int, re.search(r"crop\(\((\d+), (\d+), (\d+), (\d+)\)\)", str(call)).groups())
        return task.images[0].source[top:bottom, left:right].tobytes()
    if call.name == "image_search":
        distances = near_distances(task.images[0].source, [entry.image for entry in task.titled_images])
        order = sorted(range(len(distances)), key=lambda place: distances[place])
        return [(task.titled_images[place].title, task.titled_images[place].image.tobytes()) for place in order]
    hits = search_text(engine, call.arguments["query"], task.passages, limit=10)
    return [(hit.title, hit.snippet) for hit in hits]


def chain_task(name):
    kind = family(name, required_share=1.0, answers="choice", choices=3)
    seed = next(seed for seed in range(50) if kind.blueprint(seed)[0].keys > 1)
    return kind.variants(kind.task_id(seed), every=True)


@pytest.mark.parametrize("name", CHAINED)
def test_plans_are_exact(name, engine):
    variants = chain_task(name)
    assert len(variants) == 9, "each answer goes with each key"
    assert len({task.images[0].view.tobytes() for task in variants}) == 1
    plans = [(dict(plan.calls), plan.accuracy) for plan in variants[0].plans]
    groups, expected = {(): list(variants)}, [({}, best_accuracy(list(variants)))]
    for step in range(len(variants[0].solution)):
        after = {}
        for past, alike in groups.items():
            calls = {repr(task.solution[step]) for task in alike}
            assert len(calls) == 1, "what is called next is known from what has been shown"
            for task in alike:
                after.setdefault((*past, repr(shown(task, task.solution[step], engine))), []).append(task)
        groups = after
        names = [call.name for call in variants[0].solution[: step + 1]]
        accuracy = sum(best_accuracy(alike) * len(alike) for alike in groups.values()) / len(variants)
        expected.append(({tool: names.count(tool) for tool in names}, accuracy))
    assert plans == [(calls, pytest.approx(accuracy)) for calls, accuracy in expected]
    assert plans[-1][1] == 1.0 and all(accuracy == pytest.approx(1 / 3) for _, accuracy in plans[:-1])
    assert variants[0].min_calls == 2 and len(variants[0].best_plan.calls) == 2


def best_accuracy(tasks):
    golds = [task.gold.value for task in tasks]
    return max(map(golds.count, golds)) / len(golds)


@pytest.mark.parametrize("name", CHAINED)
def test_no_search_does_without_the_key(name, engine):
    variants = chain_task(name)
    for query in (variants[0].question, *variants[0].options, " ".join(variants[0].options)):
        groups = {}
        for task in variants:
            hits = search_text(engine, query, task.passages, limit=10)
            groups.setdefault(repr([(hit.title, hit.snippet) for hit in hits]), []).append(task)
        assert all(best_accuracy(alike) == pytest.approx(1 / 3) for alike in groups.values())


def calls_of(blueprint, brief):
    """Names of the calls of the shortest solution."""
    return [call.name for call in blueprint.calls(0)] or ["python"] if brief.hides else []


def test_a_quarter_of_the_mixture_are_chains_and_a_tenth_has_two_tools():
    chains = two_tools = 0.0
    share = chained_share(0.5)
    for name in CHAINED:
        kind = family(name, required_share=share)
        calls = [calls_of(*kind.blueprint(seed)) for seed in range(150)]
        chains += WEIGHTS[name] * np.mean([len(names) >= 2 for names in calls])
        two_tools += WEIGHTS[name] * np.mean([len(set(names)) >= 2 for names in calls])
    # The share itself is .268, the standard deviation of this estimate below .01.
    assert chains >= 0.25
    assert two_tools >= 0.10


def test_the_mixture_draws_chains_as_often():
    whole = mixture()
    rng = np.random.default_rng(3)
    chains = 0
    for _ in range(400):
        task_id = whole.draw(rng)
        part = next(part for part in whole.parts if part.knows(task_id))
        kind, seed = part._read_id(task_id)
        chains += kind.name in CHAINED and len(calls_of(*kind.blueprint(seed))) >= 2
    assert 0.20 <= chains / 400 <= 0.34  # .268, give or take three standard deviations


@pytest.mark.parametrize("name", SEARCHED)
def test_question_and_options_are_the_same_whether_a_tool_is_needed_or_not_and_which(name):
    needless, needed = family(name, required_share=0.0), family(name, required_share=1.0)
    for seed in range(30):
        (first, brief), (second, other) = needless.blueprint(seed), needed.blueprint(seed)
        assert (brief.necessity, other.necessity) == (Necessity.NONE, Necessity.REQUIRED)
        assert (first.question, first.answers) == (second.question, second.answers)


def test_families_of_chains_have_shorter_solutions_too():
    for name in CHAINED:
        kind = family(name, required_share=1.0)
        lengths = {len(calls_of(*kind.blueprint(seed))) for seed in range(80)}
        assert lengths == {1, 2}, name


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_shares_at_the_ends_are_those_of_all_families(share):
    assert (chained_share(share) == share) == (share in (0.0, 1.0))
    assert mixture(required_share=share, partial_share=0.0).families == tuple(WEIGHTS)
