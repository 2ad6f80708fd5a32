"""Benchmarks through `metis-gym eval`: played whole, in order, kept, graded again, beside published figures."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metis_agents.command import _benchmarks, eval_command
from metis_agents.evaluate import evaluate, regrade
from metis_agents.results.benchmarks import PUBLISHED
from metis_agents.results.compare import results_command
from metis_gym.errors import ConfigError, InfrastructureError, StorageError
from metis_gym.grading import GRADERS, Grade, GradingStep

sys.path.insert(0, str(Path(__file__).parents[1] / "grading"))
from judge_server import JudgeServer, always, blocks, completion


@pytest.fixture
def rows(tmp_path):
    """Twelve rows whose right answers are A, B, C, D in turn."""
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    stream = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(stream, format="PNG")
    made = [
        {
            "question": f"Question {number}?",
            **{f"choice_{letter}": f"{letter}{number}" for letter in "ABCD"},
            "answer": "ABCD"[number % 4],
            "question_image_type": ("chart", "map", "web")[number % 3],
            "image": {"bytes": stream.getvalue(), "path": None},
        }
        for number in range(12)
    ]
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist(made), path)
    return path


class AnswersA:
    """Answers A, but for every sixth question, where it names no option."""

    name = "answers-a"

    def reset(self, rng):
        self.asked = 0

    def act(self, observation, info):
        is_lost = any(f"Question {number}?" in observation["text"] for number in (0, 6))
        return {"answer": "I cannot tell" if is_lost else "A"}


def played(rows, **options):
    return evaluate(
        AnswersA(), "MetisVQA-v0", "all", 0, progress=False, taskset=f"benchmark:seed2plus,path={rows}", **options
    )


def test_every_row_is_played_once_in_order_and_scored(rows, tmp_path):
    report = played(rows, out=tmp_path / "run")
    assert [outcome.task_id.partition("@")[0] for outcome in report.outcomes] == [f"seed2plus/{n}" for n in range(12)]
    (score,) = report.benchmarks
    # A is right in rows 0, 4, 8; row 0 names no option.
    assert score.figures["overall"].mean == pytest.approx(2 / 12)
    assert (score.scored, score.total, score.no_choice, score.is_partial) == (12, 12, 2, False)
    kept = json.loads((tmp_path / "run" / "report.json").read_text())["benchmarks"]
    assert kept[0]["figures"]["overall"]["mean"] == score.figures["overall"].mean
    assert kept[0]["no_choice"] == 2


def test_a_limit_is_not_called_the_whole(rows):
    report = evaluate(
        AnswersA(), "MetisVQA-v0", "all", 0, progress=False, taskset=f"benchmark:seed2plus,path={rows},limit=4"
    )
    assert report.benchmarks[0].total == 4


def test_an_outage_leaves_rows_unscored_and_says_what_they_allow(rows, tmp_path):
    played(rows, out=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "outcomes.jsonl").read_text().splitlines()]
    for line in lines[:3]:
        line["outcome"]["scored"] = False
        line.pop("step", None)
    (tmp_path / "run" / "outcomes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (score,) = regrade(tmp_path / "run").benchmarks
    assert (score.scored, score.total, score.is_partial) == (9, 12, True)
    assert score.figures["overall"].mean == pytest.approx(2 / 9)
    assert score.bounds["overall"] == (pytest.approx(2 / 12), pytest.approx(5 / 12))
    assert "partial" in str(score)


def test_kept_answers_are_graded_again_without_playing(rows, tmp_path):
    class Strict:
        def grade(self, answer, task):
            return Grade(0.0, GradingStep.OWN)

    played(rows, out=tmp_path / "run")
    name = "strict-for-this-test"
    if name not in GRADERS:
        GRADERS.register(name)(Strict)
    assert regrade(tmp_path / "run", name).benchmarks[0].figures["overall"].mean == 0.0
    again = regrade(tmp_path / "run", "cascade")
    assert again.benchmarks[0].figures["overall"].mean == pytest.approx(2 / 12)
    with pytest.raises(StorageError):
        regrade(tmp_path / "nothing")


def test_grading_again_keeps_what_the_run_used(rows, tmp_path):
    played(rows, out=tmp_path / "run")
    path = tmp_path / "run" / "report.json"
    used = {"prompt_tokens": 40, "completion_tokens": 12, "requests": 12}
    path.write_text(json.dumps({**json.loads(path.read_text()), "usage": used, "cost": 0.5, "lam": 0.3}))
    regrade(tmp_path / "run")
    report = json.loads(path.read_text())
    assert {name: report["usage"][name] for name in used} == used
    assert (report["cost"], report["lam"], report["agent"]) == (0.5, 0.3, "answers-a")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--benchmark", "vstar", "--taskset", "signs"], "give one of them"),
        (["--published"], "needs --benchmark"),
    ],
)
def test_options_that_contradict_each_other_are_refused(words, told, capsys):
    with pytest.raises(SystemExit):
        eval_command([*words, "--quiet"])
    assert told in capsys.readouterr().err


def test_no_episodes_are_an_error_and_not_the_default():
    with pytest.raises(ConfigError, match="at least 1"):
        eval_command(["--agent", "never-tool", "--taskset", "patches", "--episodes", "0", "--quiet"])


def test_tasks_without_an_end_cannot_all_be_played():
    with pytest.raises(ConfigError, match="say how many"):
        evaluate(AnswersA(), "MetisVQA-v0", "all", 0, progress=False, taskset="patches")


def test_the_command_plays_a_benchmark_and_prints_published_figures_beside_it(rows, tmp_path, capsys):
    words = ["--agent", "never-tool", "--benchmark", f"seed2plus:path={rows}", "--published", "--quiet"]
    assert eval_command([*words, "--workers", "1", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "12 of 12 rows scored, by rules" in said
    assert "(12 of 2,277 rows)" in said
    assert "Metis (published)" in said
    assert "72.5" in said
    assert "reproduced" not in said
    assert eval_command(["--regrade", str(tmp_path / "run"), "--published"]) == 0
    said = capsys.readouterr().out
    assert "graded again by" in said
    assert "Metis (published)" in said
    assert results_command([str(tmp_path / "run")]) == 0
    assert "| seed2plus | overall |" in capsys.readouterr().out


def test_the_report_names_all_that_a_figure_depends_on(rows, tmp_path):
    played(rows, out=tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "report.json").read_text())
    (score,) = kept["benchmarks"]
    told = {"hub", "path", "fingerprint", "revision", "wording", "view_pixels", "limit", "no_choice", "truncated"}
    assert told | {"unscored", "tool_rate", "tool_calls", "tool_cost", "partial", "bounds", "notes"} <= set(score)
    assert (score["path"], score["wording"], score["unscored"]) == (str(rows), "ours", 0)
    assert kept["settings"]["agent"]["class"].endswith("AnswersA")
    assert kept["settings"]["env"]["taskset"] == f"benchmark:seed2plus,path={rows}"
    lines = [json.loads(line) for line in (tmp_path / "run" / "outcomes.jsonl").read_text().splitlines()]
    assert [line["labels"]["type"] for line in lines[:3]] == ["Chart", "Map", "Web"]
    assert {"answer", "step"} <= set(lines[0])


def as_images(images, folder):
    """Rows with these images, in the form of the rows above."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    row = {"question": "?", **{f"choice_{letter}": letter * 2 for letter in "ABCD"}, "answer": "A"}
    made = [{**row, "question_image_type": "map", "image": {"bytes": image, "path": None}} for image in images]
    parquet.write_table(pa.Table.from_pylist(made), folder / "images.parquet")
    return folder / "images.parquet"


