"""Runs recorded by `metis_gym.wrappers.Recorder` as a source: each finished episode is a row.

Images are taken as the files that they are; nothing is decoded here. What tools worked on, the full-resolution images,
no recording holds: they are drawn again from the task's id, by an environment of this package only
(`metis_gym.recording.choices`).
"""

import functools
import json
import re
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from metis_agents.curate.formats.conversations import dialect_of, model_turn
from metis_agents.curate.formats.parts import marks, question_in, text_of
from metis_agents.curate.records import ModelTurn, Observed, RowError, Sample, SampleImage
from metis_gym.actions import action_text
from metis_gym.backstage import backstage
from metis_gym.errors import InvalidActionError, MetisError, RecordingError
from metis_gym.images.transforms import to_png
from metis_gym.recording import Run
from metis_gym.recording.choices import chosen
from metis_gym.recording.encoding import decoded
from metis_gym.recording.files import EVENTS, IMAGES, MAX_LINE_BYTES, TASKS, opened, read_whole, saying
from metis_gym.records import Task
from metis_gym.registration import register_all

__all__ = ["RunRows", "rebuilt_task", "tool_images"]

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_MAX_IMAGE_BYTES = 64 << 20
_MAX_EVENTS = 512
_DIALECT = "metis"


class _Card(NamedTuple):
    question: str
    options: tuple[str, ...]
    gold: str
    candidates: tuple[str, ...]
    ability: str


