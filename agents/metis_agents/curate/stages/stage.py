"""What a stage is: a pure function from a sample and its settings to a verdict."""

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from metis_agents.curate.records import Sample, Verdict

__all__ = ["Item", "SampleStage", "Stage", "Timed", "WholeStage", "shared_time"]


@dataclass(frozen=True)
class Timed:
    """A verdict and the seconds that it took."""

    verdict: Verdict
    seconds: float


class Stage(ABC):
    """A stage. What decides its verdicts, apart from the sample, stands in `settings`.

    Attributes:
        name: Names it in reports and in the ledger.
        version: Raise it whenever its verdicts change: those of former versions then count no more.
        about: What it looks at, in a few words.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    about: ClassVar[str] = ""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What its verdicts depend on, besides the sample; values that JSON can hold."""
        return {}

    @property
    def key(self) -> str:
        """Eight hexadecimal digits of the version and the settings."""
        text = json.dumps([self.name, self.version, dict(self.settings)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


class SampleStage(Stage):
    """A stage that looks at one sample at a time.

    Attributes:
        is_cheap: It runs in worker processes, in the one pass over the rows, right after they are read.
        batch: Samples that are handed over at a time.
        counts: Names of notes that the report adds up.
        is_remote: It asks somebody else. Where nobody answers for a whole batch, the samples after it are not tried.
    """

    is_cheap: ClassVar[bool] = False
    batch: ClassVar[int] = 64
    counts: ClassVar[tuple[str, ...]] = ()
    is_remote: ClassVar[bool] = False

    @abstractmethod
    def decide(self, sample: Sample) -> Verdict:
        """Decide about a sample. What fails around it is an undecided verdict, never a dropped sample."""

    def timed(self, sample: Sample) -> Timed:
        """Decide, with the time that it took."""
        start = time.perf_counter()
        return Timed(self.decide(sample), time.perf_counter() - start)

    def decide_all(self, samples: Sequence[Sample], workers: int) -> Iterator[Timed]:
        """Decide about some samples, in threads, in order."""
        if workers == 1:
            yield from map(self.timed, samples)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix=self.name) as threads:
            yield from threads.map(self.timed, samples)


@dataclass(frozen=True)
class Item:
    """A sample as a stage sees it that looks at all of them.

    Attributes:
        uid: The sample's id; of further copies, with their number.
        rank: The place of its source among the inputs: lower ones survive.
        notes: What the stages before it noted.
    """

    uid: str
    rank: int
    notes: Mapping[str, Any]


def shared_time(work: Callable[[], None], count: int) -> float:
    """Do some work for several samples at a time, and say how many seconds it took for each."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / count


class WholeStage(Stage):
    """A stage that looks at all samples at once; it is repeated when the samples that reach it change."""

    @abstractmethod
    def decide_whole(self, items: Iterable[Item]) -> Mapping[str, Verdict]:
        """The verdicts by uid; a sample without one is kept. They depend on no order of the items.

        Args:
            items: Gone through once; what is kept of each must be small.
        """
