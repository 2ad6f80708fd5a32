"""The environment: a question about images, tool calls and an answer as one Gymnasium episode.

This module knows no tags (dialects do), no tool (the toolbox does), no grading and no reward: it lets them meet.
"""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from metis_gym import rewards
from metis_gym.actions import action_text
from metis_gym.curriculum import PassRateCurriculum
from metis_gym.dialects import DIALECTS, Limits
from metis_gym.dialects.contract import returned
from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.grading import GRADERS, Grade, GraderNoise, GradingStep, Visit, checked_grade
from metis_gym.records import (
    Episode,
    Message,
    Outcome,
    PricedPlan,
    Role,
    Task,
    ToolResult,
    ToolStatus,
    Turn,
)
from metis_gym.registries import nearest
from metis_gym.rendering import conversation_image, conversation_text
from metis_gym.spaces import Image, Images, Unicode
from metis_gym.tasksets import Taskset, TasksetSpec, draw_task, make_taskset
from metis_gym.tools.contract import ToolSettings
from metis_gym.tools.noise import ToolNoise
from metis_gym.tools.offered import default_tools, make_toolbox, tool_settings
from metis_gym.tools.toolbox import Toolbox
from metis_gym.turns import MAX_ACTION_CHARS, TurnTaker, encodable, estimated_tokens
from metis_gym.worth import noisy_plans, offered_plans, worth_fields

__all__ = ["ToolUseEnv"]

_MAX_IMAGE_SIDE = 32_768
_MAX_TEXT_CHARS = 1 << 20
_FAILED = "The environment failed, not you ({error}). The episode ends and will not be scored."


