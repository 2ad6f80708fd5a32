"""The real verl, Ray and TransferQueue on CPUs: our parts as verl finds and runs them, up to its GPU workers.

verl's own workers play real environments and sandboxes, its own trainer computes the advantages, its own aggregation
averages the losses. Only the words of a turn are given (`verl_toys.Scripted`).
"""

import os
import signal
import time

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("verl")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(900)]

import ray  # noqa: E402
import transfer_queue as tq  # noqa: E402
from hydra import compose, initialize_config_module  # noqa: E402
from verl.trainer.ppo.core_algos import get_policy_loss_fn  # noqa: E402
from verl.trainer.ppo.v1 import AgentLoopWorkerTQ, get_trainer_cls  # noqa: E402
from verl.utils import tensordict_utils as tu  # noqa: E402
from verl.utils.dataset.rl_dataset import collate_fn, get_dataset_class  # noqa: E402
from verl_toys import ENV, Scripted, answer, call, checkpoint  # noqa: E402

from metis_agents.rl import (  # noqa: E402
    Count,
    Denominator,
    LossConfig,
    LossCounts,
    TokenLogprobs,
    channel_loss,
    joined,
)
from metis_agents.rl.joined import join  # noqa: E402
from metis_agents.verl.advantage import with_hinge  # noqa: E402
from metis_agents.verl.check import check  # noqa: E402
from metis_agents.verl.command import _parser, overrides  # noqa: E402
from metis_agents.verl.trainer import check_config, rows_of  # noqa: E402
from metis_gym import rewards  # noqa: E402
from metis_gym.errors import ConfigError  # noqa: E402
from metis_gym.rewards.contract import Channel  # noqa: E402

SIZE = 4
DESIGN = "hdpo:w_tool=0.5"


def test_verl_finds_our_parts_by_itself():
    assert [finding for finding in check() if not finding.is_right] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tiny")
    checkpoint(made)
    return str(made)


def configured(folder, *further):
    """verl's whole configuration, from the command line that `metis-gym verl` writes."""
    words = ["--model", folder, "--design", DESIGN, "--tasks", "2", "--minibatch", "2", "--group-size", str(SIZE)]
    words += ["--batches", "1", "--prompt-tokens", "600", "--response-tokens", "900", "--observation-tokens", "300"]
    words += [
        "--taskset",
        ENV["taskset"],
        *(w for k, v in ENV.items() if k != "taskset" for w in ("--set", f"{k}={v}")),
    ]
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=[*overrides(_parser().parse_args(words)), *further])


@pytest.fixture(scope="module")
def cluster(folder):
    here = [os.path.dirname(__file__), *os.environ.get("PYTHONPATH", "").split(":")]
    config = configured(folder)
    ray.init(
        num_cpus=16,  # TransferQueue's storage units want their own; with two they never start
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": ":".join(filter(None, here)), "HF_HUB_OFFLINE": "1"}},
    )
    config.transfer_queue.enable = True
    tq.init(config.transfer_queue)
    yield config
    tq.close()
    ray.shutdown()


def rows(config, count, start=0):
    """Rows of our dataset, as verl's own data loader and trainer make them."""
    dataset = get_dataset_class(config.data)(data_files="train", tokenizer=None, processor=None, config=config.data)
    batch = collate_fn([dataset[start + index] for index in range(count)])
    batch["uid"] = np.array([f"task{start + index}" for index in range(count)], dtype=object)
    made = tu.get_tensordict(batch)
    tu.assign_non_tensor_data(made, "global_steps", 1)
    return made, [row["task_id"] for row in batch["extra_info"]]


def gold(config, task_ids):
    from metis_agents.verl.settings import VerlSettings
    from metis_gym.backstage import backstage

    taskset = backstage(VerlSettings.of(config.data).make_env("train")).taskset
    return [taskset.load(task_id).gold.value for task_id in task_ids]


def played(uids, seconds=240):
    """Wait until verl says that these prompts are over; the batch of their sessions."""
    end = time.monotonic() + seconds
    while True:
        known = tq.kv_list("train")["train"]
        if all(known.get(uid, {}).get("status") in ("finished", "failure") for uid in uids):
            break
        assert time.monotonic() < end, known
        time.sleep(0.2)
    assert {known[uid]["status"] for uid in uids} == {"finished"}
    keys = sorted(key for key in known if key.rsplit("_", 2)[0] in uids and key not in uids)
    return tq.KVBatchMeta(partition_id="train", keys=keys, tags=[known[key] for key in keys])


