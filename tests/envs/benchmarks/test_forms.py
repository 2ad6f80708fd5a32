"""Each benchmark in each form of file: it loads, names what is missing, grades its own golds right."""

import csv
import json

import numpy as np
import pytest
from benchmark_rows import ROWS, TEXT_FORMS, coded, hrbench, png, stored

from metis_envs.benchmarks import BENCHMARKS
from metis_gym.errors import ConfigError, MetisError, TaskDataError, TaskIdError
from metis_gym.grading import GRADERS
from metis_gym.tasksets import make_taskset

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
pa = pytest.importorskip("pyarrow")


def as_parquet(rows, folder, name="test-00000.parquet"):
    path = folder / name
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def as_tsv(rows, path):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


def load(name, path, **options):
    given = "".join(f",{key}={value}" for key, value in options.items())
    return make_taskset(f'benchmark:{name},path="{path}"{given}', split="test", view_size=448)


@pytest.mark.parametrize("name", BENCHMARKS.names())
def test_a_row_of_the_hub_s_schema_becomes_a_task_that_grades_its_gold_right(name, tmp_path):
    bench = load(name, as_parquet([ROWS[name]], tmp_path))
    grader = GRADERS.make("cascade")
    assert bench.task_ids()
    for task_id in bench.task_ids():
        task = bench.load(task_id)
        assert task.task_id == task_id
        assert task.question.strip()
        assert len(task.images) == 1
        assert np.array_equal(task.images[0].source, task.images[0].view)
        assert grader.grade(task.gold.value, task).score == 1.0
        assert grader.grade("zebra", task).score == 0.0
        assert name.partition("_")[0] not in task.question.lower()  # prompts name no benchmark


@pytest.mark.parametrize("name", BENCHMARKS.names())
def test_a_missing_column_is_named_with_those_that_there_are(name, tmp_path):
    needed = BENCHMARKS.get(name).needed[0]
    row = {key: value for key, value in ROWS[name].items() if key not in needed}
    with pytest.raises(TaskDataError) as told:
        load(name, as_parquet([row], tmp_path))
    assert all(repr(column) in str(told.value) for column in needed)
    assert repr(next(iter(row))) in str(told.value)


@pytest.mark.parametrize("name", TEXT_FORMS)
def test_tab_separated_values_with_images_in_base64(name, tmp_path):
    bench = load(name, as_tsv([ROWS[name]], tmp_path / "rows.tsv"))
    (task_id,) = bench.task_ids()
    assert bench.load(task_id).images[0].source.shape == (30, 40, 3)


def test_an_image_that_is_an_index_is_that_of_another_row(tmp_path):
    first = hrbench(cycle=0, index=0, image=coded(3))
    rows = [first, hrbench(cycle=1, index=1, image="0"), hrbench(cycle=2, index=2, image=coded(4))]
    bench = load("hrbench_4k", as_tsv(rows, tmp_path / "rows.tsv"))
    images = [bench.load(task_id).images[0].source for task_id in bench.task_ids()]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_texts_with_tabs_quotes_and_line_ends_stay_whole(tmp_path):
    question = 'First\tline "quoted"\nsecond line'
    rows = [hrbench(index=number, question=question, cycle=number) for number in range(3)]
    bench = load("hrbench_4k", as_tsv(rows, tmp_path / "rows.tsv"))
    assert [bench.load(task_id).question for task_id in bench.task_ids()] == [question] * 3


def test_several_images_in_a_text_list(tmp_path):
    row = hrbench(image=str([coded(1), coded(2)]))
    bench = load("hrbench_4k", as_tsv([row], tmp_path / "rows.tsv"))
    assert len(bench.load(bench.task_ids()[0]).images) == 2


def test_a_file_that_ends_in_the_middle_is_one_clear_error(tmp_path):
    path = as_tsv([hrbench(index=0), hrbench(index=1)], tmp_path / "rows.tsv")
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(TaskDataError, match=r"row 1 of rows\.tsv has 6 values for 10 columns: it is half-downloaded"):
        load("hrbench_4k", path)
    short = tmp_path / "short.parquet"
    short.write_bytes(as_parquet([ROWS["vstar"]], tmp_path).read_bytes()[:-40])
    with pytest.raises(TaskDataError, match="no parquet file"):
        load("vstar", short)


