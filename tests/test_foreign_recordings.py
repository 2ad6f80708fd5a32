"""Recordings that somebody else made: they run nothing, reach nothing, and end in an error that names file and line."""

import inspect
import json
import os
import socket
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.cli import main
from metis_gym.env import ToolUseEnv
from metis_gym.errors import MetisError, RecordingError, TaskIdError
from metis_gym.images.transforms import fingerprint, to_png
from metis_gym.numeric import NumericToolUseEnv
from metis_gym.recording import Run, replay
from metis_gym.recording.choices import _CHECKS, LEFT_OUT, chosen
from metis_gym.recording.files import MAX_HEADER_BYTES, MAX_LINE_BYTES
from metis_gym.tools.toolbox import Toolbox
from metis_gym.wrappers import Recorder

SIGNS = {"taskset": "signs:answers=choice,max_source=1344"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run with a crop, an error and an answer; its sandbox results are made up."""
    folder = tmp_path_factory.mktemp("recorded") / "run"
    env = Recorder(gym.make("MetisVQA-Discrete-v0"), folder)
    for seed in (0, 1):
        env.reset(seed=seed)
        env.step(5)
        env.step(1)
    env.close()
    return folder


@pytest.fixture
def run(recorded, tmp_path):
    return copied(recorded, tmp_path / "run")


def copied(source, folder):
    (folder / "images").mkdir(parents=True)
    for path in source.rglob("*"):
        if path.is_file():
            (folder / path.relative_to(source)).write_bytes(path.read_bytes())
    return folder


def header(run):
    return json.loads((run / "run.json").read_text())


def write_header(run, **spec):
    read = header(run)
    (run / "run.json").write_text(json.dumps({**read, "spec": {**read["spec"], **spec}}))


def lines(run):
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def write_lines(run, events):
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def ends_in_one_line(run, capsys, *options):
    """`metis-gym replay` says what is wrong in one line and ends with exit code 2."""
    assert main(["replay", str(run), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


# -- what a recording may choose ------------------------------------------------------------------------------------


def canary(tmp_path):
    marker = tmp_path / "ran"
    return marker, [sys.executable, "-c", f"open({str(marker)!r}, 'w')"]


def test_an_entry_point_of_its_own_is_not_called(run, tmp_path, capsys):
    marker, command = canary(tmp_path)
    write_header(run, entry_point="subprocess:run", kwargs={"args": command})
    assert "entry_point is not for a recording to choose" in ends_in_one_line(run, capsys)
    assert "--trust" in ends_in_one_line(run, capsys)
    assert not marker.exists()
    ends_in_one_line(run, capsys, "--trust")  # it is what was asked for: the code runs, though it is no environment
    assert marker.exists()


HOSTILE_SPECS = {
    "another id": {"id": "CartPole-v1"},
    "an id that imports": {"id": "os:MetisVQA-v0"},
    "no id": {"id": None},
    "an id that is a list": {"id": ["MetisVQA-v0"]},
    "a vector entry point": {"vector_entry_point": "subprocess:run"},
    "a wrapper": {"additional_wrappers": [{"name": "W", "entry_point": "subprocess:run", "kwargs": {"args": "id"}}]},
    "wrappers that are a number": {"additional_wrappers": 3},
    "kwargs that are a list": {"kwargs": [1]},
    "steps": {"max_episode_steps": 3},
}


@pytest.mark.parametrize("name", HOSTILE_SPECS)
def test_only_an_environment_of_this_package_is_made(name, run, capsys, monkeypatch):
    monkeypatch.setattr(gym, "make", None)
    write_header(run, **HOSTILE_SPECS[name])
    assert "not for a recording to choose" in ends_in_one_line(run, capsys)


HOSTILE_ARGUMENTS = [
    {"url": "http://127.0.0.1:9/"},
    {"api_key_env": "HOME"},
    {"path": "/etc/passwd"},
    {"some_new_argument": True},
    {"taskset": "parquet:/etc/passwd"},
    {"taskset": "jsonl:/etc/passwd"},
    {"taskset": "folder:/etc"},
    {"taskset": "hub:somebody/something"},
    {"taskset": "signs+parquet:/etc/passwd"},
    {"taskset": ["signs", "hub:x"]},
    {"taskset": {"signs": 1.0, "jsonl:x": 1.0}},
    {"taskset": {"signs": "1"}},
    {"taskset": "my_package.module:Thing"},
    {"taskset": "signs:answers=my.module:Thing"},
    {"taskset": "signs:new_parameter=3"},
    {"taskset": "signs:answers=/etc/passwd"},
    {"taskset": []},
    {"taskset": None},
    {"taskset": 5},
    {"taskset": ["signs"] * 10_000},
    {"reward": "my_package.module:Design"},
    {"reward": "hdpo:w_tool=os.path"},
    {"reward": "accuracy:estimator=my_module"},
    {"reward": "accuracy:estimator=my.module:thing"},
    {"reward": {"hdpo": 1}},
    {"reward": "h" * 100_000},
    {"dialect": "my_package.module:Dialect"},
    {"dialect": ["metis"]},
    {"dialect": "metis:tool_images=/etc/passwd"},
    {"dialect": "deepeyes_v2:prefill='anything'"},
    {"grader": 'judge:model=a,base_url="http://a.example"'},
    {"grader": "judge:model=a,base_url=b,api_key_env=HOME"},
    {"tools": ["my_package.module:Tool"]},
    {"tools": "python"},
    {"tools": [["python"]]},
    {"tools": [{"name": "python"}]},
    {"prices": {"python": "1"}},
    {"prices": {"other": 1}},
    {"prices": {"python": -1}},
    {"split": "../test"},
    {"split": True},
    {"view_size": 10**9},
    {"view_size": "448"},
    {"view_size": True},
    {"max_source": 10**12},
    {"choices": 10**9},
    {"crop_grid": 10**9},
    {"calls_per_turn": 10**9},
    {"max_turns": -1},
    {"max_turns": 1e308},
    {"noise_key": 10**4000},
    {"grader_noise": "0.1"},
    {"required_share": [0.5]},
    {"answers": "all"},
    {"show_prices": "yes"},
]


@pytest.mark.parametrize("arguments", HOSTILE_ARGUMENTS, ids=lambda arguments: repr(arguments)[:60])
def test_only_checked_arguments_are_taken(arguments, run, capsys, monkeypatch):
    monkeypatch.setattr(gym, "make", None)
    write_header(run, kwargs=arguments)
    assert "is not for a recording to choose" in ends_in_one_line(run, capsys)


@pytest.mark.parametrize("kind", [ToolUseEnv, NumericToolUseEnv])
def test_somebody_decided_upon_every_argument(kind):
    """A new argument is refused from recordings until it stands in one of the two tables."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    names = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert names <= {*_CHECKS, *LEFT_OUT}
    assert not {*_CHECKS} & LEFT_OUT


def test_how_tools_run_is_left_out(run):
    hostile = {
        "sandbox": "unsafe",
        "text_engine": "serper:api_key_env=HOME,url=http://127.0.0.1:9/",
        "image_engine": "prepared:path=/etc/passwd",
        "curriculum": 10**9,
        "render_mode": "rgb_array",
    }
    write_header(run, kwargs=hostile)
    assert chosen(Run(run).spec) == ("MetisVQA-Discrete-v0", {})
    assert list(replay(Run(run))) == []


def test_what_the_project_records_may_be_chosen(tmp_path):
    arguments = {
        "taskset": {"signs:answers=choice": 1.0, "charts": 2.0},
        "tools": ("python", "text_search"),
        "dialect": "qwen",
        "reward": "accuracy:estimator=rloo",
        "prices": {"python": 0.5, "invalid": 2.0},
        "show_prices": True,
        "split": "test",
        "grader_noise": 0.1,
        "noise_key": 7,
        "required_share": 0.25,
        "max_source": 2048,
        "sandbox": "unsafe",
    }
    Recorder(gym.make("MetisVQA-v0", **arguments), tmp_path / "run").close()
    _, taken = chosen(Run(tmp_path / "run").spec)
    del arguments["sandbox"]
    assert taken == {**arguments, "tools": ["python", "text_search"]}


@pytest.mark.parametrize(
    "dialect", ["metis:released=true,tool_images=source", 'deepeyes_v2:prefill="<think>"', "thyme", "native"]
)
def test_dialects_with_options_may_be_chosen(dialect, tmp_path):
    Recorder(gym.make("MetisVQA-v0", taskset="patches", dialect=dialect), tmp_path / "run").close()
    assert chosen(Run(tmp_path / "run").spec)[1]["dialect"] == dialect


def test_a_replay_opens_no_session_and_no_socket(run, monkeypatch):
    def refused(*_args, **_kwargs):
        raise AssertionError("a replay runs nothing")

    monkeypatch.setattr(Toolbox, "run", refused)
    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(subprocess, "Popen", refused)
    for tool in ("metis_gym.tools.crop.CropTool.open", "metis_gym.tools.python.PythonTool.open"):
        monkeypatch.setattr(tool, refused)
    assert list(replay(Run(run))) == []


# -- what stands in the files ---------------------------------------------------------------------------------------


def set_at(event, path, value):
    """The event with one value, named by its path, replaced."""
    *way, last = path
    inner = event
    for key in way:
        inner = inner[key]
    inner[last] = value
    return event


DAMAGED_VALUES = [
    (["kind"], "restart"),
    (["kind"], ["reset"]),
    (["given"], None),
    (["given", "seed"], -1),
    (["given", "seed"], "7"),
    (["given", "options"], [1]),
    (["given", "options"], {"evil": 1}),
    (["given", "options"], {"member": -5}),
    (["returned"], []),
    (["returned", "info"], None),
    (["returned", "info", "task_id"], ""),
    (["returned", "info", "task_id"], None),
    (["returned", "info", "task_id"], "patches/train/64/1@0"),
    (["returned", "info", "task_id"], "patches/train/" + "9" * 5000 + "/1"),
    (["returned", "info", "task_id"], "patches:evil=1/train/64/1"),
    (["returned", "info", "task_id"], "patches:choices=many/train/64/1"),
    (["returned", "info", "task_id"], "patches:required_share=much/train/64/1"),
    (["returned", "info", "task_id"], "parquet:/etc/passwd"),
    (["returned", "info", "task_id"], "../../etc/passwd"),
    (["returned", "info", "correct"], {"a": 1}),
    (["returned", "observation"], 3),
    (["returned", "observation", "text"], {"$array": ["a"], "dtype": "uint8"}),
    (["returned", "observation", "text"], {"$array": [300], "dtype": "uint8"}),
    (["returned", "observation", "text"], {"$array": [[1], [1, 2]], "dtype": "uint8"}),
    (["returned", "observation", "text"], {"$array": [1], "dtype": "object"}),
    (["returned", "observation", "text"], {"$array": [1], "dtype": "(1000000000,)f8"}),
    (["returned", "observation", "text"], {"$array": [1], "dtype": "V1000000000"}),
    (["returned", "observation", "text"], {"$array": [1], "dtype": ["a", "b"]}),
    (["returned", "observation", "text"], {"$scalar": [1], "dtype": "uint8"}),
    (["returned", "observation", "text"], {"$scalar": 10**30, "dtype": "int64"}),
    (["returned", "observation", "image"], {"$image": "../../../etc/passwd"}),
    (["returned", "observation", "image"], {"$image": "/etc/passwd"}),
    (["returned", "observation", "image"], {"$image": "0" * 64}),
    (["returned", "observation", "image"], {"$image": ["a"]}),
    (["returned", "observation", "image"], {"$image": None}),
    (["returned", "observation", "images"], {"$tuple": 3}),
    (["returned", "observation", "images"], [1]),
    (["results"], None),
    (["results"], [{}]),
    (["results"], {"a": 1}),
    (["results"], [[]] * 10_000),
    (["failure"], 5),
]


@pytest.mark.parametrize(("path", "value"), DAMAGED_VALUES, ids=lambda part: repr(part)[:50])
def test_a_damaged_value_is_named_by_file_and_line(path, value, run, capsys):
    events = lines(run)
    write_lines(run, [*events[:3], set_at(events[3], path, value), *events[4:]])
    assert "(events.jsonl, line 4)" in ends_in_one_line(run, capsys)


STEPS = [
    (["returned", "reward"], "1"),
    (["returned", "terminated"], 1),
    (["given", "action"], None),
    (["given", "action"], 10**30),
    (["given", "action"], {"$tuple": [1]}),
    (["given", "action"], {"$array": [1, 2], "dtype": "int64"}),
    (["given", "action"], 99),
    (["results"], []),
]


@pytest.mark.parametrize(("path", "value"), STEPS, ids=lambda part: repr(part)[:50])
def test_a_damaged_step_is_named_by_file_and_line(path, value, run, capsys):
    events = lines(run)
    write_lines(run, [events[0], set_at(events[1], path, value), *events[2:]])
    assert "(events.jsonl, line 2)" in ends_in_one_line(run, capsys)


def test_events_out_of_order_are_named(run, capsys):
    events = lines(run)
    for order in ([1], [0, 1, 2, 2]):
        write_lines(run, [events[number] for number in order])
        assert f"(events.jsonl, line {len(order)})" in ends_in_one_line(run, capsys)


@pytest.mark.parametrize("field", ["name", "status", "output", "images", "captions", "seconds", "extra"])
def test_a_damaged_result_is_named(field, run, capsys):
    events = lines(run)
    events[1]["results"][0][field] = {"a": [1]}
    write_lines(run, events)
    assert "(events.jsonl, line 2)" in ends_in_one_line(run, capsys)


def test_a_result_of_another_tool_is_named(run, capsys):
    events = lines(run)
    events[1]["results"][0]["name"] = "text_search"
    write_lines(run, events)
    assert "which is no tool of its environment" in ends_in_one_line(run, capsys)


def test_another_number_of_images_is_a_difference(run):
    events = lines(run)
    image = events[0]["returned"]["observation"]["image"]
    events[0]["returned"]["observation"]["images"] = {"$tuple": [image, image]}
    write_lines(run, events)
    assert "observation.images" in {difference.field for difference in replay(Run(run))}


DAMAGED_LINES = {
    "no JSON": b"{\n",
    "not UTF-8": b'{"kind": "\xff"}\n',
    "a list": b"[]\n",
    "a number": b"3\n",
    "a huge number": b'{"kind": ' + b"9" * 10_000 + b"}\n",
    "deep lists": b"[" * 200_000 + b"]" * 200_000 + b"\n",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n",
    "deep, but parsed": b'{"kind":' + b"[" * 500 + b"]" * 500 + b"}\n",
    "a long line": b" " * (MAX_LINE_BYTES + 5) + b"\n",
    "an empty line": b"\n",
    "zeros": b"\0" * 1000 + b"\n",
}


@pytest.mark.parametrize("name", DAMAGED_LINES)
def test_a_damaged_line_is_named(name, run, capsys):
    events = (run / "events.jsonl").read_bytes().splitlines(keepends=True)
    (run / "events.jsonl").write_bytes(b"".join([events[0], DAMAGED_LINES[name], *events[2:]]))
    assert "(events.jsonl, line 2)" in ends_in_one_line(run, capsys)


DAMAGED_HEADERS = {
    "empty": b"",
    "a list": b"[]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe\x00",
    "no spec": b'{"format": 1, "versions": {}}',
    "a spec that is text": b'{"format": 1, "versions": {}, "spec": "MetisVQA-v0"}',
    "versions that are a list": b'{"format": 1, "versions": [], "spec": {}}',
    "another format": b'{"format": {"a": 1}}',
    "large": b" " * (MAX_HEADER_BYTES + 1),
}


@pytest.mark.parametrize("name", DAMAGED_HEADERS)
def test_a_damaged_header_is_named(name, run, capsys):
    (run / "run.json").write_bytes(DAMAGED_HEADERS[name])
    assert "run.json" in ends_in_one_line(run, capsys)


# -- which files are read -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["run.json", "events.jsonl", "image"])
def test_a_pipe_is_not_waited_for(name, run, capsys):
    path = next((run / "images").iterdir()) if name == "image" else run / name
    path.unlink()
    os.mkfifo(path)
    assert "is not a regular file" in ends_in_one_line(run, capsys)


@pytest.mark.parametrize("name", ["run.json", "events.jsonl", "image", "images"])
def test_files_outside_are_not_read(name, run, tmp_path, capsys):
    """Even a link to the very same content, for whoever follows links reads what the recording names."""
    path = {"image": next((run / "images").iterdir())}.get(name, run / name)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in ends_in_one_line(run, capsys)


def bomb(width, height):
    """A PNG that declares a size, with hardly anything in it."""
    data = bytearray(to_png(np.zeros((1, 1, 3), np.uint8)))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", bomb(60_000, 60_000), bomb(0, 5), bomb(10_000, 10), b"%!PS-Adobe-3.0 EPSF-3.0\n"],
    ids=["empty", "GIF", "bomb", "no pixels", "cut off", "EPS"],
)
def test_a_damaged_image_is_named(content, run, capsys):
    events = lines(run)
    name = events[0]["returned"]["observation"]["image"]["$image"]
    (run / "images" / f"{name}.png").write_bytes(content)
    assert "(events.jsonl, line 1)" in ends_in_one_line(run, capsys)


