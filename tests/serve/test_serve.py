"""Environments behind the real OpenEnv server: the same bytes as local ones, sessions that end, and what is refused."""

import contextlib
import json
import multiprocessing
import os
import queue
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request

import gymnasium as gym
import numpy as np
import psutil
import pytest

import metis_gym  # noqa: F401 — registers the ids
from metis_agents.evaluate import evaluate
from metis_agents.scripted import AlwaysToolAgent, NeverToolAgent
from metis_gym.backstage import backstage
from metis_gym.cli import main
from metis_gym.errors import ConfigError, InfrastructureError, InvalidActionError
from metis_gym.serve.connection import Session, read_spec
from metis_gym.serve.images import read_data_url, to_data_url

pytest.importorskip("openenv")
pytestmark = pytest.mark.filterwarnings("default")  # those of OpenEnv and what it brings

ENV = {"taskset": "signs", "answers": "choice", "reward": "hdpo", "grader_noise": 0.4}
CALL = {"name": "python", "arguments": {"code": "image_1.crop((0, 0, 40, 30))"}}
CODE = f"<reason></reason><tool_call>{json.dumps(CALL)}</tool_call>"
TOKEN = "a token of more than 16"


class Threads:
    """Servers in threads of this process, which start faster than workers; those are for tests that kill them."""

    def __init__(self, config, count):
        from metis_gym.serve.running import serve_here

        self.ports, self._lives = [], []
        for _ in range(count):
            life, theirs = multiprocessing.Pipe()
            listening = queue.SimpleQueue()
            options = {"started": listening.put, "parent": theirs}
            thread = threading.Thread(target=serve_here, args=(config, "127.0.0.1", 0), kwargs=options, daemon=True)
            thread.start()
            self.ports.append(listening.get(timeout=60))
            self._lives.append((life, thread))

    def close(self):
        for life, thread in self._lives:
            life.close()
            thread.join()


@contextlib.contextmanager
def serving(*, workers=0, threads=1, sessions=4, **options):
    from metis_gym.serve.app import ServeConfig
    from metis_gym.serve.running import Workers

    config = ServeConfig(env=ENV, sessions=sessions, **options)
    running = Workers(config, "127.0.0.1", 0, workers) if workers else Threads(config, threads)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def servers():
    """Two servers with four sessions each."""
    with serving(threads=2) as running:
        yield running


def urls(running):
    return [f"http://127.0.0.1:{port}" for port in running.ports]


def remote(running, **options):
    return gym.make("MetisRemote-v0", disable_env_checker=True, urls=urls(running), **options)


