"""What stands on the page: cells, filters, runs side by side, samples, what designs would have paid."""

import dataclasses
import json
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

from metis_gym import rewards
from metis_gym.cli import main
from metis_gym.errors import RecordingError
from metis_gym.recording import Run, RunWriter
from metis_gym.records import Necessity
from metis_gym.registries import BUILT_IN
from metis_gym.rewards.catalogue import DESIGNS
from metis_gym.viewer import page_html, read_episodes
from metis_gym.viewer.page import sampled
from metis_gym.viewer.rendering import DESIGNS as SHOWN
from metis_gym.viewer.rendering import paid_html
from tests.viewer.parsing import parsed
from tests.viewer.toys import four_cells, outcome, played, record, task


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return record(tmp_path_factory.mktemp("cells") / "run", four_cells())


def page_of(**runs):
    return parsed(page_html(runs))


def rows_of(page):
    return [element for element in page.all("li") if "data-text" in element.attributes]


def texts_after(html, marker):
    """The text of the elements from a marker on."""
    return "".join(parsed(html[html.rindex("<", 0, html.index(marker) + 1) :]).texts)


def test_the_cells_count_episodes_and_right_answers(folder):
    html = page_html({"run": list(read_episodes(folder))})
    counts = {}
    for need in ("required", "none"):
        for called in ("called", "not"):
            told = texts_after(html, f'data-cell="{need}-{called}"')
            counts[need, called] = told[:40]
    assert counts["required", "called"].startswith("4needed and used75 % right")
    assert counts["none", "called"].startswith("3redundant100 % right")
    assert counts["none", "not"].startswith("2rightly without100 % right")
    assert counts["required", "not"].startswith("1needed, not used0 % right")


def test_each_row_says_what_the_filters_ask(folder):
    rows = rows_of(page_of(run=list(read_episodes(folder))))
    cells = Counter(row.attributes["data-cell0"] for row in rows)
    assert cells == {"required-called": 4, "none-called": 3, "none-not": 2, "required-not": 1}
    assert Counter(row.attributes["data-family"] for row in rows) == {"signs": 8, "sums": 2}
    assert "what is missed-0?" in rows[-1].attributes["data-text"]


def test_every_row_leads_to_its_article(folder):
    page = page_of(run=list(read_episodes(folder)))
    links = [e.attributes["href"] for e in page.all("a") if "class" not in e.attributes][: len(rows_of(page))]
    assert sorted(links) == sorted(f"#{article.attributes['id']}" for article in page.all("article"))
    assert len(page.all("article")) == 10


def test_further_kinds_of_need_have_rows_of_their_own(tmp_path):
    rows = [played("a", Necessity.PARTIAL, calls=1), played("b", Necessity.UNKNOWN)]
    page = page_of(run=list(read_episodes(record(tmp_path / "run", rows))))
    cells = {button.attributes["data-cell"] for button in page.all("button")}
    assert {"partial-called", "partial-not", "unknown-called", "unknown-not"} <= cells


def test_two_runs_are_joined_by_task(tmp_path):
    first = [played("kept", calls=1), played("lost", Necessity.REQUIRED, calls=1), played("gained", right=False)]
    second = [played("gained"), played("lost", Necessity.REQUIRED, right=False), played("kept"), played("new")]
    runs = {
        name: list(read_episodes(record(tmp_path / name, rows)))
        for name, rows in (("first", first), ("second", second))
    }
    rows = {row.attributes["data-text"].split()[0]: row.attributes for row in rows_of(page_of(**runs))}
    assert list(rows) == ["kept", "lost", "gained", "new"]
    differences = {name: row["data-difference"] for name, row in rows.items()}
    assert differences == {
        "kept": "dropped-redundant",
        "lost": "lost dropped-needed",
        "gained": "gained",
        "new": "",
    }
    assert (rows["kept"]["data-cell0"], rows["kept"]["data-cell1"]) == ("none-called", "none-not")
    assert "data-cell0" not in rows["new"]
    assert len(page_of(**runs).all("select", id="difference")) == 1


def test_a_task_that_came_up_twice_stands_there_twice(tmp_path):
    cards = list(read_episodes(record(tmp_path / "run", [played("a", right=False), played("a")])))
    assert len(rows_of(page_of(run=cards))) == 2


def test_a_sample_keeps_every_cell_and_says_so():
    names = {Necessity.REQUIRED: 60, Necessity.NONE: 38}
    cards = [_card(f"{need}-{n}", need, called=n % 2 == 0) for need, count in names.items() for n in range(count)]
    cards += [_card("rare", Necessity.NONE, called=False, right=False)]
    kept, note = sampled([(card.task_id, [card]) for card in cards], 20)
    assert 18 <= len(kept) <= 20
    assert {(c.necessity, c.has_called, c.is_right) for _, (c,) in kept} == {
        (c.necessity, c.has_called, c.is_right) for c in cards
    }
    assert f"{len(kept)} of 99 tasks" in note
    assert note in page_html({"run": cards}, max_episodes=20)
    share = sum(card.necessity is Necessity.REQUIRED for _, (card,) in kept) / len(kept)
    assert share == pytest.approx(60 / 99, abs=0.1)
    assert sampled([(card.task_id, [card]) for card in cards], 99)[1] == ""


