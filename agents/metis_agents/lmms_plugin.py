"""Our agents as a model of lmms-eval (extra `[lmms]`), so that its official tasks are played with tools.

```bash
lmms-eval --model metis_gym --model_args agent=openai:model=NAME,dialect=metis --tasks vstar_bench,hrbench4k
```

Each request becomes a task without a right answer; the agent plays it, and its final answer alone goes back, which
lmms-eval grades. `max_new_tokens` of a task is not passed on: many tasks say 16, which is meant for a bare letter. An
episode that cannot be played raises, so that an outage is never an answer.

lmms-eval finds `manifest` through the entry-point group `lmms_eval.models`. Nothing of lmms-eval is imported before it
asks for the class.
"""

import contextlib
import copy
import re
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from PIL import Image

from metis_agents.agent import Agent, BatchAgent, ModelAgent, NoAnswerError, visible_info
from metis_agents.agents import make_agent
from metis_agents.scripted import ScriptedAgent
from metis_gym.backstage import backstage
from metis_gym.dialects import DIALECTS
from metis_gym.errors import ConfigError, InfrastructureError, MissingDependencyError, TaskDataError, TaskIdError
from metis_gym.images import decode, decode_file
from metis_gym.images.transforms import shrink
from metis_gym.records import GoldAnswer, ImageArray, Task, TaskImage
from metis_gym.registration import register_all
from metis_gym.specs import format_spec, parse_spec
from metis_gym.tasksets import Taskset
from metis_gym.tools.offered import default_tools

if TYPE_CHECKING:
    lmms = object
else:
    try:
        from lmms_eval.api.model import lmms
    except ImportError:
        lmms = object

__all__ = ["MetisGym", "manifest"]

_MODEL = "metis_gym"
_ENV = "MetisVQA-v0"
_FAMILY = "lmms"
_VIEW_PIXELS = 16_384 * 28 * 28
_IMAGE_MARK = re.compile(r"<image(?:[ _]?\d+)?>\s*")
_NO_GOLD = "?"


def manifest() -> Any:
    """What lmms-eval is told about this model.

    Raises:
        MissingDependencyError: lmms-eval is not installed.
    """
    try:
        from lmms_eval.models.registry_v2 import ModelManifest
    except ImportError as error:
        raise MissingDependencyError.of("lmms_eval", "lmms", "Playing tasks of lmms-eval") from error
    return ModelManifest(model_id=_MODEL, chat_class_path=f"{__name__}.MetisGym")


