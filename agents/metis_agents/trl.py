"""TRL's `GRPOTrainer` on this suite's environments, with any reward design (extra `[trl]`).

```python
from datasets import Dataset
from trl import GRPOConfig
from metis_agents.trl import channel_trainer, environment_class, task_rows

environment = environment_class(taskset="signs")
trainer = channel_trainer(
    "Qwen/Qwen3-VL-8B-Instruct",
    GRPOConfig(output_dir="out", scale_rewards="none", num_generations=16, max_completion_length=4096),
    design="hdpo:w_tool=0.15",
    environment=environment,
    train_dataset=Dataset.from_list(task_rows(environment, 1_000)),
)
trainer.train()
```

TRL subtracts the mean of a group from its rewards. The joined advantages of a design that compares within groups sum to
0 over each group, so they pass through unchanged when they are given *as the rewards*; an unscored episode's reward is
None, which TRL leaves out. With one optimiser step for each generation batch every ratio is 1, where one advantage is
exact (`metis_agents.rl.joined`). What else would change the gradient is refused: `check_config`.

A tool is a method of the environment. TRL calls tools one after the other in the trainer's own thread. It does not tell
what a model wrote around a call, and text that it cannot read as a call is no call: it is not counted in T.
"""

import dataclasses
import functools
import importlib
import inspect
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
from PIL import Image

from metis_agents.rl.joined import check_sums, joined
from metis_gym import rewards
from metis_gym.backstage import Pin, backstage, stream_task_id
from metis_gym.dialects.contract import IMAGE_MARK, ToolSpec
from metis_gym.dialects.native import read_observation, read_system
from metis_gym.errors import ConfigError, InfrastructureError, InvalidActionError, MetisError, MissingDependencyError
from metis_gym.records import INVALID_CALLS, ImageArray, Outcome
from metis_gym.registration import register_all
from metis_gym.rewards.contract import RewardDesign

__all__ = [
    "ScoredOnly",
    "TrlEnvironment",
    "channel_reward",
    "channel_trainer",
    "check_config",
    "environment_class",
    "task_rows",
]

Blocks = list[dict[str, Any]]

_TYPES: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}
_PER_EPISODE = ("grpo", "sapo", "dr_grpo")
"""Losses of TRL that divide by the number of episodes, and not by that of tokens."""
_LOSSES = ("dapo", "cispo", *_PER_EPISODE)
_OVER = "The episode is over: write your final answer."


