"""The figures of the benchmarks: known answers, coverage, intervals over what was sampled."""

import itertools

import pytest

pytest.importorskip("pyarrow")

from metis_envs.benchmarks.figures import Figure, Result, estimate_figures, mean_of_shares, share
from metis_envs.benchmarks.hrbench import HRBench4K
from metis_envs.benchmarks.wemath import WeMath


def results(scores, **labels):
    return [Result(unit=str(number), labels=labels, score=score) for number, score in enumerate(scores)]


def composite(steps, number, parts, whole):
    keys = [f"{steps}steps_{step}" for step in range(1, steps + 1)] + [f"{steps}steps_multi"]
    level = {f"{steps}steps_multi": f"S{steps}"}
    return [
        Result(
            unit=f"{steps}steps_{number}",
            labels={"key": key, "composite": f"{steps}steps_{number}", "level": level.get(key, "S1")},
            score=score,
        )
        for key, score in zip(keys, [*parts, whole], strict=True)
    ]


def wemath(rule):
    """All 525 composites: 360 of two steps, 165 of three; `rule` gives the scores of the parts and of the whole."""
    made = [composite(2, number, *rule(2)) for number in range(360)]
    made += [composite(3, number, *rule(3)) for number in range(165)]
    found = WeMath.figures(WeMath.__new__(WeMath), list(itertools.chain.from_iterable(made)))
    return {name: round(100 * figure.mean, 2) for name, figure in found.items()}


@pytest.mark.parametrize(
    ("rule", "strict", "loose"),
    [
        (lambda steps: ([1.0] * steps, 1.0), 100, 100),
        (lambda steps: ([1.0] * steps, 0.0), 50, 50),
        (lambda steps: ([0.0] + [1.0] * (steps - 1), 1.0), 0, 100),
        (lambda steps: ([0.0] * steps, 1.0) if steps == 2 else ([1.0] * steps, 1.0), 31.43, 31.43),
        (lambda steps: ([0.0] * steps, 0.0), 0, 0),
    ],
)
def test_we_math_s_scores(rule, strict, loose):
    found = wemath(rule)
    assert (found["score strict"], found["score loose"]) == (strict, loose)
    assert found["IK"] + found["IG"] + found["CM strict"] + found["RM strict"] == pytest.approx(100, abs=0.02)
    assert found["IK"] + found["IG"] + found["CM loose"] + found["RM loose"] == pytest.approx(100, abs=0.02)


def test_a_composite_with_an_unscored_member_is_left_out_whole():
    rows = composite(2, 0, [1.0, 1.0], 1.0) + composite(2, 1, [1.0, None], 0.0)
    found = WeMath.figures(WeMath.__new__(WeMath), rows)
    assert found["score strict"].mean == 1.0
    assert found["score strict"].count == 1


def test_hr_bench_is_the_mean_of_its_four_orders():
    right = {0: (1, 0), 1: (1, 0), 2: (1, 1), 3: (1, 1)}
    rows = [
        Result(unit=f"q{question}", labels={"category": "single", "cycle": str(cycle)}, score=float(score))
        for cycle, scores in right.items()
        for question, score in enumerate(scores)
    ]
    found = HRBench4K.figures(HRBench4K.__new__(HRBench4K), rows)
    assert found["overall"].mean == 0.75
    assert found["FSP"].mean == 0.75
    assert found["all orders right"].mean == 0.5


def test_orders_of_unequal_size_count_the_same():
    parts = [results([1.0, 1.0, 1.0, 1.0]), results([0.0])]
    assert mean_of_shares(parts).mean == 0.5


def test_wilson_s_interval_for_rows_of_their_own():
    # 8 of 10: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n) with z = 1.959964
    estimate = estimate_figures({"overall": share(results([1.0] * 8 + [0.0] * 2))})["overall"]
    assert (estimate.mean, estimate.n) == (0.8, 10)
    assert estimate.low == pytest.approx(0.4901625, abs=1e-6)
    assert estimate.high == pytest.approx(0.9433178, abs=1e-6)


def test_rows_that_share_a_question_have_a_wider_interval_than_rows_that_do_not():
    alone = [Result(unit=str(number), labels={}, score=float(number % 2)) for number in range(400)]
    shared = [Result(unit=str(number // 10), labels={}, score=float(number // 10 % 2)) for number in range(400)]
    narrow, wide = (estimate_figures({"x": share(rows)})["x"] for rows in (alone, shared))
    assert narrow.mean == wide.mean == 0.5
    # The variance of a mean over 40 units is ten times that over 400.
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(10**0.5, rel=0.15)


def test_a_figure_of_nothing_is_no_number():
    assert estimate_figures({"x": share([])})["x"].n == 0
    assert str(estimate_figures({"x": Figure(())})["x"]) == "–"
