"""Results become figures, tables and files."""

import csv
import io
import json
import math

import numpy as np
import pytest
from made_up import played, result

from metis_agents.compare import Comparison
from metis_agents.compare.estimates import COLUMNS, area_under_curve, estimate
from metis_agents.compare.records import CURVES, Played, Result
from metis_agents.compare.seeds import clopper_pearson, mean_over_seeds, paired_difference
from metis_agents.compare.summary import verdict
from metis_gym.records import Necessity, Outcome

FAMILY = ("coupled:alpha=0.1", "coupled:alpha=1", "hdpo")


def outcome(task_id="a", necessity=Necessity.NONE, calls=1, right=True, **other):
    return Outcome(
        task_id=task_id,
        necessity=necessity,
        answer_score=0.0,
        true_answer_score=float(right),
        format_score=1.0,
        tool_calls=calls,
        tool_cost=0.5 * calls,
        **other,
    )


def test_episodes_are_summed_up_by_task_with_the_true_verdict():
    summed = Played.of(
        [
            outcome(),
            outcome(calls=0, right=False),
            outcome(calls=2),
            outcome("b", Necessity.REQUIRED, calls=3),
            outcome("b", Necessity.REQUIRED, scored=False),
        ]
    )
    assert summed.necessity == ("none", "required")
    assert summed.sums == ((3.0, 2.0, 2.0, 3.0, 1.5), (1.0, 1.0, 1.0, 3.0, 1.5))


def test_figures_are_ratios_over_the_right_tasks():
    figures = Comparison((result(redundant=0.2, needed=0.9, right=0.8),)).estimates()["hdpo"]
    expected = {
        "redundant_rate": 0.2,
        "tool_recall": 0.9,
        "accuracy": 0.8,
        "tool_rate": 0.55,
        "tool_precision": 0.9 / 1.1,
        "tool_productivity": 1.6 / 3.1,  # 160 right answers of 200 episodes with 110 calls: 160 / 310
        "without_tools": 0.5,
        "rho": 0.5,
    }
    assert {name: figures[name].mean for name in expected} == pytest.approx(expected, abs=1e-12)


def test_intervals_are_students_over_seeds():
    apart = [result(seed=seed, redundant=rate) for seed, rate in enumerate((0.40, 0.45, 0.50, 0.55, 0.60))]
    found = estimate(COLUMNS["redundant_rate"], apart)
    # Standard deviation .0790569, t(.975, 4) = 2.776445: .5 ± 2.776445·.0790569/√5 = .5 ± .0981620
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((0.5, 0.401838, 0.598162, 5), abs=1e-6)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_one_seed_and_seeds_that_agree_have_no_interval(seeds):
    found = estimate(COLUMNS["redundant_rate"], [result(seed=seed, redundant=0.1) for seed in range(seeds)])
    assert found.mean == pytest.approx(0.1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    text = Comparison(tuple(result(seed=seed, redundant=0.1) for seed in range(seeds))).markdown()
    assert "| 10.0 | 100.0 |" in text
    assert f"Mean over {seeds} seed{'s' if seeds > 1 else ''}, each" in text


def test_every_figure_of_one_run_is_without_interval():
    assert all(math.isnan(value.low) for value in Comparison((result(),)).estimates()["hdpo"].values())


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_cover_what_they_say(seeds):
    # Of 2000 normal samples .95 are covered, with a standard error of .005; a bootstrap covers .84, .89 and .93.
    values = np.random.default_rng(seeds).normal(0.5, 0.1, (2000, seeds))
    found = [mean_over_seeds(row) for row in values.tolist()]
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) == pytest.approx(0.95, abs=0.015)


def test_intervals_stay_in_the_range_of_the_figure():
    found = estimate(COLUMNS["redundant_rate"], [result(redundant=0.0), result(seed=1, redundant=0.02)])
    assert (found.low, found.high) == (0.0, pytest.approx(0.01 + 12.7062 * 0.01, abs=1e-4))


def test_differences_are_paired_by_seed():
    # Seeds differ by .3, designs within each by .1 and .11: unpaired there would be nothing to see.
    one, other = {0: 0.1, 1: 0.4, 2: 0.7, 9: 0.0}, {0: 0.2, 1: 0.51, 2: 0.8}
    found, p = paired_difference(one, other)
    assert found.n == 3
    assert found.mean == pytest.approx(-0.31 / 3)
    assert found.high < -0.08
    assert p < 0.01


