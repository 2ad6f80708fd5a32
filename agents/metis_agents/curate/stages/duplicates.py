"""The stage `duplicates`: of samples that ask the same of the same images, one stays.

Exact: the same image bytes and the same question in small letters. Near: the same number of images, each with at most a
tenth of the bits of its difference hash in another place than its counterpart, *and* questions whose sets of word
5-grams overlap by .8 or more (Jaccard). Candidates are found by MinHash with 128 permutations; what they share is then
counted exactly. The same image with another question is no duplicate.

A cluster is what is connected. Its survivor is of the source that was named first, and of these the one with the lowest
id. Reasons: `exact`, `near`; the detail of each dropped sample names the survivor and how large the cluster is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metis_agents.curate.records import Verdict, dropped
from metis_agents.curate.stages.stage import Item, WholeStage
from metis_gym.errors import MissingDependencyError
from metis_gym.search.index.dhash import BITS, WORDS, Hashes, differing_bits

__all__ = ["DuplicatesStage", "grams"]

_WORDS_A_GRAM = 5
_SEED = 1
_MAX_NAMED = 20


@dataclass(frozen=True)
class _Kept:
    """What is kept in memory of a sample: some 300 bytes and its question."""

    uid: str
    rank: int
    question: str
    images: str
    hashes: bytes


@dataclass(frozen=True)
class DuplicatesStage(WholeStage):
    """Drops all but one of each cluster.

    Attributes:
        distance: Largest share of bits in which the hashes of near duplicates differ.
        overlap: Smallest Jaccard overlap of their questions.
        permutations: Of MinHash.
    """

    distance: float = 0.10
    overlap: float = 0.8
    permutations: int = 128

    name: ClassVar[str] = "duplicates"
    about: ClassVar[str] = "nothing else asks the same of the same images"

    @property
    def settings(self) -> dict[str, Any]:
        """The thresholds."""
        return {"distance": self.distance, "overlap": self.overlap, "permutations": self.permutations}

    def decide_whole(self, items: Iterable[Item]) -> Mapping[str, Verdict]:
        """Find the clusters, and drop all but the survivor of each."""
        samples = sorted(map(_kept, items), key=lambda one: (one.rank, one.uid))
        links = _Links(len(samples))
        first: dict[tuple[str, str], int] = {}
        for place, one in enumerate(samples):
            links.join(first.setdefault((one.images, one.question), place), place)
        self._join_near([samples[place] for place in first.values()], list(first.values()), links)
        verdicts: dict[str, Verdict] = {}
        for members in links.clusters():
            survivor = samples[members[0]]
            named = ", ".join(samples[place].uid for place in members[:_MAX_NAMED])
            for place in members[1:]:
                one = samples[place]
                is_exact = (one.images, one.question) == (survivor.images, survivor.question)
                detail = f"{survivor.uid} stays, of a cluster of {len(members)}: {named}"
                verdicts[one.uid] = dropped("exact" if is_exact else "near", detail)
        return verdicts

    def _join_near(self, samples: Sequence[_Kept], places: Sequence[int], links: "_Links") -> None:
        """Join what is near: candidates by the words of their questions, then their images, then all words."""
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError as error:
            raise MissingDependencyError.of("datasketch", "curate", "Finding duplicates") from error
        by_words: dict[str, list[int]] = {}
        for number, one in enumerate(samples):
            by_words.setdefault(one.question, []).append(number)
        index = MinHashLSH(threshold=self.overlap, num_perm=self.permutations, weights=(0.1, 0.9))
        none = MinHash(num_perm=self.permutations, seed=_SEED)
        for question, numbers in by_words.items():
            self._join_images(samples, numbers, numbers, places, links)
            sketch = none.copy()
            sketch.update_batch([gram.encode("utf-8", "replace") for gram in grams(question)])
            for other in index.query(sketch):
                if _overlap(question, other) >= self.overlap:
                    self._join_images(samples, numbers, by_words[other], places, links)
            index.insert(question, sketch, check_duplication=False)

    def _join_images(
        self,
        samples: Sequence[_Kept],
        some: Sequence[int],
        others: Sequence[int],
        places: Sequence[int],
        links: "_Links",
    ) -> None:
        """Join those whose images are near each other, pair by pair, in order."""
        groups: dict[int, list[int]] = {}
        for number in others:
            groups.setdefault(len(samples[number].hashes), []).append(number)
        tables = {length: _stacked([samples[n].hashes for n in group]) for length, group in groups.items()}
        for number in some:
            own = samples[number].hashes
            group = groups.get(len(own), [])
            if not group or group == [number]:
                continue
            near = np.ones(len(group), dtype=bool)
            for image, mine in zip(tables[len(own)], _stacked([own]), strict=True):  # none of a sample without images
                near &= differing_bits(image, mine[:, 0]) <= int(self.distance * BITS)
            for found in np.flatnonzero(near):
                links.join(places[number], places[group[int(found)]])


def grams(text: str) -> frozenset[str]:
    """The word 5-grams of a text; all of it where it is shorter.

    >>> sorted(grams("a b c d e f"))
    ['a b c d e', 'b c d e f']
    """
    words = text.split()
    if len(words) <= _WORDS_A_GRAM:
        return frozenset({" ".join(words)})
    return frozenset(" ".join(words[start : start + _WORDS_A_GRAM]) for start in range(len(words) - _WORDS_A_GRAM + 1))


def _overlap(one: str, other: str) -> float:
    first, second = grams(one), grams(other)
    return len(first & second) / len(first | second)


def _kept(item: Item) -> _Kept:
    notes = item.notes
    hashes = bytes.fromhex("".join(notes.get("hashes", ())))
    return _Kept(item.uid, item.rank, str(notes.get("question", "")), str(notes.get("images", "")), hashes)


def _stacked(hashes: Sequence[bytes]) -> list[Hashes]:
    """The hashes of the first image of all, of the second, …: each of shape (4, number of samples)."""
    if not hashes[0]:
        return []
    table = np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(len(hashes), -1, WORDS)
    return [np.ascontiguousarray(table[:, image].T) for image in range(table.shape[1])]


class _Links:
    """Which samples are connected. The first of a cluster stands for it."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def join(self, one: int, other: int) -> None:
        """Connect two."""
        first, second = sorted((self._root(one), self._root(other)))
        self._parents[second] = first

    def clusters(self) -> list[list[int]]:
        """All clusters of several members, each in order."""
        found: dict[int, list[int]] = {}
        for place in range(len(self._parents)):
            found.setdefault(self._root(place), []).append(place)
        return [members for members in found.values() if len(members) > 1]

    def _root(self, place: int) -> int:
        while self._parents[place] != place:
            self._parents[place] = self._parents[self._parents[place]]
            place = self._parents[place]
        return place
