"""The one pass over all rows: reading, and the cheap stages right after it, in worker processes."""

import hashlib
import multiprocessing
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from metis_agents.curate.formats.sources import Source, SourceRows
from metis_agents.curate.records import RowError, Sample, Verdict, dropped, kept
from metis_agents.curate.stages.stage import SampleStage, Stage, Timed
from metis_gym.errors import InfrastructureError

__all__ = ["Chunk", "Examined", "ReadStage", "Shard", "examined"]

CHUNK = 16
_MAX_QUESTION = 4_000
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Shard:
    """The samples that one of several runs takes, by their ids.

    Attributes:
        number: Which, from 1 on.
        count: Of how many.
    """

    number: int = 1
    count: int = 1

    def holds(self, name: str) -> bool:
        """Does the sample of this id belong to it?"""
        return int(name, 16) % self.count == self.number - 1


@dataclass(frozen=True)
class ReadStage(Stage):
    """The first stage: rows that are samples. Its reasons are those of `RowError`.

    Attributes:
        trajectories: Rows without a model turn are dropped.
        reading: How rows are read, for its key.
    """

    trajectories: bool
    reading: str = ""

    name: ClassVar[str] = "read"
    about: ClassVar[str] = "the row is a sample"

    @property
    def settings(self) -> dict[str, Any]:
        """What rows must have."""
        return {"trajectories": self.trajectories, "reading": self.reading}

    def read(self, rows: SourceRows, row: int) -> tuple[str, Sample | None, Verdict]:
        """The id of a row's sample, the sample if there is one, and the verdict."""
        try:
            sample = rows.sample(row)
            if self.trajectories and not sample.turns:
                raise RowError("no_model_turn", "the row holds a prompt, and no turn of a model")
        except RowError as error:
            place = f"{rows.source.name}:{row}".encode("utf-8", "surrogateescape")
            return hashlib.sha256(place).hexdigest()[:16], None, dropped(error.reason, error.detail)
        return sample.id, sample, kept(_notes(sample))


def _notes(sample: Sample) -> dict[str, Any]:
    """What stages need that look at all samples: never the images themselves."""
    digest = hashlib.sha256()
    for image in sample.images:
        digest.update(hashlib.sha256(image.data or image.name.encode()).digest())
    question = normalised("\n".join([sample.question, *sample.options]))
    notes: dict[str, Any] = {
        "asked": len(normalised(sample.question)),
        "question": question[:_MAX_QUESTION],
        "images": digest.hexdigest()[:32],
    }
    if sample.gold:
        notes["gold"] = normalised(sample.gold)[:200]
    return notes | ({"calls": sample.calls} if sample.turns else {})


def normalised(text: str) -> str:
    """The text in one line and in small letters."""
    return _SPACE.sub(" ", text).strip().casefold()


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source that are not examined yet."""

    source: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Examined:
    """A row: the sample's id, the verdict of reading, and those of the cheap stages as far as it got."""

    source: int
    row: int
    id: str
    read: Timed
    verdicts: tuple[tuple[str, Timed], ...] = ()


def examined(
    chunks: Iterable[Chunk],
    sources: Sequence[Source],
    read: ReadStage,
    stages: Sequence[SampleStage],
    shard: Shard,
    workers: int,
) -> Iterator[Examined]:
    """Examine rows, in order; rows of other shards are read, and no more.

    Raises:
        InfrastructureError: A worker process died, of a lack of memory perhaps.
    """
    if workers == 1:
        _start(sources, read, stages, shard)
        for chunk in chunks:
            yield from _examine(chunk)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(sources, read, stages, shard)) as pool:
        waiting: deque[Future[list[Examined]]] = deque()
        todo = iter(chunks)
        try:
            waiting.extend(pool.submit(_examine, chunk) for chunk in islice(todo, 4 * workers))
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(_examine, chunk) for chunk in islice(todo, 1))
                yield from done
        except BrokenPipeError as error:
            raise InfrastructureError(f"a worker process died: {error}") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """What a worker process keeps between chunks."""

    sources: Sequence[Source]
    read: ReadStage
    stages: Sequence[SampleStage]
    shard: Shard
    opened: tuple[int, SourceRows]


def _start(sources: Sequence[Source], read: ReadStage, stages: Sequence[SampleStage], shard: Shard) -> None:
    _Worker.sources, _Worker.read, _Worker.stages, _Worker.shard = sources, read, stages, shard
    if hasattr(_Worker, "opened"):
        del _Worker.opened


def _examine(chunk: Chunk) -> list[Examined]:
    opened = getattr(_Worker, "opened", None)
    if opened is None or opened[0] != chunk.source:
        opened = _Worker.opened = chunk.source, SourceRows(_Worker.sources[chunk.source])
    return [_examine_row(chunk.source, opened[1], row) for row in chunk.rows]


def _examine_row(source: int, rows: SourceRows, row: int) -> Examined:
    start = time.perf_counter()
    name, sample, verdict = _Worker.read.read(rows, row)
    first = Timed(verdict, time.perf_counter() - start)
    found: list[tuple[str, Timed]] = []
    if sample is not None and _Worker.shard.holds(name):
        for stage in _Worker.stages:
            found.append((stage.name, stage.timed(sample)))
            if found[-1][1].verdict.kept is not True:
                break
    return Examined(source, row, name, first, tuple(found))
