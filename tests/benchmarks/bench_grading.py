"""Speed of grading, beside `math-verify` in the same process and run.

python tests/benchmarks/bench_grading.py
"""

import itertools
import logging
import statistics
import time
from collections.abc import Callable

from math_verify import parse, verify

from metis_gym.grading import CascadeGrader
from metis_gym.grading.latex import LatexWorker
from metis_gym.records import AnswerKind, GoldAnswer, Task

GRADER = CascadeGrader()
OPTIONS = ("Chile", "China", "Canada", "Denmark")


def task(gold: str, kind: AnswerKind = AnswerKind.AUTO, options: tuple[str, ...] = ()) -> Task:
    """A task with this gold answer."""
    gold_answer = GoldAnswer(value=gold, kind=kind)
    return Task(task_id="t", family="f", question="Which?", images=(), gold=gold_answer, options=options)


def microseconds(run: Callable[[int], object], repeats: int) -> float:
    """Median of five rounds of CPU time for one run, which is given its number."""
    numbers = itertools.count()
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(repeats):
            run(next(numbers))
        rounds.append(1e6 * (time.process_time() - start) / repeats)
    return statistics.median(rounds)


def row(what: str, ours: float, theirs: float | None) -> None:
    """Print one line of the table."""
    ratio = "" if theirs is None else f"{theirs / ours:.1f}"
    compared = "" if theirs is None else f"{theirs:.0f}"
    print(f"| {what:<44} | {ours:>8.0f} | {compared:>11} | {ratio:>5} |")


def math_verify(answer: str, gold: str) -> bool:
    """As its readme says, without time limits."""
    return bool(verify(parse(gold, parsing_timeout=None), parse(answer, parsing_timeout=None), timeout_seconds=None))


def main() -> None:
    """Print the table. Every answer is a new text, so that no cache of answers helps."""
    logging.disable(logging.WARNING)
    print("| pair | µs | math-verify | ratio |\n|---|---|---|---|")
    cases = [
        ("number, right: 12{n}.0", "12{n}.0", "12{n}", AnswerKind.NUMBER),
        ("number, wrong", "{n}7", "{n}8", AnswerKind.NUMBER),
        ("number with a unit: 12{n} cm^2", "12{n} cm^2", "12{n} cm²", AnswerKind.AUTO),
        ("text, right", "Halden Street {n}", "halden street {n}", AnswerKind.TEXT),
        ("text, wrong", "Halden Street {n}", "Dunfield Lane {n}", AnswerKind.TEXT),
        ("sentence", "The answer is **{n}1**.", "{n}1", AnswerKind.AUTO),
    ]
    for what, answer, gold, kind in cases:

        def ours(n: int, answer: str = answer, gold: str = gold, kind: AnswerKind = kind) -> object:
            return GRADER.grade(answer.format(n=n), task(gold.format(n=n), kind))

        def theirs(n: int, answer: str = answer, gold: str = gold) -> object:
            return math_verify(answer.format(n=n), gold.format(n=n))

        row(what, microseconds(ours, 2000), microseconds(theirs, 40))
    row("choice by text", microseconds(lambda n: GRADER.grade("Canada", task("C", options=OPTIONS)), 2000), None)

    worker = LatexWorker()
    worker.compare("$x$", "$x$")
    wall = time.perf_counter()
    for n in range(20):
        worker.compare(rf"$\frac{{{n}}}{{3}}x$", rf"$\frac{{{2 * n}}}{{6}}x$")
    wall = 1e6 * (time.perf_counter() - wall) / 20
    start = time.perf_counter()
    for n in range(20, 40):
        math_verify(rf"$\frac{{{n}}}{{3}}x$", rf"$\frac{{{2 * n}}}{{6}}x$")
    row("LaTeX, in a fork with limits (wall clock)", wall, 1e6 * (time.perf_counter() - start) / 20)
    worker.close()


if __name__ == "__main__":
    main()
