"""Evaluations with faults, kills and stops: no episode is lost, doubled or reordered, and a second start goes on."""

import inspect
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from playing import HERE, LOOK, TASKS, agent, play

from metis_agents.agents import AGENTS, make_agent
from metis_agents.chat.requests_log import RequestLog, read_requests
from metis_agents.chat.stub import Stub, StubOptions
from metis_agents.chat.stub_replies import Reply, completion, default_script, turns
from metis_agents.chat.usage import Prices
from metis_agents.results.compare import compare_runs, read_run
from metis_agents.results.store import read_outcomes
from metis_gym.cli import main
from metis_gym.errors import ConfigError, InfrastructureError, StorageError
from metis_gym.recording import Run, replay

ANSWER = "<reason>…</reason><answer>A</answer>"


def rows(folder):
    return [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]


def test_sixteen_at_a_time_with_a_fifth_of_the_requests_failing(tmp_path):
    with Stub(default_script) as stub:
        plain = play(agent(stub.url), 60, out=tmp_path / "plain")
    with Stub(default_script, StubOptions(faults=0.2, no_usage=0.2)) as stub:
        report = play(agent(stub.url, attempts=12), 60, parallel=16, out=tmp_path / "faults")
    assert sum(stub.faults.values()) - stub.faults[""] > 10, "faults were injected"
    assert [row["number"] for row in rows(tmp_path / "faults")] == list(range(60))
    assert [outcome.task_id for outcome in report.outcomes] == [outcome.task_id for outcome in plain.outcomes]
    assert len({outcome.task_id for outcome in report.outcomes}) == 60
    for ours, theirs in zip(report.outcomes, plain.outcomes, strict=True):
        assert (ours.tool_calls, ours.answer_score, ours.turns) == (
            theirs.tool_calls,
            theirs.answer_score,
            theirs.turns,
        )
    assert report.metrics["unscored"].mean == 0
    assert len({outcome.tool_calls for outcome in plain.outcomes}) == 2, "episodes differ"


def test_outcomes_do_not_depend_on_the_number_of_threads(tmp_path):
    with Stub(default_script) as stub:
        for parallel in (1, 3, 16):
            play(agent(stub.url), 20, parallel=parallel, out=tmp_path / str(parallel))
    assert len({(tmp_path / str(parallel) / "outcomes.jsonl").read_bytes() for parallel in (1, 3, 16)}) == 1


COMMAND = ["-m", "metis_gym", "eval", "--agent", 'openai:attempts=12,base_url="stub?faults=0.2"', "--taskset", TASKS]


def command(folder, *more):
    words = [sys.executable, *COMMAND, "--episodes", "60", "--parallel", "4", "--out", str(folder), "--quiet", *more]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ)


def lines_of(folder):
    path = folder / "outcomes.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_at_random_moments_and_started_again_the_outcomes_are_the_same(tmp_path):
    draw = random.Random(7)
    with Stub(default_script) as stub:
        play(agent(stub.url), 60, tools=None, out=tmp_path / "whole", parallel=4)
    killed, killings = tmp_path / "killed", 0
    while True:
        process = command(killed)
        goal = lines_of(killed) + draw.randrange(1, 25)
        while process.poll() is None and lines_of(killed) < goal:
            time.sleep(draw.random() * 0.01)
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read()
            process.stderr.close()
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        killings += 1
        if draw.random() < 0.5:  # the line that was being written when the process was killed
            with (killed / "outcomes.jsonl").open("ab") as stream:
                stream.write(b'{"number": 3, "outco')
    assert killings >= 2
    assert (killed / "outcomes.jsonl").read_bytes() == (tmp_path / "whole/outcomes.jsonl").read_bytes()
    assert not list(killed.glob("*.part"))


