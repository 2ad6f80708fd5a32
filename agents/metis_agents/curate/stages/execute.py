"""The stage `execute`: all code of a trajectory runs again, in one fresh session, and gives what was recorded.

The paper's sentence is that trajectories with "execution failures and inconsistencies" go. Failures: `recorded_error`
(the recorded result itself shows an error), `code_error`, `timeout`, `killed`. Inconsistencies: `stdout_differs`,
`images_differ`, `count_differs`, and `not_reproducible` where two new runs differ from each other. A library that the
sandbox lacks is `unavailable:NAME`, undecided unless it is told otherwise; a sandbox that breaks is undecided too.
Inconsistent results are recorded anew instead, with `--repair`, where two new runs agree.

Searches are not repeated: they are counted.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from metis_agents.curate.formats.conversations import dialect_of
from metis_agents.curate.formats.runs import rebuilt_task
from metis_agents.curate.records import ModelTurn, Sample, SampleImage, Verdict, dropped, kept, undecided
from metis_agents.curate.stages.recorded import image_difference, is_error, payload, text_difference
from metis_agents.curate.stages.repair import REPAIRED, recorded_anew
from metis_agents.curate.stages.stage import SampleStage
from metis_agents.curate.stages.structure import SEARCHES, code_of
from metis_gym import sandbox
from metis_gym.dialects import Dialect
from metis_gym.errors import ImageError, RecordingError, SandboxError, SandboxUnavailableError
from metis_gym.images import decode
from metis_gym.images.transforms import fit
from metis_gym.records import ImageArray, ToolResult, ToolStatus
from metis_gym.sandbox import RunResult, RunStatus, SandboxBackend, SandboxLimits

__all__ = ["ExecuteStage"]

_SEEDS = (20_260_412, 77)  # of two runs that only code without a seed of its own tells apart
_FAILED = {
    RunStatus.ERROR: "code_error",
    RunStatus.MEMORY: "code_error",
    RunStatus.TIMEOUT: "timeout",
    RunStatus.KILLED: "killed",
}
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]{1,80})'")
_FILE_NAME = re.compile(r"[\w.()-]+\.(?:png|jpe?g|bmp|gif|webp|tiff?)", re.IGNORECASE)
_MAX_FILES = 8


class _Step(NamedTuple):
    """What one turn's calls gave in a new run: the observation, images, and the runs themselves."""

    observation: str
    images: tuple[ImageArray, ...]
    runs: tuple[RunResult, ...]

    @property
    def text(self) -> str:
        """The observation without frames."""
        return payload(self.observation)


@dataclass(frozen=True)
class ExecuteStage(SampleStage):
    """Drops trajectories whose code fails, or gives something else than what was recorded.

    Attributes:
        sandbox: The sandbox's spec.
        seconds: Most seconds of one run of code.
        missing: "undecided" or "drop": trajectories whose code needs a library that the sandbox lacks.
        repair: Keep trajectories whose results differ, with those of the new run.
    """

    sandbox: str = "auto"
    seconds: float = 20.0
    missing: str = "undecided"
    repair: bool = False

    name: ClassVar[str] = "execute"
    about: ClassVar[str] = "the code runs again and gives what was recorded"
    is_remote: ClassVar[bool] = True
    counts: ClassVar[tuple[str, ...]] = ("search_not_verified", REPAIRED)

    @property
    def settings(self) -> dict[str, Any]:
        """The limits; which sandbox isolates does not change what code gives."""
        return {"seconds": self.seconds, "missing": self.missing} | ({"repair": True} if self.repair else {})

    def decide(self, sample: Sample) -> Verdict:
        """Run the code of all turns."""
        searches = sum(call.name in SEARCHES for turn in sample.turns for call in turn.calls)
        notes = {"search_not_verified": searches} if searches else {}
        for number, turn in enumerate(sample.turns, start=1):
            if _runs_code(turn) and turn.observed is not None and is_error(payload(turn.observed.text)):
                return dropped("recorded_error", f"turn {number}: {payload(turn.observed.text)}", notes)
        if not any(map(_runs_code, sample.turns)):
            return kept(notes)
        try:
            return self._verdict(sample, notes)
        except SandboxUnavailableError as error:
            return undecided("no_sandbox", str(error))
        except SandboxError as error:
            return undecided("sandbox_failed", str(error))
        except RecordingError as error:
            return undecided("sources_missing", str(error))
        except ImageError as error:
            return dropped("images_differ", f"a recorded image cannot be decoded: {error}", notes)

    def _verdict(self, sample: Sample, notes: Mapping[str, Any]) -> Verdict:
        steps = self._run(sample, _SEEDS[0])
        ran = sum(len(step.runs) for step in steps)
        failed = self._failure(steps)
        if failed is not None:
            return dataclasses.replace(failed, used={"sandbox_runs": ran})
        reason, detail = _difference(sample, steps)
        if not reason:
            return kept(notes, sandbox_runs=ran)
        again = self._run(sample, _SEEDS[1])
        ran += sum(len(step.runs) for step in again)
        differs = _differ(steps, again)
        if differs:
            return dropped("not_reproducible", differs, notes, sandbox_runs=ran)
        anew = recorded_anew(sample, _given(sample, steps), reason) if self.repair else None
        if anew is not None:
            return Verdict(True, REPAIRED, detail, {**notes, **anew}, {"sandbox_runs": ran})
        return dropped(reason, detail, notes, sandbox_runs=ran)

    def _run(self, sample: Sample, seed: int) -> list[_Step]:
        """The new results of each turn that runs code; after a failure, no further ones."""
        dialect = dialect_of(sample.dialect)
        backend: SandboxBackend = sandbox.make(self.sandbox)
        images = _worked_on(sample, dialect)
        limits = SandboxLimits(seconds=self.seconds)
        if dialect.max_images is not None:
            limits = dataclasses.replace(limits, images=dialect.max_images)
        extra: dict[str, Any] = {"image_files": True, "files": _named_files(sample)} if dialect.image_files else {}
        session = backend.open(images=images, limits=limits, seed=seed, **extra)
        steps: list[_Step] = []
        try:
            for turn in sample.turns:
                if _runs_code(turn):
                    runs = [session.run(code) for call in turn.calls if (code := code_of(call)) is not None]
                    steps.append(_step(runs, turn, dialect))
                    if not session.alive or any(run.status in _FAILED for run in runs):
                        break
        finally:
            session.close()
        return steps

    def _failure(self, steps: Sequence[_Step]) -> Verdict | None:
        for number, step in enumerate(steps, start=1):
            for run in step.runs:
                reason = _FAILED.get(run.status)
                lacking = _NO_MODULE.search(run.stderr) if reason == "code_error" else None
                if lacking:
                    name = f"unavailable:{lacking[1].partition('.')[0]}"
                    return dropped(name, run.stderr) if self.missing == "drop" else undecided(name, run.stderr)
                if reason:
                    return dropped(reason, f"call {number}: {run.stderr}")
        return None


