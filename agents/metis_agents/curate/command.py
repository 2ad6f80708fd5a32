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


def _add_rl(parser: argparse.ArgumentParser) -> None:
    pass


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"expected I/N such as 1/4, actually: {text!r}")
    return int(number), int(count)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, actually: {text!r}")
    return int(text)
