"""Writes the report and the picture of docs/curation.md: `python tests/curate/draw_page.py`.

Two made-up sources with planted faults, a coin as the base model, and a judge that reads its verdict in the question.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

from metis_agents.curate.command import curate_command
from tests.curate.corpus import Row, cheap_faults, clean, encoded, picture, write_jsonl
from tests.curate.players import judge
from tests.curate.test_execute import DROPPED

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- report: begin -->\n", "<!-- report: end -->"
WAYS = "\nA. blue\nB. red\nC. green\nD. grey"


def first_source():
    rows = [row.chat() for row in clean(90)]
    rows += [fault for stage, _, fault in cheap_faults() if stage != "read"]
    for number in range(12):
        rows += [
            row.but(question=f"Planted {name} {number}?").chat() for name, row in DROPPED.items() if name != "timeout"
        ]
    easy = [
        Row(300 + n, question=f"How easy is it to see thing {n}?{WAYS}").chat() | {"answer": "B"} for n in range(14)
    ]
    words = ("rationale", "coherence", "visual_relevance", "visual_relevance and fails rationale")
    judged = [Row(400 + n, question=f"Thing {n}? It fails {words[n % 4]}.").chat() for n in range(16)]
    return rows + easy + judged


def second_source():
    rows = [row.chat() for row in clean(50, start=100, dialect="deepeyes_v2")]
    again = [row.but(images=[encoded(picture(row.seed), "JPEG", quality=60)]).chat() for row in clean(15)]
    return rows + again + [fault for stage, _, fault in cheap_faults() if stage == "read"]


def main():
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, judge() as stub:
        os.chdir(folder)
        os.mkfifo("pipe.png")
        write_jsonl(Path("first.jsonl"), first_source())
        write_jsonl(Path("second.jsonl"), second_source())
        words = ["--agent", "tests.curate.players:Coin:p=0.02", "--seconds", "2"]
        words += ["--judge", f'openai:model=judge,base_url="{stub.url}",attempts=2', "--workers", "2"]
        curate_command(["sft", "first.jsonl", "second.jsonl", "out", *words])
        report = Path("out/report.md").read_text()
        shutil.copy("out/waterfall.png", DOCS / "curation.png")
        os.chdir(before)
    report = report.replace("waterfall.png", "curation.png")
    report = (
        re.sub(r"\[(\d)\]\(samples[^)]*\)", r"\1", report)
        .replace("\n## ", "\n### ")
        .replace("# Curated", "### Curated")
    )
    page = DOCS / "curation.md"
    text = page.read_text()
    head, rest = text.split(BEGIN)
    page.write_text(head + BEGIN + "\n" + report + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
