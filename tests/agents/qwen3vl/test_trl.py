"""TRL's own GRPOTrainer on the suite's environments: its advantages and gradients beside HDPO's, and what is refused.

Nothing of TRL is replaced but the sampler's choice of words (`_generate_single_turn`); the tiny Qwen3-VL does all
forward and backward passes, tools run in the real environment, and the images that they return go into the loss.
"""

import dataclasses
import warnings

import numpy as np
import pytest
import qwen_toys  # noqa: F401 — registers the tool `lens`, and sets torch to one thread
import torch

from metis_agents.qwen3vl.model.models import ModelConfig, new_tiny
from metis_agents.rl import Denominator, LossConfig, LossCounts, TokenLogprobs, channel_loss, joined
from metis_agents.trl import channel_reward, channel_trainer, check_config, environment_class, task_rows
from metis_gym import rewards
from metis_gym.backstage import backstage
from metis_gym.errors import ConfigError, SandboxError, SandboxUnavailableError

SIZE = 4
CALL = '<tool_call>\n{"name": "lens", "arguments": {"box": [0, 0, 64, 64]}}\n</tool_call><|im_end|>'
BAD = '<tool_call>\n{"name": "zoom", "arguments": {"box": [0, 0, 64, 64]}}\n</tool_call><|im_end|>'
ENV = {"taskset": "patches", "answers": "choice", "view_size": 64, "max_source": 1024, "tools": ("lens",)}
pytestmark = pytest.mark.filterwarnings("default")  # those of TRL and what it brings


@pytest.fixture(scope="module")
def trl():
    return pytest.importorskip("trl")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, trl):
    """A tiny model with Qwen3-VL's processor and chat template, and an environment whose tool needs no sandbox."""
    from trl.chat_template_utils import qwen3_vl_chat_template

    from metis_agents.chat.hf_processor import load_processor
    from metis_gym.tools import TOOLS
    from metis_gym.tools.crop import CropTool

    torch.set_num_threads(1)
    if "crop" not in TOOLS.names():
        TOOLS.register("crop")(type("Crop", (CropTool,), {"name": "lens"}))
    environment = environment_class(**ENV)
    texts = [CALL, environment.instructions, "Question: How bright? Answer with the letter of the right option."] * 8
    loaded = new_tiny(texts, ModelConfig(seed=0))
    loaded.tokenizer.chat_template = qwen3_vl_chat_template
    folder = tmp_path_factory.mktemp("tiny")
    loaded.save_pretrained(folder)
    return environment, loaded.model, load_processor(str(folder))


class Script:
    """Writes given turns in the place of a sampler, each conversation its own."""

    def __init__(self, tokenizer, turns):
        self.ids = [[tokenizer.encode(text, add_special_tokens=False) for text in one] for one in turns]
        self.given = 0

    def __call__(self, prompt_ids, *_, num_generations=1, **__):
        """The next turn of the conversations that go on: those that wrote a call."""
        going = [turns for turns in self.ids if turns] if self.given else self.ids
        self.given += 1
        assert len(going) == len(prompt_ids)
        return [turns.pop(0) for turns in going], None


def config(trl, folder, **options):
    values = {
        "output_dir": str(folder),
        "scale_rewards": "none",
        "num_generations": SIZE,
        "per_device_train_batch_size": 2 * SIZE,
        "max_completion_length": 600,
        "max_steps": 2,
        "learning_rate": 1e-3,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1,
    }
    return trl.GRPOConfig(**{**values, **options})


def answers(environment, row):
    """The right letter, and a wrong one."""
    one = environment()
    one.reset(**row)
    right = backstage(one._env).episode.task.gold.value
    return right, next(letter for letter in "AB" if letter != right)


def scripts(environment, rows):
    """For each task: right at once, right after a call, wrong after a call, wrong with a tool that there is not."""
    for row in rows:
        right, wrong = (f"<answer>{letter}</answer><|im_end|>" for letter in answers(environment, row))
        yield from ([right], [CALL, right], [CALL, wrong], [BAD, wrong])


