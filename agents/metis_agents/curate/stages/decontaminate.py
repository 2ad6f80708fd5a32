"""The stage `decontaminate`: nothing of the benchmarks is trained on.

A sample goes if one of its images is within a tenth of the bits of an evaluation image's difference hash (`image`), or
if its question shares 13 words in a row with an evaluation question, or is the same where that is shorter
(`question`); and if the two right answers are equal, or one of them is unknown. Options are left out of questions.
Only benchmarks whose files are given are compared; the report names the others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from metis_agents.curate.first_pass import normalised
from metis_agents.curate.records import Verdict, dropped
from metis_agents.curate.stages.stage import Item, WholeStage
from metis_gym.errors import ConfigError
from metis_gym.search.index.dhash import BITS, WORDS, dhash, differing_bits
from metis_gym.tasksets import TASKSETS, Taskset, make_taskset

__all__ = ["DecontaminateStage"]

_WORDS_A_GRAM = 13


@dataclass(frozen=True)
class _Known:
    """The questions of all benchmarks: hashes of images with the place of their question, and runs of words."""

    hashes: Any
    of_image: Sequence[int]
    golds: Sequence[str]
    names: Sequence[str]
    by_gram: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class DecontaminateStage(WholeStage):
    """Drops samples that stand in a benchmark.

    Attributes:
        against: Specs of benchmarks with their files, such as "hrbench_4k:path=rows.tsv"; or of any taskset whose
            tasks can be counted, such as "parquet:path=test.parquet".
        distance: Largest share of bits in which the hashes of two copies of an image differ.
    """

    against: tuple[str, ...] = ()
    distance: float = 0.10

    name: ClassVar[str] = "decontaminate"
    about: ClassVar[str] = "neither image nor question stands in a benchmark"

    @property
    def settings(self) -> dict[str, Any]:
        """The benchmarks, as they were named."""
        return {"against": list(self.against), "distance": self.distance}

    def decide_whole(self, items: Iterable[Item]) -> Mapping[str, Verdict]:
        """Compare each sample with every evaluation question."""
        verdicts = {}
        for item in items:
            found = self._hit(item.notes)
            if found is not None:
                verdicts[item.uid] = found
        return verdicts

    def _hit(self, notes: Mapping[str, Any]) -> Verdict | None:
        known, gold = self._known, str(notes.get("gold", ""))
        for number, hex_hash in enumerate(notes.get("hashes", ()), start=1):
            mine = np.frombuffer(bytes.fromhex(hex_hash), dtype=np.uint64)
            bits = differing_bits(known.hashes, mine)
            for place in np.flatnonzero(bits <= int(self.distance * BITS)):
                task = known.of_image[int(place)]
                if not gold or not known.golds[task] or gold == known.golds[task]:
                    share = int(bits[place]) / BITS
                    return dropped("image", f"image {number} is that of {known.names[task]} ({share:.2f} of the bits)")
        asked = str(notes.get("question", ""))[: int(notes.get("asked", 1 << 20))]
        for gram in _grams(asked):
            for task in known.by_gram.get(gram, ()):
                if not gold or not known.golds[task] or gold == known.golds[task]:
                    return dropped("question", f"{gram!r} stands in {known.names[task]}")
        return None

    @cached_property
    def _known(self) -> _Known:
        hashes: list[Any] = []
        of_image: list[int] = []
        golds: list[str] = []
        names: list[str] = []
        by_gram: dict[str, list[int]] = {}
        for spec in self.against:
            for task in _tasks(spec):
                place = len(golds)
                golds.append(normalised(task.gold.value))
                names.append(task.task_id)
                for image in task.images:
                    hashes.append(dhash(image.source))
                    of_image.append(place)
                for gram in _grams(normalised(task.question)):
                    by_gram.setdefault(gram, []).append(place)
        table = np.array(hashes, dtype=np.uint64).reshape(-1, WORDS).T
        return _Known(np.ascontiguousarray(table), of_image, golds, names, by_gram)


def _tasks(spec: str) -> Iterator[Any]:
    taskset = _taskset(spec)
    ids = taskset.task_ids()
    if ids is None:
        raise ConfigError(f"--against {spec}: its tasks are drawn without end, and cannot be compared one by one")
    for task_id in ids:
        yield taskset.build(task_id)


def _taskset(spec: str) -> Taskset:
    name = spec.partition(":")[0]
    given = spec if name in TASKSETS.names() else f"benchmark:{spec.replace(':', ',', 1)}"
    return make_taskset([given], split="test", view_size=448)


def _grams(text: str) -> Iterator[str]:
    """The runs of 13 words of a question; all of it where it is shorter."""
    words = text.split()
    if not words:
        return
    for start in range(max(1, len(words) - _WORDS_A_GRAM + 1)):
        yield " ".join(words[start : start + _WORDS_A_GRAM])