def test_several_parquet_files_are_one_benchmark(tmp_path):
    for number in range(3):
        as_parquet([{**ROWS["seed2plus"], "question": f"{number}?"}] * 2, tmp_path, f"test-{number:05d}.parquet")
    bench = load("seed2plus", tmp_path)
    assert [bench.load(task_id).question for task_id in bench.task_ids()] == ["0?", "0?", "1?", "1?", "2?", "2?"]


def test_a_saved_data_set(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = datasets.DatasetDict({"test": datasets.Dataset.from_list([ROWS["vstar"], ROWS["vstar"]])})
    rows.save_to_disk(str(tmp_path / "saved"))
    bench = load("vstar", tmp_path / "saved")
    assert bench.total == 2
    assert bench.load(bench.task_ids()[1]).options == ("rubber", "cotton", "wool")


def test_the_folders_of_v_star_with_the_right_option_first(tmp_path):
    for folder, count in (("direct_attributes", 12), ("relative_position", 8)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            row = {"question": "Which?", "options": ["right", "wrong", "worse", "worst"]}
            (tmp_path / folder / f"{number}.json").write_text(json.dumps(row))
            (tmp_path / folder / f"{number}.jpg").write_bytes(png(number))
    bench = load("vstar", tmp_path)
    tasks = [bench.load(task_id) for task_id in bench.task_ids()]
    assert all(task.options["ABCD".index(task.gold.value)] == "right" for task in tasks)
    assert len({task.gold.value for task in tasks}) == 4
    assert {label["category"] for label in map(bench.labels, bench.task_ids())} == {
        "direct_attributes",
        "relative_position",
    }
    again = load("vstar", tmp_path)
    assert [again.load(task_id).gold for task_id in again.task_ids()] == [task.gold for task in tasks]


def test_the_ten_variants_of_dynamath_s_repository(tmp_path):
    for number in range(1, 11):
        folder = tmp_path / "samples and result" / "10trials" / f"trial{number}"
        folder.mkdir(parents=True)
        (folder / "image.png").write_bytes(png(number))
        row = {
            "question": "How much?",
            "answer": f"{number}.5",
            "image": "image.png",
            "answer_type": "float",
            "subject": "algebra",
            "level": "high school",
        }
        (folder / "dataset.json").write_text(json.dumps({"7": row}))
    bench = load("dynamath", tmp_path)
    assert bench.total == 10
    tasks = [bench.load(task_id) for task_id in bench.task_ids()]
    assert [task.gold.value for task in tasks] == [f"{number}.5" for number in range(1, 11)]
    assert not np.array_equal(tasks[0].images[0].source, tasks[1].images[0].source)


def test_rows_that_cannot_be_graded_are_left_out_and_count_against_coverage(tmp_path):
    row = ROWS["seed2plus"]
    bench = load("seed2plus", as_parquet([row, {**row, "answer": "Q"}, row], tmp_path))
    assert len(bench.task_ids()) == 2
    score = bench.score(dict.fromkeys(bench.task_ids(), 1.0))
    assert (score.scored, score.total, score.is_partial) == (2, 3, True)
    assert "1 of 3 rows cannot be graded" in score.notes[-1]


@pytest.mark.parametrize("blank", ["", "  \t", "\u202e\x00", None, float("nan")])
def test_a_row_without_a_question_or_a_right_answer_is_left_out(blank, tmp_path):
    row = ROWS["charxiv_rq"]
    rows = [row, {**row, "reasoning_a": blank}, {**row, "reasoning_q": blank}]
    rows = [{key: value for key, value in one.items() if key != "image"} for one in rows]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    bench = load("charxiv_rq", tmp_path / "rows.json")
    assert list(bench.items) == [0]
    assert list(bench.left_out) == [1, 2]


def test_large_images_are_shown_shrunk_and_kept_whole_for_tools(tmp_path):
    image = {"bytes": png(0, (400, 300)), "path": None}
    bench = load("vstar", as_parquet([{**ROWS["vstar"], "image": image}], tmp_path), view_pixels=30_000)
    shown = bench.load(bench.task_ids()[0]).images[0]
    assert shown.source.shape == (300, 400, 3)
    assert shown.view.shape == (150, 200, 3)
    other = load("vstar", tmp_path / "test-00000.parquet", view_pixels=7_500)
    assert other.load(other.task_ids()[0]).images[0].view.shape == (75, 100, 3)


def test_a_row_group_that_would_take_too_much_memory_is_not_decoded(tmp_path, monkeypatch):
    path = as_parquet([ROWS["vstar"]], tmp_path)
    monkeypatch.setattr("metis_gym.filesets.parquet.MAX_GROUP_BYTES", 10)
    with pytest.raises(TaskDataError, match="at most 10 are read"):
        load("vstar", path)


def test_the_environments_of_a_process_share_a_benchmark_until_its_file_changes(tmp_path):
    path = as_parquet([ROWS["seed2plus"]], tmp_path)
    first = load("seed2plus", path)
    assert load("seed2plus", path) is first
    assert load("seed2plus", path, limit=1) is not first
    as_parquet([ROWS["seed2plus"]] * 2, tmp_path)
    assert load("seed2plus", path).total == 2


def test_a_broken_image_is_named(tmp_path):
    bench = load("vstar", as_parquet([{**ROWS["vstar"], "image": {"bytes": b"no image", "path": None}}], tmp_path))
    with pytest.raises(TaskDataError, match=r"row 0 of test-00000\.parquet"):
        bench.load(bench.task_ids()[0])


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("benchmark", "expected benchmark:NAME"),
        ("benchmark:nothing", "nothing"),
        ("benchmark:vstar,limit=0", "limit"),
        ("benchmark:vstar,wording=theirs", "wording"),
        ("benchmark:vstar,path=nowhere.parquet", "nowhere.parquet"),
        ("benchmark:vstar,answers=choice", "answers"),
    ],
)
def test_wrong_specs_say_what_is_wrong(spec, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MetisError, match=told):
        make_taskset(spec, split="test", view_size=448)


