"""`--engine vllm` under torchrun: each rank has a vLLM of its own, which takes up its weights."""

import json
import subprocess
import sys

import pytest
from test_served import ANSWER, CALL, TASKS, TRAIN, environment

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("more", [("--parallel", "ddp"), ("--parallel", "fsdp", "--lora", "none")], ids=["ddp", "fsdp"])
def test_two_ranks_train(tmp_path, more):
    """With FSDP the weights of the learning model are spread over the ranks; vLLM gets whole ones."""
    from toys import EITHER_FORM, write_checkpoint

    model = write_checkpoint(tmp_path / "start", "qwen3_vl", says=(CALL, ANSWER), form=EITHER_FORM)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "metis_gym",
    ]
    command += ["train", "--model", str(model), "--out", str(tmp_path / "run"), *TASKS, *TRAIN, *more]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["batch/scored"] for line in metrics] == [16, 16], "both ranks' episodes"
    assert all(line["update/grad_norm"] > 0 for line in metrics)
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
