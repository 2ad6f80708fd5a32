"""Writes what examples/curate_and_train.py found into docs/curation.md, with its figure and its tables.

python tests/curate/draw_example.py out/curated
"""

import csv
import importlib.util
import shutil
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def planted_table(rows):
    """What became of each kind, over all seeds."""
    lines = ["| planted | trajectories | kept | dropped |", "|---|---:|---:|---|"]
    for kind in sorted({row["planted"] for row in rows}):
        mine = [row for row in rows if row["planted"] == kind]
        why = Counter()
        for part in filter(None, "; ".join(row["dropped"] for row in mine).split("; ")):
            reason, _, count = part.rpartition(" ")
            why[reason] += int(count)
        count, kept = (sum(int(row[name]) for row in mine) for name in ("trajectories", "kept"))
        told = ", ".join(f"{reason.replace(': ', ': `')}` {n}" for reason, n in why.most_common())
        lines.append(f"| {kind} | {count} | {kept} | {told} |")
    return "\n".join(lines)


def results_table(example, rows):
    read = [{name: value if name in ("arm",) else float(value) for name, value in row.items()} for row in rows]
    return example.table(read)


def filled(text, name, content):
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    head, rest = text.split(begin)
    return f"{head}{begin}\n{content}\n\n{end}{rest.split(end)[1]}"


def main():
    out = Path(sys.argv[1])
    spec = importlib.util.spec_from_file_location("curate_and_train", ROOT / "examples/curate_and_train.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    results, planted = rows_of(out / "results.csv"), rows_of(out / "planted.csv")
    for source, name in (
        ("results.csv", "curated.csv"),
        ("results.svg", "curated.svg"),
        ("results.png", "curated.png"),
    ):
        shutil.copy(out / source, DOCS / name)
    seeds = len({row["seed"] for row in results})
    spread = f"Mean of {seeds} seeds, Student's 95 % interval and each seed" if seeds > 1 else "One seed"
    said = f"{spread}, in % of 128 test episodes (`tool_calls` and `tool_errors` for each 100):"
    figure = "![Calls and right answers after training on raw, on as few, and on curated trajectories](curated.png)"
    page = DOCS / "curation.md"
    text = filled(page.read_text(), "planted", planted_table(planted))
    page.write_text(filled(text, "results", f"{said}\n\n{results_table(example, results)}\n\n{figure}"))


if __name__ == "__main__":
    main()
