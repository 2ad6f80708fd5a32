"""The conversation of an episode as chat messages, in OpenAI's form.

An observation is one user turn. Its images stand in place of their marks, before and between the texts. Function
calling (the dialect `native`) differs: after the assistant's message one `tool` message with text follows for *each*
call id, in order, then one user message with all images: servers take no images from tools.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metis_agents.chat.images import ImageFormat
from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.dialects.native import NativeResult, read_observation, read_system
from metis_gym.errors import BudgetError, ConfigError
from metis_gym.records import ImageArray

__all__ = ["Conversation", "calls_of", "content_text", "parts_of"]

_NOT_SENT = ("reasoning_content", "reasoning")
_CALLS = ("tool_calls", "function_call")  # nothing answers them where tools are called in text
_NOT_RUN = "(no result)"


@dataclass(kw_only=True, eq=False)
class Conversation:
    """The messages of an episode so far.

    Attributes:
        is_native: Tools are called as functions; observations are JSON.
        continues: An observation goes on with the assistant's own message.
        prefill: What the assistant's message after an observation begins with.
        messages: In OpenAI's form, but with arrays in place of data URIs.
        tools: The functions, in OpenAI's form; empty where tools are called in text.
    """

    is_native: bool = False
    continues: bool = False
    prefill: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)

    def hear(self, observation: Mapping[str, Any]) -> None:
        """Append what an environment returned.

        Raises:
            ConfigError: It is no observation of text, or its marks and images do not fit each other.
        """
        if not isinstance(observation, Mapping) or not {"system", "text", "images"} <= observation.keys():
            raise ConfigError("a language model plays environments with text, such as MetisVQA-v0; this one has none")
        system = str(observation["system"])
        if system and self.is_native:
            system, self.tools = read_system(system)
        if system:
            self.messages.append({"role": "system", "content": system})
        text, images = str(observation["text"]), list(observation["images"])
        said = self.messages[-1] if self.messages else {}
        if said.get("role") != "assistant":
            self.messages.append({"role": "user", "content": parts_of(text, images)})
        elif self.continues:
            said["content"] = [*_as_parts(said["content"]), *parts_of(text, images)]
        else:
            self.messages += (
                _after_calls(calls_of(said), text, images)
                if self.is_native
                else [{"role": "user", "content": parts_of(text, images)}]
            )
            if self.prefill:
                self.messages.append({"role": "assistant", "content": self.prefill})

    @property
    def is_open(self) -> bool:
        """Whether the last message is the model's and waits to be continued."""
        return bool(self.messages) and self.messages[-1]["role"] == "assistant"

    @property
    def opening(self) -> str:
        """What the model's turn begins with, before the model goes on."""
        return self.prefill if self.is_open and not self.continues else ""

    def say(self, message: Mapping[str, Any]) -> None:
        """Append the assistant's message, with all fields that the server sent but its reasoning and empty ones.

        Arguments of calls that are no JSON object are wrapped into one, and ids that are missing, no text or not the
        only one of their kind are replaced: servers refuse a conversation that holds them.
        """
        if self.is_open and self.continues:
            self.messages[-1]["content"] += _as_parts(message.get("content"))
            return
        if self.is_open:
            self.messages.pop()
        left_out = _NOT_SENT if self.is_native else (*_NOT_SENT, *_CALLS)
        kept = {name: value for name, value in message.items() if name not in left_out and value not in (None, [])}
        if not isinstance(kept.get("content", ""), str):
            kept["content"] = content_text(kept["content"])
        if calls_of(kept):
            kept["tool_calls"] = _distinct([_readable(call) for call in calls_of(kept)], self._ids_so_far())
        self.messages.append({"content": "" if "tool_calls" not in kept else None, **kept, "role": "assistant"})

    def _ids_so_far(self) -> set[str]:
        return {call["id"] for message in self.messages for call in message.get("tool_calls", ())}

    def rendered(self, form: ImageFormat, max_bytes: int) -> list[dict[str, Any]]:
        """The messages with data URIs; all images as JPEG where the request would be too large.

        Raises:
            BudgetError: It is too large all the same.
        """
        for as_jpeg in (False, True):
            messages = [_rendered(message, form, as_jpeg) for message in self.messages]
            size = sum(map(_size, messages))
            if size <= max_bytes:
                return messages
        raise BudgetError(
            f"Expect a request of at most {max_bytes:,} bytes (max_request_bytes), actually: {size:,} with "
            f"{sum(_images_in(message) for message in self.messages)} images as JPEG; reduce them with view_side or "
            "view_pixels"
        )


