"""Which figures each benchmark prints, and those that are made of more than right and wrong."""

import itertools
import re

import gymnasium as gym
import pytest
from benchmark_rows import ROWS, coded, hrbench

from metis_envs.benchmarks import BENCHMARKS
from metis_envs.benchmarks.figures import Result
from metis_envs.benchmarks.treebench import TreeBench
from metis_gym.tasksets import make_taskset

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
pa = pytest.importorskip("pyarrow")


def load(name, rows, folder, **options):
    path = folder / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    given = "".join(f",{key}={value}" for key, value in options.items())
    return make_taskset(f'benchmark:{name},path="{path}"{given}', split="test", view_size=448)


def variants(name):
    """Rows in which every label that the authors split by has at least two values."""
    row = ROWS[name]
    changes = {
        "vstar": [{"category": text} for text in ("direct_attributes", "relative_position")],
        "hrbench_4k": [
            {"category": kind, "cycle_category": cycle, "question": kind}
            for kind in ("single", "cross")
            for cycle in range(4)
        ],
        "treebench": [{"category": text} for text in ("Perception/OCR", "Perception/Material", "Reasoning/Ordering")],
        "mme_realworld": [
            {"category": "Perception/Monitoring", "l2-category": "car"},
            {"category": "Reasoning/OCR", "l2-category": "sign"},
        ],
        "seed2plus": [{"question_image_type": text} for text in ("chart", "map", "web")],
        "charxiv_rq": [{"reasoning_a_type": number} for number in (1, 2, 3, 4)],
        "charxiv_dq": [
            {f"descriptive_q{place}": template for place, template in enumerate((1, 8, 11, 10), 1)},
            {"descriptive_q1": 17},
        ],
        "mathvista": [
            {"metadata": {"task": "geometry", "source": "made up", "skills": ["algebra", "arithmetic"]}},
            {"metadata": {"task": "figures", "source": "made up", "skills": ["arithmetic"]}},
        ],
        "mathverse": [{"problem_version": text} for text in ("Text Dominant", "Text Lite", "Vision Intensive")],
        "wemath": [{"key": key} for key in ("2steps_1", "2steps_2", "2steps_multi")],
        "dynamath": [{"subject": "algebra"}, {"subject": "geometry", "knowledge_level": "elementary"}],
        "logicvista": [{"skill": [text]} for text in ("inductive", "mechanical")],
    }
    return [{**row, **change} for change in changes[name]]


