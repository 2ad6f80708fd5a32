"""What the viewer shows of an episode, read from a recording or taken from one in memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metis_gym.errors import RecordingError
from metis_gym.recording import Event, Run, TaskCard
from metis_gym.recording.cards import card_of
from metis_gym.records import Episode, ImageArray, Necessity, Outcome, ToolResult, Turn

__all__ = ["EpisodeCard", "TurnCard", "card_of_episode", "find_runs", "read_episodes"]


_FORMER: Mapping[str, Any] = {
    "plans": "",
    **{
        f"{name}_known": False
        for name in ("tool_benefit", "true_answer_score", "blind_accuracy", "min_calls", "tool_accuracy")
    },
}
"""What infos of former versions lack."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TurnCard:
    """A turn of the model and what came of it.

    Attributes:
        action: What the model wrote.
        results: What the tools gave.
        answer: What it answered; None if it did not.
    """

    action: str
    results: tuple[ToolResult, ...] = ()
    answer: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeCard:
    """An episode as the viewer shows it.

    Attributes:
        run: Name of its run.
        number: Which episode of the run.
        task_id: The task.
        prompt: The first user turn.
        views: The images of the prompt.
        turns: The model's turns.
        outcome: How it ended; None if it did not.
        components: What the environment's reward design paid, by component.
        reward: The reward of the last step.
        task: What is known about the task; None in recordings of former versions.
        failure: What broke, if something did.
    """

    run: str
    number: int
    task_id: str
    prompt: str
    views: tuple[ImageArray, ...]
    turns: tuple[TurnCard, ...]
    outcome: Outcome | None = None
    components: Mapping[str, float] = field(default_factory=dict)
    reward: float = 0.0
    task: TaskCard | None = None
    failure: str = ""

    @property
    def necessity(self) -> Necessity:
        """Whether the task needs a tool."""
        if self.task is not None:
            return self.task.necessity
        return self.outcome.necessity if self.outcome else Necessity.UNKNOWN

    @property
    def has_called(self) -> bool:
        """Whether a tool was called."""
        return self.outcome is not None and self.outcome.tool_calls > 0

    @property
    def is_right(self) -> bool:
        """Whether the answer was right, by the true verdict."""
        return self.outcome is not None and self.outcome.truly_correct

    @property
    def family(self) -> str:
        """The task's family."""
        return self.outcome.family if self.outcome else (self.task.family if self.task else "")


def find_runs(folder: str | Path) -> list[Path]:
    """The recordings in a folder and below, in the order of their paths.

    Raises:
        RecordingError: There is none.
    """
    found = sorted(path.parent for path in Path(folder).rglob("run.json"))
    if not found:
        raise RecordingError(f"{folder} holds no recording (no run.json in it or below)")
    return found


def read_episodes(folder: str | Path, name: str = "") -> Iterator[EpisodeCard]:
    """The episodes of all recordings in a folder and below, as they were played.

    Args:
        folder: A recording, or a folder with several: one for each worker.
        name: What to call the run; the folder's name by default.

    Raises:
        RecordingError: There is no recording, or one is damaged.
    """
    number = 0
    for path in find_runs(folder):
        run = Run(path)
        tasks = {card.task_id: card for card in run.tasks()}
        started: Event | None = None
        steps: list[Event] = []
        for event in run.events():
            if event.kind == "reset":
                if started is not None:
                    yield _episode(name or Path(folder).name, number, started, steps, tasks)
                    number += 1
                started, steps = event, []
            elif started is not None:
                steps.append(event)
        if started is not None:
            yield _episode(name or Path(folder).name, number, started, steps, tasks)
            number += 1


def card_of_episode(episode: Episode, outcome: Outcome | None = None, *, is_plain: bool = False) -> EpisodeCard:
    """An episode in memory; with `is_plain`, calls and answers are shown without the dialect's words around them."""
    turns = tuple(
        TurnCard(action=_plainly(turn) if is_plain else turn.text, results=turn.results, answer=turn.answer)
        for turn in episode.turns
    )
    return EpisodeCard(
        run="",
        number=0,
        task_id=episode.task.task_id,
        prompt=episode.prompt.text,
        views=episode.prompt.images,
        turns=turns,
        outcome=outcome,
        task=card_of(episode.task),
    )


def _episode(
    run: str, number: int, started: Event, steps: Sequence[Event], tasks: Mapping[str, TaskCard]
) -> EpisodeCard:
    observation = _mapping(started.returned.get("observation"))
    last = steps[-1] if steps else started
    info = _mapping(last.returned.get("info"))
    task_id = str(info.get("task_id", ""))
    prefix = "reward_components/"
    components = {
        key.removeprefix(prefix): float(value)
        for key, value in info.items()
        if key.startswith(prefix) and isinstance(value, int | float)
    }
    return EpisodeCard(
        run=run,
        number=number,
        task_id=task_id,
        prompt=_prompt(observation.get("text", "")),
        views=_views(observation),
        turns=tuple(TurnCard(action=_action(event), results=event.results) for event in steps),
        outcome=_outcome(info),
        components=components,
        reward=float(last.returned.get("reward", 0.0) or 0.0) if steps else 0.0,
        task=tasks.get(task_id),
        failure=last.failure,
    )


def _prompt(text: Any) -> str:
    """The text of an observation; the numeric view has it as bytes, padded with zeros."""
    if isinstance(text, np.ndarray):
        return text.astype(np.uint8).tobytes().rstrip(b"\0").decode("utf-8", "replace")
    return str(text)


def _views(observation: Mapping[str, Any]) -> tuple[ImageArray, ...]:
    """The images of an observation; the numeric view has one."""
    images = observation.get("images", observation.get("image", ()))
    views = images if isinstance(images, tuple | list) else (images,)
    return tuple(view for view in views if _is_image(view))


def _is_image(value: Any) -> bool:
    is_bytes = isinstance(value, np.ndarray) and value.dtype == np.uint8
    return is_bytes and value.ndim == 3 and value.shape[2] == 3 and value.size > 0


def _action(event: Event) -> str:
    """What the model wrote; a call, an answer or a number that was given, in words."""
    action: Any = event.given.get("action", "")
    if isinstance(action, int | np.integer | np.ndarray):
        return f"action {action}"
    calls = action if isinstance(action, list | tuple) else [action]
    return "\n\n".join(_spelled(call) for call in calls)


def _plainly(turn: Turn) -> str:
    calls: list[dict[str, Any]] = [{"name": call.name, "arguments": call.arguments} for call in turn.calls]
    said = [*calls, *([] if turn.answer is None else [{"answer": turn.answer}])]
    return "\n\n".join(map(_spelled, said)) or turn.text


def _spelled(call: Any) -> str:
    if not isinstance(call, Mapping):
        return str(call)
    if "answer" in call:
        return f"answer: {call['answer']}"
    arguments = call.get("arguments")
    code = arguments.get("code") if isinstance(arguments, Mapping) else None
    told = code if isinstance(code, str) else json.dumps(arguments, ensure_ascii=False, default=str)
    return f"{call.get('name', '')}: {told}"


def _outcome(info: Mapping[str, Any]) -> Outcome | None:
    try:
        return Outcome.from_info({**_FORMER, **info})
    except (KeyError, ValueError, TypeError, OverflowError):  # a recording from elsewhere may hold anything
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
