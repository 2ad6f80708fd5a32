"""What a curation writes: rows of kept samples, lists of the others, and examples to look at.

Every file is written whole or not at all. The same verdicts give the same bytes, however often the run was killed.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metis_agents.curate.formats.parts import without_marks
from metis_agents.curate.formats.runs import tool_images
from metis_agents.curate.records import Sample, SampleImage
from metis_agents.curate.run import LEDGER, Curation, Entry
from metis_agents.curate.stages.pass_rate import PassRateStage
from metis_agents.curate.translation import translated
from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.errors import ImageError
from metis_gym.images import decode
from metis_gym.images.transforms import to_png
from metis_gym.storage import replacing, write_atomically

__all__ = [
    "DROPPED",
    "UNDECIDED",
    "prompt_row",
    "remove_parts",
    "trajectory_row",
    "write_examples",
    "write_lists",
    "write_suspects",
]

DROPPED, UNDECIDED, EXAMPLES, SUSPECTS = "dropped.jsonl", "undecided.jsonl", "samples", "suspect_golds.jsonl"
_EXAMPLES_A_REASON = 10
_MAX_EXAMPLE_IMAGES = 8


def trajectory_row(sample: Sample, dialect: str, *, name: str = "", is_repaired: bool = False) -> dict[str, Any]:
    """A trajectory as a row that SFT of this project and verl's multi-turn SFT read.

    Args:
        sample: The trajectory.
        dialect: What it is written in; "source" for its own.
        name: The id that `metis-gym curate explain` knows; empty for the sample's own.
        is_repaired: Its results were recorded anew.
    """
    lines = translated(sample, dialect)
    return {
        "messages": [{"role": line.role.value, "content": line.text} for line in lines],
        "images": [_stored(image) for line in lines for image in line.images],
        "id": name or sample.id,
        "question": sample.question,
        "answer": sample.answer,
        "gold": sample.gold,
        "options": list(sample.options),
        "source": sample.source,
        "row": sample.row,
        "repaired": is_repaired,
    }


def prompt_row(sample: Sample, notes: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt as a row of verl's schema: as it was read, if it had that schema, with what was measured beside it."""
    if sample.raw is not None:
        extra = dict(sample.raw.get("extra_info") or {})
        return {**sample.raw, "extra_info": {**extra, "metis_gym": dict(notes)}}
    lines = "\n".join(f"{chr(ord('A') + n)}. {option}" for n, option in enumerate(sample.options))
    question = without_marks("\n".join(filter(None, [sample.question, lines])))
    graded: dict[str, Any] = {
        "ground_truth": sample.gold,
        "style": "rule",
        "candidate_answers": list(sample.candidates),
    }
    return {
        "data_source": sample.source,
        "prompt": [{"role": "user", "content": IMAGE_MARK * len(sample.images) + "\n" + question}],
        "images": [_stored(image) for image in tool_images(sample)],
        "ability": sample.ability,
        "reward_model": graded,
        "extra_info": {"index": sample.id, "question": question, "answer": sample.gold, "metis_gym": dict(notes)},
    }


def _stored(image: SampleImage) -> dict[str, Any]:
    return {"bytes": image.data, "path": image.name or None}


def remove_parts(out: Path) -> None:
    """Remove the beginnings of files that a process left which was killed while it wrote them."""
    for folder in (out, out / EXAMPLES, out / LEDGER):
        for part in folder.glob("*.part"):
            part.unlink(missing_ok=True)


def write_lists(curation: Curation) -> None:
    """Write who was dropped, and who is undecided: one line each, in input order.

    Raises:
        OSError: The disk is full.
    """
    for name, is_undecided in ((DROPPED, False), (UNDECIDED, True)):
        with replacing(curation.out / name) as part, part.open("w", encoding="utf-8") as stream:
            for entry in curation.entries:
                if entry.fate is not None and (entry.fate.kept is None) == is_undecided:
                    stream.write(json.dumps(_line(curation, entry), ensure_ascii=False) + "\n")