def parts_of(text: str, images: Sequence[ImageArray]) -> list[dict[str, Any]]:
    """The parts of a message: the text with each mark replaced by its image.

    Raises:
        ConfigError: Marks and images do not fit each other.

    >>> parts_of("Look.", [])
    [{'type': 'text', 'text': 'Look.'}]
    """
    texts = text.split(IMAGE_MARK)
    if len(texts) - 1 != len(images):
        raise ConfigError(
            f"Expect one {IMAGE_MARK} for each image, actually: {len(texts) - 1} marks and {len(images)} images in "
            f"{text[:200]!r}"
        )
    parts = [_text_part(texts[0])]
    for image, after in zip(images, texts[1:], strict=True):
        parts += [{"type": "image", "image": image}, _text_part(after)]
    said = [part for part in parts if part["type"] == "image" or part["text"].strip()]
    return said or [_text_part(text)]


def content_text(content: Any) -> str:
    """The text of a message's content, which some servers send in parts.

    >>> content_text([{"type": "text", "text": "A"}, {"type": "image_url"}, {"type": "text", "text": "B"}])
    'AB'
    """
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def calls_of(message: Mapping[str, Any]) -> list[Any]:
    """The function calls of a message, as the server sent them."""
    calls = message.get("tool_calls")
    return calls if isinstance(calls, list) else [calls] if calls else []


def _readable(call: Any) -> dict[str, Any]:
    """A call as it goes back to the server: with a name, and arguments that are a JSON object."""
    call = call if isinstance(call, dict) else {}
    function = call.get("function")
    given = function if isinstance(function, dict) else {}
    arguments = given.get("arguments")
    try:
        is_object = isinstance(json.loads(arguments), dict)  # type: ignore[arg-type]  # TypeError if it is no text
    except (ValueError, TypeError, RecursionError):
        is_object = False
    if not is_object:
        given = {**given, "arguments": json.dumps({"unreadable": arguments})}
    given = {**given, "name": str(given.get("name") or "unreadable")}
    return {**call, "id": call.get("id"), "type": call.get("type") or "function", "function": given}


def _distinct(calls: Sequence[dict[str, Any]], taken: set[str]) -> list[dict[str, Any]]:
    """The calls with ids that are texts of their own in the conversation."""
    fresh = (name for name in (f"call_{number}" for number in itertools.count(1)) if name not in taken)
    for call in calls:
        if not isinstance(call["id"], str) or not call["id"] or call["id"] in taken:
            call["id"] = next(fresh)
        taken.add(call["id"])
    return list(calls)


def _after_calls(calls: Sequence[Mapping[str, Any]], text: str, images: Sequence[ImageArray]) -> list[dict[str, Any]]:
    """What follows an assistant's message where tools are called as functions."""
    results, notes = _read_native(text)
    messages: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    left = list(images)
    for number, call in enumerate(calls, start=1):
        result = results[number - 1] if number <= len(results) else NativeResult(text=_NOT_RUN, images=0)
        labels = [f"Image {image} of call {number}" for image in range(1, result.images + 1)]
        content = _with_labels(result.text, labels)
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": content or "(no output)"})
        for label in labels[: len(left)]:
            shown += [_text_part(f"{label}:"), {"type": "image", "image": left.pop(0)}]
    shown += [_text_part(note) for note in notes]
    return [*messages, {"role": "user", "content": shown}] if shown else messages


def _with_labels(text: str, labels: Sequence[str]) -> str:
    """A tool's text, its image marks replaced by the words under which the images follow."""
    words = iter(labels)
    return re.sub(re.escape(IMAGE_MARK), lambda _: f"[{next(words, 'image')}, shown below]", text)


def _read_native(text: str) -> tuple[Sequence[NativeResult], Sequence[str]]:
    """The results and the notes of an observation; what the environment itself says, such as a failure, is a note."""
    try:
        return read_observation(text)
    except (ValueError, KeyError, TypeError):
        return [], [text]


def _as_parts(content: Any) -> list[dict[str, Any]]:
    return list(content) if isinstance(content, list) else [_text_part(str(content or ""))]


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _rendered(message: Mapping[str, Any], form: ImageFormat, as_jpeg: bool) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    parts = [
        {"type": "image_url", "image_url": {"url": form.uri(part["image"], as_jpeg=as_jpeg)}}
        if part.get("type") == "image"
        else part
        for part in content
    ]
    return {**message, "content": parts}


def _size(message: Mapping[str, Any]) -> int:
    """Bytes of a message in a request, for the most part."""
    content = message.get("content")
    if not isinstance(content, list):
        return len(json.dumps(message))
    return sum(len(part["image_url"]["url"]) if "image_url" in part else len(json.dumps(part)) for part in content)


def _images_in(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    return sum(part.get("type") == "image" for part in content) if isinstance(content, list) else 0
