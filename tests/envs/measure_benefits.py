"""Measure what code is worth in `ledgers` to a small network: `python tests/envs/measure_benefits.py`.

The network, two layers of 64 units, is told every digit and has learned from 6000 worksheets to do the arithmetic in
its head; with code it would always be right. Printed is how often it is right without code, for open questions (to the
unit) and for choices (the nearest option), and the difference to 1, which is the benefit of a tool for this network.
It reads perfectly: a real OCR program gained nothing from a crop here.
"""

import datetime
import sys
from pathlib import Path

import numpy as np
from sklearn.neural_network import MLPRegressor

sys.path[:0] = [str(Path(__file__).parents[2] / folder) for folder in ("", "envs", "agents")]

from metis_envs.families import ledgers  # noqa: E402
from metis_envs.families.blueprint import Brief  # noqa: E402
from metis_envs.scenes.canvas import Canvas  # noqa: E402
from metis_gym.records import Necessity  # noqa: E402

TRAIN, TEST, CHOICES = 6_000, 500, 4
_ENTRIES = 8


def worksheets(kind, count, split, seed):
    """Features of what the first answer needs, and the answers of all options; shapes (n, features), (n, 4)."""
    rng = np.random.default_rng(seed)
    brief = Brief(
        rng=rng, canvas=Canvas(448, 448, 4), split=split, necessity=Necessity.UNKNOWN, choices=CHOICES, words=rng
    )
    tasks = [(ledgers._columns if kind == "sum" else ledgers._dates)(brief, CHOICES) for _ in range(count)]
    return np.array([features(task) for task in tasks]), np.array([[int(a) for a in task.answers] for task in tasks])


def features(task):
    """Every digit of the column in unary, or both dates."""
    row = task.content.varying[0]
    if "date" in dict(task.fields):
        places = [piece.text for piece in row]
        asked = next(place for place, text in enumerate(places) if days_to(task, text) == int(task.answers[0]))
        return np.concatenate([dated(places[asked]), dated(dict(task.fields)["date"])])
    columns = {}
    for piece in row:
        columns.setdefault(piece.x, []).append(piece.text)
    column = next(c for c in columns.values() if sum(map(int, c)) == int(task.answers[0]))
    digits = np.zeros((_ENTRIES, 3, 10))
    for place, text in enumerate(column):
        digits[place, np.arange(3), [int(digit) for digit in text]] = 1
    return digits.reshape(-1)


def date_of(text):
    day, month, year = text.split()
    return datetime.date(int(year), ledgers._MONTHS.index(month) + 1, int(day))


def days_to(task, text):
    return (date_of(dict(task.fields)["date"]) - date_of(text)).days


def dated(text):
    date = date_of(text)
    months = np.zeros(12)
    months[date.month - 1] = 1
    return np.array([date.day / 31, (date.year - 1980) / 30, *months])


def benefits(kind):
    """How often the network is right: for open questions, and for choices."""
    (inputs, answers), (held_out, truth) = worksheets(kind, TRAIN, "train", 0), worksheets(kind, TEST, "train", 1)
    mean, spread = answers[:, 0].mean(), answers[:, 0].std()
    network = MLPRegressor(hidden_layer_sizes=(64, 64), random_state=0, max_iter=60, early_stopping=True)
    network.fit(inputs, (answers[:, 0] - mean) / spread)
    guess = network.predict(held_out) * spread + mean
    return float(np.mean(np.rint(guess) == truth[:, 0])), float(
        np.mean(np.abs(truth - guess[:, None]).argmin(axis=1) == 0)
    )


def main() -> None:
    """Print the table."""
    for kind in ("sum", "days"):
        opened, chosen = benefits(kind)
        print(f"{kind}: open {opened:.3f}, benefit {1 - opened:.3f}; choice {chosen:.3f}, benefit {1 - chosen:.3f}")


if __name__ == "__main__":
    main()
