"""How far people agree with the judge: a sheet to fill in, and Cohen's kappa once it is."""

import csv
import hashlib
import io
from pathlib import Path

from metis_agents.curate.run import Curation
from metis_agents.curate.stages.judge import CRITERIA, JudgeStage
from metis_gym.errors import ConfigError
from metis_gym.storage import write_atomically

__all__ = ["SHEET", "agreement", "kappa", "write_sheet"]

SHEET = "judge_sheet.csv"
_YES, _NO = ("yes", "y", "1", "true"), ("no", "n", "0", "false")
_MAX_QUESTION = 300


def write_sheet(curation: Curation, count: int, seed: int) -> None:
    """Write judged samples, drawn at random, with an empty column for each criterion; an old sheet stays as it is.

    The judge's own verdicts are not in it, so that people are not led by them.
    """
    path = curation.out / SHEET
    if path.exists() or not any(isinstance(stage, JudgeStage) for stage in curation.stages):
        return
    judged = {entry.name: entry for entry in reversed(curation.entries) if _verdicts(curation, entry.name)}
    chosen = sorted(judged, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())[:count]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "source", "row", "question", *CRITERIA])
    for name in chosen:
        entry = judged[name]
        question = _plain(curation.sample(entry).question[:_MAX_QUESTION])
        writer.writerow([name, _plain(curation.name_of(entry)), entry.row, question, *[""] * len(CRITERIA)])
    write_atomically(path, text.getvalue().encode())


def agreement(curation: Curation) -> list[str]:
    """A sentence for each criterion that people have judged, for the report.

    Raises:
        ConfigError: The sheet holds something else than yes and no.
    """
    path = curation.out / SHEET
    if not path.exists():
        return []
    pairs: dict[str, list[tuple[bool, bool]]] = {name: [] for name in CRITERIA}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            found = _verdicts(curation, str(row.get("id")))
            for name in CRITERIA:
                said = _read(row.get(name) or "", path)
                if said is not None and found:
                    pairs[name].append((said, found[name]))
    return [
        f"{name}: people and the judge agree on {sum(a == b for a, b in both)} of {len(both)}, "
        f"Cohen's kappa {kappa(both):.2f}."
        for name, both in pairs.items()
        if both
    ]


def kappa(pairs: list[tuple[bool, bool]]) -> float:
    """Cohen's kappa of pairs of verdicts (J. Cohen, 1960): agreement beyond chance; 1 where chance leaves no room.

    >>> kappa([(True, True), (False, False), (True, False), (False, False)])
    0.5
    """
    count = len(pairs)
    same = sum(one == other for one, other in pairs) / count
    first, second = (sum(pair[side] for pair in pairs) / count for side in (0, 1))
    chance = first * second + (1 - first) * (1 - second)
    return 1.0 if chance == 1 else (same - chance) / (1 - chance)


def _verdicts(curation: Curation, name: str) -> dict[str, bool]:
    """What the judge said about a sample; nothing if it was not judged."""
    ledger = curation.ledgers.get(JudgeStage.name)
    if ledger is None or ledger.get(name) is None:
        return {}
    notes = ledger.read(name).get("notes", {})
    return {criterion: bool(notes[criterion]) for criterion in CRITERIA} if notes.get("judged") else {}


def _read(text: str, path: Path) -> bool | None:
    word = text.strip().lower()
    if not word:
        return None
    if word not in (*_YES, *_NO):
        raise ConfigError(f"{path}: expected yes or no, actually: {text!r:.80}")
    return word in _YES


def _plain(text: str) -> str:
    """Text from elsewhere in a cell: a spreadsheet must not take it for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t") else text
