"""`metis-gym train --environments`: a run whose environments are another process's."""

import json

import pytest

from metis_agents.qwen3vl.train.command import read_config, with_environments
from metis_gym.cli import main
from metis_gym.errors import ConfigError

pytest.importorskip("openenv")
pytestmark = pytest.mark.filterwarnings("default")


def test_the_servers_decide_what_is_played(tmp_path):
    config = read_config(["--environments", "http://a:1", "http://b:2", "--out", str(tmp_path), "--lr", "1e-3"])
    assert config.env_id == "MetisRemote-v0" and dict(config.env) == {"urls": ("http://a:1", "http://b:2")}
    assert config.trainer.lr == 1e-3
    with pytest.raises(ConfigError, match="taskset"):
        read_config(["--environments", "http://a:1", "--out", str(tmp_path), "--env.taskset", "signs"])


@pytest.mark.parametrize(
    "words", [["--environments"], ["--environments", "--lr", "1"], ["--environments", "http://a+b"]]
)
def test_addresses_are_wanted(words):
    with pytest.raises(ConfigError, match="addresses of servers"):
        with_environments(words)


@pytest.mark.slow
def test_a_tiny_model_trains_on_a_server_as_it_does_here(tmp_path):
    """Two batches of RL, the same to the last bit as with local environments: `--exact`."""
    from metis_gym.serve.app import ServeConfig
    from metis_gym.serve.running import Workers

    env = {"taskset": "patches", "view_size": 64, "max_source": 1024, "answers": "open", "grader_noise": 0.2}
    common = [
        *("--batches", "2", "--tasks", "2", "--group-size", "2", "--minibatches", "1", "--sft-steps", "0", "--exact"),
        *("--episodes", "4", "--samples", "0", "--threads", "1", "--grounding-steps", "0"),
    ]
    local = [word for name, value in env.items() for word in (f"--env.{name.replace('_', '-')}", str(value))]
    running = Workers(ServeConfig(env=env, sessions=16), "127.0.0.1", 0, 1)
    try:
        urls = [f"http://127.0.0.1:{port}" for port in running.ports]
        assert main(["train", "--out", str(tmp_path / "far"), *common, "--environments", *urls]) == 0
    finally:
        running.close()
    assert main(["train", "--out", str(tmp_path / "near"), *common, *local]) == 0
    far, near = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("far", "near")
    )
    assert len(far) >= 2
    for one, other in zip(far, near, strict=True):
        assert {k: v for k, v in one.items() if "seconds" not in k and "time" not in k} == {
            k: v for k, v in other.items() if "seconds" not in k and "time" not in k
        }