def trainer_of(config):
    """verl's trainer with our hand-over, without the GPU workers that its `init` would start."""
    made = object.__new__(get_trainer_cls("metis_sync"))
    made.config, made.metis_design = config, rewards.make(DESIGN)
    return made


def play(cluster, folder, start, turns):
    """Let verl's own agent-loop worker play two groups."""
    batch, task_ids = rows(cluster, 2, start)
    letters = gold(cluster, task_ids)
    script = [[one(letters[0]) if callable(one) else one for one in member] for member in turns]
    worker = AgentLoopWorkerTQ.remote(cluster, Scripted(folder, script))
    ray.get(worker.generate_sequences.remote(batch))
    return worker, [f"task{start + index}" for index in range(2)]


def right(letter):
    return answer(letter)


def wrong(letter):
    return answer("B" if letter == "A" else "A")


def test_verls_trainer_computes_hdpos_advantages(cluster, folder):
    _, uids = play(cluster, folder, 0, [[right], [call(), right], [call(), wrong], [call(), call(), right]])
    batch = played(uids)
    assert len(batch.keys) == 2 * SIZE
    outcomes = [row.outcome for row in rows_of(batch)]
    assert [one.tool_calls for one in outcomes] == [0, 1, 1, 2] * 2
    assert all(one.scored and one.tool_errors == 0 for one in outcomes)
    metrics = {}
    trainer_of(cluster)._compute_advantage(batch, metrics)
    fields = ["advantages", "response_mask", "rm_scores", "responses", "prompts", "rollout_log_probs"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=fields)
    expected = joined(rewards.make(DESIGN), [outcomes[:SIZE], outcomes[SIZE:]])
    for row in range(2 * SIZE):
        advantages, mask = data["advantages"][row], data["response_mask"][row].bool()
        assert mask.sum() == outcomes[row].tokens and advantages.shape == mask.shape
        assert (advantages[mask] - expected.total_N[row]).abs().max().item() <= 1e-6
        assert advantages[~mask].sum().item() == pytest.approx(expected.hinge_N[row], abs=1e-6)
        assert torch.equal(data["rollout_log_probs"][row], -0.25 * mask)
        assert data["rm_scores"][row].sum().item() == outcomes[row].answer_score
    assert expected.hinge_N.max() > 0
    assert metrics["metis/episodes"] == 8 and metrics["metis/tool_calls"] == 1.0


def test_image_tokens_are_as_many_as_verls_processor_makes(cluster, folder):
    known = tq.kv_list("train")["train"]
    keys = sorted(key for key in known if key.startswith("task0_"))
    data = tq.kv_batch_get(
        keys=keys, partition_id="train", select_fields=["input_ids", "multi_modal_inputs", "position_ids"]
    )
    from transformers import AutoConfig

    image = AutoConfig.from_pretrained(folder).image_token_id
    for row in range(len(keys)):
        inputs = data["multi_modal_inputs"][row]
        inputs = inputs.data if hasattr(inputs, "data") and not isinstance(inputs, dict) else inputs
        grids = inputs["image_grid_thw"]
        assert (data["input_ids"][row] == image).sum().item() == int(grids.prod(-1).sum()) // 4
        assert inputs["pixel_values"].shape[0] == int(grids.prod(-1).sum())
    assert len(grids) == 3  # the task's, and two crops


def test_an_unscored_session_is_left_out_and_its_group_goes_on(cluster, folder):
    _, uids = play(cluster, folder, 2, [[right], [call(), None], [wrong], [call(), right]])
    batch = played(uids)
    assert [key.rsplit("_", 2)[1] for key in batch.keys] == ["0", "2", "3"] * 2
    trainer_of(cluster)._compute_advantage(batch, {})
    outcomes = [row.outcome for row in rows_of(batch)]
    expected = joined(rewards.make(DESIGN), [outcomes[:3], outcomes[3:]])
    data = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["advantages", "response_mask"])
    for row in range(6):
        mask = data["response_mask"][row].bool()
        assert (data["advantages"][row][mask] - expected.total_N[row]).abs().max().item() <= 1e-6