def _line(curation: Curation, entry: Entry) -> dict[str, Any]:
    stage, verdict = curation.verdict_of(entry)
    return {
        "id": entry.uid,
        "source": curation.name_of(entry),
        "row": entry.row,
        "stage": stage,
        "reason": verdict.reason,
        "detail": verdict.detail,
    }


def write_suspects(curation: Curation) -> None:
    """Write the prompts whose right answer most rollouts contradict, kept or not, for people to look at.

    Raises:
        OSError: The disk is full.
    """
    ledger = curation.ledgers.get(PassRateStage.name)
    if ledger is None:
        return
    with replacing(curation.out / SUSPECTS) as part, part.open("w", encoding="utf-8") as stream:
        for entry in curation.entries:
            line = ledger.read(entry.id) if ledger.get(entry.id) is not None else {}
            if line.get("notes", {}).get("suspect_gold"):
                said = {"id": entry.uid, "source": curation.name_of(entry), "row": entry.row}
                said |= {"gold": curation.sample(entry).gold, "notes": line["notes"]}
                stream.write(json.dumps(said, ensure_ascii=False) + "\n")


def write_examples(curation: Curation, seed: int) -> dict[str, list[str]]:
    """Write up to ten samples for each reason, with their images: which, depends on the seed and their ids only.

    Returns:
        "stage: reason" → the files, relative to the folder.

    Raises:
        OSError: The disk is full.
    """
    by_reason: dict[str, list[Entry]] = {}
    for entry in curation.entries:
        if entry.fate is not None:
            by_reason.setdefault(f"{entry.fate.stage}: {entry.fate.reason}", []).append(entry)
    folder = curation.out / EXAMPLES
    folder.mkdir(exist_ok=True)
    written: dict[str, list[str]] = {}
    chosen = set[str]()
    for reason, entries in sorted(by_reason.items()):
        first = sorted(entries, key=lambda entry: _draw(seed, entry.uid))[:_EXAMPLES_A_REASON]
        for entry in sorted(first, key=lambda entry: (entry.source, entry.row)):
            name = f"{entry.fate.stage}-{_plain(entry.fate.reason)}-{entry.uid}.md" if entry.fate else ""
            chosen |= _write_example(curation, entry, folder, name)
            written.setdefault(reason, []).append(f"{EXAMPLES}/{name}")
    for stale in folder.iterdir():
        if stale.name not in chosen and stale.suffix in (".md", ".png"):
            stale.unlink()
    return written


def _write_example(curation: Curation, entry: Entry, folder: Path, name: str) -> set[str]:
    stage, verdict = curation.verdict_of(entry)
    source = curation.name_of(entry)
    parts = [f"# {stage}: {verdict.reason}", f"{entry.uid}, row {entry.row} of {source}", _fenced(verdict.detail)]
    files = {name}
    if stage != curation.read.name:
        sample = curation.sample(entry)
        parts += [f"## Question\n\n{_fenced(sample.question)}", f"Right answer: {_fenced(sample.gold)}"]
        for number, turn in enumerate(sample.turns, start=1):
            parts.append(f"## Turn {number}\n\n{_fenced(turn.text)}")
            parts += [_fenced(turn.observed.text)] if turn.observed else []
        for number, image in enumerate(sample.all_images[:_MAX_EXAMPLE_IMAGES], start=1):
            png = _as_png(image)
            if png:
                file = name.replace(".md", f"-{number}.png")
                write_atomically(folder / file, png, durable=False)
                files.add(file)
                parts.append(f"![image {number}]({file})")
    write_atomically(folder / name, ("\n\n".join(parts) + "\n").encode("utf-8", "replace"), durable=False)
    return files


def _as_png(image: SampleImage) -> bytes:
    try:
        return to_png(decode(image.data, max_pixels=50_000_000)) if image.data else b""
    except ImageError:
        return b""


def _fenced(text: str) -> str:
    """Text from elsewhere, in a block that nothing in it closes."""
    fence = "`" * 3
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def _plain(reason: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in reason)[:40]


def _draw(seed: int, uid: str) -> str:
    return hashlib.sha256(f"{seed}:{uid}".encode()).hexdigest()
