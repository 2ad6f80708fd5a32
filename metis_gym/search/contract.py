"""What a search engine is: a name, parameters, a fingerprint of what it searches, and hits.

A task brings passages and images of its own (its *overlay*). An engine knows nothing of them: it only says what score
they would have had in its corpus, and `metis_gym.search.overlay` puts both together. So answers of an engine depend on
no task and may be cached.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from metis_gym.records import ImageArray, Passage, TitledImage

__all__ = ["LIVE", "ImageEngine", "ImageHit", "ImageQuery", "TextEngine", "TextHit"]

LIVE = "live"
"""The fingerprint of a corpus that changes under the engine: the web."""


@dataclass(frozen=True, kw_only=True)
class TextHit:
    """A passage that was found.

    Attributes:
        title: Title of its page.
        snippet: The text, or the part of it that fits the query best.
        link: Address of its page.
        score: Larger is better; comparable with `TextEngine.scores`. None where the engine has no measure.
    """

    title: str
    snippet: str
    link: str
    score: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageHit:
    """An image that was found.

    Attributes:
        title: Title of the page it stands on.
        image: The image, reduced; None where only the title is known.
        link: Address of that page.
        distance: Smaller is better; comparable with `ImageEngine.distances`. None where the engine has no measure.
    """

    title: str
    image: ImageArray | None
    link: str = ""
    distance: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageQuery:
    """What image search looks for.

    Attributes:
        image: The task's own image, at full resolution.
        task_id: The task, for engines that look answers up by it.
        search_key: The task's key in a prepared cache; empty if it has none.
    """

    image: ImageArray
    task_id: str
    search_key: str = ""


class TextEngine(Protocol):
    """Finds passages. Safe for threads; a fork may go on using it."""

    @property
    def name(self) -> str:
        """The name under which it is registered."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that its answers depend on besides corpus and query, as JSON. Never a key."""

    @property
    def is_live(self) -> bool:
        """Whether what it searches may change. Its answers are then cached unless told otherwise."""

    def fingerprint(self) -> str:
        """Names the corpus: the same fingerprint, the same answers. `LIVE` where that cannot be promised."""

    def search(self, query: str, *, limit: int) -> tuple[TextHit, ...]:
        """The best hits, best first; the same query gives the same hits in the same order.

        Args:
            query: Any text.
            limit: Most hits that are wanted.

        Raises:
            SearchError: The search failed. Finding nothing is no failure.
        """

    def scores(self, query: str, passages: Sequence[Passage]) -> list[float] | None:
        """The score that each of these passages would have for the query if it were in the corpus; 0 for "not found".

        None where the engine has no measure that passages from elsewhere could be given.
        """


class ImageEngine(Protocol):
    """Finds images. Safe for threads; a fork may go on using it."""

    @property
    def name(self) -> str:
        """The name under which it is registered."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that its answers depend on besides index and query, as JSON. Never a key."""

    @property
    def is_live(self) -> bool:
        """Whether what it searches may change. Its answers are then cached unless told otherwise."""

    def fingerprint(self) -> str:
        """Names the index: the same fingerprint, the same answers. `LIVE` where that cannot be promised."""

    def search(self, query: ImageQuery, *, limit: int) -> tuple[ImageHit, ...]:
        """The best hits, best first.

        Raises:
            SearchError: The search failed. Finding nothing is no failure.
        """

    def distances(self, query: ImageQuery, images: Sequence[TitledImage]) -> list[float | None] | None:
        """The distance of each of these images from the query, None for those too far off to be found.

        None altogether where the engine has no measure that images from elsewhere could be given.
        """
