"""The command, its table, its JSON, its page; intervals and verdicts."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from metis_envs.audit import NotProbed, ProbeResult, Report, Share, Verdict, audit
from metis_envs.audit.guessing import best_share
from metis_envs.audit.page import page_text
from metis_envs.audit.table import as_table
from metis_envs.audit.views import block_sums
from metis_gym.cli import main
from metis_gym.errors import ConfigError
from metis_gym.registration import FAMILY_IDS
from metis_gym.tasksets import make_taskset

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(autouse=True)
def leaky_is_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def result(value, tasks, limit, **others):
    return ProbeResult(part="notes", probe="a probe", share=Share.of(value, tasks), limit=limit, **others)


@pytest.mark.parametrize(
    ("value", "tasks", "limit", "is_floor", "verdict"),
    [
        # Wilson at 95 %: .60 of 100 is .502 – .691, of 1000 .569 – .630.
        (0.60, 100, 0.60, False, Verdict.KEPT),
        (0.60, 100, 0.55, False, Verdict.UNCLEAR),
        (0.60, 1000, 0.55, False, Verdict.BROKEN),
        (0.60, 1000, 0.60, True, Verdict.KEPT),
        (0.60, 100, 0.65, True, Verdict.UNCLEAR),
        (0.60, 1000, 0.65, True, Verdict.BROKEN),
    ],
)
def test_a_limit_is_broken_when_the_whole_interval_is_beyond_it(value, tasks, limit, is_floor, verdict):
    assert result(value, tasks, limit, is_floor=is_floor).verdict is verdict


def test_more_tries_widen_the_interval():
    one, many = Share.of(0.6, 100), Share.of(0.6, 100, tried=6)
    assert many.low < one.low < one.high < many.high


def test_the_table_fits_and_says_everything():
    long = "because " * 30
    report = Report(
        taskset="notes",
        split="train",
        view_size=448,
        tasks=400,
        words=1600,
        seed=0,
        results=(result(0.6, 1000, 0.55, note=long), result(0.6, 100, 0.55), result(0.5, 100, 0.55)),
        not_probed=(NotProbed(part="notes", probe="another", reason=long),),
        facts={},
    )
    table = as_table(report)
    assert max(map(len, table.splitlines())) <= 100
    assert "3 limits: 1 kept, 1 unclear, 1 broken; 1 could not be probed." in table
    assert all(verdict.value in table for verdict in Verdict)


def test_the_command_ends_in_1_where_a_limit_is_broken(tmp_path, capsys):
    out = tmp_path / "audit.json"
    options = ["--tasks", "40", "--view-size", "224", "--probes", "necessity,views", "--workers", "1", "--quiet"]
    assert main(["audit", "leaky:Notes:leak=words", *options, "--out", str(out)]) == 1
    assert "BROKEN" in capsys.readouterr().out
    rows = {row["probe"]: row for row in json.loads(out.read_text())["results"]}
    assert rows["words → necessity"]["verdict"] == "BROKEN"
    assert rows["words → necessity"]["share"]["tasks"] > 100  # words cost little: four times as many are looked at
    assert rows["views of all answers"]["verdict"] == "kept"
    assert main(["audit", "leaky:Notes", *options]) == 0


def test_the_best_of_many_guessers_is_no_luckier_than_one():
    def by_coin(seed):
        return lambda _learnt, held_out: np.random.default_rng([seed, *held_out[:3]]).integers(0, 2, len(held_out))

    shares = [
        best_share({str(guesser): by_coin(100 * start + guesser) for guesser in range(30)}, 100, seed=start).value
        for start in range(40)
    ]
    # 4,000 throws of a coin: the standard error is .008. The luckiest of 30 is right in .60 of a hundred.
    assert abs(np.mean(shares) - 0.5) < 0.03


def test_a_guesser_that_knows_is_chosen_among_others():
    def right(_learnt, held_out):
        return np.ones(len(held_out))

    def wrong(_learnt, held_out):
        return np.zeros(len(held_out))

    share = best_share({"wrong": wrong, "right": right, "also wrong": wrong}, 50, seed=0)
    assert (share.value, share.by) == (1.0, "right")


def test_words_and_pages_of_more_tasks_are_looked_at_than_are_drawn():
    report = audit("leaky:Notes", tasks=20, words=60, view_size=224, probes=("answer", "blind", "statistics"))
    tasks = {one.probe: one.share.tasks for one in report.results}
    assert tasks["words → answer, choice"] + tasks["words → answer, open"] == 60
    assert tasks["blind with tools"] == 60
    assert {one.probe for one in report.not_probed} == {"image statistics → necessity"}  # 20 tasks are too few


def test_processes_change_nothing():
    made = [audit("leaky:Notes", tasks=24, view_size=224, probes=("statistics", "position"), workers=n) for n in (1, 2)]
    assert made[0] == made[1]


def test_of_any_taskset_it_probes_what_it_can_and_says_what_not():
    report = audit("leaky:Plain", tasks=120)
    assert {one.probe for one in report.with_verdict(Verdict.BROKEN)} == {"image statistics → necessity"}
    assert {one.probe for one in report.results} >= {"words → necessity", "words → answer, choice", "gold position"}
    reasons = {one.probe: one.reason for one in report.not_probed}
    assert "variants" in reasons["views of all answers"]
    assert "no text search" in reasons["blind with tools"]
    assert {"words → tool", "print"} <= set(reasons)


def test_of_several_families_the_whole_is_probed_too():
    parts = ("leaky:Notes:leak=seed,answers=choice", "leaky:Others:leak=seed,answers=choice")
    report = audit(parts, tasks=40, view_size=224, probes=("necessity", "position"))
    assert report.parts == ("notes", "others", "all")
    found = [one for one in report.results if one.part == "all"]
    assert [(one.probe, one.limit) for one in found][:1] == [("words → necessity", 0.60)]
    assert [one.verdict for one in found if "other family" in one.probe] == [Verdict.BROKEN]


@pytest.mark.parametrize("wrong", [{"tasks": 5}, {"probes": ("wrods",)}, {"workers": 0}, {"words": 50}])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(ConfigError):
        audit("leaky:Notes", view_size=224, **{"tasks": 60, **wrong})


def test_the_own_reading_of_a_view_adds_up_its_cells():
    rng = np.random.default_rng(0)
    source, view = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8), np.zeros((2, 3, 3), np.uint8)
    by_hand = [[source[y : y + 3, x : x + 3].astype(int).sum(axis=(0, 1)) for x in (0, 3, 6)] for y in (0, 3)]
    assert np.array_equal(block_sums(source, view), by_hand)
    with pytest.raises(ValueError, match="no whole multiple"):
        block_sums(source[:5], view)


@pytest.mark.skipif(not (DOCS / "tasks.json").exists(), reason="docs/tasks.md was not written yet")
def test_the_page_is_current():
    values = json.loads((DOCS / "tasks.json").read_text())
    page = (DOCS / "tasks.md").read_text()
    again = "run: metis-gym audit mixture --docs docs/tasks.md"
    assert page == page_text(values, "tasks"), again
    assert set(values["examples"]) == set(FAMILY_IDS.values()), again
    for name, examples in values["examples"].items():
        for example in examples:
            question = (
                make_taskset(name, split="test", view_size=448, options=example["options_of_family"])
                .blueprint(example["seed"])[0]
                .question
            )
            assert question == example["question"], again
    images = [DOCS / target for target in re.findall(r"\]\((tasks/[^)]+)\)", page)]
    assert sorted(images) == sorted((DOCS / "tasks").iterdir())
    assert sum(image.stat().st_size for image in images) < 3_000_000


def test_what_is_known_before_drawing_is_what_the_task_says():
    options = "required_share=0.5,partial_share=0.3"
    undrawn = audit(f"leaky:Notes:{options}", tasks=20, view_size=224, probes=("position",)).facts["notes"]
    family = make_taskset(f"leaky:Notes:{options}", split="train", view_size=224)
    seeds = [int(np.random.default_rng([0, number]).integers(1 << 31)) for number in range(80)]
    tasks = [family.build(family.task_id(seed)) for seed in seeds]
    for kind, known in undrawn["kinds"].items():
        of_kind = [task for task in tasks if task.necessity.value == kind]
        assert known["tasks"] == len(of_kind)
        assert known["blind_accuracy"] == pytest.approx(np.mean([task.blind_accuracy for task in of_kind]), abs=1e-3)
        assert {int(calls) for calls in known["min_calls"]} == {task.min_calls for task in of_kind}