def trained(tiny, trl, folder, *, fails=(), **options):
    """Two steps of the trainer; what each saw, and its gradients."""
    from datasets import Dataset

    environment, model, processor = tiny
    environment = environment_class(**ENV)
    rows = task_rows(environment, 2)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = channel_trainer(
            model,
            config(trl, folder, **options),
            design="hdpo:w_tool=0.5",
            environment=environment,
            train_dataset=Dataset.from_list(rows),
            processing_class=processor,
        )
    generate, compute = trainer._generate_and_score_completions, trainer._compute_loss

    def watched(inputs):
        ordered = [next(row for row in rows if row["task_id"] == one["task_id"]) for one in inputs[::SIZE]]
        script = Script(processor.tokenizer, scripts(environment, ordered))
        trainer._generate_single_turn = script
        batch = generate(inputs)
        batch["place"] = torch.arange(len(inputs))  # the trainer shuffles what it generated
        outcomes = [one._finish([]) for one in trainer.environments]
        seen.append({"batch": batch, "outcomes": outcomes})
        return batch

    def losses(model, inputs):
        captured = {}
        original = trainer._get_per_token_logps_and_entropies

        def logps(*args, **kwargs):
            found = original(*args, **kwargs)
            captured["logps"] = found[0]
            return found

        trainer._get_per_token_logps_and_entropies = logps
        loss = compute(model, inputs)
        trainer._get_per_token_logps_and_entropies = original
        (gradient,) = torch.autograd.grad(loss, captured["logps"], retain_graph=True)
        order = inputs["place"].argsort()
        seen[-1].update(logps=captured["logps"].detach()[order], gradient=gradient[order])
        return loss

    trainer._generate_and_score_completions, trainer._compute_loss = watched, losses
    for index in fails:
        fail_tool(trainer, index)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.train()
    moved = any(not torch.equal(b, p) for b, p in zip(before, trainer.model.parameters(), strict=True))
    return trainer, seen, moved


def fail_tool(trainer, index):
    """Let the tool of one environment break, as a sandbox breaks."""
    pool = trainer._environment_pool[None]
    while len(pool) <= index:
        pool.append(trainer.environment_factories[None]())

    def broken(call):
        raise SandboxError("the sandbox is gone")

    backstage(pool[index]._env).toolbox.run = broken


def spread(channel, kept, size):
    """A channel of the scored episodes as one of all, 0 for the others."""
    advantages, members = np.zeros(size), np.zeros(size, dtype=np.bool_)
    advantages[kept], members[kept] = channel.advantages, channel.members
    return dataclasses.replace(channel, advantages=advantages, members=members)


def check_step(step, loss_config, scored):
    """Advantages and gradients of one step beside those of HDPO and `channel_loss`."""
    batch, outcomes = step["batch"], step["outcomes"]
    assert [one.scored for one in outcomes] == scored
    groups = [outcomes[:SIZE], outcomes[SIZE:]]
    design = rewards.make("hdpo:w_tool=0.5")
    expected = joined(design, groups)
    kept = np.flatnonzero(expected.is_scored_N)
    assert kept.tolist() == [index for index, one in enumerate(scored) if one]
    is_model_BT = (batch["completion_mask"] * batch["tool_mask"]).bool()
    compared = design.channels([[one for one in group if one.scored] for group in groups])
    counts = LossCounts.of(compared, is_model_BT.sum(-1).numpy()[kept], Denominator.ALL)
    channels = [spread(channel, kept, len(outcomes)) for channel in compared]
    logps = step["logps"].double().requires_grad_(True)
    tokens = TokenLogprobs(logps, is_model_BT)
    (gradient,) = torch.autograd.grad(channel_loss(tokens, channels, counts, loss_config).loss, logps)
    assert gradient.abs().max() > 0
    apart = (step["gradient"].double() - gradient).abs().amax(-1)
    assert apart.max().item() <= 1e-7, apart
    assert not is_model_BT[[index for index, one in enumerate(scored) if not one]].any()
    return expected.total_N, batch["advantages"].double().numpy()


def test_two_steps_have_hdpos_advantages_and_gradients(tiny, trl, tmp_path):
    trainer, seen, moved = trained(tiny, trl, tmp_path)
    assert len(seen) == 2 and moved
    for step in seen:
        expected, actual = check_step(step, LossConfig(), [True] * 8)
        assert np.abs(expected).max() > 0.5
        assert np.abs(actual - expected).max() <= 1e-6
        # T is what was asked for: none, a crop, a crop, and a call of a tool that there is not
        assert [one.tool_calls for one in step["outcomes"]] == [0, 1, 1, 1] * 2
        assert [one.tool_calls_by["invalid"] for one in step["outcomes"]] == [0, 0, 0, 1] * 2
        assert sum(step["batch"]["num_images"]) == 2 * (4 + 2)  # the task's in each episode, and two crops
    logged = trainer.state.log_history[0]
    assert logged["accuracy"] == 0.5 and logged["tool_calls"] == 0.75 and logged["unscored"] == 0
    assert logged["tools/call_frequency"] == 0.75


