"""Writes a run: every event is on disk when it was written, nothing written is ever changed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from metis_gym.errors import RecordingError
from metis_gym.images.transforms import fingerprint, to_png
from metis_gym.recording.cards import card_of, card_values
from metis_gym.recording.encoding import encoded
from metis_gym.recording.events import Event, as_dict
from metis_gym.recording.files import EVENTS, FORMAT, HEADER, IMAGES, MAX_IMAGE_PIXELS, MAX_LINE_BYTES, TASKS, saying
from metis_gym.records import ImageArray, Task
from metis_gym.storage import write_atomically

__all__ = ["RunWriter"]


class RunWriter:
    """Writes a run. Every event is on disk when `write` returns; nothing written is ever changed.

    Args:
        folder: Made if it is not there.
        spec: The environment's spec.
        notes: Whatever a reader should know, such as the agent's name; values that JSON can hold.

    Raises:
        RecordingError: The folder cannot be written, or holds a run already.
    """

    def __init__(self, folder: str | Path, spec: EnvSpec, notes: Mapping[str, Any] | None = None) -> None:
        self.folder = folder = Path(folder)
        self._known: set[str] = set()
        if (folder / HEADER).exists():
            raise RecordingError(f"{folder} holds a run already; choose another folder or remove it")
        with saying(f"cannot record into {folder}"):
            (folder / IMAGES).mkdir(parents=True, exist_ok=True)
            header = {"format": FORMAT, "versions": _versions(), "spec": json.loads(spec.to_json())}
            header |= {"notes": dict(notes)} if notes else {}
            write_atomically(folder / HEADER, json.dumps(header, indent=2).encode())
            self._stream = (folder / EVENTS).open("a", encoding="utf-8")
        self._told: set[str] = set()

    def write(self, event: Event) -> None:
        """Append an event.

        Raises:
            RecordingError: The disk is full, the folder is gone, or the event is larger than what a reader takes.
        """
        with saying(f"cannot record into {self.folder}"):
            self._stream.write(self._line(as_dict(event)))
            self._stream.flush()

    def write_task(self, task: Task) -> None:
        """Write the card of a task, once for each task: right answer, options, region and what else is known.

        Raises:
            RecordingError: The disk is full, or the folder is gone.
        """
        if task.task_id in self._told:
            return
        with saying(f"cannot record into {self.folder}"), (self.folder / TASKS).open("a", encoding="utf-8") as stream:
            stream.write(self._line(card_values(card_of(task))))
        self._told.add(task.task_id)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._stream.close()

    def _line(self, values: Mapping[str, Any]) -> str:
        line = json.dumps(encoded(values, self._stored))
        if len(line) >= MAX_LINE_BYTES:
            raise RecordingError(f"a line of {len(line):,} bytes; at most {MAX_LINE_BYTES:,} are read back")
        return line + "\n"

    def _stored(self, image: ImageArray) -> str:
        height, width = image.shape[:2]
        if height * width > MAX_IMAGE_PIXELS:
            raise RecordingError(f"an image of {width} x {height} pixels; at most {MAX_IMAGE_PIXELS:,} are read back")
        name = fingerprint(image)
        if name not in self._known:
            write_atomically(self.folder / IMAGES / f"{name}.png", to_png(image), durable=False)
            self._known.add(name)
        return name


def _versions() -> dict[str, str]:
    from metis_gym import __version__

    return {"metis-gym": __version__, "gymnasium": gym.__version__, "numpy": np.__version__}