def test_a_killed_worker_leaves_no_sandbox_and_loses_its_own_episodes_only(cluster, folder):
    hanging, lost = play(cluster, folder, 4, [[call(), "..."]] * SIZE)
    pid = ray.get(hanging.__ray_call__.remote(lambda _: os.getpid()))
    end = time.monotonic() + 120
    while len(sandboxes := psutil.Process(pid).children(recursive=True)) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    _, uids = play(cluster, folder, 6, [[call(), right]] * SIZE)
    os.kill(pid, signal.SIGKILL)
    assert len(played(uids).keys) == 2 * SIZE
    end = time.monotonic() + 30
    while any(one.is_running() and one.status() != "zombie" for one in sandboxes):
        assert time.monotonic() < end, "a sandbox outlived its worker"
        time.sleep(0.1)
    known = tq.kv_list("train")["train"]
    assert all(known[uid]["status"] == "running" for uid in lost)  # what verl sees of them: nothing came
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(hanging.__ray_call__.remote(lambda _: 0))


class Actor(dict):
    """What policy losses read of verl's ActorConfig."""

    __getattr__ = dict.__getitem__


def actor(**options):
    return Actor({"clip_ratio": 0.2, "clip_ratio_low": None, "clip_ratio_high": None, "clip_ratio_c": 1e9, **options})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.0, 0.05, 1.0]), micro=st.integers(1, 3))
def test_the_loss_in_verl_has_the_gradient_of_the_channel_loss(seed, spread, micro):
    random = np.random.default_rng(seed)
    rows_, width = int(random.integers(2, 7)), 9
    mask = torch.zeros(rows_, width, dtype=torch.int64)
    for row in range(rows_):
        first, gap = random.integers(1, 4, size=2)
        mask[row, :first] = 1
        mask[row, first + gap : first + gap + random.integers(1, 3)] = 1
    everyone = np.ones(rows_, dtype=np.bool_)
    channels = [
        Channel(
            name=name,
            weight=weight,
            advantages=random.normal(size=rows_).astype(np.float32).astype(float),
            members=everyone,
        )
        for name, weight in (("accuracy", 1.0), ("efficiency", 0.5))
    ]
    count = Count(int(mask.sum()), rows_)
    counts, loss_config = LossCounts(count, (count, count)), LossConfig()
    log_prob = torch.tensor(random.normal(-2, 0.3, size=(rows_, width)), requires_grad=True)
    old = log_prob.detach() + spread * torch.tensor(random.normal(size=(rows_, width)))
    tokens = TokenLogprobs(log_prob, mask.bool())
    (expected,) = torch.autograd.grad(
        channel_loss(tokens, channels, counts, loss_config, old_logprobs_BT=old).loss, log_prob
    )
    one = join(channels, counts, loss_config)
    total, hinge = (torch.tensor(values)[:, None] for values in (one.total_N, one.hinge_N))
    advantages = with_hinge(total * mask, mask, hinge)
    info = {"dp_size": 1, "batch_num_tokens": count.tokens, "global_batch_size": rows_, "loss_scale_factor": None}
    for name in ("metis_two_channel", *(["vanilla"] if spread == 0.0 else [])):
        actual = torch.zeros_like(log_prob)
        for piece in np.array_split(np.arange(rows_), micro):
            if not len(piece):
                continue
            loss, metrics = get_policy_loss_fn(name)(
                old_log_prob=old[piece],
                log_prob=log_prob[piece],
                advantages=advantages[piece],
                response_mask=mask[piece].bool(),
                loss_agg_mode="token-mean",
                config=actor(global_batch_info=info),
            )
            actual += torch.autograd.grad(loss, log_prob)[0]
            assert all(np.isfinite(value) for value in metrics.values())
        assert (actual - expected).abs().max().item() <= 1e-7, name
    assert loss_config.denominator == Denominator.ALL


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ("algorithm.use_kl_in_reward=True", "use_kl_in_reward=False"),
        ("algorithm.adv_estimator=grpo", "adv_estimator=metis"),
        ("actor_rollout_ref.actor.policy_loss.loss_mode=gspo", "metis_two_channel"),
        ("actor_rollout_ref.actor.policy_loss.loss_mode=vanilla actor_rollout_ref.actor.ppo_epochs=2", "several steps"),
    ],
)
def test_settings_that_change_the_advantages_are_refused(folder, further, said):
    check_config(configured(folder))
    with pytest.raises(ConfigError, match=said):
        check_config(configured(folder, *further.split()))