def test_a_sample_never_holds_more_than_asked():
    cards = [_card(f"{n}", list(Necessity)[n % 4], called=n % 3 == 0, right=n % 2 == 0) for n in range(48)]
    for most in (1, 2, 7, 47):
        assert 1 <= len(sampled([(card.task_id, [card]) for card in cards], most)[0]) <= most


def _card(name, need, *, called, right=True):
    from metis_gym.viewer import EpisodeCard

    return EpisodeCard(
        run="run",
        number=0,
        task_id=name,
        prompt="",
        views=(),
        turns=(),
        outcome=outcome(task(name, need), right, int(called)),
    )


# -- what designs would have paid -----------------------------------------------------------------------------------


def test_every_built_in_design_is_shown():
    built_in = {entry.name for entry in DESIGNS.entries() if entry.source == BUILT_IN}
    assert {spec.partition(":")[0] for spec in SHOWN} == built_in


@pytest.mark.parametrize("spec", SHOWN)
def test_what_a_design_would_have_paid(spec):
    for right, calls in ((True, 0), (True, 2), (False, 1)):
        one = outcome(task("t"), right, calls, tool_benefit=0.2)
        said = texts_after(paid_html(one), f"<td>{spec}</td>")
        paid = rewards.checked_reward(rewards.from_spec(spec), one)
        assert said.startswith(f"{spec}{paid:.3f}"), said[:60]


def test_what_cannot_be_paid_is_said():
    assert texts_after(paid_html(outcome(task("t"))), "<td>at_grpo</td>").startswith("at_grpo–needs what")


# -- reading --------------------------------------------------------------------------------------------------------


def test_a_run_of_several_workers_is_one_run(tmp_path):
    for worker in range(3):
        record(tmp_path / "run" / f"{worker:03}", [played(f"{worker}-{n}") for n in range(2)])
    cards = list(read_episodes(tmp_path / "run"))
    assert [card.task_id for card in cards] == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
    assert [card.number for card in cards] == list(range(6))
    assert {card.run for card in cards} == {"run"}


def test_what_is_read_is_what_was_played(folder):
    first = next(iter(read_episodes(folder)))
    assert (first.task_id, first.prompt, first.is_right, first.has_called) == (
        "used-0",
        "the prompt <image>",
        False,
        True,
    )
    assert first.task.gold.value == "A" and first.task.detail.shape == (32, 30, 3)
    assert [len(turn.results) for turn in first.turns] == [1, 0]
    assert first.components == {"reward": 0.0}


def test_a_run_without_recordings_is_named(tmp_path, capsys):
    assert main(["view", str(tmp_path)]) == 2
    assert "holds no recording" in capsys.readouterr().err
    with pytest.raises(RecordingError):
        list(read_episodes(tmp_path / "nowhere"))


DAMAGES = {
    "events": lambda run: (run / "events.jsonl").write_text("{\n" + (run / "events.jsonl").read_text()),
    "tasks": lambda run: (run / "tasks.jsonl").write_text('{"task_id": 3}\n'),
    "header": lambda run: (run / "run.json").write_text("[]"),
    "images": lambda run: [path.write_bytes(b"no image") for path in (run / "images").iterdir()],
    "no events": lambda run: (run / "events.jsonl").unlink(),
    "a number for text": lambda run: _change(run, lambda event: event["returned"]["info"].update(task_id=3)),
    "no observation": lambda run: _change(run, lambda event: event["returned"].pop("observation")),
    "another status": lambda run: _change(run, lambda event: [r.update(status="x") for r in event["results"]]),
}


