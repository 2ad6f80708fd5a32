"""What does training on curated trajectories do, beside training on all of them? A recorded run of our own, end to end.

python examples/curate_and_train.py --out out/curated

A scripted agent with planted faults is recorded on the suite's `patches`: redundant calls, code that fails, calls whose
result is of no use, wrong answers, guesses, copies. `metis-gym curate sft` filters the run, with a tiny Qwen3-VL that
answers without tools as the base model and a stand-in for the judge, which measures whether each crop shows the marked
patch. Then the same base model learns from all trajectories (raw), from as many of them drawn at
random as the curation kept (as few), and from the curated ones; each is evaluated on the same test tasks.

With --rl, what learned from curated trajectories goes on: prompts are recorded, `metis-gym curate rl` keeps those that
it solves sometimes, and it learns from them by HDPO; `rl.csv` says how it plays before and after.

Everything is written below --out: `results.csv`, `planted.csv`, `results.svg` and `results.png`. The command goes on
where it was stopped.
"""

import argparse
import base64
import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from metis_agents.agents import make_agent
from metis_agents.chat.stub import Stub
from metis_agents.chat.stub_replies import Reply, completion
from metis_agents.curate.formats.sources import Reading, SourceRows, find_sources
from metis_agents.curate.output import trajectory_row
from metis_agents.curate.tables import trajectory_schema, write_tables
from metis_agents.evaluate import evaluate
from metis_agents.plotting import INK, MUTED, figure, image, tidy
from metis_agents.scripted import NeverToolAgent, ScriptedAgent
from metis_gym.images import decode
from metis_gym.records import Necessity, Task, ToolCall
from metis_gym.storage import write_atomically, write_json
from metis_gym.tools.crop_code import crop_call

# Settings: written down before the runs of the figure. Trials before them trained the base model, which stayed, curated
# one run (seed 100), and measured how long training takes; none of them was evaluated after training on trajectories.
BASE_SEED, SEEDS = 100, (0, 1, 2, 3, 4)
VIEW, SOURCE = 64, 1_024
EPISODES, COPIES = 700, 80
ENV = {"taskset": "patches", "view_size": VIEW, "max_source": SOURCE, "answers": "choice"}
DIRECT: Mapping[str, Any] = {"tools": (), "dialect": "metis:tool_images=view", "required_share": 0.0}
"""The base model learns from tasks that need no tool, and is told of none: as it is asked by the stage `direct`."""
FEW, MORE = 1_000, 2_500
SEES = ("--grounding-steps", "800", "--grounding-images", "8000", "--sft-steps", "300", "--episodes", "64")
BASE = ("--grounding-steps", "0", "--sft-steps", "600", "--episodes", "64")
STEPS = 250
ARM = ("--grounding-steps", "0", "--sft-batch", "8", "--episodes", "128")
SHARES: Mapping[Necessity, Mapping[str, float]] = {
    Necessity.NONE: {"redundant": 0.6, "direct": 0.25, "failing": 0.05, "elsewhere": 0.05, "wrong": 0.05},
    Necessity.REQUIRED: {"needed": 0.75, "guess": 0.1, "failing": 0.05, "elsewhere": 0.05, "wrong": 0.05},
}
"""What the recorded agent does where no tool is needed, and where one is."""
PROMPTS = 96
RL = ("--sized", "tiny", "--sft-steps", "0", "--batches", "10", "--evaluate-every", "0", "--episodes", "16")
ARMS = ("raw", "as few", "curated")
SHOWN = {"redundant_rate": "calls where none is needed", "tool_recall": "calls where one is needed"}
SHOWN |= {"accuracy_none": "right, none needed", "accuracy_required": "right, one needed"}
METRICS = (*SHOWN, "accuracy", "tool_calls", "tool_errors")