FIGURES = {
    "vstar": ("overall", "direct_attributes", "relative_position"),
    "hrbench_4k": ("overall", "FSP", "FCP", "all orders right"),
    "treebench": ("overall", "Perception", "Reasoning", "OCR", "Material", "Ordering"),
    "mme_realworld": (
        *("overall", "mean over tasks", "Perception", "Reasoning"),
        *("Perception/Monitoring", "Reasoning/OCR"),
    ),
    "seed2plus": ("overall", "Chart", "Map", "Web"),
    "charxiv_rq": ("rules_only", "text-in-chart", "text-in-general", "number-in-chart", "number-in-general"),
    "charxiv_dq": ("rules_only", "extraction", "enumeration", "pattern", "counting", "compositionality"),
    "mathvista": ("overall", "geometry", "figures", "algebra", "arithmetic"),
    "mathverse": ("overall", "Text Dominant", "Text Lite", "Vision Intensive"),
    "wemath": (
        *("score strict", "score loose", "IK", "IG", "CM strict", "CM loose", "RM strict", "RM loose"),
        *("S1", "S2"),
    ),
    "dynamath": ("average", "worst case", "algebra", "geometry", "high school", "elementary"),
    "logicvista": ("overall", "inductive", "mechanical"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_the_authors_has_an_interval_and_a_range(name, tmp_path):
    bench = load(name, variants(name), tmp_path)
    right = dict.fromkeys(bench.task_ids(), 1.0)
    found = bench.score({**right, bench.task_ids()[-1]: 0.0})
    assert set(FIGURES[name]) <= set(found.figures)
    assert tuple(found.figures)[: len(found.primary)] == found.primary
    for figure in FIGURES[name]:
        estimate = found.figures[figure]
        assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1, figure
    assert all(bench.score(right).figures[figure].mean == 1 for figure in found.primary)
    # Without the last row, the range of each primary figure is from what it is with a wrong one to all right.
    part = bench.score({**right, bench.task_ids()[-1]: None})
    assert part.is_partial
    for figure in found.primary:
        assert part.bounds[figure] == (pytest.approx(found.figures[figure].mean), 1.0)


def test_every_benchmark_is_looked_at_above():
    assert {name.replace("_8k", "_4k").removesuffix("_lite") for name in BENCHMARKS.names()} == set(FIGURES)


def test_labels_that_differ_in_space_only_are_one_group(tmp_path):
    rows = [{**ROWS["dynamath"], "id": text, "subject": text} for text in ("plane geometry", "plane  \tgeometry ")]
    found = load("dynamath", rows, tmp_path).score({})
    assert [name for name in found.figures if "geometry" in name] == ["plane geometry", "plane geometry, worst case"]


def test_charxiv_s_figure_is_the_authors_own_only_where_a_judge_graded(tmp_path):
    bench = load("charxiv_rq", variants("charxiv_rq"), tmp_path)
    scores = dict.fromkeys(bench.task_ids(), 1.0)
    assert bench.score(scores).primary == ("rules_only",)
    assert bench.score(scores, is_judged=True).primary == ("overall",)


def test_mathvista_counts_a_question_for_each_skill(tmp_path):
    bench = load("mathvista", variants("mathvista"), tmp_path)
    figures = bench.score(dict(zip(bench.task_ids(), (1.0, 0.0), strict=True))).figures
    assert (figures["algebra"].mean, figures["algebra"].n) == (1.0, 1)
    assert (figures["arithmetic"].mean, figures["arithmetic"].n) == (0.5, 2)


def test_mathverse_s_mean_leaves_out_the_version_without_an_image(tmp_path):
    rows = [{**ROWS["mathverse"], "problem_version": text} for text in ("Text Lite", "Vision Only")]
    rows.append({**ROWS["mathverse"], "problem_version": "Text Only", "question": "Which?", "image": None})
    bench = load("mathverse", rows, tmp_path)
    figures = bench.score(dict(zip(bench.task_ids(), (1.0, 0.0, 1.0), strict=True))).figures
    assert figures["overall"].mean == 0.5
    assert figures["Text Only"].mean == 1.0


BOXES = [
    # One target, (10, 10, 30, 30) of 400; intersection over union by hand.
    ("I look at <box>[10,10,30,30]</box>.", 1.0),
    ("<box>[10, 10, 30, 20]</box>", 0.5),
    ("<box>[0,0,20,20]</box> or <box>[20,10,30,30]</box>", 0.5),  # 100 / 700, and 200 / 400: the best counts
    ("<box>[40,40,50,50]</box>", 0.0),
    ("<box>[30,30,10,10]</box> <box>[1,2,3]</box> <box>10,10,30,30</box> [10,10,30,30]", None),  # no box of an area
    ("<box>[nan,0,20,20]</box><box>[1e999,0,20,20]</box>", None),
]


@pytest.mark.parametrize(("said", "iou"), BOXES)
def test_treebench_measures_boxes_only_where_some_are_written(said, iou, tmp_path):
    bench = load("treebench", [{**ROWS["treebench"], "target_instances": "[[10, 10, 30, 30]]"}], tmp_path)
    (task_id,) = bench.task_ids()
    measured = bench.measure(task_id, ["First turn", said], "C")
    assert measured == ({} if iou is None else {"iou": pytest.approx(iou)})
    assert ("mIoU" in bench.score({task_id: 1.0}, measures={task_id: measured}).figures) == (iou is not None)


def test_treebench_s_mean_is_over_targets_and_then_over_questions(tmp_path):
    targets = "[[0, 0, 10, 10], [20, 20, 30, 30]]"
    row = {**ROWS["treebench"], "target_instances": targets}
    bench = load("treebench", [row, row, {**row, "target_instances": None}], tmp_path)
    ids = bench.task_ids()
    measures = {ids[0]: bench.measure(ids[0], ["<box>[0,0,10,10]</box>"], "C")}
    assert measures[ids[0]] == {"iou": 0.5}  # one target found, the other missed
    assert bench.measure(ids[2], ["<box>[0,0,10,10]</box>"], "C") == {}  # there is nothing to fit
    found = bench.score(dict.fromkeys(ids, 1.0), measures=measures).figures
    assert found["mIoU"].mean == pytest.approx(0.5 / 3)  # rows without boxes count as 0


def test_treebench_s_printed_figure_from_its_counts(tmp_path):
    # Rows of each category as its authors count them; 200 of the 405 right are printed as 49.38.
    counts = {
        **{"Attributes": 29, "Material": 13, "Physical State": 23, "Object Retrieval": 16, "OCR": 68},
        **{"Perspective Transform": 85, "Ordering": 57, "Contact and Occlusion": 41},
        **{"Spatial Containment": 29, "Comparison": 44},
    }
    results = [
        Result(unit=f"{name}{number}", labels={"category": name}, score=None)
        for name, count in counts.items()
        for number in range(count)
    ]
    filled = [result.filled(float(place < 200)) for place, result in enumerate(results)]
    figures = TreeBench.figures(TreeBench.__new__(TreeBench), filled)
    assert f"{100 * figures['overall'].mean:.2f}" == "49.38"
    assert {name: figures[name].count for name in counts} == counts


BENCHMARK_WORDS = re.compile(
    r"v\*|vstar|hr-?_?bench|treebench|real-?world|seed-?bench|seed2|charxiv|mathvista|mathverse|we-?math|dynamath|"
    r"logicvista|benchmark",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_that_a_model_is_shown_names_a_benchmark(name, tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist([ROWS[name]]), path)
    env = gym.make("metis_gym:MetisVQA-v0", taskset=f'benchmark:{name},path="{path}"', disable_env_checker=True)
    observation, _ = env.reset(seed=0)
    assert observation["text"].strip()
    assert BENCHMARK_WORDS.findall(observation["system"] + observation["text"]) == []
    env.close()


def test_mme_realworld_tells_how_often_an_answer_is_that_none_fits(tmp_path):
    bench = load("mme_realworld", variants("mme_realworld") * 2, tmp_path)
    said = ("E", "The image does not show it.", "A", None)
    measures = {
        task_id: bench.measure(task_id, [], answer) for task_id, answer in zip(bench.task_ids(), said, strict=True)
    }
    found = bench.score(dict.fromkeys(bench.task_ids(), 0.0), measures=measures).figures
    assert (found["answers that none fits"].mean, found["answers that none fits"].n) == (0.5, 4)


def test_all_orders_and_fsp_fcp_by_hand(tmp_path):
    rows = [
        hrbench(category=kind, cycle=cycle, question=f"{kind} {number}", image=coded(number))
        for kind, number, cycle in itertools.product(("single", "cross"), range(2), range(4))
    ]
    bench = load("hrbench_8k", rows, tmp_path)
    # Single: both questions right in all orders. Cross: one right in the orders 0 and 1, the other in none.
    right = [True] * 8 + [True, True, False, False] + [False] * 4
    figures = bench.score(dict(zip(bench.task_ids(), map(float, right), strict=True))).figures
    assert [round(figures[name].mean, 4) for name in ("overall", "FSP", "FCP", "all orders right")] == [
        0.625,
        1.0,
        0.25,
        0.5,
    ]


def test_a_part_of_a_benchmark_is_not_called_the_whole(tmp_path):
    bench = load("vstar", [ROWS["vstar"]] * 3, tmp_path, limit=2)
    assert "2 rows were given; the whole benchmark has 191" in bench.score({}).notes
