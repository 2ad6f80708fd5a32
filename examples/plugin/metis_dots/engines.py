"""A search engine: `text_engine="notes"`."""

from collections.abc import Sequence

from metis_gym.records import Passage
from metis_gym.search.contract import TextHit

_NOTES = (
    Passage(title="Dots", text="A dot is a small round mark.", link="https://dots.example/dot"),
    Passage(title="Counting", text="To count is to say how many there are.", link="https://dots.example/count"),
)


class Notes:
    """Counts the words that a query shares with each of a few notes."""

    name = "notes"
    parameters = {}
    is_live = False

    def fingerprint(self) -> str:
        """The notes never change."""
        return "notes-1"

    def search(self, query: str, *, limit: int) -> tuple[TextHit, ...]:
        """The notes that share a word with the query, best first."""
        scored = sorted(zip(self.scores(query, _NOTES), _NOTES, strict=True), key=lambda pair: -pair[0])
        hits = [TextHit(title=p.title, snippet=p.text, link=p.link, score=score) for score, p in scored if score > 0]
        return tuple(hits[:limit])

    def scores(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """How many words of the query stand in each passage."""
        words = set(query.casefold().split())
        return [float(len(words & set(f"{p.title} {p.text}".casefold().split()))) for p in passages]