def _runs_code(turn: ModelTurn) -> bool:
    return any(code_of(call) is not None for call in turn.calls)


def _worked_on(sample: Sample, dialect: Dialect) -> list[ImageArray]:
    """The images that the trajectory's tools worked on.

    Raises:
        RecordingError: They are a built-in task's, and it cannot be drawn again.
        ImageError: One cannot be decoded.
    """
    if sample.rebuild:
        task = rebuilt_task(Path(sample.source), sample.rebuild)
        return [image.view if dialect.tool_images == "view" else image.source for image in task.images]
    return [decode(image.data) for image in sample.images]


def _named_files(sample: Sample) -> dict[str, bytes]:
    """The question's images under the names that its prompt gives them, for code that opens them by path."""
    names = [*dict.fromkeys(match.rpartition("/")[2] for match in _FILE_NAME.findall(sample.prompt))]
    known = [image.name for image in sample.images if _FILE_NAME.fullmatch(image.name)]
    pairs = [*zip(names, sample.images, strict=False), *zip(known, sample.images, strict=False)]
    return {name: image.data for name, image in pairs[:_MAX_FILES] if not re.fullmatch(r"image_\d+\.png", name)}


def _step(runs: Sequence[RunResult], turn: ModelTurn, dialect: Dialect) -> _Step:
    """What the turn's observation would be now, in the trajectory's own dialect."""
    results = [dialect.shown(_result(run)) for run in runs]
    text = dialect.observation(results, dialect.parse(turn.text).notes)
    return _Step(text, tuple(image for result in results for image in result.images), tuple(runs))


def _result(run: RunResult) -> ToolResult:
    output = "\n".join(filter(None, [run.stdout.rstrip("\n"), run.result_text]))
    status = ToolStatus.OK if run.status is RunStatus.OK else ToolStatus.ERROR
    images = tuple(fit(image) for image in run.images)
    return ToolResult(name="python", status=status, output=output, errors=run.stderr.rstrip("\n"), images=images)


def _difference(sample: Sample, steps: Sequence[_Step]) -> tuple[str, str]:
    """How the recorded results differ from those of a new run; two empty texts if they do not."""
    turns = [turn for turn in sample.turns if _runs_code(turn)]
    for number, (turn, step) in enumerate(zip(turns, steps, strict=False), start=1):
        if turn.observed is None or not _is_code_alone(turn):
            continue
        old = _decoded(turn.observed.images)
        reason, detail = image_difference(old, step.images)
        if reason:
            return reason, f"call {number}: {detail}"
        said = text_difference(payload(turn.observed.text), step.text)
        if said:
            return "stdout_differs", f"call {number}: {said}"
    return "", ""


def _is_code_alone(turn: ModelTurn) -> bool:
    """No search beside the code, whose result would stand in the same observation."""
    return all(code_of(call) is not None for call in turn.calls)


def _given(sample: Sample, steps: Sequence[_Step]) -> dict[int, tuple[str, Sequence[ImageArray]]]:
    """The results of a new run by the number of their turn."""
    places = [place for place, turn in enumerate(sample.turns) if _runs_code(turn)]
    return {
        place: (step.observation, step.images)
        for place, step in zip(places, steps, strict=False)
        if _is_code_alone(sample.turns[place])
    }


def _differ(first: Sequence[_Step], second: Sequence[_Step]) -> str:
    """How two new runs differ from each other."""
    if len(first) != len(second):
        return f"{len(first)} calls ran at first, {len(second)} at the second time"
    for number, (one, other) in enumerate(zip(first, second, strict=True), start=1):
        detail = image_difference(one.images, other.images)[1] or text_difference(one.text, other.text)
        if detail:
            return f"call {number}, two new runs: {detail}"
    return ""


def _decoded(images: Sequence[SampleImage]) -> list[ImageArray]:
    return [decode(image.data) for image in images]
