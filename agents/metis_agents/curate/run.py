"""Runs the stages over all samples, remembers every verdict, and writes what came of them."""

import contextlib
import hashlib
import json
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from metis_agents.curate.first_pass import CHUNK, Chunk, ReadStage, Shard, examined
from metis_agents.curate.formats.sources import Source, SourceRows
from metis_agents.curate.ledger import Ledger
from metis_agents.curate.records import RowError, Sample, Verdict, kept, undecided
from metis_agents.curate.stages.execute import ExecuteStage
from metis_agents.curate.stages.repair import OBSERVATIONS, REPAIRED, repaired
from metis_agents.curate.stages.stage import Item, SampleStage, Stage, Timed, WholeStage
from metis_gym.errors import TaskDataError

__all__ = ["LEDGER", "Curation", "Entry", "Fate"]

LEDGER = "ledger"
_FAILED = ("judge_failed", "unscored", "no_sandbox", "sandbox_failed")


@dataclass(frozen=True)
class Fate:
    """Where a sample's way ended: the stage, and whether it dropped the sample or could not decide."""

    stage: str
    kept: bool | None
    reason: str


@dataclass
class Entry:
    """A row on its way through the stages.

    Attributes:
        source: The place of its source among the inputs.
        row: Which row of it.
        id: Of its sample.
        uid: The id; of further copies of the same sample, with their number.
        fate: None for as long as every stage has kept it.
        name: Under which stages know it: the id, until its results are recorded anew.
    """

    __slots__ = ("fate", "id", "name", "row", "source", "uid")
    source: int
    row: int
    id: str
    uid: str
    fate: Fate | None
    name: str

    @property
    def is_repaired(self) -> bool:
        """Were its results recorded anew?"""
        return self.name != self.id


