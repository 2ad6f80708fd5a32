"""Evaluation: an agent plays episodes, the outcomes become a report."""

import contextlib
import dataclasses
import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metis_agents.agent import Agent, BatchAgent, ModelAgent
from metis_agents.chat.usage import Prices, Usage, total
from metis_agents.episodes import EnvFactory, Played, remove_empty_recordings
from metis_agents.play import played_by, requests_of
from metis_agents.progress import progress_bar
from metis_agents.results import agreement
from metis_agents.results.agreement import check_judge
from metis_agents.results.benchmarks import regraded, score_benchmarks
from metis_agents.results.report import Report, compare_table, markdown_table, needs_table
from metis_agents.results.store import ResultStore, read_outcomes, read_report, read_settings, write_outcomes
from metis_gym.backstage import backstage
from metis_gym.errors import ConfigError, InfrastructureError
from metis_gym.frontier import agent_point, optimal_frontier
from metis_gym.grading import GRADERS
from metis_gym.metrics import by_family, regret_curve, summarise
from metis_gym.records import Outcome
from metis_gym.registration import find_spec
from metis_gym.registries import path_of
from metis_gym.tasksets import Taskset
from metis_gym.worth import DEFAULT_LAM, checked_lam

__all__ = ["Report", "compare_table", "evaluate", "markdown_table", "needs_table", "regrade"]

_MAX_UNSCORED = 20
_MAX_REASONS = 5


def evaluate(
    agent: Agent | BatchAgent | ModelAgent,
    env_id: str,
    episodes: int | str,
    seed: int,
    *,
    workers: int = 1,
    parallel: int = 1,
    progress: bool = True,
    out: str | Path | None = None,
    record: str | Path | None = None,
    token_prices: Prices | None = None,
    max_cost: float | None = None,
    lam: float = DEFAULT_LAM,
    judge_all: bool = False,
    **make_kwargs: Any,
) -> Report:
    """Let an agent play episodes, and summarise them.

    Args:
        agent: The agent.
        env_id: One of this package's ids.
        episodes: How many, each on a task of its own; "all" for every task of a taskset that has an end, in order.
        seed: The same seed gives the same tasks and the same report, whatever `workers` and `parallel` are; as far as
            the agent itself repeats itself, which servers do not promise.
        workers: Processes. With more than one, the calling script needs the usual `if __name__ == "__main__":`.
        parallel: Threads with an environment each, for agents that wait for an endpoint.
        progress: Show on stderr how far it is.
        out: A folder that keeps each episode as soon as it ends. A second start with the same folder and settings plays
            what is missing or not scored.
        record: A folder for recordings, one for each environment, and for the requests to an endpoint.
        token_prices: Of a million of the model's tokens; `prices`, an argument of the environment, are those of tools.
        max_cost: Begin no further episode when the tokens cost so much.
        lam: λ, the accuracy that one unit of price is worth, for regret, excess and missing calls.
        judge_all: Ask rules and the judge, which `grader` names, about every answer, and report where they differ.
        **make_kwargs: For `gymnasium.make`; the split is "test" unless they say otherwise.

    Raises:
        ConfigError: A number is not positive, prices are given for an agent that does not say what it uses, or an
            endpoint refuses the key, the model or the request.
        InfrastructureError: Twenty episodes in a row could not be scored.
        StorageError: `out` cannot be written, or holds an evaluation with other settings.
    """
    run = _Evaluation(
        agent=agent,
        env_id=env_id,
        episodes=episodes,
        seed=seed,
        workers=workers,
        parallel=parallel,
        record=None if record is None else Path(record),
        token_prices=token_prices,
        max_cost=max_cost,
        lam=checked_lam(lam),
        judge_all=judge_all,
        make_kwargs={"split": "test", **make_kwargs},
    )
    run.check()
    with contextlib.ExitStack() as stack:
        store = None if out is None else stack.enter_context(ResultStore(out, run.settings))
        if store is not None:
            run.played, run.discarded = store.played, store.discarded
        what = f"{agent.name} on {env_id}"
        with progress_bar(what, run.count, shown=progress, done=len(run.played)) as advance:
            return run.finish(store, advance)


