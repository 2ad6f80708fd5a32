"""The conversation of an episode as chat messages, in OpenAI's form.

An observation is one user turn. Its images stand in place of their marks, before and between the texts. Function
calling (the dialect `native`) differs: after the assistant's message one `tool` message with text follows for *each*
call id, in order, then one user message with all images: servers take no images from tools.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metis_agents.chat.images import ImageFormat
from metis_gym.dialects.contract import IMAGE_MARK, ToolSpec
from metis_gym.errors import BudgetError, ConfigError
from metis_gym.records import ImageArray

__all__ = ["Conversation", "calls_of", "content_text", "function_tools", "parts_of"]

_NOT_SENT = ("reasoning_content", "reasoning")
_NOT_RUN = "(no result)"


@dataclass(kw_only=True, eq=False)
class Conversation:
    """The messages of an episode so far.

    Attributes:
        is_native: Tools are called as functions; observations are JSON.
        messages: In OpenAI's form, but with arrays in place of data URIs.
    """

    is_native: bool
    messages: list[dict[str, Any]] = field(default_factory=list)

    def hear(self, observation: Mapping[str, Any]) -> None:
        """Append what an environment returned.

        Raises:
            ConfigError: It is no observation of text, or its marks and images do not fit each other.
        """
        if not isinstance(observation, Mapping) or not {"system", "text", "images"} <= observation.keys():
            raise ConfigError("a language model plays environments with text, such as MetisVQA-v0; this one has none")
        if observation["system"]:
            self.messages.append({"role": "system", "content": str(observation["system"])})
        text, images = str(observation["text"]), list(observation["images"])
        said = self.messages[-1] if self.messages else {}
        if self.is_native and said.get("role") == "assistant":
            self.messages += _after_calls(calls_of(said), text, images)
        else:
            self.messages.append({"role": "user", "content": parts_of(text, images)})

    def say(self, message: Mapping[str, Any]) -> None:
        """Append the assistant's message, with all fields that the server sent but its reasoning and empty ones."""
        kept = {name: value for name, value in message.items() if name not in _NOT_SENT and value not in (None, [])}
        self.messages.append({"content": "" if "tool_calls" not in kept else None, **kept, "role": "assistant"})

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


def calls_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The function calls of a message, as the server sent them."""
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def function_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as functions, for the field `tools`."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description + ("" if tool.price is None else f" A call costs {tool.price:g}."),
                "parameters": dict(tool.schema),
            },
        }
        for tool in tools
    ]


def _after_calls(calls: Sequence[Mapping[str, Any]], text: str, images: Sequence[ImageArray]) -> list[dict[str, Any]]:
    """What follows an assistant's message where tools are called as functions."""
    results, notes = _read_native(text)
    messages: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    left = list(images)
    for number, result in enumerate(results, start=1):
        for image in range(1, result["images"] + 1):
            if left:
                label = f"Image {image} of call {number}:"
                shown += [_text_part(label), {"type": "image", "image": left.pop(0)}]
    for number, call in enumerate(calls):
        said = results[number]["text"] if number < len(results) else _NOT_RUN
        messages.append({"role": "tool", "tool_call_id": str(call.get("id", "")), "content": said or "(no output)"})
    shown += [{"type": "image", "image": image} for image in left]
    if notes:
        shown.append(_text_part(notes))
    return [*messages, {"role": "user", "content": shown}] if shown else messages


def _read_native(text: str) -> tuple[list[dict[str, Any]], str]:
    """The results and the notes of an observation of the dialect `native`; any other text is a note."""
    try:
        read = json.loads(text)
    except ValueError:
        return [], text
    if not isinstance(read, dict):
        return [], text
    results = [
        {"text": str(result.get("text", "")), "images": int(result.get("images", 0))}
        for result in read.get("results", [])
        if isinstance(result, dict)
    ]
    notes = read.get("notes", "")
    return results, notes if isinstance(notes, str) else "\n".join(map(str, notes or []))


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _rendered(message: Mapping[str, Any], form: ImageFormat, as_jpeg: bool) -> dict[str, Any]:
    content = message.get("content")
    if message["role"] != "user" or not isinstance(content, list):
        return dict(message)
    parts = [
        {"type": "image_url", "image_url": {"url": form.uri(part["image"], as_jpeg=as_jpeg)}}
        if part["type"] == "image"
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
