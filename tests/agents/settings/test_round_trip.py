"""What a run writes as `config.json` gives, with `--config`, the same configuration."""

import dataclasses
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_agents.compare.options import COMPARE, MAP
from metis_agents.compare.plan import Plan, Settings
from metis_agents.compare.robustness import Map, Panel
from metis_agents.qwen3vl.model.models import ModelConfig
from metis_agents.qwen3vl.rollouts.rollout import Budget
from metis_agents.qwen3vl.rollouts.vllm_start import VllmConfig
from metis_agents.qwen3vl.sft.demonstrations import Habits
from metis_agents.qwen3vl.sft.sft import SFTConfig
from metis_agents.qwen3vl.train.command import TRAIN
from metis_agents.qwen3vl.train.config import ColdStartConfig, RunConfig
from metis_agents.rl import LossConfig, TrainerConfig
from metis_agents.sb3 import SFTConfig as SmallSFTConfig
from metis_agents.settings.command_line import parse
from metis_agents.settings.fields import assemble, flatten, to_json
from metis_gym.errors import ConfigError

words = st.text("abcdefgh_-./0123456789 ='\"é", min_size=1, max_size=12)
positive = st.floats(1e-9, 1e3)
count = st.integers(1, 10**6)
share = st.floats(0, 1)


def maybe(strategy):
    return st.none() | strategy


losses = st.builds(
    LossConfig,
    surrogate=st.sampled_from(["ppo_clip", "gspo", "cispo"]),
    denominator=st.sampled_from(["all", "qualifying", "signal"]),
    aggregation=st.sampled_from(["token-mean", "sequence-mean"]),
    entropy_coef=share,
    kl_coef=share,
    importance_cap=maybe(positive),
)
trainers = st.builds(
    lambda tasks, minibatches, **more: TrainerConfig(tasks=tasks * minibatches, minibatches=minibatches, **more),
    tasks=st.integers(1, 50),
    minibatches=st.integers(1, 5),
    group_size=count,
    lr=positive,
    weight_decay=share,
    max_grad_norm=maybe(positive),
    micro_batch_episodes=maybe(count),
    micro_batch_tokens=maybe(count),
    seed=count,
    loss=losses,
)
sft_configs = st.builds(
    SFTConfig, steps=count, batch=count, lr=positive, warmup=share, micro_batch_tokens=maybe(count), seed=count
)
cold_starts = st.builds(
    ColdStartConfig,
    sft=sft_configs,
    grounding=maybe(sft_configs),
    images=count,
    habits=st.builds(Habits, tool_rate_none=share, look=st.integers(16, 900)),
    lora=maybe(count),
    data=st.lists(words, max_size=3).map(tuple),
    train_vision=st.booleans(),
)
models = st.builds(
    ModelConfig,
    name=words,
    seed=count,
    lora=maybe(count),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    min_pixels=maybe(count),
    layout=st.sampled_from(["shared", "padded", "packed"]),
    gradient_checkpointing=st.booleans(),
)
environments = st.fixed_dictionaries(
    {},
    optional={
        "taskset": words | st.dictionaries(words, positive, max_size=2) | st.lists(words, max_size=2),
        "tools": maybe(st.lists(words, max_size=3)),
        "prices": maybe(st.dictionaries(words, share, max_size=2)),
        "view_size": count,
        "required_share": maybe(share),
        "show_prices": st.booleans(),
        "choices": maybe(st.integers(2, 8)),
        "text_engine": words,
    },
)
runs = st.builds(
    RunConfig,
    out=words.map(Path),
    model=models,
    env=environments,
    design=st.sampled_from(["hdpo", "coupled:alpha=0.3,gated=false"]),
    batches=st.integers(0, 9),
    trainer=trainers,
    budget=st.builds(Budget, prompt=count, response=st.just(500), turn=st.integers(1, 500), observation=count),
    cold_start=maybe(cold_starts),
    seed=count,
    keep=count,
    exact=st.booleans(),
    share_results=st.booleans(),
    engine=st.sampled_from(["transformers", "vllm"]),
    vllm=st.builds(VllmConfig, memory_share=st.floats(0.1, 1), cache_mib=maybe(count), sleep=st.booleans()),
    wandb=st.just("") | words,
)
numeric = st.fixed_dictionaries({}, optional={"choices": st.integers(2, 8), "prices": st.none(), "taskset": words})
shared = st.builds(
    Settings,
    env=numeric,
    batches=count,
    learning_rate=positive,
    start=st.builds(SmallSFTConfig, tasks=count, rate_none=share, seed=count),
)
plans = st.builds(
    Plan,
    designs=st.lists(st.sampled_from(["hdpo", "accuracy", "coupled:alpha=0.3"]), min_size=1, unique=True).map(tuple),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True).map(tuple),
    settings=shared,
)
maps = st.builds(
    Map,
    panels=st.lists(st.builds(Panel, words, st.just("hdpo:w_tool={}")), min_size=1, max_size=2).map(tuple),
    weights=st.lists(positive, min_size=1, max_size=3).map(tuple),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True).map(tuple),
    base_noise=share,
    settings=shared,
)


