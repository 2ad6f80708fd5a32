"""docs/tasks.md: what each family shows, what is known of its tasks, and what the probes find.

`metis-gym audit mixture --docs docs/tasks.md` writes the page, its images into a folder of the page's name, and all
that it says into a JSON file beside it. The page is made from that file alone, so that a test can tell whether it is
current.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metis_envs.audit.page_text import INTRODUCTION, LOOKS, PROBES_TABLE
from metis_envs.audit.results import Report
from metis_envs.audit.table import as_json
from metis_envs.families.family import Family
from metis_gym.records import ImageArray, Necessity, Task
from metis_gym.storage import write_atomically, write_json
from metis_gym.tasksets import make_taskset

__all__ = ["page_text", "write_page"]

_QUALITY = 80
_CROP_SIDE = 320
_SEED = 1


def write_page(report: Report, page: Path) -> None:
    """Write the page, its images and its JSON.

    Args:
        report: An audit of built-in families.
        page: Where to, such as docs/tasks.md.
    """
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for former in folder.glob("*.jpg"):
        former.unlink()
    values = {"report": as_json(report), "examples": {}}
    for family in report.facts:
        values["examples"][family] = _examples(family, folder)
    write_json(page.with_suffix(".json"), values, indent=1)
    write_atomically(page, page_text(values, folder.name).encode())


def _examples(name: str, folder: Path) -> list[dict[str, Any]]:
    """One task of each necessity that a family has, with its images written into the folder."""
    found = []
    family = make_taskset(name, split="test", view_size=448)
    for kind in family.necessities if isinstance(family, Family) else ():
        options = {
            "required_share": float(kind is Necessity.REQUIRED),
            "partial_share": float(kind is Necessity.PARTIAL),
            "answers": "choice",
        }
        drawn = make_taskset(name, split="test", view_size=448, options=options)
        if isinstance(drawn, Family):
            found.append(_example(drawn.make(_SEED, drawn.task_id(_SEED)), folder, options))
    return sorted(found, key=lambda example: [kind.value for kind in Necessity].index(example["necessity"]))


def _example(task: Task, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    stem = f"{task.family}-{task.necessity.value}"
    image = task.images[0]
    files = {"view": f"{stem}.jpg"}
    _write_image(folder / files["view"], image.view)
    if task.necessity in (Necessity.PARTIAL, Necessity.REQUIRED) and task.region is not None:
        files["crop"] = f"{stem}-crop.jpg"
        left, top, right, bottom = task.region
        _write_image(folder / files["crop"], _fitted(image.source[top:bottom, left:right]))
    return {
        "seed": _SEED,
        "options_of_family": options,
        "necessity": task.necessity.value,
        "question": task.question,
        "options": list(task.options),
        "answer": task.gold.value,
        "explanation": task.explanation,
        "blind_accuracy": task.blind_accuracy,
        "min_calls": task.min_calls,
        "files": files,
    }


def _fitted(part: ImageArray) -> ImageArray:
    image = Image.fromarray(part)
    image.thumbnail((_CROP_SIDE, _CROP_SIDE))
    return np.asarray(image)


def _write_image(path: Path, pixels: ImageArray) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY, optimize=True)
    write_atomically(path, stream.getvalue())


def page_text(values: Mapping[str, Any], folder: str) -> str:
    """The page.

    Args:
        values: What the JSON beside it holds.
        folder: Where its images are, relative to it.
    """
    report = values["report"]
    command = f"metis-gym audit {report['taskset']} --tasks {report['tasks']} --words {report['words']}"
    about = (
        f"`{command} --docs docs/tasks.md` wrote this page: {report['tasks']} tasks of each family of the "
        f"{report['split']} split and the words of {report['words']}, views of {report['view_size']} px, "
        f"seed {report['seed']}."
    )
    parts = [INTRODUCTION, about, PROBES_TABLE, _overview(report), *_overall(report)]
    for family, examples in values["examples"].items():
        parts += _section(family, examples, report, folder)
    parts.append(LOOKS)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _overview(report: Mapping[str, Any]) -> str:
    """The limits that are not kept, one a line."""
    rows = [row for row in report["results"] if row["verdict"] != "kept"]
    if not rows:
        return f"All {len(report['results'])} limits are kept."
    lines = [
        f"- {row['part']}, {row['probe']}: {row['share']['value']:.3f}, limit {row['limit']:.3f} ({row['verdict']})"
        for row in rows
    ]
    return "\n".join([f"{len(rows)} of {len(report['results'])} limits are not kept:", "", *lines])


def _overall(report: Mapping[str, Any]) -> list[str]:
    rows = _probe_rows("all", report)
    return ["## All families together", rows] if rows else []


def _section(family: str, examples: Sequence[Mapping[str, Any]], report: Mapping[str, Any], folder: str) -> list[str]:
    facts = report["facts"][family]
    return [
        f"## {family}",
        _facts_table(facts["kinds"]),
        "\n\n".join(_shown(example, folder) for example in examples),
        "Questions of this family, to show how wordings differ:\n\n"
        + "\n".join(f"- {one}" for one in facts["wordings"]),
        _probe_rows(family, report),
    ]


def _facts_table(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| necessity | tasks | blind accuracy | minimal calls | tools |", "|---|---:|---:|---|---|"]
    for kind, known in kinds.items():
        calls = ", ".join(f"{calls} in {count}" for calls, count in known["min_calls"].items()) or "–"
        tools = ", ".join(f"{tools} in {count}" for tools, count in known["tools"].items()) or "–"
        blind = "–" if known["blind_accuracy"] is None else f"{known['blind_accuracy']:.3f}"
        lines.append(f"| {kind} | {known['tasks']} | {blind} | {calls} | {tools} |")
    return "\n".join(lines)


def _shown(example: Mapping[str, Any], folder: str) -> str:
    """A task as a person sees it."""
    options = "; ".join(f"{letter}. {text}" for letter, text in zip("ABCDEFGH", example["options"], strict=False))
    files = example["files"]
    lines = [f"**{example['necessity']}** – {example['question']} ({options})", ""]
    lines.append(f"![the view of a task that is {example['necessity']}]({folder}/{files['view']})")
    if "crop" in files:
        lines.append(f"![the deciding part of its source]({folder}/{files['crop']})")
    calls = "unknown" if example["min_calls"] is None else example["min_calls"]
    blind = "unknown" if example["blind_accuracy"] is None else f"{example['blind_accuracy']:.2f}"
    lines += ["", f"Answer: {example['answer']}. Blind accuracy {blind}, minimal calls {calls}."]
    return "\n".join([*lines, *([f"To answer: {example['explanation']}"] if example["explanation"] else [])])


def _probe_rows(part: str, report: Mapping[str, Any]) -> str:
    rows = [row for row in report["results"] if row["part"] == part]
    lines = ["| probe | share | 95 % interval | limit | tasks | |", "|---|---:|---|---|---:|---|"]
    for row in rows:
        share, sign = row["share"], "≥" if row["is_floor"] else "≤"
        lines.append(
            f"| {row['probe']} | {share['value']:.3f} | {share['low']:.3f} – {share['high']:.3f} | "
            f"{sign} {row['limit']:.3f} | {share['tasks']} | {row['verdict']} |"
        )
    skipped = [f"{row['probe']} ({row['reason']})" for row in report["not_probed"] if row["part"] == part]
    table = "\n".join(lines) if rows else ""
    return f"{table}\n\nNot probed: {'; '.join(skipped)}." if skipped else table
