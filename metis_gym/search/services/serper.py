"""Serper: Google's results. `POST google.serper.dev/search` → `organic[{title, link, snippet}]`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from metis_gym.keys import ApiKey
from metis_gym.records import Passage
from metis_gym.search.services.service import TextService

__all__ = ["SerperEngine"]


class SerperEngine(TextService):
    """Asks Serper.

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

    name: ClassVar[str] = "serper"

    def __init__(
        self,
        *,
        api_key: str | None = None,
        api_key_env: str | None = None,
        country: str = "",
        language: str = "",
        url: str = "https://google.serper.dev/search",
        timeout: float = 20.0,
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
        """Send the query to Serper and return its reply as parsed JSON."""
        body = {"q": query, "num": limit, **self._options}
        return self.client.json("POST", self.url, headers={"X-API-KEY": self._key.reveal()}, json=body)

    def pages(self, answer: Any, limit: int) -> list[Passage]:
        """Read the pages in `organic` of a reply."""
        return self.listed(answer, limit, "organic", "snippet", envelope="searchParameters")
