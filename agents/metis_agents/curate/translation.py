"""Trajectories in another dialect: calls and answers are written anew, thoughts stay as they are."""

import functools
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from metis_agents.curate.formats.conversations import dialect_of
from metis_agents.curate.formats.parts import marks
from metis_agents.curate.records import ModelTurn, Observed, Sample, SampleImage
from metis_agents.curate.stages.recorded import payload
from metis_agents.curate.stages.structure import SEARCHES
from metis_gym.dialects import Dialect, Limits, ToolSpec
from metis_gym.dialects.blocks import ANSWER, remove_blocks
from metis_gym.dialects.code import CODE
from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.errors import ImageError
from metis_gym.images import decode
from metis_gym.records import GoldAnswer, Role, Task, TaskImage, ToolCall, ToolResult, ToolStatus
from metis_gym.tools import TOOLS

__all__ = ["AS_IT_IS", "Line", "NotTranslatableError", "translated"]

AS_IT_IS = "source"
"""In place of a dialect: leave every trajectory in its own."""
_TOOLS = ("python", "text_search", "image_search")
_LIMITS = Limits(max_turns=10, calls_per_turn=8)
_TAG = re.compile(r"</?(?:think|reason)>")
_OTHER_MARKS = ("<video>", "<audio>")
_NOTHING = np.zeros((1, 1, 3), np.uint8)


class NotTranslatableError(Exception):
    """The trajectory cannot be written so that others read the same calls, answer and images."""


@dataclass(frozen=True)
class Line:
    """One message of what is written: text with a mark for each image."""

    role: Role
    text: str
    images: tuple[SampleImage, ...] = ()


def translated(sample: Sample, target: str) -> tuple[Line, ...]:
    """The messages of a trajectory in a dialect, from the system turn on.

    Args:
        sample: The trajectory.
        target: The dialect's spec, or "source" for the trajectory's own.

    Raises:
        NotTranslatableError: The target dialect would read other calls or another answer, or a program that trains on
            the messages other images.
    """
    lines = _as_it_is(sample) if target in (AS_IT_IS, sample.dialect) else _in_dialect(sample, target)
    for line in lines:
        _check_marks(line)
    return lines


def _check_marks(line: Line) -> None:
    """Whoever trains on the messages takes an image for each mark, whoever wrote it; verl films and sounds, too."""
    if marks(line.text) != len(line.images):
        said = f"{marks(line.text)} <image> for {len(line.images)} images"
        raise NotTranslatableError(f"the text of the {line.role.value} has {said}")
    for mark in _OTHER_MARKS:
        if mark in line.text:
            raise NotTranslatableError(f"the text of the {line.role.value} has {mark}, which verl takes for a file")


def _in_dialect(sample: Sample, target: str) -> tuple[Line, ...]:
    source, dialect = dialect_of(sample.dialect), dialect_of(target)
    if source.image_files and not dialect.image_files and sample.calls:
        raise NotTranslatableError(f"code of {source.name} opens files of images, which {dialect.name} has not")
    lines = [Line(Role.SYSTEM, dialect.system(_tools(), _LIMITS)), Line(Role.USER, *_prompt(sample, dialect))]
    for turn in sample.turns:
        lines.append(Line(Role.ASSISTANT, _written(turn, source, dialect)))
        if turn.observed is not None:
            lines.append(Line(Role.USER, _observation(turn, turn.observed, dialect), turn.observed.images))
    return tuple(lines)


def thought_of(text: str, dialect: Dialect) -> str:
    """What a turn says besides its calls and its answer."""
    if dialect.name == "native":
        return str(json.loads(text).get("content") or "")
    for tag in ("tool_call", CODE, ANSWER):
        text = remove_blocks(text, tag)
    return _TAG.sub("", text).strip()


def _as_it_is(sample: Sample) -> tuple[Line, ...]:
    lines = [Line(Role.SYSTEM, sample.system)] if sample.system else []
    lines.append(Line(Role.USER, sample.prompt, sample.images))
    for turn in sample.turns:
        lines.append(Line(Role.ASSISTANT, turn.text))
        if turn.observed is not None:
            lines.append(Line(Role.USER, turn.observed.text, turn.observed.images))
    return tuple(lines)


def _written(turn: ModelTurn, source: Dialect, target: Dialect) -> str:
    thought = thought_of(turn.text, source)
    if turn.calls:
        calls = tuple(_canonical(call) for call in turn.calls)
        text = target.write_calls(calls, thought)
        if tuple(_canonical(call) for call in target.parse(text).calls) != calls:
            raise NotTranslatableError(f"{target.name} would read other calls in {text!r:.200}")
        return text
    if turn.answer is None:
        raise NotTranslatableError("a turn with neither a call nor an answer")
    text = target.write_answer(turn.answer, thought)
    if target.parse(text).answer != turn.answer:
        raise NotTranslatableError(f"{target.name} would read another answer in {text!r:.200}")
    return text


def _canonical(call: ToolCall) -> ToolCall:
    arguments = dict(call.arguments) if isinstance(call.arguments, dict) else {}
    name = {"code_interpreter": "python", "search": "text_search"}.get(call.name, call.name)
    return ToolCall(name=name, arguments=arguments)


def _observation(turn: ModelTurn, observed: Observed, target: Dialect) -> str:
    if len(turn.calls) > 1:
        raise NotTranslatableError("one observation of several calls")
    name = _canonical(turn.calls[0]).name if turn.calls else "python"
    result = ToolResult(
        name=name,
        status=ToolStatus.OK,
        output=payload(observed.text) if name not in SEARCHES else observed.text.replace(IMAGE_MARK, "").strip(),
        images=(_NOTHING,) * len(observed.images),
    )
    text = target.observation([result])
    if marks(text) != len(observed.images):
        raise NotTranslatableError(f"{target.name} shows {marks(text)} of {len(observed.images)} images")
    return text


def _prompt(sample: Sample, target: Dialect) -> tuple[str, tuple[SampleImage, ...]]:
    """The target's own first user turn; of a built-in task the recorded one, which says how large its image is."""
    if sample.rebuild:
        return sample.prompt, sample.images
    try:
        sources = [decode(image.data) for image in sample.images]
    except ImageError as error:
        raise NotTranslatableError(str(error)) from None
    images = tuple(TaskImage(source=source, view=source) for source in sources)
    task = Task(
        task_id="",
        family="",
        question=sample.question,
        images=images,
        gold=GoldAnswer(value=""),
        options=sample.options,
    )
    return target.prompt(task), sample.images


@functools.cache
def _tools() -> tuple[ToolSpec, ...]:
    made: list[Any] = [TOOLS.make(name) for name in _TOOLS]
    return tuple(ToolSpec(name=tool.name, description=tool.description, schema=tool.schema) for tool in made)
