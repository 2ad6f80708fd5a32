"""Measure what a look at the crop is worth in `ledgers`, with tesseract: `python tests/envs/measure_benefits.py`.

The OCR program reads the column or the date that the answer needs, once in the view and once in the source, both
enlarged to the same size of text; the arithmetic is then exact. Printed is how often all of it is read right, and the
difference, which is the benefit of a tool for this reader.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

sys.path[:0] = [str(Path(__file__).parents[2] / folder) for folder in ("", "envs", "agents")]

from metis_envs.scenes.view import box_view  # noqa: E402
from metis_gym.tasksets import make_taskset  # noqa: E402

TASKS = 40
_TEXT = 45


def main() -> None:
    """Print the table."""
    family = make_taskset("ledgers", split="train", view_size=448, options={"max_source": 1792, "answers": "choice"})
    hits: dict[str, list[tuple[bool, bool]]] = {"sum": [], "days": []}
    seed = 0
    while min(map(len, hits.values())) < TASKS:
        blueprint, brief = family.blueprint(seed)
        seed += 1
        worksheet = blueprint.draw_detail.__self__
        kind = "sum" if worksheet.content.title == "Ledger" else "days"
        if len(hits[kind]) < TASKS:
            source, pieces = blueprint.render(0), _asked(blueprint, worksheet, kind)
            box = worksheet.printer.parts([pieces])
            corners = [min(b[0] for b in box), min(b[1] for b in box), max(b[2] for b in box), max(b[3] for b in box)]
            wanted = [re.sub(r"\W", "", piece.text.casefold()) for piece in pieces]
            shown = []
            for image, factor in ((box_view(source, brief.canvas.factor), brief.canvas.factor), (source, 1)):
                left, top, right, bottom = (edge // factor for edge in corners)
                margin = round(0.3 * worksheet.em / factor)
                part = image[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
                shown.append(_read(np.ascontiguousarray(part), worksheet.em / factor) == wanted)
            hits[kind].append((shown[0], shown[1]))
    for kind, found in hits.items():
        view, crop = np.mean(found, axis=0)
        print(f"{kind}: read right in the view {view:.3f}, in the source {crop:.3f}; benefit {crop - view:.3f}")


def _asked(blueprint, worksheet, kind):
    """What the first answer needs: a column, or a date."""
    pieces = worksheet.content.varying[0]
    if kind == "days":
        return pieces[:1]  # all dates are printed alike
    columns = {}
    for piece in pieces:
        columns.setdefault(piece.x, []).append(piece)
    return next(c for c in columns.values() if sum(int(piece.text) for piece in c) == int(blueprint.answers[0]))


def _read(image, em):
    scale = _TEXT / em
    grey = Image.fromarray(image).convert("L")
    grey = grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.BICUBIC)
    if np.median(np.asarray(grey)) < 128:  # chalk: the program expects dark text
        grey = ImageOps.invert(grey)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        grey.save(path)
        command = ["tesseract", str(path), "-", "--psm", "6"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [re.sub(r"\W", "", line.casefold()) for line in done.stdout.splitlines() if line.strip()]


if __name__ == "__main__":
    main()