def test_a_row_whose_image_cannot_be_read_is_unscored_and_the_others_are_played(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(stream, format="PNG")
    whole = stream.getvalue()
    report = played(as_images([whole, whole[:60], b"", whole], tmp_path))
    (score,) = report.benchmarks
    assert (score.scored, score.total, score.figures["overall"].mean) == (2, 4, 1.0)
    assert score.bounds["overall"] == (0.5, 1.0)
    assert score.played["unscored"] == 2
    assert all("row 1 of images.parquet" in reason or "row 2" in reason for reason in report.failures)


def test_files_whose_images_are_all_missing_end_the_evaluation_early(tmp_path):
    with pytest.raises(InfrastructureError, match=r"the last 20 episodes .* row 19 of images\.parquet"):
        played(as_images([b"broken"] * 30, tmp_path))


def test_where_the_rows_lie_is_said_once_for_one_benchmark_or_many(rows, tmp_path, capsys):
    words = ["--agent", "never-tool", "--workers", "1", "--quiet", "--benchmark"]
    assert eval_command([*words, "seed2plus:limit=3", "--data", str(rows)]) == 0
    assert "seed2plus: 3 of 3 rows scored" in capsys.readouterr().out
    folder = tmp_path / "several, here"
    folder.mkdir()
    (folder / "seed2plus.parquet").write_bytes(rows.read_bytes())
    with pytest.raises(ConfigError, match="holds none of vstar"):
        eval_command([*words, "seed2plus", "vstar", "--data", str(folder)])
    assert _benchmarks(["seed2plus", "vstar:path=x.tsv"], folder) == [
        f'benchmark:seed2plus,path="{folder}/seed2plus.parquet"',
        "benchmark:vstar,path=x.tsv",
    ]
    assert eval_command([*words, "seed2plus", "--data", str(folder / "seed2plus.parquet")]) == 0


def test_rules_and_a_judge_on_every_answer(rows, tmp_path, capsys):
    """The judge finds right what names the option's text or A: rows 0 (no option named) and 6 it finds right too."""

    def verdict(body):
        return completion("CORRECT" if "cannot tell" in blocks(body)["ANSWER TO BE JUDGED"] else "INCORRECT")

    with JudgeServer(verdict) as server:
        judge = f"judge:model=toy,base_url={server.url},retries=0"
        report = played(rows, out=tmp_path / "run", grader=judge, judge_all=True)
        asked = blocks(server.bodies[1])
    counts = report.by_judge.counts("seed2plus")
    # A is right in rows 4 and 8; rows 0 and 6 name no option, and this judge takes them; the other eight are wrong.
    assert counts == dict(zip(counts, (0, 2, 2, 8, 0), strict=True))
    assert report.benchmarks[0].figures["overall"].mean == pytest.approx(2 / 12)  # choices are the rules'
    assert "A. A1" in asked["QUESTION"]
    assert asked["RIGHT ANSWER"] == "B. B1"
    kept = json.loads((tmp_path / "run" / "report.json").read_text())["judge_all"]
    assert len(kept["differing"]) == 4
    assert "right by judge only" in str(report)
    with pytest.raises(ConfigError, match="--grader judge:"):
        regrade(tmp_path / "run", "cascade", judge_all=True)
    with pytest.raises(ConfigError, match="--grader judge:"):
        played(rows, judge_all=True)


def test_a_judge_s_outage_is_no_verdict_and_many_end_it(rows, tmp_path):
    played(rows, out=tmp_path / "run")
    with JudgeServer(always("perhaps")) as server:
        judge = f"judge:model=toy,base_url={server.url},retries=0"
        report = regrade(tmp_path / "run", judge, judge_all=True, parallel=2)
    assert report.by_judge.counts()["no_verdict"] == 12
    assert [one.task_id.partition("@")[0] for one in report.by_judge.verdicts] == [f"seed2plus/{n}" for n in range(12)]


def test_several_agents_have_a_column_each(rows, capsys):
    agents = ["--agent", "never-tool", "never-tool", "random", "--workers", "1", "--quiet"]
    assert eval_command([*agents, "--benchmark", f"seed2plus:path={rows}"]) == 0
    said = capsys.readouterr().out
    assert [head.strip() for head in said.partition("| benchmark |")[2].split("|")[1:4]] == [
        "1-never-tool",
        "2-never-tool",
        "random",
    ]
    assert "published" not in said


def test_published_figures_are_those_of_thirteen_columns():
    assert {system: len(row) for system, row in PUBLISHED.items()} == {
        "Qwen3-VL-8B": 13,
        "Metis": 13,
        "DeepEyesV2": 13,
        "Skywork-R1V4": 4,
        "LLaVA-OneVision": 10,
    }