def test_an_interrupt_ends_it_cleanly_and_the_same_command_goes_on(tmp_path):
    process = command(tmp_path / "run")
    while process.poll() is None and lines_of(tmp_path / "run") < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert b"the same command goes on with the rest" in errors
    found = [played.number for played in read_outcomes(tmp_path / "run")]
    assert found == sorted(found)
    assert 3 <= len(found) < 60
    assert json.loads((tmp_path / "run/report.json").read_text())["stopped"]
    again = command(tmp_path / "run")
    assert again.wait() == 0, again.stderr.read()
    again.stderr.close()
    assert [row["number"] for row in rows(tmp_path / "run")] == list(range(60))


def test_a_second_start_plays_only_what_is_missing_or_not_scored(tmp_path):
    is_broken = threading.Event()
    asked = []

    def script(body):
        asked.append(body["seed"])
        if is_broken.is_set() and len(asked) % 3 == 0:
            return Reply(status=503, body={})
        return completion(ANSWER)

    with Stub(script) as stub:
        is_broken.set()
        first = play(agent(stub.url, attempts=1), 9, out=tmp_path / "run", token_prices=Prices(read=1, written=1))
        lost = sum(not outcome.scored for outcome in first.outcomes)
        assert lost == 3
        is_broken.clear()
        asked.clear()
        second = play(agent(stub.url, attempts=1), 9, out=tmp_path / "run", token_prices=Prices(read=1, written=1))
        assert len(asked) == 3
        assert all(outcome.scored for outcome in second.outcomes)
        asked.clear()
        third = play(agent(stub.url, attempts=1), 9, out=tmp_path / "run", token_prices=Prices(read=1, written=1))
    assert asked == []
    assert third.outcomes == second.outcomes
    assert third.cost == second.cost