def test_ids_name_the_state_of_the_files(tmp_path):
    bench = load("seed2plus", as_parquet([ROWS["seed2plus"]], tmp_path))
    (task_id,) = bench.task_ids()
    assert bench.load("seed2plus/0").task_id == task_id
    for wrong in ("seed2plus/0@00000000", "seed2plus/5", "vstar/0", "seed2plus"):
        with pytest.raises(TaskIdError):
            bench.build(wrong)


def test_a_limit_plays_the_first_rows(tmp_path):
    rows = [{**ROWS["seed2plus"], "question": f"{number}?"} for number in range(5)]
    bench = load("seed2plus", as_parquet(rows, tmp_path), limit=2)
    assert (bench.total, len(bench.task_ids())) == (2, 2)


def test_official_wording_is_read_and_never_run(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "data").mkdir()
    table = {number: f"official {number}?" for number in range(1, 20)}
    (tmp_path / "src" / "constants.py").write_text(f"raise SystemExit('run')\nQUESTIONS = {table!r}\n")
    row = {"figure_id": 0, "num_subplots": 1, "subplot_loc": [0, 0], "qids": [1, 2, 3, 4], "answers": list("abcd")}
    (tmp_path / "data" / "descriptive_val.json").write_text(json.dumps({"0": row}))
    (tmp_path / "data" / "images").mkdir()
    (tmp_path / "data" / "images" / "0.jpg").write_bytes(png())
    bench = load("charxiv_dq", tmp_path, wording="official")
    assert "official 3?" in bench.load(bench.task_ids()[2]).question
    with pytest.raises(ConfigError, match=r"constants\.py"):
        load("charxiv_dq", tmp_path / "data" / "descriptive_val.json", wording="official")


def test_a_path_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    folder = tmp_path / "data"
    folder.mkdir()
    row = {**ROWS["logicvista"], "image": "../secret.png"}
    (folder / "rows.jsonl").write_text(json.dumps(row))
    bench = load("logicvista", folder / "rows.jsonl")
    with pytest.raises(TaskDataError, match="secret"):
        bench.load(bench.task_ids()[0])


def test_images_of_a_row_are_the_caller_s_not_shared(tmp_path):
    rows = [ROWS["seed2plus"], {**ROWS["seed2plus"], "image": stored(5)}]
    bench = load("seed2plus", as_parquet(rows, tmp_path))
    first, second = (bench.load(task_id).images[0].source for task_id in bench.task_ids())
    assert not np.array_equal(first, second)
