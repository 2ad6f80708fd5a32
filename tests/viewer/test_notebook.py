"""Tasks, episodes and reports in notebooks and on the prompt."""

import numpy as np
import pytest

from metis_agents.results.report import Report
from metis_gym.metrics import Estimate
from metis_gym.records import Episode, Message, Role, Turn
from metis_gym.viewer.markup import ATTRIBUTES, ELEMENTS
from metis_gym.viewer.notebook import _STYLES, _framed, table_repr
from tests.viewer.parsing import parsed
from tests.viewer.toys import PAYLOADS, hostile, image, task


def episode_of(of, turns=()):
    made = tuple(Turn(text=action, results=results) for action, results in turns)
    return Episode(
        task=of, system="", prompt=Message(role=Role.USER, text="?", images=(of.images[0].view,)), turns=made
    )


def estimate(mean):
    return Estimate(mean, 0.1, 0.9, 10)


def report(agent="oracle", **families):
    metrics = {"accuracy": estimate(0.75), "unscored": estimate(0.0)}
    return Report(agent=agent, env_id="MetisVQA-v0", outcomes=(), metrics=metrics, families=families)


def checked(html):
    page = parsed(html)
    for element in page.elements:
        assert element.name in ELEMENTS
        assert element.attributes.get("style", "") in {"", *_STYLES.values()}
        assert {name.lower() for name in element.attributes} <= {"style", *(name.lower() for name in ATTRIBUTES)}
        assert element.attributes.get("src", "data:image/webp;base64,").startswith("data:image/webp;base64,")
    return page


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_nothing_hostile_runs_in_a_notebook(number):
    row = hostile()[number]
    for html in (row.task._repr_html_(), episode_of(row.task, row.turns)._repr_html_()):
        page = checked(html)
        assert len(page.all("img")) in (1, 2)
    checked(report(PAYLOADS[number], **{PAYLOADS[number]: {"unscored": estimate(0.0)}})._repr_html_())


def test_an_episode_shows_its_task_turns_and_results():
    of = hostile()[0].task
    told = "".join(checked(episode_of(of, hostile()[0].turns)._repr_html_()).texts)
    assert of.question in told and "turn 1" in told and "turn 2" in told


def test_a_report_is_the_table_that_it_prints():
    made = report(charts={"accuracy": estimate(0.5), "unscored": estimate(0.0)})
    told = checked(made._repr_html_())
    cells = [text for text in told.texts if text in str(made)]
    assert "0.50 [0.10, 0.90]" in cells and "0.75 [0.10, 0.90]" in cells and "accuracy" in cells


def test_boxes_stand_in_the_image_itself():
    view, source = image(0, 400, 300), image(0, 800, 600)
    framed = _framed(view, source, [((200, 100, 600, 500), (255, 0, 0))])
    assert framed.shape == (300, 400, 3)
    assert framed[50, 150].tolist() == framed[250, 300].tolist() == [255, 0, 0]
    assert framed[150, 200].tolist() == [0, 0, 0]
    assert (_framed(view, source, []) == view).all()


@pytest.mark.parametrize("box", [(-5, -5, 9999, 9999), (799, 599, 800, 600), (500, 400, 100, 50), (900, 900, 950, 950)])
def test_boxes_beyond_the_image_are_cut_off(box):
    assert _framed(image(0, 400, 300), image(0, 800, 600), [(box, (255, 0, 0))]).any()


def test_the_short_forms_are_one_line_without_arrays():
    of = task("charts/train/1", question="Which? " * 100)
    episode = episode_of(of, [("x", ())])
    for made in (of, episode, [of, episode]):
        assert "\n" not in repr(made) and "array" not in repr(made) and len(repr(made)) < 450
    assert repr(task("t")) == "Task('t', none, 'What is t?', images: 128 x 96)"
    assert repr(episode_of(task("t"))) == "Episode('t', turns: 0, calls: 0, no answer)"
    assert np.asarray(of.images[0].view).size


def test_a_table_with_notes():
    assert "".join(checked(table_repr(["a"], [["<b>"]], "below")).texts) == "a<b>below"
