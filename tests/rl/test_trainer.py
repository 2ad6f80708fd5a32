"""The loop: what it feeds to whom, that cutting and resuming change nothing, and what it refuses."""

import io
import math

import numpy as np
import pytest
import torch
from hdpo_toys import Replay, ToyPolicy, gradient, toy_groups, toy_rollout

from metis_agents.rl import LossConfig, Ranks, TokenLogprobs, Trainer, TrainerConfig
from metis_agents.rl.bandit import BanditCollector, BanditPolicy, BanditTask
from metis_gym import rewards
from metis_gym.errors import ConfigError, NonFiniteError

GROUPS = toy_groups(np.random.default_rng(1), tasks=4, size=6)


def toy_trainer(groups=GROUPS, policy=None, design="hdpo", callbacks=(), **options):
    policy = policy or ToyPolicy()
    defaults = {"tasks": len(groups), "group_size": len(groups[0]), "minibatches": 1, "max_grad_norm": None}
    return Trainer(
        policy,
        Replay(groups),
        design,
        TrainerConfig(**defaults | options),
        optimizer=torch.optim.SGD(policy.parameters(), lr=0.1),
        callbacks=callbacks,
    )


def parameters(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.policy.parameters()])


CUTS = [{}, {"micro_batch_episodes": 1}, {"micro_batch_episodes": 5}, {"micro_batch_tokens": 20}]


@pytest.mark.parametrize("cut", CUTS[1:], ids=str)
@pytest.mark.parametrize("steps", [{}, {"minibatches": 2}, {"epochs": 2}, {"minibatches": 4, "epochs": 3}], ids=str)
def test_micro_batches_change_nothing(cut, steps):
    whole, pieces = toy_trainer(**steps), toy_trainer(policy=ToyPolicy(pad=3, left=True), **cut, **steps)
    one, other = whole.train(3), pieces.train(3)
    torch.testing.assert_close(parameters(pieces), parameters(whole), rtol=1e-11, atol=1e-12)
    for ours, theirs in zip(one, other, strict=True):
        for update, same in zip(ours.updates, theirs.updates, strict=True):
            assert update.flat() == pytest.approx(same.flat(), rel=1e-9, abs=1e-11)


def test_the_first_step_is_on_policy_and_later_ones_are_not():
    (report,) = toy_trainer(epochs=2).train(1)
    first, second = report.updates
    assert (first.ratio_mean, first.ratio_max, first.approx_kl, first.ratio_std) == (1.0, 1.0, 0.0, 0.0)
    assert second.ratio_max > 1.0
    assert second.approx_kl > 0.0


def test_remembering_the_acting_policy_changes_nothing_on_the_first_step():
    remembered, not_remembered = toy_trainer(epochs=2), toy_trainer(epochs=1)
    batch = remembered.learn(GROUPS).updates[0]
    assert batch.flat() == pytest.approx(not_remembered.learn(GROUPS).updates[0].flat(), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("steps", [{"minibatches": 2}, {"minibatches": 4, "epochs": 2}, {"epochs": 3}], ids=str)
def test_where_a_pass_rounds_in_its_own_way_the_first_ratio_is_one_all_the_same(steps):
    class Rounding(ToyPolicy):
        """Says something slightly different in each pass, as bfloat16 does in batches of different shapes."""

        def logprobs(self, rollouts):
            tokens = super().logprobs(rollouts)
            return tokens._replace(logprobs_BT=tokens.logprobs_BT + 0.01 * len(self.forwards))

    first, *later = toy_trainer(policy=Rounding(), **steps).learn(GROUPS).updates
    assert (first.ratio_mean, first.ratio_max, first.ratio_std, first.approx_kl) == (1.0, 1.0, 0.0, 0.0)
    assert all(update.ratio_max > 1.0 for update in later)


def test_a_batch_leaves_no_gradients_to_the_next_rollouts():
    trainer = toy_trainer(minibatches=2)
    before = parameters(trainer)
    trainer.step()
    assert not torch.equal(parameters(trainer), before)
    assert all(parameter.grad is None for parameter in trainer.parameters)


@pytest.mark.parametrize(("saved", "here"), [(8, 1), (8, 0), (2, 2), (1, 4)])
def test_a_run_goes_on_with_another_number_of_gpus(monkeypatch, saved, here):
    state = toy_trainer().state_dict()
    state["cuda_rng"] = [torch.full((16,), number, dtype=torch.uint8) for number in range(saved)]
    restored = {}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: here)

    def restore(generator, device):
        assert int(device) < here
        restored[int(device)] = int(generator[0])

    monkeypatch.setattr(torch.cuda, "set_rng_state", restore)
    monkeypatch.setattr(torch.cuda.random, "set_rng_state", restore)
    toy_trainer().load_state_dict(state)
    assert restored == {number: number for number in range(min(saved, here))}


def test_every_epoch_sees_every_episode_once():
    policy = ToyPolicy()
    groups = [
        [toy_rollout(np.random.default_rng(g), f"task {g}", right=i < 3, calls=i) for i in range(6)] for g in range(4)
    ]
    report = toy_trainer(groups, policy, minibatches=2, epochs=3).learn(groups)
    assert [update.episodes for update in report.updates] == [12] * 6
    # The acting log-probabilities of what the first step does not take, then every step.
    assert policy.forwards == [12] + [12] * 6


