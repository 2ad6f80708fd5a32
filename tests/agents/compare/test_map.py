"""The map of where designs work, whole and in part."""

import csv
import io
import json
import shutil

import pytest
from made_up import result
from PIL import Image

from metis_agents.compare import Store
from metis_agents.compare.heatmap import draw_map, map_page, right_cells, write_map
from metis_agents.compare.options import MAP
from metis_agents.compare.robustness import Cell, Condition, Map, Panel, SeedRun, make_map, pooled, read_map, robust
from metis_agents.compare.seeds import Share, pooled_share
from metis_agents.settings.command_line import parse
from metis_gym.cli import main
from metis_gym.errors import ConfigError

HDPO = Panel("HDPO", "hdpo:w_tool={}")


def keep(plan, store, seeds=(0,), reference=1.0, **row):
    """Put made-up results of some seeds into a store: `row` says how HDPO went."""
    for seed in seeds:
        for run in plan.runs(seed):
            is_reference = run.design == "accuracy"
            given = {"redundant": 1.0, "right": reference} if is_reference else row
            store.write_json(f"runs/{run.key}.json", result(run.design, seed, **given).to_json())


@pytest.fixture
def plan(small):
    return Map(panels=(HDPO,), weights=(0.15, 1.0), noises=(0.0, 0.3), choices=(4, 2), seeds=(0, 1), settings=small)


def test_conditions_of_both_grids_are_run_once(plan):
    assert plan.conditions == (Condition(0.0, 4), Condition(0.3, 4), Condition(0.3, 2))
    runs = plan.runs(0)
    assert len(runs) == len({run.key for run in runs}) == 3 * 3  # conditions × (accuracy and two weights)
    assert {run.design for run in runs} == {"accuracy", "hdpo", "hdpo:w_tool=1"}
    assert runs[0].settings.env["grader_noise"] == 0.0


def test_conditions_of_as_many_options_share_a_cold_start(plan):
    assert len({run.start.key for run in plan.runs(0)}) == 2


@pytest.mark.parametrize(
    ("row", "is_right"),
    [
        ({"redundant": 0.05, "needed": 0.95, "right": 0.98}, True),
        ({"redundant": 0.051}, False),
        ({"needed": 0.949}, False),
        ({"right": 0.979}, False),
    ],
)
def test_a_run_is_right_within_all_three_limits(row, is_right, plan, tmp_path):
    store = Store(tmp_path)
    keep(plan, store, **row)
    cells = read_map(plan, store)
    assert {(cell.share.right, cell.share.n) for cell in cells.values()} == {(int(is_right), 1)}
    assert right_cells(plan, cells, "HDPO") == (6 * is_right, 6)


def test_cells_say_how_many_seeds_they_have(plan, tmp_path):
    store = Store(tmp_path)
    keep(plan, store, seeds=(0,), redundant=0.0)
    keep(plan, store, seeds=(1,), redundant=0.08)
    for path in tmp_path.glob("runs/accuracy-seed1-*"):
        path.unlink()
    cell = read_map(plan, store)["HDPO", 1.0, Condition(0.3, 2)]
    assert (cell.seeds, cell.share.right, cell.redundant) == (1, 1, 0.0), "a cell needs its accuracy-only, too"
    keep(plan, store, seeds=(1,), redundant=0.08)
    cell = read_map(plan, store)["HDPO", 1.0, Condition(0.3, 2)]
    assert (cell.seeds, cell.share.right) == (2, 1), "a mean within the limits makes no seed right"
    assert cell.redundant == pytest.approx(0.04)


def share(right, n, seeds=None):
    """A share with its interval, from seeds with one run each unless told."""
    return pooled_share(seeds or [(1, 1)] * right + [(0, 1)] * (n - right))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([share(1, 1)], [False]),
        ([share(5, 5)], [False]),  # the lower bound is .478
        ([share(99, 100)], [False]),
        ([share(121, 121)], [False]),  # .025^(1/121) = .9700 - 1e-5
        ([share(122, 122)], [True]),
        ([share(122, 122)] * 3, [False] * 3),  # .97^122 = .0243, and three are tested
        ([share(200, 200)] * 3, [True] * 3),  # .97^200 = .0023
        ([share(200, 200), Share(0, 0, float("nan"), float("nan"))], [True, False]),  # not run: not tested
    ],
)
def test_robust_is_a_bound_of_the_share_of_seeds(shares, expected):
    assert list(robust(dict(enumerate(shares))).values()) == expected


def test_runs_of_a_seed_that_fail_together_count_for_less():
    scattered = share(0, 0, [(5, 5)] * 35 + [(4, 5)] * 5)
    together = share(0, 0, [(5, 5)] * 39 + [(0, 5)])
    assert scattered.right == together.right == 195
    assert together.low < scattered.low - 0.05


