"""Does a test notice a mistake? Plays each small mistake of a module against the tests that reach the changed function.

    python tests/mutation/run.py env        # or rewards, loss; `make mutants` does all three
    python tests/mutation/run.py loss --only Cispo

The tests are collected once. Each mutant is a fork of that process in which the code of one function is exchanged, so
that nothing is imported again; it ends at the first test that fails. A mutant that survives shows a property that no
test holds, or has a reason in `reasons.toml`. What a module does while it is imported is not mutated.
"""

import argparse
import ast
import builtins
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import tomllib
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from mutants import Mutant

ROOT = Path(__file__).resolve().parents[2]
REASONS = Path(__file__).with_name("reasons.toml")
SUITES = {
    "env": (
        ("metis_gym/env.py", "metis_gym/turns.py", "metis_gym/tools/toolbox.py"),
        tuple(
            f"tests/{name}.py"
            for name in (
                *("test_turns", "test_env_parts", "test_env", "test_actions", "test_curriculum", "test_worth"),
                *("tools/test_toolbox", "tools/test_noise", "grading/test_noise", "contracts/test_half_made"),
                "rewards/test_prices",
            )
        ),
    ),
    "rewards": (
        tuple(
            f"metis_gym/rewards/{name}.py"
            for name in (
                *("batch", "budget", "constrained", "contract", "coupled", "decoupled", "design", "encouraging"),
                *("estimators", "gated", "hdpo", "oracle", "otc", "outcome", "statistics"),
            )
        ),
        ("tests/rewards",),
    ),
    "loss": (
        tuple(f"agents/metis_agents/rl/{name}.py" for name in ("batch", "counts", "loss", "surrogates")),
        tuple(f"tests/rl/test_{name}.py" for name in ("batch", "loss", "loss_options", "surrogates", "trainer")),
    ),
}
"""Name → the modules that are mutated, and the tests that should notice."""
ALIVE = ("survived", "unreached", "died")
MAX_TEST_SECONDS = 1.0
MAX_MUTANT_SECONDS = 20.0
MAX_WALL_SECONDS = 240.0


class Baseline:
    """What each test costs, and which functions it reaches."""

    def __init__(self, measured: dict[str, Any]) -> None:
        self.seconds: dict[str, float] = measured["seconds"]
        self.reached = {test: set(functions) for test, functions in measured["reached"].items()}
        self.modules: list[str] = measured["modules"]

    def tests_for(self, function: str) -> list[str]:
        """The tests that reach a function, the cheapest first, as many as there is time for."""
        able = [test for test, reached in self.reached.items() if function in reached]
        chosen, total = [], 0.0
        for test in sorted((t for t in able if self.seconds[t] <= MAX_TEST_SECONDS), key=self.seconds.__getitem__):
            total += self.seconds[test]
            if total <= MAX_MUTANT_SECONDS:
                chosen.append(test)
        return chosen


