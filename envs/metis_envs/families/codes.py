"""Notices that refer to a page by a code: which codes there are, and the dated pages about each."""

from collections.abc import Callable, Sequence

import numpy as np

from metis_envs.families.blueprint import Brief
from metis_envs.world.names import choose
from metis_envs.world.pages import link_of
from metis_envs.world.sources import CURRENT, OUTDATED
from metis_gym.records import Passage

__all__ = ["Say", "draw_codes", "linked_pages", "pages_of_codes"]

Say = Callable[[np.random.Generator, str], str]
"""Says a value in a sentence, given a stream and the value."""

_LETTERS = {"train": "AKX", "test": "VYZ"}
_FORMS = (
    "{subject} {code}, in force since {month} {year}. {said}",
    "Public notice of {year}. {said} This is {subject} {code}.",
    "{said} So says {subject} {code} in the print of {month} {year}.",
    "From the files of the operator, {year}: {subject} {code}. {said}",
)
_TITLES = ("{Subject} {code}", "{Subject} {code} ({year})", "Notice of {Subject} {code}", "{code}: {subject}")
_SITES = ("notices", "operator", "bulletins", "boards")
_MONTHS = ("January", "March", "May", "June", "September", "November")
_STALE_SHARE = 1 / 3


def draw_codes(rng: np.random.Generator, split: str, count: int) -> tuple[str, ...]:
    """So many different codes of a split, such as "K4172"; no code is of both splits."""
    codes: dict[str, None] = {}
    while len(codes) < count:
        codes[f"{choose(rng, _LETTERS[split])}{1000 + int(rng.random() * 9000)}"] = None
    return tuple(codes)


def linked_pages(
    brief: Brief, subject: str, codes: Sequence[str], values: Sequence[str], say: Say
) -> Callable[[int, int], tuple[Passage, ...]]:
    """What is found if the page of one code gives one value, both by index; the other codes give the other values.

    In a third of the tasks that need no tool all pages are out of date.
    """
    rng, count = brief.rng, len(values)
    seed, shift = int(rng.integers(1 << 62)), int(rng.integers(1, count))
    is_stale = bool(rng.random() < _STALE_SHARE) and not brief.hides

    def pages(key: int, answer: int) -> tuple[Passage, ...]:
        places = [(answer + other - key) % count for other in range(count)]
        told, older = ([values[(place + by) % count] for place in places] for by in (0, shift))
        return pages_of_codes(np.random.default_rng(seed), subject, codes, told, older, say, is_stale=is_stale)

    return pages


def pages_of_codes(
    rng: np.random.Generator,
    subject: str,
    codes: Sequence[str],
    values: Sequence[str],
    older: Sequence[str],
    say: Say,
    *,
    is_stale: bool = False,
) -> tuple[Passage, ...]:
    """For each code a current and an outdated page; nothing but their dates tells which is which.

    Args:
        rng: Draws forms, dates and the order.
        subject: What the codes are of: "timetable".
        codes: The codes.
        values: What is true for each of them.
        older: What an outdated page says for each of them.
        say: Says a value in a sentence.
        is_stale: Whether all pages are out of date, and give the older value.
    """
    pages = []
    for code, value, former in zip(codes, values, older, strict=True):
        newest = (former, choose(rng, OUTDATED)) if is_stale else (value, choose(rng, CURRENT))
        first = int(rng.random() * len(_FORMS))
        second = (first + 1 + int(rng.random() * (len(_FORMS) - 1))) % len(_FORMS)
        pages.append(_page(rng, first, subject, code, say(rng, newest[0]), newest[1]))
        pages.append(_page(rng, second, subject, code, say(rng, former), choose(rng, OUTDATED)))
    return tuple(pages.pop(int(rng.random() * len(pages))) for _ in range(len(pages)))


def _page(rng: np.random.Generator, form: int, subject: str, code: str, said: str, year: int) -> Passage:
    words = {"subject": subject, "Subject": subject.capitalize(), "code": code, "year": str(year), "said": said}
    text = _FORMS[form].format(**words, month=choose(rng, _MONTHS))
    title = choose(rng, _TITLES).format(**words)
    link = link_of(choose(rng, _SITES), f"{subject} {code} {year}")
    return Passage(title=title, text=text[0].upper() + text[1:], link=link)
