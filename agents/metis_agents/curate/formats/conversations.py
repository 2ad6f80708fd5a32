"""Conversations as trajectories: roles, turns, observations, and the dialect that the turns are written in."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metis_agents.curate.formats.parts import marks, question_in
from metis_agents.curate.records import ModelTurn, Observed, RowError, Sample, SampleImage
from metis_gym.dialects import DIALECTS, Dialect
from metis_gym.dialects.blocks import find_blocks
from metis_gym.records import Role

__all__ = ["Said", "dealt", "dialect_of", "guess_dialect", "role_of", "trajectory"]

MAX_TURNS = 256
_ROLES = {
    "system": Role.SYSTEM,
    "user": Role.USER,
    "human": Role.USER,
    "tool": Role.USER,
    "function": Role.USER,
    "observation": Role.USER,
    "assistant": Role.ASSISTANT,
    "gpt": Role.ASSISTANT,
    "model": Role.ASSISTANT,
}
_QUOTE = "sandbox_output"
_OTHER_TAG = re.compile(r"<(?:code|think|reason|tool_call)>")


@dataclass(frozen=True)
class Said:
    """One message: who says what, with an image for each mark."""

    role: Role
    text: str
    images: tuple[SampleImage, ...] = ()


def role_of(name: Any) -> Role:
    """The role that a source's word stands for.

    Raises:
        RowError: It is none that is known.
    """
    role = _ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise RowError("unknown_role", f"expected one of {', '.join(_ROLES)}, actually: {name!r:.80}")
    return role


def dealt(messages: Sequence[tuple[Role, str]], images: Sequence[SampleImage]) -> list[Said]:
    """The images, in the order of the marks over the whole conversation, observations included.

    Raises:
        RowError: There are more or fewer marks than images.
    """
    wanted = sum(marks(text) for role, text in messages if role is not Role.ASSISTANT)
    if wanted != len(images):
        raise RowError("marks_differ", f"{wanted} <image> in the messages, {len(images)} images")
    left, said = list(images), []
    for role, text in messages:
        count = 0 if role is Role.ASSISTANT else marks(text)
        said.append(Said(role, text, tuple(left[:count])))
        left = left[count:]
    return said


@functools.cache
def dialect_of(spec: str) -> Dialect:
    """The dialect of a spec, made once."""
    return DIALECTS.make(spec)


def guess_dialect(texts: Sequence[str]) -> str:
    """The dialect that model turns are written in, by their tags.

    >>> guess_dialect(["<reason>r</reason><answer>A</answer>"]), guess_dialect(["<think>t</think><answer>A</answer>"])
    ('metis', 'deepeyes_v2')
    >>> guess_dialect(["<think><code>1</code><sandbox_output>1</sandbox_output></think><answer>1</answer>"])
    'thyme'
    """
    whole = "\n".join(texts)
    if "<reason>" in whole:
        return "metis"
    if f"<{_QUOTE}>" in whole and len(texts) == 1:
        return "thyme"
    if "<tool_call>" in whole and "<code>" not in whole and '"search"' not in whole and '"image_search"' not in whole:
        return "qwen"
    return "deepeyes_v2" if _OTHER_TAG.search(whole) or "<answer>" in whole else "plain"


def trajectory(said: Sequence[Said], *, dialect: str = "", **fields: Any) -> Sample:
    """A conversation as a sample; without model turns it is a prompt.

    Args:
        said: The messages, from the system turn on.
        dialect: What the turns are written in; empty to find out.
        **fields: Of the sample. A `question` and `options` there go before what the first user turn says.

    Raises:
        RowError: The messages are in no order that a conversation has.
    """
    if len(said) > MAX_TURNS:
        raise RowError("unreadable", f"{len(said):,} messages; at most {MAX_TURNS} are read")
    system = "\n\n".join(one.text for one in said if one.role is Role.SYSTEM)
    rest = [one for one in said if one.role is not Role.SYSTEM]
    first = next((n for n, one in enumerate(rest) if one.role is Role.ASSISTANT), len(rest))
    opening, spoken = rest[:first], rest[first:]
    if not opening:
        raise RowError("no_question", "no user turn stands before the first turn of the model")
    prompt = "\n".join(one.text for one in opening)
    question, options = question_in(prompt)
    images = tuple(image for one in opening for image in one.images)
    own = [one.text for one in spoken if one.role is Role.ASSISTANT]
    spec = (dialect or guess_dialect(own)) if own else ""
    found = {"question": question, "options": options, "images": images, "prompt": prompt, "system": system, **fields}
    if not found["question"].strip():
        raise RowError("no_question", "the question is empty")
    return Sample(**found, dialect=spec, turns=_turns(spoken, dialect_of(spec)) if own else ())


def _turns(spoken: Sequence[Said], dialect: Dialect) -> tuple[ModelTurn, ...]:
    turns: list[ModelTurn] = []
    for place, one in enumerate(spoken):
        if one.role is Role.ASSISTANT:
            after = _observed(spoken, place)
            turns.append(model_turn(one.text, dialect, after))
    return tuple(turns)


def _observed(spoken: Sequence[Said], place: int) -> Observed | None:
    """What users and tools say between this model turn and the next."""
    said: list[Said] = []
    for one in spoken[place + 1 :]:
        if one.role is Role.ASSISTANT:
            break
        said.append(one)
    if not said:
        return None
    return Observed("\n".join(one.text for one in said), tuple(image for one in said for image in one.images))


def model_turn(text: str, dialect: Dialect, observed: Observed | None) -> ModelTurn:
    """A turn with the calls and the answer that its dialect finds in it."""
    parsed = dialect.parse(text)
    return ModelTurn(text, parsed.calls, parsed.answer, observed)


def split_at_results(text: str, dialect: Dialect, images: Sequence[SampleImage]) -> tuple[ModelTurn, ...]:
    """The turns of a text that goes on after each `<sandbox_output>`, which holds a text or stands for an image.

    Args:
        text: All that the model wrote, with the recorded results in it.
        dialect: What reads the turns.
        images: The recorded images of results, in order.

    Raises:
        RowError: More or fewer results show an image than there are.
    """
    turns, position, left = [], 0, list(images)
    for block in find_blocks(text, _QUOTE):
        body = block.body.strip()
        count = marks(body) or int(bool(left) and _is_image_path(body))
        shown = body if marks(body) else "<image>" if count else body
        turns.append(model_turn(text[position : block.start], dialect, Observed(shown, tuple(left[:count]))))
        if count > len(left):
            raise RowError("marks_differ", f"{count - len(left)} more results that show an image than images")
        left, position = left[count:], block.end
    if left:
        raise RowError("marks_differ", f"{len(left)} images are shown by no result")
    if text[position:].strip():
        turns.append(model_turn(text[position:], dialect, None))
    return tuple(turns)


def _is_image_path(text: str) -> bool:
    return re.fullmatch(r"\S+\.(?:png|jpe?g|bmp|gif|webp|tiff?)", text, re.IGNORECASE) is not None
