"""What text services share: a query goes out, a list of pages comes back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metis_gym.keys import ApiKey
from metis_gym.records import Passage
from metis_gym.search.contract import LIVE, TextHit
from metis_gym.search.services.web import Client, Policy, check_url, shape_error
from metis_gym.search.snippets import MAX_TEXT, clean, one_line, short_line, snippet

__all__ = ["TextService"]

_MAX_QUERY = 2_000


class TextService(ABC):
    """A text engine that asks a service on the web.

    Args:
        url: The service's address.
        key: The key, None if none is needed.
        timeout: Seconds for one attempt.
        retries: Further attempts after a failure that may pass.

    Raises:
        ConfigError: An argument is not valid.
    """

    name: ClassVar[str]
    is_live: ClassVar[bool] = True

    def __init__(self, *, url: str, key: ApiKey | None, timeout: float, retries: int) -> None:
        self.url = check_url(self.name, url)
        self.key = key
        self.client = Client(service=self.name, policy=Policy(timeout=timeout, retries=retries), key=key)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The address, and what a service adds to it. Never the key."""
        return {"url": self.url}

    def fingerprint(self) -> str:
        """The mark of live engines: the web changes, so no digest can stand for it."""
        return LIVE

    def search(self, query: str, *, limit: int) -> tuple[TextHit, ...]:
        """Ask the service.

        Raises:
            SearchError: It did not answer, or with something else than it documents.
        """
        sent = one_line(clean(query[: 4 * _MAX_QUERY]))[:_MAX_QUERY]
        answer = self.ask(sent, limit)
        return tuple(self._hit(page, sent) for page in self.pages(answer, limit))

    def scores(self, query: str, passages: Sequence[Passage]) -> None:  # noqa: ARG002
        """A service's measure is its own."""
        return

    @abstractmethod
    def ask(self, query: str, limit: int) -> Any:
        """Send the query; returns the service's JSON."""

    @abstractmethod
    def pages(self, answer: Any, limit: int) -> list[Passage]:
        """Read the service's JSON, at most so many pages of it.

        Raises:
            SearchError: It is not what the service documents.
        """

    def listed(self, answer: Any, limit: int, field: str, texts: str, *, envelope: str) -> list[Passage]:
        """Pages out of a list of objects with `title`, `link` and a text.

        Args:
            answer: The service's JSON.
            limit: Most pages that are read.
            field: Where the list is.
            texts: The objects' field for the text; a page may lack it.
            envelope: A field that every good answer has, so that an answer without the list means that nothing was
                found.
        """
        if not isinstance(answer, dict) or not (field in answer or envelope in answer):
            raise shape_error(self.client, f"an object with {field!r}", answer)
        entries = answer.get(field, [])
        if not isinstance(entries, list):
            raise shape_error(self.client, f"{field!r} to be a list", entries)
        return [self._page(entry, texts) for entry in entries[:limit]]

    def _page(self, entry: Any, texts: str) -> Passage:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("title", "link")):
            raise shape_error(self.client, "results with the texts 'title' and 'link'", entry)
        text = entry.get(texts) or ""
        if not isinstance(text, str):
            raise shape_error(self.client, f"{texts!r} to be a text", text)
        return Passage(title=entry["title"], text=clean(text[:MAX_TEXT]), link=entry["link"])

    def _hit(self, page: Passage, query: str) -> TextHit:
        return TextHit(title=short_line(page.title), snippet=snippet(page.text, query), link=short_line(page.link))
