"""Conversations to imitate: scripted ones, recorded runs, and files of chat messages.

A scripted demonstration of a task is a pair: look closer, or search, and answer right, or answer at once (right where
the view suffices, a guess where it does not). How often the clone will choose which is set by weighing the one token
at which the two part, so that a cold start with any habit can be made: the paper's calls tools on nearly everything.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metis_agents.qwen3vl.chat.renderer import Renderer
from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_gym.actions import action_text
from metis_gym.backstage import Pin, backstage
from metis_gym.dialects import DIALECTS
from metis_gym.errors import ConfigError, InvalidActionError, RecordingError, TaskDataError
from metis_gym.images import decode_file, path_below
from metis_gym.parameters import check_parameters, number, whole
from metis_gym.recording import Run
from metis_gym.recording.choices import chosen
from metis_gym.records import Message, Necessity, Role, Task, ToolCall
from metis_gym.tasksets import Taskset
from metis_gym.tools.crop_code import crop_call
from metis_gym.tools.python import PythonTool

__all__ = [
    "Example",
    "Habits",
    "chat_conversations",
    "example",
    "grounding_examples",
    "pair",
    "recorded_conversations",
    "scripted_pairs",
    "scripted_texts",
]

Conversation = Sequence[Message]
_Env = gym.Env[Any, Any]
_DIALECT = "metis"


@dataclass(frozen=True, eq=False)
class Example:
    """A conversation to imitate.

    Attributes:
        tokens: The conversation.
        weights_N: How much each of the N tokens that the model should write counts.
    """

    tokens: Tokens
    weights_N: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What the clone of a scripted agent does first.

    Attributes:
        tool_rate_none: How often it calls a tool where none is needed.
        tool_rate_required: How often it calls a tool where one is needed.
        look: Longest side, in pixels, of the images that it asks for.
    """

    tool_rate_none: float = number(0.955, low=0, high=1)
    tool_rate_required: float = number(0.995, low=0, high=1)
    look: int = whole(64, low=16)

    def __post_init__(self) -> None:
        check_parameters(self)

    def rate(self, task: Task) -> float:
        """How often it calls a tool on this task."""
        return self.tool_rate_required if task.necessity is Necessity.REQUIRED else self.tool_rate_none


def example(renderer: Renderer, conversation: Conversation) -> Example:
    """A conversation all of whose model tokens count the same."""
    tokens = renderer.conversation(conversation)
    return Example(tokens, np.ones(tokens.model_tokens, dtype=np.float32))


def pair(
    renderer: Renderer, with_tool: Conversation, direct: Conversation, tool_rate: float
) -> tuple[Example, Example]:
    """Two ways to do one task; fine-tuning on both makes the first one's share `tool_rate`.

    The token at which they part is weighed by twice the share of its way; all others count 1.
    """
    one, other = example(renderer, with_tool), example(renderer, direct)
    first, second = (way.tokens.ids_T[way.tokens.is_model_token_T] for way in (one, other))
    shorter = min(len(first), len(second))
    parting = int(np.argmax(first[:shorter] != second[:shorter]))
    one.weights_N[parting], other.weights_N[parting] = 2.0 * tool_rate, 2.0 * (1.0 - tool_rate)
    return one, other


def scripted_pairs(
    make_env: Callable[[], _Env],
    renderer: Renderer,
    habits: Habits,
    *,
    count: int,
    seed: int,
    workers: int = 4,
) -> Iterator[tuple[Example, Example]]:
    """Play so many tasks both ways, in order, with tools that are right.

    Args:
        make_env: Makes an environment; one for each worker.
        renderer: Turns conversations into tokens.
        habits: What the clone should do first.
        count: How many tasks.
        seed: Of the tasks and of the guesses.
        workers: Threads.
    """
    envs = [make_env() for _ in range(workers)]
    for env in envs:
        backstage(env).use_tool_noise(0.0)
    taskset = backstage(envs[0]).taskset
    rng = np.random.default_rng(seed)
    task_ids = [taskset.draw(rng) for _ in range(count)]
    with ThreadPoolExecutor(workers, thread_name_prefix="demonstration") as threads:

        def play(worker: int, number: int) -> tuple[Example, Example]:
            guesses = np.random.default_rng([seed, number])
            task, one, other = _both_ways(envs[worker], task_ids[number], habits, guesses)
            return pair(renderer, one, other, habits.rate(task))

        for start in range(0, count, workers):
            numbers = range(start, min(start + workers, count))
            yield from threads.map(play, range(len(numbers)), numbers)
    for env in envs:
        env.close()


