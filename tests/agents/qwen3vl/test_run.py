"""A run from Python: it is built first, and acts when told to."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metis_agents.qwen3vl.train import parts as parts_module
from metis_agents.qwen3vl.train.command import read_config
from metis_agents.qwen3vl.train.parallel import Replicated, Sharded, make_strategy
from metis_agents.qwen3vl.train.run import build
from metis_agents.rl import Ranks
from metis_gym.errors import CheckpointError, ConfigError

SMALL = (
    *("--taskset", "patches", "--batches", "2", "--tasks", "2", "--group-size", "2", "--exact", "--workers", "2"),
    *("--episodes", "2", "--samples", "0", "--grounding-steps", "1", "--grounding-images", "4", "--sft-steps", "1"),
    *("--demonstrations", "2", "--sft-batch", "2", "--turn-tokens", "16", "--response-tokens", "64"),
)


@pytest.fixture
def config(tmp_path):
    return read_config(["--out", str(tmp_path / "run"), *SMALL])


@pytest.fixture
def built(config):
    training = build(config)
    yield training
    training.close()


def weights_of(training):
    return {name: weight.clone() for name, weight in training.parts.equipment.model.state_dict().items()}


def written(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_building_loads_trains_and_writes_nothing(config, monkeypatch):
    for name in ("load_pretrained", "new_tiny", "scripted_texts", "equip", "Trainer", "RolloutWorker"):
        monkeypatch.setattr(parts_module, name, None)
    training = build(config)
    training.close()
    assert not config.out.exists()


def test_the_three_acts_leave_what_they_say(built, config):
    built.sft()
    assert written(config.out) == {"config.json"} | {name for name in written(config.out) if name.startswith("start/")}
    built.train()
    assert built.trainer.batches_done == 2
    assert (config.out / "checkpoints" / "000002").is_dir()
    assert len((config.out / "metrics.jsonl").read_text().splitlines()) == 2
    assert not (config.out / "report.json").exists()
    metrics = built.evaluate()
    assert set(metrics) == set(json.loads((config.out / "report.json").read_text()))
    assert (config.out / "model" / "model.safetensors").exists()


def interrupted_after(training, batches):
    save = training._save

    def stop():
        save()
        raise KeyboardInterrupt

    training._save = stop
    assert training.config.save_every == batches
    training.train()


def test_the_learning_rate_follows_its_schedule_and_evaluations_are_told(config):
    told = []
    config = replace(config, batches=3, schedule="linear", warmup=1, evaluate_every=2, cold_start=None)
    for stops in (True, False):  # a resumed run goes on with it
        training = build(config, resume=True, evaluated=lambda done, metrics: told.append((done, metrics)))
        if stops:
            training.config = replace(config, save_every=2)
            with pytest.raises(KeyboardInterrupt):
                interrupted_after(training, 2)
            training.close()
            continue
        training.train()
        metrics = training.evaluate()
        training.close()
    lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    lr = config.trainer.lr
    assert [line["update/lr"] for line in lines] == pytest.approx([lr, lr, lr / 2])
    assert [done for done, _ in told] == [2, 3]
    assert told[-1][1] == metrics


def test_the_cold_start_moves_the_model_and_training_alone_begins_without_it(config, tmp_path):
    models = {}
    for name, acts in {"with": ("sft",), "without": ()}.items():
        training = build(replace(config, out=tmp_path / name, batches=0))
        for act in acts:
            getattr(training, act)()
        training.train()
        models[name] = weights_of(training)
        assert (tmp_path / name / "start").is_dir()
        training.close()
    assert any(not torch.equal(weight, models["without"][name]) for name, weight in models["with"].items())


def test_a_model_can_be_evaluated_before_its_cold_start(config, tmp_path):
    """Looking first changes nothing: the cold start begins with a fresh model."""
    models = []
    for looks in (False, True):
        training = build(replace(config, out=tmp_path / f"{looks}"))
        if looks:
            training.evaluate()
        training.sft()
        models.append(weights_of(training))
        training.close()
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(weight, models[1][name]) for name, weight in models[0].items())


def test_a_cold_start_after_rl_is_refused(built):
    built.train()
    with pytest.raises(ConfigError, match=r"Expect sft\(\) before train\(\)"):
        built.sft()


def test_a_resumed_run_keeps_its_cold_start(config):
    first = build(config)
    first.run()
    before = (config.out / "start" / "model.safetensors").read_bytes()
    first.close()
    with pytest.raises(CheckpointError, match="holds a run already"):
        build(config)
    again = build(replace(config, batches=3), resume=True)
    again.sft()
    again.train()
    assert again.trainer.batches_done == 3
    again.close()
    assert (config.out / "start" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kl", "0.1"], "Expect LoRA with kl_coef > 0"),
        (["--parallel", "fsdp"], "Expect several ranks with parallel='fsdp'"),
        (["--env.curriculum", "4"], "Expect an environment with curriculum=0"),
        (["--grader-noise", "0.9"], "grader_noise must be a share"),
        (["--dialect", "metiss"], "Did you mean 'metis'"),
    ],
)
def test_what_cannot_be_right_is_an_error_before_anything_is_loaded(words, message, tmp_path):
    config = read_config(["--out", str(tmp_path / "run"), *SMALL, *words])
    with pytest.raises(ConfigError, match=message):
        build(config)
    assert not config.out.exists()


def test_strategies_are_chosen_by_name_and_answer_to_the_same_calls():
    class Two(Ranks):
        @property
        def size(self):
            return 2

    plain, sharded = make_strategy("ddp"), make_strategy("fsdp", Two())
    assert isinstance(plain, Replicated)
    assert isinstance(sharded, Sharded)
    public = [{name for name in dir(one) if not name.startswith("_")} for one in (plain, sharded)]
    assert public[0] == public[1]


def test_noise_is_keyed_by_the_seed_unless_a_key_is_given(config):
    keys = []
    for env in ({}, {"noise_key": 9}):
        made = parts_module.make_env(replace(config, seed=4, env={**config.env, **env}), "train")
        keys.append(made.unwrapped.noise.key)
        made.close()
    assert keys == [4, 9]


def test_the_python_block_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[3] / "docs" / "qwen3vl.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {})
    assert not list(tmp_path.iterdir())
