"""The contract of tasksets, checked on one that somebody wrote."""

import functools

import numpy as np

from metis_gym.errors import ConfigError, TaskIdError
from metis_gym.grading.cascade import CascadeGrader
from metis_gym.grading.choice import LETTERS
from metis_gym.images.transforms import fingerprint
from metis_gym.records import Necessity, Task
from metis_gym.registries import parse_spec
from metis_gym.tasksets import SPLITS, Taskset, make_taskset
from metis_gym.testing.contract import Contract
from metis_gym.tools import TOOLS

__all__ = ["check_taskset"]

_STATELESS = "Draw everything in build() from a generator seeded by the id alone, and keep nothing between calls."


def check_taskset(
    taskset: str | Taskset, *, tasks: int = 6, splits: tuple[str, ...] = SPLITS, view_size: int = 448
) -> None:
    """Check that a taskset keeps its contract.

    Args:
        taskset: A spec such as "my_pkg.tasks:Dots:most=5", or a taskset, of which one split is checked only.
        tasks: How many of its tasks are looked at, in each split.
        splits: The splits that it has; a file has one, `("train",)`.
        view_size: Longest side of the views, pixels.

    Raises:
        BrokenContract: A rule is broken; the message says which, and how to mend it.
    """
    contract = Contract(f"the taskset {taskset!r}" if isinstance(taskset, str) else f"the {type(taskset).__name__}")
    seen: dict[str, set[str]] = {}
    for split in splits if isinstance(taskset, str) else splits[:1]:
        first, again = (contract.made(taskset, functools.partial(_make, split, view_size)) for _ in range(2))
        drawn = [_check_one(contract, first, again, seed, view_size) for seed in range(tasks)]
        seen[split] = {_look(task) for task in drawn}
    shared = set.intersection(*seen.values()) if len(seen) > 1 else set()
    contract.rule(
        not shared,
        "the splits share no task",
        f"{len(shared)} of {tasks} tasks are in {' and '.join(seen)}",
        "Seed the generator of a task by its split, too; draw from so many tasks that none comes twice.",
    )
    if isinstance(taskset, str):
        _check_parameters(contract, taskset, splits[0], view_size)


def _make(split: str, view_size: int, spec: str) -> Taskset:
    return make_taskset(spec, split=split, view_size=view_size)


def _check_one(contract: Contract, first: Taskset, again: Taskset, seed: int, view_size: int) -> Task:
    task_id, same = first.draw(np.random.default_rng(seed)), again.draw(np.random.default_rng(seed))
    contract.rule(isinstance(task_id, str) and bool(task_id), "draw() returns a task id, a text", task_id, "")
    contract.rule(
        task_id == same,
        "draw() depends on its generator only",
        f"{task_id} and {same}",
        "Use no other source of chance.",
    )
    contract.rule(
        first.knows(task_id), "it knows the ids that it draws", task_id, f"Begin ids with one of {first.families}."
    )
    mend = "What draw() returns, build() must take, also in another process and years later."
    with contract.must_work("it can build what it draws", mend, TaskIdError):
        task, other = first.build(task_id), again.build(task_id)
    contract.rule(isinstance(task, Task), "build() returns a metis_gym.records.Task", type(task).__name__, "")
    contract.rule(task.task_id == task_id, "a task has the id that it was drawn by", f"{task.task_id} of {task_id}", "")
    contract.rule(_look(task) == _look(other), "the same id is the same task, to the byte", task_id, _STATELESS)
    _check_task(contract, task, first, view_size)
    _check_plans(contract, task)
    if first.can_vary(task_id):
        _check_variants(contract, task, first)
    doubt = first.doubt(task_id)
    contract.rule(
        not doubt, "the necessity that a task states is proven", doubt, "Let only draw_detail depend on the answer."
    )
    return task


def _check_plans(contract: Contract, task: Task) -> None:
    at_once = [plan.accuracy for plan in task.plans if plan.length == 0]
    contract.rule(
        not task.plans or (at_once == [task.blind_accuracy] and all(plan.accuracy <= 1 for plan in task.plans)),
        f"the plans of task {task.task_id} hold one without calls, with the blind accuracy",
        f"{task.plans}, blind accuracy {task.blind_accuracy}",
        "Give Plan(calls={}, accuracy=blind_accuracy), or no plans where nothing is known.",
    )


