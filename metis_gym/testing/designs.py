"""The contract of reward designs."""

import copy
import json
import math
import pickle
from typing import Any

import numpy as np

from metis_gym import rewards
from metis_gym.errors import ConfigError
from metis_gym.records import Outcome
from metis_gym.rewards.contract import Groups, RewardDesign
from metis_gym.testing.contract import Contract

__all__ = ["GROUPS", "check_design", "episode"]


def episode(right: float = 1.0, calls: int = 0, **more: Any) -> Outcome:
    """An outcome to try a design with."""
    fields = {"task_id": "t", "format_score": 1.0, "tool_benefit": 0.5, "tokens": 10}
    return Outcome(answer_score=right, tool_calls=calls, **{**fields, **more})


GROUPS = {
    "all right": [episode(calls=c) for c in (0, 1, 5)],
    "all wrong": [episode(0.0, c) for c in (0, 1, 5)],
    "one right": [episode(calls=2), episode(0.0), episode(0.0, 4)],
    "one episode": [episode(calls=1)],
    "two episodes": [episode(), episode(0.0, 1)],
    "duplicates": [episode(calls=3)] * 6,
    "none scored": [episode(scored=False), episode(calls=1, scored=False)],
    "some scored": [episode(scored=False), episode(calls=1), episode(0.0, 2)],
    "many calls": [episode(calls=c) for c in (0, 10_000)],
    "no tokens": [episode(tokens=0), episode(calls=1, tokens=0)],
}
"""Groups of episodes that every design must take."""


def check_design(design: str) -> None:
    """Check that a reward design keeps its contract.

    Args:
        design: A spec such as "my_pkg.rewards:Halved:base=3".

    Raises:
        BrokenContract: A rule is broken; the message says which, and how to mend it.
    """
    contract = Contract(f"the reward design {design!r}")
    with contract.must_work("it can be made from its spec", "The message says what it lacks.", ConfigError):
        made = rewards.make(design)
    _check_components(contract, made)
    for name, group in GROUPS.items():
        _check_channels(contract, rewards.make(design), name, [group])
    _check_channels(contract, rewards.make(design), "two groups", [GROUPS["one right"], [episode(task_id="u")]])
    _check_state(contract, design)
    _check_copies(contract, design)


def _check_components(contract: Contract, made: RewardDesign) -> None:
    blank = made.components(episode())
    for name, group in GROUPS.items():
        for outcome in group:
            with contract.must_work("components() are finite numbers by name", f"For {outcome}.", ConfigError):
                components = rewards.checked_components(made, outcome)
                reward = rewards.checked_reward(made, outcome)
            contract.rule(
                tuple(components) == tuple(blank),
                "components() has the same keys for every outcome",
                f"{tuple(components)} ({name}) and {tuple(blank)}",
                "They are columns of infos and tables: give 0.0 where one does not apply.",
            )
            contract.rule(
                reward == next(iter(components.values())),
                "reward() is the first of the components",
                f"{reward} and {components} for {outcome}",
                "Put the scalar reward first.",
            )
    broken = episode(0.0, 3, scored=False, format_score=0.0)
    contract.rule(
        made.reward(broken) == 0.0 and not any(made.components(broken).values()),
        "an unscored episode is worth nothing",
        f"{made.reward(broken)} and {dict(made.components(broken))}",
        "Return 0.0 where outcome.scored is False: infrastructure failed, not the model.",
    )


def _check_channels(contract: Contract, made: RewardDesign, case: str, groups: Groups) -> None:
    outcomes = [outcome for group in groups for outcome in group]
    channels = made.channels(groups)
    names = [channel.name for channel in channels]
    contract.rule(
        0 < len(set(names)) == len(names) and all(names), f"channels have different names ({case})", names, ""
    )
    for channel in channels:
        where = f"of the channel {channel.name!r} ({case})"
        contract.rule(
            math.isfinite(channel.weight) and channel.weight >= 0,
            f"the weight {where} is a finite number of 0 or more",
            channel.weight,
            "Turn the sign of the advantages instead of the weight.",
        )
        advantages, members = np.asarray(channel.advantages), np.asarray(channel.members)
        contract.rule(
            advantages.shape == members.shape == (len(outcomes),) and members.dtype == np.bool_,
            f"advantages and members {where} have one entry for each episode, all groups end to end",
            f"{advantages.shape} and {members.shape} {members.dtype} for {len(outcomes)} episodes",
            "Keep unscored episodes in their place, with the advantage 0.",
        )
        contract.rule(bool(np.isfinite(advantages).all()), f"the advantages {where} are finite", advantages, "")
        outside = [not outcome.scored or not member for outcome, member in zip(outcomes, members, strict=True)]
        contract.rule(
            not advantages[outside].any() and not members[[not o.scored for o in outcomes]].any(),
            f"unscored episodes are no members {where}, and whoever is no member has the advantage 0",
            f"{advantages} of the members {members}",
            "Leave them out of every mean and deviation.",
        )


def _check_state(contract: Contract, design: str) -> None:
    made, fresh = rewards.make(design), rewards.make(design)
    made.channels([GROUPS["all right"]])
    with contract.must_work("its state is JSON", "Keep numbers, texts, lists and dicts.", TypeError, ValueError):
        state = json.loads(json.dumps(made.state_dict()))
    fresh.load_state_dict(state)
    contract.rule(
        fresh.state_dict() == state == made.state_dict(),
        "load_state_dict() takes up what state_dict() gave",
        f"{fresh.state_dict()} of {state}",
        "A run that is resumed must go on as if it had not stopped.",
    )
    live, saved = made.state_dict(), copy.deepcopy(made.state_dict())
    made.channels([[episode(task_id="new")], [episode(calls=9, task_id="newer")]])
    contract.rule(live == saved, "a saved state does not change afterwards", f"{live} of {saved}", "Return copies.")
    try:
        fresh.load_state_dict({"strange": 1})
    except ConfigError:
        return
    contract.rule(False, "a state with unknown keys is refused", "it was taken", "Raise ConfigError.")


def _check_copies(contract: Contract, design: str) -> None:
    made = rewards.make(design)
    with contract.must_work(
        "it can be pickled", "Define it in a module.", pickle.PicklingError, AttributeError, TypeError
    ):
        clones = [pickle.loads(pickle.dumps(made)), copy.deepcopy(made), rewards.make(rewards.spec_of(made))]
    for clone in clones:
        for outcome in GROUPS["one right"]:
            contract.rule(
                clone.reward(outcome) == rewards.make(design).reward(outcome),
                "a copy, and the design that its spec_of() builds, give the same rewards",
                f"{clone.reward(outcome)} for {outcome}, spec {rewards.spec_of(made)!r}",
                "Make it a dataclass whose fields are its parameters.",
            )
