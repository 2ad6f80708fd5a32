"""`opaque:`: an endpoint that runs tools itself and returns one text with its calls and their results (Skywork-R1V4).

The text is read, and nothing in it is run. Comparable in accuracy and in calls; not in latency, and nobody knows how
many of the calls failed.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from metis_agents.agent import NoAnswerError
from metis_agents.chat.client import Completion
from metis_agents.chat.endpoint import EndpointAgent
from metis_agents.chat.messages import Conversation
from metis_gym.dialects.contract import find_blocks, remove_blocks
from metis_gym.records import INVALID_CALLS, Outcome

__all__ = ["OpaqueAgent", "read_report"]

_OWN_NAMES = {"code": "python"}
_PRICE = 1.0
_QUESTION = "Question:"


class OpaqueAgent(EndpointAgent):
    """Sends the images and the question once, and reads the answer and the calls from what comes back.

    Args:
        model: The model's name, as the server knows it, such as "skywork/r1v4-lite".
        base_url: The server's address, such as "https://api.example/api/v1".
        api_key_env: Name of the environment variable that holds the key.
        api_key: The key itself, in Python only.
        enable_search: Sent as it is; none leaves it to the server.
        extra: JSON that is merged into each request.
        timeout: Seconds that an answer may take.
        attempts: How often a request is sent before the episode is given up as unscored.
        label: Names its rows in tables; the model's name if none.
    """

    tools_ran = "theirs"

    def __init__(
        self,
        *,
        model: str = "",
        base_url: str = "",
        api_key_env: str | None = None,
        api_key: str | None = None,
        enable_search: bool | None = None,
        extra: str | Mapping[str, Any] = "",
        timeout: float = 300.0,
        attempts: int = 6,
        label: str | None = None,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        del given["enable_search"]
        super().__init__(**given, temperature=None, max_tokens=None)
        self._given = {**given, "enable_search": enable_search}
        self._search = {} if enable_search is None else {"enable_search": enable_search}
        self.settings = {**self.settings, **self._search}
        self._calls: Counter[str] = Counter()

    def body(self, conversation: Conversation, seed: int) -> dict[str, Any]:  # noqa: ARG002
        """The request: no system turn, images first, then the question."""
        parts = [part for message in conversation.messages if message["role"] == "user" for part in message["content"]]
        images = [part for part in parts if part["type"] == "image"]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        asked = text[max(0, text.find(_QUESTION)) :]
        message = {"role": "user", "content": [*images, {"type": "text", "text": asked}]}
        messages = Conversation(messages=[message]).rendered(self._images.fresh(), self._max_bytes)
        return {"model": self._model, "messages": messages, "stream": False, **self._search, **self._extra}

    def finish(self, outcome: Outcome, prices: Mapping[str, float]) -> Outcome:
        """The outcome with the calls that the text reports."""
        counts = dict(self._calls)
        return dataclasses.replace(
            super().finish(outcome, prices),
            tool_calls=sum(counts.values()),
            tool_calls_by={**dict.fromkeys(outcome.tool_calls_by, 0), **counts},
            tool_cost=float(sum(prices.get(name, _PRICE) * count for name, count in counts.items())),
            tool_errors=0,
        )

    def reset(self, rng: Any) -> None:
        """Start an episode."""
        super().reset(rng)
        self._calls = Counter()

    def _turn(self, said: Completion, text: str) -> Any:  # noqa: ARG002
        self._calls, answer = read_report(text)
        if answer is None:
            raise NoAnswerError("the text holds no <answer>")
        return {"answer": answer}


def read_report(text: str) -> tuple[Counter[str], str | None]:
    """The calls, by the tool's name, and the answer that a text reports; None if it holds no answer.

    What stands inside thoughts and observations is neither.

    >>> calls, answer = read_report('<code>1</code><observation><answer>B</answer></observation><answer>A</answer>')
    >>> dict(calls), answer
    ({'python': 1}, 'A')
    """
    said = remove_blocks(remove_blocks(text, "observation"), "think")
    calls: Counter[str] = Counter()
    for block in find_blocks(said, "tool_call"):
        name, count = _called(block.body)
        calls[name] += count
    calls["python"] += len(find_blocks(remove_blocks(said, "tool_call"), "code"))
    answers = [block.body.strip() for block in find_blocks(said, "answer") if block.closed]
    return Counter({name: count for name, count in calls.items() if count}), answers[-1] if answers else None


def _called(body: str) -> tuple[str, int]:
    """The name of a call, and as how many it counts: each of several queries is one."""
    try:
        call = json.loads(body, strict=False)
        name, arguments = str(call["name"]), call.get("arguments", {})
        queries = arguments.get("queries") if isinstance(arguments, dict) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return INVALID_CALLS, 1
    return _OWN_NAMES.get(name, name)[:80], max(1, len(queries)) if isinstance(queries, list) else 1
