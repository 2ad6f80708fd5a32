"""Search: what the tools `text_search` and `image_search` ask.

```python
from metis_gym.search import make_text_engine

engine = make_text_engine("fts5")  # or "fts5:path=…", "bm25s", "serper:api_key_env=SERPER_API_KEY", …
for hit in engine.search("Who founded the Halworth Museum of Glass?", limit=10):
    print(hit.title, hit.snippet)
```
The default engines work on files of this machine and need nothing else. docs/search.md says what they find, what they
do not, and how to build an index of one's own.

A task brings facts and images of its own, its *overlay*, in two fields of its record; both are searched together with
the engine's corpus or index, ranked by the same measure, and seen by no other task:

```python
Task(
    ...,
    passages=(Passage(title="Halworth Museum", text="Founded in 1911 by …", link="https://halworth.example/"),),
    titled_images=(TitledImage(title="Halworth Museum", image=photograph, link="https://halworth.example/"),),
)
```
Opening an episode costs nothing for it: terms and hashes are computed at the task's first search. A link of generated
text ends in `.example`. A family says which tools its tasks are made for with `tools = ("python", "text_search")` in
its class; an environment offers these unless it is told otherwise. Its `solution` may hold
`ToolCall(name="text_search", arguments={"query": …})` and `ToolCall(name="image_search", arguments={})`.
"""

from metis_gym.deprecation import former_names
from metis_gym.search.contract import ImageEngine, ImageHit, ImageQuery, TextEngine, TextHit
from metis_gym.search.index.corpora import COLLECTIONS, CORPORA
from metis_gym.search.overlay import search_images, search_text
from metis_gym.search.registry import IMAGE_ENGINES, TEXT_ENGINES, make_image_engine, make_text_engine

__all__ = [
    "COLLECTIONS",
    "CORPORA",
    "IMAGE_ENGINES",
    "TEXT_ENGINES",
    "ImageEngine",
    "ImageHit",
    "ImageQuery",
    "TextEngine",
    "TextHit",
    "make_image_engine",
    "make_text_engine",
    "search_images",
    "search_text",
]

__getattr__ = former_names(
    __name__,
    {"PictureHit": "ImageHit", "PictureQuery": "ImageQuery", "search_pictures": "search_images"},
)
