"""One episode as markup: the image as the model saw it, the verdict, its turns. For viewer, play and notebooks."""

import functools
import re
from collections.abc import Mapping, Sequence

from metis_gym import rewards
from metis_gym.errors import MetisError
from metis_gym.grading.choice import LETTERS
from metis_gym.records import Box, Necessity, Outcome, ToolResult, ToolStatus
from metis_gym.viewer.episodes import EpisodeCard, TurnCard
from metis_gym.viewer.markup import FINE, Fidelity, Html, image_tag, tag

__all__ = [
    "DESIGNS",
    "crops_of",
    "episode_html",
    "paid_html",
    "task_html",
    "turn_html",
    "turns_html",
    "verdict_html",
    "view_html",
]

DESIGNS = (
    "accuracy",
    "hdpo",
    "hdpo_gap",
    "coupled:alpha=0.05",
    "coupled:alpha=1,gated=false",
    "linear_cost",
    "lagrangian",
    "kimi_decay",
    "otc",
    "eapo",
    "slimsearcher",
    "length_gated",
    "mmsearch_r1",
    "ikea",
    "l1_budget",
    "at_grpo",
    "deepeyes",
    "pixel_reasoner",
    "retool",
    "mo_grpo",
    "gdpo",
    "dvao",
    "sa_mrpo",
    "diet",
    "necessity_oracle",
)
"""Reward designs of which the page says what they would have paid: every built-in one."""

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


def task_html(cards: Sequence[EpisodeCard], fidelity: Fidelity = FINE) -> Html:
    """What several episodes of one task share: image, deciding detail, question, what is known about it."""
    card = cards[0]
    crops = {run: found for run, other in enumerate(cards) if (found := crops_of(other))}
    cropped = {run: f"cropped by {cards[run].run}" if len(cards) > 1 else "what was cropped" for run in crops}
    parts = [_view(card, 0, crops, cropped, fidelity)] if card.views else []
    parts += [_view(card, index, {}, {}, fidelity) for index in range(1, len(card.views))]
    if card.task is not None and card.task.detail is not None:
        left, top, right, bottom = card.task.region or (0, 0, 0, 0)
        caption = tag("figcaption", f"the deciding detail, {right - left} × {bottom - top} pixels of the source")
        image = image_tag(card.task.detail, "the deciding detail", fidelity=fidelity)
        parts.append(tag("figure", image, caption, class_="detail"))
    images = tag("div", *parts, class_="images")
    return tag("section", images, _question(card), class_="task")


def turns_html(card: EpisodeCard, fidelity: Fidelity = FINE) -> Html:
    """What came of an episode, and what the model did."""
    turns = [turn_html(turn, number, fidelity) for number, turn in enumerate(card.turns, start=1)]
    return tag("section", verdict_html(card), *turns, class_="turns")


def crops_of(card: EpisodeCard) -> list[Box]:
    """The boxes that the model's code cropped out of the first image, as far as they stand in it as numbers.

    >>> crops_of(EpisodeCard(run="", number=0, task_id="", prompt="", views=(), turns=(
    ...     TurnCard(action="image_1.crop((1, 2, 30, 40))"),)))
    [(1, 2, 30, 40)]
    """
    found = [tuple(map(int, match)) for turn in card.turns for match in _CROP.findall(turn.action)]
    return [(left, top, right, bottom) for left, top, right, bottom in found if left < right and top < bottom]


def view_html(card: EpisodeCard, index: int, boxes: Sequence[tuple[Box, str]] = (), fidelity: Fidelity = FINE) -> Html:
    """An image as the model saw it, with boxes in source pixels, each of a class, drawn over it."""
    width, height = _source_size(card, index)
    overlay = tag(
        "svg",
        *(_box(box, (width, height), kind) for box, kind in boxes),
        viewBox=f"0 0 {width} {height}",
        class_="boxes",
        aria_hidden="true",
    )
    image = image_tag(card.views[index], f"image {index + 1}, as the model saw it", fidelity=fidelity)
    return tag("div", image, overlay, class_="frame")


