"""One episode as markup: the image as the model saw it, its turns, the verdict. For viewer, play and notebooks."""

import re
from collections.abc import Sequence

from metis_gym import rewards
from metis_gym.errors import MetisError
from metis_gym.grading.choice import LETTERS
from metis_gym.records import Box, Necessity, Outcome, ToolResult, ToolStatus
from metis_gym.viewer.episodes import EpisodeCard, TurnCard
from metis_gym.viewer.markup import Html, image_tag, tag

__all__ = ["DESIGNS", "crops_of", "episode_html", "task_html", "turns_html"]

DESIGNS = ("accuracy", "coupled:alpha=0.05", "coupled:alpha=1,gated=false", "linear_cost", "otc", "hdpo")
"""Reward designs of which the page says what they would have paid."""

_CROP = re.compile(
    r"image_1\s*\.\s*crop\s*\(\s*[(\[]\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*[)\]]"
)
_NEEDS = {
    Necessity.NONE: ("needs no tool", "none"),
    Necessity.PARTIAL: ("a tool helps", "partial"),
    Necessity.REQUIRED: ("needs a tool", "required"),
    Necessity.UNKNOWN: ("need not known", "unknown"),
}
_VERDICTS = {
    (Necessity.REQUIRED, True): "needed, and called",
    (Necessity.REQUIRED, False): "needed, not called",
    (Necessity.NONE, True): "redundant call",
    (Necessity.NONE, False): "rightly without",
}


def episode_html(card: EpisodeCard) -> Html:
    """The whole episode: the task, then what the model did with it."""
    return tag("div", task_html([card]), turns_html(card), class_="episode")


def task_html(cards: Sequence[EpisodeCard]) -> Html:
    """What several episodes of one task share: image, deciding detail, question, what is known about it."""
    card = cards[0]
    crops = [crop for other in cards for crop in crops_of(other)]
    parts: list[Html] = [_view(card, index, crops if index == 0 else []) for index in range(len(card.views))]
    if card.task is not None and card.task.detail is not None:
        height, width = card.task.detail.shape[:2]
        caption = tag("figcaption", f"the deciding detail at full resolution, {width} × {height} pixels")
        parts.append(tag("figure", image_tag(card.task.detail, "the deciding detail"), caption, class_="detail"))
    images = tag("div", *parts, class_="images")
    return tag("section", images, _question(card), class_="task")


def turns_html(card: EpisodeCard) -> Html:
    """What the model did, and what came of it."""
    turns = [_turn(turn, number) for number, turn in enumerate(card.turns, start=1)]
    return tag("section", *turns, _verdict(card), class_="turns")


def crops_of(card: EpisodeCard) -> list[Box]:
    """The boxes that the model's code cropped out of the first image, as far as they stand in it as numbers.

    >>> crops_of(EpisodeCard(run="", number=0, task_id="", prompt="", views=(), turns=(
    ...     TurnCard(action="image_1.crop((1, 2, 30, 40))"),)))
    [(1, 2, 30, 40)]
    """
    found = [tuple(map(int, match)) for turn in card.turns for match in _CROP.findall(turn.action)]
    return [(left, top, right, bottom) for left, top, right, bottom in found if left < right and top < bottom]


def _view(card: EpisodeCard, index: int, crops: Sequence[Box]) -> Html:
    view = card.views[index]
    height, width = view.shape[:2]
    source = card.task.sizes[index] if card.task is not None and index < len(card.task.sizes) else (width, height)
    boxes: list[Html] = []
    if index == 0 and card.task is not None and card.task.region is not None:
        boxes.append(_box(card.task.region, source, "region"))
    boxes += [_box(crop, source, "crop") for crop in crops]
    overlay = tag("svg", *boxes, viewBox=f"0 0 {source[0]} {source[1]}", class_="boxes", aria_hidden="true")
    frame = tag("div", image_tag(view, f"image {index + 1}, as the model saw it"), overlay, class_="frame")
    size = f"{width} × {height}" + (f" of {source[0]} × {source[1]}" if source != (width, height) else "")
    legend = " · dashed: the deciding detail" if boxes else ""
    legend += " · solid: what the model cropped" if crops else ""
    return tag("figure", frame, tag("figcaption", f"as the model saw it, {size} pixels{legend}"))


