"""Measure what a look at the crop is worth in `ledgers`: `python tests/envs/measure_benefits.py`.

The reader of `metis_envs.necessity` sees a noisy, blurred and shifted image of every entry that the answer needs, and
chooses among the entry and all that differ from it in one place. A task is read right if all its entries are. Printed
is how often that is so in the view, in the crop, and the difference, which is the benefit of a tool.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2] / folder) for folder in ("", "envs", "agents")]

from metis_envs.families.ledgers import _MONTHS  # noqa: E402
from metis_envs.necessity import _degraded, _distance  # noqa: E402
from metis_envs.scenes.view import box_view  # noqa: E402
from metis_gym.tasksets import make_taskset  # noqa: E402

_MARGIN = 2


def benefit(kind_of_task: str, tasks: int) -> tuple[float, float]:
    """How often all entries are read right in the view, and in the crop."""
    family = make_taskset("ledgers", split="train", view_size=448, options={"max_source": 1792})
    rng = np.random.default_rng(0)
    hits, seed = [], 0
    while len(hits) < tasks:
        blueprint, brief = family.blueprint(seed)
        seed += 1
        worksheet = blueprint.draw_detail.__self__
        if (worksheet.content.title == "Ledger") == (kind_of_task == "sum"):
            scene = blueprint.paint()
            entries = _asked(blueprint, worksheet)
            hits.append(
                [all(_read(scene, worksheet, one, brief, rng, full) for one in entries) for full in (False, True)]
            )
    view, crop = np.mean(hits, axis=0)
    return float(view), float(crop)


def _asked(blueprint, worksheet):
    """The entries that the first answer needs: a column, or a date."""
    pieces = worksheet.content.varying[0]
    if worksheet.content.title == "Ledger":
        columns = {}
        for piece in pieces:
            columns.setdefault(piece.x, []).append(piece)
        return next(c for c in columns.values() if sum(int(p.text) for p in c) == int(blueprint.answers[0]))
    return pieces[:1]


def _read(scene, worksheet, entry, brief, rng, full):
    factor = brief.canvas.factor
    candidates = [entry, *(replace(entry, text=text) for text in _near(entry.text))]
    left, top, right, bottom = worksheet.printer.parts([[piece] for piece in candidates])[0]
    pad = _MARGIN * factor
    box = slice(max(0, top - pad), bottom + pad), slice(max(0, left - pad), right + pad)
    images = []
    for piece in candidates:
        drawn = scene.copy()
        worksheet.printer.draw(drawn, [piece])
        images.append(drawn[box] if full else box_view(np.ascontiguousarray(drawn[box]), factor))
    shown = _degraded(images[0], rng)
    distances = [_distance(shown, image) for image in images]
    return int(np.argmin(distances)) == 0


def _near(text):
    """All that differ from an entry in one digit, or in the month."""
    found = [text[:i] + digit + text[i + 1 :] for i, old in enumerate(text) if old.isdigit() for digit in "0123456789"]
    found += [text.replace(month, other) for month in _MONTHS if month in text for other in _MONTHS]
    return [other for other in dict.fromkeys(found) if other != text]


def main() -> None:
    """Print the table."""
    for kind in ("sum", "days"):
        view, crop = benefit(kind, 120)
        print(f"{kind}: read right in the view {view:.3f}, in the crop {crop:.3f}; benefit {crop - view:.3f}")


if __name__ == "__main__":
    main()
