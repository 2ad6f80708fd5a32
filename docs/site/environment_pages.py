"""A page for each environment id: its docstring, a task of each kind, what the baselines reach."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

from metis_gym.env import ToolUseEnv
from metis_gym.numeric import NumericToolUseEnv
from metis_gym.registration import FAMILY_IDS
from metis_gym.tasksets import make_taskset

__all__ = ["write"]

SITE = Path(__file__).parent
_KINDS = {"none": "no tool needed", "partial": "a tool helps", "required": "tool required", "unknown": "need not known"}
_GROUPS = {
    "Perception": ("charts", "spotting", "signs", "documents", "patches", "counting", "relations"),
    "Search": ("facts", "flags", "landmarks", "plaques", "timetables"),
    "Maths": ("areas", "geometry", "ledgers", "sums", "tariffs", "wordmaths"),
}
_GENERAL = {
    "MetisVQA-v0": (ToolUseEnv, "text and images, for any language model; every family, or your own tasks"),
    "MetisVQA-Discrete-v0": (NumericToolUseEnv, "arrays and numbers, for standard RL libraries"),
}
_BASELINES = json.loads((SITE / "baselines.json").read_text("utf-8"))
_FOUND = json.loads((SITE.parent / "tasks.json").read_text("utf-8"))


def write(folder: Path) -> None:
    """Write the pages of all ids, and one that lists them."""
    folder.mkdir()
    for env_id, (kind, _) in _GENERAL.items():
        (folder / f"{env_id}.md").write_text(_general_page(env_id, kind), "utf-8")
    for env_id, family in FAMILY_IDS.items():
        (folder / f"{env_id}.md").write_text(_family_page(env_id, family), "utf-8")
    (folder / "index.md").write_text(_index(), "utf-8")


def _index() -> str:
    ids = {family: env_id for env_id, family in FAMILY_IDS.items()}
    lines = [
        "# Environments",
        "",
        "Two ids play every family and your own tasks; each family has an id of its own as well. "
        "[The tasks, and what gives them away](../tasks.md) holds the audit of all of them.",
        "",
        *(f"* [{env_id}]({env_id}.md): {about}." for env_id, (_, about) in _GENERAL.items()),
    ]
    for title, families in _GROUPS.items():
        lines += ["", f"## {title}", "", "::::{container} cards"]
        for family in families:
            shown = _examples(family)[-1]
            lines += [
                ":::{container} card",
                f"![a task of {family}](../tasks/{shown['files']['view']})",
                "",
                f"[**{ids[family]}**]({ids[family]}.md)",
                "",
                _about(family),
                ":::",
            ]
        lines += ["::::"]
    names = [*_GENERAL, *(ids[family] for families in _GROUPS.values() for family in families)]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *names, "```", ""])


def _general_page(env_id: str, kind: type) -> str:
    docstring = inspect.getdoc(kind) or ""
    body = re.sub(r"(?m)^Raises:\n(?:    .*\n?)+", "", docstring)
    return f'# {env_id}\n\n```python\nenv = gymnasium.make("metis_gym:{env_id}")\n```\n\n{body}\n'


def _family_page(env_id: str, family: str) -> str:
    facts = _FOUND["report"]["facts"].get(family, {})
    made = type(make_taskset(family, split="test", view_size=448))
    parts = [
        f"# {env_id}",
        _about(family),
        f'```python\nimport gymnasium\n\nenv = gymnasium.make("metis_gym:{env_id}")\n'
        f'# the same as gymnasium.make("metis_gym:MetisVQA-v0", taskset="{family}")\n```',
        f"Action space, observation space and all arguments are those of [MetisVQA-v0](MetisVQA-v0.md). {_sizes(made)}",
        "## Tasks",
        *map(_example, _examples(family)),
        "## What is known of its tasks",
        _facts(facts),
        "## Baselines",
        _baselines(env_id),
        "## Source",
        inspect.getdoc(inspect.getmodule(made)) or "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(family: str) -> str:
    return (inspect.getdoc(type(make_taskset(family, split="test", view_size=448))) or "").partition("\n")[0]


def _sizes(made: Any) -> str:
    smallest = getattr(made, "smallest_view", None)
    choices = getattr(made, "max_choices", None)
    said = [f"views of at least {smallest} px"] if smallest else []
    said += [f"up to {choices} options"] if choices else []
    return f"This family has {' and '.join(said)}." if said else ""


def _examples(family: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _FOUND["examples"][family]
    return found


def _example(shown: dict[str, Any]) -> str:
    kind = shown["necessity"]
    options = "".join(f"\n{chr(ord('A') + number)}. {option}  " for number, option in enumerate(shown["options"]))
    files = shown["files"]
    pair = [f":::{{container}} half\n![the view](../tasks/{files['view']})\n\nwhat the model sees\n:::"]
    if "crop" in files:
        crop = f"![the deciding part](../tasks/{files['crop']})"
        pair.append(f":::{{container}} half\n{crop}\n\nthe deciding part of its source\n:::")
    images = "\n".join(["::::{container} pair", *pair, "::::"])
    answer = f"Answer: {shown['answer']}. {shown['explanation']}"
    numbers = f"Blind accuracy {shown['blind_accuracy']:.2f}" if shown["blind_accuracy"] is not None else ""
    calls = f"minimal calls {shown['min_calls']}" if shown["min_calls"] is not None else ""
    worth = ", ".join(filter(None, [numbers, calls]))
    return "\n".join(
        [
            ":::::{container} example",
            f"[{_KINDS[kind]}]{{.badge .{kind}}} {shown['question']}",
            options,
            "",
            images,
            "",
            f"{answer} {worth}." if worth else answer,
            ":::::",
        ]
    )


def _facts(facts: dict[str, Any]) -> str:
    kinds = facts.get("kinds", {})
    if not any(kind != "unknown" for kind in kinds):
        return "No plan is known that surely solves these tasks: whether a tool is needed is unknown."
    lines = ["| necessity | tasks | blind accuracy | minimal calls | tools |", "|---|---:|---:|---|---|"]
    for kind, found in kinds.items():
        calls = ", ".join(f"{number} in {count}" for number, count in found["min_calls"].items()) or "–"
        tools = ", ".join(f"`{tool}` in {count}" for tool, count in found["tools"].items()) or "–"
        lines.append(f"| {kind} | {found['tasks']} | {_number(found['blind_accuracy'])} | {calls} | {tools} |")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"


def _baselines(env_id: str) -> str:
    heads = {
        "accuracy": "accuracy",
        "redundant_rate": "calls, none needed",
        "tool_recall": "calls, needed",
        "tool_calls": "calls each",
    }
    rows = _BASELINES["metrics"][env_id]
    lines = ["| agent | " + " | ".join(heads.values()) + " |", "|---|" + "---:|" * len(heads)]
    for agent, metrics in rows.items():
        cells = [f"{metrics[name][0]:.2f}" if name in metrics else "–" for name in heads]
        lines.append(f"| `{agent}` | " + " | ".join(cells) + " |")
    said = f"{_BASELINES['episodes']} episodes of the test split each: few, so differences below a fifth say little."
    return "\n".join([*lines, "", said])
