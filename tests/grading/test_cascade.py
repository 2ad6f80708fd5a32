"""Grading without a judge, with the traps that cost others points."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.grading import CascadeGrader, GradingStep
from metis_gym.grading.choice import chosen_letter
from metis_gym.grading.latex import LatexWorker, looks_like_latex, same_latex
from metis_gym.grading.number import read_quantity
from metis_gym.records import AnswerKind, GoldAnswer, Task

COUNTRIES = ("Chile", "China", "Canada", "Denmark")
GRADER = CascadeGrader()


def task(value, *, options=(), kind=AnswerKind.AUTO, candidates=(), tolerance=1e-6):
    gold = GoldAnswer(value=value, kind=kind, candidates=candidates, tolerance=tolerance)
    return Task(task_id="t", family="f", question="?", images=(), gold=gold, options=options)


@pytest.mark.parametrize(
    ("answer", "gold", "step"),
    [
        ("Halden Street", "Halden Street", GradingStep.EXACT),
        ("the HALDEN street.", "Halden Street", GradingStep.EXACT),
        ("“red”", "red", GradingStep.EXACT),
        ("**red**", "red", GradingStep.EXACT),
        (r"\boxed{42}", "42", GradingStep.EXACT),
        ("42.0", "42", GradingStep.NUMBER),
        ("1,234.50", "1234.5", GradingStep.NUMBER),
        ("17 + 45 = 62", "62", GradingStep.NUMBER),
        ("about 62 apples", "62", GradingStep.NUMBER),
        ("−4", "-4", GradingStep.EXACT),
        (".5", "0.5", GradingStep.NUMBER),
        ("12 %", "12%", GradingStep.NUMBER),
        ("0.12", "12%", GradingStep.NUMBER),
        ("twelve", "12", GradingStep.NUMBER),
        ("12 cm", "12", GradingStep.NUMBER),
        (r"$\frac{1}{2}$", r"$\frac{2}{4}$", GradingStep.LATEX),
        (r"\sqrt{8}", r"2\sqrt{2}", GradingStep.LATEX),
    ],
)
def test_right_answers(answer, gold, step):
    grade = GRADER.grade(answer, task(gold))
    assert (grade.score, grade.step) == (1.0, step)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("(1,-4)", "(7,-4)"),
        ("12:00", "12:45"),
        ("3 by 2", "7 by 2"),
        ("China", "Canada"),
        ("blue", "red"),
        ("red or blue", "red"),
        ("12 m", "12 cm"),
        ("12 of 15", "12"),
        ("12 or 13", "12"),
        ("1.2.3", "1.2"),
        ("0.12", "12"),
        ("$(1,-4)$", "$(7,-4)$"),
        ("62.001", "62"),
        ("5", ".5"),
        ("", "red"),
    ],
)
def test_wrong_answers(answer, gold):
    assert GRADER.grade(answer, task(gold)).score == 0.0


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("B. China", "B"),
        ("China", "B"),
        ("the china", "B"),
        ("Answer: D", "D"),
        ("The answer is (C).", "C"),
        ("All three look red, so (C)", "C"),
        ("The correct option is B because it is red", "B"),
        ("Canada", "C"),
        ("B. Canada", None),  # says two things
        ("A or B", None),
        ("(A) or (B)", None),
        ("A, B, C, D", None),
        ("Chin", None),  # no nearest option
        ("Chinatown", None),
        ("A small country", None),
        ("The answer is A small country", None),
        ("E", None),
        ("", None),
    ],
)
def test_choices(answer, letter):
    assert chosen_letter(answer, COUNTRIES) == letter


def test_a_gold_answer_may_be_the_options_text():
    assert GRADER.grade("C", task("Canada", options=COUNTRIES)).score == 1.0
    assert GRADER.grade("B", task("Canada", options=COUNTRIES)).score == 0.0


def test_options_that_read_the_same_choose_nothing():
    assert chosen_letter("red", ("Red", "red.", "blue")) is None


def test_candidates_count_as_much():
    grade = GRADER.grade("NYC", task("New York", candidates=("NYC", "New York City")))
    assert (grade.score, grade.step) == (1.0, GradingStep.CANDIDATE)


def test_the_tolerance_is_the_tasks():
    assert GRADER.grade("10.4", task("10", tolerance=0.05)).score == 1.0
    assert GRADER.grade("10.6", task("10", tolerance=0.05)).score == 0.0


def test_text_answers_are_not_compared_as_numbers():
    assert GRADER.grade("12.0", task("12", kind=AnswerKind.TEXT)).score == 0.0


def test_no_answer_and_long_answers_are_told_apart():
    assert GRADER.grade(None, task("red")).step is GradingStep.NO_ANSWER
    assert GRADER.grade("red " * 75, task("red")).step is GradingStep.TOO_LONG
    assert GRADER.grade("r" * 299, task("red")).step is GradingStep.NO_MATCH


@given(st.text(max_size=299), st.text(max_size=40))
def test_grading_never_raises(answer, gold):
    if looks_like_latex(answer) and looks_like_latex(gold):
        return
    GRADER.grade(answer, task(gold))
    GRADER.grade(answer, task("A", options=COUNTRIES))


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(["", " km", "%", " €"]))
def test_numbers_are_read_back(value, unit):
    text = f"{value:.6f}{unit}"
    quantity = read_quantity(text)
    assert quantity is not None and quantity.value == pytest.approx(float(f"{value:.6f}"))
    assert quantity.unit == unit.strip()


def test_latex_is_compared_off_the_main_thread():
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(same_latex(r"$\frac{1}{2}$", "$0.5$")))
    thread.start()
    thread.join()
    assert verdicts == [True]


def test_latex_that_takes_forever_is_killed_and_the_next_question_is_answered():
    worker = LatexWorker(seconds=1.0)
    started = time.monotonic()
    assert worker.compare("$9^{9^{9^{9^9}}}$", "$1$") is False
    assert time.monotonic() - started < 60  # it ended at all
    assert worker.compare("$x$", "$x$") is True
    worker.close()
    worker.close()