def test_the_table_compares_with_accuracy_only_within_seeds():
    runs = [result("accuracy", seed, redundant=0.9 - 0.1 * seed) for seed in range(3)]
    runs += [result("hdpo", seed, redundant=0.04 - 0.01 * seed) for seed in range(3)]
    text = Comparison(tuple(runs)).markdown()
    assert "| difference to accuracy-only |" in text
    # Differences −.86, −.77, −.68: mean −.77, standard error .09/√3, t = 4.303
    assert "| `hdpo` (w_tool = 0.15) | −77.0 (−99.4 to −54.6), p 0.0" in text
    assert "difference to" not in Comparison((result("accuracy"), result("hdpo"))).markdown(), "one seed says nothing"


def test_seeds_in_two_camps_have_a_range_and_no_interval():
    runs = tuple(result(seed=seed, redundant=rate) for seed, rate in enumerate((0.01, 0.02, 0.98)))
    text = Comparison(runs).markdown()
    assert "33.7 (1.0…98.0)" in text
    assert "| `hdpo` (w_tool = 0.15) | 2 of 3 | 9–99 % |" in text


@pytest.mark.parametrize(
    ("right", "n", "low", "high"), [(0, 5, 0.0, 0.5218), (5, 5, 0.4782, 1.0), (8, 10, 0.4439, 0.9748)]
)
def test_the_share_of_right_runs_is_exact(right, n, low, high):
    assert clopper_pearson(right, n) == pytest.approx((low, high), abs=1e-4)  # Clopper and Pearson's tables


def test_a_figure_that_nothing_speaks_for_is_empty():
    only = Played(necessity=("none",), sums=((4.0, 4.0, 0.0, 0.0, 0.0),))
    nothing = Result(**{**result().__dict__, "final": only})
    assert estimate(COLUMNS["tool_recall"], [nothing]).n == 0
    assert "| – |" in Comparison((nothing,)).markdown()


def test_the_area_under_the_curve():
    # Free accuracy .5 up to cost .2, .8 from there on: (.5·.2 + .8·.8) / 1.
    assert area_under_curve([(0.2, 0.8)], 0.5, 1.0) == pytest.approx(0.74)
    # A dearer and worse weight changes nothing, one beyond the largest cost neither.
    assert area_under_curve([(0.2, 0.8), (0.6, 0.7), (1.5, 1.0)], 0.5, 1.0) == pytest.approx(0.74)


def test_weights_of_a_design_are_one_family():
    families = Comparison(tuple(result(design) for design in FAMILY)).families()
    assert [(family.name, len(family.points)) for family in families] == [("coupled", 2), ("hdpo", 1)]


def test_the_cold_start_counts_each_seed_once():
    start = Comparison((result("hdpo"), result("accuracy"), result("hdpo", seed=1))).start()
    assert start["redundant_rate"].mean == pytest.approx(0.97)
    assert start["redundant_rate"].n == 2
    assert "rho" not in start


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, "calls only when needed"),
        ({"redundant": 0.06}, "calls without need"),
        ({"needed": 0.94}, "misses needed calls"),
        ({"right": 0.97}, "loses accuracy"),
        ({"redundant": 0.5, "needed": 0.5, "right": 0.5}, "calls without need, misses needed calls, loses accuracy"),
    ],
)
def test_verdicts_in_words(row, expected):
    figures = Comparison((result("accuracy", redundant=1.0), result("hdpo", **row))).estimates()
    assert verdict(figures, "hdpo") == expected


def test_results_survive_json_with_nothing_to_say():
    curve = {name: [math.nan, 0.25] for name in CURVES}
    one = Result(**{**result().__dict__, "curve": curve})
    back = Result.from_json(json.loads(json.dumps(one.to_json(), allow_nan=False)))
    assert back.final == one.final
    np.testing.assert_equal(dict(back.curve), dict(one.curve))


def test_the_tables_for_machines():
    comparison = Comparison((result("accuracy", redundant=0.97), result("hdpo", needed=0.98)))
    rows = list(csv.DictReader(io.StringIO(comparison.csv())))
    assert [row["design"] for row in rows] == ["accuracy", "hdpo"]
    assert (rows[0]["grader_noise"], rows[0]["choices"]) == ("0.3", "4")
    assert float(rows[1]["tool_recall"]) == pytest.approx(0.98, abs=1e-15)
    history = list(csv.DictReader(io.StringIO(comparison.history_csv())))
    assert len(history) == 10
    assert history[7]["batch"] == "3"
    assert float(history[0]["redundant_rate"]) == 0.97


def test_the_table_for_people():
    text = Comparison(tuple(result(seed=seed, redundant=0.031) for seed in range(3))).markdown()
    assert text.startswith("Mean over 3 seeds, each on 200 episodes of the test split")
    assert "| `hdpo` (w_tool = 0.15) | 3.1 | 100.0 |" in text
    assert "| (cold start) | 97.0" in text


def test_nothing_played_is_no_crash():
    assert played(0, 0).where(Necessity.UNKNOWN).tolist() == [False, False]