def _change(run, change):
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    for event in events:
        change(event)
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_recording_ends_in_one_line(name, tmp_path, capsys):
    run = record(tmp_path / "run", [played("a", calls=1)])
    DAMAGES[name](run)
    assert main(["view", str(run), "--out", str(tmp_path / "page.html")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("metis-gym view: ") and said.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


FOREIGN_INFOS = [
    {"necessity": "sometimes"},
    {"tool_calls": "many"},
    {"plans": "[[1]]"},
    {"plans": "{"},
    {"plans": "[[0, 1e999, 0]]"},
    {"answer_score": 7.0},
    {"format_score": -3.0},
    {"tool_calls": -1.0},
    {"tool_calls": 1e300},
    {"tool_calls": float("inf")},
    {"tool_cost": float("nan")},
    {"answer_score": float("nan")},
    {"reward_components/reward": float("inf")},
    {"tokens": -5.0},
]


@pytest.mark.parametrize("values", FOREIGN_INFOS, ids=str)
def test_strange_values_of_a_foreign_recording_break_no_page(values, tmp_path, capsys):
    run = record(tmp_path / "run", [played("a", calls=1)])
    _change(run, lambda event: event["returned"]["info"].update(values))
    code = main(["view", str(run), "--out", str(tmp_path / "page.html")])
    assert code == 0 or capsys.readouterr().err.count("\n") == 1


FOREIGN_CARDS = [
    {"detail": {"$array": [[[1, 2, 3, 4, 5, 6, 7]]], "dtype": "uint8"}},
    {"detail": {"$array": [[[]]], "dtype": "uint8"}},
    {"detail": {"$array": [[[1]]], "dtype": "uint8"}},
    {"sizes": {"$tuple": []}},
    {"sizes": {"$tuple": [{"$tuple": [0, 0]}]}},
    {"sizes": {"$tuple": [{"$tuple": [-5, 10**30]}]}},
    {"region": {"$tuple": [10**30, -(10**30), -5, 7]}},
    {"options": {"$tuple": ["x"] * 100}},
    {"blind_accuracy": 1e308},
    {"min_calls": -(10**40)},
    {"necessity": "never"},
    {"question": 5},
]


@pytest.mark.parametrize("values", FOREIGN_CARDS, ids=str)
def test_strange_cards_of_a_foreign_recording_break_no_page(values, tmp_path, capsys):
    run = record(tmp_path / "run", [played("a", calls=1)])
    card = json.loads((run / "tasks.jsonl").read_text())
    (run / "tasks.jsonl").write_text(json.dumps({**card, **values}) + "\n")
    code = main(["view", str(run), "--out", str(tmp_path / "page.html")])
    assert code == 0 or capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("seen", [[[[1, 2, 3, 4]]], [[[]]], [1], 5, "x", None])
def test_strange_images_of_the_numeric_view_are_left_out(seen, tmp_path):
    run = record(tmp_path / "run", [played("a")])
    array = {"$array": seen, "dtype": "uint8"} if isinstance(seen, list) else seen
    _change(run, lambda event: event["returned"].update(observation={"image": array, "text": "?"}))
    (card,) = read_episodes(run)
    assert card.views == ()
    page_html({"run": [card]})


def test_a_recording_of_a_former_version_is_shown(tmp_path):
    run = record(tmp_path / "run", [played("a", Necessity.REQUIRED, calls=1)])
    (run / "tasks.jsonl").unlink()
    former = ("plans", "min_calls_known", "tool_accuracy_known", "blind_accuracy_known", "true_answer_score_known")
    _change(run, lambda event: [event["returned"]["info"].pop(name) for name in former])
    (card,) = read_episodes(run)
    assert card.task is None and card.is_right and card.has_called and card.necessity is Necessity.REQUIRED
    assert "the prompt" in page_html({"run": [card]})


def test_a_run_of_the_numeric_view_is_shown(tmp_path):
    run = record(tmp_path / "run", [played("a", calls=1)])
    shown = np.full((64, 64, 3), 7, np.uint8)
    words = np.frombuffer("Lösung?".encode().ljust(32, b"\0"), np.uint8)
    writer = RunWriter(tmp_path / "numeric", gym.spec("MetisVQA-Discrete-v0"))
    for event in Run(run).events():
        seen = {"image": shown, "text": words, "turns_left": np.array([3], np.uint8)}
        given = event.given if event.kind == "reset" else {"action": 5}
        writer.write(dataclasses.replace(event, given=given, returned={**event.returned, "observation": seen}))
    writer.close()
    (card,) = read_episodes(tmp_path / "numeric")
    assert (card.prompt, len(card.views), card.views[0].shape) == ("Lösung?", 1, (64, 64, 3))
    assert [turn.action for turn in card.turns] == ["action 5", "action 5"]
    assert "as the model saw it, 64 × 64" in page_html({"run": [card]})


# -- the command ----------------------------------------------------------------------------------------------------


def test_the_command_writes_one_page(folder, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["view", str(folder), str(folder), "--out", str(out), "--episodes", "4"]) == 0
    assert "20 episodes" in capsys.readouterr().out
    assert "4 of 10 tasks" in out.read_text()
    assert len(parsed(out.read_text()).all("article")) == 4


def test_a_page_holds_at_least_one_task(folder, capsys):
    assert main(["view", str(folder), "--episodes", "0"]) == 2
    assert "--episodes must be at least 1" in capsys.readouterr().err


def test_a_training_run_has_a_column_for_each_evaluation(tmp_path, capsys):
    for done in (0, 10, 20):
        record(tmp_path / "tiny" / "samples" / f"{done:06}", [played("a", right=done > 0, calls=1), played("b")])
    out = tmp_path / "page.html"
    assert main(["view", str(tmp_path / "tiny"), "--out", str(out)]) == 0
    page = parsed(out.read_text())
    assert len(page.all("article")) == 2
    assert [text for text in page.texts if text in ("000000", "000010", "000020")][:3] == ["000000", "000010", "000020"]
    assert {row.attributes["data-cell2"] for row in rows_of(page)} == {"none-called", "none-not"}
