"""The page: tables that filter, a list of tasks, and an article for each task with one column for each run.

It works without script: the list links to the articles, and the one whose address is asked for is shown. The script
adds filters, search and keys; it shows and hides what is there and creates nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from metis_gym.records import Necessity
from metis_gym.viewer.document import asset, document_html
from metis_gym.viewer.episodes import EpisodeCard
from metis_gym.viewer.markup import FINE, SMALL, Fidelity, Html, join, tag
from metis_gym.viewer.rendering import task_html, turns_html

__all__ = ["MAX_EPISODES", "page_html", "sampled"]

MAX_EPISODES = 500
"""Tasks that a page holds unless told otherwise."""
_MAX_FINE = 100
"""Pages of more episodes keep their images smaller."""

_KINDS = ((Necessity.REQUIRED, "needs a tool"), (Necessity.NONE, "needs none"))
_FURTHER = ((Necessity.PARTIAL, "a tool helps"), (Necessity.UNKNOWN, "need not known"))
_CELLS = {
    (Necessity.REQUIRED, True): "needed and used",
    (Necessity.REQUIRED, False): "needed, not used",
    (Necessity.NONE, True): "redundant",
    (Necessity.NONE, False): "rightly without",
}
_DIFFERENCES = (
    ("", "all tasks"),
    ("gained", "only the second is right"),
    ("lost", "only the first is right"),
    ("dropped-redundant", "the second dropped a redundant call"),
    ("dropped-needed", "the second dropped a needed call"),
)
_KEYS = "j and k: next and previous · / : search · click a number of the table to filter"


def page_html(runs: Mapping[str, Sequence[EpisodeCard]], *, max_episodes: int = MAX_EPISODES, title: str = "") -> str:
    """The whole page.

    Args:
        runs: Name → episodes. Runs are joined by the ids of their tasks and stand side by side.
        max_episodes: How many tasks the page holds; of more, a sample keeps the proportions of the table's cells.
        title: What the page is called.
    """
    names = list(runs)
    tasks = _joined(runs)
    kept, note = sampled(tasks, max_episodes)
    style, script = asset("metis_gym.viewer", "style.css"), asset("metis_gym.viewer", "script.js")
    heading = title or " and ".join(names)
    side = tag(
        "aside",
        tag("header", tag("h1", "metis-gym"), tag("p", heading, class_="heading")),
        *(_table(name, number, runs[name]) for number, name in enumerate(names)),
        _controls(kept, len(names)),
        tag("p", note, class_="note") if note else Html(""),
        _list(kept, len(names)),
        tag("p", _KEYS, class_="note"),
    )
    count = sum(card is not None for _, cards in kept for card in cards)
    fidelity = FINE if count <= _MAX_FINE else SMALL
    articles = [_article(number, key, cards, names, fidelity) for number, (key, cards) in enumerate(kept)]
    intro = tag("p", "Choose a task on the left.", class_="intro", id="intro")
    main = tag("main", intro, *articles)
    return document_html(heading, style, script, join([side, main]))


def sampled(
    tasks: Sequence[tuple[str, list[EpisodeCard | None]]], most: int
) -> tuple[list[tuple[str, list[EpisodeCard | None]]], str]:
    """At most so many tasks, in the proportions of the cells of the first run, and a sentence that says so."""
    if len(tasks) <= most:
        return list(tasks), ""
    cells: dict[tuple[str, bool, bool], list[int]] = defaultdict(list)
    for place, (_, cards) in enumerate(tasks):
        first = next(card for card in cards if card is not None)
        cells[first.necessity.value, first.has_called, first.is_right].append(place)
    rng = np.random.default_rng(0)
    counts = _shares([len(places) for places in cells.values()], most)
    chosen = sorted(
        places[i]
        for places, count in zip(cells.values(), counts, strict=True)
        for i in rng.permutation(len(places))[:count]
    )
    note = f"This page holds {len(chosen)} of {len(tasks)} tasks, in the proportions of the table above."
    return [tasks[place] for place in chosen], note


def _shares(sizes: Sequence[int], total: int) -> list[int]:
    """So many of each, `total` together, in proportion to the sizes; at least one of each where that is possible.

    >>> _shares([60, 38, 1], 20), _shares([5, 3, 1], 2)
    ([12, 7, 1], [1, 1, 0])
    """
    exact = [total * size / sum(sizes) for size in sizes]
    counts = [max(1, int(share)) for share in exact]
    while sum(counts) > total:
        over = max(range(len(sizes)), key=lambda i: (counts[i] > 1, counts[i] - exact[i]))
        counts[over] -= 1
    while sum(counts) < total:
        counts[max(range(len(sizes)), key=lambda i: exact[i] - counts[i])] += 1
    return counts


def _joined(runs: Mapping[str, Sequence[EpisodeCard]]) -> list[tuple[str, list[EpisodeCard | None]]]:
    """Task by task, the episode of each run; a task that came up several times in a run stands there as often."""
    rows: dict[tuple[str, int], list[EpisodeCard | None]] = {}
    for column, cards in enumerate(runs.values()):
        times: dict[str, int] = defaultdict(int)
        for card in cards:
            key = card.task_id, times[card.task_id]
            times[card.task_id] += 1
            rows.setdefault(key, [None] * len(runs))[column] = card
    return [(task_id, cards) for (task_id, _), cards in rows.items()]


def _table(name: str, number: int, cards: Sequence[EpisodeCard]) -> Html:
    """Needs a tool × called one: each number is a filter."""
    scored = [card for card in cards if card.outcome is not None and card.outcome.scored]
    right = sum(card.is_right for card in scored)
    share = f"{100 * right / len(scored):.0f} % right" if scored else "none scored"
    head = tag("tr", tag("th", "", scope="col"), tag("th", "called", scope="col"), tag("th", "did not", scope="col"))
    kinds = [*_KINDS, *(kind for kind in _FURTHER if any(card.necessity is kind[0] for card in scored))]
    rows = [
        tag("tr", tag("th", label, scope="row"), *(_cell(number, scored, need, called) for called in (True, False)))
        for need, label in kinds
    ]
    caption = tag("p", tag("b", name), f" {len(cards)} episodes, {share}", class_="run")
    return tag("div", caption, tag("table", tag("thead", head), tag("tbody", *rows)), class_="counts")


def _cell(run: int, cards: Sequence[EpisodeCard], need: Necessity, called: bool) -> Html:
    inside = [card for card in cards if card.necessity is need and card.has_called is called]
    share = 100 * sum(card.is_right for card in inside) / len(inside) if inside else 0.0
    meaning = _CELLS.get((need, called), "")
    button = tag(
        "button",
        tag("b", str(len(inside))),
        tag("small", meaning),
        _bar(share) if inside else Html(""),
        tag("small", f"{share:.0f} % right" if inside else "", class_="share"),
        type="button",
        data_run=run,
        data_cell=f"{need.value}-{'called' if called else 'not'}",
        aria_pressed="false",
    )
    return tag("td", button, class_="redundant" if meaning in ("redundant", "needed, not used") and inside else None)


def _bar(share: float) -> Html:
    """The share of right answers as a bar."""
    whole = tag("rect", x=0, y=0, width=100, height=4, class_="wrong")
    right = tag("rect", x=0, y=0, width=f"{share:.1f}", height=4, class_="right")
    return tag("svg", whole, right, viewBox="0 0 100 4", preserveAspectRatio="none", class_="bar", aria_hidden="true")


def _controls(tasks: Sequence[tuple[str, list[EpisodeCard | None]]], runs: int) -> Html:
    families = sorted({card.family for _, cards in tasks for card in cards if card is not None and card.family})
    choice = tag(
        "select",
        tag("option", "all families", value=""),
        *(tag("option", family, value=family) for family in families),
        id="family",
        aria_label="family",
    )
    controls = [tag("input", id="search", type="search", placeholder="search (/)", aria_label="search"), choice]
    if runs == 2:
        options = [tag("option", label, value=value) for value, label in _DIFFERENCES]
        controls.append(tag("select", *options, id="difference", aria_label="difference"))
    counter = tag("span", str(len(tasks)), id="shown")
    return tag("div", *controls, tag("small", counter, " shown"), class_="controls")


def _list(tasks: Sequence[tuple[str, list[EpisodeCard | None]]], runs: int) -> Html:
    return tag("ol", *(_row(number, cards, runs) for number, (_, cards) in enumerate(tasks)), id="list")


def _row(number: int, cards: Sequence[EpisodeCard | None], runs: int) -> Html:
    first = next(card for card in cards if card is not None)
    question = first.task.question if first.task else first.prompt
    marks = [_mark(card) for card in cards]
    link = tag(
        "a",
        tag("span", first.family, class_="family"),
        tag("span", question, class_="question"),
        tag("span", first.necessity.value, class_=f"pill {first.necessity.value}"),
        *marks,
        href=f"#e{number}",
    )
    cells = {f"data_cell{run}": _cell_of(card) for run, card in enumerate(cards) if card is not None}
    difference = " ".join(_differences(cards)) if runs == 2 else None
    told = f"{first.task_id} {question} {first.family}".lower()[:600]
    return tag("li", link, data_family=first.family, data_text=told, data_difference=difference, **cells)


def _mark(card: EpisodeCard | None) -> Html:
    if card is None:
        return tag("span", "–", class_="marks")
    calls = card.outcome.tool_calls if card.outcome else 0
    sign = tag("b", "✓", class_="right") if card.is_right else tag("b", "✗", class_="wrong")
    return tag("span", sign, f" {calls}", class_="marks", title=f"{calls} call{'s' * (calls != 1)}")


def _cell_of(card: EpisodeCard) -> str:
    return f"{card.necessity.value}-{'called' if card.has_called else 'not'}"


def _differences(cards: Sequence[EpisodeCard | None]) -> Iterable[str]:
    first, second = cards
    if first is None or second is None:
        return
    if second.is_right and not first.is_right:
        yield "gained"
    if first.is_right and not second.is_right:
        yield "lost"
    if first.has_called and not second.has_called:
        if first.necessity is Necessity.NONE:
            yield "dropped-redundant"
        if first.necessity is Necessity.REQUIRED:
            yield "dropped-needed"


def _article(
    number: int, task_id: str, cards: Sequence[EpisodeCard | None], names: Sequence[str], fidelity: Fidelity
) -> Html:
    known = [(name, card) for name, card in zip(names, cards, strict=True) if card is not None]
    columns = [
        tag(
            "div",
            tag("h2", name, class_=f"name run{run % 2}") if len(names) > 1 else Html(""),
            turns_html(card, fidelity),
            class_="column",
        )
        for run, (name, card) in enumerate(known)
    ]
    head = tag("header", tag("p", tag("a", f"#{number}", href=f"#e{number}"), f" {task_id}", class_="id"))
    task = task_html([card for _, card in known], fidelity)
    return tag("article", head, task, tag("div", *columns, class_="columns"), id=f"e{number}", tabindex=-1)
