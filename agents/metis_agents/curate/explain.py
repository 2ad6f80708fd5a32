"""`metis-gym curate explain`: every verdict on one sample."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metis_agents.curate.ledger import lines_of
from metis_agents.curate.options import Options
from metis_agents.curate.pipelines import stages_of
from metis_agents.curate.run import LEDGER
from metis_agents.curate.stages.repair import OBSERVATIONS
from metis_gym.errors import ConfigError

__all__ = ["explain"]

_SHOWN_NOTES = 400


def explain(out: Path, name: str) -> str:
    """All verdicts on a sample, stage by stage, with what differed.

    Args:
        out: The folder of a curation.
        name: The sample's id, or the beginning of it.

    Raises:
        StorageError: The folder holds no curation.
        ConfigError: No sample has this id, or several have.
    """
    stages = ["read", *(stage.name for stage in stages_of(Options.read(out)))]
    found = {stage: list(_of(out, stage, name)) for stage in stages}
    ids = sorted({str(line["id"]).partition("-")[0] for lines in found.values() for line in lines})
    if len(ids) != 1:
        some = f"{len(ids)} samples have ids that begin so: {', '.join(ids[:5])}, …" if ids else "no sample has it"
        raise ConfigError(f"{name!r:.80} is no sample of {out}: {some}")
    parts = [f"sample {ids[0]}"]
    for stage in stages:
        parts += [_told(stage, line) for line in found[stage]] or [f"\n{stage}: it did not get there"]
    return "\n".join(parts)


def _of(out: Path, stage: str, name: str) -> Iterator[Mapping[str, Any]]:
    """The lines of a stage; of several with the same key, the last."""
    last: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for line in lines_of(out / LEDGER / f"{stage}.jsonl"):
        if str(line["id"]).startswith(name):
            last[str(line["id"]), str(line.get("key")), str(line.get("source")), str(line.get("row"))] = line
    yield from last.values()


def _told(stage: str, line: Mapping[str, Any]) -> str:
    word = {True: "kept", False: "dropped", None: "undecided"}[line.get("kept")]
    head = f"\n{stage}: {word}"
    head += f", {line['reason']}" if line.get("reason") else ""
    head += f" (row {line['row']} of {line['source']})" if "row" in line else ""
    parts = [head, f"  {line.get('seconds', 0)} s, rules and settings {line.get('key')}"]
    if line.get("detail"):
        parts += [f"  {one}" for one in str(line["detail"]).splitlines()]
    notes = {
        key: value for key, value in line.get("notes", {}).items() if key not in ("hashes", "images", OBSERVATIONS)
    }
    return "\n".join([*parts, *(f"  {key}: {value!s:.{_SHOWN_NOTES}}" for key, value in notes.items())])
