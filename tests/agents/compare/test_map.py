"""The map of where designs work, whole and in part."""

import io
import json
import shutil

import pytest
from made_up import result
from PIL import Image

from metis_agents.compare import Store
from metis_agents.compare.heatmap import draw_map, map_page, robust_share
from metis_agents.compare.options import MAP
from metis_agents.compare.robustness import Condition, Map, Panel, make_map, read_map
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
    ("row", "is_robust"),
    [
        ({"redundant": 0.05, "needed": 0.95, "right": 0.98}, True),
        ({"redundant": 0.051}, False),
        ({"needed": 0.949}, False),
        ({"right": 0.979}, False),
    ],
)
def test_a_cell_is_robust_within_all_three_limits(row, is_robust, plan, tmp_path):
    store = Store(tmp_path)
    keep(plan, store, **row)
    cells = read_map(plan, store)
    assert {cell.robust for cell in cells.values()} == {is_robust}
    assert robust_share(plan, cells, "HDPO") == (6 * is_robust, 6)


def test_cells_say_how_many_seeds_they_have(plan, tmp_path):
    store = Store(tmp_path)
    keep(plan, store, seeds=(0,), redundant=0.0)
    keep(plan, store, seeds=(1,), redundant=0.08)
    for path in tmp_path.glob("runs/accuracy-seed1-*"):
        path.unlink()
    cell = read_map(plan, store)["HDPO", 1.0, Condition(0.3, 2)]
    assert (cell.seeds, cell.robust_seeds, cell.redundant) == (1, 1, 0.0), "a cell needs its accuracy-only, too"
    keep(plan, store, seeds=(1,), redundant=0.08)
    cell = read_map(plan, store)["HDPO", 1.0, Condition(0.3, 2)]
    assert (cell.seeds, cell.robust_seeds, cell.robust) == (2, 1, True)
    assert cell.redundant == pytest.approx(0.04)


def test_an_empty_map_has_a_page_and_a_image(plan, tmp_path):
    cells = read_map(plan, Store(tmp_path))
    page = map_page(plan, cells, "map.png")
    assert "| HDPO | 0 of 0 | – | 0 |" in page
    assert page.count("not run") == 6
    with Image.open(io.BytesIO(draw_map(plan, cells))) as image:
        assert image.height > 900


def test_a_page_names_settings_cells_and_how_to_make_it(plan, tmp_path):
    keep(plan, Store(tmp_path), redundant=0.012, needed=0.991)
    page = map_page(plan, read_map(plan, Store(tmp_path)), "map.png", "Made by hand.")
    assert "3 batches of 2 tasks × 4 episodes and then plays 8 test episodes" in page
    assert "Made by hand." in page
    assert "| HDPO | 0.15 | 30 % | 2 | 1.2 | 99.1 | 100.0 | 0.0 | 1 of 1 | yes |" in page
    assert "| HDPO | 6 of 6 | 100 % | 1 |" in page


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
    assert "--seeds 2 --batches 100" in table.read_text()
    assert "At abc." in table.read_text()
    assert table.with_suffix(".png").exists()
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