@dataclass
class Curation:
    """One run over some sources.

    Attributes:
        out: The folder that is written.
        sources: What is read, the first with the highest priority.
        read: The first stage.
        stages: The others, in order; the cheap ones come first.
        workers: Processes for the pass over the rows, and threads for the stages after it.
        shard: Which samples are taken.
        only: How many rows are taken, at random, for a trial; 0 for all.
        seed: Of what is taken at random.
        say: Told what happens, in sentences.
    """

    out: Path
    sources: Sequence[Source]
    read: ReadStage
    stages: Sequence[Stage]
    workers: int = 1
    shard: Shard = field(default_factory=Shard)
    only: int = 0
    seed: int = 0
    say: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        """Open nothing yet."""
        self.entries: list[Entry] = []
        self.total_rows = 0
        self.ledgers: dict[str, Ledger] = {}
        self._rows: dict[int, SourceRows] = {}

    def run(self) -> None:
        """Take every sample through every stage. What was decided before is not decided again.

        Raises:
            TaskDataError: A source cannot be read.
            StorageError: The ledger cannot be written.
        """
        for stage in (self.read, *self.stages):
            self.ledgers[stage.name] = Ledger(self.out / LEDGER / f"{stage.name}.jsonl", stage.key)
        self._first_pass()
        for stage in self.stages:
            waiting = [entry for entry in self.entries if entry.fate is None]
            if isinstance(stage, WholeStage):
                self._decide_whole(stage, waiting)
            elif isinstance(stage, SampleStage):
                self._decide(stage, waiting)
            gone = sum(entry.fate is not None for entry in waiting)
            self.say(f"{stage.name}: {len(waiting):,} samples, {len(waiting) - gone:,} kept")

    def close(self) -> None:
        """Write what is not written yet. May be called twice."""
        for ledger in self.ledgers.values():
            ledger.close()

    def survivors(self) -> list[Entry]:
        """The samples that every stage has kept, in input order."""
        return [entry for entry in self.entries if entry.fate is None]

    def sample(self, entry: Entry) -> Sample:
        """The sample of an entry, read again.

        Raises:
            TaskDataError: The source has changed.
        """
        if entry.source not in self._rows:
            self._rows = {entry.source: SourceRows(self.sources[entry.source])}
        name = self.sources[entry.source].name
        try:
            sample = self._rows[entry.source].sample(entry.row)
        except RowError as error:
            raise TaskDataError(f"{name} has changed while it was read: row {entry.row} is now {error}") from None
        if sample.id != entry.id:
            raise TaskDataError(f"{name} has changed while it was read: row {entry.row} is now another sample")
        if entry.is_repaired:
            return repaired(sample, self.ledgers[ExecuteStage.name].read(entry.id).get("notes", {}))
        return sample

    def name_of(self, entry: Entry) -> str:
        """The name of its source."""
        return self.sources[entry.source].name

    def _first_pass(self) -> None:
        cheap = [stage for stage in self.stages if isinstance(stage, SampleStage) and stage.is_cheap]
        marks = [source.fingerprint() for source in self.sources]
        rows = self._chosen_rows()
        ledger = self.ledgers[self.read.name]
        missing = self._missing(rows, marks, cheap)
        for done in examined(missing, self.sources, self.read, cheap, self.shard, self.workers):
            at = (self.sources[done.source].name, marks[done.source], done.row)
            ledger.add(done.id, done.read.verdict, done.read.seconds, at)
            for name, timed in done.verdicts:
                if self.ledgers[name].get(done.id) is None:
                    self.ledgers[name].add(done.id, timed.verdict, timed.seconds)
        copies: dict[str, int] = {}
        for place, row in rows():
            known = ledger.id_at(self.sources[place].name, marks[place], row)
            name = known or ""
            if not name or not self.shard.holds(name):
                continue
            copies[name] = copies.get(name, 0) + 1
            uid = name if copies[name] == 1 else f"{name}-{copies[name]}"
            self.entries.append(Entry(place, row, name, uid, self._fate(self.read, name), name))
        self.say(f"read: {len(self.entries):,} rows, {len(self.survivors()):,} samples")

    def _chosen_rows(self) -> Callable[[], Iterator[tuple[int, int]]]:
        """All rows, or some at random for a trial; can be gone through several times."""
        counts = [len(SourceRows(source)) for source in self.sources]
        self.total_rows = sum(counts)
        if not self.only or self.only >= self.total_rows:
            return lambda: ((place, row) for place, count in enumerate(counts) for row in range(count))
        chosen = sorted(random.Random(self.seed).sample(range(self.total_rows), self.only))
        ends = [sum(counts[: place + 1]) for place in range(len(counts))]

        def found() -> Iterator[tuple[int, int]]:
            place = 0
            for number in chosen:
                while number >= ends[place]:
                    place += 1
                yield place, number - (ends[place - 1] if place else 0)

        return found

    def _missing(
        self, rows: Callable[[], Iterator[tuple[int, int]]], marks: Sequence[str], cheap: Sequence[SampleStage]
    ) -> Iterator[Chunk]:
        """The rows that some cheap stage has still to see, in chunks of one source."""
        chunk: list[int] = []
        source = -1
        for place, row in rows():
            if self._is_known(place, marks[place], row, cheap):
                continue
            if chunk and (place != source or len(chunk) == CHUNK):
                yield Chunk(source, tuple(chunk))
                chunk = []
            source = place
            chunk.append(row)
        if chunk:
            yield Chunk(source, tuple(chunk))

    def _is_known(self, place: int, mark: str, row: int, cheap: Sequence[SampleStage]) -> bool:
        name = self.ledgers[self.read.name].id_at(self.sources[place].name, mark, row)
        if name is None:
            return False
        if not self.shard.holds(name):
            return True
        for stage in (self.read, *cheap):
            brief = self.ledgers[stage.name].get(name)
            if brief is None or brief.kept is not True:
                return brief is not None
        return True

    def _fate(self, stage: Stage, name: str) -> Fate | None:
        brief = self.ledgers[stage.name].get(name)
        if brief is None or brief.kept is True:
            return None
        return Fate(stage.name, brief.kept, brief.reason)

    def _decide(self, stage: SampleStage, waiting: Sequence[Entry]) -> None:
        """Decide about each sample once, however many copies there are."""
        ledger = self.ledgers[stage.name]
        first = {entry.name: entry for entry in reversed(waiting)}
        missing = (entry for entry in waiting if first[entry.name] is entry and ledger.get(entry.name) is None)
        for batch in _batches(missing, stage.batch):
            samples = [self.sample(entry) for entry in batch]
            with contextlib.closing(_as_generator(stage.decide_all(samples, self.workers))) as decided:
                found = list(zip(batch, decided, strict=True))
            for entry, timed in found:
                ledger.add(entry.name, timed.verdict, timed.seconds)
            if stage.is_remote and all(timed.verdict.reason in _FAILED for _, timed in found):
                self.say(f"{stage.name}: {found[0][1].verdict.detail}. The others are not tried now.")
                break
        for entry in missing:
            ledger.add(entry.name, undecided("not_tried", "nobody answered for a whole batch before it"), 0.0)
        for entry in waiting:
            entry.fate, brief = self._fate(stage, entry.name), ledger.get(entry.name)
            if brief is not None and brief.kept and brief.reason == REPAIRED:
                entry.name = f"{entry.id}-{REPAIRED}"

    def _decide_whole(self, stage: WholeStage, waiting: Sequence[Entry]) -> None:
        """Decide about all at once, unless the same samples were decided about before."""
        before = self.stages[: list(self.stages).index(stage)]
        seen = [self.read, *(one for one in before if isinstance(one, SampleStage))]
        self.ledgers[stage.name].close()
        key = f"{stage.key}-{_digest(waiting)}"
        ledger = self.ledgers[stage.name] = Ledger(self.out / LEDGER / f"{stage.name}.jsonl", key)
        if any(ledger.get(entry.uid) is None for entry in waiting):
            verdicts = stage.decide_whole(Item(entry.uid, entry.source, self._notes(seen, entry)) for entry in waiting)
            for entry in waiting:
                ledger.add(entry.uid, verdicts.get(entry.uid) or kept(), 0.0)
        for entry in waiting:
            entry.fate = self._fate(stage, entry.uid)

    def name_in(self, ledger: Ledger, entry: Entry) -> str:
        """The name under which a ledger holds the verdict on a sample, if it holds one."""
        return entry.id if ledger.get(entry.name) is None else entry.name

    def _notes(self, stages: Sequence[Stage], entry: Entry) -> dict[str, object]:
        found: dict[str, object] = {}
        for stage in stages:
            ledger = self.ledgers[stage.name]
            found |= ledger.read(self.name_in(ledger, entry)).get("notes", {})
        found.pop(OBSERVATIONS, None)
        return found

    def measured(self, entry: Entry) -> dict[str, object]:
        """What the stages noted about a kept sample, for the output."""
        stages = [stage for stage in self.stages if isinstance(stage, SampleStage) and not stage.is_cheap]
        versions = {stage.name: f"{stage.version}-{stage.key}" for stage in (self.read, *self.stages)}
        notes = self._notes(stages, entry)
        return {**notes, "id": entry.id, "stage_versions": json.dumps(versions, sort_keys=True)}

    def verdict_of(self, entry: Entry) -> tuple[str, Verdict]:
        """The stage at which a sample's way ended, and the whole verdict."""
        if entry.fate is None:
            raise KeyError(entry.uid)
        ledger = self.ledgers[entry.fate.stage]
        name = self.name_in(ledger, entry) if ledger.get(entry.uid) is None else entry.uid
        line = ledger.read(name)
        return entry.fate.stage, Verdict(
            line["kept"], line.get("reason", ""), line.get("detail", ""), line.get("notes", {})
        )


def _digest(waiting: Sequence[Entry]) -> str:
    digest = hashlib.sha256()
    for entry in waiting:
        digest.update(f"{entry.uid} {entry.source}\n".encode())
    return digest.hexdigest()[:12]


def _batches(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    left = iter(entries)
    while batch := list(islice(left, size)):
        yield batch


def _as_generator(decided: Iterable[Timed]) -> Generator[Timed, None, None]:
    yield from decided
