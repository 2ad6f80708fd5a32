"""The whole loop on the tiny model: ranks, resuming, micro-batches, and what must not be trained on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from qwen_toys import BUDGET, SCRIPT, ScriptedEngine, equipment, jobs, make_env, played_conversations, player

from metis_agents.qwen3vl.model.scoring import Layout
from metis_agents.qwen3vl.rollouts.collector import EpisodeCollector
from metis_agents.qwen3vl.train.config import RunConfig
from metis_agents.qwen3vl.train.optimizers import ROUNDINGS, NarrowAdamW, make_optimizer
from metis_agents.qwen3vl.train.policy import Qwen3VLPolicy, cut
from metis_agents.qwen3vl.train.schedules import SCHEDULES, rate
from metis_agents.rl import Rollout, Trainer, TrainerConfig
from metis_gym.errors import CheckpointError, ConfigError, NonFiniteError
from metis_gym.records import Outcome


def trainer_of(kit, acting, *, seed=3, tokens=None, config=None):
    policy = Qwen3VLPolicy(kit.scorer, adapter=kit.adapter, micro_batch_tokens=tokens)
    config = config or TrainerConfig(tasks=2, group_size=4, minibatches=1, lr=1e-3)
    return Trainer(policy, EpisodeCollector(acting, seed=seed), "hdpo:w_tool=0.15", config, cut=policy.cut)


def parameters_of(trainer):
    return torch.cat([parameter.detach().flatten() for parameter in trainer.parameters])


def judged_groups(kit, tasks=2):
    """Groups with a signal: members are right or wrong by turns, and call between no and two tools."""
    conversations = played_conversations(kit, tasks=tasks, group_size=3)
    groups = []
    for task in range(tasks):
        group = []
        for member, tokens in enumerate(conversations[3 * task : 3 * task + 3]):
            outcome = Outcome(
                task_id=f"{task}", answer_score=float(member != task % 3), format_score=1.0, tool_calls=member
            )
            group.append(Rollout(outcome=outcome, model_tokens=tokens.model_tokens, payload=tokens, length=len(tokens)))
        groups.append(group)
    return groups


@pytest.fixture
def acting(kit):
    acting = player(kit, overlap=False)
    yield acting
    acting.close()


def test_a_resumed_run_is_the_uninterrupted_one():
    torch.manual_seed(5)
    runs = {}
    for name in ("whole", "resumed"):
        kit = equipment()
        acting = player(kit, overlap=False)
        trainer = trainer_of(kit, acting)
        trainer.train(1)
        if name == "resumed":
            state = trainer.state_dict()
            acting.close()
            fresh = equipment()
            with torch.no_grad():
                for parameter in fresh.scorer.parameters():
                    if parameter.requires_grad:
                        parameter.zero_()  # what learns must come from the state
            acting = player(fresh, overlap=False)
            trainer = trainer_of(fresh, acting, seed=8)  # and so must the order of tasks
            trainer.load_state_dict(state)
        reports = trainer.train(2)
        runs[name] = parameters_of(trainer), [report.batch for report in reports]
        acting.close()
    assert torch.equal(runs["whole"][0], runs["resumed"][0])
    assert runs["whole"][1] == runs["resumed"][1]


@pytest.mark.parametrize("tokens", [400, 1_000])
def test_micro_batches_change_no_gradient(tokens):
    gradients = []
    for limit in (None, tokens):
        kit = equipment()
        acting = player(kit)
        trainer = trainer_of(kit, acting, tokens=limit, config=TrainerConfig(tasks=2, group_size=3, minibatches=1))
        trainer.optimizer.step = lambda: None
        trainer.learn(judged_groups(kit))
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in trainer.parameters]))
        acting.close()
    scale = float(gradients[0].abs().max())
    assert scale > 0
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("limit", [200, 500, 10_000])
def test_pieces_hold_every_conversation_once_and_keep_to_the_budget(conversations, layout, limit):
    pieces = cut(conversations, layout, tokens=limit)
    assert sorted(index for piece in pieces for index in piece) == list(range(len(conversations)))
    for piece in pieces:
        longest = max(len(conversations[index]) for index in piece)
        whole = sum(len(conversations[index]) for index in piece)
        if len(piece) > 1:
            assert {Layout.PADDED: longest * len(piece), Layout.PACKED: whole, Layout.SHARED: 0}[layout] <= limit


@pytest.mark.slow
def test_two_ranks_are_one(tmp_path):
    script = Path(__file__).with_name("two_qwen_ranks.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, script, tmp_path], env=environment, check=True, timeout=240)
    one, first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "0", "1"))
    assert first["parameters"] == second["parameters"]
    assert first["tasks"] + second["tasks"] == one["tasks"]
    largest = max(map(abs, one["gradient"]))
    assert largest > 0
    np.testing.assert_allclose(first["gradient"], one["gradient"], rtol=0, atol=1e-5 * largest)


def test_a_nan_stops_before_the_step(kit, acting):
    broken = equipment()
    trainer = trainer_of(broken, acting)
    groups = judged_groups(broken)
    with torch.no_grad():
        broken.model.lm_head.weight[3] = float("nan")
    before = parameters_of(trainer)
    with pytest.raises(NonFiniteError, match="logprobs_BT is not finite"):
        trainer.learn(groups)
    assert torch.equal(parameters_of(trainer).nan_to_num(), before.nan_to_num())


def test_a_state_of_another_model_is_refused(kit, acting):
    state = trainer_of(kit, acting).policy.state_dict()
    with pytest.raises(CheckpointError, match="trainable parameters"):
        trainer_of(equipment(lora=2), acting).policy.load_state_dict(state)


def test_a_reference_needs_lora(kit):
    with pytest.raises(ConfigError, match="Expect LoRA with kl_coef > 0"):
        Qwen3VLPolicy(kit.scorer, with_reference=True)


def test_the_reference_is_the_model_without_its_adapter(conversations):
    plain, kit = equipment(), equipment(lora=4)
    with torch.no_grad():
        for parameter in kit.scorer.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    policy = Qwen3VLPolicy(kit.scorer, adapter=kit.adapter, with_reference=True)
    rollouts = [
        Rollout(
            outcome=Outcome(task_id="t", answer_score=1.0, format_score=1.0, tool_calls=0),
            model_tokens=tokens.model_tokens,
            payload=tokens,
        )
        for tokens in conversations[:2]
    ]
    tokens = policy.logprobs(rollouts)
    without = tokens.reference_logprobs_BT[tokens.is_model_token_BT]
    torch.testing.assert_close(without, plain.scorer(conversations[:2]).logprobs_N, rtol=0, atol=2e-5)
    assert (tokens.logprobs_BT - tokens.reference_logprobs_BT).abs().max() > 0.01


def test_masters_move_where_bfloat16_alone_stands_still():
    """One step of Adam moves each weight by lr: 1e-6 is far below the spacing of bfloat16 at 1, which is 2⁻⁸."""
    weights = [torch.nn.Parameter(torch.ones(8, dtype=torch.bfloat16)) for _ in range(2)]
    plain = torch.optim.AdamW([weights[0]], lr=1e-3, weight_decay=0.0)
    masters = make_optimizer([weights[1]], lr=1e-3, weight_decay=0.0)
    assert isinstance(masters, NarrowAdamW)
    for _ in range(20):
        for weight, optimizer in zip(weights, (plain, masters), strict=True):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
    assert weights[0].eq(1.0).all()  # every step was rounded away
    # 20 steps of 1e-3 below 1 is .98; bfloat16 has steps of 2⁻⁸ ≈ .0039 there.
    assert weights[1].detach().float() == pytest.approx(0.98, abs=0.002)


def test_masters_take_the_steps_of_torchs_adamw():
    torch.manual_seed(2)
    wide = [torch.nn.Parameter(torch.randn(shape).bfloat16().float()) for shape in ((3, 5), (7,))]
    narrow = [torch.nn.Parameter(parameter.detach().bfloat16()) for parameter in wide]
    plain = torch.optim.AdamW(wide, lr=1e-2, weight_decay=0.1)
    masters = make_optimizer(narrow, lr=1e-2, weight_decay=0.1)
    for _ in range(5):
        for one, other in zip(wide, narrow, strict=True):
            other.grad = torch.randn_like(other)
            one.grad = other.grad.float()
        plain.step()
        masters.step()
    for one, other in zip(wide, narrow, strict=True):
        torch.testing.assert_close(other, one.detach().bfloat16(), rtol=0, atol=0)


def test_stochastic_rounding_is_right_on_average_without_masters():
    """As above, but each weight is one of its bfloat16 neighbours, and their mean is where float32 would be."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.ones(100_000, dtype=torch.bfloat16))
    optimizer = make_optimizer([weight], lr=1e-5, weight_decay=0.0, rounding="stochastic")
    for _ in range(20):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    assert set(weight.detach().float().unique().tolist()) <= {1.0 - k * 2**-8 for k in range(4)}
    # The mean moved by 2e-4; its standard error is sqrt(2e-4 · 2⁻⁸ / 1e5) ≈ 2.8e-6.
    assert float(weight.detach().double().mean()) == pytest.approx(1 - 2e-4, abs=1.4e-5)
    state = optimizer.state_dict()
    assert state["masters"] == []
    kept = sum(t.numel() for inner in state["inner"] for t in inner["state"][0].values() if t.ndim)
    assert kept == 2 * weight.numel()


