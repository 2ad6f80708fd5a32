"""The page that compares all designs: `python -m metis_gym.rewards.table docs/rewards.md`.

Everything on it is computed from the designs themselves; nothing is typed in by hand. It shows what a design says about
made-up episodes, not what training with it does.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metis_gym.markdown import table
from metis_gym.records import Necessity, Outcome
from metis_gym.rewards.catalogue import available, make
from metis_gym.rewards.contract import Floats, RewardDesign
from metis_gym.rewards.design import CountsCalls, Design
from metis_gym.rewards.estimators import ESTIMATORS

__all__ = ["DIAGNOSTIC_GROUPS", "DiagnosticGroup", "compare_table", "episode", "total_advantages"]

_CALLS = (0, 1, 2, 3)
_HIDDEN = ("cost", "ddof", "eps", "std_floor")


@dataclass(frozen=True, kw_only=True)
class DiagnosticGroup:
    """A group of episodes on which every sensible design should agree.

    Attributes:
        name: Heading of its column.
        group: The episodes, as `C2` (correct, two calls) or `W0` (wrong, none).
        question: What the number measures, and what it should be.
        measure: The total advantages of the group, shape (G,), to that number.
    """

    name: str
    group: str
    question: str
    measure: Callable[[Floats], float]


DIAGNOSTIC_GROUPS = (
    DiagnosticGroup(
        name="ambiguity",
        group="C2 W0 C0 W2",
        question="A(C2) − A(W0): the lead of a right answer with two calls over a wrong one without; should be > 0",
        measure=lambda advantages_G: advantages_G[0] - advantages_G[1],
    ),
    DiagnosticGroup(
        name="swamping",
        group="C0 C1 C1 C3 W0 W0 W0 W0",
        question="A(C0) − A(C3) beside four wrong answers: what saving three calls is worth; should be > 0",
        measure=lambda advantages_G: advantages_G[0] - advantages_G[3],
    ),
    DiagnosticGroup(
        name="all right",
        group="C0 C1 C1 C3",
        question="A(C0) − A(C3) where all answers are right; should be > 0",
        measure=lambda advantages_G: advantages_G[0] - advantages_G[3],
    ),
    DiagnosticGroup(
        name="cheap mistake",
        group="C0 C1 W0 W3",
        question="A(W0) − A(W3): whether a cheap mistake is preferred to an expensive one; should be 0",
        measure=lambda advantages_G: advantages_G[2] - advantages_G[3],
    ),
    DiagnosticGroup(
        name="all wrong",
        group="W0 W1 W2 W3",
        question="A(W0) − A(W3) where all answers are wrong: > 0 teaches to try less, < 0 to call more, 0 neither",
        measure=lambda advantages_G: advantages_G[0] - advantages_G[3],
    ),
    DiagnosticGroup(
        name="sign reversal",
        group="C0 C0 C0 C0 C0 C0 C9 W0",
        question="A(C9): whether a right answer is punished for its calls; should not be far below 0",
        measure=lambda advantages_G: advantages_G[6],
    ),
)


def episode(correct: bool, calls: int) -> Outcome:
    """A made-up episode of a task that needs no tool: 100 tokens, one turn more than calls, tools of benefit .5."""
    return Outcome(
        task_id="table",
        answer_score=float(correct),
        format_score=1.0,
        tool_calls=calls,
        turns=calls + 1,
        tokens=100,
        tool_benefit=0.5,
        necessity=Necessity.NONE,
    )


def total_advantages(design: RewardDesign, group: Sequence[Outcome]) -> Floats:
    """`Σ weight·advantage` over the channels of a batch of one group, shape (G,)."""
    total_G = np.zeros(len(group))
    for channel in design.channels([group]):
        total_G += channel.weight * channel.advantages
    return total_G


def compare_table() -> str:
    """The whole page, in Markdown."""
    names = [name for name in available() if _is_built_in(name)]
    cases = "\n".join(f"- **{case.name}** ({case.group}): {case.question}." for case in DIAGNOSTIC_GROUPS)
    return _PAGE.format(
        priced=", ".join(f"`{name}`" for name in names if isinstance(make(name), CountsCalls)),
        estimators=", ".join(f"`{name}`" for name in ESTIMATORS.names()),
        designs=_designs_table(names),
        rewards=_rewards_table(names),
        cases=cases,
        groups=_group_table(names),
    )


def main(arguments: Sequence[str]) -> None:
    """Write the page to the path that is the only argument."""
    if len(arguments) != 1:
        sys.exit("usage: python -m metis_gym.rewards.table docs/rewards.md")
    Path(arguments[0]).write_text(compare_table(), encoding="utf-8")


def _is_built_in(name: str) -> bool:
    return type(make(name)).__module__.startswith("metis_gym.rewards.")


def _built_in(name: str) -> Design:
    design = make(name)
    if not isinstance(design, Design):
        raise TypeError(f"the built-in design {name!r} has no card")
    return design


def _designs_table(names: Sequence[str]) -> str:
    rows = []
    for name in names:
        card = _built_in(name).card
        source = card.source if card.evidence == "folklore" else f"{card.source} ({card.evidence})"
        rows.append([f"`{name}`", card.kind, source, card.formula.replace("|", "\\|"), _defaults(_built_in(name))])
    return table(["name", "kind", "source (read in)", "reward, or advantage", "defaults"], rows)


def _rewards_table(names: Sequence[str]) -> str:
    rows = []
    for name in names:
        design = make(name)
        scalars = [design.reward(episode(correct, calls)) for correct in (True, False) for calls in _CALLS]
        rows.append([f"`{name}`", *(_number(scalar) for scalar in scalars)])
    head = [f"{verdict}, T = {calls}" for verdict in ("right", "wrong") for calls in _CALLS]
    return table(["name", *head], rows)


def _group_table(names: Sequence[str]) -> str:
    rows = []
    for name in names:
        cells = [_number(case.measure(total_advantages(make(name), _group(case.group)))) for case in DIAGNOSTIC_GROUPS]
        rows.append([f"`{name}`", *cells])
    return table(["name", *(case.name for case in DIAGNOSTIC_GROUPS)], rows)


def _group(text: str) -> list[Outcome]:
    return [episode(word[0] == "C", int(word[1:])) for word in text.split()]


def _defaults(design: Design) -> str:
    fields = [field for field in dataclasses.fields(design) if field.init and field.name not in _HIDDEN]
    shown = [f"{field.name} {_default(field.default)}" for field in fields if field.default != "grpo"]
    return ", ".join(shown) or "—"


def _default(value: Any) -> str:
    return _number(value) if isinstance(value, float) else str(value).lower()


def _number(value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "−")


_PAGE = """# Reward designs

