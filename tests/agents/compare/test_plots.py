"""Plots: readable, the same bytes for the same results, one colour for each design."""

import io
from itertools import combinations

import pytest
from made_up import result
from PIL import Image

from metis_agents.compare import Comparison, plots, write_report
from metis_agents.compare.plots import draw_cost, draw_final, draw_training
from metis_agents.compare.style import colours, family_label, label
from metis_agents.compare.summary import draw_summary
from metis_gym.errors import ConfigError

DESIGNS = ("accuracy", "coupled:alpha=0.05", "coupled:alpha=1,gated=false", "hdpo")
MANY = (*DESIGNS, *(f"hdpo:w_tool={weight}" for weight in (0.01, 0.02, 0.05, 0.3, 0.5)))


def comparison(designs=DESIGNS, batches=9):
    return Comparison(
        tuple(result(design, seed, redundant=0.2 * seed, batches=batches) for design in designs for seed in range(3))
    )


@pytest.mark.parametrize("draw", [draw_summary, draw_training, draw_final, draw_cost])
@pytest.mark.parametrize("designs", [("hdpo",), DESIGNS, MANY])
def test_plots_are_images_and_reproducible(draw, designs):
    made = comparison(designs)
    image = draw(made)
    with Image.open(io.BytesIO(image)) as opened:
        assert opened.width >= 900
        assert len(opened.convert("RGB").getcolors(1 << 20)) > 20
    assert draw(made) == image


def test_a_run_of_one_batch_can_be_drawn():
    assert draw_summary(comparison(batches=1))
    assert draw_training(comparison(batches=1))


def test_no_words_touch_in_the_summary():
    """Boxes of all texts, as matplotlib lays them out, do not overlap each other nor leave the image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from metis_agents.compare import summary

    drawn = []
    original = summary.image
    summary.image = lambda figure, form: (drawn.append(figure), original(figure, form))[1]
    try:
        for designs in (DESIGNS, MANY):
            draw_summary(comparison(designs))
    finally:
        summary.image = original
    for figure in drawn:
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = [text for axes in figure.axes for text in (*axes.texts, axes.xaxis.label, axes.yaxis.label)]
        texts = [text for text in (*texts, *figure.texts) if text.get_text()]
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
        for (one, first), (other, second) in combinations(boxes, 2):
            assert not first.overlaps(second), f"{one!r} touches {other!r}"
        for words, box in boxes:
            assert box.x0 >= 0, words
            assert box.x1 <= figure.bbox.x1, words
            assert box.y0 >= 0, words


def test_one_colour_for_each_design():
    chosen = colours(MANY)
    assert len(set(chosen.values())) == len(MANY)
    assert chosen["accuracy"] == colours(["accuracy"])["accuracy"]


def test_weights_are_shades_and_families_have_names():
    chosen = colours(["hdpo:w_tool=0.05", "hdpo"])
    red = [int(chosen[design][1:3], 16) for design in chosen]
    assert red[0] > red[1], "the last is the darkest"
    assert family_label(["coupled:alpha=0.1", "coupled"]) == "coupled, gated"
    assert label("otc:k=2") == "otc, k = 2"
    assert label("hdpo:cost=price") != label("hdpo")
    assert label("coupled:cost=price") != label("coupled")


def test_a_report_is_eleven_files(tmp_path):
    written = write_report(comparison(), tmp_path / "deep" / "out")
    assert {path.name for path in written} == {
        "results.csv",
        "history.csv",
        "table.md",
        *(f"{name}.{form}" for name in ("summary", "training", "final", "cost") for form in ("png", "svg")),
    }
    assert all(path.stat().st_size > 0 for path in written)


@pytest.mark.parametrize("draw", [draw_summary, draw_training, draw_final, draw_cost])
@pytest.mark.parametrize(("form", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_plots_are_vectors_too_and_reproducible(draw, form, start):
    drawn = draw(comparison(), form)
    assert drawn.startswith(start)
    assert drawn == draw(comparison(), form)


def test_an_unknown_format_is_refused():
    with pytest.raises(ConfigError, match=r"one of .*'svg'.*'gif'"):
        draw_cost(comparison(), "gif")


def test_the_final_plot_has_a_point_for_each_seed(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "image", lambda figure, form: drawn.append(figure))
    draw_final(comparison())
    for axes in drawn[0].axes:
        points = [line for line in axes.lines if line.get_marker() == "o"]
        assert len(points) == len(DESIGNS) * 3


@pytest.mark.parametrize(("rates", "bars"), [((0.1, 0.2, 0.3), 1), ((0.0, 0.01, 0.98), 0), ((0.1,), 0)])
def test_an_interval_is_drawn_only_where_there_is_one(rates, bars, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "image", lambda figure, form: drawn.append(figure))
    draw_final(Comparison(tuple(result(seed=seed, redundant=rate) for seed, rate in enumerate(rates))))
    lines = [
        line for line in drawn[0].axes[0].lines if line.get_solid_capstyle() == "butt" and len(line.get_xdata()) == 2
    ]
    assert len([line for line in lines if line.get_linestyle() == "-"]) == bars
