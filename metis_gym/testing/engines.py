"""The contract of search engines."""

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from metis_gym.errors import ConfigError
from metis_gym.records import Passage, TitledImage
from metis_gym.search.contract import LIVE, ImageEngine, ImageHit, ImageQuery, TextEngine, TextHit
from metis_gym.search.registry import IMAGE_ENGINES, TEXT_ENGINES, engine_problems, make_image_engine, make_text_engine
from metis_gym.testing.contract import AWKWARD_TEXTS, Contract
from metis_gym.testing.examples import example_task

__all__ = ["check_search_engine"]

_RAISED = (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
_SECRETS = ("api_key", "key", "token", "password", "secret")
_PASSAGES = (
    Passage(title="Otters", text="An otter is a mammal that swims.", link="https://a.example/otter"),
    Passage(title="", text="", link=""),
)


def check_search_engine(engine: str | TextEngine | ImageEngine, *, queries: Sequence[str] = ("otter", "a the")) -> None:
    """Check that a text engine or an image engine keeps its contract. Engines that ask a service are asked.

    Args:
        engine: A spec such as "my_pkg.engines:Notes", or an engine.
        queries: What a text engine is asked for.

    Raises:
        BrokenContract: A rule is broken; the message says which, and how to mend it.
        SearchError: The engine could not be asked.
    """
    contract = Contract(f"the engine {engine!r}" if isinstance(engine, str) else f"the {type(engine).__name__}")
    made: Any = contract.made(engine, _make)
    contract.rule(
        hasattr(made, "scores") != hasattr(made, "distances"),
        "it is a text engine, with scores(), or an image engine, with distances()",
        f"scores: {hasattr(made, 'scores')}, distances: {hasattr(made, 'distances')}",
        "Return None from it where the engine has no measure.",
    )
    problems = engine_problems(made, "scores" if hasattr(made, "scores") else "distances", "")
    contract.rule(not problems, "it is complete", "; ".join(problems), "")
    _check_identity(contract, made)
    if hasattr(made, "scores"):
        _check_text(contract, made, queries)
    else:
        _check_images(contract, made)


def _make(spec: str) -> Any:
    """A text engine or an image engine, whichever the spec names; without a cache."""
    name = spec.partition(":")[0]
    if name in IMAGE_ENGINES and name not in TEXT_ENGINES:
        return make_image_engine(spec)
    try:
        return make_text_engine(spec)
    except ConfigError as error:
        if "no scores()" not in str(error):
            raise
        return make_image_engine(spec)


def _check_identity(contract: Contract, made: Any) -> None:
    mend = "The parameters are written into recordings and keys of caches."
    with contract.must_work("its parameters are JSON", mend, TypeError, ValueError):
        json.dumps(dict(made.parameters))
    secrets = [name for name in made.parameters if name in _SECRETS]
    contract.rule(not secrets, "its parameters hold no key", secrets, "Name the environment variable: api_key_env.")
    contract.rule(isinstance(made.is_live, bool), "is_live is true or false", repr(made.is_live), "")
    fingerprint = made.fingerprint()
    contract.rule(
        isinstance(fingerprint, str) and bool(fingerprint) and fingerprint == made.fingerprint(),
        "fingerprint() names the corpus by a text that stays the same",
        repr(fingerprint),
        f"Return {LIVE!r} where that cannot be promised.",
    )


def _check_text(contract: Contract, made: TextEngine, queries: Sequence[str]) -> None:
    for query in (*queries, *AWKWARD_TEXTS):
        with contract.must_work(f"a search never raises ({query[:40]!r})", "Finding nothing is no failure.", *_RAISED):
            hits, again = made.search(query, limit=3), made.search(query, limit=3)
            scores = made.scores(query, _PASSAGES)
        _check_hits(contract, hits, TextHit, query)
        contract.rule(
            made.is_live or hits == again, "the same query gives the same hits", f"{hits} and {again}", "Break ties."
        )
        ranked = [hit.score for hit in hits if hit.score is not None]
        contract.rule(
            ranked == sorted(ranked, reverse=True),
            "hits come best first",
            f"scores {ranked} for {query!r}",
            "Sort them.",
        )
        contract.rule(
            scores is None or (len(scores) == len(_PASSAGES) and all(math.isfinite(s) and s >= 0 for s in scores)),
            "scores() gives each passage a number of 0 or more, or None altogether",
            f"{scores} for {len(_PASSAGES)} passages",
            "0 stands for 'not found'.",
        )
    if not made.is_live:
        expected = [made.search(query, limit=3) for query in queries]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda query: made.search(query, limit=3), list(queries) * 4))
        contract.rule(found == expected * 4, "threads may share it", "other hits than alone", "Guard what it holds.")


def _check_images(contract: Contract, made: ImageEngine) -> None:
    task = example_task()
    query = ImageQuery(image=task.images[0].source, task_id=task.task_id)
    images = [TitledImage(title="the same", image=task.images[0].source)]
    with contract.must_work("a search never raises", "Finding nothing is no failure.", *_RAISED):
        hits = made.search(query, limit=3)
        distances = made.distances(query, images)
    _check_hits(contract, hits, ImageHit, "an image")
    ranked = [hit.distance for hit in hits if hit.distance is not None]
    contract.rule(ranked == sorted(ranked), "hits come nearest first", f"distances {ranked}", "Sort them.")
    contract.rule(
        distances is None or len(distances) == len(images),
        "distances() gives each image a distance, or None altogether",
        f"{distances} for {len(images)} images",
        "None stands for 'too far off to be found'.",
    )


def _check_hits(contract: Contract, hits: Any, kind: type, query: str) -> None:
    contract.rule(
        isinstance(hits, tuple) and all(isinstance(hit, kind) for hit in hits),
        f"search() returns a tuple of {kind.__name__}",
        f"{type(hits).__name__} {hits!r:.200}",
        "",
    )
    contract.rule(len(hits) <= 3, "search() keeps to the limit", f"{len(hits)} hits of 3 for {query[:40]!r}", "")
