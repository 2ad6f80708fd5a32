"""SerpApi: Google's results. `GET serpapi.com/search?engine=google` → `organic_results[{title, link, snippet}]`.

The service wants its key in the address, which nothing here logs. Google finding nothing comes as a
good answer with an `error`; it is told from a failure by the search's status.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from metis_gym.keys import ApiKey
from metis_gym.records import Passage
from metis_gym.search.services.service import TextService
from metis_gym.search.services.web import Client

__all__ = ["SerpApiEngine", "check_status"]


class SerpApiEngine(TextService):
    """Asks SerpApi.

    Args:
        api_key: The key; in Python only, a spec names `api_key_env`.
        api_key_env: Name of the environment variable that holds it.
        country: Google's `gl`, such as "us"; empty for the service's default.
        language: Google's `hl`, such as "en"; empty for the service's default.
        url: The service's address.
        timeout: Seconds for one attempt.
        retries: Further attempts after a failure that may pass.

    Raises:
        ConfigError: An argument is not valid.
    """

    name: ClassVar[str] = "serpapi"

    def __init__(
        self,
        *,
        api_key: str | None = None,
        api_key_env: str | None = None,
        country: str = "",
        language: str = "",
        url: str = "https://serpapi.com/search",
        timeout: float = 30.0,
        retries: int = 2,
    ) -> None:
        self._key = ApiKey(self.name, value=api_key, env=api_key_env)
        super().__init__(url=url, key=self._key, timeout=timeout, retries=retries)
        self._options = {name: value for name, value in (("gl", country), ("hl", language)) if value}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Address, country and language."""
        return {"url": self.url, **self._options}

    def ask(self, query: str, limit: int) -> Any:
        """Send the query to SerpApi and return its reply as parsed JSON."""
        options = {"engine": "google", "q": query, "num": limit, **self._options, "api_key": self._key.reveal()}
        return self.client.json("GET", self.url, params=options)

    def pages(self, answer: Any, limit: int) -> list[Passage]:
        """Read the pages in `organic_results` of a reply."""
        check_status(self.client, answer)
        return self.listed(answer, limit, "organic_results", "snippet", envelope="search_metadata")


def check_status(client: Client, answer: Any) -> None:
    """See that a search succeeded; one that found nothing did.

    Raises:
        SearchError: It did not.
    """
    if not isinstance(answer, dict):
        return
    metadata = answer.get("search_metadata")
    status = metadata.get("status") if isinstance(metadata, dict) else None
    if "error" in answer and status != "Success":
        raise client.error("the search failed: the answer has an 'error', and its status is not 'Success'")