def _view(
    card: EpisodeCard, index: int, crops: Mapping[int, Sequence[Box]], cropped: Mapping[int, str], fidelity: Fidelity
) -> Html:
    """An image with the boxes of each run, by its number, and what they are called."""
    height, width = card.views[index].shape[:2]
    source = _source_size(card, index)
    boxes = [(box, f"crop run{run % 2}") for run, found in crops.items() for box in found]
    region = card.task.region if card.task is not None and index == 0 else None
    if region is not None:
        boxes.append((region, "region"))
    size = f"{width} × {height}" + (f" of {source[0]} × {source[1]}" if source != (width, height) else "")
    legend: list[Html] = [tag("span", f"as the model saw it, {size} pixels")]
    if region is not None:
        legend.append(tag("span", "the deciding detail", class_="key region"))
    legend += [tag("span", called, class_=f"key crop run{run % 2}") for run, called in cropped.items()]
    return tag("figure", view_html(card, index, boxes, fidelity), tag("figcaption", *legend, class_="legend"))


def _source_size(card: EpisodeCard, index: int) -> tuple[int, int]:
    if card.task is not None and index < len(card.task.sizes):
        return card.task.sizes[index]
    height, width = card.views[index].shape[:2]
    return int(width), int(height)


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


def turn_html(turn: TurnCard, number: int, fidelity: Fidelity = FINE) -> Html:
    """What the model wrote in a turn, and what the tools gave."""
    results = [_result(result, fidelity) for result in turn.results]
    return tag("div", tag("h3", f"turn {number}"), tag("pre", turn.action, class_="action"), *results, class_="turn")


def _result(result: ToolResult, fidelity: Fidelity) -> Html:
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
            image_tag(image, f"returned by {result.name}", fidelity=fidelity),
            tag("figcaption", caption) if caption else Html(""),
        )
        for image, caption in zip(result.images, captions, strict=False)
    ]
    return tag("div", head, *texts, *images, class_="result")


def verdict_html(card: EpisodeCard) -> Html:
    """Right or wrong, what became of the tools, and what was paid."""
    outcome = card.outcome
    if card.failure or outcome is None or not outcome.scored:
        why = card.failure and f"not scored: {card.failure}"
        return tag("p", why or ("not scored" if outcome else "no outcome was recorded"), class_="verdict failed")
    mark = tag("span", "✓ right" if card.is_right else "✗ wrong", class_="right" if card.is_right else "wrong")
    use = _VERDICTS.get((card.necessity, card.has_called), "")
    is_bad = card.has_called is not (card.necessity is Necessity.REQUIRED)
    pill = tag("span", use, class_="pill waste" if is_bad else "pill") if use else Html("")
    parts = [f"{outcome.tool_calls} call{'s' * (outcome.tool_calls != 1)}, cost {outcome.tool_cost:g}"]
    parts += [f"{name} {value:.3g}" for name, value in card.components.items()]
    return tag(
        "div", tag("p", mark, " ", pill), tag("p", " · ".join(parts), class_="note"), _paid(card), class_="verdict"
    )


def _paid(card: EpisodeCard) -> Html:
    summary = tag("summary", "what each reward design would have paid")
    return tag("details", summary, paid_html(card.outcome)) if card.outcome else Html("")


def paid_html(outcome: Outcome) -> Html:
    """What each built-in reward design would have paid for this episode alone, and what it scores apart."""
    head = tag("tr", *(tag("th", name, scope="col") for name in ("design", "reward", "scored apart")))
    return tag(
        "table", tag("thead", head), tag("tbody", *(_paid_row(spec, outcome) for spec in DESIGNS)), class_="paid"
    )


def _paid_row(spec: str, outcome: Outcome) -> Html:
    try:
        components = rewards.checked_components(_design(spec), outcome)
    except MetisError:  # a design that needs what was not recorded
        return tag("tr", tag("td", spec), tag("td", "–"), tag("td", "needs what was not measured"))
    paid, *_ = components.values()
    apart = [
        f"{name} {score:.3g}" for name, score in components.items() if name not in ("reward", "accuracy", "format")
    ]
    return tag("tr", tag("td", spec), tag("td", f"{paid:.3f}"), tag("td", ", ".join(apart)))


@functools.cache
def _design(spec: str) -> rewards.RewardDesign:
    """Made once: `components` looks only, so that a design with a memory stays as new."""
    return rewards.from_spec(spec)
