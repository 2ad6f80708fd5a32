"""`areas`: how many pixels of a sample have an exact colour? Counted and printed beside it, or only for code to count.

A sample is a field of one ground colour, strewn with pairs of pixels: one of a colour, beside it one of its opposite,
so that their mean is the ground. Pairs lie inside cells, so the view shows the plain ground whatever the counts are,
and no look at a crop replaces counting thousands of pixels. Of the samples of a scene one has been counted.

| necessity | the sample that is asked about | plan |
|---|---|---|
| none | the counts are printed beside it | read them in the view |
| required | has not been counted | one `python` call that counts |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.wordings import choose_wording
from metis_envs.families.worksheets import ROWS, turned
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.places import Place
from metis_envs.scenes.prints import Print, Printer, hull
from metis_envs.scenes.sheets import lay_sheet
from metis_envs.scenes.worksheets import drawn_place
from metis_gym.records import AnswerKind, Box, ImageArray, ToolCall

__all__ = ["Areas"]

_LETTERS = "ABC"
_EM, _SMALL_EM = 15.0, 13.0
_FIELD, _PAD, _TABLE = 5.6, 0.6, 8.4
"""Side of a field, space around it, width of the table beside it, in em."""
_PITCH, _TITLE = 1.3, 1.7
_GAP, _MARGIN, _ATTEMPTS = 8, 5, 400
_COUNTS, _MAX_PAIRS = (160, 900), 5600
_APART = 12
_PAPER, _INK = (242, 241, 236), (34, 34, 40)
_STRENGTHS = (18, 62)

_COUNT_WORDINGS = (
    "How many pixels of exactly {colour} are there in sample {letter}?",
    "In sample {letter}, how many pixels have the colour {colour}?",
    "What is the number of pixels of colour {colour} in sample {letter}?",
    "How large an area of sample {letter}, in pixels of the source image, is exactly {colour}?",
    "Sample {letter}: what area does {colour} cover, in pixels of the source image?",
    "Count the pixels of sample {letter} that are exactly {colour}. How many are there?",
    "Of colour {colour}, how many pixels does sample {letter} hold?",
)
_COLOUR_WORDINGS = (
    "Which of the colours {listed} have exactly {count} pixels of sample {letter}?",
    "In sample {letter}, {count} pixels have the same colour. Which of {listed} is it?",
    "Which exact colour covers {count} pixels of the source image in sample {letter}: {listed}?",
    "Sample {letter}: which of {listed} is the colour of {count} pixels?",
    "Of {listed}, which colour is found {count} times among the pixels of sample {letter}?",
    "There are {count} pixels of one of the colours {listed} in sample {letter}. Which one?",
    "What is the colour of {count} pixels of sample {letter}: {listed}?",
)


@dataclass(frozen=True, eq=False)
class _Sample:
    """A sample in its place.

    Attributes:
        letter: By which the question names it.
        printer: Sets its text; em and origin are those of its card.
        card: Its card, source pixels.
        field: Its field, source pixels, on the cells.
        ground: The colour of the field.
        colours: The colours that are counted; each has its opposite.
        slots: Where pairs may lie: flat indices of their left pixels in the field, in the order of use.
        counts: Of pairs, one for each answer; the first as many as there are colours are in use.
        asked: The colour whose count is the answer's.
        is_counted: Are the counts printed beside it?
    """

    letter: str
    printer: Printer
    card: Box
    field: Box
    ground: Colour
    colours: tuple[Colour, ...]
    slots: NDArray[np.int64]
    counts: tuple[int, ...]
    asked: int
    is_counted: bool

    def counts_of(self, index: int) -> list[int]:
        """How many pixels each colour has, for an answer."""
        return turned(self.counts, index, self.asked, len(self.colours))

    def draw(self, scene: ImageArray, index: int) -> None:
        """Strew the field, and print the counts if they are known, in place."""
        left, top, right, bottom = self.field
        field = np.full((bottom - top, right - left, 3), self.ground, dtype=np.uint8)
        flat, ground, start = field.reshape(-1, 3), np.array(self.ground), 0
        for colour, count in zip(self.colours, self.counts_of(index), strict=True):
            places = self.slots[start : start + count]
            flat[places], flat[places + 1] = colour, 2 * ground - np.array(colour)
            start += count
        scene[top:bottom, left:right] = field
        if self.is_counted:
            self.printer.draw(scene, self._numbers(index))

    def print_fixed(self, scene: ImageArray) -> None:
        """Print its letter and the names of the colours."""
        pieces = [Print(_PAD, _TITLE / 2 + 0.1, f"Sample {self.letter}", "lm", "sans-bold", 1.05)]
        pieces += [
            Print(_FIELD + 2 * _PAD, _row(row), _hex(colour), "lm", "sans", 0.9)
            for row, colour in enumerate(self.colours)
        ]
        if not self.is_counted:
            pieces += [Print(_FIELD + 2 * _PAD + _TABLE, _row(row), "?", "rm") for row in range(len(self.colours))]
        self.printer.draw(scene, pieces)

    @property
    def changed(self) -> Box:
        """All that the answer may change, on the cells."""
        if not self.is_counted:
            return self.field
        return hull([self.field, *self.printer.parts([self._numbers(index) for index in range(len(self.counts))])])

    def _numbers(self, index: int) -> list[Print]:
        x = _FIELD + 2 * _PAD + _TABLE
        return [Print(x, _row(row), str(count), "rm", "sans-bold") for row, count in enumerate(self.counts_of(index))]


class Areas(Family):
    """Two or three samples of coloured grain; the answer decides which colour has which count."""

    name: ClassVar[str] = "areas"
    ability: ClassVar[str] = "maths"
    smallest_view: ClassVar[int] = 384
    max_choices: ClassVar[int] = 6
    aspects: ClassVar[tuple[float, ...]] = (1.0, 4 / 3, 3 / 4)

    def plan(self, brief: Brief) -> Blueprint:
        """Lay out the samples, and choose the one that is asked about by whether it is counted."""
        rng, canvas = brief.rng, brief.canvas
        rows = brief.choices or ROWS
        samples = _lay_samples(rng, canvas, rows)
        fitting = [sample for sample in samples if sample.is_counted != brief.hides]
        sample = fitting[int(rng.integers(len(fitting)))]
        others = [other for other in samples if other is not sample]
        shown = [int(rng.integers(len(other.counts))) for other in others]
        place = drawn_place(rng, canvas, brief.split, ("desk", "wall")[int(rng.integers(2))])
        asks_count = bool(rng.random() < 0.6)

        def paint() -> ImageArray:
            scene = _paint(place, canvas, samples)
            for other, index in zip(others, shown, strict=True):
                other.draw(scene, index)
            return scene

        def draw_detail(scene: ImageArray, index: int) -> None:
            sample.draw(scene, index if asks_count else -index % rows)

        return Blueprint(
            question=_question(brief, sample, asks_count),
            answers=_answers(sample, asks_count),
            paint=paint,
            draw_detail=draw_detail,
            region=sample.changed,
            focus=sample.field if brief.hides else sample.changed,
            notes=place.notes,
            explanation=f"Count the pixels of sample {sample.letter} by code."
            if brief.hides
            else f"Sample {sample.letter} is counted: read the table beside it.",
            kind=AnswerKind.NUMBER if asks_count else AnswerKind.TEXT,
            searches=(_count_call(sample),),
        )


def _question(brief: Brief, sample: _Sample, asks_count: bool) -> str:
    if asks_count:
        return choose_wording(brief, _COUNT_WORDINGS, letter=sample.letter, colour=_hex(sample.colours[sample.asked]))
    listed = ", ".join(_hex(colour) for colour in sample.colours)
    return choose_wording(brief, _COLOUR_WORDINGS, letter=sample.letter, count=str(sample.counts[0]), listed=listed)


def _answers(sample: _Sample, asks_count: bool) -> tuple[str, ...]:
    """The counts; or the colours, of which the answer's has the first count."""
    if asks_count:
        return tuple(str(count) for count in sample.counts)
    rows = len(sample.colours)
    return tuple(_hex(sample.colours[(sample.asked + index) % rows]) for index in range(rows))


