"""Ideal agents: no regret in expectation, by comparing what is returned with every possible answer and nothing else."""

import dataclasses
import pickle

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_agents.agents import make_agent
from metis_agents.evaluate import evaluate
from metis_agents.ideal import LastResultAgent, OptimalAgent
from metis_agents.scripted import NeverToolAgent, OracleAgent
from metis_envs.world.collection import DefaultCollection
from metis_envs.world.corpus import generated_passages
from metis_gym.backstage import backstage, stream_task_id, visible_info
from metis_gym.errors import ConfigError
from metis_gym.records import GoldAnswer, Necessity
from metis_gym.registration import FAMILY_IDS
from metis_gym.rules import Rules
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.text import write_text_index
from metis_gym.tasksets import TASKSETS, Taskset
from metis_gym.testing import check_agent
from metis_gym.variants import Variants
from metis_gym.worth import best_plan, regret

NUMERIC = "MetisVQA-Discrete-v0"
FAMILIES = tuple(FAMILY_IDS.values())
SOME = [name if place % 3 == 0 else pytest.param(name, marks=pytest.mark.slow) for place, name in enumerate(FAMILIES)]


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


def played(agent, episodes, env_id=NUMERIC, **kwargs):
    return evaluate(agent, env_id, episodes, seed=0, progress=False, **kwargs)


def options(name):
    """A family with all kinds of tasks that it has."""
    kinds = TASKSETS.get(name).necessities
    partial = ",partial_share=0.3,required_share=0.4" if Necessity.PARTIAL in kinds else ""
    return f"{name}:answers=choice,max_source=1792{partial}"


def assert_no_regret(outcomes, lam):
    """The mean is 0 within four standard errors; right answers are drawn with the plans' own accuracies."""
    best = [best_plan(outcome.plans, lam) for outcome in outcomes]
    error = np.sqrt(sum(plan.accuracy * (1 - plan.accuracy) for plan in best)) / len(best)
    mean = np.mean([regret(outcome, lam) for outcome in outcomes])
    assert abs(mean) <= 4 * error + 1e-9


@pytest.mark.parametrize(
    ("noise", "lam", "prices"), [(0.0, 0.1, 1.0), (0.2, 0.1, 1.0), (0.3, 0.8, 1.0), (0.9, 0.05, 0.5), (0.0, 0.1, 9.0)]
)
def test_the_optimal_agent_has_no_regret(noise, lam, prices):
    report = played(OptimalAgent(lam=lam), 24, tool_noise=noise, prices={"python": prices}, lam=lam)
    assert_no_regret(report.outcomes, lam)
    assert report.metrics["excess_calls"].mean == report.metrics["missing_calls"].mean == 0.0
    assert report.metrics["accuracy_none"].mean == 1.0
    assert report.metrics["redundant_rate"].mean == 0.0
    assert {outcome.necessity for outcome in report.outcomes} == {Necessity.NONE, Necessity.REQUIRED}


def test_without_noise_it_never_loses_anything():
    outcomes = played(OptimalAgent(), 24, taskset="flags").outcomes
    assert max(abs(regret(outcome, 0.1)) for outcome in outcomes) < 1e-12


@pytest.mark.parametrize("name", SOME)
def test_it_has_no_regret_on_any_family(name, engines, sandbox_kwargs):
    kwargs = {"taskset": options(name), "tool_noise": 0.3, **engines, **sandbox_kwargs}
    outcomes = played(OptimalAgent(), 4, "MetisVQA-v0", **kwargs).outcomes
    known = [outcome for outcome in outcomes if outcome.plans]
    if known:
        assert_no_regret(known, 0.1)
        assert {outcome.tool_calls for outcome in known} == {best_plan(outcome.plans, 0.1).calls for outcome in known}


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.25])
@pytest.mark.parametrize("name", FAMILIES)
def test_it_has_no_regret_on_many_tasks_of_any_family(name, noise, engines, sandbox_kwargs):
    kwargs = {"taskset": options(name), "tool_noise": noise, **engines, **sandbox_kwargs}
    outcomes = played(OptimalAgent(), 60, "MetisVQA-v0", **kwargs).outcomes
    known = [outcome for outcome in outcomes if outcome.plans]
    if known:
        assert_no_regret(known, 0.1)


@pytest.mark.parametrize(
    ("env_id", "taskset"),
    [(NUMERIC, "patches"), pytest.param("MetisVQA-v0", "facts:answers=choice", marks=pytest.mark.slow)],
)
def test_who_answers_what_its_last_call_showed_is_hurt_where_looking_is_enough(
    env_id, taskset, engines, sandbox_kwargs
):
    kwargs = {"taskset": taskset, "tool_noise": 0.4, "required_share": 0.0, "text_engine": engines["text_engine"]}
    if env_id != NUMERIC:
        kwargs |= sandbox_kwargs
    believes, looks = (played(agent, 40, env_id, **kwargs) for agent in (LastResultAgent(), NeverToolAgent()))
    assert looks.metrics["accuracy_none"].mean == 1.0
    # 40 draws of .6: a standard error of .077; three of them.
    assert abs(believes.metrics["accuracy_none"].mean - 0.6) < 0.24
    assert believes.metrics["regret"].mean > looks.metrics["regret"].mean + 0.1  # the price of a call alone is .1


