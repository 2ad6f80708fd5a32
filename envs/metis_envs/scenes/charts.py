"""Charts drawn on a sheet: bars and lines with title, unit, axis and names, in any size of print.

Everything but the names is the same for all answers: bars, lines, numbers and ticks agree with each other, and the
names say what is what.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metis_envs.scenes.draft import Draft
from metis_envs.scenes.drawing import Colour
from metis_envs.scenes.prints import Print, Printer
from metis_gym.records import Box, ImageArray

__all__ = ["CHART_COLOURS", "Chart", "ChartPlace"]

CHART_COLOURS: tuple[Colour, ...] = (
    (38, 96, 178),
    (206, 70, 40),
    (46, 140, 80),
    (136, 70, 156),
    (200, 146, 20),
    (84, 84, 88),
)

_AXIS, _GRID = (70, 70, 76), (206, 206, 204)
_TITLE, _UNIT, _TICK, _NAME = 1.12, 0.82, 0.82, 0.92
_LEFT, _TOP, _BOTTOM, _RIGHT = 2.3, 3.6, 2.0, 0.8
_LEGEND = 5.2
_BAR = 0.62
_LINE, _THIN = 0.17, 0.06


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a chart shows.

    Attributes:
        title: Its title.
        unit: What its values are measured in.
        values: For each bar its value; for each line its value at each place.
        names: For each answer the name of each bar or line.
        places: Names of the places along the lower axis; empty for bars.
        top: The highest tick; ticks are at its quarters or fifths.
        ticks: How many.
        printed: Are the values printed above the bars?
    """

    title: str
    unit: str
    values: tuple[tuple[int, ...], ...]
    names: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    top: int
    ticks: int
    printed: bool

    @property
    def is_bars(self) -> bool:
        """Whether the chart has bars; otherwise it has lines."""
        return not self.places


@dataclass(frozen=True, kw_only=True)
class ChartPlace:
    """A chart in its place on a sheet.

    Attributes:
        chart: The chart.
        letter: By which the question names it.
        printer: Sets its text; its origin is the upper left corner.
        ink: Of its letter and title.
        width: Width in em.
        height: Height in em.
    """

    chart: Chart
    letter: str
    printer: Printer
    ink: Colour
    width: float
    height: float

    @property
    def parts(self) -> tuple[Box, ...]:
        """The boxes that the names may touch, on the cells; none overlap."""
        return self.printer.parts([self._names(names) for names in self.chart.names])

    @property
    def box(self) -> Box:
        """All of it, on the cells."""
        left, top = self.printer.origin
        return self.printer.sheet.cells(
            left, top, left + self.width * self.printer.em, top + self.height * self.printer.em
        )

    def paint(self, draft: Draft) -> None:
        """Paint its axes and its bars or lines."""
        thin = max(1.0, _THIN * self.printer.em)
        for tick in range(self.chart.ticks + 1):
            y = self._y(self.chart.top * tick / self.chart.ticks)
            draft.line(self.printer.points([(_LEFT, y), (self._right, y)]), _AXIS if tick == 0 else _GRID, thin)
        for place, values in enumerate(self.chart.values):
            colour = CHART_COLOURS[place % len(CHART_COLOURS)]
            if self.chart.is_bars:
                x, half = self._bar(place), _BAR / 2 * self._step
                top, bottom = self._y(values[0]), self._y(0)
                corners = [(x - half, top), (x + half, top), (x + half, bottom), (x - half, bottom)]
                draft.fill(self.printer.points(corners), colour)
            else:
                line = [(self._point(at), self._y(value)) for at, value in enumerate(values)]
                draft.line(self.printer.points(line), colour, max(1.5, _LINE * self.printer.em))
                mark = [(self._right + 0.5, self._legend(place)), (self._right + 1.5, self._legend(place))]
                draft.line(self.printer.points(mark), colour, max(1.5, _LINE * self.printer.em))

    def print_fixed(self, scene: ImageArray) -> None:
        """Print title, unit, ticks, and the values above bars."""
        chart, bottom = self.chart, self._y(0)
        title = [
            Print(0.2, 0.9, self.letter, "lm", "sans-bold", 1.25),
            Print(1.7, 0.9, chart.title, "lm", "sans-bold", _TITLE),
        ]
        replace(self.printer, ink=self.ink).draw(scene, title)
        pieces = [Print(0.2, 2.5, chart.unit, "lm", "sans", _UNIT)]
        for tick in range(chart.ticks + 1):
            value = chart.top * tick // chart.ticks
            pieces.append(Print(_LEFT - 0.3, self._y(value), str(value), "rm", "sans", _TICK))
        for at, name in enumerate(chart.places):
            pieces.append(Print(self._point(at), bottom + 0.9, name, "mm", "sans", _TICK))
        if chart.printed:
            for place, values in enumerate(chart.values):
                text = str(values[0])
                pieces.append(Print(self._bar(place), self._y(values[0]) - 0.6, text, "mm", "sans-bold", _NAME))
        self.printer.draw(scene, pieces)

    def print_names(self, scene: ImageArray, index: int) -> None:
        """Print the names that one of the answers gives."""
        self.printer.draw(scene, self._names(self.chart.names[index]))

    def _names(self, names: Sequence[str]) -> list[Print]:
        if self.chart.is_bars:
            y = self._y(0) + 0.9
            return [Print(self._bar(place), y, name, "mm", "sans", _NAME) for place, name in enumerate(names)]
        x = self._right + 1.9
        return [Print(x, self._legend(place), name, "lm", "sans", _NAME) for place, name in enumerate(names)]

    @property
    def _right(self) -> float:
        return self.width - (_RIGHT if self.chart.is_bars else _LEGEND)

    @property
    def _step(self) -> float:
        return (self._right - _LEFT) / len(self.chart.values)

    def _bar(self, place: int) -> float:
        return _LEFT + (place + 0.5) * self._step

    def _point(self, at: int) -> float:
        return _LEFT + 0.7 + (self._right - _LEFT - 1.4) * at / (len(self.chart.places) - 1)

    def _legend(self, place: int) -> float:
        return _TOP + 0.8 + 1.45 * place

    def _y(self, value: float) -> float:
        low, high = self.height - _BOTTOM, _TOP + 0.2
        return low - (low - high) * value / self.chart.top