def grounding_examples(taskset: Taskset, renderer: Renderer, *, count: int, seed: int) -> Iterator[Example]:
    """Short conversations that say where an image's deciding region is, and the answer where the view shows it.

    A model that begins with random weights must first learn to see. These have neither a prompt nor tools, and so cost
    a fraction of a demonstration; a model that was trained on images needs none.

    Args:
        taskset: Where tasks come from.
        renderer: Turns conversations into tokens.
        count: How many.
        seed: Of the tasks.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        task = taskset.build(taskset.draw(rng))
        seen = "" if task.necessity is Necessity.REQUIRED else task.gold.value
        question = Message(role=Role.USER, text="<image>", images=(task.images[0].view,))
        yield example(
            renderer, [question, Message(role=Role.ASSISTANT, text=f"<answer>{seen}</answer>{task.region or ()}")]
        )


def scripted_texts(make_env: Callable[[], _Env], habits: Habits, *, count: int, seed: int) -> list[str]:
    """What is said in such demonstrations, without running tools: what a tokenizer should write with few tokens."""
    env = make_env()
    inside = backstage(env)
    texts = []
    for place in range(count):
        observation, _ = env.reset(seed=seed + place)
        task = inside.episode.task
        calls = [ToolCall(**call) for call in _calls(task, habits.look)]
        texts += [observation["system"], observation["text"]]
        texts += [inside.dialect.write_calls(calls), inside.dialect.write_answer(_answer(task, None))]
    env.close()
    return texts


def recorded_conversations(
    folder: Path, *, keep: Callable[[Mapping[str, Any]], bool] | None = None
) -> Iterator[Conversation]:
    """The finished episodes of a recorded run.

    Args:
        folder: Where it lies.
        keep: Whether to keep an episode, by its last info; None keeps correct ones that were scored.

    Raises:
        RecordingError: There is no run, or it cannot be read.
    """
    keep = keep or (lambda info: bool(info["correct"] and info["scored"]))
    run, said = Run(folder), list[Message]()
    for position, event in enumerate(run.events()):
        observation, info = event.returned["observation"], event.returned["info"]
        if (
            not all(isinstance(observation.get(name), str) for name in ("system", "text"))
            or "images" not in observation
        ):
            raise RecordingError(f"{run.place(position)}: it is of no environment with text")
        if event.kind == "reset":
            said = [Message(role=Role.SYSTEM, text=observation["system"])] if observation["system"] else []
        else:
            said.append(Message(role=Role.ASSISTANT, text=_turn_text(event.given["action"], run, position)))
            if event.returned["terminated"] or event.returned["truncated"]:
                if not {"correct", "scored"} <= info.keys():
                    raise RecordingError(f"{run.place(position)}: its info does not say whether the answer was right")
                if keep(info):
                    yield said
                continue
        said.append(Message(role=Role.USER, text=observation["text"], images=tuple(observation["images"])))


def _turn_text(action: Any, run: Run, position: int) -> str:
    """The turn in the dialect of the run: scripted agents act by dictionaries, which no model writes.

    Raises:
        RecordingError: No model could have produced the action, or the run's environment is none of ours.
    """
    if isinstance(action, str):
        return action
    try:
        dialect = DIALECTS.make(chosen(run.spec)[1].get("dialect", _DIALECT))
        return action_text(action, dialect)
    except (ConfigError, InvalidActionError) as error:
        raise RecordingError(f"{run.place(position)}: an action that cannot be written as a turn: {error}") from error


def chat_conversations(path: Path, *, allow_outside: bool = False) -> Iterator[Conversation]:
    """The lines of a JSONL file: `{"messages": [{"role", "content"}, …], "images": [path, …]}`.

    `content` holds one `<image>` for each image, taken from `images` in order; paths are relative to the file and
    lead to files below its folder, unless `allow_outside`.

    Raises:
        TaskDataError: A line that cannot be used; the message names it.
    """
    if not path.exists():
        raise TaskDataError(f"there is no file {path}")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            place = f"{path}, line {number}"
            try:
                row = json.loads(line)
                yield _messages(row, place, path.parent, allow_outside)
            except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
                raise TaskDataError(
                    f'{place}: expected {{"messages": [{{"role", "content"}}, …], "images": [path, …]}}, actually: '
                    f"{type(error).__name__}: {error}"
                ) from error


def _messages(row: Mapping[str, Any], place: str, folder: Path, allow_outside: bool) -> Conversation:
    paths = [path_below(folder, name, allow_outside=allow_outside) for name in row.get("images", ())]
    images = [decode_file(found, name=place) for found in paths]
    messages = []
    for said in row["messages"]:
        marks = said["content"].count("<image>")
        if marks > len(images):
            raise ConfigError(f"{marks - len(images)} more <image> than images")
        taken, images = images[:marks], images[marks:]
        messages.append(Message(role=Role(said["role"]), text=said["content"], images=tuple(taken)))
    if images:
        raise ConfigError(f"{len(images)} images have no <image> in the messages")
    return messages


def _both_ways(
    env: _Env, task_id: str, habits: Habits, rng: np.random.Generator
) -> tuple[Task, Conversation, Conversation]:
    task = backstage(env).taskset.load(task_id)
    one = _played(env, task, [*_calls(task, habits.look), {"answer": _answer(task, None)}])
    is_hidden = task.necessity in (Necessity.REQUIRED, Necessity.PARTIAL)
    return task, one, _played(env, task, [{"answer": _answer(task, rng if is_hidden else None)}])


def _played(env: _Env, task: Task, actions: Sequence[Mapping[str, Any]]) -> Conversation:
    env.reset(options=Pin(task.task_id).options)
    for action in actions:
        env.step(dict(action))
    return backstage(env).episode.messages


def _calls(task: Task, longest: int) -> list[dict[str, Any]]:
    """The searches of the shortest solution where it has any, else one closer look."""
    if any(call.name != PythonTool.name for call in task.solution):
        return [{"name": call.name, "arguments": dict(call.arguments)} for call in task.solution]
    return [_look(task, longest)]


def _look(task: Task, longest: int) -> dict[str, Any]:
    """The call that shows the deciding region, or the whole image, at a size."""
    height, width = task.images[0].source.shape[:2]
    left, top, right, bottom = task.region or (0, 0, width, height)
    scale = longest / max(right - left, bottom - top)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    call = crop_call((left, top, right, bottom), size)
    return {"name": call.name, "arguments": dict(call.arguments)}


def _answer(task: Task, rng: np.random.Generator | None) -> str:
    """The right answer; a guess among all possible ones with a generator."""
    if rng is None or not task.alternatives:
        return task.gold.value
    return task.alternatives[int(rng.integers(len(task.alternatives)))]
