"""Bright Data: Google's results through its SERP zone. `POST api.brightdata.com/request` → `organic[…]`."""

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from metis_gym.keys import ApiKey
from metis_gym.records import Passage
from metis_gym.search.services.service import TextService

__all__ = ["BrightDataEngine"]

_GOOGLE = "https://www.google.com/search"


class BrightDataEngine(TextService):
    """Asks Bright Data.

    Args:
        zone: Name of the SERP zone.
        api_key: The key; in Python only, a spec names `api_key_env`.
        api_key_env: Name of the environment variable that holds it.
        country: Google's `gl`, such as "us"; empty for the service's default.
        language: Google's `hl`, such as "en"; empty for the service's default.
        url: The service's address.
        timeout: Seconds for one attempt; it fetches the page meanwhile, which takes a while.
        retries: Further attempts after a failure that may pass.

    Raises:
        ConfigError: An argument is not valid.
    """

    name: ClassVar[str] = "brightdata"

    def __init__(
        self,
        *,
        zone: str,
        api_key: str | None = None,
        api_key_env: str | None = None,
        country: str = "",
        language: str = "",
        url: str = "https://api.brightdata.com/request",
        timeout: float = 60.0,
        retries: int = 2,
    ) -> None:
        self._key = ApiKey(self.name, value=api_key, env=api_key_env)
        super().__init__(url=url, key=self._key, timeout=timeout, retries=retries)
        self._zone = str(zone)
        self._options = {name: value for name, value in (("gl", country), ("hl", language)) if value}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Address, zone, country and language."""
        return {"url": self.url, "zone": self._zone, **self._options}

    def ask(self, query: str, limit: int) -> Any:
        """Send the query, as the address of a page of Google's."""
        page = f"{_GOOGLE}?{urlencode({'q': query, 'num': limit, **self._options, 'brd_json': 1})}"
        headers = {"Authorization": f"Bearer {self._key.reveal()}"}
        return self.client.json(
            "POST", self.url, headers=headers, json={"zone": self._zone, "url": page, "format": "raw"}
        )

    def pages(self, answer: Any, limit: int) -> list[Passage]:
        """Read the pages in `organic` of a reply."""
        return self.listed(answer, limit, "organic", "description", envelope="general")
