"""`metis-gym curate sft | rl | merge | explain`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from metis_agents.curate.curating import curate, dry_run
from metis_agents.curate.explain import explain
from metis_agents.curate.merging import merge
from metis_agents.curate.options import Options
from metis_agents.curate.stages.direct import READINGS
from metis_gym.terminal import say

__all__ = ["curate_command"]

UNDECIDED = 3
"""The exit code while anything is undecided."""
_INTERRUPTED = 130


def curate_command(argv: Sequence[str]) -> int:
    """Curate training data, join shards, or explain the verdicts on a sample."""
    given = _parser().parse_args(argv)
    if given.job == "explain":
        say(explain(given.out, given.id))
        return 0
    if given.job == "merge":
        *shards, out = given.folders
        return _ended(merge([Path(shard) for shard in shards], Path(out), workers=given.workers, say=say))
    options = _options(given)
    if given.dry_run:
        dry_run(options, Path(given.out), given.dry_run, workers=given.workers, say=say)
        return 0
    try:
        return _ended(curate(options, Path(given.out), workers=given.workers, say=say))
    except KeyboardInterrupt:
        say(f"stopped. What was decided is kept in {given.out}: the same command goes on.", stream=sys.stderr)
        return _INTERRUPTED


def _ended(undecided: int) -> int:
    if undecided:
        say(f"{undecided:,} samples are undecided: the same command tries them again")
    return UNDECIDED if undecided else 0


def _options(given: argparse.Namespace) -> Options:
    """The options that decide what comes out, as they are kept beside it."""
    names = Options.__dataclass_fields__
    values = {name: value for name, value in vars(given).items() if name in names and value is not None}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Options(**{**values, "kind": given.job, "inputs": tuple(given.inputs)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="metis-gym curate", allow_abbrev=False, description=__doc__)
    jobs = parser.add_subparsers(dest="job", required=True, metavar="JOB")
    sft = jobs.add_parser("sft", allow_abbrev=False, help="filter trajectories for supervised fine-tuning")
    rl = jobs.add_parser("rl", allow_abbrev=False, help="filter prompts for reinforcement learning")
    for job in (sft, rl):
        _add_reading(job)
        _add_asking(job)
    _add_sft(sft)
    _add_rl(rl)
    joined = jobs.add_parser("merge", allow_abbrev=False, help="join the ledgers of all shards")
    joined.add_argument("folders", nargs="+", metavar="SHARD… OUT", help="folders of all shards, then the new one")
    _add_workers(joined)
    told = jobs.add_parser("explain", allow_abbrev=False, help="print all verdicts on a sample")
    told.add_argument("out", type=Path, metavar="OUT", help="the folder of a curation")
    told.add_argument("id", metavar="ID", help="the sample's id, or the beginning of it")
    return parser


def _add_reading(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IN", help="files, folders of files, recorded runs; the first has priority")
    add("out", metavar="OUT", help="folder for the results; the same command goes on where it was stopped")
    add("--format", help="the form of rows, if it is not found out by their columns")
    add("--images", dest="image_root", metavar="DIR", help="where relative paths of images begin")
    add("--allow-outside", action="store_true", help="follow paths of images that lead out of that folder")
    add("--source-dialect", help="what the trajectories are written in, if it is not found out by their tags")
    add("--max-pixels", type=int, help="largest image (default: 50,000,000)")
    add("--shard", type=_shard, metavar="I/N", help="take the I-th of N shards; `curate merge` joins them")
    add("--seed", type=int, help="of what is drawn at random (default: 0)")
    add("--dry-run", type=int, metavar="N", default=0, help="try N rows, and say what all would take")
    _add_workers(parser)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    default = os.cpu_count() or 1
    parser.add_argument(
        "--workers", type=_positive, default=default, help="processes and threads (default: %(default)s)"
    )


def _add_sft(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--dialect", help="what is written: a dialect, or source for each trajectory's own (default: metis)")
    add("--check-answers", choices=("built-in", "all", "none"), help="whose final answers are graded")
    add("--no-execute", dest="execute", action="store_false", default=None, help="do not run code again")
    add("--seconds", type=float, help="most seconds of one run of code (default: 20)")
    add("--missing", choices=("undecided", "drop"), help="if the sandbox lacks a library (default: undecided)")
    add("--repair", action="store_true", help="keep trajectories whose results differ, with those of the new run")
    add("--agent", help="the base model, which is asked without tools, such as openai:model=NAME,base_url=URL")
    add("--direct", choices=READINGS, help="when that counts as answered (default: above_chance)")
    add("--direct-tries", dest="rollouts", type=int, metavar="K", help="how often it is asked (default: 8)")
    add("--direct-applies", choices=("calls", "all"), help="which trajectories are asked about (default: calls)")
    add("--judge-sample", type=int, metavar="N", help="write so many judged samples for people to judge as well")


def _add_rl(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--agent", help="the policy to be trained, such as qwen3vl:model=runs/sft or openai:model=NAME,base_url=URL")
    add("--tools", nargs="+", metavar="TOOL", help="what it may call (default: the environment's choice)")
    add("--rollouts", type=int, metavar="N", help="for each prompt (default: 8)")
    add("--retry-never", type=int, metavar="N", help="further ones where none was right (default: 0)")
    add("--direct-rollouts", type=int, metavar="N", help="without tools, to measure their worth (default: 0)")
    add("--rate", type=_rate, metavar="LOW..HIGH", help="shares of right rollouts that stay (default: all but 0 and 1)")
    add("--drop-suspect", action="store_true", help="drop prompts whose right answer most rollouts contradict")


def _add_asking(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--agent-dialect", metavar="DIALECT", help="what the agent writes and reads (default: its own)")
    add("--judge", help="a judge behind a chat interface, such as openai:model=NAME,base_url=URL")
    add("--grader", help="what compares answers (default: cascade)")
    add("--sandbox", help="where code runs (default: auto)")
    add("--against", nargs="+", metavar="NAME:path=…", help="benchmarks that nothing may be taken from")


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"expected I/N such as 1/4, actually: {text!r}")
    return int(number), int(count)


def _rate(text: str) -> tuple[float, float]:
    low, dots, high = text.partition("..")
    try:
        return float(low), float(high if dots else "x")
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LOW..HIGH such as 0.1..0.9, actually: {text!r}") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, actually: {text!r}")
    return int(text)