class ToolUseEnv(gym.Env[dict[str, Any], Any], gym.utils.EzPickle):
    """A question about images; text and tool calls until the answer.

    ## Description
    The agent sees each image in a reduced *view* and may answer at once, or call tools that work on the full image
    and cost something. For built-in tasks it is known whether a tool is needed.

    ## Action Space
    `Unicode`: one turn of the model, in the dialect's form. `step` also takes a dict `{"name", "arguments"}` (a tool
    call), a list of such dicts, or a dict `{"answer": text}`. Arguments are a dict, or JSON text, as OpenAI's API gives
    them.

    | Action | What happens |
    |---|---|
    | text with tool calls | the calls run in order; their results are the next observation |
    | text with an answer | the answer is graded and the episode terminates |
    | text with calls and an answer | the calls run, the answer is not taken (in `deepeyes_v2` the other way round) |
    | anything else | an observation that says what was expected |

    ## Observation Space
    `Dict(system=Unicode, text=Unicode, images=Images)`: `system` is the system turn at reset and empty afterwards,
    `text` one user turn with an `<image>` for each image, `images` those images.

    ## Rewards
    What the reward design says of the finished episode; 0 before its end and for unscored episodes. `info` holds
    correctness (`correct`, `answer_score`) and tool cost (`tool_calls`, `tool_cost`) separately, whatever the design.

    ## Starting State
    A task of the taskset, drawn by `self.np_random`: `reset(seed=s)` pins it, and so does
    `reset(options={"task_id": …})`.

    ## Episode End
    Termination: an answer. Truncation: `max_turns` tool turns and one more turn are used up without an answer; the
    model gave up, where its dialect knows how (a refusal in `native`); or infrastructure failed (`info["scored"]` is
    then False, and the episode belongs in no statistic).

    ## Arguments
    All are keyword arguments of `gymnasium.make`; on the command line each is `--env.NAME`. Whatever is chosen by name
    is named by one grammar, `"name:key=value,key=value"`; a name is a built-in one, one that an installed package
    announces, or `"my_pkg.module:Thing"`. `metis-gym list` prints the names of each kind.

    ### Which tasks
    * `taskset`: `"charts"`, `"patches:choices=2"`, `"signs+sums"`, or a mapping from such specs to weights.
    * `split`: "train" or "test"; they share no seed, no part of a photograph and no fact.
    * `answers`: "choice", "open" or "mixed"; None leaves it to the family.
    * `choices`: Options of a choice; None leaves it to the family.
    * `required_share`: Share of tasks that need a tool, in families that have both kinds; None leaves it to the family.
    * `partial_share`: Share of tasks whose view leaves several of the possible answers; None leaves it to the family.
    * `view_size`: Longest side of the views, in pixels.
    * `max_source`: Longest side of source images, in pixels; None leaves it to the family.
    * `curriculum`: Play a pool of so many tasks, and replace those that are always or never solved; 0 for fresh tasks.

    ### What the agent may do
    * `tools`: Names of tools; None for those that the taskset's tasks are made for, or, on a benchmark, those of the
      evaluation of the dialect's own models; without those that the dialect has no words for.
    * `dialect`: What the model writes and reads: "metis", "qwen", "plain" (no tools), "native" (function calling),
      "deepeyes_v2", "skywork_r1v4" or "thyme", with options such as `"metis:released=true"` and
      `'deepeyes_v2:prefill="<think>"'`. In `deepeyes_v2` an answer beside a call ends the episode. In `skywork_r1v4`
      and `thyme`, code finds the images as the files `image_1.png`, …, and an image whose path it prints comes back.
      In `thyme` an observation goes on with the model's turn.
    * `max_turns`: Turns that may call tools; one more turn may answer.
    * `calls_per_turn`: Calls that run in one turn.

    ### What tools run on
    * `sandbox`: Where the `python` tool runs, such as `"auto"` or `"docker:runtime=runsc"`.
    * `text_engine`: What `text_search` asks, such as `"fts5:path=/data/my.sqlite"` or
      `"serper:api_key_env=SERPER_API_KEY"`; by default a local index, built at its first use.
    * `image_engine`: What `image_search` asks, such as `"dhash:path=album.db"`; by default a local index.

    ### What it costs and earns
    * `reward`: A reward design such as `"hdpo"` or `"coupled:alpha=0.1"`.
    * `grader`: What compares answers: "cascade" (rules, also called "rules"), or rules and then an LLM judge, as in
      `"judge:model=NAME,base_url=https://example.org/v1,api_key_env=VARIABLE"`.
    * `prices`: Price of a call by the tool's name, and of `"invalid"` calls; the tool's own, which is 1, for those that
      are not named.
    * `show_prices`: Tell the model the prices.
    * `grader_noise`: Share of verdicts that are flipped, never in the test split.
    * `tool_noise`: Probability that a tool works on another possible answer's image and pages in an episode.
    * `noise_key`: Key of both kinds of noise, such as the run's seed.

    ### Display
    * `render_mode`: "ansi" or "rgb_array", the conversation so far.

    Raises:
        ConfigError: An argument is not valid; the message names the valid ones.
    """

    metadata = {  # noqa: RUF012 — Gymnasium declares it so
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 1,
    }

    def __init__(
        self,
        *,
        taskset: TasksetSpec = "mixture",
        tools: Sequence[str] | None = None,
        dialect: str = "metis",
        reward: str = "accuracy",
        max_turns: int = 10,
        calls_per_turn: int = 5,
        view_size: int = 448,
        split: str = "train",
        answers: str | None = None,
        choices: int | None = None,
        required_share: float | None = None,
        partial_share: float | None = None,
        max_source: int | None = None,
        curriculum: int = 0,
        sandbox: str = "auto",
        text_engine: str = "fts5",
        image_engine: str = "dhash",
        prices: Mapping[str, float] | None = None,
        show_prices: bool = False,
        grader: str = "cascade",
        grader_noise: float = 0.0,
        tool_noise: float = 0.0,
        noise_key: int = 0,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        arguments = {key: value for key, value in locals().items() if key not in ("self", "unknown")}
        gym.utils.EzPickle.__init__(self, **arguments)
        for name in unknown:
            raise ConfigError(f"there is no argument {name!r}. {nearest(name, tuple(arguments))}")
        _check(max_turns, calls_per_turn, render_mode)
        self.render_mode = render_mode
        limits = Limits(max_turns=max_turns, calls_per_turn=calls_per_turn)
        self.dialect = DIALECTS.make(dialect)
        self.design = rewards.make(reward)
        self.grader = GRADERS.make(grader)
        self.noise, self._visit = GraderNoise(grader_noise, noise_key, split), Visit()
        self.tool_noise = ToolNoise(tool_noise, noise_key)
        shares = {"required_share": required_share, "partial_share": partial_share}
        options = {"answers": answers, "choices": choices, "max_source": max_source, **shares}
        given = {key: value for key, value in options.items() if value is not None}
        fresh = make_taskset(taskset, split=split, view_size=view_size, options=given)
        self.taskset = PassRateCurriculum(fresh, pool=curriculum) if curriculum else fresh
        settings = tool_settings(self.dialect, sandbox, text_engine, image_engine)
        wanted = default_tools(self.dialect, self.taskset) if tools is None else tools
        self.toolbox = self._make_toolbox(wanted, dict(prices or {}), settings)
        self.observation_space = _observation_space()
        self.action_space = Unicode(MAX_ACTION_CHARS)
        system = self.dialect.system(self.toolbox.specs(show_prices=show_prices), limits)
        self._system = returned(system, str, self.dialect, "system")
        self.turn_taker = TurnTaker(self.dialect, self.toolbox, limits)
        self._no_components = dict.fromkeys(rewards.checked_components(self.design, _BLANK_OUTCOME), 0.0)
        self._episode: Episode | None = None
        self._plans: tuple[PricedPlan, ...] = ()
        self._end = _RUNNING
        self.failure: InfrastructureError | None = None

    @property
    def episode(self) -> Episode:
        """The episode so far, with the task, the turns and `messages`.

        Raises:
            gymnasium.error.ResetNeeded: There is none yet.
        """
        if self._episode is None:
            raise gym.error.ResetNeeded("there is no episode yet: call reset() first")
        return self._episode

    @property
    def grade(self) -> Grade:
        """How the final answer was graded; 0 while there is none."""
        return self._end.grade

    @property
    def outcome(self) -> Outcome:
        """The episode so far; what a reward design would see of it is `outcome.for_designs`."""
        episode, end = self.episode, self._end
        results = [result for turn in episode.turns for result in turn.results]
        counts = self.toolbox.count(results)
        return Outcome(
            task_id=episode.task.task_id,
            family=episode.task.family,
            necessity=episode.task.necessity,
            answer_score=self.noise.verdict(end.grade, episode.task.task_id, self._visit),
            true_answer_score=end.grade.score,
            format_score=end.format_score,
            tool_calls=len(results),
            tool_cost=self.toolbox.cost(counts),
            tool_errors=sum(result.status is not ToolStatus.OK for result in results),
            turns=len(episode.turns),
            tokens=sum(estimated_tokens(turn.text) for turn in episode.turns),
            truncated=end.truncated,
            scored=end.scored,
            tool_calls_by=counts,
            tool_benefit=episode.task.tool_benefit,
            **worth_fields(episode.task, self._plans),
        )

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Seeds `self.np_random`, and so pins the task.
            options: `{"task_id": id}` pins the task whatever the seed; `"member"` of a group and number of the
                `"episode"` (0 by default) pin what noise makes of its verdict and of its tools.

        Raises:
            ConfigError: An option that does not exist or cannot be right, or the taskset cannot build what it drew.
            TaskIdError: The task id cannot be read, or was made by other versions.
        """
        super().reset(seed=seed)
        self._visit = Visit.of(options)
        task_id = (options or {}).get("task_id")
        task = self.taskset.load(task_id) if task_id else draw_task(self.taskset, self.np_random)
        self._open_tools(task, seed=zlib.crc32((task_id or task.task_id).encode()))
        text = encodable(returned(self.dialect.prompt(task), str, self.dialect, "prompt"))
        prompt = Message(role=Role.USER, text=text, images=tuple(image.view for image in task.images))
        self._episode = Episode(task=task, system=self._system, prompt=prompt)
        self._end = _RUNNING
        self.failure = None
        return self._observe(prompt, self._system), self._info()

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Take one turn of the model.

        Raises:
            InvalidActionError: No model could have produced the action. Nothing has changed: another may be taken.
            SandboxUnavailableError: Code is to run, and this machine cannot isolate it.
            gymnasium.error.ResetNeeded: The episode is over, or there is none.
        """
        if self.episode.turns and self._end is not _RUNNING:
            raise gym.error.ResetNeeded("the episode is over: call reset() before the next step()")
        turn, self._end = self._take_turn(action_text(action, self.dialect))
        self._episode = dataclasses.replace(self.episode, turns=(*self.episode.turns, turn))
        is_over = self._end is not _RUNNING
        if is_over:
            self.toolbox.close()
            self.taskset.report(self.outcome)
        observation = self._observe(turn.observation or _NO_MESSAGE, "")
        reward = rewards.checked_reward(self.design, self.outcome) if is_over and self._end.scored else 0.0
        return observation, reward, self._end.terminated, self._end.truncated, self._info()

    def render(self) -> Any:
        """The conversation so far: text for "ansi", an image of shape (height, width, 3) for "rgb_array"."""
        if self.render_mode == "ansi":
            return conversation_text(self.episode)
        if self.render_mode == "rgb_array":
            return conversation_image(self.episode)
        return None

    def close(self) -> None:
        """End the tools' sessions. May be called twice."""
        self.toolbox.close()

    def use_taskset(self, taskset: Taskset) -> None:
        """Draw tasks from another taskset from the next episode on."""
        self.taskset = taskset

    def use_noise_key(self, key: int) -> None:
        """Give grader noise and tool noise another key."""
        self.noise = dataclasses.replace(self.noise, key=key)
        self.tool_noise = dataclasses.replace(self.tool_noise, key=key)

    def use_tool_noise(self, share: float) -> None:
        """Let tools be wrong with another probability from the next episode on."""
        self.tool_noise = dataclasses.replace(self.tool_noise, share=share)

    def encode_action(self, action: Mapping[str, Any]) -> Any:
        """A scripted agent's call or answer as an action: here such actions are taken as they are."""
        return action

    def use_toolbox(self, toolbox: Toolbox) -> None:
        """Let other tools answer from the next episode on: recorded results, a fake."""
        self.toolbox.close()
        self.toolbox = toolbox
        self.turn_taker = dataclasses.replace(self.turn_taker, toolbox=toolbox)

    def _open_tools(self, task: Task, seed: int) -> None:
        toolbox, noise = self.toolbox, self.tool_noise
        plans = noisy_plans(task, noise.share_on(self.taskset, task))
        self._plans = offered_plans(plans, toolbox.prices, toolbox.tools, self.turn_taker.limits.max_turns)
        toolbox.open(task, seed=seed, stand_ins=noise.stand_ins(self.taskset, task, self._visit, toolbox.tools))

    def _make_toolbox(self, tools: Sequence[str], prices: Mapping[str, float], settings: ToolSettings) -> Toolbox:
        return make_toolbox(tools, prices, settings, self.dialect)

    def _take_turn(self, text: str) -> "tuple[Turn, _End]":
        """Take a turn and see how the episode stands. The one place where failures become unscored episodes."""
        results: list[ToolResult] = []
        try:
            turn = self.turn_taker.take(text, len(self.episode.turns) + 1, results)
            return turn, self._ending(turn)
        except InfrastructureError as error:
            note = Message(role=Role.USER, text=_FAILED.format(error=type(error).__name__))
            self.failure = error
            return Turn(text=text, results=tuple(results), observation=note), _End(truncated=True, scored=False)

    def _ending(self, turn: Turn) -> "_End":
        is_over = turn.observation is None or self.turn_taker.is_last(len(self.episode.turns) + 1)
        if turn.answer is None and not is_over:
            return _RUNNING
        texts = [*(earlier.text for earlier in self.episode.turns), turn.text]
        return _End(
            terminated=turn.answer is not None,
            truncated=turn.answer is None,
            grade=checked_grade(self.grader.grade(turn.answer, self.episode.task), self.grader),
            format_score=self.dialect.format_score(texts),
        )

    def _observe(self, message: Message, system: str) -> dict[str, Any]:
        images = tuple(np.array(image) for image in message.images)
        return {"images": images, "system": system, "text": message.text}

    def _info(self) -> dict[str, Any]:
        outcome = self.outcome
        is_rewarded = self._end is not _RUNNING and self._end.scored
        components = rewards.checked_components(self.design, outcome) if is_rewarded else self._no_components
        return outcome.to_info() | {f"reward_components/{name}": score for name, score in components.items()}


def _check(max_turns: int, calls_per_turn: int, render_mode: str | None) -> None:
    if max_turns < 0 or calls_per_turn < 1:
        raise ConfigError(
            f"max_turns must be at least 0 and calls_per_turn at least 1, actually: {max_turns}, {calls_per_turn}"
        )
    if render_mode not in (None, *ToolUseEnv.metadata["render_modes"]):
        raise ConfigError(f"unknown render_mode {render_mode!r}; valid: ansi, rgb_array; people use metis-gym play")


def _observation_space() -> spaces.Dict:
    images = Images(Image(_MAX_IMAGE_SIDE, _MAX_IMAGE_SIDE))
    return spaces.Dict({"images": images, "system": Unicode(_MAX_TEXT_CHARS), "text": Unicode(_MAX_TEXT_CHARS)})


_NO_GRADE = Grade(0.0, GradingStep.NO_ANSWER)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _End:
    """How an episode ended, or that it has not."""

    terminated: bool = False
    truncated: bool = False
    scored: bool = True
    grade: Grade = _NO_GRADE
    format_score: float = 0.0


_RUNNING = _End()
_NO_MESSAGE = Message(role=Role.USER, text="")
_BLANK_OUTCOME = Outcome(task_id="", answer_score=0.0, format_score=0.0, tool_calls=0, tool_benefit=0.0)
