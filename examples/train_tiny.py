"""The tiny Qwen3-VL learns when not to use its tool: cold starts × reward designs × grader noise, in one table.

python examples/train_tiny.py --out out/train_tiny            one cold start, accuracy only beside HDPO
python examples/train_tiny.py --out out/train_tiny --table    the whole table of docs/qwen3vl.md, hours on two cores

Each cell is one `metis-gym train`. A run that is stopped goes on when it is started again; finished cells are kept.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

QUICK = ("accuracy", "hdpo:w_tool=0.15")
DESIGNS = ("accuracy", "coupled:alpha=0.05", "coupled:alpha=1,gated=false", "hdpo:w_tool=0.15")
FAILING = ("hdpo:w_tool=0.5", "hdpo:w_tool=1")
SHOWN = ("redundant_rate", "tool_recall", "accuracy_none", "accuracy_required")


def train(out: Path, *arguments: str) -> dict[str, float]:
    """Run `metis-gym train` unless its report is there; the means of the last evaluation."""
    report = out / "report.json"
    if not report.exists():
        resume = ["--resume"] if (out / "checkpoints").is_dir() else []
        command = [sys.executable, "-m", "metis_gym", "train", "--out", str(out), *arguments, *resume]
        print(" ".join(command), flush=True)
        subprocess.run(command, check=True)
    return {name: estimate["mean"] for name, estimate in json.loads(report.read_text()).items()}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/train_tiny"))
    parser.add_argument("--table", action="store_true", help="three cold starts, all designs, both kinds of grader")
    parser.add_argument("--cold-starts", type=int, help="independently trained cold starts (1; with --table 3)")
    parser.add_argument("--designs", nargs="*")
    parser.add_argument("--noise", type=float, nargs="*", help="shares of flipped verdicts (0; with --table 0 and 0.3)")
    parser.add_argument("--threads", default="1")
    given = parser.parse_args()
    seeds = range(given.cold_starts or (3 if given.table else 1))
    designs = given.designs or ((*DESIGNS, *FAILING) if given.table else QUICK)
    noises = given.noise if given.noise is not None else ((0.0, 0.3) if given.table else (0.0,))
    fixed = ("--threads", given.threads, "--share-results", "--evaluate-every", "0", "--samples", "2")

    rows: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        start = given.out / f"cold-{seed}"
        found = train(start, *fixed, "--seed", str(seed), "--batches", "0", "--episodes", "512")
        rows.setdefault("cold start", []).append(found)
        show(rows)
        for noise in noises:
            for design in designs:
                small = ("--cold-start", "0", "--grounding", "0", "--seed", str(seed), "--grader-noise", str(noise))
                name = f"{design.replace(':', '-').replace(',', '-')}-noise{noise:g}-{seed}"
                model = ("--model", str(start / "model"), "--sized", "tiny")
                found = train(given.out / name, *fixed, *model, *small, "--design", design, "--episodes", "512")
                rows.setdefault(f"{design}, {noise:.0%} noise", []).append(found)
                show(rows)
                (given.out / "table.md").write_text(table(rows) + "\n")


def show(rows: dict[str, list[dict[str, float]]]) -> None:
    """Print the table so far."""
    print(table(rows), flush=True)


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """A Markdown table: the mean over cold starts, and each of them."""
    lines = ["| run | " + " | ".join(SHOWN) + " | cold starts |", "|---" * (len(SHOWN) + 2) + "|"]
    for name, found in rows.items():
        cells = []
        for figure in SHOWN:
            values = [100 * report[figure] for report in found]
            each = f" ({', '.join(f'{value:.1f}' for value in values)})" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.1f}{each}")
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {len(found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
