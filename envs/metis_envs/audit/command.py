"""`metis-gym audit`: what gives a taskset's tasks away without looking."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from metis_gym.errors import MissingDependencyError
from metis_gym.registration import FAMILY_IDS
from metis_gym.storage import write_json
from metis_gym.tasksets import make_taskset
from metis_gym.terminal import say

__all__ = ["audit_command"]


def audit_command(argv: Sequence[str]) -> int:
    """Audit a taskset and print the table; 1 if a limit is broken."""
    given = _parser().parse_args(argv)
    try:
        from metis_envs.audit.auditing import audit, available_workers
        from metis_envs.audit.page import write_page
        from metis_envs.audit.probes import PROBES
        from metis_envs.audit.results import Verdict
        from metis_envs.audit.table import as_json, as_table
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("sklearn", "threadpoolctl", "skimage"):
            raise
        raise MissingDependencyError.of("scikit-learn", "envs", "`metis-gym audit`") from error
    report = audit(
        given.taskset,
        tasks=given.tasks,
        words=given.words,
        seed=given.seed,
        split=given.split,
        view_size=given.view_size,
        probes=tuple(given.probes.split(",")) if given.probes else tuple(PROBES),
        workers=given.workers or available_workers(),
        also=_others(given.taskset, given.view_size) if given.docs is not None else (),
        progress=(lambda _line: None) if given.quiet else say,
    )
    say(as_table(report))
    if given.out is not None:
        write_json(given.out, as_json(report))
    if given.docs is not None:
        write_page(report, given.docs)
    return 1 if report.with_verdict(Verdict.BROKEN) else 0


def _others(taskset: str, view_size: int) -> tuple[str, ...]:
    """The built-in families that a taskset does not have, so that a page shows them as well."""
    present = make_taskset(taskset, split="train", view_size=view_size).families
    return tuple(family for family in FAMILY_IDS.values() if family not in present)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym audit",
        description="Probe what gives a taskset's tasks away without looking. Exit code 1: a limit is broken.",
    )
    add = parser.add_argument
    add("taskset", help="such as signs, mixture, signs+sums or my_pkg.tasks:Dots")
    add("--tasks", type=int, default=400, help="tasks of each family (default: %(default)s)")
    add("--words", type=int, default=0, help="tasks of each whose words are looked at (default: 4 times --tasks)")
    add("--seed", type=int, default=0, help="(default: %(default)s)")
    add("--split", default="train", help="train or test (default: %(default)s)")
    add("--view-size", type=int, default=448, help="longest side of the views, pixels (default: %(default)s)")
    add("--probes", default="", help="some probes only, such as necessity,answer (default: all)")
    add("--workers", type=int, default=0, help="processes (default: one for each processor)")
    add("--out", type=Path, help="write the whole report into this file, as JSON")
    add("--docs", type=Path, help="write a page, such as docs/tasks.md, about all built-in families")
    add("--quiet", action="store_true", help="print the table only")
    return parser