def reread(scheme, config, *more):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(to_json(config)))
        return parse(scheme, ["--config", str(path), *more]).config


@settings(max_examples=60, deadline=None)
@given(runs)
def test_a_run(config):
    assert reread(TRAIN, config) == config
    assert RunConfig.from_json(config.as_json()) == config


@settings(max_examples=30, deadline=None)
@given(plans)
def test_a_comparison(plan):
    assert reread(COMPARE, plan) == plan


@settings(max_examples=30, deadline=None)
@given(maps)
def test_a_map(plan):
    assert reread(MAP, plan) == plan


@settings(max_examples=40, deadline=None)
@given(runs)
def test_values_by_path_are_the_configuration(config):
    assert assemble(RunConfig, flatten(config)) == config


@settings(max_examples=20, deadline=None)
@given(runs, st.floats(1e-6, 1), st.integers(0, 99))
def test_flags_go_before_the_file_and_change_nothing_else(config, lr, seed):
    changed = reread(TRAIN, config, "--lr", repr(lr), "--env.view-size", "77")
    expected = dataclasses.replace(
        config, trainer=dataclasses.replace(config.trainer, lr=lr), env={**config.env, "view_size": 77}
    )
    assert changed == expected
    reseeded = reread(TRAIN, config, "--seed", str(seed))
    assert {reseeded.seed, reseeded.model.seed, reseeded.trainer.seed} == {seed}


def test_a_cold_start_that_a_file_lacks_can_be_asked_for():
    config = RunConfig(out=Path("there"))
    assert reread(TRAIN, config, "--sft-steps", "5").cold_start.sft.steps == 5
    with_one = dataclasses.replace(config, cold_start=ColdStartConfig())
    assert reread(TRAIN, with_one, "--sft-steps", "0").cold_start is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"desing": "hdpo"}, "unknown setting 'desing'. Did you mean 'design'"),
        ({"trainer": {"learning_rate": 1}}, "unknown setting 'trainer.learning_rate'"),
        ({"trainer": 3}, "to hold an object under 'trainer.'"),
        ({"design": 3}, "Expect 'design' in .* to be text"),
        ({"cold_start": {"data": "x"}}, "Expect 'cold_start.data' in .* to be a list"),
        ({"env": []}, "Expect 'env' in .* to be an object"),
        ({"batches": "many"}, "Expect 'batches' in .* to be a whole number"),
        ({"exact": 1}, "Expect 'exact' in .* to be true or false"),
        ({"trainer": {"lr": True}}, "Expect 'trainer.lr' in .* to be a number"),
        ({"batches": -1}, "Expect `batches` to be a whole number of at least 0.*--batches"),
    ],
)
def test_a_file_that_does_not_fit_says_where(change, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"out": "there", **change}))
    with pytest.raises(ConfigError, match=message):
        parse(TRAIN, ["--config", str(path)])
