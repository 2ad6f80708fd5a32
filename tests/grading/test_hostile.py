"""Answers that attack the grader: every one is graded, and soon."""

import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from metis_gym.grading import CascadeGrader, GradingStep
from metis_gym.grading.latex import looks_like_latex
from metis_gym.grading.normalise import normalise, plain
from metis_gym.records import AnswerKind, GoldAnswer, Task

GRADER = CascadeGrader()
CPU_SECONDS = 0.5


def grade(answer, gold="42", kind=AnswerKind.AUTO, options=(), **more):
    gold_answer = GoldAnswer(value=gold, kind=kind, **more)
    task = Task(task_id="t", family="f", question="How many?", images=(), gold=gold_answer, options=options)
    started = time.thread_time()
    found = GRADER.grade(answer, task)
    assert time.thread_time() - started < CPU_SECONDS, (answer[:50], gold[:50])
    return found


PATTERNS = [
    "9",
    "1,",
    "1 ",
    "-",
    "**",
    "*a",
    "_a_",
    "`",
    "$",
    "$a",
    "\\(",
    "\\[",
    "{",
    "}",
    "(",
    "[(",
    ")",
    "\\frac",
    "\\frac{",
    "^{",
    "_{",
    "\\boxed{",
    "\\text{",
    "√{",
    "²",
    "½",
    "₂",
    "e",
    "1e",
    "10^",
    "/",
    "1/",
    "=",
    "a=",
    "is ",
    "answer is ",
    "answer",
    "the ",
    "a ",
    ",",
    ", ",
    ";",
    ":",
    "1:",
    ".",
    "!",
    "5!",
    '"',
    "'",
    "<sup>",
    "<b>",
    "\u200b",
    "\u202e",
    "\x00",
    "\n",
    "\ud800",
    "🇪🇸",
    "é",
    "e\u0301",
    "\u0301",
    "م",
    "ﷺ",
    "㎏",
    "…",
    "minus ",
    "per ",
    "square ",
    "km/",
    "m^2",
    "and ",
    " and",
    "or ",
    "x10^",
    "twenty-",
    "of ",
    "A ",
    "(A)",
    "A. ",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_repeated_patterns_take_no_time(pattern):
    for length in (299, 3900):
        text = (pattern * length)[:length]
        long_gold = "y" * 3990
        assert grade(text, long_gold).score == 0.0
        assert grade("42", text).score in (0.0, 1.0)
        grade(text, long_gold, options=(long_gold, text[:-1], "z"))
        grade(text, text[:-1] + "q", AnswerKind.TEXT)


@pytest.mark.parametrize(
    "answer", ["9" * 10**6, "1e" + "9" * 10**6, "x" * 10**6, " " * 10**6 + "x", "(" * 10**6, "\\frac{" * 10**5]
)
def test_huge_answers_and_gold_answers(answer):
    assert grade(answer).step is GradingStep.TOO_LONG
    assert grade("42", answer).score == 0.0
    assert grade("B", "B", AnswerKind.CHOICE, options=(answer, "x")).score == 1.0


@pytest.mark.parametrize(
    "answer",
    [
        "1e999999999",
        "10^999",
        "9" * 299,
        "1/0",
        "0^-1",
        "1e-999",
        "0/0",
        "2^-999",
        "1 1/0",
        "9" * 290 + "^9",
        "-" * 299,
    ],
)
def test_numbers_out_of_range_equal_nothing_else(answer):
    assert grade(answer, "42").score == 0.0
    assert grade(answer, "0", AnswerKind.TEXT).score == 0.0
    assert grade(answer, answer).score == 1.0


def test_what_nobody_sees_changes_nothing_and_what_looks_alike_is_not_the_same():
    assert grade("4\u200b\u20602").score == grade("\u202b42\u202c").score == grade("\ufeff42").score == 1.0
    assert grade("4\x1b[31m2").score == grade("4\x002").score == grade("4\n2").score == 0.0
    assert grade("С", "C").score == 0.0  # Cyrillic
    assert normalise("\ue00010\ue002") == "10"  # the private marks that folding uses cannot be forged


TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([*PATTERNS, "42", "7", "cm", "red", "10:45", "am", "B"]), max_size=12).map("".join),
)
FIXED = settings(max_examples=300, derandomize=True, deadline=None, database=None)


@FIXED
@given(TEXTS, TEXTS, st.sampled_from(AnswerKind))
@example("$", "$$$", AnswerKind.AUTO)
def test_any_answer_is_graded(answer, gold, kind):
    assume(not (looks_like_latex(answer) and looks_like_latex(gold)))
    grade(answer, gold, kind)
    grade(answer, "B", AnswerKind.CHOICE, options=("red", gold, "7"))
    grade(answer, gold, options=("red", answer, gold))


@FIXED
@given(TEXTS)
def test_every_text_with_something_in_it_is_itself(text):
    assume(text.strip() and normalise(text))
    assert grade(text, text).score == 1.0


@FIXED
@given(
    st.text(alphabet="0123456789⁰²³₀₂½①Ⅳ^_*-−., ab", max_size=8), st.text(alphabet="0123456789^_*-., ab", max_size=8)
)
def test_exactness_holds_in_both_directions(first, second):
    """Formatting of an answer apart (marks that a gold answer would keep), grading is symmetric."""
    assume(not set("_*`") & set(first + second) and first.strip() and second.strip())
    assert grade(first, second).score == grade(second, first).score


@FIXED
@given(TEXTS)
def test_plain_text_is_stable(text):
    """What has been brought to plain characters has only those; a second time changes at most marks within marks."""
    once = plain(text, is_gold=True)
    assert plain(once, is_gold=True).count("\ue002") == 0
    assert all(ord(character) >= 32 for character in once if len(text) <= 4000)


@FIXED
@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_whole_numbers_are_equal_only_if_they_are(first, second):
    assert grade(str(first), str(second)).score == float(first == second)
    assert grade(f"{first:,}", str(first)).score == grade(f"{first}.0", str(first)).score == 1.0
