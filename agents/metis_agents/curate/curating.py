"""A curation from its options to the files that it leaves."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from metis_agents.curate.agreement import agreement, write_sheet
from metis_agents.curate.first_pass import ReadStage, Shard
from metis_agents.curate.formats.sources import Reading, find_sources
from metis_agents.curate.ledger import alone
from metis_agents.curate.options import Options
from metis_agents.curate.output import (
    prompt_row,
    remove_parts,
    trajectory_row,
    write_examples,
    write_lists,
    write_suspects,
)
from metis_agents.curate.pipelines import not_checked, stages_of
from metis_agents.curate.report import COST, cost_table, costs, make_report
from metis_agents.curate.run import LEDGER, Curation, Entry
from metis_agents.curate.tables import prompt_schema, trajectory_schema, write_tables
from metis_gym.errors import ConfigError, MissingDependencyError, StorageError
from metis_gym.storage import write_atomically, write_json

__all__ = ["curate", "dry_run"]

Say = Callable[[str], None]


def curate(options: Options, out: Path, *, workers: int = 1, say: Say = lambda _: None) -> int:
    """Take all samples through all stages and write what comes of them.

    Args:
        options: What decides what comes out.
        out: The folder; what was decided there before is not decided again.
        workers: Processes and threads.
        say: Told what happens.

    Returns:
        How many samples are undecided.

    Raises:
        ConfigError: An option is not valid.
        TaskDataError: An input cannot be read.
        StorageError: The folder cannot be written.
    """
    curation = _prepared(options, out, workers, say)
    try:
        with alone(out / LEDGER):
            options.write(out)
            curation.run()
            return _write(curation, options, say)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error}. What was decided is kept: try again") from error
    finally:
        curation.close()


def dry_run(options: Options, out: Path, count: int, *, workers: int, say: Say) -> None:
    """Decide about some rows, drawn at random, and say what all of them would take; leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="metis-curate-") as folder:
        curation = replace(_prepared(options, Path(folder), workers, say), only=count)
        try:
            curation.run()
            say("\n" + make_report(options.kind, curation).to_markdown())
            taken = costs(curation)
            tried = max(1, len(curation.entries))
            factor = curation.total_rows / tried
            scaled = {name: {key: value * factor for key, value in sums.items()} for name, sums in taken.items()}
            say(f"{tried:,} of {curation.total_rows:,} rows were tried. All of them, into {out}, would take about:")
            say(cost_table(scaled))
        finally:
            curation.close()


def _prepared(options: Options, out: Path, workers: int, say: Say) -> Curation:
    reading = Reading(options.format, options.image_root, options.allow_outside, options.source_dialect)
    sources = find_sources(options.inputs, reading)
    for source in sources:
        if source.path.resolve().is_relative_to(out.resolve()):
            raise ConfigError(f"the input {source.name} lies in the output folder {out}; choose another one")
    told = f"{options.format}|{options.image_root}|{options.allow_outside}|{options.source_dialect}"
    return Curation(
        out=out,
        sources=sources,
        read=ReadStage(trajectories=options.kind == "sft", reading=told),
        stages=stages_of(options),
        workers=workers,
        shard=Shard(*options.shard),
        seed=options.seed,
        say=say,
    )


def _write(curation: Curation, options: Options, say: Say) -> int:
    remove_parts(curation.out)
    files = write_tables(curation.out, _tables(curation, options.kind, options.dialect))
    write_lists(curation)
    write_suspects(curation)
    examples = write_examples(curation, options.seed)
    unchecked = not_checked(options)
    if options.judge_sample:
        write_sheet(curation, options.judge_sample, options.seed)
    told = agreement(curation)
    report = make_report(options.kind, curation, files=files, examples=examples, not_checked=unchecked, agreement=told)
    write_atomically(curation.out / "report.json", report.to_json().encode())
    write_atomically(curation.out / "report.md", report.to_markdown().encode())
    try:
        from metis_agents.curate.waterfall import draw_waterfall

        write_atomically(curation.out / "waterfall.png", draw_waterfall(report))
    except MissingDependencyError as error:
        say(f"no waterfall.png: {error}")
    taken = costs(curation)
    write_json(curation.out / LEDGER / COST, taken)
    say("\n" + report.to_markdown() + "\n" + cost_table(taken))
    return report.undecided


def _tables(curation: Curation, kind: str, dialect: str) -> Iterator[tuple[Any, Iterable[Mapping[str, Any]]]]:
    """The kept samples as rows, with the schema that they share."""
    if kind == "sft":
        rows = (
            trajectory_row(curation.sample(entry), dialect, name=entry.id, is_repaired=entry.is_repaired)
            for entry in curation.survivors()
        )
        yield trajectory_schema(), rows
        return
    for place, entries in groupby(curation.survivors(), key=lambda entry: entry.source):
        source = curation.sources[place]
        is_verl = source.form == "verl" and source.path.suffix.lower() in (".parquet", ".pq")
        schema = prompt_schema(source.path if is_verl else None)
        yield schema, (_prompt(curation, entry, as_it_was=is_verl) for entry in entries)


def _prompt(curation: Curation, entry: Entry, *, as_it_was: bool) -> Mapping[str, Any]:
    sample = curation.sample(entry)
    return prompt_row(sample if as_it_was else replace(sample, raw=None), curation.measured(entry))
