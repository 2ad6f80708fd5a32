"""`metis-gym export`: recorded runs in the forms that other programs read."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metis_gym.errors import MissingDependencyError
from metis_gym.inspect_log import write_inspect_log
from metis_gym.recording import Run
from metis_gym.storage import replacing
from metis_gym.terminal import say
from metis_gym.turns import encodable
from metis_gym.viewer.episodes import EpisodeCard, find_runs, read_episodes

__all__ = ["COLUMNS", "episode_row", "export_command"]

COLUMNS: Mapping[str, str] = {
    "run": "string",
    "number": "int64",
    "task_id": "string",
    "family": "string",
    "necessity": "string",
    "question": "string",
    "options": "list<string>",
    "gold": "string",
    "blind_accuracy": "double",
    "min_calls": "int64",
    "prompt": "string",
    "turns": "list<string>",
    "results": "list<string>",
    "scored": "bool",
    "failure": "string",
    "correct": "bool",
    "answer_score": "double",
    "format_score": "double",
    "tool_calls": "int64",
    "tool_cost": "double",
    "tool_errors": "int64",
    "tokens": "int64",
    "truncated": "bool",
    "reward": "double",
    "reward_components": "string",
}
"""Column of the table → its type. What is not known is null; `results` has one JSON text for each call."""


_FILES = {"inspect": "episodes.eval", "parquet": "episodes.parquet"}


def export_command(argv: Sequence[str]) -> int:
    """Write a run as a file of another form."""
    given = _parser().parse_args(argv)
    run = Path(given.run)
    out = given.out or run / _FILES[given.format]
    if given.format == "inspect":
        agents = {str(Run(folder).notes.get("agent", "")) for folder in find_runs(run)}
        agent = agents.pop() if len(agents) == 1 else ""
        count = write_inspect_log(read_episodes(run), out, name=run.resolve().name, agent=agent)
    else:
        rows = [episode_row(card) for card in read_episodes(run)]
        _write_parquet(rows, out)
        count = len(rows)
    say(f"{count} episode{'s' * (count != 1)}: {out}")
    return 0


def episode_row(card: EpisodeCard) -> dict[str, Any]:
    """An episode as a row with the columns of `COLUMNS`; images are left out."""
    task, outcome = card.task, card.outcome
    known = {} if outcome is None else {name: getattr(outcome, name) for name in _OF_OUTCOME}
    told = {} if task is None else {name: getattr(task, name) for name in _OF_TASK}
    row = {
        "run": card.run,
        "number": card.number,
        "task_id": card.task_id,
        "family": card.family,
        "necessity": card.necessity.value,
        "gold": None if task is None else task.gold.value,
        "prompt": card.prompt,
        "turns": [turn.action for turn in card.turns],
        "results": [_result(result) for turn in card.turns for result in turn.results],
        "failure": card.failure,
        "correct": None if outcome is None else outcome.truly_correct,
        "reward": card.reward,
        "reward_components": json.dumps(dict(card.components)),
        **known,
        **told,
    }
    return {name: _clean(row.get(name)) for name in COLUMNS}


_OF_OUTCOME = (
    "scored",
    "answer_score",
    "format_score",
    "tool_calls",
    "tool_cost",
    "tool_errors",
    "tokens",
    "truncated",
)
_OF_TASK = ("question", "options", "blind_accuracy", "min_calls")


def _result(result: Any) -> str:
    said = {"name": result.name, "status": result.status.value, "output": result.output, "errors": result.errors}
    return json.dumps({**said, "images": len(result.images)}, ensure_ascii=False)


def _clean(value: Any) -> Any:
    """Text that can be written: lone surrogates are replaced."""
    if isinstance(value, str):
        return encodable(value)
    return [encodable(one) for one in value] if isinstance(value, list | tuple) else value


def _write_parquet(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write the rows whole or not at all.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError.of("pyarrow", "data", "Writing a parquet file") from error
    types = {"list<string>": pyarrow.list_(pyarrow.string()), "double": pyarrow.float64(), "bool": pyarrow.bool_()}
    types |= {"string": pyarrow.string(), "int64": pyarrow.int64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    with replacing(out) as part:
        parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), part)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="metis-gym export", description="Write a recorded run for other programs.")
    forms = "parquet: a table with a row for each episode; inspect: a log that `inspect view` opens, with images"
    parser.add_argument("format", choices=tuple(_FILES), help=forms)
    parser.add_argument("run", type=Path, metavar="RUN", help="a recording, or a folder that holds some")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file (default: in the run)")
    return parser
