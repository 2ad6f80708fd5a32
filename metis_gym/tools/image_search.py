"""The `image_search` tool: pages on which the task's own image, or a near-duplicate of it, stands."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metis_gym.images.transforms import fit
from metis_gym.records import Task, ToolResult, ToolStatus
from metis_gym.search.contract import ImageEngine, ImageHit, ImageQuery
from metis_gym.search.overlay import search_images
from metis_gym.search.registry import make_image_engine
from metis_gym.tools.contract import Tool, ToolSession

__all__ = ["ImageSearchTool"]

_RESULTS = 5
_NO_IMAGE = "This question has no image to search for."
_AGAIN = "image_search was called already: it always searches for the same image, so its results stand above."
_NOTHING = "A search for the image found 0 results: no near-duplicate of it is known."


class ImageSearchTool(Tool):
    """Searches for the task's first image, at full resolution, once in an episode.

    What is found among the task's own images is ranked together with the index's and counts as any other page.

    Args:
        price: Price of one call.
        image_engine: Spec of an engine such as "dhash:path=/data/my.sqlite", or an engine.

    Raises:
        ConfigError: The engine cannot be made.
    """

    name: ClassVar[str] = "image_search"
    description: ClassVar[str] = (
        "Searches for pages that show image_1 or a copy of it, and returns their images and titles, nearest first. "
        "It takes no arguments and runs once."
    )
    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "properties": {}}
    settings: ClassVar[tuple[str, ...]] = ("image_engine",)

    def __init__(self, *, price: float = 1.0, image_engine: str | ImageEngine = "dhash") -> None:
        super().__init__(price=price)
        self.engine = make_image_engine(image_engine)

    def open(self, task: Task, *, seed: int) -> "ImageSearchSession":  # noqa: ARG002
        """A session on the task's image; nothing is looked at yet."""
        return ImageSearchSession(self.engine, task)


class ImageSearchSession(ToolSession):
    """Image search during one episode."""

    def __init__(self, engine: ImageEngine, task: Task) -> None:
        self._engine, self._task = engine, task
        self._was_called = False

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:  # noqa: ARG002
        """Search for the image; a second call is told that it is one.

        Raises:
            SearchError: The engine failed: the episode will be unscored.
        """
        if not self._task.images:
            return _error(_NO_IMAGE)
        if self._was_called:
            return _error(_AGAIN)
        task = self._task
        query = ImageQuery(image=task.images[0].source, task_id=task.task_id, search_key=task.search_key)
        hits = search_images(self._engine, query, task.titled_images, limit=_RESULTS)
        self._was_called = True
        return _result(hits)


def _error(text: str) -> ToolResult:
    return ToolResult(name=ImageSearchTool.name, status=ToolStatus.ERROR, errors=text)


def _result(hits: Sequence[ImageHit]) -> ToolResult:
    """Hits with images as images, with their titles as captions; the titles of those without in the text."""
    shown = [(hit.image, hit.title) for hit in hits if hit.image is not None]
    bare = [f"[{hit.title}]" for hit in hits if hit.image is None]
    head = f"A search for the image found {len(hits)} result{'' if len(hits) == 1 else 's'}:" if hits else _NOTHING
    lines = [head, f"Without an image: {', '.join(bare)}"] if bare else [head]
    return ToolResult(
        name=ImageSearchTool.name,
        status=ToolStatus.OK,
        output="\n".join(lines),
        images=tuple(fit(image) for image, _ in shown),
        captions=tuple(title or "(no title)" for _, title in shown),
    )