Every number on this page is computed from the designs by `python -m metis_gym.rewards.table docs/rewards.md`.

Notation: c correct (0 or 1), r_ans graded answer, f format, T tool calls, G the episodes of one task (a group), acc the
group's mean of c, r_acc = .9·r_ans + .1·f, r_tool = c/(T + 1). GN is group normalisation, (r − mean)/(std + ε), with
`ddof` 1 and `eps` 1e-6 (1e-4 for `gdpo`) unless set; `std_floor` is a minimum standard deviation. A design with a
single score can use another `estimator` ({estimators}).
To make a design, write `rewards.make("coupled", alpha=0.05)` or
`rewards.from_spec("coupled:alpha=0.05,estimator=rloo")`.

The column *source (read in)* says where the formula and its constants come from: the authors' released **code**, their
**paper**, or **second-hand** from another paper's description; check the last kind before citing a constant. Designs
that were published for tokens or searches count tool calls here.

With `cost="price"`, T is the sum of the prices of the calls (`Outcome.tool_cost`) in every design that counts calls:
{priced}. The others look at none, or only whether there was a call.

## The designs

{designs}

## The scalar reward

The reward of a single episode, as ordinary RL receives it: an episode that keeps the format, with T + 1 turns, 100
tokens, a tool benefit of .5 and no need of a tool, which `necessity_oracle` alone is shown. A design that compares
within a group sees a group of one; `otc` remembers the T = 0 episode that it saw first. Decoupled designs return their
accuracy component.

{rewards}

## Six diagnostic groups

The total advantage, Σ weight·advantage over the channels, in groups on which every sensible design should agree. `C2`
is a correct answer after two calls, `W0` a wrong one without calls.

{cases}

{groups}
"""


if __name__ == "__main__":
    main(sys.argv[1:])