def _box(box: Box, size: tuple[int, int], kind: str) -> Html:
    left, top = max(0, min(box[0], size[0])), max(0, min(box[1], size[1]))
    right, bottom = max(left, min(box[2], size[0])), max(top, min(box[3], size[1]))
    radius = max(size) // 200
    return tag("rect", x=left, y=top, width=right - left, height=bottom - top, rx=radius, class_=kind)


def _question(card: EpisodeCard) -> Html:
    if card.task is None:
        return tag("pre", card.prompt, class_="prompt")
    task = card.task
    options = [
        tag("li", tag("b", LETTERS[number]), f" {option}", class_="gold" if _is_gold(card, number) else None)
        for number, option in enumerate(task.options[: len(LETTERS)])
    ]
    label, kind = _NEEDS[task.necessity]
    facts: list[Html] = [tag("span", label, class_=f"pill {kind}"), tag("span", task.family, class_="pill")]
    if task.blind_accuracy is not None:
        facts.append(tag("span", f"{100 * task.blind_accuracy:.0f} % without a tool", class_="pill"))
    if task.min_calls is not None:
        facts.append(tag("span", f"{task.min_calls} call{'s' * (task.min_calls != 1)} at best", class_="pill"))
    answer = tag("p", "Right answer: ", tag("b", task.gold.value))
    more: list[Html] = [answer]
    more += [tag("p", value) for value in (task.explanation, task.notes) if value]
    prompt = tag("details", tag("summary", "the whole prompt"), tag("pre", card.prompt, class_="prompt"))
    listed = tag("ul", *options, class_="options") if options else Html("")
    return tag("div", tag("h2", task.question), listed, tag("p", *facts, class_="facts"), *more, prompt, class_="asked")


def _is_gold(card: EpisodeCard, number: int) -> bool:
    gold = card.task.gold.value if card.task else ""
    return gold == LETTERS[number] or (card.task is not None and gold == card.task.options[number])


def _turn(turn: TurnCard, number: int) -> Html:
    results = [_result(result) for result in turn.results]
    return tag("div", tag("h3", f"turn {number}"), tag("pre", turn.action, class_="action"), *results, class_="turn")


def _result(result: ToolResult) -> Html:
    status = str(result.status.value)
    seconds = f"{1000 * result.seconds:.0f} ms" if result.seconds else ""
    kind = "ok" if result.status is ToolStatus.OK else "bad"
    head = tag("p", tag("b", result.name), " ", tag("span", status, class_=f"pill {kind}"), f" {seconds}")
    texts = [
        tag("pre", said, class_=name) for said, name in ((result.output, "said"), (result.errors, "errors")) if said
    ]
    captions = (*result.captions, *("" for _ in result.images))
    images = [
        tag(
            "figure",
            image_tag(image, f"returned by {result.name}"),
            tag("figcaption", caption) if caption else Html(""),
        )
        for image, caption in zip(result.images, captions, strict=False)
    ]
    return tag("div", head, *texts, *images, class_="result")


def _verdict(card: EpisodeCard) -> Html:
    if card.failure:
        return tag("p", "not scored: ", card.failure, class_="verdict failed")
    outcome = card.outcome
    if outcome is None:
        return tag("p", "no outcome was recorded", class_="verdict failed")
    if not outcome.scored:
        return tag("p", "not scored", class_="verdict failed")
    mark = tag("span", "✓ right" if card.is_right else "✗ wrong", class_="right" if card.is_right else "wrong")
    use = _VERDICTS.get((card.necessity, card.has_called), "")
    parts = [f"{outcome.tool_calls} call{'s' * (outcome.tool_calls != 1)}, cost {outcome.tool_cost:g}"]
    parts += [f"{name} {value:.3g}" for name, value in card.components.items()]
    line = tag("p", mark, " ", tag("span", use, class_="pill") if use else Html(""), " ", " · ".join(parts))
    return tag("div", line, _paid(outcome), class_="verdict")


def _paid(outcome: Outcome) -> Html:
    """What some reward designs would have paid for this episode alone."""
    rows = []
    for spec in DESIGNS:
        try:
            paid = f"{rewards.from_spec(spec).reward(outcome):.3f}"
        except MetisError:  # a design that needs what was not recorded
            paid = "–"
        rows.append(tag("tr", tag("td", spec), tag("td", paid, class_="number")))
    return tag("details", tag("summary", "what reward designs would have paid"), tag("table", tag("tbody", *rows)))