def eventually(condition, seconds=30.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def same(one, other):
    """Two observations, images included."""
    assert {key: one[key] for key in ("system", "text")} == {key: other[key] for key in ("system", "text")}
    assert len(one["images"]) == len(other["images"])
    assert all(np.array_equal(a, b) for a, b in zip(one["images"], other["images"], strict=True))


def test_the_same_seed_gives_the_same_bytes_as_a_local_environment(servers, sandbox_kwargs):
    far, near = remote(servers), gym.make("MetisVQA-v0", disable_env_checker=True, **ENV)
    for seed in (5, None, 7):  # without a seed, the next task of the same stream
        there, here = far.reset(seed=seed), near.reset(seed=seed)
        same(there[0], here[0])
        assert there[1] == here[1]
        for action in (CODE, {"name": "zoom", "arguments": {}}, {"answer": "10:30"}):
            there, here = far.step(action), near.step(action)
            same(there[0], here[0])
            assert there[1:] == here[1:]
        assert there[2] is True and far.unwrapped.outcome == near.unwrapped.outcome
        assert far.unwrapped.grade == near.unwrapped.grade
        with pytest.raises(gym.error.ResetNeeded):
            far.step(CODE)
    assert len(far.unwrapped.episode.turns) == 3 and far.unwrapped.episode.turns[-1].answer == "10:30"
    assert far.unwrapped.episode.task.question == near.unwrapped.episode.task.question
    with pytest.raises(InvalidActionError):
        far.reset(seed=1) and far.step(3.5)
    far.close()
    near.close()


def test_an_evaluation_on_servers_has_the_outcomes_of_a_local_one(servers):
    for agent in (NeverToolAgent(), AlwaysToolAgent()):
        there = evaluate(agent, "MetisRemote-v0", 6, 3, progress=False, urls=urls(servers), noise_key=9)
        here = evaluate(agent, "MetisVQA-v0", 6, 3, progress=False, **{**ENV, "noise_key": 9})
        assert there.outcomes == here.outcomes
        assert all(outcome.scored for outcome in there.outcomes)


def test_sessions_are_spread_and_bounded_and_one_that_closes_makes_room(servers):
    playing = [remote(servers) for _ in range(8)]
    for env in playing:
        assert env.reset(seed=1)[1]["scored"]
    ninth = remote(servers)
    assert not ninth.reset(seed=1)[1]["scored"]  # there is no room: the episode cannot be scored
    assert ninth.step("<answer>A</answer>")[2:4] == (False, True)
    assert "could begin" in str(ninth.unwrapped.failure)
    playing[0].close()
    eventually(lambda: ninth.reset(seed=1)[1]["scored"])
    for env in (*playing, ninth):
        env.close()


def test_a_client_that_is_killed_frees_its_session_and_its_sandbox(sandbox_kwargs):
    client = textwrap.dedent(
        f"""
        import gymnasium as gym, metis_gym, sys, time
        env = gym.make("MetisRemote-v0", disable_env_checker=True, urls=sys.argv[1:])
        env.reset(seed=1)
        print(len(env.step({CODE!r})[0]["images"]), flush=True)
        time.sleep(600)
        """
    )
    with serving(sessions=1) as running:
        kept = children(psutil.Process())
        process = subprocess.Popen([sys.executable, "-c", client, *urls(running)], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "1\n"
        assert children(psutil.Process()) - kept - {process.pid}, "its sandbox has processes"
        process.kill()
        process.wait()
        process.stdout.close()
        env = remote(running)
        eventually(lambda: env.reset(seed=1)[1]["scored"])
        env.close()


def children(process):
    return {child.pid for child in process.children(recursive=True)}


def test_a_killed_worker_loses_its_own_episodes_only_and_leaves_no_sandbox(sandbox_kwargs):
    with serving(workers=2, sessions=2) as running:
        playing = [remote(running) for _ in range(2)]
        ports = [env.unwrapped for env in playing]
        for env in playing:
            env.reset(seed=2)
            assert env.step(CODE)[4]["scored"]
        first = ports[0]._session._socket.remote_address[1]
        victim = running.ports.index(first)
        assert {one._session._socket.remote_address[1] for one in ports} == set(running.ports)
        process = psutil.Process(running.pids[victim])
        sandboxes = process.children(recursive=True)
        assert sandboxes
        os.kill(running.pids[victim], signal.SIGKILL)
        observation, reward, terminated, truncated, info = playing[0].step(CODE)
        assert (reward, terminated, truncated, info["scored"]) == (0.0, False, True, False)
        assert info["tool_calls"] == 1.0 and "not be scored" in observation["text"]
        assert isinstance(backstage(playing[0]).failure, InfrastructureError)
        assert playing[1].step("<answer>A</answer>")[4]["scored"]  # the other one's goes on
        eventually(lambda: not any(child.is_running() and child.status() != "zombie" for child in sandboxes))
        stopped = threading.Event()
        again = running.watch(stopped)
        assert next(again) == first  # the worker is there again
        stopped.set()
        assert playing[0].reset(seed=2)[1]["scored"]
        for env in playing:
            env.close()


def ask(url, path, *, method="GET", headers=(), body=None):
    request = urllib.request.Request(url + path, data=body, method=method, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/health", {}, 200),
        ("GET", "/spec", {}, 200),
        ("GET", "/schema", {}, 200),
        ("POST", "/reset", {}, 404),
        ("POST", "/step", {}, 404),
        ("POST", "/mcp", {}, 404),
        ("GET", "/state", {}, 404),
        ("GET", "/metadata", {}, 404),
        ("GET", "/docs", {}, 404),
        ("POST", "/spec", {}, 405),
        ("GET", "/spec", {"Origin": "https://elsewhere.example"}, 403),
        ("GET", "/spec", {"Host": "elsewhere.example"}, 403),
    ],
)
def test_only_what_is_needed_is_answered(servers, method, path, headers, status):
    body = b"{}" if method == "POST" else None
    assert ask(urls(servers)[0], path, method=method, headers=headers, body=body)[0] == status


def test_the_spec_names_no_place_of_the_server(servers):
    told = json.loads(ask(urls(servers)[0], "/spec")[1])
    assert told["env"]["taskset"] == "signs" and not {"sandbox", "text_engine", "image_engine"} & set(told["env"])


def talk(running, *messages, headers=None, path="/ws"):
    """Send messages as any client may; the answers."""
    from websockets.sync.client import connect

    where = f"ws://127.0.0.1:{running.ports[0]}{path}"
    with connect(where, proxy=None, compression=None, additional_headers=headers, max_size=None) as connection:
        answers = []
        for message in messages:
            connection.send(message if isinstance(message, str) else json.dumps(message))
            answers.append(json.loads(connection.recv(timeout=30)))
        return answers


def test_openenvs_own_client_plays(servers):
    from openenv.core import GenericEnvClient

    with GenericEnvClient(base_url=urls(servers)[0]).sync() as client:
        begun = client.reset(seed=5)
        assert begun.observation["system"] and not begun.done
        near = gym.make("MetisVQA-v0", disable_env_checker=True, **ENV)
        here = near.reset(seed=5)[0]
        assert begun.observation["text"] == here["text"]
        assert np.array_equal(read_data_url(begun.observation["images"][0]), here["images"][0])
        assert client.step({"text": "<answer>A</answer>"}).done


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        {"type": "nothing"},
        {"type": "reset", "data": {"seed": "1"}},
        {"type": "reset", "data": {"seed": -1}},
        {"type": "reset", "data": {"seed": True}},
        {"type": "reset", "data": {"member": 1.5}},
        {"type": "reset", "data": {"split": "validation"}},
        {"type": "reset", "data": {"task_id": ["signs"]}},
        {"type": "reset", "data": {"task_id": "x" * 5_000}},
        {"type": "reset", "data": {"task_id": "parquet:/etc/passwd/train/64/1@0"}},
        {"type": "reset", "data": {"task_id": "signs/train/64/not-a-number@0"}},
        {"type": "step", "data": {"text": "no episode yet"}},
        {"type": "step", "data": {"text": 5}},
        {"type": "step", "data": {"name": "python"}},
        {"type": "mcp", "data": {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}},
    ],
    ids=lambda message: json.dumps(message)[:60],
)
def test_what_clients_send_is_refused_without_a_word_about_the_server(servers, message):
    with contextlib.suppress(Exception):  # some end the connection
        for answer in talk(servers, message):
            assert answer["type"] in ("error", "mcp")
            said = json.dumps(answer)
            assert "/work" not in said and ".py" not in said and "Traceback" not in said and "site-packages" not in said
    assert talk(servers, {"type": "reset", "data": {"seed": 1}})[0]["type"] == "observation"  # and goes on