class Sloppy(ScriptedAgent):
    """Looks at the marked patch and answers right, with planted faults.

    Attributes:
        played: What it did in each episode, in order.
    """

    name = "sloppy"

    def __init__(self) -> None:
        self.played: list[str] = []

    def brief(self, task: Task) -> None:
        """Draw what it does in this episode."""
        shares = SHARES[task.necessity]
        self._kind = str(self._rng.choice(list(shares), p=list(shares.values())))
        self.played.append(f"{self._kind}, {'none' if task.necessity is Necessity.NONE else 'one'} needed")
        super().brief(task)

    def _plan(self, task: Task, rng: np.random.Generator) -> tuple[ToolCall, ...]:
        if self._kind in ("direct", "guess"):
            return ()
        box = task.region or (0, 0, SOURCE, SOURCE)
        if self._kind == "elsewhere":
            side = box[2] - box[0]
            places = [(x, y) for x in range(0, SOURCE, side) for y in range(0, SOURCE, side)]
            far = [place for place in places if max(abs(place[0] - box[0]), abs(place[1] - box[1])) > side]
            left, top = far[int(rng.integers(len(far)))]
            box = (left, top, left + side, top + side)
        look = crop_call(box, (VIEW, VIEW))
        if self._kind == "failing":
            code = str(look.arguments["code"]).replace("crop", "corp")
            return ToolCall(name="python", arguments={"code": code}), look
        return (look,)

    def _choose(self, task: Task, rng: np.random.Generator) -> str:
        right = task.gold.value
        others = [letter for letter in "ABCDEFGH"[: len(task.options)] if letter != right]
        if self._kind == "wrong":
            return str(rng.choice(others))
        return str(rng.choice([right, *others])) if self._kind == "guess" else right


