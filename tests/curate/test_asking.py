"""The stages that ask somebody: the base model, the policy, the judge. An outage drops nothing."""

import json
from itertools import pairwise

import pytest

from metis_agents.curate.stages.direct import right_by_chance
from metis_agents.curate.stages.pass_rate import possible_rates
from metis_gym.errors import ConfigError
from tests.curate.corpus import Row, clean, encoded, lines, picture, read_rows, write_jsonl
from tests.curate.players import judge, said
from tests.curate.test_cheap_stages import curate

COIN = "tests.curate.players:Coin"
NOBODY = "openai:model=m,base_url=http://127.0.0.1:9/v1,attempts=1"


def judged(url):
    return f'openai:model=m,base_url="{url}",attempts=2'


def prompts(questions, **fields):
    rows = []
    for number, question in enumerate(questions):
        image = "data:image/png;base64," + __import__("base64").b64encode(encoded(picture(number))).decode()
        rows.append({"question": question, "answer": "red", "images": [image], **fields})
    return rows


def reasons(out):
    return {line["row"]: line["reason"] for line in lines(out / "dropped.jsonl")}


# the judge ------------------------------------------------------------------------------------------------------------


def test_a_judge_names_the_criteria_that_fail(tmp_path):
    questions = ["Fine?", "This fails coherence?", "This fails visual_relevance and fails rationale?", "I mumble?"]
    rows = [Row(n, question=question).chat() for n, question in enumerate(questions)]
    rows.append(Row(9, question="No call, and it fails coherence?", calls=[], code="1").chat())
    source = write_jsonl(tmp_path / "data.jsonl", rows)
    with judge() as stub:
        words = ("sft", source, tmp_path / "out", "--no-execute", "--judge", judged(stub.url))
        assert curate(*words) == 3
        assert reasons(tmp_path / "out") == {1: "coherence", 2: "visual_relevance+rationale"}
        assert [(line["row"], line["reason"]) for line in lines(tmp_path / "out/undecided.jsonl")] == [
            (3, "judge_failed")
        ]
        asked = len(stub.requests)
        assert curate(*words) == 3
        assert len(stub.requests) == asked + 3  # only the undecided one, three times
        request = next(body for body in stub.requests if "Fine?" in said(body))
    kinds = [part["type"] for part in request["messages"][-1]["content"]]
    assert kinds.count("image_url") == 2
    assert "SECOND" not in said(request)


def test_a_judge_that_is_down_drops_nothing(tmp_path):
    source = write_jsonl(tmp_path / "data.jsonl", [row.chat() for row in clean(6)])
    assert curate("sft", source, tmp_path / "out", "--no-execute", "--judge", NOBODY) == 3
    assert reasons(tmp_path / "out") == {}
    assert len(lines(tmp_path / "out/undecided.jsonl")) == 6
    with judge() as stub:
        assert curate("sft", source, tmp_path / "out", "--no-execute", "--judge", judged(stub.url)) == 0
    assert len(read_rows(tmp_path / "out")) == 6


def test_people_judge_too_and_the_report_says_how_far_they_agree(tmp_path):
    questions = [f"Thing {n}? " + "It fails rationale." * (n % 2) for n in range(6)]
    source = write_jsonl(tmp_path / "data.jsonl", [Row(n, question=one).chat() for n, one in enumerate(questions)])
    out = tmp_path / "out"
    with judge() as stub:
        words = ("sft", source, out, "--no-execute", "--judge", judged(stub.url), "--judge-sample", 4)
        curate(*words)
        head, *sheet = (out / "judge_sheet.csv").read_text().splitlines()
        assert len(sheet) == 4
        # People find every call needed: they agree with the judge where the question does not say otherwise.
        (out / "judge_sheet.csv").write_text(
            "\n".join([head, *(line.removesuffix(",,,") + ",,,yes" for line in sheet)])
        )
        curate(*words)
    agreed = sum("fails" not in line for line in sheet)
    assert f"rationale: people and the judge agree on {agreed} of 4" in (out / "report.md").read_text()


def test_a_judge_that_moved_is_the_same_judge(tmp_path):
    source = write_jsonl(tmp_path / "data.jsonl", [row.chat() for row in clean(2)])
    for asked in (2, 0):
        with judge() as stub:
            curate("sft", source, tmp_path / "out", "--no-execute", "--judge", judged(stub.url))
            assert len(stub.requests) == asked


def test_only_a_chat_model_judges(tmp_path):
    source = write_jsonl(tmp_path / "data.jsonl", [row.chat() for row in clean(1)])
    with pytest.raises(ConfigError, match="chat interface"):
        curate("sft", source, tmp_path / "out", "--no-execute", "--judge", "oracle")


