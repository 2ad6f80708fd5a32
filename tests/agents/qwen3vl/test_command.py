"""`metis-gym train` from end to end, with numbers so small that nothing is learned."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import psutil
import pytest
from safetensors.torch import load_file

from metis_agents.agents import make_agent
from metis_agents.play import play
from metis_agents.qwen3vl.train import command
from metis_agents.qwen3vl.train.command import read_config
from metis_gym.cli import main
from metis_gym.errors import ConfigError
from metis_gym.recording import Run, replay

SMALL = (
    *("--taskset", "patches", "--threads", "1", "--batches", "2", "--tasks", "2", "--group-size", "3"),
    *("--episodes", "3", "--samples", "1", "--grounding", "2", "--grounding-images", "4", "--cold-start", "2"),
    *("--demonstrations", "4", "--cold-start-batch", "2", "--turn-tokens", "24", "--response-tokens", "96"),
    *("--save-every", "1", "--evaluate-every", "1", "--lr", "0.01", "--workers", "2", "--exact"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sandbox_kwargs):
    """A finished run of three batches."""
    out = tmp_path_factory.mktemp("run")
    assert main(["train", "--out", str(out), *SMALL, "--batches", "3"]) == 0
    return out


def lines(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_what_it_promises(finished):
    report = json.loads((finished / "report.json").read_text())
    assert report["accuracy"]["n"] == 3
    assert [line["batch"] for line in lines(finished)] == [0, 1, 2]
    assert {"batch/accuracy", "update/grad_norm"} <= set(lines(finished)[0])
    assert json.loads((finished / "config.json").read_text())["design"] == "hdpo"
    assert sorted(path.name for path in (finished / "checkpoints").iterdir()) == ["000002", "000003"]
    assert (finished / "model" / "model.safetensors").exists()
    assert any((finished / "tensorboard").iterdir())


def test_a_cold_start_alone_is_also_measured_without_tools(tmp_path):
    assert main(["train", "--out", str(tmp_path), *SMALL, "--batches", "0"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["without_tools_none"]["n"] + report["without_tools_required"]["n"] == 3


def test_calls_that_cannot_be_forbidden_give_no_such_figure(tmp_path):
    assert main(["train", "--out", str(tmp_path), *SMALL, "--batches", "0", "--dialect", "plain"]) == 0
    assert "without_tools_none" not in json.loads((tmp_path / "report.json").read_text())


def test_its_samples_replay(finished):
    (sample,) = (finished / "samples" / "000003").iterdir()
    assert list(replay(Run(sample))) == []


def test_a_finished_run_is_an_agent(finished, capsys):
    assert main(["eval", "--agent", str(finished), "--episodes", "3", "--quiet"]) == 0
    assert f"{finished.name} on MetisVQA-v0, 3 episodes" in capsys.readouterr().out
    agent = make_agent(f"qwen3vl:model={finished},greedy=true")
    greedy = [play(agent, "MetisVQA-v0", tasks=3, **agent.env_kwargs) for _ in range(2)]
    assert greedy[0] == greedy[1]
    assert all(outcome.tokens > 0 for outcome in greedy[0]), "the model's own count, not an estimate"


def test_a_run_that_is_not_finished_is_no_agent(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ConfigError, match="not finished"):
        make_agent(str(tmp_path))


def test_a_resumed_run_is_the_uninterrupted_one(finished, tmp_path):
    arguments = ["train", "--out", str(tmp_path), *SMALL]
    assert main([*arguments, "--batches", "2"]) == 0
    assert main([*arguments, "--batches", "3", "--resume"]) == 0
    for ours, theirs in zip(lines(tmp_path), lines(finished), strict=True):
        assert {key: value for key, value in ours.items() if "evaluation" not in key} == {
            key: value for key, value in theirs.items() if "evaluation" not in key
        }
    assert (tmp_path / "model/model.safetensors").read_bytes() == (finished / "model/model.safetensors").read_bytes()


def test_a_folder_that_holds_a_run_is_not_overwritten(finished, capsys):
    assert main(["train", "--out", str(finished), *SMALL]) == 2
    assert "holds a run already: resume it, or choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "tools"), [((), None), (("--tools", "crop+text_search"), ("crop", "text_search"))])
def test_tools_are_those_of_the_tasks_unless_named(tmp_path, asked, tools):
    config = read_config(["--out", str(tmp_path), "--taskset", "mixture", *asked])
    assert config.env["tools"] == tools


@pytest.mark.parametrize("taskset", ["mixture", "patches", "patches+flags"])
@pytest.mark.parametrize("model", ["tiny", "Qwen/Qwen3-VL-8B-Instruct"])
def test_the_default_sizes_fit_the_tasks(tmp_path, model, taskset):
    config = read_config(["--out", str(tmp_path), "--taskset", taskset, "--model", model])
    env = gym.make(config.env_id, **config.env)
    observation, _ = env.reset(seed=0)
    assert observation["images"]
    env.close()


def test_a_trained_model_can_be_trained_on_with_lora(finished, tmp_path):
    model = ["--model", str(finished / "model"), "--cold-start", "0", "--lora", "2", "--kl", "0.01"]
    small = ["--view-size", "64", "--max-source", "1024", "--minibatches", "1"]
    assert main(["train", "--out", str(tmp_path), *SMALL, *model, *small]) == 0
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    # What it leaves is a whole model, which is evaluated and trained on as any other.
    assert (tmp_path / "model" / "model.safetensors").exists()
    assert main(["eval", "--agent", str(tmp_path), "--episodes", "1", "--quiet"]) == 0


def test_a_cold_start_by_lora_is_merged_into_the_language_model(finished, tmp_path):
    """RL's own LoRA is a new one, so that with it switched off the model is the one after the cold start."""
    model = ["--model", str(finished / "model"), "--lora", "2", "--view-size", "64", "--max-source", "1024"]
    chat = tmp_path / "chat.jsonl"
    said = [{"role": "user", "content": "colour?"}, {"role": "assistant", "content": "<answer>red</answer>"}]
    chat.write_text(json.dumps({"messages": said}) + "\n")
    small = ["--grounding", "0", "--minibatches", "1", "--batches", "1", "--cold-start-lr", "0.01"]
    data = ["--cold-start-data", str(chat)]
    assert main(["train", "--out", str(tmp_path / "run"), *SMALL, *model, *small, *data]) == 0
    before, after = (load_file(folder / "model.safetensors") for folder in (finished / "model", tmp_path / "run/start"))
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    assert len(moved) == 2 * 7  # layers × linear maps of each
    assert all("language_model" in name and "_proj" in name for name in moved)