def test_an_image_is_decoded_once_for_an_event(run, monkeypatch):
    """A line that names one large image thousands of times costs as much as one that names it once."""
    from metis_gym.recording import reader

    read, original = [], reader.read_image
    monkeypatch.setattr(reader, "read_image", lambda folder, name: read.append(name) or original(folder, name))
    events = lines(run)
    image = events[0]["returned"]["observation"]["image"]
    events[0]["returned"]["observation"]["images"] = {"$tuple": [image] * 500}
    write_lines(run, events)
    assert len(next(Run(run).events()).returned["observation"]["images"]) == 500
    assert read.count(image["$image"]) == 1


def test_the_images_of_an_event_are_bounded_together(run, monkeypatch, capsys):
    """Each image that is named is the caller's own: a thousand names of one are a thousand images in memory."""
    from metis_gym.recording import reader

    monkeypatch.setattr(reader, "_MAX_EVENT_PIXELS", 64 * 64 * 10)  # the run's own events have two of 64 x 64
    events = lines(run)
    image = events[0]["returned"]["observation"]["image"]
    events[0]["returned"]["observation"]["images"] = {"$tuple": [image] * 11}
    write_lines(run, events)
    assert "pixels together" in ends_in_one_line(run, capsys)


# -- what a terminal gets -------------------------------------------------------------------------------------------