# the base model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reading", "gone"),
    [
        pytest.param("any", {0, 2, 3}, marks=pytest.mark.slow),
        pytest.param("all", {0}, marks=pytest.mark.slow),
        ("above_chance", {0, 2}),
    ],
)
def test_the_readings_of_pass_at_8(tmp_path, reading, gone):
    # A coin of .5 is right in some of 8 tries and not in all (probability 1 - 2/256); four options want 5 of 8.
    ways = "\nA. blue\nB. red\nC. green\nD. grey"
    asked = ["Is this easy?", "Is this hard?", "An open one?", f"Which of four?{ways}"]
    rows = [
        {**Row(n, question=question).chat(), "answer": "B" if "A." in question else "red"}
        for n, question in enumerate(asked)
    ]
    source = write_jsonl(tmp_path / "data.jsonl", rows)
    words = ("--no-execute", "--agent", f"{COIN}:p=0.3", "--direct", reading)
    assert curate("sft", source, tmp_path / "out", *words) == 0
    assert set(reasons(tmp_path / "out")) == gone
    report = json.loads((tmp_path / "out/report.json").read_text())
    counted = next(stage["counted"] for stage in report["stages"] if stage["name"] == "direct")
    assert counted == {"asked_directly": 4, "direct_above_chance": 2, "direct_any": 3, "direct_all": 1}


def test_thresholds_are_those_of_the_binomial():
    from math import comb

    for options in (2, 3, 4, 5, 6, 10):
        p = 1 / options
        tail = [sum(comb(8, k) * p**k * (1 - p) ** (8 - k) for k in range(least, 9)) for least in range(10)]
        least = right_by_chance(8, options)
        assert tail[least] < 0.05 <= tail[least - 1]


def test_trajectories_without_calls_are_asked_about_only_if_told_so(tmp_path):
    source = write_jsonl(tmp_path / "data.jsonl", [Row(1, question="Is this easy?", calls=[], code="1").chat()])
    agent = ("--no-execute", "--agent", COIN)
    curate("sft", source, tmp_path / "calls", *agent)
    curate("sft", source, tmp_path / "all", *agent, "--direct-applies", "all")
    assert (reasons(tmp_path / "calls"), reasons(tmp_path / "all")) == ({}, {0: "answered_directly"})


def test_a_base_model_that_is_down_drops_nothing(tmp_path):
    source = write_jsonl(tmp_path / "data.jsonl", [row.chat() for row in clean(20)])
    assert curate("sft", source, tmp_path / "out", "--no-execute", "--agent", NOBODY) == 3
    undecided = [line["reason"] for line in lines(tmp_path / "out/undecided.jsonl")]
    assert undecided == ["unscored"] * 16 + ["not_tried"] * 4


# prompts --------------------------------------------------------------------------------------------------------------


def test_prompts_with_a_rate_between_0_and_1_stay(tmp_path):
    source = write_jsonl(tmp_path / "rl.jsonl", prompts(["An easy one?", "A hard one?", "Heads?", "Tails?"]))
    assert curate("rl", source, tmp_path / "out", "--agent", f"{COIN}:p=0.5,wrong=varied") == 0
    assert reasons(tmp_path / "out") == {0: "always_right", 1: "never_right"}
    for row in read_rows(tmp_path / "out"):
        noted = row["extra_info"]["metis_gym"]
        assert noted["rollouts"] == 8
        assert 0 < noted["right"] < 8
        assert noted["policy"] == f"{COIN}:p=0.5,wrong=varied"
    from metis_gym.tasksets import make_taskset

    taskset = make_taskset(f"parquet:{tmp_path}/out/data-00000.parquet", split="train", view_size=448)
    assert [taskset.build(name).gold.value for name in taskset.task_ids()] == ["red", "red"]


def test_a_policy_plays_as_it_was_trained(tmp_path):
    source = write_jsonl(tmp_path / "rl.jsonl", prompts(["An easy one?"]))
    curate("rl", source, tmp_path / "out", "--agent", "tests.curate.players:Nearsighted", "--rollouts", 2)
    assert reasons(tmp_path / "out") == {0: "always_right"}


def test_prompts_of_a_recorded_run_have_the_images_that_tools_work_on(tmp_path):
    from metis_agents.evaluate import evaluate
    from metis_agents.scripted import NeverToolAgent
    from metis_gym.tasksets import make_taskset

    env = {"taskset": "patches", "view_size": 64, "max_source": 1024, "required_share": 1.0}
    evaluate(NeverToolAgent(), "MetisVQA-v0", 2, 0, record=tmp_path / "run", progress=False, **env)
    assert curate("rl", tmp_path / "run", tmp_path / "out") == 0
    taskset = make_taskset(f"parquet:{tmp_path}/out/data-00000.parquet", split="train", view_size=64)
    tasks = [taskset.build(name) for name in taskset.task_ids()]
    assert [task.images[0].source.shape for task in tasks] == [(1024, 1024, 3)] * 2
    assert [task.images[0].view.shape for task in tasks] == [(64, 64, 3)] * 2
    for file in (tmp_path / "run").rglob("*.jsonl"):  # of a family that is not there any more
        file.write_text(file.read_text().replace("patches", "patchwork"))
    assert curate("rl", tmp_path / "run", tmp_path / "other") == 3
    assert {line["reason"] for line in lines(tmp_path / "other/undecided.jsonl")} == {"sources_missing"}