class MetisGym(lmms):
    """An agent with tools, as a chat model of lmms-eval.

    Args:
        agent: The agent, `openai:model=NAME` or another name. lmms-eval splits arguments at commas, so further
            parameters of the agent stand beside it: `agent=openai:model=NAME,base_url=URL,dialect=metis`.
        dialect: What the model writes and reads.
        max_turns: Turns that may call tools.
        parallel: Episodes at a time.
        view_pixels: Largest image that the model is shown whole; larger ones are shrunk to it. Tools see the original.
        batch_size, max_batch_size, device: Given by lmms-eval, and of no meaning here.
        **others: `env.NAME` are arguments of the environment, such as `env.sandbox`; all others are the agent's.

    Raises:
        ConfigError: An argument is not valid, or the agent plays in batches.
    """

    is_simple = False

    def __init__(
        self,
        agent: str = "openai",
        *,
        dialect: str = "metis",
        max_turns: int = 10,
        parallel: int = 1,
        view_pixels: int = _VIEW_PIXELS,
        batch_size: Any = None,  # noqa: ARG002 — one question is one episode
        max_batch_size: Any = None,  # noqa: ARG002 — the same
        device: Any = None,  # noqa: ARG002 — agents know where they compute
        **others: Any,
    ) -> None:
        super().__init__()
        self.task_dict: dict[str, Any] = getattr(self, "task_dict", {})
        environment = {name[4:]: value for name, value in others.items() if name.startswith("env.")}
        given = {name: value for name, value in others.items() if not name.startswith("env.") and value is not None}
        self._agent = make_agent(_spec(agent, given))
        if isinstance(self._agent, BatchAgent):
            raise ConfigError(f"{agent} plays many episodes in a batch, and lmms-eval asks one by one: use an endpoint")
        for name, value in (("parallel", parallel), ("view_pixels", view_pixels)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1, actually: {value!r}")
        self._parallel, self._view_pixels = parallel, view_pixels
        tools = default_tools(DIALECTS.make(dialect), _OneTask(None))
        self._settings: dict[str, Any] = {
            "dialect": dialect,
            "max_turns": max_turns,
            "tools": tools,
            "split": "test",
            **{name: value.split("+") if name == "tools" else value for name, value in environment.items()},
        }
        self._local, self._players = threading.local(), contextlib.ExitStack()

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """The final answers to some requests, in order; empty where the model gave none.

        Raises:
            InfrastructureError: An episode could not be played.
        """
        with contextlib.ExitStack() as stack, ThreadPoolExecutor(self._parallel) as pool:
            self._local, self._players = threading.local(), stack
            return list(pool.map(self._answer, requests))

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not possible: the rounds here are the agent's own."""
        raise NotImplementedError("metis_gym plays rounds of its own; tasks with rounds of theirs are not for it")

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not possible: an episode with tools has no likelihood."""
        raise NotImplementedError("metis_gym answers questions; it gives no likelihoods")

    def _answer(self, request: Any) -> str:
        _, doc_to_messages, _, doc_id, task, split = request.args
        messages = doc_to_messages(self.task_dict[task][split][doc_id])
        player, env = self._player()
        made = _task(f"{_FAMILY}/{task}/{split}/{doc_id}", messages, self._view_pixels)
        backstage(env).use_taskset(_OneTask(made))
        return _played(player, env, made.task_id)

    def _player(self) -> tuple[Agent, gym.Env[Any, Any]]:
        """This thread's clone of the agent and its environment."""
        if not hasattr(self._local, "player"):
            register_all()
            env = gym.make(_ENV, disable_env_checker=True, taskset="patches", **self._settings)
            self._players.callback(env.close)
            player = self._agent.clone() if isinstance(self._agent, ModelAgent) else copy.deepcopy(self._agent)
            if isinstance(player, ModelAgent):
                player.prepare(backstage(env).dialect)
            self._local.player = player, env
        found: tuple[Agent, gym.Env[Any, Any]] = self._local.player
        return found


class _OneTask(Taskset):
    """The task of a request. Like a benchmark, it is played with the tools of the dialect's own models."""

    is_benchmark = True

    def __init__(self, task: Task | None) -> None:
        self._task = task

    @property
    def families(self) -> tuple[str, ...]:
        return (_FAMILY,)

    def draw(self, rng: np.random.Generator) -> str:  # noqa: ARG002 — there is one
        return "" if self._task is None else self._task.task_id

    def build(self, task_id: str) -> Task:
        if self._task is None or task_id != self._task.task_id:
            raise TaskIdError(f"task id {task_id!r:.200} is not the one that is asked")
        return self._task

    load = build  # the cache of tasks would keep the images of a benchmark that lmms-eval holds already


def _spec(agent: str, parameters: Mapping[str, Any]) -> str:
    """The agent's spec with the parameters that lmms-eval cut off at commas."""
    if not parameters:
        return agent
    name, own = parse_spec(agent)
    return format_spec(name, {**own, **parameters})


def _task(task_id: str, messages: Sequence[Mapping[str, Any]], view_pixels: int) -> Task:
    """A conversation of lmms-eval as one question, without a right answer.

    Raises:
        TaskDataError: It holds something else than texts and images.
    """
    texts, images = list[str](), list[TaskImage]()
    for part in _parts(messages):
        if part["type"] == "text":
            texts.append(_IMAGE_MARK.sub("", part["text"]).strip())
        elif part["type"] == "image":
            source = _pixels(part["url"], task_id)
            images.append(TaskImage(source=source, view=shrink(source, view_pixels)))
        else:
            raise TaskDataError(f"{task_id}: metis_gym plays texts and images, actually: {part['type']!r:.80}")
    question = "\n".join(filter(None, texts))
    gold = GoldAnswer(value=_NO_GOLD)
    return Task(task_id=task_id, family=_FAMILY, question=question, images=tuple(images), gold=gold)


def _parts(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


def _pixels(value: Any, place: str) -> ImageArray:
    if isinstance(value, Image.Image):
        return np.array(value.convert("RGB"), dtype=np.uint8)
    if isinstance(value, bytes):
        return decode(value, name=place)
    if isinstance(value, str):
        return decode_file(Path(value), name=place)
    raise TaskDataError(f"{place}: an image is one of Pillow, bytes or a path, actually: {type(value).__name__}")


def _played(player: Agent, env: gym.Env[Any, Any], task_id: str) -> str:
    """Play one episode; the final answer, empty where the model gave none."""
    observation, info = env.reset(options={"task_id": task_id})
    player.reset(np.random.default_rng(zlib.crc32(task_id.encode())))
    inside, is_over = backstage(env), False
    if isinstance(player, ScriptedAgent):
        player.brief(inside.episode.task)
    try:
        while not is_over:
            action = player.act(observation, visible_info(info))
            action = inside.encode_action(action) if isinstance(player, ScriptedAgent) else action
            observation, _, terminated, truncated, info = env.step(action)
            is_over = bool(terminated or truncated)
    except NoAnswerError:
        return ""
    if inside.failure is not None:
        raise InfrastructureError(f"{task_id} could not be played: {inside.failure}") from inside.failure
    turns = inside.episode.turns
    return (turns[-1].answer or "") if turns else ""
