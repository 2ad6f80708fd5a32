"""Tasks, episodes and tables for notebooks: styles stand in the elements, and boxes are drawn into the images.

A notebook that is not trusted drops style sheets and drawings over an image. What models and tools wrote is escaped as
on every page; the styles are constants.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from metis_gym.grading.choice import LETTERS
from metis_gym.records import Box, Episode, ImageArray, Task, ToolResult, Turn
from metis_gym.viewer.episodes import card_of_episode
from metis_gym.viewer.markup import Html, Part, image_tag, join, tag
from metis_gym.viewer.rendering import crops_of

__all__ = ["episode_repr", "table_repr", "task_repr"]

_STYLES = {
    "frame": "max-width:60em;font-family:sans-serif;line-height:1.45",
    "question": "font-weight:600;font-size:1.1em;margin:.4em 0",
    "soft": "opacity:.7;font-size:.85em;margin:.2em 0",
    "code": "white-space:pre-wrap;overflow-wrap:anywhere;padding:.5em .7em;border-left:3px solid #8884;margin:.3em 0",
    "cell": "text-align:left;padding:.2em .9em .2em 0",
}
_REGION, _CROP = (255, 90, 54), (47, 123, 255)
_MIN_WIDTH = 320


def task_repr(task: Task) -> str:
    """The task: image with the deciding detail framed, question, options, what is known."""
    return _styled("div", "frame", *_task(task, []))


def episode_repr(episode: Episode) -> str:
    """The episode: its task with the model's crops framed, then each turn."""
    crops = crops_of(card_of_episode(episode))
    turns = [_turn(turn, number) for number, turn in enumerate(episode.turns, start=1)]
    return _styled("div", "frame", *_task(episode.task, crops), *turns)


def table_repr(head: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> str:
    """A table with lines of text below."""
    lines = [join([_styled("th", "cell", cell) for cell in head])]
    lines += [join([_styled("td", "cell", cell) for cell in row]) for row in rows]
    table = tag("table", tag("tbody", *(tag("tr", line) for line in lines)))
    return _styled("div", "frame", table, *(_styled("p", "soft", note) for note in notes))


def _task(task: Task, crops: Sequence[Box]) -> list[Html]:
    boxes = [*((crop, _CROP) for crop in crops), *([(task.region, _REGION)] if task.region else [])]
    views = [
        image_tag(
            _framed(image.view, image.source, boxes if number == 0 else []), f"image {number + 1}, as it is shown"
        )
        for number, image in enumerate(task.images)
    ]
    options = [
        tag("div", tag("b", letter), f" {option}") for letter, option in zip(LETTERS, task.options, strict=False)
    ]
    known = f"{task.task_id} · tool: {task.necessity.value} · right answer: {task.gold.value}"
    told = [_styled("p", "soft", said) for said in (known, task.explanation) if said]
    return [*views, _styled("p", "question", task.question), *options, *told]


def _turn(turn: Turn, number: int) -> Html:
    parts = [_styled("p", "soft", f"turn {number}"), _styled("pre", "code", turn.text)]
    for result in turn.results:
        parts += _result(result)
    return tag("div", *parts)


def _result(result: ToolResult) -> list[Html]:
    texts = [_styled("pre", "code", said) for said in (result.output, result.errors) if said]
    images = [image_tag(image, f"returned by {result.name}") for image in result.images]
    return [_styled("p", "soft", f"{result.name}: {result.status.value}"), *texts, *images]


def _framed(view: ImageArray, source: ImageArray, boxes: Sequence[tuple[Box, tuple[int, int, int]]]) -> ImageArray:
    """The view with boxes of the source drawn into it, enlarged first where it is small."""
    image = Image.fromarray(np.ascontiguousarray(view))
    factor = -(-_MIN_WIDTH // max(1, image.width)) if image.width < _MIN_WIDTH else 1
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    across, down = image.width / source.shape[1], image.height / source.shape[0]
    draw = ImageDraw.Draw(image)
    for (left, top, right, bottom), colour in boxes:
        corners = sorted((left * across, right * across)), sorted((top * down, bottom * down))
        xs, ys = (
            [max(0, min(limit - 1, round(at))) for at in pair] for pair, limit in zip(corners, image.size, strict=True)
        )
        draw.rectangle((xs[0], ys[0], xs[1], ys[1]), outline=colour, width=2)
    return np.asarray(image, dtype=np.uint8)


def _styled(name: str, style: str, *content: Part) -> Html:
    """An element with one of the constant styles."""
    made = tag(name, *content)
    return Html(f'<{name} style="{_STYLES[style]}"' + made[len(name) + 1 :])
