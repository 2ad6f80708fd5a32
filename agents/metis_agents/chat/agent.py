"""What the models behind a chat interface share: the conversation of an episode, its turns, and what they used."""

import dataclasses
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metis_agents.agent import NoAnswerError
from metis_agents.chat.client import Completion, ContextOverflowError
from metis_agents.chat.messages import Conversation, calls_of, content_text
from metis_agents.chat.usage import Usage
from metis_gym.dialects.contract import Dialect
from metis_gym.records import Outcome
from metis_gym.turns import estimated_tokens

__all__ = ["NATIVE", "ChatAgent", "native_turn", "with_stop"]

NATIVE = "native"
"""The dialect in which tools are called as functions."""

_PIXELS_A_TOKEN = 28 * 28
_SEEDS = 1 << 31  # what servers take
_CLOSED = re.compile("</(?:think|reason|answer)>")  # what stands before it was thought or answered, not begun


class ChatAgent(ABC):
    """Plays one episode at a time with a model behind a chat interface; clones of it play beside it.

    Args:
        name: Names its rows in tables.
        settings: What decides how it plays, for `settings.json` and for the check when an evaluation goes on. No keys.

    Attributes:
        tools_ran: "ours" if the environment runs the tools, "theirs" if the system does.
    """

    tools_ran = "ours"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.settings: Mapping[str, Any] = dict(settings)
        self._stops: tuple[str, ...] = ()
        self._form: dict[str, Any] = {}
        self.reset(np.random.default_rng(0))

    @abstractmethod
    def complete(self, conversation: Conversation, seed: int) -> Completion:
        """Have the model write its next turn.

        Raises:
            InfrastructureError: It could not.
            ContextOverflowError: The conversation is longer than the model's context.
        """

    @property
    def usage(self) -> Usage:
        """What the episode used so far."""
        return self._usage

    @property
    def warnings(self) -> Sequence[str]:
        """What a report must say about how it played."""
        return ()

    def prepare(self, dialect: Dialect) -> None:
        """Learn what the environment expects: where a turn stops, and how its observations become messages."""
        self._stops = tuple(dialect.stop)
        self._form = {
            "is_native": dialect.name == NATIVE,
            "continues": dialect.continues,
            "prefill": dialect.prefill,
        }

    def clone(self) -> "ChatAgent":
        """Another one that plays beside this one, with the same model."""
        twin = object.__new__(type(self))  # copy.copy would make it anew from its arguments, with a model of its own
        twin.__dict__.update(self.__dict__)
        twin.reset(np.random.default_rng(0))
        return twin

    def expect(self, parallel: int) -> None:  # noqa: ARG002
        """So many of its clones will play at a time."""
        return

    def log_requests(self, path: Path) -> None:  # noqa: ARG002
        """Keep requests and answers in a file, where there are any."""
        return

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode; the endpoint is given a seed of its own for each turn.

        With one seed for all of them a server would draw the same random numbers in each turn: a model that calls a
        tool in half of the cases would call it in every turn of an episode, or in none.
        """
        self._seed = int(rng.integers(_SEEDS))
        self._conversation = Conversation(**self._form)
        self._usage = Usage()

    def act(self, observation: Any, info: dict[str, Any]) -> Any:  # noqa: ARG002
        """The model's next turn.

        Raises:
            NoAnswerError: It refuses, or the conversation is longer than its context: its own doing.
            InfrastructureError: Nobody answered.
            ConfigError: The server refuses the request for a reason that does not pass.
        """
        self._conversation.hear(observation)
        seed, self._seed = self._seed, (self._seed + 1) % _SEEDS
        try:
            said = self.complete(self._conversation, seed)
        except ContextOverflowError as error:
            self._usage += Usage(overflow=1)
            raise NoAnswerError(f"the conversation does not fit the model's context: {error}") from None
        text = content_text(said.message.get("content"))
        self._usage += said.usage or self._estimated(text)
        if said.finish_reason == "content_filter" or said.message.get("refusal"):
            self._usage += Usage(refused=1)
            raise NoAnswerError("the model refuses to answer")
        if said.finish_reason == "length":
            self._usage += Usage(cut=1)
        return self._turn(said, text)

    def finish(self, outcome: Outcome, prices: Mapping[str, float]) -> Outcome:  # noqa: ARG002
        """The outcome of the episode, with the true number of tokens."""
        return dataclasses.replace(outcome, tokens=self._usage.completion_tokens)

    def _turn(self, said: Completion, text: str) -> Any:
        """The turn as the environment's dialect reads it; the conversation goes on with it."""
        if self._conversation.is_native:
            self._conversation.say(said.message)
            return native_turn(said.message)
        whole = self._conversation.opening + text
        whole = with_stop(whole, self._stops, said.stop) if said.finish_reason != "length" else whole
        self._conversation.say({**said.message, "content": whole})
        return whole

    def _estimated(self, text: str) -> Usage:
        """Tokens of a request, where the server does not say: one for four bytes, and for 28 x 28 pixels."""
        prompt = sum(map(_estimated_tokens_of, self._conversation.messages))
        return Usage(requests=1, prompt_tokens=prompt, completion_tokens=estimated_tokens(text), estimated=1)


def native_turn(message: Mapping[str, Any]) -> str:
    """An assistant's message as the dialect `native` reads it: its content and its calls, and nothing else."""
    calls = calls_of(message)
    turn: dict[str, Any] = {"content": content_text(message.get("content"))}
    if calls:
        turn["tool_calls"] = [_plain_call(call) for call in calls]
    return json.dumps(turn, ensure_ascii=False)


def with_stop(text: str, stops: Sequence[str], said: str = "") -> str:
    """The turn with the stop string that ended it, which most servers strip.

    Args:
        text: What came.
        stops: The dialect's.
        said: The stop string, where the server names it.

    >>> with_stop("<think>no <tool_call> here</think>A", ("</tool_call>",))
    '<think>no <tool_call> here</think>A'
    >>> with_stop("<tool_call>{}", ("</tool_call>",)), with_stop("<answer>A</answer>", ("</tool_call>",))
    ('<tool_call>{}</tool_call>', '<answer>A</answer>')
    """
    if said in stops and not text.endswith(said):
        return text + said
    for stop in stops:
        opening = stop.replace("</", "<", 1)
        place = text.rfind(opening)
        if opening != stop and place > text.rfind(stop) and not _CLOSED.search(text, place):
            return text + stop
    return text


def _plain_call(call: Any) -> Any:
    if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
        return call
    return {"id": call.get("id"), "function": {name: call["function"].get(name) for name in ("name", "arguments")}}


def _estimated_tokens_of(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    if not isinstance(content, list):
        return estimated_tokens(str(content or ""))
    texts = sum(estimated_tokens(part["text"]) for part in content if part["type"] == "text")
    pixels = sum(part["image"].shape[0] * part["image"].shape[1] for part in content if part["type"] == "image")
    return int(texts + pixels // _PIXELS_A_TOKEN)
