"""Search engines by name, and how a spec becomes an engine.

`"fts5"`, `"fts5:path=/data/my.sqlite"`, `"serper:api_key_env=SERPER_API_KEY"`. Every spec may hold `cache=FOLDER`,
`cache=true` (the user's cache folder) or `cache=false`, and `cache_mb=500` to bound it; services are cached unless told
otherwise, local engines are not: they answer from a file that never changes.
"""

import functools
from dataclasses import dataclass
from typing import Any

from metis_gym.errors import ConfigError
from metis_gym.registries import Registry, lacking, parse_spec
from metis_gym.search.contract import ImageEngine, TextEngine
from metis_gym.search.index.files import cache_folder
from metis_gym.search.services.cache import CachedImageEngine, CachedTextEngine, DiskCache

__all__ = ["IMAGE_ENGINES", "TEXT_ENGINES", "engine_problems", "make_image_engine", "make_text_engine"]

TEXT_ENGINES: Registry[TextEngine] = Registry(
    "text engine",
    {
        "bm25s": "metis_gym.search.engines.bm25s:Bm25sEngine",
        "brightdata": "metis_gym.search.services.brightdata:BrightDataEngine",
        "fts5": "metis_gym.search.engines.fts5:Fts5Engine",
        "retriever": "metis_gym.search.services.retriever:RetrieverEngine",
        "serpapi": "metis_gym.search.services.serpapi:SerpApiEngine",
        "serper": "metis_gym.search.services.serper:SerperEngine",
    },
    group="search_engines",
    problems=lambda made: engine_problems(made, "scores", "a text engine; an image engine goes into image_engine="),
)
"""Text engines by name; add one with `@TEXT_ENGINES.register("name")`."""

IMAGE_ENGINES: Registry[ImageEngine] = Registry(
    "image engine",
    {
        "dhash": "metis_gym.search.engines.dhash:DhashEngine",
        "prepared": "metis_gym.search.engines.prepared:PreparedEngine",
        "serpapi_lens": "metis_gym.search.services.serpapi_lens:SerpApiLensEngine",
    },
    group="search_engines",
    problems=lambda made: engine_problems(made, "distances", "an image engine; a text engine goes into text_engine="),
)
"""Image engines by name; add one with `@IMAGE_ENGINES.register("name")`."""


def engine_problems(made: Any, measure: str, what: str) -> list[str]:
    """What a finished engine lacks. Text and image engines share a group; what they measure tells them apart."""
    problems = lacking(made, ("fingerprint", "search"), ("name", "parameters", "is_live"))
    if not hasattr(made, measure):
        problems.append(f"it has no {measure}(), which makes {what}")
    return problems


_NO_SPEC = "the {kind} engine is named by a spec such as 'name:key=value', actually: {given}"


def make_text_engine(spec: str | TextEngine) -> TextEngine:
    """The text engine of a spec; environments of one process with the same spec share one. An engine stays itself.

    Raises:
        UnknownNameError: No such engine; the message suggests the nearest.
        ConfigError: A parameter that is not valid.
        SearchIndexError: An index that is not there.
        MissingDependencyError: A package that it needs is not installed.
    """
    if isinstance(spec, str):
        return _text_engine(spec)
    if not hasattr(spec, "search"):
        raise ConfigError(_NO_SPEC.format(kind="text", given=repr(spec)))
    return spec


def make_image_engine(spec: str | ImageEngine) -> ImageEngine:
    """The image engine of a spec; environments of one process with the same spec share one. An engine stays itself.

    Raises:
        UnknownNameError: No such engine; the message suggests the nearest.
        ConfigError: A parameter that is not valid.
        SearchIndexError: An index that is not there.
        MissingDependencyError: A package that it needs is not installed.
    """
    if isinstance(spec, str):
        return _image_engine(spec)
    if not hasattr(spec, "search"):
        raise ConfigError(_NO_SPEC.format(kind="image", given=repr(spec)))
    return spec


@functools.lru_cache(maxsize=32)
def _text_engine(spec: str) -> TextEngine:
    name, parameters, cache = _read(spec)
    engine = TEXT_ENGINES.create(name, **parameters)
    kept = cache.open(is_live=engine.is_live)
    return engine if kept is None else CachedTextEngine(engine, kept)


@functools.lru_cache(maxsize=32)
def _image_engine(spec: str) -> ImageEngine:
    name, parameters, cache = _read(spec)
    engine = IMAGE_ENGINES.create(name, **parameters)
    kept = cache.open(is_live=engine.is_live)
    return engine if kept is None else CachedImageEngine(engine, kept)


@dataclass(frozen=True)
class _CacheWish:
    """What a spec says of the cache: a folder, yes, no, or nothing; and its size in millions of bytes."""

    where: object
    megabytes: float | None

    def open(self, *, is_live: bool) -> DiskCache | None:
        where = is_live if self.where is None else self.where
        if where is False:
            return None
        folder = cache_folder(None if where is True else str(where)) / "answers"
        return DiskCache(folder, max_bytes=None if self.megabytes is None else int(self.megabytes * 1e6))


def _read(spec: str) -> tuple[str, dict[str, Any], _CacheWish]:
    """Name, parameters and wish for a cache of a spec."""
    name, parameters = parse_spec(spec)
    if "api_key" in parameters:
        raise ConfigError(
            f"a key does not belong in the spec of {name!r}: specs are written into recordings and logs. Put it into "
            "an environment variable and name that: api_key_env=NAME"
        )
    megabytes = parameters.pop("cache_mb", None)
    if megabytes is not None and not isinstance(megabytes, int | float):
        raise ConfigError(f"cache_mb is a number of megabytes, actually: {megabytes!r}")
    return name, parameters, _CacheWish(parameters.pop("cache", None), megabytes)
