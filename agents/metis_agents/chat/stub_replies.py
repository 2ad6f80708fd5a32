"""What the stub endpoint says: scripts, and the refusals of the servers that it stands for."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from metis_gym.errors import ConfigError

__all__ = ["Reply", "Script", "Strictness", "completion", "default_script", "refusal", "replies_from", "turns"]

_CROP = {"code": "image_1.crop((0, 0, image_1.width // 2, image_1.height // 2))"}
_SIGNATURE = "c3R1Yg=="


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer of the server.

    Attributes:
        status: Of HTTP.
        body: Sent as JSON, or as it is if it is bytes.
        wait: For the header `Retry-After`; empty for none.
    """

    status: int = 200
    body: Mapping[str, Any] | bytes = b""
    wait: str = ""


Script: TypeAlias = Callable[[Mapping[str, Any]], Reply]
"""From the body of a request to the answer."""


class Strictness(Protocol):
    """What a server refuses; `metis_agents.chat.stub.StubOptions` says what each is."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def signatures(self) -> bool: ...  # noqa: D102
    @property
    def refused(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def max_context(self) -> int: ...  # noqa: D102


def completion(
    content: str | None,
    calls: Sequence[tuple[str, str]] = (),
    *,
    finish_reason: str = "",
    signature: str = "",
    prompt_tokens: int = 100,
    **fields: Any,
) -> Reply:
    """An answer in OpenAI's form.

    Args:
        content: What the model says.
        calls: Functions that it calls, each with its arguments as JSON text.
        finish_reason: Why it ended; "stop" or "tool_calls" if empty.
        signature: A thought signature for the first call, as Gemini gives one.
        prompt_tokens: What the usage says.
        **fields: Further fields of the message.
    """
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, **fields}
    written = content or ""
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(calls)
        ]
        written += "".join(arguments for _, arguments in calls)
        if signature:
            message["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": signature}}
    reason = finish_reason or ("tool_calls" if calls else "stop")
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": -(-len(written.encode()) // 4)}
    return Reply(
        body={
            "id": "stub",
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }
    )


def turns(*texts: str) -> Script:
    """A script of text: its first turn, its second, …; the last one stays."""

    def script(body: Mapping[str, Any]) -> Reply:
        return completion(texts[min(_turn(body), len(texts) - 1)], prompt_tokens=_prompt_tokens(body))

    return script


def replies_from(path: str) -> Script:
    """A script out of a JSON file with a list of texts.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        texts = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--replies: cannot read {path}: {error}") from error
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"--replies: {path} must hold a list of texts, one for each turn")
    return turns(*texts)


def default_script(body: Mapping[str, Any]) -> Reply:
    """A model that crops in its first turn half of the time, and then guesses a letter.

    It writes in the form that the system turn asks for; what it draws depends on the request's seed and turn only.
    """
    turn, prompt = _turn(body), _prompt_tokens(body)
    draw = random.Random(f"{body.get('seed')}:{turn}")
    calls, letter = turn == 0 and draw.random() < 0.5, draw.choice("ABCD")
    if body.get("tools"):
        names = [str(tool["function"]["name"]) for tool in body["tools"]]
        if calls and "python" in names:
            return completion(None, [("python", json.dumps(_CROP))], signature=_SIGNATURE, prompt_tokens=prompt)
        return completion(letter, prompt_tokens=prompt)
    return completion(_in_form(_system(body), calls, letter), prompt_tokens=prompt)


def refusal(body: Mapping[str, Any], key: str, strictness: Strictness) -> Reply | None:
    """The answer to a request that a server refuses; None if it takes it."""
    if strictness.key and key != strictness.key:
        return _error(401, f"Incorrect API key provided: {key}", code="invalid_api_key")
    if strictness.model and body.get("model") != strictness.model:
        return _error(404, f"The model `{body.get('model')}` does not exist.", code="model_not_found")
    for name in strictness.refused:
        if name in body:
            return _error(400, f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return _error(400, "messages must be a list that is not empty")
    if strictness.max_context and sum(map(_characters, messages)) > strictness.max_context:
        return _error(400, "This model's maximum context length is exceeded.", code="context_length_exceeded")
    return _wrong_tools(messages) or (_wrong_signatures(messages) if strictness.signatures else None)


def _wrong_tools(messages: Sequence[Mapping[str, Any]]) -> Reply | None:
    """Tool messages with images, and calls without a result: what vLLM and OpenAI refuse."""
    open_calls: list[str] = []
    for message in messages:
        if message.get("role") == "tool":
            if not isinstance(message.get("content"), str):
                return _error(400, "tool messages take text only; images are not supported there")
            if message.get("tool_call_id") not in open_calls:
                return _error(400, "a tool message must follow a call of its tool_call_id")
            open_calls.remove(str(message["tool_call_id"]))
        elif open_calls:
            return _error(400, f"tool_call_ids without a response: {', '.join(open_calls)}")
        elif message.get("role") == "assistant":
            open_calls = [str(call.get("id")) for call in message.get("tool_calls") or []]
    return _error(400, f"tool_call_ids without a response: {', '.join(open_calls)}") if open_calls else None


def _wrong_signatures(messages: Sequence[Mapping[str, Any]]) -> Reply | None:
    for message in messages:
        calls = message.get("tool_calls") or []
        if calls and calls[0].get("extra_content", {}).get("google", {}).get("thought_signature") != _SIGNATURE:
            return _error(400, "Function call is missing a thought_signature in functionCall parts.")
    return None


def _error(status: int, message: str, **fields: str) -> Reply:
    return Reply(status=status, body={"error": {"message": message, "type": "invalid_request_error", **fields}})


def _in_form(system: str, calls: bool, letter: str) -> str:
    """A turn in the form that a system turn asks for."""
    call = json.dumps({"name": "python", "arguments": _CROP})
    if "<reason>" in system:
        return f"<reason>…</reason><tool_call>{call}" if calls else f"<reason>…</reason><answer>{letter}</answer>"
    if "<code>" in system:
        code = f"<think>…</think><code>\n```python\n{_CROP['code']}\n```\n"
        return code if calls else f"<think>…</think><answer>{letter}</answer>"
    if "<tool_call>" in system:
        return f"<tool_call>\n{call}\n</tool_call>" if calls else f"<answer>{letter}</answer>"
    return letter


def _turn(body: Mapping[str, Any]) -> int:
    return sum(message.get("role") == "assistant" for message in body["messages"])


def _system(body: Mapping[str, Any]) -> str:
    return "".join(str(message["content"]) for message in body["messages"] if message.get("role") == "system")


def _prompt_tokens(body: Mapping[str, Any]) -> int:
    return 100 + sum(map(_characters, body["messages"])) // 4


def _characters(message: Mapping[str, Any]) -> int:
    """Characters of text in a message."""
    content = message.get("content")
    if isinstance(content, list):
        return sum(len(part.get("text", "")) for part in content if isinstance(part, dict))
    return len(content or "")