def _check_variants(contract: Contract, task: Task, taskset: Taskset) -> None:
    left, every = (taskset.variants(task.task_id, every=every) for every in (False, True))
    contract.rule(
        (not task.plans or left.answers == task.alternatives) and set(left.answers) <= set(every.answers),
        f"the variants of task {task.task_id} have its alternatives as answers",
        f"{left.answers} of {every.answers}; alternatives {task.alternatives}",
        "variants(task_id) holds the task with each of Task.alternatives, in their order.",
    )
    own = left.answers.index(task.gold.value) if task.gold.value in left.answers else 0
    contract.rule(
        _look(left[own]) == _look(task),
        f"the variant of task {task.task_id} with its own answer is the task",
        f"variants(task_id)[{own}] differs",
        _STATELESS,
    )


def _check_task(contract: Contract, task: Task, taskset: Taskset, view_size: int) -> None:
    where = f"of task {task.task_id}"
    contract.rule(task.family in taskset.families, "a task's family is one of the taskset's", task.family, "")
    contract.rule(bool(task.question.strip()), f"the question {where} says something", repr(task.question), "")
    for image in task.images:
        for pixels in (image.source, image.view):
            is_image = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8 and pixels.size > 0
            contract.rule(
                is_image,
                f"the images {where} are arrays of shape (height, width, 3), uint8",
                f"{pixels.shape}, {pixels.dtype}",
                "Convert them to RGB.",
            )
        contract.rule(
            max(image.view.shape[:2]) <= max(view_size, 1) and image.view.size <= image.source.size,
            f"the views {where} are at most {view_size} pixels long and no larger than the sources",
            f"{image.view.shape} of {image.source.shape}",
            "Reduce them to view_size.",
        )
    letters = LETTERS[: len(task.options)]
    contract.rule(
        not task.options or task.gold.value in (*letters, *task.options),
        f"the gold answer {where} names one of its options",
        f"{task.gold.value!r}, options {task.options}",
        "Give the letter of the right option.",
    )
    grade = CascadeGrader().grade(task.gold.value, task)
    contract.rule(
        grade.score == 1.0, f"the gold answer {where} is graded as right", f"{task.gold} of {task.options}", ""
    )
    contract.rule(
        not task.alternatives or task.gold.value in task.alternatives,
        f"the gold answer {where} is one of the alternatives",
        f"{task.gold.value!r} in {task.alternatives}",
        "alternatives are all answers that could have been right; of a choice, the letters.",
    )
    contract.rule(
        isinstance(task.necessity, Necessity) and not (task.necessity is Necessity.NONE and task.solution),
        f"a task that needs no tool has a solution without calls ({where})",
        f"{task.necessity!r} with {task.solution}",
        "",
    )
    contract.rule(
        task.necessity is not Necessity.REQUIRED or bool(task.solution),
        f"a task that needs a tool says which calls solve it ({where})",
        "solution is empty",
        "Give Task.solution, which the oracle plays.",
    )
    with contract.must_work("its tools are known", "Name tools that there are in `tools`.", ConfigError):
        known = [TOOLS.get(parse_spec(spec)[0]) for spec in taskset.tools]
    names = {name for tool in known for name in (getattr(tool, "name", ""), *getattr(tool, "aliases", ()))}
    for call in task.solution:
        contract.rule(
            call.name in names,
            f"the tools of the solution {where} are among the taskset's",
            f"{call.name!r} in {taskset.tools}",
            "Name the tools that the tasks are made for in `tools`.",
        )


def _look(task: Task) -> str:
    """All of a task but its id, as a text."""
    images = [(fingerprint(image.source), fingerprint(image.view)) for image in task.images]
    found = [(entry.title, fingerprint(entry.image)) for entry in task.titled_images]
    said = (task.question, task.gold, task.options, task.necessity, task.solution, task.passages)
    return repr((images, found, said))


def _check_parameters(contract: Contract, spec: str, split: str, view_size: int) -> None:
    """Check that the plain taskset builds the ids that one with parameters draws."""
    try:
        name, parameters = parse_spec(spec)
        plain = make_taskset(name, split=split, view_size=view_size)
    except ConfigError:  # several parts, or a parameter that it needs
        return
    if parameters:
        made = make_taskset(spec, split=split, view_size=view_size)
        task_id = made.draw(np.random.default_rng(0))
        mend = "Put every parameter that a task depends on into its id."
        with contract.must_work("ids carry the parameters that tasks depend on", mend, TaskIdError):
            rebuilt = plain.build(task_id)
        is_same = _look(rebuilt) == _look(made.build(task_id))
        contract.rule(is_same, "ids carry the parameters that tasks depend on", task_id, mend)
