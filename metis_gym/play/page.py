"""The page of a game: what a model sees and the moves that it has; after the answer, what there was to know."""

import dataclasses
from collections.abc import Sequence

from metis_gym.grading.choice import LETTERS
from metis_gym.play.game import MAX_TEXT_CHARS, Game, Tally, seen_share
from metis_gym.records import Necessity
from metis_gym.viewer.document import asset, document_html, policy_of
from metis_gym.viewer.episodes import EpisodeCard
from metis_gym.viewer.markup import Fidelity, Html, Part, join, tag, text
from metis_gym.viewer.rendering import crops_of, episode_html, turn_html, view_html
from metis_gym.worth import DEFAULT_LAM

__all__ = ["POLICY", "game_html", "message_html"]

_STYLE = asset("metis_gym.viewer", "style.css") + asset("metis_gym.play", "style.css")
_SCRIPT = asset("metis_gym.play", "script.js")
POLICY = policy_of(_STYLE, _SCRIPT, "'self'") + "; frame-ancestors 'none'"
"""The content security policy to be sent with a page."""

_SEEN = Fidelity(quality=95, max_side=2048)
"""The views of a running episode: a person is to see what a model sees."""

_CELLS = (
    (Necessity.REQUIRED, "needs a tool"),
    (Necessity.PARTIAL, "a tool helps"),
    (Necessity.NONE, "needs none"),
)
_NEEDED = {
    (Necessity.REQUIRED, True): "A tool was needed, and you called one.",
    (Necessity.REQUIRED, False): "A tool was needed: without one this is a guess.",
    (Necessity.PARTIAL, True): "A tool helped: the image alone leaves several answers.",
    (Necessity.PARTIAL, False): "A tool would have helped: the image alone leaves several answers.",
    (Necessity.NONE, True): "No tool was needed: the image as it was shown tells the answer.",
    (Necessity.NONE, False): "No tool was needed, and you called none.",
}


def game_html(game: Game, *, title: str, form_token: str, problem: str = "") -> str:
    """The page of a game as it stands.

    Args:
        game: The game, in its first task at least.
        title: What is played.
        form_token: Stands in each form; a move without it is refused.
        problem: What was wrong with the last move.
    """
    card = game.card
    key = [_hidden("form", form_token), _hidden("place", game.place)]
    head = tag("header", tag("h1", f"metis-gym play · {title}"), _line(game.tally), class_="top")
    said = tag("p", problem, class_="problem", role="alert") if problem else Html("")
    body = _afterwards(card, key) if game.is_over else _board(game, card, key)
    table = _table(game.tally) if game.tally.outcomes else Html("")
    main = tag("main", head, said, body, table, class_="play")
    return document_html(f"play {title}", _STYLE, _SCRIPT, main, "'self'")


def message_html(title: str, message: str) -> str:
    """A page that says one thing."""
    body = tag("main", tag("h1", title), tag("p", message), class_="play")
    return document_html(title, _STYLE, _SCRIPT, body, "'self'")


def _board(game: Game, card: EpisodeCard, key: Sequence[Html]) -> Html:
    """The running episode: nothing that a model does not see."""
    crops = [(crop, "crop") for crop in crops_of(card)]
    shown = dataclasses.replace(card, task=dataclasses.replace(card.task, region=None)) if card.task else card
    views = [
        tag("div", view_html(shown, index, crops if index == 0 else [], _SEEN), class_="drag" if index == 0 else None)
        for index in range(len(shown.views))
    ]
    turns = [turn_html(turn, number) for number, turn in enumerate(card.turns, start=1)]
    images = tag("div", *views, _sizes(card), class_="images", data_crop="python" in game.tools)
    question = tag("h2", card.task.question if card.task else card.prompt)
    asked = tag("div", question, *_moves(game, card, key), tag("section", *reversed(turns), class_="turns"))
    return tag("section", images, asked, class_="task")


