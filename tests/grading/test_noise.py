"""Grader noise: who is flipped, and who never is."""

import gymnasium as gym
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.errors import ConfigError
from metis_gym.grading import Grade, GradingStep
from metis_gym.grading.noise import GraderNoise, Visit
from metis_gym.metrics import summarise
from metis_gym.records import Outcome

RIGHT, WRONG = Grade(1.0, GradingStep.CHOICE), Grade(0.0, GradingStep.NO_MATCH)


def flips(noise, tasks=40, members=50, episode=0):
    return [noise.flips(f"task {t}", Visit(m, episode)) for t in range(tasks) for m in range(members)]


def play(env, answer, **options):
    _, info = env.reset(seed=3, options=options)
    gold = "ABCD".index(env.unwrapped.episode.task.gold.value)
    *_, info = env.step(gold if answer == "right" else (gold + 1) % 4)
    return info


def test_the_share_is_kept():
    # 2,000 draws of .3: a standard error of .0102; four of them.
    assert abs(sum(flips(GraderNoise(0.3))) / 2000 - 0.3) < 0.041


def test_nothing_is_flipped_without_noise_or_in_the_test_split():
    assert not any(flips(GraderNoise(0.0)))
    assert not any(flips(GraderNoise(0.5, split="test")))


def test_run_task_member_and_episode_flip_independently():
    # Two independent fair flips agree half of the time: 2,000 draws, four standard errors of .0112.
    base = flips(GraderNoise(0.5))
    others = [flips(GraderNoise(0.5, key=1)), flips(GraderNoise(0.5), episode=1)]
    shifted = [base[50:], base[:-50]], [base[1:], base[:-1]]  # the next task; the next member
    for one, other in [*((base, other) for other in others), *shifted]:
        agreement = sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
        assert abs(agreement - 0.5) < 0.045


def test_the_same_key_flips_the_same():
    assert flips(GraderNoise(0.3, key=7)) == flips(GraderNoise(0.3, key=7))


def test_a_flipped_verdict_is_one_minus_the_score():
    noise = GraderNoise(0.5)
    flipped = next(Visit(m) for m in range(99) if noise.flips("t", Visit(m)))
    kept = next(Visit(m) for m in range(99) if not noise.flips("t", Visit(m)))
    assert [noise.verdict(grade, "t", flipped) for grade in (RIGHT, WRONG)] == [0.0, 1.0]
    assert [noise.verdict(grade, "t", kept) for grade in (RIGHT, WRONG)] == [1.0, 0.0]
    assert noise.verdict(Grade(0.0, GradingStep.NO_ANSWER), "t", flipped) == 0.0


@pytest.mark.parametrize("answer", ["right", "wrong"])
def test_training_sees_the_noisy_verdict_and_metrics_the_true_one(answer):
    env = gym.make("MetisVQA-Discrete-v0", grader_noise=0.3, noise_key=5)
    infos = [play(env, answer, member=member) for member in range(64)]
    noisy = [info["answer_score"] == (answer == "wrong") for info in infos]
    # 64 draws of .3: four standard errors are .23.
    assert 0.07 < sum(noisy) / 64 < 0.53
    assert {info["true_answer_score"] for info in infos} == {float(answer == "right")}
    assert [info["reward_components/accuracy"] > 0.5 for info in infos] == [info["correct"] for info in infos]
    outcomes = [Outcome.from_info(info) for info in infos]
    assert summarise(outcomes)["accuracy"].mean == float(answer == "right")


def test_the_episode_is_part_of_the_key():
    env = gym.make("MetisVQA-Discrete-v0", grader_noise=0.5)
    first, again, second = ([play(env, "right", member=m, episode=e)["correct"] for m in range(32)] for e in (0, 0, 1))
    assert first == again != second


def test_evaluation_is_never_noisy():
    env = gym.make("MetisVQA-Discrete-v0", grader_noise=0.5, split="test")
    assert all(play(env, "right", member=member)["correct"] for member in range(32))


def test_noise_changes_no_task_and_no_observation():
    plain, noisy = gym.make("MetisVQA-Discrete-v0"), gym.make("MetisVQA-Discrete-v0", grader_noise=0.3)
    ids = [[env.reset(seed=1)[1]["task_id"]] + [env.reset()[1]["task_id"] for _ in range(4)] for env in (plain, noisy)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("share", [-0.1, 0.51, True, "0.3", float("nan")])
def test_shares_that_cannot_be_right(share):
    with pytest.raises(ConfigError, match="grader_noise must be a share from 0 to"):
        gym.make("MetisVQA-Discrete-v0", grader_noise=share)


def test_keys_that_cannot_be_right():
    with pytest.raises(ConfigError, match="noise_key must be a whole number"):
        GraderNoise(0.1, key=0.5)


@pytest.mark.parametrize("options", [{"member": -1}, {"member": 1.0}, {"episode": True}])
def test_visits_that_cannot_be_right(options):
    with pytest.raises(ConfigError, match="to be a whole number from 0 on"):
        gym.make("MetisVQA-Discrete-v0").reset(options=options)


def test_wrong_names_are_named():
    with pytest.raises(ConfigError, match="Did you mean 'member'"):
        gym.make("MetisVQA-Discrete-v0").reset(options={"members": 1})
    with pytest.raises(ConfigError, match="Did you mean 'grader_noise'"):
        gym.make("MetisVQA-Discrete-v0", grader_nose=0.1)
