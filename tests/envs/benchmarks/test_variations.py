"""The same rows with other types, orders, forms of images and folders are the same questions."""

import base64
import contextlib
import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from benchmark_rows import ROWS, coded, hrbench, png, stored

from metis_envs.benchmarks import BENCHMARKS
from metis_envs.benchmarks.decoding import decoded
from metis_envs.benchmarks.rows import Row
from metis_gym.errors import TaskDataError
from metis_gym.grading import GRADERS
from metis_gym.records import Task
from metis_gym.tasksets import make_taskset

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
pa = pytest.importorskip("pyarrow")

NAMES = tuple(name for name in BENCHMARKS.names() if not name.endswith(("_8k", "_lite")))


def load(name, path, **options):
    given = "".join(f",{key}={value}" for key, value in options.items())
    return make_taskset(f'benchmark:{name},path="{path}"{given}', split="test", view_size=448)


def written(table, folder, name="rows.parquet", **options):
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, folder / name, **options)
    return folder / name


def seen(bench):
    """All that is asked and shown, and how it is graded and counted."""
    tasks = [bench.load(task_id) for task_id in bench.task_ids()]
    images = [[image.source.tobytes() for image in task.images] for task in tasks]
    return list(bench.items.values()), bench.left_out.keys(), images


def retyped(table, change):
    """Columns with other types."""
    fields = [pa.field(field.name, change(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


def other_type(kind):
    swaps = {pa.string(): pa.large_string(), pa.int64(): pa.int32(), pa.binary(): pa.large_binary()}
    if pa.types.is_struct(kind):
        return pa.struct([(kind.field(i).name, other_type(kind.field(i).type)) for i in range(kind.num_fields)])
    if pa.types.is_list(kind):
        return pa.large_list(other_type(kind.value_type))
    return swaps.get(kind, kind)


def turned(rows):
    return [dict(reversed(list(row.items()))) for row in rows]


def as_bytes(rows):
    return [{k: v["bytes"] if isinstance(v, dict) and "bytes" in v else v for k, v in row.items()} for row in rows]


def in_lists(rows):
    return [{k: [v] if isinstance(v, dict) and "bytes" in v else v for k, v in row.items()} for row in rows]


def in_base64(rows):
    def text(value):
        is_image = isinstance(value, dict) and "bytes" in value
        return base64.b64encode(value["bytes"]).decode() if is_image else value

    return [{key: text(value) for key, value in row.items()} for row in rows]


def numbers_as_floats(rows):
    return [{k: float(v) if type(v) is int else v for k, v in row.items()} for row in rows]


def lists_as_json(rows):
    return [{k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]


def lists_as_python(rows):
    return [{k: repr(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]


def with_more(rows):
    return [{"nothing": None, **row, "anything": [{"a": 1}], "NaN": math.nan} for row in rows]


VARIATIONS = {
    "order": turned,
    "bytes": as_bytes,
    "lists of images": in_lists,
    "base64": in_base64,
    "floats": numbers_as_floats,
    "lists as JSON": lists_as_json,
    "lists as Python": lists_as_python,
    "more columns": with_more,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_in_other_types_are_the_same_questions(name, tmp_path):
    rows = [ROWS[name], {**ROWS[name]}]
    table = pa.Table.from_pylist(rows)
    expected = seen(load(name, written(table, tmp_path / "plain")))
    assert expected[0]
    made = {what: pa.Table.from_pylist(change(rows)) for what, change in VARIATIONS.items()}
    made |= {"other types": retyped(table, other_type), "dictionaries": table.unify_dictionaries()}
    for what, other in made.items():
        path = written(other, tmp_path / what, row_group_size=1, use_dictionary=what == "dictionaries")
        assert seen(load(name, path)) == expected, what


@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_as_json_and_tab_separated_are_the_same_questions(name, tmp_path):
    rows = in_base64([ROWS[name]] * 2)
    expected = seen(load(name, written(pa.Table.from_pylist(rows), tmp_path)))
    (tmp_path / "list.json").write_text(json.dumps(rows))
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in rows))
    (tmp_path / "inside.json").write_text(json.dumps({"version": 1, "questions": rows}))
    with (tmp_path / "rows.tsv").open("w", newline="", encoding="utf-8-sig") as stream:
        given = [{key: value for key, value in row.items() if value is not None} for row in rows]
        texts = [{key: v if isinstance(v, str) else json.dumps(v) for key, v in row.items()} for row in given]
        writer = csv.DictWriter(stream, list(texts[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(texts)
    for file in ("list.json", "lines.jsonl", "inside.json", "rows.tsv"):
        assert seen(load(name, tmp_path / file)) == expected, file


def test_rows_hold_arrays_numbers_and_nothing():
    arrays = {"a": np.array(["x", "y"]), "n": np.int64(4)}
    row = Row({**arrays, "x": math.nan, "f": 4.0, "t": '["p", null]', "e": ""}, "row")
    assert row.texts("a") == ("x", "y")
    assert (row.whole("n"), row.whole("f"), row.label("f"), row.label("n")) == (4, 4, "4", "4")
    assert "x" not in row
    assert row.optional("e") == row.optional("x") == ""
    assert row.literal("t") == ["p", None]
    with pytest.raises(TaskDataError, match="'t' must be a list of texts"):
        row.texts("t")
    with pytest.raises(TaskDataError, match="row has no 'x'"):
        row.text("x")


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (8, 8), (40, 30)])
@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
def test_an_image_in_base64_of_any_length_is_one(size, head, tmp_path):
    text = head + base64.b64encode(png(1, size)).decode()
    assert decoded(text, tmp_path, "row").shape == (size[1], size[0], 3)
    (tmp_path / "9j").mkdir()
    (tmp_path / "9j" / "abcd").write_bytes(png(1, size))  # a path that is base64, but of no image
    assert decoded("9j/abcd", tmp_path, "row").shape == (size[1], size[0], 3)


def tsv(path, rows, ending="\n"):
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator=ending)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(stream.getvalue(), newline="")
    return path


def test_images_of_other_rows_paths_and_rows_that_name_each_other(tmp_path):
    (tmp_path / "a.png").write_bytes(png(7))
    rows = [hrbench(index=0, image=coded(3)), hrbench(index=1, image="0"), hrbench(index=2, image="1")]
    rows += [hrbench(index=3, image="a.png"), hrbench(index=4, image="5"), hrbench(index=5, image="4")]
    bench = load("hrbench_4k", tsv(tmp_path / "rows.tsv", rows, "\r\n"))
    first, second, third, path = (bench.load(task_id).images[0].source for task_id in bench.task_ids()[:4])
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)
    assert not np.array_equal(first, path)
    with pytest.raises(TaskDataError, match="from each other"):
        bench.build(bench.task_ids()[4])


def test_separators_that_are_no_line_ends_stay_in_their_text(tmp_path):
    question = "one\u2028two\x0bthree\x85four"
    bench = load("hrbench_4k", tsv(tmp_path / "rows.tsv", [hrbench(question=question)] * 2))
    assert all("two" in bench.load(task_id).question for task_id in bench.task_ids())
    assert len(bench.task_ids()) == 2


def test_wherever_a_file_is_cut_off_it_is_whole_or_one_clear_error(tmp_path):
    rows = [hrbench(index=number, cycle=number, image=coded(number)) for number in range(3)]
    moved = [{**{k: v for k, v in row.items() if k != "image"}, "image": row["image"]} for row in rows]
    for order, given in (("first", rows), ("last", moved)):
        data = tsv(tmp_path / f"{order}.tsv", given).read_bytes()
        ends = {number + 1 for number, byte in enumerate(data) if byte == ord("\n")}
        for end in (*range(len(data) - 40, len(data)), *np.random.default_rng(0).integers(200, len(data), 12)):
            path = tmp_path / f"cut{end}.tsv"
            path.write_bytes(data[:end])
            told, bench = "", None
            try:
                bench = load("hrbench_4k", path)
            except TaskDataError as error:
                told = str(error)
            if bench is None:
                assert "half-downloaded" in told or "has no rows" in told
                continue
            assert end in ends or end + 1 in ends or order == "first"
            assert all(bench.build(task_id) for task_id in bench.task_ids())
            assert any("the whole benchmark has 800" in note for note in bench.score({}).notes)


def seed2plus(question):
    return pa.Table.from_pylist([{**ROWS["seed2plus"], "question": question}] * 2)


def test_of_several_sets_in_a_folder_that_of_the_split_is_read(tmp_path):
    for split in ("train", "test", "validation"):
        written(seed2plus(split), tmp_path / "data", f"{split}-00000-of-00001-0123456789abcdef.parquet")
    assert {item.question for item in load("seed2plus", tmp_path).items.values()} == {"test"}
    only = written(seed2plus("only"), tmp_path / "one", "train-00000-of-00001.parquet").parent
    assert {item.question for item in load("seed2plus", only).items.values()} == {"only"}
    written(seed2plus("more"), tmp_path / "one", "extra.parquet")
    with pytest.raises(TaskDataError, match="several sets and none called 'test': 'extra', 'train'"):
        load("seed2plus", tmp_path / "one")


def test_the_files_of_hr_bench_lie_in_one_folder(tmp_path):
    for kind in ("4k", "8k"):
        row = hrbench(question=f"{kind}?")
        written(pa.Table.from_pylist([row]), tmp_path / "parquet", f"hr_bench_{kind}.parquet")
        tsv(tmp_path / "parquet" / f"hr_bench_{kind}.tsv", [row])
        (tmp_path / "tsv").mkdir(exist_ok=True)
        tsv(tmp_path / "tsv" / f"hr_bench_{kind}.tsv", [row])
    for kind in ("4k", "8k"):
        for folder in ("parquet", "tsv"):
            (item,) = load(f"hrbench_{kind}", tmp_path / folder).items.values()
            assert item.question == f"{kind}?"


def test_mathverse_and_charxiv_find_their_split_beside_others(tmp_path):
    whole = ROWS["mathverse"]
    written(pa.Table.from_pylist([whole]), tmp_path / "m", "testmini.parquet")
    text_only = pa.Table.from_pylist([{**whole, "problem_version": "Text Only"}])
    written(text_only, tmp_path / "m", "testmini_text_only.parquet")
    assert [item.labels["version"] for item in load("mathverse", tmp_path / "m").items.values()] == ["Vision Only"]
    row = ROWS["charxiv_rq"]
    written(pa.Table.from_pylist([row]), tmp_path / "c", "val.parquet")
    written(pa.Table.from_pylist([{**row, "reasoning_a": None}]), tmp_path / "c", "test.parquet")
    assert len(load("charxiv_rq", tmp_path / "c").items) == 1


def test_a_folder_that_lacks_a_part_is_one_clear_error(tmp_path):
    for number in (0, 2):
        written(seed2plus(str(number)), tmp_path, f"test-{number:05d}-of-00003.parquet")
    with pytest.raises(TaskDataError, match="half-downloaded: of 3 parquet files, these are not there: 1"):
        load("seed2plus", tmp_path)
    pointer = tmp_path / "pointer" / "test.parquet"
    pointer.parent.mkdir()
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    for path in (pointer, pointer.parent):
        with pytest.raises(TaskDataError, match="git lfs pull"):
            load("seed2plus", path)


def test_parts_with_their_columns_in_another_order_are_one_benchmark(tmp_path):
    table = seed2plus("a")
    written(table, tmp_path, "test-00000-of-00002.parquet")
    written(table.select(list(reversed(table.column_names))), tmp_path, "test-00001-of-00002.parquet")
    assert len(load("seed2plus", tmp_path).items) == 4
    written(table.drop(["answer"]), tmp_path / "x", "test-00000-of-00002.parquet")
    written(table, tmp_path / "x", "test-00001-of-00002.parquet")
    with pytest.raises(TaskDataError, match="only one of them has 'answer'"):
        load("seed2plus", tmp_path / "x")


DYNAMATH_FOLDERS = {
    "hub": "data/sample{0}-00000-of-{0:05d}.parquet",
    "converted": "default/sample_variant{0}/0000.parquet",
    "split": "sample_variant{0}-00000-of-00001.parquet",
}


@pytest.mark.parametrize("form", DYNAMATH_FOLDERS.values(), ids=list(DYNAMATH_FOLDERS))
def test_the_ten_variants_of_dynamath_in_a_folder(form, tmp_path):
    for number in range(1, 11):
        row = {**ROWS["dynamath"], "answer_type": "float", "ground_truth": f"{number}.5", "question": "How much?"}
        path = tmp_path / form.format(number)
        written(pa.Table.from_pylist([row]), path.parent, path.name)
    bench = load("dynamath", tmp_path)
    assert [item.gold.value for item in bench.items.values()] == [f"{number}.5" for number in range(1, 11)]
    found = bench.score({task_id: float(place != 4) for place, task_id in enumerate(bench.task_ids())})
    assert (found.figures["average"].mean, found.figures["worst case"].mean) == (0.9, 0.0)
    (tmp_path / form.format(7)).unlink()
    with pytest.raises(TaskDataError, match="half-downloaded: of the ten variants it lacks 7"):
        load("dynamath", tmp_path)
    one = load("dynamath", tmp_path / form.format(2))
    assert any("as few as 1 of 10 variants" in note for note in one.score({}).notes)


def test_saved_splits_of_dynamath_and_a_saved_set_with_one_split(tmp_path):
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_list([ROWS["dynamath"]])
    splits = datasets.DatasetDict({f"sample_variant{number}": made for number in range(1, 11)})
    splits.save_to_disk(str(tmp_path / "all"))
    assert load("dynamath", tmp_path / "all").total == 10
    one = datasets.DatasetDict({"whatever": datasets.Dataset.from_list([ROWS["wemath"]] * 2)})
    one.save_to_disk(str(tmp_path / "one"))
    assert load("wemath", tmp_path / "one").total == 2
    two = datasets.DatasetDict({"a": made, "b": made})
    two.save_to_disk(str(tmp_path / "two"))
    with pytest.raises(TaskDataError, match="no split 'testmini' but 'a', 'b'"):
        load("wemath", tmp_path / "two")


def test_two_images_with_the_same_question_are_two_questions(tmp_path):
    rows = [hrbench(cycle=cycle, image=coded(image)) for image in range(2) for cycle in range(4)]
    bench = load("hrbench_4k", written(pa.Table.from_pylist(rows), tmp_path))
    found = bench.score({task_id: float(place < 4) for place, task_id in enumerate(bench.task_ids())})
    assert found.figures["all orders right"].mean == 0.5
    assert found.figures["overall"].n == 2


def test_a_group_of_which_a_row_was_left_out_is_left_out_and_the_range_says_so(tmp_path):
    rows = [hrbench(index=cycle, cycle=cycle, answer="B" if cycle < 3 else "Q") for cycle in range(4)]
    bench = load("hrbench_4k", written(pa.Table.from_pylist(rows), tmp_path))
    found = bench.score(dict.fromkeys(bench.task_ids(), 1.0))
    assert found.figures["all orders right"].n == 0
    assert (found.scored, found.total, found.is_partial) == (3, 4, True)
    assert found.bounds["overall"] == (0.75, 1.0)


def test_options_as_a_list_with_labels_without_and_with_labels_inside(tmp_path):
    row = ROWS["mme_realworld"]
    for options in (
        ["(A) see (B) first", "(B) b", "(C) c", "(D) d", "(E) none"],
        ["see (B) first", "b", "c", "d", "none"],
        "(A) see (B) first\n(B) b\n(C) c\n(D) d\n(E) none",
        "['A. see (B) first', 'B. b', 'C. c', 'D. d', 'E. none']",
    ):
        path = written(pa.Table.from_pylist([{**row, "multi-choice options": options}]), tmp_path)
        (item,) = load("mme_realworld", path).items.values()
        assert item.options == ("see (B) first", "b", "c", "d", "none")
        assert item.gold.value == "E"


def test_the_original_files_of_mme_realworld_and_seed_bench(tmp_path):
    mme = {"Image": "a.png", "Text": "How many?", "Answer choices": ["(A) 1", "(B) 2"], "Ground truth": "B"}
    mme |= {"Question_id": "x", "Category": "car/counting", "Subtask": "Monitoring", "Task": "Perception"}
    seed = {f"choice_{letter}": letter for letter in "abcd"}
    seed |= {"question": "Which?", "answer": "C", "question_image_type": "map", "data_id": "a.png"}
    (tmp_path / "a.png").write_bytes(png(2))
    for name, content in (("mme_realworld", [mme]), ("seed2plus", {"questions": [seed]})):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        bench = load(name, path)
        assert bench.load(bench.task_ids()[0]).images[0].source.shape == (30, 40, 3)
    assert load("mme_realworld", tmp_path / "mme_realworld.json").items[0].labels == {
        "protocol": "Perception",
        "domain": "Perception/Monitoring",
        "task": "Perception/Monitoring/car/counting",
    }


LIKE_VLMEVALKIT = {
    "vstar": {"question": "Which?", "A": "one", "B": "two", "answer": "B", "category": "direct_attributes"},
    "seed2plus": {"question": "Which?", **dict(zip("ABCD", "wxyz", strict=True)), "answer": "D", "category": "map"},
    "mathvista": {
        **{"question": "Which?", "choices": "['1', '2']", "answer": "2", "question_type": "multi_choice"},
        **{"answer_type": "text", "task": "geometry", "skills": "['algebra']", "source": "made up"},
    },
}


@pytest.mark.parametrize("name", LIKE_VLMEVALKIT)
def test_tables_with_a_column_for_each_option(name, tmp_path):
    row = {"index": 0, **LIKE_VLMEVALKIT[name], "image": coded()}
    bench = load(name, tsv(tmp_path / "rows.tsv", [row]))
    task = bench.load(bench.task_ids()[0])
    assert task.options[ord(task.gold.value) - ord("A")] in ("two", "z", "2")
    assert {"direct_attributes", "Map", "geometry"} & set(bench.score({}).figures)


@pytest.mark.parametrize("folder", ["images", "data/images", "data", "data/image"])
def test_images_of_a_clone_lie_beside_its_data_or_below_it(folder, tmp_path):
    clone, outside = tmp_path / "clone", tmp_path / "images"
    for place in (clone / folder, outside, clone / "data"):
        place.mkdir(parents=True, exist_ok=True)
    (clone / folder / "7.jpg").write_bytes(png(3))
    (outside / "8.jpg").write_bytes(png(3))
    rows = {str(n): {"figure_id": n, "query": "?", "answer": "a", "inst_category": 1} for n in (7, 8)}
    (clone / "data" / "reasoning_val.json").write_text(json.dumps(rows))
    bench = load("charxiv_rq", clone)
    assert bench.load(bench.task_ids()[0]).images[0].source.shape == (30, 40, 3)
    with pytest.raises(TaskDataError, match=r"no image .*8\.jpg"):
        bench.load(bench.task_ids()[1])


BAD = (
    None,
    "",
    0,
    -1,
    math.nan,
    True,
    [],
    ["x"],
    {},
    "[",
    "(",
    "{'a'",
    "A" * 3_000,
    "\u202e\x00",
    b"",
    "A. B.",
    10**400,
)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_stands_in_a_row_it_loads_or_is_one_clear_error(name, monkeypatch):
    class Memory:
        columns, folder, place = tuple(ROWS[name]), Path("/nowhere"), "memory"

        def __len__(self):
            return 2

        def row(self, index):
            return rows[index]

        light_row = row

        def fingerprint(self):
            return "0"

    rng, grader = np.random.default_rng(0), GRADERS.make("cascade")
    monkeypatch.setattr("metis_envs.benchmarks.benchmark.open_table", lambda *given, **options: Memory())
    for _ in range(40):
        column = list(ROWS[name])[rng.integers(len(ROWS[name]))]
        rows = [{**ROWS[name], column: BAD[rng.integers(len(BAD))]}, ROWS[name]]
        bench = BENCHMARKS.create(name, path="memory")
        for task_id in bench.task_ids():
            item = bench.item_of(task_id)
            task = Task(
                task_id="t", family="f", question=item.question, images=(), gold=item.gold, options=item.options
            )
            assert grader.grade(item.gold.value, task).score == 1.0
            with contextlib.suppress(TaskDataError):
                bench.build(task_id)
        assert str(bench.score(dict.fromkeys(bench.task_ids(), 1.0)))


def test_images_that_the_hub_holds_beside_the_rows_are_fetched(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "x.png").write_bytes(png(3))
    rows = datasets.Dataset.from_list([{**ROWS["vstar"], "image": "direct_attributes/x.png"}])
    asked = []

    def download(name, path, **options):
        asked.append((name, path, options["repo_type"]))
        return str(tmp_path / path.rpartition("/")[2])

    monkeypatch.setattr("datasets.load_dataset", lambda *given, **options: rows)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    bench = BENCHMARKS.create("vstar")
    assert bench.load(bench.task_ids()[0]).images[0].source.shape == (30, 40, 3)
    assert asked == [("craigwu/vstar_bench", "direct_attributes/x.png", "dataset")]


def test_the_clone_of_v_star_is_read_in_its_official_order(tmp_path):
    for folder in ("direct_attributes", "relative_position"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(png(1))
        (tmp_path / folder / "a.json").write_text(json.dumps({"question": "Which?", "options": ["right", "wrong"]}))
    row = {**ROWS["vstar"], "image": "direct_attributes/a.jpg", "label": "C"}
    (tmp_path / "test_questions.jsonl").write_text(json.dumps(row))
    (item,) = load("vstar", tmp_path).items.values()
    assert (item.options, item.gold.value) == (("rubber", "cotton", "wool"), "C")


def test_where_of_charxiv_s_figures_in_each_form(tmp_path):
    base = {key: value for key, value in ROWS["charxiv_dq"].items() if key != "subplot_loc"}
    places = [
        ({"subplot_row": 0, "subplot_col": 0, "subplot_loc": None}, "In the plot, "),
        ({"subplot_row": 2, "subplot_col": 1, "subplot_loc": None}, "In the subplot in row 2 and column 1, "),
        ({"subplot_row": 2.0, "subplot_col": 1.0, "subplot_loc": None}, "In the subplot in row 2 and column 1, "),
        ({"subplot_row": math.nan, "subplot_col": math.nan, "subplot_loc": "the inset"}, "In the inset, "),
        ({"subplot_loc": [1, 2]}, "In the subplot in row 1 and column 2, "),
        ({"subplot_loc": "(0, 0)"}, "In the plot, "),
    ]
    for place, said in places:
        path = written(pa.Table.from_pylist([{**base, **place}]), tmp_path)
        assert load("charxiv_dq", path).items[0].question.startswith(said)


def test_official_wording_fills_its_templates_and_brings_its_rubrics(tmp_path):
    tables = {
        "DESCRIPTIVE_RESP_INST": {number: f"{{}}what {number}?\n  * Say so." for number in range(1, 20)},
        "DESCRIPTIVE_GRADING_ICL": {"title": "Rubric of titles", "bool": "Rubric of yes and no"},
        "REASONING_RESP_INST": {number: "{}\n  * Only text." if number < 4 else "{}\n  {}" for number in range(1, 5)},
        "REASONING_GRADING_INST": dict.fromkeys(range(1, 5), "Rubric\n### Your Turn ###\n<|question|>"),
    }
    source = "\n".join(f"{name} = {table!r}" for name, table in tables.items())
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "constants.py").write_text(f"import os\nMADE = {{1: os.sep}}\n{source}\n")
    figures = {"0": {"figure_id": 0, "subplot_loc": [1, 2], "qids": [1, 11, 18, 19], "answers": list("abcd")}}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "descriptive_val.json").write_text(json.dumps(figures))
    questions = {"0": {"figure_id": 0, "query": "How {much}?", "answer": "2.50", "inst_category": 4}}
    (tmp_path / "data" / "reasoning_val.json").write_text(json.dumps(questions))
    items = list(load("charxiv_dq", tmp_path, wording="official").items.values())
    assert items[0].question == "In the subplot in row 1 and column 2, what 1?\n  * Say so."
    assert items[2].question == "what 18?\n  * Say so."
    assert [item.gold.rubric for item in items[:2]] == ["Rubric of titles", "Rubric of yes and no"]
    (item,) = load("charxiv_rq", tmp_path, wording="official").items.values()
    assert item.question == "How {much}?\n  Give the number with 2 decimal places."
    assert item.gold.rubric == "Rubric"


def test_images_of_a_column_of_bytes_are_not_read_with_the_questions(tmp_path):
    for name, column in (("wemath", "image_path"), ("vstar", "image"), ("mathvista", "decoded_image")):
        bench = load(name, written(pa.Table.from_pylist([ROWS[name]]), tmp_path, f"{name}.parquet"))
        assert column not in bench.tables[0].light_row(0)
        assert column in bench.tables[0].row(0)


def test_an_unlabelled_image_is_named(tmp_path):
    bench = load("vstar", written(pa.Table.from_pylist([{**ROWS["vstar"], "image": [stored()]}]), tmp_path))
    assert len(bench.load(bench.task_ids()[0]).images) == 1
    empty = pa.Table.from_pylist([{**ROWS["vstar"], "image": []}])
    bench = load("vstar", written(empty, tmp_path, "empty.parquet"))
    with pytest.raises(TaskDataError, match="has no image"):
        bench.load(bench.task_ids()[0])