def test_ranks_wait_for_each_other_for_an_hour(monkeypatch):
    told = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(command.dist, "init_process_group", lambda *names, **options: told.append(options))
    command._ranks("ddp")
    assert [options["timeout"].total_seconds() for options in told] == [3_600]


def test_a_design_that_there_is_not_is_named(tmp_path, capsys):
    small = ["--cold-start", "0", "--grounding", "0"]
    assert main(["train", "--out", str(tmp_path), *SMALL, *small, "--design", "hdpa"]) == 2
    assert "Did you mean 'hdpo'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_torchrun_trains_saves_and_goes_on(tmp_path, sandbox_kwargs, parallel):
    for more in ([], ["--batches", "3", "--resume"]):
        assert torchrun(tmp_path, "--parallel", parallel, *more).wait(280) == 0
    assert [line["batch"] for line in lines(tmp_path)] == [0, 1, 2]
    assert json.loads((tmp_path / "report.json").read_text())["accuracy"]["n"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"FULL": "1"}, {"GPUS": "2"}])
def test_the_script_of_the_8b_model_runs_with_a_small_one(finished, tmp_path, how):
    folder = Path(__file__).parents[3]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PATH": path, "OMP_NUM_THREADS": "1"}
    small = [*SMALL, "--batches", "1", "--cold-start", "0", "--view-size", "64", "--max-source", "1024"]
    subprocess.run(
        ["sh", "examples/train_qwen3vl_8b.sh", str(tmp_path), *small, "--dtype", "bfloat16"],
        cwd=folder,
        env={**environment, **how, "MODEL": str(finished / "model")},
        check=True,
        timeout=280,
    )
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model"]["gradient_checkpointing"]
    assert config["model"]["lora"] == (None if how else 64)
    assert config["rounding"] == ("stochastic" if "FULL" in how else "nearest")
    assert config["parallel"] == ("fsdp" if "GPUS" in how else "ddp")
    assert (tmp_path / "report.json").exists()


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_which_then_goes_on(tmp_path, sandbox_kwargs):
    run = torchrun(tmp_path, "--batches", "200")
    while not (tmp_path / "metrics.jsonl").exists() or len(lines(tmp_path)) < 2:
        assert run.poll() is None
        time.sleep(0.1)
    (second,) = (pid for pid in psutil.Process(run.pid).children(recursive=True) if is_rank(pid, 1))
    second.kill()
    assert run.wait(120) != 0
    done = int(max(path.name for path in (tmp_path / "checkpoints").iterdir()))
    assert torchrun(tmp_path, "--batches", str(done + 1), "--resume").wait(280) == 0
    assert [line["batch"] for line in lines(tmp_path)] == list(range(done + 1))


def torchrun(out, *more):
    """Start two ranks."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["metis_gym", "train", "--out", str(out), *SMALL, *more]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], env=environment)


def is_rank(process, rank):
    """Whether a process is this rank itself, not one of its sandboxes."""
    return process.environ().get("RANK") == str(rank) and "metis_gym" in process.cmdline()