class TrlEnvironment:
    """Episodes as TRL wants them: `reset`, and a method for each tool. `environment_class` makes subclasses.

    Attributes:
        instructions: The system turn, without the tools, which TRL's chat template adds.
    """

    instructions: ClassVar[str] = ""
    _make: ClassVar[Callable[[], gym.Env[Any, Any]]]
    _numbers: ClassVar["itertools.count[int]"]

    def __init__(self) -> None:
        self._member = next(type(self)._numbers)
        self._env = type(self)._make()
        self._episodes = itertools.count()
        self._task_id = ""
        self._info: Mapping[str, Any] | None = None
        self._is_over = True
        self._error: MetisError | None = None
        self._outcome: Outcome | None = None

    def reset(self, **row: Any) -> Blocks:
        """Start an episode of the row's task; the first user turn."""
        self._task_id, self._info, self._is_over = str(row["task_id"]), None, False
        self._error = self._outcome = None
        pin = Pin(self._task_id, self._member, next(self._episodes))
        try:
            observation, self._info = self._env.reset(options=pin.options)
        except InfrastructureError:
            self._is_over = True
            return [{"type": "text", "text": _OVER}]
        return _blocks(observation["text"], observation["images"])

    def _call(self, name: str, arguments: Mapping[str, Any]) -> Blocks:
        """One call, which is a turn of its own; what the tool gave, or what was wrong with the call."""
        if self._is_over:
            return [{"type": "text", "text": _OVER}]
        given = {key: value for key, value in arguments.items() if value is not None}
        try:
            return self._step({"name": name, "arguments": given})
        except InvalidActionError as error:
            return [{"type": "text", "text": str(error)}]
        except MetisError as error:
            self._error = error  # TRL would show it to the model as the tool's result, and go on
            raise

    def _step(self, action: Any) -> Blocks:
        observation, _, terminated, truncated, self._info = self._env.step(action)
        self._is_over = bool(terminated or truncated)
        if backstage(self._env).failure is not None or not observation["text"]:
            return [{"type": "text", "text": observation["text"] or _OVER}]
        results, notes = read_observation(observation["text"])
        return _blocks("\n\n".join([*(result.text for result in results), *notes]), observation["images"])

    def _finish(self, completion: Sequence[Mapping[str, Any]]) -> Outcome:
        """Hand in the last message, and see how the episode went; once: later calls return the same.

        Raises:
            MetisError: A tool call failed in a way that is no episode's, such as a sandbox that this machine lacks.
        """
        if self._error is not None:
            raise self._error
        if self._outcome is None:
            self._outcome = self._played(completion)
            self._is_over = True
        return self._outcome

    def _played(self, completion: Sequence[Mapping[str, Any]]) -> Outcome:
        last = completion[-1] if completion else {}
        if not self._is_over and last.get("role") == "assistant" and not last.get("tool_calls"):
            self._step(json.dumps({"role": "assistant", "content": _text(last.get("content"))}))
        if self._info is None:
            return Outcome(
                task_id=self._task_id, answer_score=0.0, format_score=0.0, tool_calls=0, truncated=True, scored=False
            )
        outcome = Outcome.from_info(self._info)
        outcome = outcome if self._is_over else dataclasses.replace(outcome, truncated=True)
        return self._with_calls_not_run(outcome, completion)

    def _with_calls_not_run(self, outcome: Outcome, completion: Sequence[Mapping[str, Any]]) -> Outcome:
        """T counts what the model asked for, also calls that TRL did not hand on, such as those of unknown tools."""
        asked = sum(len(message.get("tool_calls") or ()) for message in completion)
        missed = max(0, asked - outcome.tool_calls)
        calls_by = {**outcome.tool_calls_by, INVALID_CALLS: outcome.tool_calls_by.get(INVALID_CALLS, 0) + missed}
        return dataclasses.replace(
            outcome,
            tool_calls=outcome.tool_calls + missed,
            tool_errors=outcome.tool_errors + missed,
            tool_cost=outcome.tool_cost + missed * backstage(self._env).toolbox.prices[INVALID_CALLS],
            tool_calls_by=calls_by,
        )


def environment_class(env_id: str = "MetisVQA-v0", **arguments: Any) -> type[TrlEnvironment]:
    """A class for `environment_factory` of `GRPOTrainer`.

    Args:
        env_id: One of this package's ids.
        **arguments: For `gymnasium.make`, such as `taskset="signs"`. The dialect is `native`, function calling: the
            chat template of the model writes and reads the calls.

    Raises:
        ConfigError: An argument is not valid.
    """
    register_all()
    if arguments.get("dialect", "native") != "native":
        raise ConfigError(
            f"Expect dialect 'native', function calling by the model's chat template, actually: "
            f"{arguments['dialect']!r}"
        )
    make = functools.partial(gym.make, env_id, disable_env_checker=True, **{**arguments, "dialect": "native"})
    first: gym.Env[Any, Any] = make()
    inside = backstage(first)
    observation, _ = first.reset(options=Pin(stream_task_id(inside.taskset, 0, 0)).options)
    specs, taskset = inside.toolbox.specs(show_prices=bool(arguments.get("show_prices"))), inside.taskset
    first.close()

    def make_env() -> gym.Env[Any, Any]:
        env: gym.Env[Any, Any] = make()
        backstage(env).use_taskset(taskset)  # each task is drawn once
        return env

    members = {spec.name: _method(spec) for spec in specs}
    return type(
        "MetisEnvironment",
        (TrlEnvironment,),
        {
            **members,
            "__doc__": f"Episodes of {env_id} for TRL.",
            "instructions": read_system(observation["system"])[0],
            "_make": staticmethod(make_env),
            "_numbers": itertools.count(),
            "_taskset": taskset,
        },
    )