class RunRows:
    """The episodes of a recorded run, each read when it is needed.

    Args:
        folder: Where it lies.
        name: What it is called in verdicts.

    Raises:
        RecordingError: There is no run, or its environment is none that a recording may choose.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        run = Run(folder)
        spec = chosen(run.spec)[1].get("dialect", _DIALECT)
        self.dialect = spec if isinstance(spec, str) else _DIALECT
        self._starts, self._events = array("q"), array("q")
        self._cards: dict[str, _Card] = {}
        with saying(f"cannot read {folder}"):
            self._find_episodes()
            self._read_cards()

    def __len__(self) -> int:
        return len(self._starts)

    def sample(self, row: int) -> Sample:
        """An episode as a trajectory.

        Raises:
            RowError: It is damaged.
        """
        if self._events[row] > _MAX_EVENTS:
            raise RowError("unreadable", f"an episode of {self._events[row]:,} events; at most {_MAX_EVENTS} are read")
        try:
            return self._sample(row, [self._event(line) for line in self._lines(row)])
        except (KeyError, TypeError, ValueError, OSError, RecursionError, RecordingError) as error:
            raise RowError("unreadable", f"{type(error).__name__}: {error}") from None

    def _sample(self, row: int, events: list[Mapping[str, Any]]) -> Sample:
        first, *steps = events
        opening, info = first["returned"]["observation"], first["returned"]["info"]
        turns = []
        for number, step in enumerate(steps):
            is_last = number == len(steps) - 1
            after = None if is_last else self._observed(step["returned"]["observation"])
            turns.append(self._turn(step["given"]["action"], after))
        prompt = self._observed(opening)
        task_id = text_of(info["task_id"], "task_id")
        card = self._cards.get(task_id)
        if card is None:
            question, options = question_in(prompt.text)
            card = _Card(question, options, "", (), "")
        return Sample(
            source=self.name,
            row=row,
            question=card.question,
            options=card.options,
            gold=card.gold,
            candidates=card.candidates,
            ability=card.ability,
            images=prompt.images,
            system=text_of(opening["system"], "the system turn"),
            prompt=prompt.text,
            dialect=self.dialect,
            turns=tuple(turns),
            rebuild=task_id,
        )

    def _turn(self, action: Any, after: Observed | None) -> ModelTurn:
        dialect = dialect_of(self.dialect)
        try:
            text = action_text(action, dialect)
        except InvalidActionError as error:
            raise RowError("unreadable", f"an action that no model could have produced: {error}") from None
        return model_turn(text_of(text, "an action"), dialect, after)

    def _observed(self, observation: Mapping[str, Any]) -> Observed:
        text = text_of(observation["text"], "an observation")
        named = observation["images"]
        if marks(text) != len(named):
            raise RowError("marks_differ", f"{marks(text)} <image> in an observation, {len(named)} images")
        return Observed(text, tuple(named))

    def _event(self, line: bytes) -> Mapping[str, Any]:
        load: Any = self._image  # an image stays the file that it is
        event = decoded(json.loads(line), load)
        if not isinstance(event, dict):
            raise TypeError("an event is an object")
        return event

    def _image(self, name: Any) -> SampleImage:
        if not isinstance(name, str) or not _FINGERPRINT.fullmatch(name):
            raise ValueError(f"an image is named by 64 hexadecimal digits, actually: {name!r:.80}")
        try:
            return SampleImage(read_whole(self.folder / IMAGES / f"{name}.png", _MAX_IMAGE_BYTES))
        except (OSError, RecordingError) as error:
            return SampleImage(b"", "missing", str(error), f"{name}.png")

    def _lines(self, row: int) -> list[bytes]:
        with opened(self.folder / EVENTS) as stream:
            stream.seek(self._starts[row])
            return [stream.readline(MAX_LINE_BYTES + 1) for _ in range(self._events[row])]

    def _find_episodes(self) -> None:
        """Where each episode begins, and how many events it has; one that was cut off at the end is left out."""
        with opened(self.folder / EVENTS) as stream:
            place, count, start, is_over = 0, 0, -1, False
            while line := stream.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    raise RecordingError(f"a line has more than {MAX_LINE_BYTES:,} bytes")
                if not line.endswith(b"\n"):
                    break
                if b'"kind": "reset"' in line[:64]:
                    self._keep(start, count, is_over)
                    start, count = place, 0
                count += 1
                is_over = b'"terminated": true' in line[-65536:] or b'"truncated": true' in line[-65536:]
                place += len(line)
            self._keep(start, count, is_over)

    def _keep(self, start: int, count: int, is_over: bool) -> None:
        if start >= 0 and count > 1 and is_over:
            self._starts.append(start)
            self._events.append(count)

    def _read_cards(self) -> None:
        path = self.folder / TASKS
        if not path.exists():
            return
        with opened(path) as stream:
            while (line := stream.readline(MAX_LINE_BYTES + 1)).endswith(b"\n"):
                card = decoded(json.loads(line), lambda name: name)
                gold = card["gold"]
                self._cards[str(card["task_id"])] = _Card(
                    text_of(card["question"], "question"),
                    tuple(text_of(option, "an option") for option in card["options"]),
                    text_of(gold["value"], "the right answer"),
                    tuple(text_of(one, "a candidate") for one in gold.get("candidates", ())),
                    text_of(card["ability"], "ability"),
                )


def rebuilt_task(folder: Path, task_id: str) -> Task:
    """The task that an episode of a recorded run was played on, drawn again.

    Raises:
        RecordingError: It cannot be: the run's environment or the task is not known to this version.
    """
    try:
        task: Task = _inside(str(folder)).taskset.load(task_id)
        return task
    except RecordingError:
        raise
    except MetisError as error:
        raise RecordingError(f"the task {task_id!r:.120} of {folder} cannot be drawn again: {error}") from error


def tool_images(sample: Sample) -> tuple[SampleImage, ...]:
    """The images that tools work on: of a recorded run the full-resolution ones, else those of the prompt.

    Raises:
        RecordingError: They are those of a run whose task cannot be drawn again.
    """
    if not sample.rebuild:
        return sample.images
    task = rebuilt_task(Path(sample.source), sample.rebuild)
    return tuple(SampleImage(to_png(image.source), name=f"{n}.png") for n, image in enumerate(task.images, start=1))


@functools.lru_cache(maxsize=8)
def _inside(folder: str) -> Any:
    import gymnasium as gym

    register_all()
    env_id, arguments = chosen(Run(folder).spec)
    return backstage(gym.make(env_id, disable_env_checker=True, **arguments))