def _sizes(card: EpisodeCard) -> Html:
    if card.task is None or not card.views:
        return Html("")
    (width, height), view = card.task.sizes[0], card.views[0]
    said = f"You see {view.shape[1]} × {view.shape[0]} of {width} × {height} pixels, as the model does. "
    return tag("p", said + "Drag a box to look closer: one tool call.", class_="note")


def _moves(game: Game, card: EpisodeCard, key: Sequence[Html]) -> list[Html]:
    options = card.task.options if card.task else ()
    moves = [
        _form(
            "answer", key, tag("button", tag("b", letter), option, name="answer", value=letter, data_key=letter.lower())
        )
        for letter, option in zip(LETTERS, options, strict=False)
    ]
    if not options:
        moves.append(_form("answer", key, _field("answer", "your answer"), tag("button", "Answer", class_="main")))
    if "text_search" in game.tools:
        search = tag("button", "Search text", class_="tool")
        moves.append(_form("search", key, _field("query", "search text: one tool call"), search))
    if "image_search" in game.tools:
        moves.append(_form("search_image", key, tag("button", "Search for the image: one tool call", class_="tool")))
    if "python" in game.tools and card.views:
        moves.append(_crop(key))
    return moves


def _crop(key: Sequence[Html]) -> Html:
    """What a drag fills in; by hand for those who play by keyboard or without script."""
    sides = [
        tag("label", side, tag("input", type="number", name=side, min=0)) for side in ("left", "top", "right", "bottom")
    ]
    said = "Crop by numbers, in pixels of the source: one tool call"
    form = _form("crop", key, *sides, tag("button", "Crop", class_="tool"), id="crop")
    return tag("details", tag("summary", said), form, class_="numbers")


def _afterwards(card: EpisodeCard, key: Sequence[Html]) -> Html:
    """The episode with what there was to know."""
    notes = [_NEEDED.get((card.necessity, card.has_called), "")]
    share = seen_share(card)
    if share is not None:
        held = "all" if share > 0.99 else "none" if share < 0.01 else f"{100 * share:.0f} %"
        notes.append(f"Your crop held {held} of the deciding detail (the dashed box).")
    following = _form("next", key, tag("button", "Next (N)", class_="main", data_key="n"))
    return join([tag("p", " ".join(filter(None, notes)), class_="lesson"), following, episode_html(card)])


def _line(tally: Tally) -> Html:
    said = [
        f"played {len(tally.outcomes)}",
        f"right {tally.right}",
        f"redundant calls in {tally.redundant}",
        f"needed calls missed in {tally.missed}",
    ]
    if tally.mean_regret is not None:
        said.append(f"regret {tally.mean_regret:.2f} a task (λ = {DEFAULT_LAM:g})")
    return tag("p", " · ".join(said), class_="heading", id="tally")


def _table(tally: Tally) -> Html:
    """One's own table of needs and calls."""
    head = tag("tr", *(tag("th", name, scope="col") for name in ("", "called", "did not")))
    rows = [
        tag(
            "tr", tag("th", label, scope="row"), *(_cell(*tally.count(need, called=called)) for called in (True, False))
        )
        for need, label in _CELLS
    ]
    return tag(
        "section", tag("h3", "how you play"), tag("table", tag("thead", head), tag("tbody", *rows)), class_="own"
    )


def _cell(count: int, right: int) -> Html:
    return tag("td", tag("b", str(count)), tag("small", f" {100 * right / count:.0f} % right" if count else ""))


def _form(move: str, key: Sequence[Html], *content: Part, id: str = "") -> Html:
    """A move: the only forms that there are, all to this server."""
    inside = join([*key, *content])
    name = f' id="{text(id)}"' if id else ""
    return Html(
        f'<form method="post" action="/{text(move)}" class="move {text(move)}" autocomplete="off"{name}>{inside}</form>'
    )


def _hidden(name: str, value: str) -> Html:
    return tag("input", type="hidden", name=name, value=value)


def _field(name: str, label: str) -> Html:
    field = tag("input", type="text", name=name, placeholder=label, aria_label=label)
    return Html(field.replace("<input", f'<input required maxlength="{MAX_TEXT_CHARS}"', 1))
