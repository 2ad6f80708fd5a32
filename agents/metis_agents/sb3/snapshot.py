"""Everything of an HDPO model that a file of it holds, and back."""

from collections import deque
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from metis_agents.sb3.saving import ARGUMENTS, COUNTERS, as_saved, box_of_spaces, counter, episode_info

if TYPE_CHECKING:
    from metis_agents.sb3.algorithm import HDPO

__all__ = ["content_of", "take_up", "take_up_training"]


def content_of(model: "HDPO", timesteps: int, exclude: Collection[str]) -> dict[str, Any]:
    """What is saved of a model.

    Args:
        model: Which.
        timesteps: Environment steps before the batch that is being collected.
        exclude: Arguments to leave out.
    """
    reference = model.adapter.reference
    return {
        "policy": model.policy_name,
        "arguments": {name: as_saved(name, _argument(model, name)) for name in ARGUMENTS if name not in exclude},
        "observation_space": box_of_spaces(model.observation_space),
        "action_space": box_of_spaces(model.action_space),
        "counters": {**{name: getattr(model, name) for name in COUNTERS}, "num_timesteps": timesteps},
        "episodes": [dict(info) for info in model.ep_info_buffer or ()],
        "trainer": model.trainer.state_dict(),
        "reference": reference.state_dict() if reference is not None else None,
    }


def take_up(model: "HDPO", content: Mapping[str, Any], stats_window_size: int) -> None:
    """Go on where `content_of` was called."""
    take_up_training(model, content["trainer"])
    if (reference := content.get("reference")) is not None:
        model.adapter.anchor()
        if model.adapter.reference is not None:  # none without a KL penalty, which may have been switched off
            model.adapter.reference.load_state_dict(reference)
    for name in COUNTERS:
        setattr(model, name, counter(content["counters"][name]))
    model.ep_info_buffer = deque(map(episode_info, content["episodes"]), maxlen=stats_window_size)
    model.ep_success_buffer = deque(maxlen=stats_window_size)


def take_up_training(model: "HDPO", state: Mapping[str, Any]) -> None:
    """Take up weights, moments, generators and the design's memory. The stream of tasks follows from their number."""
    model.trainer.load_state_dict({**state, "collector": {"round": state["batches_done"]}})


def _argument(model: "HDPO", name: str) -> Any:
    return getattr(model, {"stats_window_size": "_stats_window_size"}.get(name, name))