def measuring_judge(body: Mapping[str, Any]) -> Reply:
    """Stands in for a judge: finds the black frame in the image that it is shown, and compares it with each crop."""
    parts = body["messages"][-1]["content"]
    text = "".join(part.get("text", "") for part in parts)
    url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    column, row = framed_place(decode(base64.b64decode(url.partition(",")[2])))
    boxes = [tuple(map(int, numbers)) for numbers in re.findall(r"c(?:ro|or)p\(\((\d+), (\d+), (\d+), (\d+)\)\)", text)]
    side = SOURCE // 4
    sees = all((left // side, top // side) == (column, row) for left, top, _, _ in boxes)
    return completion(json.dumps({"visual_relevance": sees, "coherence": True, "rationale": True}))


def framed_place(view: np.ndarray[Any, Any]) -> tuple[int, int]:
    """Column and row of the place, of 4 × 4, whose edge is the darkest."""
    side = VIEW // 4
    padded = np.pad(view.astype(float).max(axis=2), 1, constant_values=np.nan)

    def edge(column: int, row: int) -> float:
        area = padded[row * side : (row + 1) * side + 2, column * side : (column + 1) * side + 2].copy()
        area[1:-1, 1:-1] = np.nan
        return float(np.nanmean(area))

    return min(((x, y) for x in range(4) for y in range(4)), key=lambda place: edge(*place))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/curated"), help="where all is written")
    parser.add_argument("--rl", action="store_true", help="go on with prompts and RL, from the first seed only")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="default: %(default)s")
    parser.add_argument("--sft-steps", type=int, default=STEPS, help="of each training (default: %(default)s)")
    given = parser.parse_args()
    suffix = "" if given.sft_steps == STEPS else f"-{given.sft_steps}-steps"
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    planted: list[dict[str, Any]] = []
    base = make_base(given.out)
    for seed in given.seeds:
        folder = given.out / f"seed{seed}"
        found, became = one_seed(folder, base, seed, given.sft_steps, suffix)
        rows += found
        planted += became
        write_csv(given.out / f"results{suffix}.csv", rows)
        write_csv(given.out / "planted.csv", planted)
        for form in ("svg", "png"):
            write_atomically(given.out / f"results{suffix}.{form}", draw(rows, form))
    print(table(rows))
    if given.rl:
        write_csv(given.out / "rl.csv", reinforced(given.out / f"seed{given.seeds[0]}", given.seeds[0]))


def make_base(out: Path) -> Path:
    """The base model: it learns to see, then to answer at once, from few answers and then from more."""
    record(out / "few_answers", BASE_SEED, FEW, NeverToolAgent(), **DIRECT)
    train(out / "sees", BASE_SEED, "--model", "tiny", *SEES, "--sft-data", str(out / "few_answers" / "000"))
    record(out / "answers", BASE_SEED + 1, MORE, NeverToolAgent(), **DIRECT)
    sized = ("--model", str(out / "sees" / "model"), "--sized", "tiny")
    train(out / "base", BASE_SEED, *sized, *BASE, "--sft-data", str(out / "answers" / "000"))
    return out / "base"


def one_seed(
    folder: Path, base: Path, seed: int, steps: int, suffix: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Record, curate, train and evaluate with one seed; what is there already is not done again."""
    folder.mkdir(exist_ok=True)
    for name, count in (("run", EPISODES), ("copies", COPIES)):
        record(folder / name, seed, count, Sloppy())
    curate(folder, base)
    data = {"raw": folder / "raw", "as few": folder / "as_few", "curated": folder / "sft"}
    kept = sum(line["kept"] for line in became_of(folder))
    write_raw(folder, data["raw"], count=None, seed=seed)
    write_raw(folder, data["as few"], count=kept, seed=seed)
    sizes = {"raw": EPISODES + COPIES, "as few": kept, "curated": kept}
    rows: list[dict[str, Any]] = []
    for arm in ARMS:
        out = folder / f"trained_{data[arm].name}{suffix}"
        words = ("--model", str(base / "model"), "--sized", "tiny", "--sft-steps", str(steps), *ARM)
        train(out, seed, *words, "--sft-data", str(data[arm]))
        report = json.loads((out / "report.json").read_text())
        rows.append({"seed": seed, "arm": arm, "trajectories": sizes[arm]})
        rows[-1] |= {name: round(100 * report[name]["mean"], 2) for name in METRICS}
    return rows, became_of(folder)


def reinforced(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Prompts, those that are solved sometimes, RL on them; how the model plays before and after."""
    before, after = folder / "trained_sft", folder / "trained_rl"
    record(folder / "prompts", 1_000 + seed, PROMPTS, NeverToolAgent())
    if not (folder / "rl" / "report.json").exists():
        asked = ("--agent", f'qwen3vl:model="{before}"')
        command("curate", "rl", str(folder / "prompts"), str(folder / "rl"), *asked, log=folder / "rl.log")
    kept = f'parquet:path="{folder / "rl" / "data-00000.parquet"}"'
    train(after, seed, "--model", str(before / "model"), *RL, env={"taskset": kept, "view_size": VIEW})
    rows = []
    for name, out in (("curated trajectories", before), ("and curated prompts", after)):
        agent = make_agent(f'qwen3vl:model="{out}"')
        report = evaluate(agent, "MetisVQA-v0", 128, seed, progress=False, **ENV)
        metrics = {metric: round(100 * report.metrics[metric].mean, 2) for metric in METRICS}
        rows.append({"seed": seed, "learned from": name, **metrics})
    return rows


def once(step: Callable[[Path], None], out: Path) -> None:
    """Do a step that writes a folder, unless the folder is there: it appears whole or not at all."""
    if out.exists():
        return
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    start = time.perf_counter()
    step(part)
    part.rename(out)
    print(f"{out}: {time.perf_counter() - start:.0f} s", flush=True)


def record(out: Path, seed: int, episodes: int, agent: Any, **env: Any) -> None:
    """Record an agent on training tasks; copies are the first episodes once more."""

    def play(part: Path) -> None:
        evaluate(agent, "MetisVQA-v0", episodes, seed, record=part, progress=False, split="train", **ENV, **env)
        if isinstance(agent, Sloppy):
            write_json(part / "planted.json", agent.played)

    once(play, out)


def train(out: Path, seed: int, *words: str, env: Mapping[str, Any] = ENV) -> None:
    """One `metis-gym train` on one thread: SFT or RL, and an evaluation."""

    def learn(part: Path) -> None:
        told = [word for name, value in env.items() for word in (f"--{option(name)}", str(value))]
        batches = () if "--batches" in words else ("--batches", "0")
        fixed = ["--threads", "1", *batches, "--samples", "0", "--seed", str(seed), *told]
        command("train", "--out", str(part), *fixed, *words, log=out.with_suffix(".log"))

    once(learn, out)


def option(name: str) -> str:
    """The flag of an argument of the environment."""
    return name if name == "taskset" else f"env.{name.replace('_', '-')}"


def curate(folder: Path, base: Path) -> None:
    """Curate the run and its copies; the command goes on by itself where it was stopped."""
    if (folder / "sft" / "report.json").exists():
        return
    inputs = [str(folder / "run"), str(folder / "copies")]
    with Stub(measuring_judge) as judge:
        asked = ["--judge", f'openai:model=measuring,base_url="{judge.url}"', "--agent", f'qwen3vl:model="{base}"']
        command("curate", "sft", *inputs, str(folder / "sft"), *asked, log=folder / "sft.log")


def command(*words: str, log: Path) -> None:
    """Run `metis-gym` on one thread."""
    single = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    workers = ("--workers", "1") if words[0] in ("curate", "train") else ()
    with log.open("a") as stream:
        ran = [sys.executable, "-m", "metis_gym", *words, *workers]
        subprocess.run(ran, check=True, stdout=stream, stderr=subprocess.STDOUT, env={**os.environ, **single})


def write_raw(folder: Path, out: Path, *, count: int | None, seed: int) -> None:
    """The recorded trajectories as they are, or so many of them, drawn at random, in the form of curated ones."""

    def write(part: Path) -> None:
        part.mkdir()
        sources = find_sources([str(folder / "run"), str(folder / "copies")], Reading())
        samples = [rows.sample(row) for rows in map(SourceRows, sources) for row in range(len(rows))]
        if count is not None:
            chosen = np.random.default_rng(seed).choice(len(samples), size=count, replace=False)
            samples = [samples[place] for place in sorted(chosen)]
        write_tables(part, [(trajectory_schema(), (trajectory_row(sample, "source") for sample in samples))])

    once(write, out)


def became_of(folder: Path) -> list[dict[str, Any]]:
    """What became of each kind of planted trajectory: how many there were, how many stayed, and why others went."""
    lost = {
        (Path(line["source"]).parts[-2], line["row"]): f"{line['stage']}: {line['reason']}"
        for line in map(json.loads, (folder / "sft" / "dropped.jsonl").read_text().splitlines())
    }
    kinds: dict[str, Counter[str]] = {}
    for name in ("run", "copies"):
        for row, kind in enumerate(json.loads((folder / name / "planted.json").read_text())):
            kinds.setdefault(kind if name == "run" else "a copy", Counter())[lost.get((name, row), "kept")] += 1
    return [
        {
            "seed": folder.name.removeprefix("seed"),
            "planted": kind,
            "trajectories": found.total(),
            "kept": found["kept"],
            "dropped": "; ".join(f"{why} {count}" for why, count in found.most_common() if why != "kept"),
        }
        for kind, found in sorted(kinds.items())
    ]


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as a table, whole or not at all."""
    lines: list[str] = []

    class Lines:
        def write(self, text: str) -> None:
            lines.append(text)

    writer = csv.DictWriter(Lines(), fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, "".join(lines).encode())


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and how far Student's 95 % interval reaches; 0 with one value."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5


def draw(rows: Sequence[Mapping[str, Any]], form: str) -> bytes:
    """The figure: for each metric and each kind of training data the mean, its interval, and every seed."""
    drawn = figure(11.0, 3.6)
    colours = dict(zip(ARMS, (MUTED, "#e69f00", "#0072b2"), strict=True))
    for axes, (metric, title) in zip(drawn.subplots(1, len(SHOWN), sharey=True), SHOWN.items(), strict=True):
        for place, arm in enumerate(ARMS):
            values = [row[metric] for row in rows if row["arm"] == arm]
            mean, reach = interval(values)
            axes.errorbar(place, mean, yerr=reach, fmt="o", color=colours[arm], capsize=4, markersize=7)
            axes.scatter([place + 0.22] * len(values), values, s=14, color=colours[arm], alpha=0.6)
            axes.text(place - 0.12, mean, f"{mean:.0f}", ha="right", va="center", fontsize=9, color=INK)
        axes.set_title(title, fontsize=10, color=INK)
        axes.set_xticks(range(len(ARMS)), ARMS)
        axes.set_xlim(-0.6, len(ARMS) - 0.4)
        axes.set_ylim(-3, 103)
        tidy(axes)
    drawn.axes[0].set_ylabel("% of test episodes")
    seeds = len({row["seed"] for row in rows})
    drawn.supxlabel(
        f"trained on trajectories that are …   (mean and Student's 95 % interval, {seeds} seeds)",
        fontsize=9,
        color=MUTED,
    )
    drawn.tight_layout()
    return image(drawn, form)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table."""
    lines = ["| trained on | trajectories | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 2) + "|"]
    for arm in ARMS:
        mine = [row for row in rows if row["arm"] == arm]
        cells = []
        for metric in METRICS:
            mean, reach = interval([row[metric] for row in mine])
            each = ", ".join(f"{row[metric]:.0f}" for row in mine)
            cells.append(f"{mean:.1f} ± {reach:.1f} ({each})")
        lines.append(f"| {arm} | {statistics.fmean(row['trajectories'] for row in mine):.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