def test_replicas_round_alike_whatever_else_each_of_them_draws():
    """With DDP each rank rounds for itself: generators that differ would make the ranks' weights differ for good."""
    replicas = []
    for rank in range(2):
        weights = [torch.nn.Parameter(torch.ones(shape, dtype=torch.bfloat16)) for shape in ((50, 20), (1_000,))]
        optimizer = make_optimizer(weights, lr=1e-4, weight_decay=0.0, rounding="stochastic")
        for step in range(3):
            torch.manual_seed(100 * rank + step)
            torch.rand(1 + rank)
            for weight in weights:
                weight.grad = torch.full_like(weight, 1.0 + step)
            optimizer.step()
        replicas.append([weight.detach().flatten() for weight in weights])
    for one, other in zip(*replicas, strict=True):
        assert torch.equal(one, other)
    first, second = replicas[0]
    assert 0 < int((first != 1).sum()) < 1_000
    assert not torch.equal(first, second), "each weight draws for itself"


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_narrow_weights_go_on_where_they_were(rounding):
    def optimised(break_at):
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
        optimizer = make_optimizer([weight], lr=1e-3, weight_decay=0.0, rounding=rounding)
        for step in range(10):
            torch.manual_seed(step if break_at is None else -step)  # what others draw is nobody's business
            if step == break_at:
                state = optimizer.state_dict()
                optimizer = make_optimizer([weight], lr=1e-3, weight_decay=0.0, rounding=rounding)
                optimizer.load_state_dict(state)
            weight.grad = torch.full_like(weight, 1.0 + step)
            optimizer.step()
        return weight.detach()

    assert torch.equal(optimised(None), optimised(5))