def _count_call(sample: _Sample) -> ToolCall:
    """The call that counts every colour that the sample's table names."""
    code = (
        "import numpy as np\n"
        f"field = np.asarray(image_1.crop({sample.field}))\n"
        f"for colour in {sample.colours}:\n"
        "    print('#%02X%02X%02X' % colour, (field == colour).all(axis=2).sum())"
    )
    return ToolCall(name="python", arguments={"code": code})


def _hex(colour: Colour) -> str:
    return "#{:02X}{:02X}{:02X}".format(*colour)


def _row(row: int) -> float:
    return _TITLE + _PAD + (row + 0.5) * _PITCH


def _lay_samples(rng: np.random.Generator, canvas: Canvas, rows: int) -> list[_Sample]:
    """Two samples, or three where there is room; one of them, at random, is counted."""
    em = _EM if rows <= ROWS else _SMALL_EM
    size = round((_FIELD + _TABLE + 3 * _PAD) * em), round((_TITLE + 2 * _PAD + max(_FIELD, rows * _PITCH)) * em)
    boxes = _places(rng, canvas, size)
    counted = int(rng.integers(len(boxes)))
    return [
        _sample(rng, canvas, box, em, letter, rows, is_counted=place == counted)
        for place, (box, letter) in enumerate(zip(boxes, _LETTERS, strict=False))
    ]


