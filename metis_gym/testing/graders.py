"""The contract of graders, checked on one that somebody wrote."""

from collections.abc import Sequence

from metis_gym.errors import ConfigError
from metis_gym.grading import GRADERS, Grade, Grader, GradingStep, checked_grade
from metis_gym.grading.contract import grader_problems
from metis_gym.records import Task
from metis_gym.testing.contract import AWKWARD_TEXTS, Contract, random_texts
from metis_gym.testing.examples import example_task

__all__ = ["check_grader"]

_RAISED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def check_grader(grader: str | Grader, *, tasks: Sequence[Task] = ()) -> None:
    """Check that a grader keeps its contract.

    Args:
        grader: A spec such as "my_pkg.graders:Contained", or a grader.
        tasks: Tasks whose gold answers it must grade as right; by default small examples of each kind of answer.

    Raises:
        BrokenContract: A rule is broken; the message says which, and how to mend it.
    """
    contract = Contract(f"the grader {grader!r}" if isinstance(grader, str) else f"the {type(grader).__name__}")
    made = contract.made(grader, GRADERS.make)
    problems = grader_problems(made)
    contract.rule(not problems, "it is complete", "; ".join(problems), "")
    for task in tasks or [example_task(seed) for seed in range(6)]:
        for nothing in (None, "", "  \n"):
            grade = _grade(contract, made, nothing, task)
            contract.rule(
                grade.score == 0 and grade.step is GradingStep.NO_ANSWER,
                "no answer is graded 0, as NO_ANSWER",
                f"{grade} of {nothing!r}",
                "Grader noise must not flip what is no verdict: derive from SimpleGrader, or return "
                "Grade(0.0, GradingStep.NO_ANSWER).",
            )
        right = _grade(contract, made, task.gold.value, task)
        contract.rule(
            right.score == 1.0, "the gold answer is graded 1", f"{right} of {task.gold.value!r} ({task.gold.kind})", ""
        )
        for other in task.alternatives:
            wrong = _grade(contract, made, other, task)
            contract.rule(
                other == task.gold.value or wrong.score < 1.0,
                "another option is not graded 1",
                f"{wrong} of {other!r}, gold {task.gold.value!r}",
                "",
            )
        for text in (*AWKWARD_TEXTS, *random_texts("0123456789.,%$\\{}^_abcXYZ /()", 60, 40)):
            grade = _grade(contract, made, text, task)
            contract.rule(
                grade == _grade(contract, made, text, task), "grading is repeatable", f"{grade} of {text!r}", ""
            )


def _grade(contract: Contract, made: Grader, answer: str | None, task: Task) -> Grade:
    mend = "An answer that cannot be read is wrong; a grader that cannot be asked raises InfrastructureError."
    with contract.must_work(f"grading never raises (answer {str(answer)[:80]!r})", mend, *_RAISED):
        grade = made.grade(answer, task)
    with contract.must_work("grade() returns a Grade with a score from 0 to 1", "", ConfigError):
        return checked_grade(grade, made)
    raise AssertionError("not reached")
