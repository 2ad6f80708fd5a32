"""SerpApi's Google Lens: `GET serpapi.com/search?engine=google_lens&url=` → `visual_matches[{title, link, thumbnail}]`.

Lens wants the public address of the image. The images must lie on the web already, under names that a template
makes from the task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

from metis_gym.errors import ConfigError, ImageError
from metis_gym.http import Deadline
from metis_gym.images import decode
from metis_gym.images.transforms import fingerprint
from metis_gym.keys import ApiKey
from metis_gym.records import ImageArray, TitledImage
from metis_gym.search.contract import LIVE, ImageHit, ImageQuery
from metis_gym.search.services.serpapi import check_status
from metis_gym.search.services.web import Client, Policy, check_url, shape_error
from metis_gym.search.snippets import clean, short_line

__all__ = ["SerpApiLensEngine"]

_MAX_PIXELS = 4_000_000
"""Of a thumbnail."""
_REDIRECTS = 3


class SerpApiLensEngine:
    """Asks Google Lens through SerpApi.

    Args:
        image_url: Where a task's image lies on the web; `{task_id}` and `{fingerprint}`
            (`metis_gym.images.transforms.fingerprint` of the source image) are filled in.
        api_key: The key; in Python only, a spec names `api_key_env`.
        api_key_env: Name of the environment variable that holds it.
        thumbnails: Fetch the hits' thumbnails, all of them within `timeout`. One that cannot be fetched fails the
            search. Their addresses stand in the reply, so only publicly routed ones are asked, and no proxy is.
        url: The service's address.
        timeout: Seconds for one attempt.
        retries: Further attempts after a failure that may pass.

    Raises:
        ConfigError: An argument is not valid.
    """

    name: ClassVar[str] = "serpapi_lens"
    is_live: ClassVar[bool] = True

    def __init__(
        self,
        *,
        image_url: str,
        api_key: str | None = None,
        api_key_env: str | None = None,
        thumbnails: bool = True,
        url: str = "https://serpapi.com/search",
        timeout: float = 30.0,
        retries: int = 2,
    ) -> None:
        if "{task_id}" not in image_url and "{fingerprint}" not in image_url:
            raise ConfigError(
                "image_url must hold {task_id} or {fingerprint}, as in "
                f"'https://images.example/{{fingerprint}}.png', actually: {image_url!r}"
            )
        self._image_url = check_url(self.name, image_url)
        self._url = check_url(self.name, url)
        self._thumbnails = bool(thumbnails)
        self._key = ApiKey(self.name, value=api_key, env=api_key_env)
        policy = Policy(timeout=timeout, retries=retries)
        self._client = Client(service=self.name, policy=policy, key=self._key)
        self._images = Client(
            service=f"{self.name} thumbnail", policy=replace(policy, redirects=_REDIRECTS), public_only=True
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Address, template, and whether thumbnails are fetched."""
        return {"url": self._url, "image_url": self._image_url, "thumbnails": self._thumbnails}

    def fingerprint(self) -> str:
        """The mark of live engines: the web changes, so no digest can stand for it."""
        return LIVE

    def search(self, query: ImageQuery, *, limit: int) -> tuple[ImageHit, ...]:
        """Ask the service for pages with this image.

        Raises:
            SearchError: It did not answer, or with something else than it documents.
        """
        options = {"engine": "google_lens", "url": self._public(query), "api_key": self._key.reveal()}
        answer = self._client.json("GET", self._url, params=options)
        check_status(self._client, answer)
        if not isinstance(answer, dict) or not ("visual_matches" in answer or "search_metadata" in answer):
            raise shape_error(self._client, "an object with 'visual_matches'", answer)
        matches = answer.get("visual_matches", [])
        if not isinstance(matches, list):
            raise shape_error(self._client, "'visual_matches' to be a list", matches)
        deadline = Deadline(self._images.policy.timeout)
        return tuple(self._hit(match, deadline) for match in matches[:limit])

    def distances(self, query: ImageQuery, images: Sequence[TitledImage]) -> None:  # noqa: ARG002
        """The service gives no measure."""
        return

    def _public(self, query: ImageQuery) -> str:
        address = self._image_url.replace("{task_id}", quote(clean(query.task_id), safe=""))
        return address.replace("{fingerprint}", fingerprint(query.image)) if "{fingerprint}" in address else address

    def _hit(self, match: Any, deadline: Deadline) -> ImageHit:
        if not isinstance(match, dict) or not all(isinstance(match.get(key), str) for key in ("title", "link")):
            raise shape_error(self._client, "matches with the texts 'title' and 'link'", match)
        image = self._thumbnail(match.get("thumbnail"), deadline) if self._thumbnails else None
        return ImageHit(title=short_line(match["title"]), image=image, link=short_line(match["link"]))

    def _thumbnail(self, address: Any, deadline: Deadline) -> ImageArray:
        if not isinstance(address, str) or not address.startswith(("http://", "https://")):
            raise shape_error(self._client, "'thumbnail' to be an address of the web", address)
        data = self._images.fetch("GET", address, deadline=deadline)
        try:
            return decode(data, max_pixels=_MAX_PIXELS, name="the thumbnail")
        except ImageError:
            raise self._images.error("it is no image that can be read, or a very large one") from None
