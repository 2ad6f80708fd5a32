"""A judge of whole samples: a model behind a chat interface that answers criteria with yes or no, in JSON."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metis_agents.agents import make_agent
from metis_agents.chat.agent import ChatAgent
from metis_agents.chat.client import ContextOverflowError
from metis_agents.chat.messages import Conversation, content_text, parts_of
from metis_agents.curate.records import Sample, SampleImage
from metis_agents.curate.rollouts import who
from metis_gym.dialects.blocks import spoken
from metis_gym.dialects.contract import without_image_marks
from metis_gym.errors import BudgetError, ConfigError, JudgeError
from metis_gym.filesets.images import task_image
from metis_gym.images import decode
from metis_gym.records import ImageArray

__all__ = ["Judge", "Part", "question_parts", "trajectory_parts"]

_ATTEMPTS = 3
_VIEW = 448
_OBJECT = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Part:
    """A block of what a judge is shown: a name, a text, and images with a mark for each."""

    name: str
    text: str
    images: tuple[SampleImage, ...] = ()


@dataclass(frozen=True)
class Judge:
    """Asks a model, at the temperature of its spec, which is 0 by default.

    Attributes:
        agent: The spec of a model behind a chat interface, such as "openai:model=NAME,base_url=URL".
        parallel: How many requests are on their way at a time.
    """

    agent: str
    parallel: int = 8

    @property
    def settings(self) -> dict[str, Any]:
        """Who judges."""
        return {"judge": who(self.agent)}

    def ask(
        self, rubric: str, parts: Sequence[Part], criteria: Sequence[str]
    ) -> tuple[dict[str, bool], dict[str, float]]:
        """The verdict on each criterion, and what it took.

        Raises:
            JudgeError: The judge gave no verdict.
            EndpointError: Its endpoint failed.
            ConfigError: Its endpoint refuses it for good.
        """
        text, images = _shown(parts)
        used: dict[str, float] = {}
        for attempt in range(_ATTEMPTS):
            talk = Conversation()
            talk.messages += [
                {"role": "system", "content": rubric},
                {"role": "user", "content": parts_of(text, images)},
            ]
            model = self._model.clone()
            try:
                said = model.complete(talk, attempt)
            except (ContextOverflowError, BudgetError) as error:
                raise JudgeError(f"the sample does not fit the judge's context: {error}") from error
            for name, value in (said.usage.to_json() if said.usage else {"requests": 1}).items():
                used[name] = used.get(name, 0) + int(value)
            found = _read(content_text(said.message.get("content")), criteria)
            if found is not None:
                return found, used
        raise JudgeError(f"{self._model.name} gave no verdict in {_ATTEMPTS} replies")

    @cached_property
    def _model(self) -> ChatAgent:
        made = make_agent(self.agent)
        if not isinstance(made, ChatAgent):
            raise ConfigError(f"--judge needs a model behind a chat interface, such as openai:…, not {self.agent!r}")
        made.expect(self.parallel)
        return made


def question_parts(sample: Sample, *, with_gold: bool) -> list[Part]:
    """The question with its images and options, and perhaps the answer that is said to be right."""
    options = [f"{chr(ord('A') + n)}. {option}" for n, option in enumerate(sample.options)]
    text = without_image_marks("\n".join([sample.question, *options]))
    parts = [Part("QUESTION", "<image>" * len(sample.images) + "\n" + text, sample.images)]
    return [*parts, Part("RIGHT ANSWER", without_image_marks(sample.gold))] if with_gold else parts


def trajectory_parts(sample: Sample) -> list[Part]:
    """The question, then each turn and what followed."""
    parts = question_parts(sample, with_gold=False)
    for number, turn in enumerate(sample.turns, start=1):
        parts.append(Part(f"TURN {number}", without_image_marks(turn.text)))
        if turn.observed is not None:
            parts.append(Part(f"RESULT {number}", turn.observed.text, turn.observed.images))
    return parts


def _shown(parts: Sequence[Part]) -> tuple[str, list[ImageArray]]:
    """The blocks as one text, with a mark of their own that nothing in them can hold, and the views of all images."""
    digest = hashlib.sha256(json.dumps([[part.name, part.text] for part in parts]).encode()).hexdigest()[:12]
    blocks = [f"[{part.name} {digest}]\n{part.text}\n[END OF {part.name} {digest}]" for part in parts]
    images = [task_image(decode(image.data), _VIEW).view for part in parts for image in part.images]
    return "\n\n".join(blocks), images


def _read(reply: str, criteria: Sequence[str]) -> dict[str, bool] | None:
    """The verdicts in the last JSON object of a reply, after any thoughts; None if one is missing."""
    for text in reversed(_OBJECT.findall(spoken(reply))):
        try:
            read: Any = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(read, Mapping) and all(isinstance(read.get(name), bool) for name in criteria):
            return {name: bool(read[name]) for name in criteria}
    return None