def _places(rng: np.random.Generator, canvas: Canvas, size: tuple[int, int]) -> list[Box]:
    gap = _GAP * canvas.factor
    best: list[Box] = []
    for _ in range(_ATTEMPTS):
        boxes: list[Box] = []
        for _ in _LETTERS:
            box = canvas.place(rng, *size, margin=_MARGIN)
            if all(
                box[0] >= other[2] + gap
                or other[0] >= box[2] + gap
                or box[1] >= other[3] + gap
                or other[1] >= box[3] + gap
                for other in boxes
            ):
                boxes.append(box)
        best = boxes if len(boxes) > len(best) else best
        if len(best) > 1:
            return best
    width, height = size  # one beside the other, or one below the other
    second = (canvas.view_width - width - _MARGIN, _MARGIN)
    if second[0] < _MARGIN + width:
        second = (_MARGIN, canvas.view_height - height - _MARGIN)
    corners = ((_MARGIN, _MARGIN), second)
    return [canvas.box(left, top, left + width, top + height) for left, top in corners]


def _sample(
    rng: np.random.Generator, canvas: Canvas, card: Box, em: float, letter: str, rows: int, *, is_counted: bool
) -> _Sample:
    factor = canvas.factor
    left, top = card[0] // factor + round(_PAD * em), card[1] // factor + round((_TITLE + _PAD) * em)
    side = round(_FIELD * em)
    field = canvas.box(left, top, left + side, top + side)
    ground, colours = _colours(rng, rows)
    sheet = lay_sheet(rng, canvas, card, turn=0.0, tilt=0.0)
    return _Sample(
        letter=letter,
        printer=Printer(sheet, em * factor, (0.0, 0.0), _INK),
        card=card,
        field=field,
        ground=ground,
        colours=colours,
        slots=_slots(rng, side, factor),
        counts=_counts(rng, rows),
        asked=int(rng.integers(rows)),
        is_counted=is_counted,
    )


def _colours(rng: np.random.Generator, count: int) -> tuple[Colour, tuple[Colour, ...]]:
    """A ground and colours, which with their opposites are all different."""
    ground = rng.integers(90, 166, size=3)
    differences: list[NDArray[np.int64]] = []
    while len(differences) < count:
        drawn = rng.integers(*_STRENGTHS, size=3) * rng.choice([-1, 1], size=3)
        if all(np.abs(drawn - other).max() > _APART and np.abs(drawn + other).max() > _APART for other in differences):
            differences.append(drawn)
    return _rgb(ground), tuple(_rgb(ground + difference) for difference in differences)


def _rgb(values: NDArray[np.int64]) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _slots(rng: np.random.Generator, side: int, factor: int) -> NDArray[np.int64]:
    """The left pixels of all pairs, none of which cross a cell's edge: strewn, or from a stain's middle outwards."""
    pairs = factor // 2
    columns = np.concatenate([cell * factor + 2 * np.arange(pairs) for cell in range(side)])
    lines = np.arange(side * factor)
    y, x = (grid.reshape(-1) for grid in np.meshgrid(lines, columns, indexing="ij"))
    if rng.random() < 0.5:
        order = rng.random(len(x))
    else:
        middle = rng.uniform(0.3, 0.7, size=2) * side * factor
        order = np.hypot(y - middle[0], x - middle[1]) * rng.uniform(0.7, 1.3, size=len(x))
    nearest = np.argpartition(order, _MAX_PAIRS)[:_MAX_PAIRS]
    used = nearest[np.argsort(order[nearest], kind="stable")]
    slots: NDArray[np.int64] = y[used] * (side * factor) + x[used]
    return slots


def _counts(rng: np.random.Generator, count: int) -> tuple[int, ...]:
    """Different numbers of pairs, none near another."""
    step = (_COUNTS[1] - _COUNTS[0]) // _APART
    drawn = rng.permutation(step)[:count] * _APART + _COUNTS[0]
    return tuple(int(number) for number in drawn + rng.integers(0, _APART // 2, size=count))


def _paint(place: Place, canvas: Canvas, samples: Sequence[_Sample]) -> ImageArray:
    draft = Draft(canvas, place.paint_half())
    for number, sample in enumerate(samples):
        sheet = sample.printer.sheet
        draft.shadow(sheet.outline(), blur=6.0 * canvas.factor, drop=(canvas.factor, 2.0 * canvas.factor))
        draft.fill(sheet.outline(), _PAPER, grain=2.0, seed=number)
    scene = draft.scene()
    for sample in samples:
        sample.print_fixed(scene)
    return scene