def test_what_was_spent_on_episodes_that_are_played_again_counts_in_the_cost(tmp_path):
    is_broken = threading.Event()
    is_broken.set()

    def script(body):
        if len(body["messages"]) > 2 and is_broken.is_set():
            return Reply(status=503, body={})
        return turns(f"<tool_call>{LOOK}", ANSWER)(body)

    prices = Prices(read=0, written=1_000_000)
    with Stub(script) as stub:
        play(agent(stub.url, attempts=1), 1, out=tmp_path / "run", token_prices=prices)
        is_broken.clear()
        report = play(agent(stub.url, attempts=1), 1, out=tmp_path / "run", token_prices=prices)
    tokens = [-(-len(text.encode()) // 4) for text in (f"<tool_call>{LOOK}", ANSWER)]
    assert report.cost == 2 * tokens[0] + tokens[1], "the first turn was paid twice"
    assert report.outcomes[0].tokens == sum(tokens)


DIFFERENT = {
    "seed": ({"seed": 1}, {}, "seed is 0 there and 1 here"),
    "episodes": ({"episodes": 5}, {}, "episodes is 4 there and 5 here"),
    "taskset": ({"taskset": TASKS + ":view_size=32"}, {}, "env.taskset is "),
    "dialect": ({"dialect": "qwen"}, {}, "env.dialect is 'qwen' here and not set there"),
    "temperature": ({}, {"temperature": 0.7}, "agent.temperature is 0.0 there and 0.7 here"),
    "extra": ({}, {"extra": '{"top_k": 1}'}, "agent.extra.top_k is 1 here and not set there"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_other_settings_are_refused_with_the_difference(name, tmp_path):
    kwargs, arguments, words = DIFFERENT[name]
    with Stub(turns(ANSWER)) as stub:
        play(agent(stub.url), 4, out=tmp_path / "run")
        before = (tmp_path / "run/outcomes.jsonl").read_bytes()
        kwargs = {"episodes": 4, **kwargs}
        with pytest.raises(StorageError, match=words):
            play(agent(stub.url, **arguments), kwargs.pop("episodes"), out=tmp_path / "run", **kwargs)
        assert (tmp_path / "run/outcomes.jsonl").read_bytes() == before
        # What does not decide the outcomes may differ.
        play(agent(stub.url, timeout=9, attempts=3), 4, out=tmp_path / "run", parallel=3)


def test_parameters_of_any_agent_are_settings(tmp_path):
    from metis_agents.evaluate import evaluate
    from metis_agents.scripted import RandomAgent

    def start(probability):
        kwargs = {"taskset": TASKS, "tools": (), "progress": False}
        return evaluate(RandomAgent(probability), "MetisVQA-v0", 4, 0, out=tmp_path / "run", **kwargs)

    first = start(0.2)
    assert start(0.2).outcomes == first.outcomes
    with pytest.raises(StorageError, match=r"agent\.call_probability is 0\.2 there and 0\.9 here"):
        start(0.9)


def test_a_folder_is_written_by_one_process_at_a_time(tmp_path):
    from metis_agents.results.store import ResultStore

    with ResultStore(tmp_path / "run", {}), pytest.raises(StorageError, match="another process is writing"):
        ResultStore(tmp_path / "run", {})
    ResultStore(tmp_path / "run", {}).close()


@pytest.mark.parametrize("line", ["[]", "{}", '{"number": "x"}', "no json", '{"number": 1, "outcome": {}}'])
def test_a_damaged_line_is_named(line, tmp_path):
    with Stub(turns(ANSWER)) as stub:
        play(agent(stub.url), 2, out=tmp_path / "run")
        with (tmp_path / "run/outcomes.jsonl").open("a") as stream:
            stream.write(line + "\n")
        with pytest.raises(StorageError, match=r"outcomes\.jsonl, line 3"):
            play(agent(stub.url), 2, out=tmp_path / "run")


def test_a_limit_of_cost_stops_it_and_a_higher_one_goes_on(tmp_path):
    prices = Prices(read=0, written=1_000_000 / -(-len(ANSWER.encode()) // 4))  # an episode costs 1
    with Stub(turns(ANSWER)) as stub:
        report = play(agent(stub.url), 20, out=tmp_path / "run", token_prices=prices, max_cost=4.5)
        assert len(report.outcomes) == 5, "the fifth one passes the limit"
        assert report.cost == pytest.approx(len(report.outcomes))
        assert "no further episode begins" in report.stopped
        report = play(agent(stub.url), 20, out=tmp_path / "run", token_prices=prices, max_cost=100)
    assert len(report.outcomes) == 20
    assert report.stopped == ""


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"max_cost": 1.0}, "needs token_prices"),
        ({"max_cost": 0.0, "token_prices": Prices(read=1, written=1)}, "positive"),
    ],
)
def test_limits_of_cost_that_cannot_be_right(kwargs, words):
    with Stub() as stub, pytest.raises(ConfigError, match=words):
        play(agent(stub.url), 2, **kwargs)


def test_twenty_in_a_row_end_it_and_what_was_played_is_kept(tmp_path):
    asked = []

    def script(body):
        asked.append(body)
        return completion(ANSWER) if len(asked) <= 5 else Reply(status=500, body={})

    with Stub(script) as stub, pytest.raises(InfrastructureError, match="the last 20 episodes"):
        play(agent(stub.url, attempts=1), 60, out=tmp_path / "run")
    assert sum(played.outcome.scored for played in read_outcomes(tmp_path / "run")) == 5
    assert "the last 20 episodes" in json.loads((tmp_path / "run/report.json").read_text())["stopped"]


def test_recordings_and_requests(tmp_path):
    with Stub(turns(f"<tool_call>{LOOK}", ANSWER), keep=True) as stub:
        play(agent(stub.url), 6, parallel=3, record=tmp_path / "rec", tools=(f"{HERE}:Look",))
    runs = [Run(path.parent) for path in sorted((tmp_path / "rec").rglob("run.json"))]
    assert len(runs) == 3
    played = [event.returned["info"]["task_id"] for run in runs for event in run.events() if event.kind == "reset"]
    assert len(set(played)) == len(played) == 6
    assert sorted(card.task_id for run in runs for card in run.tasks()) == sorted(played)
    assert all(run.notes["agent"] == "m" for run in runs)
    assert all(list(replay(run, trust=True)) == [] for run in runs)
    logged = read_requests(tmp_path / "rec/requests.jsonl.gz")
    assert len(logged) == len(stub.requests) == 12
    text = json.dumps(logged)
    assert "sha256:" in text
    assert "base64" not in text


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_requests_that_were_cut_off_by_a_kill_do_not_spoil_the_file(tmp_path, cut):
    path = tmp_path / "requests.jsonl.gz"
    log = RequestLog(path)
    for number in range(3):
        log.write({"number": number}, {"status": 200})
    path.write_bytes(path.read_bytes()[:-cut])
    RequestLog(path).write({"number": 9}, {"status": 200})
    numbers = [line["request"]["number"] for line in read_requests(path)]
    assert (numbers[0], numbers[-1]) == (0, 9)


def test_results_side_by_side(tmp_path, capsys):
    with Stub(default_script) as stub:
        play(agent(stub.url), 12, out=tmp_path / "a", token_prices=Prices(read=1, written=1))
        play(agent(stub.url, label="other"), 10, out=tmp_path / "b", dialect="qwen")
    assert main(["results", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "These runs differ in: env.dialect, episodes." in printed
    first = read_run(tmp_path / "a")
    assert compare_runs([first, read_run(tmp_path / "b")]) + "\n" == printed
    assert f"{first.metrics['accuracy'].mean:.2f}" in printed
    assert f"{first.usage.prompt_tokens:,}" in printed
    assert main(["results", str(tmp_path / "nothing")]) == 2
    assert "holds no evaluation" in capsys.readouterr().err


def test_the_command(tmp_path, capsys):
    words = ["eval", "--agent", "openai:base_url=stub", "--taskset", TASKS, "--quiet", "--episodes", "6"]
    more = [
        "--parallel",
        "3",
        "--out",
        str(tmp_path / "run"),
        "--record",
        str(tmp_path / "rec"),
        "--price",
        "in=1,out=2",
    ]
    assert main([*words, *more, "--dialect", "qwen", "--env.max-turns", "2"]) == 0
    out = capsys.readouterr().out
    assert f"metis-gym results {tmp_path / 'run'}" in out
    assert f"metis-gym view {tmp_path / 'rec'}" in out
    assert max(map(len, out.splitlines()[1:8])) <= 100, "the table is narrow"
    settings = json.loads((tmp_path / "run/settings.json").read_text())
    assert settings["env"]["dialect"] == "qwen"
    assert settings["env"]["max_turns"] == 2
    assert main([*words, "--env.max-turn", "2"]) == 2
    assert "Did you mean 'max_turns'" in capsys.readouterr().err
    assert main([*words, "--env.max-turns", "two"]) == 2
    assert "a whole number" in capsys.readouterr().err
    assert main([*words, "--price", "in=1"]) == 2
    assert "out=PRICE" in capsys.readouterr().err


def test_several_agents_have_a_folder_each(tmp_path, capsys):
    agents = ["openai:base_url=stub,label=a/b", "never-tool"]
    words = ["--taskset", TASKS, "--episodes", "4", "--workers", "1", "--quiet", "--out", str(tmp_path / "run")]
    assert main(["eval", "--agent", *agents, *words]) == 0
    printed = capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["1-a_b", "2-never-tool"]
    assert main(["results", *re.search(r"metis-gym results (.*)", printed)[1].split()]) == 0
    assert "1-a_b" in capsys.readouterr().out


def test_every_lane_takes_its_parameters_from_a_spec():
    assert make_agent("openai:model=m,base_url=stub,label=x").name == "x"
    assert make_agent("opaque:model=m,base_url=stub,label=x").name == "x"
    assert make_agent("hf:model=m,label=x").name == "x"
    for spec in ("openai:model=m,base_url=stub", "opaque:model=m,base_url=stub", "hf:model=m"):
        valid = inspect.signature(AGENTS.get(spec.partition(":")[0])).parameters
        assert not {"name", "self"} & set(valid), "a registry's own arguments"


def test_evaluating_an_endpoint_imports_no_torch():
    code = (
        "import sys; from metis_gym.cli import main; "
        f"main(['eval', '--agent', 'openai:base_url=stub', '--taskset', {TASKS!r}, '--episodes', '2', '--quiet', "
        "'--env.dialect', 'native']); sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
