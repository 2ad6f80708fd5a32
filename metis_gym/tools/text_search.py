"""The `text_search` tool: pages about a query, out of a corpus and what the task brings."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metis_gym.records import Passage, Task, ToolResult, ToolStatus
from metis_gym.search.contract import TextEngine, TextHit
from metis_gym.search.overlay import search_text
from metis_gym.search.registry import make_text_engine
from metis_gym.search.snippets import one_line
from metis_gym.tools.contract import Tool, ToolSession

__all__ = ["TextSearchTool"]

_RESULTS = 10
_MAX_ECHO = 200
_EMPTY_QUERY = 'The query is empty. Say what to search for, as in {"query": "height of the Eiffel Tower"}.'
_NOTHING = "No page holds any of these words. Search for other words, such as a name that stands in the image."


class TextSearchTool(Tool):
    """Searches text.

    What is found among the task's own passages is ranked together with the corpus's and counts as any other page.

    Args:
        price: Price of one call.
        text_engine: Spec of an engine such as "fts5:path=/data/my.sqlite", or an engine.

    Raises:
        ConfigError: The engine cannot be made.
    """

    name: ClassVar[str] = "text_search"
    description: ClassVar[str] = (
        "Searches a text collection and returns up to ten pages, each with its title, its address and the passage that "
        "fits the query. Pages may be about similar things, out of date or wrong: compare them."
    )
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to search for, in a few words"}},
        "required": ["query"],
    }
    aliases: ClassVar[tuple[str, ...]] = ("search",)
    settings: ClassVar[tuple[str, ...]] = ("text_engine",)

    def __init__(self, *, price: float = 1.0, text_engine: str | TextEngine = "fts5") -> None:
        super().__init__(price=price)
        self.engine = make_text_engine(text_engine)

    def open(self, task: Task, *, seed: int) -> "TextSearchSession":  # noqa: ARG002
        """A session on the task's passages; nothing is looked at yet."""
        return TextSearchSession(self.engine, task.passages)

    def normalise(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of a list of queries take the first, as the released code of the reference does."""
        query = arguments.get("query")
        return {**arguments, "query": query[0]} if isinstance(query, list | tuple) and query else arguments


class TextSearchSession(ToolSession):
    """Text search during one episode."""

    def __init__(self, engine: TextEngine, passages: Sequence[Passage]) -> None:
        self._engine, self._passages = engine, passages

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Search for `arguments["query"]`.

        Raises:
            SearchError: The engine failed: the episode will be unscored.
        """
        query = one_line(arguments["query"])
        if not query:
            return ToolResult(name=TextSearchTool.name, status=ToolStatus.ERROR, errors=_EMPTY_QUERY)
        hits = search_text(self._engine, query, self._passages, limit=_RESULTS)
        return ToolResult(name=TextSearchTool.name, status=ToolStatus.OK, output=_written(query, hits))


def _written(query: str, hits: Sequence[TextHit]) -> str:
    echo = query if len(query) <= _MAX_ECHO else query[:_MAX_ECHO] + "…"
    head = f"A search for '{echo}' found {len(hits)} result{'' if len(hits) == 1 else 's'}{':' if hits else '.'}"
    pages = [
        f"Page {number}. [Title: {hit.title}](Link: {one_line(hit.link)})\nSnippet: {hit.snippet}"
        for number, hit in enumerate(hits, start=1)
    ]
    return "\n\n".join([head, *pages] if hits else [f"{head} {_NOTHING}"])
