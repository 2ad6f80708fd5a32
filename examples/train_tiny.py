"""The tiny Qwen3-VL learns when not to use its tool: cold starts × reward designs × grader noise, in one table.

python examples/train_tiny.py --out out/train_tiny            one cold start, accuracy only beside HDPO
python examples/train_tiny.py --out out/train_tiny --table    the whole table of docs/qwen3vl.md, 2.5 CPU hours

Each cell is one `metis-gym train` on one thread; `--jobs` says how many run at a time. A run that is stopped goes on
when it is started again; finished cells are kept.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

QUICK = ("accuracy", "hdpo:w_tool=0.15")
DESIGNS = ("accuracy", "hdpo:w_tool=0.15", "coupled:alpha=0.05", "coupled:alpha=1,gated=false")
TOO_STRONG = ("hdpo:w_tool=0.5", "hdpo:w_tool=1")
FROM_UNIFORM = ("accuracy", "coupled:alpha=0.1", "hdpo:w_tool=0.15")
SHOWN = {
    "redundant_rate": "redundant %",
    "tool_recall": "needed %",
    "accuracy_none": "right, none needed %",
    "accuracy_required": "right, needed %",
    "accuracy": "right %",
    "without_tools_none": "right without tools, none needed %",
}
Figures = dict[str, float]
HABITS: dict[str, tuple[str, ...]] = {
    "cold start": (),
    "uniform cold start": ("--tool-rate-none", "0.98", "--tool-rate-required", "0.98"),
}


@dataclass(frozen=True)
class Cell:
    """One run: a cold start alone, or RL from one.

    Attributes:
        start: Which cold start, a key of HABITS.
        seed: Of the cold start and of RL.
        design: Reward design of RL; empty for the cold start alone.
        noise: Share of the grader's verdicts that are flipped.
    """

    start: str
    seed: int
    design: str = ""
    noise: float = 0.0

    @property
    def row(self) -> str:
        """The row of the table that it belongs to."""
        return f"{self.start}: {self.design}, {self.noise:.0%} noise" if self.design else self.start

    @property
    def folder(self) -> str:
        """Where its run lies."""
        design = self.design.replace(":", "-").replace(",", "-")
        parts = (self.start.replace(" ", "-"), *((design, f"noise{self.noise:g}") if design else ()), str(self.seed))
        return "-".join(parts)

    def arguments(self, out: Path) -> tuple[str, ...]:
        """What `metis-gym train` is asked for."""
        fixed = ("--threads", "1", "--share-results", "--evaluate-every", "0", "--episodes", "512", "--samples", "2")
        seeded = (*fixed, "--out", str(out / self.folder), "--seed", str(self.seed))
        if not self.design:
            return (*seeded, "--batches", "0", *HABITS[self.start])
        start = out / Cell(self.start, self.seed).folder / "model"
        rl = ("--model", str(start), "--sized", "tiny", "--sft-steps", "0")
        return (*seeded, *rl, "--design", self.design, "--grader-noise", str(self.noise))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/train_tiny"))
    parser.add_argument("--table", action="store_true", help="three cold starts, all designs, both kinds of grader")
    parser.add_argument("--cold-starts", type=int, help="independently trained cold starts (1; with --table 3)")
    parser.add_argument("--designs", nargs="*", help="instead of those of the table")
    parser.add_argument("--noise", type=float, nargs="*", help="shares of flipped verdicts (0; with --table 0 and 0.3)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, of one thread each")
    given = parser.parse_args()
    seeds = range(given.cold_starts or (3 if given.table else 1))
    noises = given.noise if given.noise is not None else ((0.0, 0.3) if given.table else (0.0,))
    designs = given.designs or (DESIGNS if given.table else QUICK)
    stages = [
        [Cell("cold start", seed) for seed in seeds],
        [Cell("cold start", seed, design, noise) for design in designs for noise in noises for seed in seeds],
    ]
    if given.table and not given.designs:
        stages += [
            [Cell("cold start", seed, design) for design in TOO_STRONG for seed in seeds],
            [Cell("uniform cold start", seed) for seed in seeds],
            [Cell("uniform cold start", seed, design) for design in FROM_UNIFORM for seed in seeds],
        ]

    given.out.mkdir(parents=True, exist_ok=True)
    found: dict[Cell, Figures] = {}
    with ThreadPoolExecutor(given.jobs) as pool:
        for stage in stages:
            for cell, figures in zip(stage, pool.map(lambda one: run(one, given.out), stage), strict=True):
                found[cell] = figures
                (given.out / "table.md").write_text(table(found) + "\n")
    print("\n" + table(found))


def run(cell: Cell, out: Path) -> Figures:
    """Run `metis-gym train` unless its report is there; the means of its last evaluation."""
    folder = out / cell.folder
    report = folder / "report.json"
    if not report.exists():
        resume = ("--resume",) if (folder / "checkpoints").is_dir() else ()
        command = [sys.executable, "-m", "metis_gym", "train", *cell.arguments(out), *resume]
        with (out / f"{cell.folder}.log").open("a") as log:
            subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
    figures = {name: 100 * estimate["mean"] for name, estimate in json.loads(report.read_text()).items()}
    shown = ", ".join(f"{title} {figures[name]:.1f}" for name, title in SHOWN.items() if name in figures)
    print(f"{cell.row}, seed {cell.seed}: {shown}", flush=True)
    return figures


def table(found: Mapping[Cell, Figures]) -> str:
    """A Markdown table: for each row the mean over its seeds, the 95 % interval of that mean, and every seed."""
    lines = ["| run | " + " | ".join(SHOWN.values()) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    for row in dict.fromkeys(cell.row for cell in found):
        runs = [figures for cell, figures in found.items() if cell.row == row]
        values = [[figures[name] for figures in runs if name in figures] for name in SHOWN]
        lines.append(f"| {row} | " + " | ".join(map(over_seeds, values)) + " |")
    return "\n".join(lines)


def over_seeds(values: Sequence[float]) -> str:
    """The mean, the interval that Student's t gives it if they differ, and the values; a dash for none."""
    if not values:
        return "–"
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.1f}"
    reach = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    each = ", ".join(f"{value:.1f}" for value in values)
    if not reach:
        return f"{mean:.1f} ({each})"
    return f"{mean:.1f} [{max(0.0, mean - reach):.1f}, {min(100.0, mean + reach):.1f}] ({each})"


if __name__ == "__main__":
    main()
