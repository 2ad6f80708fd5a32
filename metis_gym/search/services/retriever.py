"""A retriever of one's own that speaks Search-R1's contract (arXiv 2503.09516).

`POST /retrieve {queries, topk, return_scores}` → `result[[{document: {contents}, score}]]`. `contents` is the title in
quotes, a line break, and the text.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from metis_gym.records import Passage
from metis_gym.search.services.service import TextService
from metis_gym.search.services.web import shape_error
from metis_gym.search.snippets import MAX_TEXT, clean

__all__ = ["RetrieverEngine", "read_contents"]


class RetrieverEngine(TextService):
    """Asks a retriever, usually on one's own machine.

    Args:
        url: Its address, such as "http://127.0.0.1:8000/retrieve".
        timeout: Seconds for one attempt.
        retries: Further attempts after a failure that may pass.

    Raises:
        ConfigError: An argument is not valid.
    """

    name: ClassVar[str] = "retriever"

    def __init__(self, *, url: str, timeout: float = 20.0, retries: int = 2) -> None:
        super().__init__(url=url, key=None, timeout=timeout, retries=retries)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The address: another one may hold another corpus."""
        return {"url": self.url}

    def ask(self, query: str, limit: int) -> Any:
        """Send the query to the retriever and return its reply as parsed JSON."""
        return self.client.json("POST", self.url, json={"queries": [query], "topk": limit, "return_scores": True})

    def pages(self, answer: Any, limit: int) -> list[Passage]:
        """Read the one list of results."""
        results = answer.get("result") if isinstance(answer, dict) else None
        if not (isinstance(results, list) and len(results) == 1 and isinstance(results[0], list)):
            raise shape_error(self.client, "'result' to be a list with one list of documents", answer)
        return [self._document(entry) for entry in results[0][:limit]]

    def _document(self, entry: Any) -> Passage:
        document = entry.get("document", entry) if isinstance(entry, dict) else None
        contents = document.get("contents") if isinstance(document, dict) else None
        if not isinstance(contents, str):
            raise shape_error(self.client, "documents with the text 'contents'", entry)
        return read_contents(clean(contents[:MAX_TEXT]))


def read_contents(contents: str) -> Passage:
    r"""Title and text of a document.

    >>> read_contents('"Mount Hal"\nMount Hal is 812 m high.').title
    'Mount Hal'
    """
    title, _, text = contents.partition("\n")
    if not text:
        title, text = "", contents
    return Passage(title=title.strip().strip('"'), text=text.strip())