def task_rows(environment: type[TrlEnvironment], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows for `datasets.Dataset.from_list`: a task each, with the messages that stand before its question.

    Args:
        environment: What `environment_class` made.
        count: How many tasks.
        seed: The same seed, the same tasks.
    """
    taskset = environment._taskset  # type: ignore[attr-defined]  # set by `environment_class`
    messages = [{"role": "system", "content": environment.instructions}, {"role": "user", "content": ""}]
    return [{"prompt": messages, "task_id": stream_task_id(taskset, seed, number)} for number in range(count)]


def check_config(config: Any) -> None:
    """Check that TRL computes the loss of `metis_agents.rl` with these settings, as far as it has the surrogate.

    Args:
        config: A `trl.GRPOConfig`.

    Raises:
        ConfigError: A setting changes the advantages, or takes several optimiser steps for one batch.
    """
    wanted = {
        "scale_rewards": ("none", "the advantages are scaled already"),
        "num_iterations": (1, "one advantage is exact at ratio 1, in the first step after acting"),
        "steps_per_generation": (
            config.gradient_accumulation_steps,
            "as gradient_accumulation_steps: one optimiser step for each generation batch",
        ),
        "multi_objective_aggregation": ("sum_then_normalize", "the advantages are joined already"),
        "reward_weights": (None, "the weights of the channels are in the advantages"),
        "num_generations_eval": (None, "groups have one size"),
    }
    for name, (expected, why) in wanted.items():
        actual = getattr(config, name)
        if actual != expected:
            raise ConfigError(f"Expect {name}={expected!r} ({why}), actually: {actual!r}")
    if config.loss_type not in _LOSSES:
        raise ConfigError(
            f"Expect a loss_type whose gradient does not depend on micro-batches, {', '.join(_LOSSES)}, actually: "
            f"{config.loss_type!r}"
        )


def channel_reward(design: str | RewardDesign, config: Any) -> Callable[..., list[float | None]]:
    """The reward function that gives a design's joined advantages to `GRPOTrainer`.

    Args:
        design: The reward design, or its name or spec. Its state stays with this function.
        config: The trainer's `GRPOConfig`.

    Raises:
        ConfigError: `check_config` refuses the settings. When it is called: a group that is not whole on this process,
            or advantages that do not sum to 0 over a group.
    """
    check_config(config)
    made, size = rewards.make(design), int(config.num_generations)

    def advantages(
        environments: Sequence[TrlEnvironment], completions: Sequence[Any], **others: Any
    ) -> list[float | None]:
        outcomes = [one._finish(said) for one, said in zip(environments, completions, strict=True)]
        groups = [outcomes[start : start + size] for start in range(0, len(outcomes), size)]
        _check_groups(groups, size)
        found = joined(made, groups)
        places = [range(start, start + size) for start in range(0, len(outcomes), size)]
        check_sums(found.total_N, places, made)
        if "log_metric" in others:
            _log(outcomes, others["log_metric"])
        return [
            float(total) if is_scored else None
            for total, is_scored in zip(found.total_N, found.is_scored_N, strict=True)
        ]

    advantages.__name__ = made.name
    return advantages


class ScoredOnly:
    """A base class before `GRPOTrainer`: what an unscored episode wrote divides no loss, either.

    TRL gives such an episode the advantage 0 but counts its tokens, which shrinks the step of all others.
    """

    args: Any
    accelerator: Any
    environments: Any

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        batch = super()._generate_and_score_completions(inputs)  # type: ignore[misc]  # GRPOTrainer's
        import torch

        completion_mask = batch["completion_mask"]
        scored = [one._outcome.scored for one in self.environments]
        scored_B = torch.tensor(scored, device=completion_mask.device)
        own = batch.get("tool_mask", torch.ones_like(completion_mask))
        batch["tool_mask"] = own * scored_B.unsqueeze(1)
        counts = torch.stack([(completion_mask * batch["tool_mask"]).sum(), scored_B.sum()]).unsqueeze(0)
        tokens, episodes = self.accelerator.gather(counts).sum(0)
        batch["num_items_in_batch"] = tokens
        if self.args.loss_type in _PER_EPISODE:
            everyone = len(scored) * self.accelerator.num_processes
            batch["advantages"] = batch["advantages"] * (everyone / episodes.clamp(min=1))
        return batch


def channel_trainer(
    model: Any, config: Any, *, design: str | RewardDesign, environment: type[TrlEnvironment], **options: Any
) -> Any:
    """A `GRPOTrainer` that learns by a reward design and leaves unscored episodes out altogether.

    Args:
        model: A model, or the name of one.
        config: A `trl.GRPOConfig`, with `scale_rewards="none"`.
        design: The reward design, or its name or spec.
        environment: What `environment_class` made.
        **options: For `GRPOTrainer`, such as `train_dataset` and `processing_class`.

    Raises:
        ConfigError: `check_config` refuses the settings.
        MissingDependencyError: trl is not installed.
    """
    try:
        trl = importlib.import_module("trl")
    except ImportError as error:
        raise MissingDependencyError.of("trl", "trl", "metis_agents.trl") from error
    kind: Any = type("ChannelTrainer", (ScoredOnly, trl.GRPOTrainer), {})
    return kind(
        model=model,
        args=config,
        reward_funcs=channel_reward(design, config),
        environment_factory=environment,
        **options,
    )


def _method(spec: ToolSpec) -> Callable[..., Blocks]:
    """A tool as a method whose signature and docstring are its schema; arguments that do not fit reach the tool."""
    properties, required = spec.schema["properties"], spec.schema.get("required", ())
    hints = {name: _TYPES[field["type"]] for name, field in properties.items()}

    def call(self: TrlEnvironment, /, **arguments: Any) -> Blocks:
        return self._call(spec.name, arguments)

    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hint if name in required else hint | None,
            default=inspect.Parameter.empty if name in required else None,
        )
        for name, hint in hints.items()
    ]
    price = "" if spec.price is None else f" A call costs {spec.price:g}."
    lines = [spec.description + price]
    if properties:
        lines += ["", "Args:", *(f"    {name}: {field.get('description', name)}" for name, field in properties.items())]
    call.__name__ = call.__qualname__ = spec.name
    call.__doc__ = "\n".join(lines)
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    call.__signature__ = inspect.Signature([this, *parameters])  # type: ignore[attr-defined]
    return call


def _blocks(text: str, images: Sequence[ImageArray]) -> Blocks:
    """Text with marks as content blocks, each image where its mark stands."""
    texts = text.split(IMAGE_MARK)
    blocks: Blocks = [{"type": "text", "text": texts[0]}] if texts[0] else []
    for image, after in zip(images, texts[1:], strict=True):
        blocks.append({"type": "image", "image": Image.fromarray(image)})
        blocks += [{"type": "text", "text": after}] if after else []
    return blocks


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _check_groups(groups: Sequence[Sequence[Outcome]], size: int) -> None:
    for group in groups:
        tasks = {outcome.task_id for outcome in group}
        if len(group) != size or len(tasks) != 1:
            raise ConfigError(
                f"Expect whole groups of num_generations ({size}) episodes of one task on each process, actually: "
                f"{len(group)} episodes of {len(tasks)} tasks. Make per_device_train_batch_size × steps_per_generation "
                "a multiple of num_generations."
            )


def _log(outcomes: Sequence[Outcome], log: Callable[[str, float], None]) -> None:
    """What the rewards no longer say: their mean is 0."""
    scored = [outcome for outcome in outcomes if outcome.scored]
    log("unscored", float(len(outcomes) - len(scored)))
    for outcome in scored:
        log("accuracy", float(outcome.truly_correct))
        log("tool_calls", float(outcome.tool_calls))
