"""The messages of the server: an action, an observation, and what a session is, as OpenEnv's models.

What a client sends is not trusted: its fields are read strictly, and their sizes are bounded.
"""

from typing import Any

from metis_gym.errors import MissingDependencyError
from metis_gym.turns import MAX_ACTION_CHARS

try:
    from openenv.core.env_server.types import Action, Observation, State
    from pydantic import Field
except ImportError as error:
    raise MissingDependencyError.of("openenv", extra="openenv", purpose="metis_gym.serve") from error

__all__ = ["MetisAction", "MetisObservation", "MetisState"]


class MetisAction(Action):
    """One turn of the model, in the dialect's form."""

    text: str = Field(max_length=MAX_ACTION_CHARS + 1, description="what the model wrote; longer turns are not read")


class MetisObservation(Observation):
    """What an environment returned: the observation, how the episode stands, and `info`."""

    system: str = ""
    text: str = ""
    images: list[str] = Field(default_factory=list, description="data URLs, one for each <image> of the text")
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = Field(default_factory=dict)
    reward_components: dict[str, float] = Field(default_factory=dict)
    answer: str | None = None
    grade_step: str = ""
    failure: str = Field(default="", description="the kind of error that ended the episode unscored, if one did")


class MetisState(State):
    """How many turns the episode has, and its task."""

    task_id: str = ""