def regrade(folder: str | Path, grader: str | None = None, *, judge_all: bool = False, parallel: int = 1) -> Report:
    """Grade the kept answers of an evaluation again, with the same tasks; no model is asked and no tool runs.

    Args:
        folder: The evaluation's; its outcomes and its report are written anew.
        grader: What compares answers now; None for what the evaluation named.
        judge_all: Ask rules and the judge, which `grader` names, about every answer, and report where they differ.
        parallel: So many requests of `judge_all` at a time.

    Raises:
        StorageError: The folder holds no evaluation that can be read.
        ConfigError: Its taskset cannot be made.
    """
    settings = read_settings(folder)
    env = dict(settings["env"])
    env["grader"] = grader or env.get("grader", "cascade")
    if judge_all:
        check_judge(env["grader"])
    with contextlib.closing(EnvFactory(settings["env_id"], env)()) as made:
        taskset = backstage(made).taskset
    played = regraded(taskset, read_outcomes(folder), GRADERS.make(env["grader"]))
    outcomes, before = tuple(one.outcome for one in played), read_report(folder)
    report = Report(
        agent=str(before.get("agent", settings["agent"].get("class", ""))),
        env_id=settings["env_id"],
        outcomes=outcomes,
        **_found(outcomes, float(before.get("lam", DEFAULT_LAM))),
        benchmarks=score_benchmarks(taskset, played, env["grader"]),
        usage=Usage.from_json(before["usage"]) if before.get("usage") else None,
        cost=before.get("cost"),
        tools_ran=str(before.get("tools_ran", "ours")),
        warnings=(*before.get("warnings", ()), f"graded again by {env['grader']}"),
        failures=_failures(played),
        stopped=str(before.get("stopped", "")),
        settings={**settings, "env": env},
        by_judge=agreement.judge_all(played, taskset, env["grader"], parallel=parallel) if judge_all else None,
    )
    write_outcomes(folder, played, report.to_json())
    return report


