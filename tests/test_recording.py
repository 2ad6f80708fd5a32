"""Recorded runs replay to identical observations and infos, and broken ones say what is wrong."""

import json

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.cli import main
from metis_gym.errors import InfrastructureError, RecordingError, TaskIdError
from metis_gym.images.transforms import fingerprint, to_png
from metis_gym.recording import Run, replay
from metis_gym.records import ToolResult, ToolStatus
from metis_gym.tools import TOOLS, Tool, ToolSession
from metis_gym.wrappers import Recorder

SIGNS = {"taskset": "signs:answers=choice,max_source=1792,required_share=0"}


class DiceSession(ToolSession):
    """Never gives the same twice: only recorded results can replay it."""

    rolls = 0

    def call(self, arguments):
        DiceSession.rolls += 1
        if arguments["text"] == "break":
            raise InfrastructureError("the dice are lost")
        image = np.full((64, 96, 3), DiceSession.rolls % 256, np.uint8)
        return ToolResult(name="dice", status=ToolStatus.OK, output=f"roll {DiceSession.rolls}", images=(image,))


@TOOLS.register("dice")
class DiceTool(Tool):
    """Rolls dice."""

    name = "dice"
    description = "Rolls."
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    def open(self, task, *, seed):
        return DiceSession()


def roll(text="go"):
    return {"name": "dice", "arguments": {"text": text}}


def record(folder):
    env = Recorder(gym.make("MetisVQA-v0", tools=("dice",), max_turns=2, **SIGNS), folder)
    env.reset(seed=5)
    for action in ([roll(), roll()], "\ud800 <tool_call>{", {"answer": "B"}):
        env.step(action)
    env.reset()
    env.step([roll(), roll("break")])
    env.reset(options={"task_id": env.unwrapped.episode.task.task_id})
    for _ in range(3):
        env.step(roll())
    env.close()


@pytest.fixture
def run(tmp_path):
    record(tmp_path / "run")
    return tmp_path / "run"


def test_a_replay_is_identical_although_the_tool_never_repeats_itself(run):
    rolls = DiceSession.rolls
    assert list(replay(Run(run))) == []
    assert DiceSession.rolls == rolls, "a replay runs no tool"


def test_running_the_tools_again_reports_where_they_differ(run):
    fields = {difference.field for difference in replay(Run(run), live_tools=True)}
    assert fields == {"observation.text", "observation.images[0]", "observation.images[1]"}


def test_everything_is_there(run):
    events = list(Run(run).events())
    assert [event.kind for event in events] == ["reset", *["step"] * 3, "reset", "step", "reset", *["step"] * 3]
    assert events[0].given == {"seed": 5, "options": {}}
    assert events[1].given["action"] == [roll(), roll()]
    assert events[2].given["action"].startswith("\ud800")
    assert [result.output for result in events[1].results] == [f"roll {n}" for n in _first_two(events[1])]
    assert "the dice are lost" in events[5].failure
    assert events[5].returned["info"]["scored"] is False
    assert isinstance(events[0].returned["observation"]["images"], tuple)


def _first_two(event):
    start = int(event.results[0].output.split()[1])
    return start, start + 1


def test_each_image_is_stored_once(run):
    stored = sorted(path.stem for path in (run / "images").iterdir())
    events = list(Run(run).events())
    shown = [fingerprint(image) for event in events for image in event.returned["observation"]["images"]]
    returned = [fingerprint(image) for event in events for result in event.results for image in result.images]
    assert stored == sorted({*shown, *returned})
    assert len(stored) < len(shown) + len(returned)


def test_the_numeric_view_is_recorded_too(tmp_path):
    env = Recorder(gym.make("MetisVQA-Discrete-v0"), tmp_path / "run")
    for seed in range(3):
        env.reset(seed=seed)
        env.step(np.int64(4 + seed))
        env.step(1)
    env.close()
    assert list(replay(Run(tmp_path / "run"))) == []


def test_a_run_that_was_cut_off_replays_up_to_the_cut(run):
    events = run / "events.jsonl"
    events.write_bytes(events.read_bytes()[:-30])
    assert len(list(Run(run).events())) == 9
    assert list(replay(Run(run))) == []


def test_a_changed_observation_is_found(run):
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    event = json.loads(lines[1])
    event["returned"]["info"]["tool_calls"] = 7.0
    event["returned"]["observation"]["text"] += "!"
    (run / "events.jsonl").write_text("".join([lines[0], json.dumps(event) + "\n", *lines[2:]]))
    assert [difference.field for difference in replay(Run(run))] == ["info.tool_calls", "observation.text"]


def test_a_damaged_image_is_named(run):
    image = next((run / "images").iterdir())
    other = np.zeros((8, 8, 3), np.uint8)
    image.write_bytes(to_png(other))
    with pytest.raises(RecordingError, match="is damaged"):
        list(Run(run).events())
    image.unlink()
    with pytest.raises(RecordingError, match="cannot read event"):
        list(Run(run).events())


def test_runs_of_other_versions_are_refused(run):
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    (run / "events.jsonl").write_text("".join(line.replace("@", "@0") for line in lines))
    with pytest.raises(TaskIdError, match="other versions"):
        list(replay(Run(run)))
    header = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**header, "format": 99}))
    with pytest.raises(RecordingError, match="format 99"):
        Run(run)


def test_folders_that_cannot_be_used_are_refused(run, tmp_path):
    with pytest.raises(RecordingError, match="holds a run already"):
        Recorder(gym.make("MetisVQA-v0", **SIGNS), run)
    (tmp_path / "file").write_text("x")
    with pytest.raises(RecordingError, match="cannot record into"):
        Recorder(gym.make("MetisVQA-v0", **SIGNS), tmp_path / "file")
    with pytest.raises(RecordingError, match="holds no run"):
        Run(tmp_path)
    with pytest.raises(RecordingError, match="only environments of metis-gym"):
        Recorder(gym.make("CartPole-v1"), tmp_path / "other")


def test_the_command(run, capsys):
    assert main(["replay", str(run)]) == 0
    assert "0 differences" in capsys.readouterr().out
    assert main(["replay", str(run), "--live-tools"]) == 1
    assert "observation.text: recorded" in capsys.readouterr().out
    assert main(["replay", str(run / "nothing")]) == 2
    assert "holds no run" in capsys.readouterr().err