def test_episodes_without_signal_get_no_forward_pass():
    random = np.random.default_rng(2)
    hopeless = [toy_rollout(random, "hopeless", right=False) for _ in range(6)]
    broken = [toy_rollout(random, "broken", scored=False) for _ in range(6)]
    mixed = [toy_rollout(random, "mixed", right=i % 2) for i in range(6)]
    policy = ToyPolicy()
    report = toy_trainer([hopeless, broken, mixed], policy).learn([hopeless, broken, mixed])
    assert policy.forwards == [6]
    assert (report.batch.scored, report.batch.unscored, report.batch.signal) == (12, 6, 0.5)


@pytest.mark.parametrize("scored", [True, False])
def test_a_batch_without_signal_takes_no_step(scored):
    groups = [[toy_rollout(np.random.default_rng(2), "t", right=False, scored=scored) for _ in range(6)]]
    trainer = toy_trainer(groups, epochs=2)
    before = parameters(trainer)
    (report,) = trainer.train(1)
    assert [update.stepped for update in report.updates] == [False, False]
    assert report.updates[0].flat()["grad_norm"] == 0.0
    assert torch.equal(parameters(trainer), before)
    assert trainer.policy.forwards == []


def test_a_regulariser_needs_every_episode():
    groups = [[toy_rollout(np.random.default_rng(2), "t", right=False) for _ in range(6)]]
    trainer = toy_trainer(groups, loss=LossConfig(entropy_coef=0.1))
    before = parameters(trainer)
    assert trainer.learn(groups).updates[0].stepped
    assert trainer.policy.forwards == [6]
    assert not torch.equal(parameters(trainer), before)


def test_weight_zero_trains_as_grpo_to_the_last_bit():
    one, other = toy_trainer(design="hdpo:w_tool=0", epochs=3), toy_trainer(design="accuracy", epochs=3)
    one.train(4)
    other.train(4)
    assert torch.equal(parameters(one), parameters(other))
    assert one.policy.forwards == other.policy.forwards


def test_gradients_are_clipped_after_adding_up():
    free, clipped = toy_trainer(), toy_trainer(max_grad_norm=0.01, micro_batch_episodes=2)
    (report,), (same,) = free.learn(GROUPS).updates, clipped.learn(GROUPS).updates
    assert report.grad_norm == pytest.approx(same.grad_norm, rel=1e-12)
    assert report.grad_norm > 0.01
    assert gradient(clipped.policy).norm().item() == pytest.approx(0.01, rel=1e-3)


def bandit_trainer(seed=0, design="otc", batches=0):
    tasks = [BanditTask(0.9, 0.9), BanditTask(0.9, 0.1), BanditTask(0.5, 0.2)]
    policy = BanditPolicy([1.0] * len(tasks))
    config = TrainerConfig(tasks=4, group_size=8, minibatches=2, epochs=2, lr=0.05, seed=seed)
    trainer = Trainer(policy, BanditCollector(tasks, policy, seed), design, config)
    trainer.train(batches)
    return trainer


@pytest.mark.parametrize("design", ["hdpo", "otc", "lagrangian", "gdpo"])
def test_resuming_is_exact(design, tmp_path):
    straight = bandit_trainer(design=design, batches=7)
    stopped = bandit_trainer(design=design, batches=3)
    torch.save(stopped.state_dict(), tmp_path / "state.pt")
    resumed = bandit_trainer(seed=99, design=design)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=False))
    reports = resumed.train(4)
    assert torch.equal(resumed.policy.logits, straight.policy.logits)
    assert resumed.design.state_dict() == straight.design.state_dict()
    assert resumed.batches_done == straight.batches_done == 7
    assert [report.index for report in reports] == [3, 4, 5, 6]


def test_the_state_holds_torchs_generator():
    trainer = bandit_trainer()
    state = trainer.state_dict()
    drawn = torch.rand(3)
    trainer.load_state_dict(state)
    assert torch.equal(torch.rand(3), drawn)


def test_the_state_can_be_written_without_pickled_code():
    buffer = io.BytesIO()
    torch.save(bandit_trainer(batches=1).state_dict(), buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True)["batches_done"] == 1


def test_a_state_of_another_design_is_refused():
    with pytest.raises(ConfigError, match=r"reward design 'hdpo', actually: 'hdpo:w_tool=0.3'"):
        bandit_trainer(design="hdpo").load_state_dict(bandit_trainer(design="hdpo:w_tool=0.3").state_dict())


def test_callbacks_see_everything_and_can_stop():
    seen = []
    trainer = toy_trainer(callbacks=[lambda t, r: seen.append((t, r.index)), lambda t, r: r.index < 1])
    assert len(trainer.train(9)) == 2
    assert seen == [(trainer, 0), (trainer, 1)]


def test_a_design_of_ones_own_and_no_pickles():
    class Mine(rewards.SingleReward):
        name = "mine"

        def score(self, outcome):
            return outcome.answer_score - outcome.tool_calls

    assert toy_trainer(design=Mine()).learn(GROUPS).updates[0].stepped