def test_without_noise_the_last_call_shows_the_truth():
    assert played(LastResultAgent(), 30).metrics["accuracy"].mean == 1.0


def test_the_oracle_answers_what_noisy_tools_show():
    metrics = played(OracleAgent(), 60, tool_noise=0.4, required_share=1.0).metrics
    # 60 draws of .6: a standard error of .063; four of them.
    assert abs(metrics["accuracy"].mean - 0.6) < 0.25
    assert metrics["tool_recall"].mean == 1.0


class Forged(Taskset):
    """A taskset whose tasks say nothing true of their answer, of what they need, or of how they are solved."""

    def __init__(self, taskset):
        self._taskset, self.tools = taskset, taskset.tools

    @property
    def families(self):
        return self._taskset.families

    def draw(self, rng):
        return self._taskset.draw(rng)

    def build(self, task_id):
        return dataclasses.replace(self._taskset.load(task_id), solution=(), **LIES)

    def variants(self, task_id, *, every=False):
        honest = self._taskset.variants(task_id, every=every)
        return Variants(honest.answers, lambda place: dataclasses.replace(honest[place], **LIES))

    def load(self, task_id):
        return self.build(task_id)


LIES = {"gold": GoldAnswer(value="A"), "necessity": Necessity.UNKNOWN, "explanation": ""}


def answered(agent, env, task_id, number):
    observation, info = env.reset(options={"task_id": task_id})
    agent.reset(np.random.default_rng(number))
    agent.study(Rules(env))
    while True:
        action = agent.act(observation, visible_info(info))
        if "answer" in action:
            return action["answer"]
        observation, *_, info = env.step(backstage(env).encode_action(action))


@pytest.mark.parametrize(
    ("env_id", "taskset"),
    [(NUMERIC, "patches"), ("MetisVQA-v0", "landmarks:answers=choice"), ("MetisVQA-v0", "charts:max_source=1792")],
)
def test_it_finds_the_answer_when_the_gold_is_forged(env_id, taskset, engines, sandbox_kwargs):
    kwargs = {"taskset": taskset, "required_share": 0.7}
    env = gym.make(
        env_id, **kwargs, **(engines | sandbox_kwargs if env_id != NUMERIC else {}), disable_env_checker=True
    )
    honest = backstage(env).taskset
    backstage(env).use_taskset(Forged(honest))
    task_ids = [stream_task_id(honest, 0, number) for number in range(8)]
    answers = [answered(OptimalAgent(), env, task_id, number) for number, task_id in enumerate(task_ids)]
    assert answers == [honest.load(task_id).gold.value for task_id in task_ids]
    assert len(set(answers)) > 1
    env.close()


def test_a_rehearsal_leaves_the_episode_alone(engines, sandbox_kwargs):
    env = gym.make("MetisVQA-v0", taskset="charts:max_source=1792", disable_env_checker=True, **sandbox_kwargs)
    env.reset(seed=1)
    env.step({"name": "python", "arguments": {"code": "kept = 7"}})
    rules = Rules(env)
    rules.rehearse(0, [{"name": "python", "arguments": {"code": "kept = 8"}}] * 3)
    rules.rehearse(1)
    observation = env.step({"name": "python", "arguments": {"code": "print(kept)"}})[0]
    assert "7" in observation["text"]
    assert len(backstage(env).episode.turns) == 2
    env.close()


@pytest.mark.parametrize("name", ["optimal:lam=0.3", "last-result", "oracle"])
def test_ideal_agents_keep_the_contract(name):
    check_agent(name, NUMERIC)
    check_agent(name, NUMERIC, tool_noise=0.5)


@pytest.mark.parametrize("name", ["optimal", "last-result", "oracle"])
def test_an_agent_that_has_played_can_be_sent_to_a_worker(name):
    agent = make_agent(name)
    played(agent, 2, tool_noise=0.5, required_share=1.0)
    copy = pickle.loads(pickle.dumps(agent))
    one, other = (played(player, 3, tool_noise=0.5, required_share=1.0).outcomes for player in (agent, copy))
    assert one == other


def test_a_taskset_that_knows_no_other_answers_is_named():
    with pytest.raises(ConfigError, match="needs a taskset that knows them"):
        played(OptimalAgent(), 1, "MetisVQA-v0", taskset="metis_gym.testing.examples:ExampleTasks", tools=())


def test_a_price_that_cannot_be_right():
    with pytest.raises(ConfigError, match="lam, the accuracy that a unit of price is worth"):
        make_agent("optimal:lam=-1")