@pytest.mark.parametrize(
    ("loss_type", "loss_config"),
    [("dapo", LossConfig()), ("grpo", LossConfig(aggregation="sequence-mean"))],
)
def test_an_unscored_episode_leaves_statistics_and_denominators(tiny, trl, tmp_path, loss_type, loss_config):
    fails = [1]  # right after a call, were its tool not broken
    _, seen, _ = trained(tiny, trl, tmp_path, fails=fails, loss_type=loss_type, max_steps=1)
    scored = [index not in fails for index in range(8)]
    expected, actual = check_step(seen[0], loss_config, scored)
    scale = 1.0 if loss_type == "dapo" else 8 / 7
    assert np.abs(actual[scored] - scale * expected[scored]).max() <= 1e-6
    assert actual[1] == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"scale_rewards": "group"},
        {"num_iterations": 2},
        {"steps_per_generation": 2},
        {"loss_type": "bnpo"},
        {"multi_objective_aggregation": "normalize_then_sum"},
        {"reward_weights": [0.5]},
    ],
    ids=str,
)
def test_settings_that_change_the_gradient_are_refused(trl, tmp_path, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        check_config(config(trl, tmp_path, **options))
    check_config(config(trl, tmp_path))


def test_a_group_that_is_split_over_processes_is_refused(tiny, trl, tmp_path):
    environment = environment_class(**ENV)
    (row,) = task_rows(environment, 1)
    playing = [environment() for _ in range(3)]
    for one in playing:
        one.reset(**row)
    with pytest.raises(ConfigError, match="whole groups of num_generations"):
        channel_reward("hdpo", config(trl, tmp_path))(playing, [[]] * 3)


def test_a_machine_without_a_sandbox_ends_training_and_is_no_tool_result(tiny):
    environment = environment_class(**ENV)
    (row,) = task_rows(environment, 1)
    one = environment()
    one.reset(**row)

    def absent(call):
        raise SandboxUnavailableError("no isolation here")

    backstage(one._env).toolbox.run = absent
    with pytest.raises(SandboxUnavailableError):
        one.lens(box=[0, 0, 64, 64])
    with pytest.raises(SandboxUnavailableError):  # though TRL has caught the first, and the model has answered
        one._finish([{"role": "assistant", "content": "<answer>A</answer>"}])


@pytest.mark.parametrize(
    ("message", "truncated"),
    [
        ({"role": "assistant", "content": "<answer>B</answer>"}, False),
        ({"role": "assistant", "content": [{"type": "text", "text": "<answer>B</answer>"}]}, False),
        ({"role": "assistant", "content": ""}, True),
        ({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "lens", "arguments": []}}]}, True),
    ],
)
def test_an_episode_ends_with_the_last_message(tiny, message, truncated):
    environment = environment_class(**ENV)
    (row,) = task_rows(environment, 1)
    one = environment()
    one.reset(**row)
    assert any(block["type"] == "image" for block in one.lens(box=[0, 0, 64, 64]))
    assert "must be an array" in one.lens(box="everything")[0]["text"]  # a call that cannot run counts
    called = [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "lens"}}]}] * 2
    outcome = one._finish([*called, message])
    assert outcome.truncated == truncated and outcome.scored
    assert outcome.tool_calls == 2 + len(message.get("tool_calls", []))
    assert one.lens(box=[0, 0, 64, 64])[0]["text"].startswith("The episode is over")


def test_the_schema_of_a_tool_is_its_own(tiny):
    from transformers.utils import get_json_schema

    environment = environment_class(taskset="signs", tools=("python", "text_search"))
    shown = get_json_schema(environment().text_search)["function"]
    spec = backstage(environment()._env).toolbox.tools["text_search"]
    assert shown["name"] == "text_search" and shown["description"] == spec.description
    assert shown["parameters"] == {**spec.schema}
    with pytest.raises(ConfigError, match="dialect 'native'"):
        environment_class(taskset="signs", dialect="metis")