class MutationRun:
    """A pytest plugin that plays mutants in place of running the tests once."""

    def __init__(
        self, mutants: Sequence["Mutant"], report: Callable[[dict[str, Any]], None], say: Callable[[str], None]
    ) -> None:
        self.mutants, self.report, self.say = mutants, report, say
        self.paths = {mutant.path for mutant in mutants}
        self.hits: set[str] = set()
        self.hits_of_setup: set[str] = set()

    def pytest_configure(self, config: pytest.Config) -> None:
        """Write no tracebacks: nobody reads them."""
        config.option.tbstyle = "no"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure once, then fork for each mutant."""
        items = {item.nodeid: item for item in session.items}
        first_of_files = list({item.path: item for item in reversed(session.items)}.values())
        for item, following in _with_next(first_of_files):
            runtestprotocol(item, nextitem=following, log=False)  # so that not every fork loads what all need
        baseline = self._baseline(session.items)
        for name in baseline.modules:
            try:
                importlib.import_module(name)
            except Exception:  # it is only imported to save time
                continue
        self.living = _living(self.paths)
        gc.freeze()
        self.say(f"{len(items)} tests in {sum(baseline.seconds.values()):.0f} s, {len(self.mutants)} mutants")
        for number, mutant in enumerate(self.mutants):
            tests = baseline.tests_for(f"{mutant.path}::{mutant.function}")
            limit = 10 + 4 * sum(baseline.seconds[test] for test in tests)
            status, detail = self._play(mutant, [items[test] for test in tests], limit) if tests else ("unreached", "")
            self.report({"name": mutant.name, "line": mutant.line, "status": status, "by": detail})
            if number % 100 == 0 or status in ALIVE:
                self.say(f"{number}: {status}: line {mutant.line}: {mutant.name} {detail if status == 'died' else ''}")
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Tell what a test's fixtures reach from what it reaches itself."""
        self.hits_of_setup, self.hits = self.hits, set()
        builtins.mutants_hit = self.hits.add  # type: ignore[attr-defined]
        return (yield)

    def _baseline(self, items: Sequence[pytest.Item]) -> Baseline:
        status, detail = _forked(lambda: self._measured(items), 3600, 3600)
        if status != "ok":
            raise RuntimeError(f"the tests could not be measured: {status} {detail}")
        return Baseline(json.loads(detail))

    def _measured(self, items: Sequence[pytest.Item]) -> dict[str, Any]:
        known, living = set(sys.modules), _living(self.paths)
        for path in self.paths:
            _exchange(living[path], _telling(path))
        seconds: dict[str, float] = {}
        reached: dict[str, set[str]] = {}
        by_file: dict[Path, set[str]] = defaultdict(set)  # a fixture of a file's first test serves the others, too
        for item, following in _with_next(items):
            self.hits_of_setup, self.hits = set(), set()
            builtins.mutants_hit = self.hits.add  # type: ignore[attr-defined]
            start = time.process_time()
            reports = runtestprotocol(item, nextitem=following, log=False)
            by_file[item.path] |= self.hits_of_setup
            if all(report.passed for report in reports):
                seconds[item.nodeid] = time.process_time() - start
                reached[item.nodeid] = self.hits
            else:
                self.say(f"left out, as it does not pass: {item.nodeid}")
        files = {item.nodeid: item.path for item in items}
        return {
            "seconds": seconds,
            "reached": {test: sorted(hits | by_file[files[test]]) for test, hits in reached.items()},
            "modules": sorted(set(sys.modules) - known),
        }

    def _play(self, mutant: "Mutant", items: Sequence[pytest.Item], limit: float) -> tuple[str, str]:
        def play() -> str:
            _exchange(self.living[mutant.path], compile(mutant.write(), str(ROOT / mutant.path), "exec"))
            for item, following in _with_next(items):
                if any(report.failed for report in runtestprotocol(item, nextitem=following, log=False)):
                    return item.nodeid
            return ""

        status, detail = _forked(play, limit, MAX_WALL_SECONDS)
        if status != "ok":
            return status, detail
        by = json.loads(detail)
        return ("killed", by) if by else ("survived", "")


def _with_next(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items[1:], None], strict=True)


