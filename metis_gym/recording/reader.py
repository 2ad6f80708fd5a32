"""Reads a run that anybody may have written."""

import functools
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from metis_gym.errors import RecordingError
from metis_gym.recording.cards import TaskCard, as_card
from metis_gym.recording.encoding import decoded
from metis_gym.recording.events import Event, as_event
from metis_gym.recording.files import (
    EVENTS,
    FORMAT,
    HEADER,
    MAX_HEADER_BYTES,
    MAX_LINE_BYTES,
    TASKS,
    opened,
    read_image,
    read_whole,
    saying,
)
from metis_gym.records import ImageArray

__all__ = ["Run"]

_MAX_EVENT_PIXELS = 1 << 29
"""Pixels of all images of one event, counted as often as they are named: 537 megapixels, 1.6 GB decoded. Forty returned
images of the largest size, in the results and in the observation, are 419."""
_MAX_KEPT_PIXELS = 1 << 24


class Run:
    """A recorded run. What is read is bounded: the header, each line, each image, and the images of each event.

    Args:
        folder: Where it lies.

    Attributes:
        versions: The packages that recorded it.
        spec: The environment's spec as it stands there: not checked. `replay` makes an environment of it, after
            `metis_gym.recording.choices` has looked at it.
        notes: What the writer noted, such as the agent's name; not checked.

    Raises:
        RecordingError: There is no run, it was written in another format, or its header is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder = Path(folder)
        with saying(f"{folder} holds no run that can be read ({HEADER})"):
            header = json.loads(read_whole(folder / HEADER, MAX_HEADER_BYTES))
            if not isinstance(header, dict):
                raise RecordingError("expected an object")
        if header.get("format") != FORMAT:
            raise RecordingError(
                f"{folder / HEADER} is of format {header.get('format')!r:.80}; this version reads format {FORMAT}"
            )
        self.versions: Mapping[str, str] = _mapping(header, "versions", folder)
        self.spec: Mapping[str, Any] = _mapping(header, "spec", folder)
        self.notes: Mapping[str, Any] = _mapping(header, "notes", folder) if "notes" in header else {}

    def events(self) -> Iterator[Event]:
        """The events in order. A last line that was cut off when the writer was killed is left out.

        Raises:
            RecordingError: A line or an image in the middle cannot be read; the message names it.
        """
        for number, values in self._lines(EVENTS, self.place):
            with saying(self.place(number)):
                event = as_event(values())
            yield event

    def tasks(self) -> Iterator[TaskCard]:
        """The cards of the tasks, each once; none in recordings of former versions.

        Raises:
            RecordingError: A line or an image in the middle cannot be read; the message names it.
        """

        def place(number: int) -> str:
            return f"cannot read task {number} of {self.folder} ({TASKS}, line {number + 1})"

        if (self.folder / TASKS).exists():
            for number, values in self._lines(TASKS, place):
                with saying(place(number)):
                    card = as_card(values())
                yield card

    def _lines(self, name: str, place: Callable[[int], str]) -> Iterator[tuple[int, Callable[[], Any]]]:
        """The lines of a file, each with what decodes it; one that was cut off at the end is left out."""
        images = _Images(self.folder)
        with saying(f"cannot read {self.folder}"), opened(self.folder / name) as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                with saying(place(number)):
                    if len(line) > MAX_LINE_BYTES:
                        raise RecordingError(f"the line has more than {MAX_LINE_BYTES:,} bytes")
                if not line.endswith(b"\n"):
                    return
                images.start_event()
                yield number, functools.partial(_decoded_line, line, images)
                number += 1

    def place(self, number: int) -> str:
        """Where an event stands, as the beginning of an error message."""
        return f"cannot read event {number} of {self.folder} ({EVENTS}, line {number + 1})"


def _decoded_line(line: bytes, images: "_Images") -> Any:
    return decoded(json.loads(line), images.get)


class _Images:
    """The images of a run. Those of an event are decoded once; the newest are kept for the next events."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, ImageArray] = OrderedDict()
        self._event: dict[str, ImageArray] = {}
        self._pixels = 0

    def start_event(self) -> None:
        for name, image in self._event.items():
            self._kept[name] = image
            self._kept.move_to_end(name)
        self._event, self._pixels = {}, 0
        while sum(map(_pixels, self._kept.values())) > _MAX_KEPT_PIXELS:
            self._kept.popitem(last=False)

    def get(self, name: Any) -> ImageArray:
        """The image of a fingerprint; the caller's own."""
        if name not in self._event:
            image = self._kept[name] if isinstance(name, str) and name in self._kept else read_image(self._folder, name)
            self._event[name] = image
        self._pixels += _pixels(self._event[name])
        if self._pixels > _MAX_EVENT_PIXELS:
            raise RecordingError(f"the images of the event have more than {_MAX_EVENT_PIXELS:,} pixels together")
        return self._event[name].copy()


def _pixels(image: ImageArray) -> int:
    height, width = image.shape[:2]
    return int(height * width)


def _mapping(header: Mapping[str, Any], name: str, folder: Path) -> Mapping[str, Any]:
    if not isinstance(header.get(name), dict):
        raise RecordingError(f"{folder / HEADER} has no {name!r}, or it is no object")
    found: Mapping[str, Any] = header[name]
    return found