class Broken(ToyPolicy):
    """Marks one token too many, or gives a NaN."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def logprobs(self, rollouts):
        logprobs_BT, is_model_token_BT = super().logprobs(rollouts)[:2]
        if self.what == "mask":
            return TokenLogprobs(logprobs_BT, torch.ones_like(is_model_token_BT))
        return TokenLogprobs(logprobs_BT * math.nan, is_model_token_BT)


def test_policies_that_break_their_promise():
    with pytest.raises(ConfigError, match="mark as many model tokens as the rollouts have"):
        toy_trainer(policy=Broken("mask")).train(1)
    with pytest.raises(NonFiniteError, match="logprobs_BT is not finite"):
        toy_trainer(policy=Broken("nan")).train(1)


def test_an_infinite_gradient_takes_no_step():
    class Steep(ToyPolicy):
        def logprobs(self, rollouts):
            tokens = super().logprobs(rollouts)
            steep = tokens.logprobs_BT + (self.embed.sum() * 0.0).sqrt()  # finite, with an infinite slope
            return tokens._replace(logprobs_BT=steep)

    trainer = toy_trainer(policy=Steep())
    before = parameters(trainer)
    with pytest.raises(NonFiniteError, match="norm of the gradient is nan"):
        trainer.train(1)
    assert torch.equal(parameters(trainer), before)


def test_collectors_are_checked():
    with pytest.raises(ConfigError, match="Expect 5 groups from the collector, actually: 4"):
        toy_trainer(tasks=5).train(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": 7, "minibatches": 2}, r"tasks \(7\) must be divisible by minibatches \(2\)"),
        ({"group_size": 0}, "`group_size` to be a whole number of at least 1, actually: 0"),
        ({"lr": math.nan}, "`lr`.*actually: nan"),
        ({"max_grad_norm": 0}, "`max_grad_norm` to be none or a finite number above 0, actually: 0"),
        ({"micro_batch_tokens": -1}, "`micro_batch_tokens`.*actually: -1"),
    ],
)
def test_the_config_is_checked_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        TrainerConfig(**options)


def test_published_settings():
    config = TrainerConfig()
    assert (config.tasks, config.group_size, config.tasks // config.minibatches) == (128, 16, 64)
    assert (config.lr, config.weight_decay, config.epochs) == (1e-6, 0.01, 1)
    assert config.loss == LossConfig(surrogate="ppo_clip", denominator="all", entropy_coef=0.0, kl_coef=0.0)


class Cramped(ToyPolicy):
    """A policy on a device that has not the memory for more than so many episodes; it says so after some gradients."""

    def __init__(self, most, *, fails_in):
        super().__init__()
        self.most, self.fails_in, self.failures = most, fails_in, 0

    def logprobs(self, rollouts):
        tokens = super().logprobs(rollouts)
        if len(rollouts) <= self.most:
            return tokens
        self.failures += 1
        if self.fails_in == "forward":
            raise torch.OutOfMemoryError("CUDA out of memory")
        logprobs_BT = tokens.logprobs_BT.clone()
        if not logprobs_BT.requires_grad:
            raise torch.OutOfMemoryError("CUDA out of memory")
        logprobs_BT.register_hook(self._fail)
        return tokens._replace(logprobs_BT=logprobs_BT)

    @staticmethod
    def _fail(gradient):
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("fails_in", ["forward", "backward"])
@pytest.mark.parametrize("steps", [{}, {"minibatches": 2, "epochs": 2}], ids=str)
def test_what_does_not_fit_into_memory_is_learned_in_smaller_pieces_with_the_same_gradient(fails_in, steps, caplog):
    whole = toy_trainer(**steps)
    cramped = toy_trainer(policy=Cramped(5, fails_in=fails_in), micro_batch_episodes=11, **steps)
    one, other = whole.train(2), cramped.train(2)
    torch.testing.assert_close(parameters(cramped), parameters(whole), rtol=1e-11, atol=1e-12)
    for ours, theirs in zip(one, other, strict=True):
        for update, same in zip(ours.updates, theirs.updates, strict=True):
            assert update.flat() == pytest.approx(same.flat(), rel=1e-9, abs=1e-11)
    assert cramped.halvings == 2  # 11 → 6 → 3
    assert cramped.policy.failures <= 2, "pieces stay small"
    assert "out of memory" in caplog.text


def test_single_episodes_that_do_not_fit_end_the_run():
    trainer = toy_trainer(policy=Cramped(0, fails_in="forward"))
    before = parameters(trainer).clone()
    with pytest.raises(torch.OutOfMemoryError):
        trainer.train(1)
    assert torch.equal(parameters(trainer), before)


def test_ranks_that_share_their_passes_do_not_cut_on_their_own():
    class Sharing(Ranks):
        shares_passes = True

    trainer = toy_trainer(policy=Cramped(5, fails_in="forward"))
    trainer.ranks = Sharing()
    with pytest.raises(torch.OutOfMemoryError):
        trainer.train(1)
    assert trainer.halvings == 0