def test_a_message_that_is_too_large_ends_the_connection_alone(servers):
    from websockets.exceptions import ConnectionClosed

    with pytest.raises(ConnectionClosed):
        talk(servers, json.dumps({"type": "step", "data": {"text": "x" * (2 << 20)}}))
    assert talk(servers, {"type": "reset", "data": {"seed": 1}})[0]["type"] == "observation"


def test_a_session_of_somebody_else_cannot_be_joined(servers):
    (begun,) = talk(servers, {"type": "reset", "data": {"seed": 1}}, path="/ws?session_id=anything")
    assert begun["type"] == "observation"  # it is a session of one's own


def test_with_a_token_nobody_else_is_let_in(monkeypatch):
    from websockets.exceptions import InvalidStatus

    monkeypatch.setenv("METIS_TEST_TOKEN", TOKEN)
    with serving(sessions=1, token=TOKEN) as running:
        url = urls(running)[0]
        right = {"Authorization": f"Bearer {TOKEN}"}
        shown = (None, TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}")
        for wrong in ({} if text is None else {"Authorization": text} for text in shown):
            assert ask(url, "/spec", headers=wrong)[0] == 403
            with pytest.raises(InvalidStatus):
                talk(running, {"type": "reset"}, headers=wrong)
        assert ask(url, "/spec", headers={**right, "Host": "elsewhere.example"})[0] == 200
        assert ask(url, "/spec", headers={**right, "Origin": "https://elsewhere.example"})[0] == 403
        env = remote(running, token_env="METIS_TEST_TOKEN")
        assert env.reset(seed=1)[1]["scored"]
        assert TOKEN not in repr(env.unwrapped.spec) + repr(env.unwrapped.__getstate__())
        env.close()
        with pytest.raises(InfrastructureError) as refused:
            remote(running)
        assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "a token is required"),
        (["--host", "0.0.0.0", "--token-env", "METIS_NO_SUCH"], "'METIS_NO_SUCH'"),
        (["--host", "0.0.0.0", "--token-env", "METIS_SHORT"], "at least 16"),
        (["--port", "70000"], "--port must be"),
        (["--sessions", "0"], "--sessions must be at least 1"),
        (["--idle", "0"], "idle above 0"),
        (["--set", "reward"], "--set takes name=value"),
        (["--taskset", "sings"], "signs"),
        (["--set", "veiw_size=64"], "view_size"),
        (["--env", "MetisSings-v0"], "MetisSigns-v0"),
    ],
)
def test_the_command_says_what_is_wrong(words, said, capfd, monkeypatch):
    monkeypatch.setenv("METIS_SHORT", "short")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert main(["serve", *words]) == 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert said in capfd.readouterr().err


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        from metis_gym.serve.app import ServeConfig
        from metis_gym.serve.running import Workers

        with pytest.raises(ConfigError, match=f"port {port}"):
            Workers(ServeConfig(env=ENV), "127.0.0.1", port, 1)


