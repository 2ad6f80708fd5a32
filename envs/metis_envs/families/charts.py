"""`charts`: a poster with one large chart and two or three small ones, of which the question names one by its letter.

Bars, lines, numbers and axes are the same for all answers, and visible in the view; the names below the bars or in the
legend are what the answer decides. In the large chart they are legible in the view, in a small one they are small
print.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from metis_envs.families.family import Blueprint, Brief, Family
from metis_envs.families.wordings import choose_wording
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.charts import Chart, ChartPlace
from metis_envs.scenes.concealment import conceal_among
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.drawing import faded
from metis_envs.scenes.places import Place
from metis_envs.scenes.prints import Printer
from metis_envs.scenes.sheets import Sheet, lay_sheet, roughen
from metis_envs.scenes.worksheets import drawn_place
from metis_gym.records import AnswerKind, ImageArray, Necessity

__all__ = ["Charts"]

_OPEN_NAMES = 5
_MARGIN = 15
"""Wall around the poster, view pixels."""
_LARGE_EM, _SMALL_EM = (13.5, 15.5), 4.0
"""Text sizes in view pixels."""
_PAPER, _INK = (241, 240, 235), (36, 36, 42)
_SHEET_GRAIN = 1.5
_LETTERS = "ABCD"
_YEARS = tuple(str(year) for year in range(2004, 2024))


@dataclass(frozen=True)
class _Topic:
    """What a chart is about; its names are short and of one length, so that small print stays crisp."""

    title: str
    unit: str
    names: tuple[str, ...]


_TOPICS = {
    "train": (
        _Topic("Harvest", "1000 t", ("oats", "rice", "corn", "flax", "hops", "kale")),
        _Topic("Drinks served", "cups", ("cocoa", "juice", "water", "cider", "broth", "latte")),
        _Topic("Guests by town", "per day", ("Bonn", "Graz", "Lyon", "Oslo", "Riga", "Kiel")),
        _Topic("Points scored", "points", ("Lions", "Bears", "Hawks", "Bulls", "Foxes", "Swans")),
        _Topic("Trees planted", "trees", ("beech", "alder", "aspen", "birch", "maple", "cedar")),
        _Topic("Books lent", "books", ("plays", "poems", "crime", "maths", "music", "faith")),
    ),
    "test": (
        _Topic("Fruit sold", "kg", ("apple", "grape", "lemon", "melon", "mango", "peach")),
        _Topic("Birds counted", "birds", ("crows", "ducks", "gulls", "larks", "geese", "doves")),
        _Topic("Rain by town", "mm", ("Lille", "Porto", "Split", "Genoa", "Turin", "Basel")),
    ),
}


@dataclass(frozen=True, eq=False)
class _Question:
    """A question about a chart.

    Attributes:
        wordings: With `{letter}` for the chart, and the fields.
        fields: What stands in the other braces.
        answers: All answers that could be right, in the order of the chart's names.
        kind: How an open answer is compared.
    """

    wordings: tuple[str, ...]
    fields: dict[str, str]
    answers: tuple[str, ...]
    kind: AnswerKind = AnswerKind.TEXT


class Charts(Family):
    """Bar charts and line charts: which is highest, which has a value, which value has a name."""

    name: ClassVar[str] = "charts"
    generation: ClassVar[int] = 3
    necessities: ClassVar[tuple[Necessity, ...]] = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED)
    smallest_view: ClassVar[int] = 384
    max_choices: ClassVar[int] = 6

    def plan(self, brief: Brief) -> Blueprint:
        """Lay out the poster, and draw the charts on it."""
        rng, canvas = brief.rng, brief.canvas
        sheet, boxes = _layout(rng, canvas)
        letters = [_LETTERS[i] for i in rng.permutation(len(boxes))]
        topics = rng.permutation(len(_TOPICS[brief.split]))
        drawn = [
            _draw_chart(rng, _TOPICS[brief.split][int(topics[place % len(topics)])], brief.choices or _OPEN_NAMES)
            for place in range(len(boxes))
        ]
        large_em = float(rng.uniform(*_LARGE_EM))
        places = [
            _placed(sheet, chart, letter, box, large_em if index == 0 else _SMALL_EM)
            for index, ((chart, _), letter, box) in enumerate(zip(drawn, letters, boxes, strict=True))
        ]
        target = 1 + int(rng.integers(len(boxes) - 1)) if brief.hides else 0
        shown = [int(rng.integers(len(chart.names))) for chart, _ in drawn]
        question, asked, seed = drawn[target][1], places[target], int(rng.integers(1 << 30))
        around = drawn_place(rng, canvas, brief.split, ("wall", "desk")[int(rng.integers(2))])

        def paint() -> ImageArray:
            scene = _paint_poster(around, sheet, places, seed)
            for number, (place, index) in enumerate(zip(places, shown, strict=True)):
                if place is asked:
                    continue
                if number == 0:
                    place.print_names(scene, index)
                else:  # concealed as if it were asked for
                    every = range(len(place.chart.names))
                    conceal_among(scene, place.parts, place.print_names, index, every, canvas.factor)
            return scene

        size = "small: crop it and enlarge the crop" if brief.hides else "large: read it in the view"
        return Blueprint(
            question=choose_wording(brief, question.wordings, letter=asked.letter, **question.fields),
            answers=question.answers,
            paint=paint,
            draw_detail=asked.print_names,
            region=asked.box,
            parts=asked.parts,
            focus=asked.box,
            notes=f"a drawn poster; around it: {around.notes}",
            explanation=f"Chart {asked.letter} is {size}.",
            kind=question.kind,
        )


def _draw_chart(rng: np.random.Generator, topic: _Topic, count: int) -> tuple[Chart, _Question]:
    """A chart of as many bars or lines as there are answers, and a question about it."""
    return _KINDS[int(rng.integers(len(_KINDS)))](rng, topic, count)


def _which_bar(rng: np.random.Generator, topic: _Topic, count: int) -> tuple[Chart, _Question]:
    """Which bar is tallest, second tallest, shortest?"""
    values, names = _bars(rng, topic, count)
    rank, words = _drawn_rank(rng, count, ("tallest", "shortest"))
    asked = int(np.argsort(values)[rank])
    chart = _bar_chart(rng, topic, values, _naming(rng, names, asked))
    return chart, _Question(_BAR_WORDINGS, {"rank": words, "title": topic.title}, names)


def _which_has_value(rng: np.random.Generator, topic: _Topic, count: int) -> tuple[Chart, _Question]:
    """Which bar has a certain value?"""
    values, names = _bars(rng, topic, count)
    asked = int(rng.integers(count))
    chart = replace(_bar_chart(rng, topic, values, _naming(rng, names, asked)), printed=True)
    fields = {"value": str(values[asked]), "unit": topic.unit, "title": topic.title}
    return chart, _Question(_HAS_WORDINGS, fields, names)


def _value_of_bar(rng: np.random.Generator, topic: _Topic, count: int) -> tuple[Chart, _Question]:
    """Which value has the bar of a name?"""
    values, names = _bars(rng, topic, count)
    name = names[int(rng.integers(count))]
    chart = replace(_bar_chart(rng, topic, values, _placing(rng, names, name)), printed=True)
    fields = {"name": name, "title": topic.title}
    return chart, _Question(_VALUE_WORDINGS, fields, tuple(str(value) for value in values), AnswerKind.NUMBER)


def _which_line(rng: np.random.Generator, topic: _Topic, count: int) -> tuple[Chart, _Question]:
    """Which line is highest, second highest, lowest in a year?"""
    values, names, years = _lines(rng, topic, count)
    at = int(rng.integers(1, len(years) - 1))
    rank, words = _drawn_rank(rng, count, ("highest", "lowest"))
    asked = int(np.argsort([line[at] for line in values])[rank])
    chart = _line_chart(topic, values, _naming(rng, names, asked), years)
    return chart, _Question(_LINE_WORDINGS, {"rank": words, "year": years[at], "title": topic.title}, names)


def _value_of_line(rng: np.random.Generator, topic: _Topic, count: int) -> tuple[Chart, _Question]:
    """Which value has the line of a name in a year?"""
    values, names, years = _lines(rng, topic, count)
    at, name = int(rng.integers(len(years))), names[int(rng.integers(count))]
    chart = _line_chart(topic, values, _placing(rng, names, name), years)
    answers = tuple(str(line[at]) for line in values)
    fields = {"name": name, "year": years[at], "title": topic.title}
    return chart, _Question(_AT_WORDINGS, fields, answers, AnswerKind.NUMBER)


_KINDS: tuple[Callable[[np.random.Generator, _Topic, int], tuple[Chart, _Question]], ...] = (
    _which_bar,
    _which_has_value,
    _value_of_bar,
    _which_line,
    _value_of_line,
)

_BAR_WORDINGS = (
    "In chart {letter}, which bar is the {rank}?",
    "Which is the {rank} bar of chart {letter}?",
    "Look at chart {letter}, “{title}”. What is the {rank} bar called?",
    "What does the {rank} bar of chart {letter} stand for?",
    "Chart {letter} shows “{title}”. Whose bar is the {rank}?",
    "Find the {rank} bar in chart {letter}. What name is below it?",
    "By chart {letter}, which name has the {rank} bar?",
)
_HAS_WORDINGS = (
    "In chart {letter}, which bar has the value {value}?",
    "Which name in chart {letter} has {value} ({unit})?",
    "Look at chart {letter}, “{title}”. Which bar stands at {value}?",
    "What does the bar with {value} above it in chart {letter} stand for?",
    "Chart {letter} shows “{title}”. Whose value is {value}?",
    "Find the bar of {value} in chart {letter}. What name is below it?",
    "By chart {letter}, for which name are there {value}?",
)
_VALUE_WORDINGS = (
    "In chart {letter}, which value has {name}?",
    "What is the value of {name} in chart {letter}?",
    "Look at chart {letter}, “{title}”. Which number is above the bar of {name}?",
    "How much does chart {letter} show for {name}?",
    "Chart {letter} shows “{title}”. What is the number for {name}?",
    "Find {name} in chart {letter}. Which number is printed at its bar?",
    "By chart {letter}, what is the figure for {name}?",
)
_LINE_WORDINGS = (
    "In chart {letter}, which line is {rank} in {year}?",
    "Which line of chart {letter} is the {rank} one in {year}?",
    "Look at chart {letter}, “{title}”. What is {rank} in {year}?",
    "Whose line is {rank} in {year} in chart {letter}?",
    "Chart {letter} shows “{title}”. Which name is {rank} in {year}?",
    "Find the year {year} in chart {letter}. Which line is {rank} there?",
    "By chart {letter}, which of the names is {rank} in {year}?",
)
_AT_WORDINGS = (
    "In chart {letter}, which value has {name} in {year}?",
    "What is the value of {name} in {year} in chart {letter}?",
    "Look at chart {letter}, “{title}”. Where is the line of {name} in {year}?",
    "How much does chart {letter} show for {name} in {year}?",
    "Chart {letter} shows “{title}”. What is the value for {name} in {year}?",
    "Find {name} in chart {letter}. At which value is its line in {year}?",
    "By chart {letter}, what is the figure for {name} in {year}?",
)


def _bars(rng: np.random.Generator, topic: _Topic, count: int) -> tuple[list[int], tuple[str, ...]]:
    """Values no two of which are near each other, and the names in a drawn order."""
    step = int(rng.integers(5, 13))
    values = [step * (rank + 2) + int(rng.integers(-step // 4, step // 4 + 1)) for rank in rng.permutation(count)]
    return values, tuple(topic.names[i] for i in rng.permutation(len(topic.names))[:count])


def _bar_chart(rng: np.random.Generator, topic: _Topic, values: list[int], names: tuple[tuple[str, ...], ...]) -> Chart:
    top = next(top for top in (20, 40, 60, 80, 100, 120, 160, 200) if top > max(values))
    return Chart(
        title=topic.title, unit=topic.unit, values=tuple((value,) for value in values), names=names, places=(),
        top=top, ticks=4, printed=bool(rng.random() < 0.5),
    )  # fmt: skip


def _lines(
    rng: np.random.Generator, topic: _Topic, count: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...], tuple[str, ...]]:
    """Values on the grid, no two equal in a year; the names in a drawn order; the years."""
    step, first = int(rng.choice([5, 10, 20, 50])), int(rng.integers(len(_YEARS) - 4))
    ranks = np.stack([rng.permutation(count + 1)[:count] for _ in range(4)], axis=1)
    values = tuple(tuple(step * (int(rank) + 1) for rank in line) for line in ranks)
    names = tuple(topic.names[i] for i in rng.permutation(len(topic.names))[:count])
    return values, names, _YEARS[first : first + 4]


def _line_chart(
    topic: _Topic, values: tuple[tuple[int, ...], ...], names: tuple[tuple[str, ...], ...], years: tuple[str, ...]
) -> Chart:
    step = min(min(line) for line in values)
    top = step * (len(values) + 2)
    return Chart(
        title=topic.title, unit=topic.unit, values=values, names=names, places=years, top=top,
        ticks=len(values) + 2, printed=False,
    )  # fmt: skip


def _drawn_rank(rng: np.random.Generator, count: int, ends: tuple[str, str]) -> tuple[int, str]:
    """A rank, 0 for the lowest, and its words."""
    top, bottom = ends
    ranks = {count - 1: top, count - 2: f"second {top}", 0: bottom}
    rank = list(ranks)[int(rng.integers(len(ranks)))]
    return rank, ranks[rank]


def _naming(rng: np.random.Generator, names: tuple[str, ...], asked: int) -> tuple[tuple[str, ...], ...]:
    """For each name, as an answer, the names of all places: it stands at the place that is asked for."""
    order = rng.permutation(len(names))
    rests = [[names[i] for i in order if i != index] for index in range(len(names))]
    return tuple((*rest[:asked], names[index], *rest[asked:]) for index, rest in enumerate(rests))


def _placing(rng: np.random.Generator, names: tuple[str, ...], name: str) -> tuple[tuple[str, ...], ...]:
    """For each place, as an answer, the names of all places: the name that is asked for stands there."""
    rest = [names[i] for i in rng.permutation(len(names)) if names[i] != name]
    return tuple((*rest[:place], name, *rest[place:]) for place in range(len(names)))


def _layout(rng: np.random.Generator, canvas: Canvas) -> tuple[Sheet, list[tuple[float, float, float, float]]]:
    """The poster, and the boxes of the large chart and of two or three small ones, in view pixels of the poster."""
    edge = canvas.box(_MARGIN, _MARGIN, canvas.view_width - _MARGIN, canvas.view_height - _MARGIN)
    sheet = lay_sheet(rng, canvas, edge, turn=0.8, tilt=0.006)
    width, height = canvas.view_width - 2 * _MARGIN, canvas.view_height - 2 * _MARGIN
    count, pad, is_mirrored = int(rng.integers(2, 4)), 10, bool(rng.random() < 0.5)
    if width >= height:
        split = round(0.66 * width)
        spans = _spans(pad, height - pad, count, 12)
        boxes = [(pad, pad, split, height - pad), *((split + 14, top, width - pad, bottom) for top, bottom in spans)]
        if is_mirrored:
            boxes = [(width - right, top, width - left, bottom) for left, top, right, bottom in boxes]
    else:
        split = round(0.64 * height)
        spans = _spans(pad, width - pad, count, 12)
        boxes = [(pad, pad, width - pad, split), *((left, split + 14, right, height - pad) for left, right in spans)]
        if is_mirrored:
            boxes = [(left, height - bottom, right, height - top) for left, top, right, bottom in boxes]
    return sheet, [(float(left), float(top), float(right), float(bottom)) for left, top, right, bottom in boxes]


def _spans(start: int, end: int, count: int, gap: int) -> list[tuple[int, int]]:
    length = (end - start - gap * (count - 1)) // count
    return [(start + i * (length + gap), start + i * (length + gap) + length) for i in range(count)]


def _placed(sheet: Sheet, chart: Chart, letter: str, box: tuple[float, float, float, float], em: float) -> ChartPlace:
    left, top, right, bottom = box
    factor = sheet.canvas.factor
    size = (right - left) / em, (bottom - top) / em
    printer = Printer(
        sheet, em * factor, (left * factor, top * factor), faded(_INK, _PAPER) if em == _SMALL_EM else _INK
    )
    return ChartPlace(chart=chart, letter=letter, printer=printer, ink=_INK, width=size[0], height=size[1])


def _paint_poster(around: Place, sheet: Sheet, places: list[ChartPlace], seed: int) -> ImageArray:
    """What is around, the poster, and everything on it but the names."""
    rng = np.random.default_rng(seed)
    draft = Draft(sheet.canvas, around.paint_half())
    factor = sheet.canvas.factor
    draft.shadow(sheet.outline(), blur=4.0 * factor, drop=(factor, 2.0 * factor))
    light = tuple(float(part) for part in rng.uniform(0.95, 1.02, size=4))
    draft.fill(sheet.outline(), _PAPER, light=(light[0], light[1], light[2], light[3]), grain=_SHEET_GRAIN, seed=seed)
    for place in places:
        place.paint(draft)
    scene = draft.scene()
    for place in places[1:]:
        roughen(scene, place.box, rng)
    for place in places:
        place.print_fixed(scene)
    return scene