@dataclass(kw_only=True, eq=False)
class _Evaluation:
    """One evaluation; the attributes are the arguments of `evaluate`."""

    agent: Agent | BatchAgent | ModelAgent
    env_id: str
    episodes: int | str
    seed: int
    workers: int
    parallel: int
    record: Path | None
    token_prices: Prices | None
    max_cost: float | None
    lam: float
    judge_all: bool
    make_kwargs: Mapping[str, Any]
    played: dict[int, Played] = field(default_factory=dict)
    discarded: Sequence[Usage] = ()
    stopped: str = ""

    def check(self) -> None:
        """See that the arguments can be right."""
        find_spec(self.env_id)
        if isinstance(self.episodes, str) and self.episodes != "all":
            raise ConfigError(f'episodes must be a number or "all", actually: {self.episodes!r}')
        counts = (self.workers, self.parallel, *([self.episodes] if isinstance(self.episodes, int) else []))
        if min(counts) < 1:
            raise ConfigError(
                "episodes, workers and parallel must be at least 1, actually: "
                f"{self.episodes}, {self.workers}, {self.parallel}"
            )
        if self.token_prices is not None and not isinstance(self.agent, ModelAgent):
            raise ConfigError(f"token_prices are given, but {self.agent.name} does not say how many tokens it uses")
        if self.max_cost is not None and not self.max_cost > 0:
            raise ConfigError(f"max_cost must be positive, actually: {self.max_cost!r}")
        if self.max_cost is not None and self.token_prices is None:
            raise ConfigError("max_cost needs token_prices (--price in=…,out=…), or nothing would ever cost anything")
        if self.judge_all:
            check_judge(self.grader)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the outcomes."""
        agent = {"class": path_of(type(self.agent)), **_settings_of(self.agent)}
        return {
            "agent": agent,
            "env_id": self.env_id,
            "env": dict(self.make_kwargs),
            "episodes": self.episodes,
            "seed": self.seed,
        }

    def finish(self, store: ResultStore | None, advance: Callable[[int], object]) -> Report:
        """Play what is missing; whatever happens, what was played is kept and reported."""
        try:
            for played in self._playing():
                self.played[played.number] = played
                if store is not None:
                    store.append(played)
                advance(1)
        except BaseException as error:
            self.stopped = str(error) or type(error).__name__
            if store is not None and self.played:
                store.write_report(self.report().to_json())
            raise
        finally:
            if self.record is not None:
                remove_empty_recordings(self.record)
        report = self.report()
        if store is not None and self.played:
            store.write_report(report.to_json())
        if self.judge_all:
            episodes = [self.played[number] for number in sorted(self.played)]
            found = agreement.judge_all(episodes, self.taskset, self.grader, parallel=self.parallel)
            report = dataclasses.replace(report, by_judge=found)
            if store is not None:
                store.write_report(report.to_json())
        return report

    @property
    def grader(self) -> str:
        """What compares answers."""
        return str(self.make_kwargs.get("grader", "cascade"))

    @functools.cached_property
    def tasks(self) -> int | Sequence[str]:
        """How many tasks are drawn, or the ids of all."""
        if isinstance(self.episodes, int):
            return self.episodes
        ids = self.taskset.task_ids()
        if ids is None:
            raise ConfigError("episodes='all' needs tasks that have an end, such as a benchmark's; say how many")
        return ids

    @functools.cached_property
    def taskset(self) -> Taskset:
        """The tasks, as the environment draws them."""
        with contextlib.closing(EnvFactory(self.env_id, dict(self.make_kwargs))()) as env:
            return backstage(env).taskset

    @property
    def count(self) -> int:
        """How many episodes there are."""
        return self.tasks if isinstance(self.tasks, int) else len(self.tasks)

    def _playing(self) -> Iterator[Played]:
        """The episodes that are missing, as they end."""
        notes = {"agent": self.agent.name, "seed": self.seed}
        kwargs = dict(self.make_kwargs)
        requests = enumerate(requests_of(EnvFactory(self.env_id, kwargs), self.tasks, 1, self.seed))
        missing = [(number, request) for number, request in requests if number not in self.played]
        if not missing or self._is_too_dear():
            return
        if self.record is not None and isinstance(self.agent, ModelAgent):
            self.agent.log_requests(self.record / "requests.jsonl.gz")
        make_env = EnvFactory(self.env_id, kwargs, record=self.record, notes=notes)
        halt = threading.Event()
        playing = played_by(self.agent, make_env, missing, workers=self.workers, parallel=self.parallel, halt=halt)
        in_a_row = 0
        with contextlib.closing(playing):  # type: ignore[type-var]  # they are generators
            for played in playing:
                yield played
                in_a_row = 0 if played.outcome.scored else in_a_row + 1
                if in_a_row >= _MAX_UNSCORED:
                    raise InfrastructureError(
                        f"the last {in_a_row} episodes could not be scored, and the evaluation ends; the last failure: "
                        f"{played.failure}"
                    )
                if self._is_too_dear():
                    halt.set()

    def _is_too_dear(self) -> bool:
        cost = self._cost()
        if self.max_cost is None or cost is None or cost < self.max_cost:
            return False
        self.stopped = f"the tokens cost {cost:.4g}, and no further episode begins at {self.max_cost:.4g}"
        return True

    def _usage(self) -> Usage | None:
        if not isinstance(self.agent, ModelAgent):
            return None
        return total([*(Usage(**played.usage) for played in self.played.values()), *self.discarded])

    def _cost(self) -> float | None:
        usage = self._usage()
        return None if self.token_prices is None or usage is None else self.token_prices.cost(usage)

    def report(self) -> Report:
        """What was found so far."""
        episodes = [self.played[number] for number in sorted(self.played)]
        outcomes = tuple(played.outcome for played in episodes)
        is_complete = len(episodes) == self.count
        return Report(
            agent=self.agent.name,
            env_id=self.env_id,
            outcomes=outcomes,
            **_found(outcomes, self.lam),
            benchmarks=score_benchmarks(self.taskset, episodes, self.grader) if self.episodes == "all" else (),
            usage=self._usage(),
            cost=self._cost(),
            warnings=tuple(getattr(self.agent, "warnings", ())),
            tools_ran=getattr(self.agent, "tools_ran", "ours"),
            failures=_failures(episodes),
            stopped="" if is_complete else self.stopped,
            settings=self.settings,
        )


def _found(outcomes: Sequence[Outcome], lam: float) -> dict[str, Any]:
    """What a report says of the outcomes alone."""
    return {
        "metrics": summarise(outcomes, lam=lam),
        "families": by_family(outcomes, lam=lam),
        "lam": lam,
        "regret_curve": regret_curve(outcomes),
        "frontier": optimal_frontier(outcomes),
        "reached": agent_point(outcomes),
    }


def _failures(played: Sequence[Played]) -> dict[str, int]:
    """The most frequent reasons why episodes are not scored."""
    return dict(Counter(one.failure for one in played if not one.outcome.scored).most_common(_MAX_REASONS))


def _settings_of(agent: Any) -> dict[str, Any]:
    """What decides how an agent plays: what it says itself, else its public attributes that JSON can hold."""
    if hasattr(agent, "settings"):
        return dict(agent.settings)
    plain = (str, int, float, bool, type(None))
    return {name: value for name, value in vars(agent).items() if name[:1] != "_" and isinstance(value, plain)}
