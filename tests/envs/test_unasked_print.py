"""Small print that is not asked for looks, in the view, as if it were; and none leaves a tail beside the others."""

import importlib

import numpy as np
import pytest

from metis_envs.families.lists import draw_lines
from metis_envs.families.names import place_name
from metis_envs.families.signs import Signs
from metis_envs.scenes.concealment import conceal_among
from metis_envs.scenes.drawing import font, text_width
from metis_envs.scenes.view import box_view
from metis_gym.records import Necessity
from metis_gym.tasksets import make_taskset

CONCEALING = ("families.charts", "families.labels", "families.lists", "families.worksheets", "scenes.notices")
FAMILIES = (
    "charts counting documents geometry plaques relations signs spotting sums tariffs timetables wordmaths".split()
)


def planned(name, necessity, answers):
    """A blueprint and its brief."""
    options = {"required_share": float(necessity is Necessity.REQUIRED), "answers": answers, "max_source": 1792}
    return make_taskset(name, split="train", view_size=448, options=options).blueprint(5)


@pytest.fixture
def concealed(monkeypatch):
    """Lists among how many texts each detail is concealed; `turn` shows others of them, where it is set."""
    counts, turn = [], []

    def another(scene, parts, draw, index, others, factor):
        counts.append(len(set(others)))
        places = list(others)
        shown = places[(places.index(index) + 1) % len(places)] if turn else index
        conceal_among(scene, parts, draw, shown, others, factor)

    for module in CONCEALING:
        monkeypatch.setattr(importlib.import_module(f"metis_envs.{module}"), "conceal_among", another)
    return counts, turn


@pytest.mark.parametrize("name", FAMILIES)
def test_what_small_print_says_that_is_not_asked_for_does_not_show_in_the_view(name, concealed):
    blueprint, brief = planned(name, Necessity.NONE, "choice")
    first = blueprint.render_alone(0)
    concealed[1].append(True)
    second = blueprint.render_alone(0)
    assert not np.array_equal(first, second)
    assert np.array_equal(box_view(first, brief.canvas.factor), box_view(second, brief.canvas.factor))


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_concealed_among_as_many_texts_as_what_is_asked_for(name, concealed):
    blueprint, _ = planned(name, Necessity.NONE, "open")
    blueprint.render_alone(0)
    asked, _ = planned(name, Necessity.REQUIRED, "open")
    assert set(concealed[0]) == {len(asked.seen(0))}


def test_the_lines_of_a_list_are_about_equally_wide():
    em, face = 50, font("sans", 50)
    for seed in range(40):
        _, brief = Signs(split="test", view_size=448, answers="open").blueprint(seed)
        _, values, _ = draw_lines(brief, ("one", "two", "three"), lambda rng=brief.rng: place_name(rng, "test"))
        widths = [text_width(value, face) for value in values]
        assert max(widths) - min(widths) <= 1.2 * em  # of ten names drawn as they come, 19 in 20 lists differ by more
