"""Messages, turns, episodes."""

from dataclasses import dataclass
from enum import StrEnum

from metis_gym.records.task import Task
from metis_gym.records.values import ImageArray, ToolCall, ToolResult

__all__ = ["Episode", "Message", "Role", "Turn"]


class Role(StrEnum):
    """Who speaks in a conversation."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, kw_only=True, eq=False)
class Message:
    """One turn of the conversation. `text` holds one `<image>` for each image, where it stands."""

    role: Role
    text: str
    images: tuple[ImageArray, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """One model turn and what came of it.

    Attributes:
        text: What the model wrote.
        calls: The tool calls found in it.
        results: One result for each call.
        answer: The final answer found in it, None when there was none.
        observation: The user turn that followed; None where the episode ended with this turn.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    answer: str | None = None
    observation: Message | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """An episode so far.

    Attributes:
        task: The task.
        system: The system turn.
        prompt: The first user turn.
        turns: The model's turns, each with the observation that followed.
    """

    task: Task
    system: str
    prompt: Message
    turns: tuple[Turn, ...] = ()

    def __repr__(self) -> str:
        answers = [turn.answer for turn in self.turns if turn.answer is not None]
        calls = sum(len(turn.calls) for turn in self.turns)
        said = f"answer {answers[-1]!r:.40}" if answers else "no answer"
        return f"Episode({self.task.task_id!r}, turns: {len(self.turns)}, calls: {calls}, {said})"

    def _repr_html_(self) -> str:
        """The episode for a notebook: the task, the model's turns and what the tools gave."""
        from metis_gym.viewer.notebook import episode_repr

        return episode_repr(self)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation with its roles, from the system turn on."""
        said = [Message(role=Role.SYSTEM, text=self.system), self.prompt] if self.system else [self.prompt]
        for turn in self.turns:
            said.append(Message(role=Role.ASSISTANT, text=turn.text))
            if turn.observation is not None:
                said.append(turn.observation)
        return tuple(said)
