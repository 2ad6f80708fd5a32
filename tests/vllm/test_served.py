"""train → save → serve → eval, each as a user would do it: commands, and vLLM's own server of an OpenAI-compatible API.

The model says one of two texts in each turn, either with probability ½: a call of a tool that returns an image, with
more behind it than a stop string leaves; or an answer. What it says is therefore decided by the seed of the episode.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import requests

from metis_agents.chat.requests_log import read_requests
from metis_agents.results.compare import read_run
from metis_gym.cli import main

pytestmark = pytest.mark.timeout(1_500)

ROOT = Path(__file__).parents[2]
TOOL = "metis_gym.tools.crop:CropTool"  # needs no sandbox
BOX = '{"name": "python", "arguments": {"box": [0, 0, 96, 64]}}'
CALL = f"<reason>closer</reason><tool_call>{BOX}</tool_call> And now I wait."
ANSWER = "<reason>seen</reason><answer>red</answer>"
TASKS = ("--taskset", "patches", "--tools", TOOL, "--max-turns", "2", "--view-size", "64", "--max-source", "1024")
TRAIN = (
    *("--engine", "vllm", "--vllm.cache-mib", "64", "--importance-cap", "2", "--lora", "2", "--lr", "1e-6"),
    *("--design", "coupled:alpha=0.5,gated=false"),  # calls cost something, whatever the answer
    *("--sft-steps", "0", "--grounding-steps", "0", "--batches", "2", "--tasks", "2", "--group-size", "4"),
    *("--minibatches", "1", "--episodes", "4", "--samples", "0", "--threads", "1", "--workers", "2", "--dtype"),
    *("float32", "--prompt-tokens", "4096", "--response-tokens", "768", "--turn-tokens", "64"),
    *("--observation-tokens", "512"),
)


def environment():
    path = os.pathsep.join([str(ROOT), str(ROOT / "envs"), str(ROOT / "agents")])
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with LoRA, whose rollouts vLLM wrote."""
    from toys import EITHER_FORM, write_checkpoint

    folder = tmp_path_factory.mktemp("served")
    model = write_checkpoint(folder / "start", "qwen3_vl", says=(CALL, ANSWER), form=EITHER_FORM)
    command = [sys.executable, "-m", "metis_gym", "train", "--model", str(model), "--out", str(folder / "run")]
    done = subprocess.run([*command, *TASKS, *TRAIN], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    return folder / "run"


@contextlib.contextmanager
def serving(model, log):
    """vLLM's server in a process group of its own, which ends with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "trained", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "8192", "--max-num-batched-tokens", "8192", "--no-enable-chunked-prefill"]
    command += ["--limit-mm-per-prompt", '{"image": 17, "video": 0}', "--skip-mm-profiling", "--enforce-eager"]
    command += ["--block-size", "32"]
    with log.open("w") as output:
        server = subprocess.Popen(
            command, env=environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _end(server)


def _wait_for(url, server, log):
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-3_000:]
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/health", timeout=10).ok:
                return
        time.sleep(0.5)
    raise AssertionError(f"the server did not start: {log.read_text()[-3_000:]}")


def _end(server):
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)


@pytest.fixture(scope="module")
def url(run, tmp_path_factory):
    with serving(run / "model", tmp_path_factory.mktemp("server") / "log") as url:
        yield url


def evaluated(url, out, *more):
    agent = f"openai:model=trained,base_url={url},temperature=1,max_tokens=64"
    words = ["--agent", agent, "--dialect", "metis", "--taskset", "patches", "--env.tools", TOOL, "--quiet"]
    words += ["--env.max-turns", "2", "--env.view-size", "64", "--env.max-source", "1024", "--env.answers", "open"]
    assert main(["eval", *words, "--episodes", "12", "--out", str(out), *more]) == 0
    return read_run(out).outcomes


def test_vllm_wrote_rollouts_that_the_trainer_learned_from(run):
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["batch"] for line in metrics] == [0, 1]
    assert all(0 < line["batch/tool_rate"] < 1 for line in metrics)
    assert all(line["update/grad_norm"] > 0 for line in metrics)


def test_episodes_are_played_on_the_server(url, tmp_path):
    """Calls, returned images, answers; a stop string ends a turn that would go on."""
    outcomes = evaluated(url, tmp_path / "run", "--parallel", "4", "--record", str(tmp_path / "recorded"))
    assert all(outcome.scored for outcome in outcomes)
    calls = [outcome.tool_calls for outcome in outcomes]
    assert {0, 1} <= set(calls)
    assert sum(outcome.tool_errors for outcome in outcomes if outcome.tool_calls < 3) == 0
    assert all(outcome.tokens > 0 for outcome in outcomes), "the server's own count"
    asked = read_requests(tmp_path / "recorded" / "requests.jsonl.gz")
    said = json.dumps(asked)
    assert "</tool_call>" in said
    assert "And now I wait" not in said
    images = [json.dumps(line["request"]["messages"]).count("sha256:") for line in asked]
    assert {1, 2} <= set(images), "the image that the tool returned goes back"


def test_seeds_decide_what_the_server_samples(url, tmp_path):
    one, same, other = (
        evaluated(url, tmp_path / name, "--seed", seed) for name, seed in (("one", "3"), ("same", "3"), ("other", "4"))
    )
    assert one == same
    assert [outcome.tool_calls for outcome in one] != [outcome.tool_calls for outcome in other]


def test_a_wrong_model_ends_the_run_with_the_servers_words(url, capsys):
    agent = f"openai:model=nobody,base_url={url}"
    assert main(["eval", "--agent", agent, "--taskset", "patches", "--episodes", "1", "--quiet"]) == 2
    assert "The model `nobody` does not exist" in capsys.readouterr().err


def test_our_own_lanes_load_what_is_served(run, tmp_path):
    """The same folder, by the engine of training and by transformers' own processor."""
    for agent in (f"qwen3vl:model={run}", f"hf:model={run / 'model'},dtype=float32,device_map=cpu,max_new_tokens=8"):
        words = ["--agent", agent, "--dialect", "metis", "--taskset", "patches", "--env.tools", TOOL, "--quiet"]
        words += ["--env.max-turns", "1", "--env.view-size", "64", "--env.max-source", "1024"]
        out = tmp_path / agent[:2]
        assert main(["eval", *words, "--episodes", "2", "--out", str(out)]) == 0
        assert all(outcome.scored and outcome.tokens for outcome in read_run(out).outcomes)


def test_the_hubs_own_classes_read_the_same_tokens(run):
    """`AutoProcessor` with the template that was saved: the ids of our renderer, each image with as many tokens."""
    from transformers import AutoProcessor

    from metis_agents.qwen3vl.model.models import ModelConfig, equip, load_pretrained

    config = ModelConfig(name=str(run / "model"))
    ours = equip(load_pretrained(config), config, ("</tool_call>",))
    processor = AutoProcessor.from_pretrained(run / "model")
    assert type(processor).__name__ == "Qwen3VLProcessor"
    image = np.random.default_rng(0).integers(0, 256, (80, 150, 3), dtype=np.uint8)
    content = [{"type": "image", "image": image}, {"type": "text", "text": "What is it?"}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    theirs = processor.apply_chat_template(messages, tokenize=True, return_dict=True, add_generation_prompt=True)
    expected = ours.renderer.prompt("Be brief.", "<image>What is it?", [image])
    assert list(theirs["input_ids"][0]) == expected.ids_T.tolist()