def test_no_escape_sequence_of_a_recording_reaches_the_terminal(run, capsys):
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r"
    events = lines(run)
    events[0]["returned"]["info"][f"key{evil}"] = evil
    write_lines(run, events)
    assert main(["replay", str(run)]) == 1
    events[1]["failure"] = {evil: evil}
    write_lines(run, events)
    assert main(["replay", str(run)]) == 2
    write_header(run, id=evil)
    assert main(["replay", str(run)]) == 2
    captured = capsys.readouterr()
    sent = captured.out + captured.err
    assert "\\x1b]0;owned\\x07" in sent
    assert not set(sent) & set("\x1b\x07\x9b\u202e\r")


# -- what is written can be read ------------------------------------------------------------------------------------


def test_marked_keys_of_an_action_are_kept(tmp_path):
    arguments = {"$image": "x", "$$": 1, "$tuple": [2], "$array": [1], "dtype": "O", "deep": [[[[1]]]]}
    action = {"name": "nothing", "arguments": arguments}
    env = Recorder(gym.make("MetisVQA-v0", **SIGNS), tmp_path / "run")
    env.reset(seed=1)
    env.step(action)
    env.step({"name": "nothing", "arguments": {"box": np.arange(3), "share": np.float32(0.5)}})
    env.close()
    actions = [event.given["action"] for event in Run(tmp_path / "run").events() if event.kind == "step"]
    assert actions[0] == action
    assert actions[1]["arguments"] == {"box": [0, 1, 2], "share": 0.5}
    assert list(replay(Run(tmp_path / "run"))) == []


def test_an_event_that_no_reader_takes_is_not_written(tmp_path):
    env = Recorder(gym.make("MetisVQA-v0", **SIGNS), tmp_path / "run")
    env.reset(seed=1)
    with pytest.raises(RecordingError, match="are read back"):
        env.step("x" * (MAX_LINE_BYTES + 1))
    env.close()


def test_errors_are_those_that_are_documented(run):
    events = lines(run)
    events[0]["returned"]["info"]["task_id"] = "patches/train/64/1@0"
    write_lines(run, events)
    with pytest.raises(TaskIdError, match=r"events\.jsonl, line 1.*other versions"):
        list(replay(Run(run)))
    assert issubclass(TaskIdError, MetisError)
    assert fingerprint(np.zeros((1, 1, 3), np.uint8)) not in os.listdir(run / "images")