@pytest.mark.slow
def test_the_share_that_stays_is_that_of_the_policy(tmp_path):
    # Of tasks solved at rate .2, 1 − .2⁸ − .8⁸ = .832 are solved sometimes; 60 tasks: 50 ± 6 (two deviations).
    source = write_jsonl(
        tmp_path / "rl.jsonl", prompts([f"Which thing is number {n}, of {n} by {n}?" for n in range(60)])
    )
    curate("rl", source, tmp_path / "out", "--agent", f"{COIN}:p=0.2,wrong=varied")
    assert 43 <= len(read_rows(tmp_path / "out")) <= 57


def test_a_second_set_of_rollouts_a_rate_and_doubtful_answers(tmp_path):
    source = write_jsonl(tmp_path / "rl.jsonl", prompts(["A hard one?", "Heads?"]))
    words = ("--agent", f"{COIN}:p=0.5,wrong=blue", "--retry-never", 8, "--rate", "0.9..1")
    curate("rl", source, tmp_path / "out", *words)
    details = {line["row"]: (line["reason"], line["detail"]) for line in lines(tmp_path / "out/dropped.jsonl")}
    assert details[0] == (
        "never_right",
        "0 of 16 rollouts are right: rates from 0% to 19% are possible; 16 agree on 'blue'",
    )
    assert details[1][0] == "outside_rate"
    curate("rl", source, tmp_path / "out", *words[:2], "--drop-suspect", "--direct-rollouts", 4)
    assert reasons(tmp_path / "out")[0] == "suspect_gold"
    assert lines(tmp_path / "out/suspect_golds.jsonl")[0]["row"] == 0


def test_rules_find_prompts_whose_right_answer_cannot_be_right(tmp_path):
    rows = prompts(["Which one is it, of all?"] * 8)
    ways = ["red", "blue", "red"]
    rows[0] |= {"answer": ""}
    rows[1] |= {"options": ["green", "blue"]}
    rows[2] |= {"options": ways, "answer": "A"}
    rows[3] |= {"options": ways, "answer": "B"}
    rows[4] |= {"question": "What is new in image 2?"}
    rows[5] |= {"question": "What is in image 1?"}
    rows[6] |= {"images": rows[7]["images"], "answer": "blue"}
    source = write_jsonl(tmp_path / "rl.jsonl", rows)
    assert curate("rl", source, tmp_path / "out") == 0
    expected = {0: "no_gold", 1: "gold_not_an_option", 2: "equal_options", 4: "image_not_there", 6: "two_golds"}
    assert reasons(tmp_path / "out") == expected | {7: "two_golds"}


def test_a_judge_finds_prompts_that_cannot_be_answered(tmp_path):
    source = write_jsonl(tmp_path / "rl.jsonl", prompts(["Fine?", "It fails answerable?"]))
    with judge() as stub:
        assert curate("rl", source, tmp_path / "out", "--judge", judged(stub.url)) == 0
    assert reasons(tmp_path / "out") == {1: "not_answerable"}


def test_nothing_of_a_benchmark_stays(tmp_path):
    long = "How many of the small red lanterns beside the wooden gate of the old harbour are lit at night?"
    held_out = prompts([long, "Which?"])
    held_out[1]["answer"] = "blue"
    (tmp_path / "held_out").mkdir()
    for number, row in enumerate(held_out):
        (tmp_path / f"held_out/{number}.png").write_bytes(encoded(picture(number)))
        row["images"] = [f"{number}.png"]
    against = write_jsonl(tmp_path / "held_out/test.jsonl", held_out)
    rows = prompts(["Another question?", "Else?", f"Say: {long}", "Which?"])
    for row, other in zip(rows[2:], prompts(["x"] * 9)[7:], strict=False):
        row["images"] = other["images"]
    rows[1]["answer"] = "green"  # the image of the second, and another right answer
    source = write_jsonl(tmp_path / "rl.jsonl", rows)
    assert curate("rl", source, tmp_path / "out", "--against", f"jsonl:path={against}") == 0
    assert reasons(tmp_path / "out") == {0: "image", 2: "question"}
    assert "vstar" in (tmp_path / "out/report.md").read_text()


def test_intervals_narrow():
    widths = [possible_rates(n // 2, n)[1] - possible_rates(n // 2, n)[0] for n in (2, 8, 32, 128)]
    assert all(wide > narrow for wide, narrow in pairwise(widths))
