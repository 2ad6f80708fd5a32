"""Search: what the tools `text_search` and `image_search` ask.

```python
from metis_gym.search import make_text_engine

engine = make_text_engine("fts5")  # or "fts5:path=…", "bm25s", "serper:api_key_env=SERPER_API_KEY", …
for hit in engine.search("Who founded the Halworth Museum of Glass?", limit=10):
    print(hit.title, hit.snippet)
```
The default engines work on files of this machine and need nothing else. docs/search.md says what they find, what they
do not, and how to build an index of one's own.
"""

from metis_gym.search.contract import ImageEngine, PictureHit, PictureQuery, TextEngine, TextHit
from metis_gym.search.corpora import COLLECTIONS, CORPORA
from metis_gym.search.engines import IMAGE_ENGINES, TEXT_ENGINES, make_image_engine, make_text_engine
from metis_gym.search.overlay import search_pictures, search_text

__all__ = [
    "COLLECTIONS",
    "CORPORA",
    "IMAGE_ENGINES",
    "TEXT_ENGINES",
    "ImageEngine",
    "PictureHit",
    "PictureQuery",
    "TextEngine",
    "TextHit",
    "make_image_engine",
    "make_text_engine",
    "search_pictures",
    "search_text",
]
