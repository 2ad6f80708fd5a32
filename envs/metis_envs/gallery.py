"""Contact sheets: what the model sees, what a crop shows, question and answer, for people to look at.

`metis-gym gallery` writes one sheet for each family.
"""

import argparse
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from metis_envs.scenes.drawing import font
from metis_gym.errors import ConfigError
from metis_gym.records import ImageArray, Necessity, Task
from metis_gym.registration import FAMILY_IDS
from metis_gym.tasksets import make_taskset
from metis_gym.terminal import say

__all__ = ["contact_sheet", "examples", "gallery_command"]

_CELL, _MARGIN, _LINE = 448, 16, 20
_LOOKED_AT = 8
"""Tasks that are drawn to find one of each necessity."""
_UNSAFE = re.compile(r"[^\w.,=+-]+")
"""What a spec holds and a file name should not."""
_INK, _FAINT = (25, 25, 25), (110, 110, 110)
_BADGES = {
    Necessity.NONE: ("no tool needed", (36, 130, 70)),
    Necessity.PARTIAL: ("tool helps", (170, 110, 0)),
    Necessity.REQUIRED: ("tool required", (190, 60, 30)),
    Necessity.UNKNOWN: ("unknown", (110, 110, 110)),
}


def gallery_command(argv: Sequence[str]) -> int:
    """Write a contact sheet for each family."""
    parser = argparse.ArgumentParser(
        prog="metis-gym gallery", description="Draw example tasks of each family, as images and a page."
    )
    parser.add_argument("families", nargs="*", default=[], help="families or tasksets (default: all families)")
    parser.add_argument("--out", type=Path, default=Path("gallery"), help="folder (default: %(default)s)")
    parser.add_argument("--each", type=int, default=2, help="tasks for each necessity (default: %(default)s)")
    parser.add_argument("--split", default="test", help="train or test (default: %(default)s)")
    given = parser.parse_args(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.families or FAMILY_IDS.values():
        path = given.out / f"{_UNSAFE.sub('_', name)}.png"
        Image.fromarray(contact_sheet(examples(name, each=given.each, split=given.split))).save(path)
        say(str(path))
    return 0


def examples(taskset: str, *, each: int = 1, split: str = "test") -> list[Task]:
    """The first tasks of each necessity that a taskset has, those that need no tool first.

    Raises:
        ConfigError: `each` is not positive, or the name is no taskset's.
    """
    if each < 1:
        raise ConfigError(f"each must be at least 1, actually: {each}")
    tasks = list(itertools.islice(_tasks(taskset, split), _LOOKED_AT * each))
    kinds = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED, Necessity.UNKNOWN)
    return [task for kind in kinds for task in [t for t in tasks if t.necessity is kind][:each]]


def _tasks(taskset: str, split: str) -> Iterator[Task]:
    source = make_taskset(taskset, split=split, view_size=_CELL)
    rng = np.random.default_rng(0)
    while True:
        yield source.build(source.draw(rng))


def contact_sheet(tasks: Sequence[Task], columns: int = 2) -> ImageArray:
    """A sheet with one card for each task.

    A card shows the view, as the model sees it; the deciding detail cut out of the source, as a tool would show it; the
    question with its options; the answer; and whether a tool is needed.

    Args:
        tasks: What to show.
        columns: Cards side by side.

    Returns:
        Shape (height, width, 3), uint8.
    """
    cards = [_card(task) for task in tasks]
    rows = [cards[start : start + columns] for start in range(0, len(cards), columns)]
    heights = [max(card.height for card in row) for row in rows]
    sheet = Image.new("RGB", (columns * cards[0].width, sum(heights)), (255, 255, 255))
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            sheet.paste(card, (column * card.width, top))
        top += height
    return np.asarray(sheet, dtype=np.uint8)


def _card(task: Task) -> Image.Image:
    view = Image.fromarray(task.images[0].view)
    crop = _crop(task)
    text = _text(task)
    width = 2 * _CELL + 3 * _MARGIN
    height = 3 * _MARGIN + _LINE + max(view.height, crop.height) + _LINE * len(text)
    card = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(card)
    pen.rectangle((6, 6, width - 6, height - 6), outline=(205, 205, 205), width=2)
    source_height, source_width = task.images[0].source.shape[:2]
    captions = (
        f"what the model sees: {view.width} x {view.height}",
        f"cut out of the {source_width} x {source_height} source",
    )
    for left, image, caption in ((_MARGIN, view, captions[0]), (_CELL + 2 * _MARGIN, crop, captions[1])):
        pen.text((left, _MARGIN - 2), caption, fill=_FAINT, font=font("sans", 13))
        card.paste(image, (left, _MARGIN + _LINE))
    for row, (line, colour) in enumerate(text):
        top = 2 * _MARGIN + _LINE + max(view.height, crop.height) + row * _LINE
        pen.text((_MARGIN, top), line, fill=colour, font=font("sans", 15))
    return card


def _text(task: Task) -> list[tuple[str, tuple[int, int, int]]]:
    badge, colour = _BADGES[task.necessity]
    lines = [(f"{task.family} – {badge}", colour), (task.question, _INK)]
    lines += [(f"{chr(ord('A') + number)}. {option}", _INK) for number, option in enumerate(task.options)]
    return [*(line for whole in lines for line in _wrapped(*whole)), (f"Answer: {task.gold.value}", _INK)]


def _wrapped(text: str, colour: tuple[int, int, int]) -> list[tuple[str, tuple[int, int, int]]]:
    face, limit = font("sans", 15), 2 * _CELL
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) > limit:
            lines.append(word)
        else:
            lines[-1] = longer
    return [(line, colour) for line in lines]


def _crop(task: Task) -> Image.Image:
    """The deciding detail, enlarged without smoothing so that every source pixel can be seen."""
    source = Image.fromarray(task.images[0].source)
    crop = source.crop(task.region or (0, 0, *source.size))
    scale = _CELL / max(crop.size)
    size = (max(1, round(crop.width * scale)), max(1, round(crop.height * scale)))
    return crop.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)