def test_weights_are_pooled_over_conditions(plan):
    def cell(*right):
        runs = [SeedRun(seed=s, redundant=0, needed=1, accuracy=1, lost=0, right=r) for s, r in enumerate(right)]
        return Cell(runs=tuple(runs))

    cells = {("HDPO", weight, at): cell(True, weight < 1) for weight in plan.weights for at in plan.conditions}
    found = pooled(plan, cells)
    assert [(found["HDPO", weight].right, found["HDPO", weight].n) for weight in (0.15, 1.0)] == [(6, 6), (3, 6)]


def test_an_empty_map_has_a_page_and_a_image(plan, tmp_path):
    cells = read_map(plan, Store(tmp_path))
    page = map_page(plan, cells, "map.png")
    assert "| HDPO | 0.15 | 0 of 0 | – | no |" in page
    assert page.count("not run") == 6
    with Image.open(io.BytesIO(draw_map(plan, cells))) as image:
        assert image.height > 900


def test_a_page_names_settings_cells_and_how_to_make_it(plan, tmp_path):
    keep(plan, Store(tmp_path), redundant=0.012, needed=0.991)
    page = map_page(plan, read_map(plan, Store(tmp_path)), "map.png", "Made by hand.")
    assert "3 batches of 2 tasks × 4 episodes and then plays 8 test episodes" in page
    assert "Made by hand." in page
    assert "| HDPO | 0.15 | 30 % | 2 | 1.2 | 99.1 | 100.0 | 0.0 | 1 of 1 | 3–100 % | no |" in page
    assert "| HDPO | 0.15 | 3 of 3 | 29–100 % | no |" in page
    assert "yes" not in page, "one seed shows nothing to be robust"


def test_every_run_of_a_map_is_a_line_of_its_csv(plan, tmp_path):
    keep(plan, Store(tmp_path), seeds=(0, 1), redundant=0.012, needed=0.94)
    written = write_map(plan, read_map(plan, Store(tmp_path)), tmp_path / "map.md")
    rows = list(csv.DictReader(io.StringIO(written[-1].read_text())))
    assert len(rows) == 2 * 6  # seeds × cells
    assert {row["seed"] for row in rows} == {"0", "1"}
    assert {(row["redundant"], row["needed"], row["right"]) for row in rows} == {("0.012", "0.94", "0")}


@pytest.mark.parametrize(("form", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_maps_are_drawn_in_every_format_and_alike(form, start, plan, tmp_path):
    keep(plan, Store(tmp_path), redundant=0.012)
    cells = read_map(plan, Store(tmp_path))
    drawn = draw_map(plan, cells, form)
    assert drawn.startswith(start)
    assert drawn == draw_map(plan, cells, form)


def test_a_map_is_made_from_the_runs_that_are_missing(small, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    plan = Map(panels=(HDPO,), weights=(0.15,), noises=(0.3,), choices=(4,), seeds=(0,), settings=small)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*")}
    make_map(plan, Store(tmp_path), progress=False)
    assert before == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*")}
    assert read_map(plan, Store(tmp_path))["HDPO", 0.15, Condition(0.3, 4)].seeds == 1


def test_the_command_reports_on_what_is_there(tmp_path, capsys):
    table = tmp_path / "docs" / "robustness.md"
    arguments = ["--report", "--seeds", "2", "--out", str(tmp_path / "map"), "--table", str(table), "--note", "At abc."]
    assert main(["map", *arguments]) == 0
    assert "--seeds 2 --batches 200" in table.read_text()
    assert "At abc." in table.read_text()
    assert all(table.with_suffix(suffix).exists() for suffix in (".png", ".svg", ".csv"))
    assert "written:" in capsys.readouterr().out


def test_options_become_a_map():
    words = ["--panels", "Mine=hdpo:w_tool={}", "--weights", "0.1", "1", "--seeds", "2", "--env.crop-grid", "2"]
    plan = parse(MAP, words).config
    assert plan.panels == (Panel("Mine", "hdpo:w_tool={}"),)
    assert plan.weights == (0.1, 1.0)
    assert (plan.seeds, plan.settings.env, plan.settings.eval_tasks) == ((0, 1), {"crop_grid": 2}, 128)


@pytest.mark.parametrize("name", ["grader-noise", "choices"])
def test_what_a_map_varies_is_no_argument_of_its_environment(name):
    with pytest.raises(ConfigError, match=f"--env.{name}: a map varies"):
        parse(MAP, [f"--env.{name}", "0.1"])


@pytest.mark.parametrize("name", ["panels", "weights", "noises", "choices", "seeds"])
def test_an_empty_axis_raises(name):
    with pytest.raises(ConfigError, match=f"at least one of {name}"):
        Map(**{name: ()})


def test_results_are_read_as_they_were_written(plan, tmp_path):
    keep(plan, Store(tmp_path))
    path = next(tmp_path.glob("runs/*.json"))
    assert set(json.loads(path.read_text())) >= {"design", "seed", "env", "curve", "final", "without_tools", "start"}