def _telling(path: str) -> types.CodeType:
    """The module's code, each function telling that it runs."""
    tree = ast.parse((ROOT / path).read_text())

    def visit(body: Sequence[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef):
                call = ast.parse(f"mutants_hit({f'{path}::{prefix}{node.name}'!r})").body[0]
                node.body.insert(0, ast.fix_missing_locations(ast.copy_location(call, node.body[0])))
            elif isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")

    visit(tree.body, "")
    return compile(ast.fix_missing_locations(tree), str(ROOT / path), "exec")


def _living(paths: Iterable[str]) -> dict[str, list[types.FunctionType]]:
    """The functions of these modules, wherever decorators have put them."""
    found: dict[str, list[types.FunctionType]] = {str(ROOT / path): [] for path in paths}
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and thing.__code__.co_filename in found:
            found[thing.__code__.co_filename].append(thing)
    return {path: found[str(ROOT / path)] for path in paths}


def _exchange(functions: Iterable[types.FunctionType], module: types.CodeType) -> None:
    """Give living functions the code of another version of their module."""
    codes = {(code.co_qualname, code.co_firstlineno): code for code in _codes(module)}
    for function in functions:
        old = function.__code__
        new = codes.get((old.co_qualname, old.co_firstlineno))
        if new is None:
            continue
        if new.co_freevars != old.co_freevars:
            raise RuntimeError(f"{old.co_qualname} has another closure: {new.co_freevars}, {old.co_freevars}")
        function.__code__ = new


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _codes(constant)


def _forked(work: Callable[[], Any], cpu_seconds: float, wall_seconds: float) -> tuple[str, str]:
    """Do something in a fork: ("ok", its result as JSON), ("timeout", "") or ("died", why)."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds) + 1, int(cpu_seconds) + 5))
        try:
            text = json.dumps(work())
        except BaseException as error:  # the parent is told
            text = f"!{type(error).__name__}: {error}"
        with os.fdopen(write, "w") as pipe:
            pipe.write(text)
        os._exit(0)
    os.close(write)
    chunks, end = [], time.monotonic() + wall_seconds
    while (left := end - time.monotonic()) > 0 and select.select([read], [], [], left)[0]:
        chunk = os.read(read, 1 << 16)
        if not chunk:
            break
        chunks.append(chunk)
    os.close(read)
    if left <= 0:
        os.killpg(child, signal.SIGKILL)
    _, code = os.waitpid(child, 0)
    text = b"".join(chunks).decode()
    if text.startswith("!"):
        return "died", text[1:]
    is_late = left <= 0 or (os.WIFSIGNALED(code) and os.WTERMSIG(code) == signal.SIGXCPU)
    return ("ok", text) if text else ("timeout", "") if is_late else ("died", f"wait status {code}")


def reasons() -> dict[str, str]:
    """Name of a mutant → why it may survive."""
    told: dict[str, str] = {}
    for reason in tomllib.loads(REASONS.read_text())["reason"]:
        told |= dict.fromkeys(reason["mutants"], reason["why"])
    return told


def main() -> int:
    """Play the mutants of a suite; 1 where one survives without a reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--only", default="", help="only functions whose qualified name contains this text")
    parser.add_argument("--out", type=Path, help="file to be written: a line of JSON for each mutant")
    parser.add_argument("--again", type=Path, help="such a file, whose survivors alone are played")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / folder) for folder in ("tests/mutation", "agents", "envs", "")]
    from mutants import mutants_of

    modules, tests = SUITES[options.suite]
    mutants = [mutant for path in modules for mutant in mutants_of(ROOT, path) if options.only in mutant.function]
    if options.again:
        played = [json.loads(line) for line in options.again.read_text().splitlines()]
        alive = {result["name"] for result in played if result["status"] in ALIVE}
        mutants = [mutant for mutant in mutants if mutant.name in alive]
    with os.fdopen(os.dup(1), "w", buffering=1) as terminal:
        results = _run(mutants, tests, options.out, terminal)
        return _summed_up(results, reasons(), terminal)


def _run(mutants: Sequence["Mutant"], tests: Sequence[str], out: Path | None, terminal: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []

    def report(result: dict[str, Any]) -> None:
        results.append(result)
        if out:
            with out.open("w" if len(results) == 1 else "a") as file:
                print(json.dumps(result, ensure_ascii=False), file=file)

    os.chdir(ROOT)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = f"{scratch}/hypothesis"
        words = ["-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:xdist", "-m", "not slow", "--assert=plain"]
        words += ["--hypothesis-seed=0", f"--basetemp={scratch}/base", *tests]
        pytest.main(words, plugins=[MutationRun(mutants, report, lambda text: print(text, file=terminal))])
    return results


def _summed_up(results: Sequence[dict[str, Any]], known: dict[str, str], terminal: Any) -> int:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    unexplained = []
    for result in results:
        is_alive = result["status"] in ALIVE
        is_known = is_alive and result["name"] in known
        counts[result["name"].partition("::")[0]]["explained" if is_known else result["status"]] += 1
        if is_alive and not is_known:
            unexplained.append(result)
    for path, count in counts.items():
        print(f"{path}: {', '.join(f'{number} {status}' for status, number in sorted(count.items()))}", file=terminal)
    for result in unexplained:
        print(f"{result['status']}, without a reason: line {result['line']}: {result['name']}", file=terminal)
    return 1 if unexplained or not results else 0


if __name__ == "__main__":
    sys.exit(main())
