"""`MetisRemote-v0`: an environment that is played on other machines. Everything that plays a local one plays it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium as gym

from metis_gym import rewards
from metis_gym.actions import action_text
from metis_gym.env import ToolUseEnv
from metis_gym.errors import ConfigError, ImageError, InfrastructureError, RecordingError
from metis_gym.grading import Grade, GradingStep, Visit
from metis_gym.recording.choices import chosen
from metis_gym.records import Episode, Message, Outcome, Role, Task, Turn
from metis_gym.registration import entry_point
from metis_gym.serve.connection import Session, read_spec, read_token
from metis_gym.serve.images import read_data_url
from metis_gym.tasksets import Taskset
from metis_gym.tools.toolbox import Toolbox

__all__ = ["RemoteEnv"]

_LOST = "The environment failed, not you. The episode ends and will not be scored."
_SERVERS = "The servers decide it: give it to `metis-gym serve`."


class RemoteEnv(ToolUseEnv):
    """An environment that `metis-gym serve` serves on other machines.

    Tasks are drawn by id here, so that `reset(seed=s)` is the task that a local environment would play; scenes, tools
    and grading are the servers'. A connection that breaks ends the episode unscored; nothing is sent twice.

    ## Arguments
    * `urls`: Addresses of servers of the same environment; sessions are spread over them.
    * `token_env`: Name of the environment variable that holds the servers' token; empty for none.
    * `split`: "train" or "test"; they share no seed, no part of a photograph and no fact.
    * `noise_key`: Key of both kinds of noise; None for the servers' own.
    * `timeout`: Seconds to wait for an answer.
    * `trust`: Make tasksets, tools and designs here by whatever names the servers give, such as those of your own
      packages; otherwise only built-in ones with harmless parameters.
    * `render_mode`: "ansi" or "rgb_array", the conversation so far; the task is then drawn here, too.

    Raises:
        ConfigError: An argument is not valid, or the servers' environment cannot be made here.
        InfrastructureError: A server cannot be asked what it serves.
    """

    def __init__(
        self,
        *,
        urls: Sequence[str] = (),
        token_env: str = "",
        split: str = "train",
        noise_key: int | None = None,
        timeout: float = 300.0,
        trust: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if not timeout > 0:
            raise ConfigError(f"Expect timeout above 0, actually: {timeout!r}")
        token = read_token(token_env)
        arguments = _arguments(read_spec(urls, token), trust=trust)
        key = {} if noise_key is None else {"noise_key": noise_key}
        super().__init__(**{**arguments, "split": split, "render_mode": render_mode, **key})
        gym.utils.EzPickle.__init__(
            self,
            urls=urls,
            token_env=token_env,
            split=split,
            noise_key=noise_key,
            timeout=timeout,
            trust=trust,
            render_mode=render_mode,
        )
        self._split, self._noise_key = split, noise_key
        self._session = Session(urls, token, timeout)
        self.taskset.is_elsewhere = True
        self._last: Mapping[str, Any] = {}
        self._told: Mapping[str, Any] = {}
        self._is_over = True

    @property
    def grade(self) -> Grade:
        """How the final answer was graded, as the server said."""
        step = self._last.get("grade_step") or GradingStep.NO_ANSWER.value
        score = self.outcome.true_answer_score if self._told else 0.0
        return Grade(score or 0.0, GradingStep(step))

    @property
    def outcome(self) -> Outcome:
        """The episode so far, as the server said."""
        return Outcome.from_info(self._told)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode, as a local environment does. Where no server can begin it, it is unscored.

        Raises:
            ConfigError: An option that does not exist or cannot be right.
        """
        gym.Env.reset(self, seed=seed)
        visit = Visit.of(options)
        task_id = (options or {}).get("task_id") or self.taskset.draw(self.np_random)
        request = {"task_id": task_id, "member": visit.member, "episode": visit.episode, "split": self._split}
        if self._noise_key is not None:
            request["noise_key"] = self._noise_key
        self.failure, self._is_over = None, False
        task = cast("Task", _TaskElsewhere(self.taskset, task_id))
        try:
            observation, _ = self._read(self._session.begin(request))
        except InfrastructureError as error:
            observation = self._failed(task_id, error)
        prompt = Message(role=Role.USER, text=observation["text"], images=observation["images"])
        self._episode = Episode(task=task, system=observation["system"], prompt=prompt)
        return observation, dict(self._told)

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Take one turn of the model on the server.

        Raises:
            InvalidActionError: No model could have produced the action. Nothing was sent.
            gymnasium.error.ResetNeeded: The episode is over, or there is none.
        """
        if self._episode is None or self._is_over:
            raise gym.error.ResetNeeded("there is no episode: call reset() before the next step()")
        text = action_text(action, self.dialect)
        reward, terminated, truncated = 0.0, False, True
        try:
            if self.failure is not None:  # it could not begin
                raise self.failure
            observation, reward = self._read(self._session.act(text))
            terminated, truncated = bool(self._last["terminated"]), bool(self._last["truncated"])
        except InfrastructureError as error:
            observation = self._failed(str(self._told["task_id"]), error)
        self._is_over = terminated or truncated
        said = Message(role=Role.USER, text=observation["text"], images=observation["images"])
        turn = Turn(text=text, answer=self._last.get("answer"), observation=said if observation["text"] else None)
        self._episode = Episode(
            task=self._episode.task,
            system=self._episode.system,
            prompt=self._episode.prompt,
            turns=(*self._episode.turns, turn),
        )
        return observation, reward, terminated, truncated, dict(self._told)

    def close(self) -> None:
        """End the session on the server. May be called twice."""
        self._session.close()
        super().close()

    def use_taskset(self, taskset: Taskset) -> None:
        """Draw ids from another taskset that names the same tasks, such as one that many environments share."""
        if taskset.families != self.taskset.families:
            raise ConfigError(f"another taskset cannot be used on a server. {_SERVERS}")
        super().use_taskset(taskset)

    def use_toolbox(self, toolbox: Toolbox) -> None:  # noqa: ARG002
        """Tools run on the server.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"other tools cannot be used on a server, nor shared results. {_SERVERS}")

    def use_noise_key(self, key: int) -> None:
        """Give grader noise and tool noise another key, on the server."""
        super().use_noise_key(key)
        self._noise_key = key

    def use_tool_noise(self, share: float) -> None:
        """Check that the server's tools are as wrong as is wanted.

        Raises:
            ConfigError: They are not.
        """
        if share != self.tool_noise.share:
            raise ConfigError(f"Expect tool_noise {self.tool_noise.share} of the server, actually: {share}. {_SERVERS}")

    def _read(self, data: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
        """An answer of the server, as a local environment returns it.

        Raises:
            InfrastructureError: It is not one: another version, or damaged.
        """
        try:
            said = data["observation"]
            images = tuple(read_data_url(url) for url in said["images"])
            observation = {"images": images, "system": str(said["system"]), "text": str(said["text"])}
            parts = {f"reward_components/{name}": float(value) for name, value in said["reward_components"].items()}
            told, reward = {**said["info"], **parts}, float(data["reward"] or 0.0)
            Outcome.from_info(told)
        except (ImageError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._session.close()
            raise InfrastructureError(f"the server's answer cannot be read: {type(error).__name__}") from error
        self._last, self._told = said, told
        if said.get("failure"):
            self.failure = InfrastructureError(f"on the server: {str(said['failure'])[:80]}")
        return observation, reward

    def _failed(self, task_id: str, error: InfrastructureError) -> dict[str, Any]:
        """The last observation of an episode whose server is gone."""
        self.failure = error
        known = Outcome.from_info(self._told) if self._told.get("task_id") == task_id else None
        calls = known.tool_calls if known else 0
        lost = Outcome(
            task_id=task_id,
            family=task_id.partition("/")[0].partition(":")[0],
            answer_score=0.0,
            format_score=0.0,
            tool_calls=calls,
            tool_calls_by=known.tool_calls_by if known else self.toolbox.count([]),
            tool_cost=known.tool_cost if known else 0.0,
            turns=known.turns if known else 0,
            truncated=True,
            scored=False,
        )
        names = rewards.checked_components(self.design, lost)
        self._last = {}
        self._told = lost.to_info() | {f"reward_components/{name}": 0.0 for name in names}
        return {"images": (), "system": "", "text": _LOST}


class _TaskElsewhere:
    """A task that is drawn here only if somebody looks at it: its id is known without."""

    def __init__(self, taskset: Taskset, task_id: str) -> None:
        self.task_id = task_id
        self._taskset = taskset

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._taskset.load(self.task_id), name)


def _arguments(spec: Mapping[str, Any], *, trust: bool) -> dict[str, Any]:
    """The arguments of the servers' environment, for the one here that draws ids, reads actions and knows prices."""
    env_id, arguments = spec["env_id"], dict(spec["env"])
    if not trust:
        try:
            _, arguments = chosen({"id": env_id, "entry_point": entry_point(env_id), "kwargs": arguments})
        except RecordingError as error:
            raise ConfigError(
                f"the servers' environment is not made here by itself: {error.args[0].partition('. Replay')[0]}. Give "
                "trust=true only if you know the servers: any code may then run here"
            ) from error
    if entry_point(env_id) != entry_point("MetisVQA-v0"):
        raise ConfigError(f"Expect an environment of text on the servers, such as MetisVQA-v0, actually: {env_id!r}")
    return arguments
