"""`timetables`: when something leaves, where the poster only refers to a timetable in its small print.

See `metis_envs.families.printed`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metis_envs.families.candidates import OPEN_ANSWERS
from metis_envs.families.codes import draw_codes, linked_pages
from metis_envs.families.family import Brief
from metis_envs.families.plates import POSTERS
from metis_envs.families.printed import Printed, PrintedFamily
from metis_envs.families.wordings import choose_wording
from metis_envs.world.names import TOWNS, choose

__all__ = ["Timetables"]

_PREFIXES = ("First", "Last")


@dataclass(frozen=True)
class _Line:
    """What leaves: its name, the heads of posters about it, and the days that posters tell apart."""

    vehicle: str
    head: str
    days: tuple[str, str]


_LINES = (
    _Line("ferry", "Ferry to {place}", ("Sundays", "weekdays")),
    _Line("bus", "Bus to {place}", ("Saturdays", "Sundays")),
    _Line("train", "Trains to {place}", ("weekdays", "Sundays")),
    _Line("tram", "Tram to {place}", ("Sundays", "Saturdays")),
    _Line("boat", "Boat to {place}", ("holidays", "weekdays")),
)
_WORDINGS = (
    "When does the {order} {vehicle} leave on {day}?",
    "At what time does the {order} {vehicle} leave on {day}?",
    "What is the time of the {order} {vehicle} on {day}?",
    "On {day}, when does the {order} {vehicle} go?",
    "At what time on {day} can one take the {order} {vehicle}?",
    "For what time is the {order} {vehicle} on {day} set down?",
    "On {day}, at what time does the {order} {vehicle} depart?",
)
_SAID = (
    "On {day} the {order} {vehicle} leaves at {time}.",
    "The {order} {vehicle} on {day} goes at {time}.",
    "Departure of the {order} {vehicle} on {day}: {time}.",
)


class Timetables(PrintedFamily):
    """Times of ferries, buses, trains and trams."""

    name: ClassVar[str] = "timetables"
    generation: ClassVar[int] = 3

    def draw_printed(self, brief: Brief) -> Printed:
        """Draw a line and its times; which timetable is in force, and what it says, is left open."""
        rng, count = brief.rng, brief.choices or OPEN_ANSWERS
        line, order = choose(rng, _LINES), choose(rng, _PREFIXES)
        asked, other = line.days if rng.random() < 0.5 else line.days[::-1]
        times = _times(rng, brief.split, order, 2 * count + 1)
        values, others, rest = times[:count], times[count : 2 * count], times[-1]
        codes = draw_codes(rng, brief.split, count)
        place, year = choose(rng, TOWNS), 2020 + int(rng.random() * 6)
        words = {"order": order.lower(), "vehicle": line.vehicle, "day": asked}

        def say(stream: np.random.Generator, time: str) -> str:
            return choose(stream, _SAID).format(**words, time=time)

        return Printed(
            question=choose_wording(brief, _WORDINGS, **words),
            answers=values,
            styles=POSTERS,
            head=line.head.format(place=place),
            large=tuple(f"{order} on {asked}: {time}" for time in values),
            large_other=f"{order} on {other}: {rest}",
            foot=f"Valid from May {year}",
            fine="All other days: see the timetable named below",
            keys=tuple(f"Timetable {code}" for code in codes),
            small=tuple(f"{order} on {asked}: {time}" for time in values),
            small_other=tuple(f"{'Office closes' if order == 'Last' else 'Office opens'}: {time}" for time in others),
            pages=linked_pages(brief, "timetable", codes, values, say),
            query=lambda key: f"timetable {codes[key]}",
            searched="that timetable",
        )


def _times(rng: np.random.Generator, split: str, order: str, count: int) -> tuple[str, ...]:
    """Different times, in the morning for what leaves first; the minutes tell the splits apart."""
    hours = (5, 11) if order == "First" else (16, 24)
    minutes = ("05", "15", "25", "35", "45", "55") if split == "train" else ("00", "10", "20", "30", "40", "50")
    times: dict[str, None] = {}
    while len(times) < count:
        times[f"{int(rng.integers(*hours)):02d}:{choose(rng, minutes)}"] = None
    return tuple(times)