def test_a_session_that_was_ended_plays_no_more():
    from metis_gym.serve.app import ServeConfig
    from metis_gym.serve.environment import MetisEnvironment, RefusedError
    from metis_gym.serve.models import MetisAction

    session = MetisEnvironment(ServeConfig(env=ENV).make_env, "train", "png")
    assert session.reset(seed=1).info["scored"]
    session.close()  # as OpenEnv does with one that is idle
    for act in (lambda: session.reset(seed=1), lambda: session.step(MetisAction(text="A"))):
        with pytest.raises(RefusedError, match="idle for too long"):
            act()


def test_images_survive_as_png_and_nearly_as_jpeg():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert np.array_equal(read_data_url(to_data_url(image, "png")), image)
    smooth = np.full((20, 30, 3), 100, np.uint8)
    assert np.abs(read_data_url(to_data_url(smooth, "jpeg")).astype(int) - 100).max() <= 2
    with pytest.raises(ConfigError, match="png or jpeg"):
        to_data_url(image, "gif")


@pytest.mark.parametrize("given", [[], "http://127.0.0.1:1", ["ftp://127.0.0.1"]])
def test_addresses_that_are_none_are_refused(given):
    with pytest.raises(ConfigError):
        gym.make("MetisRemote-v0", urls=given)


def test_a_server_that_is_not_there_is_an_infrastructure_failure():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InfrastructureError):
        read_spec([f"http://127.0.0.1:{port}"], "")
    with pytest.raises(InfrastructureError, match="no server could begin"):
        Session([f"http://127.0.0.1:{port}"], "", 1.0).begin({})