def test_a_state_of_the_other_rounding_is_refused():
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    nearest, stochastic = (make_optimizer([weight], lr=1e-3, weight_decay=0.0, rounding=name) for name in ROUNDINGS)
    with pytest.raises(CheckpointError, match="Expect a state with the same rounding"):
        stochastic.load_state_dict(nearest.state_dict())


def test_float32_parameters_get_plain_adamw():
    optimizer = make_optimizer([torch.nn.Parameter(torch.ones(2))], lr=1e-3, weight_decay=0.0)
    assert isinstance(optimizer, torch.optim.AdamW)


def test_scripted_play_ends_as_the_script_says(kit):
    acting = player(kit, ScriptedEngine(kit.tokenizer, SCRIPT))
    rollouts = acting.play(jobs(tasks=1, group_size=3))
    acting.close()
    assert [rollout.outcome.tool_calls for rollout in rollouts] == [1, 0, 2]
    assert [len(rollout.payload.images) for rollout in rollouts] == [2, 1, 3]
    assert all(rollout.outcome.scored and rollout.model_tokens == rollout.outcome.tokens for rollout in rollouts)
    assert max(rollout.length for rollout in rollouts) < BUDGET.prompt + BUDGET.response


def test_a_curriculum_is_refused(kit):
    from metis_agents.qwen3vl.rollouts.worker import RolloutWorker

    acting = RolloutWorker(ScriptedEngine(kit.tokenizer, SCRIPT), kit.renderer, lambda: make_env(curriculum=4))
    with pytest.raises(ConfigError, match="curriculum=0"):
        EpisodeCollector(acting, seed=0)
    acting.close()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_learning_rate_rises_then_stays_or_falls(schedule):
    rates = [rate(2.0, batch, batches=10, schedule=schedule, warmup=4) for batch in range(10)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    falls = np.diff(rates[4:])
    assert rates[4] == 2.0
    assert (falls == 0).all() if schedule == "constant" else (falls < 0).all()
    assert schedule == "constant" or 0 < rates[-1] < 0.5


def test_a_warm_up_longer_than_the_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"Expect warmup \(5\) below batches \(5\)"):
        RunConfig(out=tmp_path, batches=5, warmup=5)
