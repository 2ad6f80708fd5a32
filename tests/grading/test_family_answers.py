"""Every answer of every family, in the words in which a model would give it: right for itself, wrong for the others."""

import pytest

from metis_gym.grading import CascadeGrader
from metis_gym.records import AnswerKind, GoldAnswer, Task
from metis_gym.registration import FAMILY_IDS
from metis_gym.tasksets import make_taskset

GRADER = CascadeGrader()
LETTERS = "ABCDEFGH"
SEEDS, ANSWERS = 12, 8


def written(answer, question, kind):
    yield from (
        answer,
        f"**{answer}**",
        f"`{answer}`",
        f"${answer}$",
        rf"\boxed{{{answer}}}",
        answer.upper(),
        f"{answer}.",
    )
    yield from (
        f"The answer is {answer}.",
        f"It is {answer}.",
        f"Answer: **{answer}**",
        f"So the answer is **{answer}**.",
    )
    if kind is AnswerKind.NUMBER:
        yield from (f"about {answer}", f"{answer}.0" if "." not in answer else answer)
    if "cm²" in question:
        yield from (f"{answer} cm²", f"{answer} cm^2", f"{answer}cm2", f"{answer} square centimetres")
    if "metres" in question:
        yield from (f"{answer} m", f"{answer} metres")
    if len(answer) == 1 and answer.isalpha():
        yield from (f"{noun} {answer}" for noun in ("line", "bar", "the letter", "letter"))
    if answer in ("left", "right"):
        yield from (f"to the {answer}", f"{answer}wards", f"It points to the {answer}.")
    if ":" in answer and int(answer.split(":")[0]) < 12:
        yield from (f"{answer} am", f"at {answer}", f"{answer} a.m.")
    if answer.endswith(" stripes"):
        yield answer.removesuffix(" stripes")


def blueprints(name, answers):
    family = make_taskset(
        name, split="train", view_size=448, options={"max_source": 1792, "answers": answers, "choices": 4}
    )
    return [family.blueprint(seed)[0] for seed in range(SEEDS)]


def tasks(plan, is_choice):
    letters = tuple(LETTERS[: len(plan.answers)])
    for place, answer in enumerate(plan.answers[:ANSWERS]):
        value, kind = (letters[place], AnswerKind.CHOICE) if is_choice else (answer, plan.kind)
        yield Task(
            task_id="t",
            family="f",
            question=plan.question,
            images=(),
            gold=GoldAnswer(value=value, kind=kind),
            options=plan.answers if is_choice else (),
            alternatives=letters if is_choice else plan.answers,
        )


@pytest.mark.parametrize("name", FAMILY_IDS.values())
def test_open_answers(name):
    for plan in blueprints(name, "open"):
        for place, task in enumerate(tasks(plan, is_choice=False)):
            for other, answer in enumerate(plan.answers[:ANSWERS]):
                for text in written(answer, plan.question, plan.kind):
                    assert GRADER.grade(text, task).score == (place == other), (text, task.gold.value, plan.question)


@pytest.mark.parametrize("name", FAMILY_IDS.values())
def test_choices(name):
    for plan in blueprints(name, "choice"):
        for place, task in enumerate(tasks(plan, is_choice=True)):
            for other, answer in enumerate(plan.answers):
                letter = LETTERS[other]
                texts = [
                    letter,
                    f"({letter})",
                    f"{letter}. {answer}",
                    f"Option {letter}",
                    f"The answer is **{letter}**.",
                ]
                if len(answer) > 1:  # a single letter names an option by its letter
                    texts += list(written(answer, plan.question, plan.kind))
                for text in texts:
                    assert GRADER.grade(text, task).score == (place == other), (text, plan.answers, letter)
