"""The gold answers and options of real benchmarks, where they lie beside the checkout: none is part of the project."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from metis_gym.grading import CascadeGrader
from metis_gym.grading.latex import looks_like_latex
from metis_gym.records import GoldAnswer, Task

DATA = next((parent / "shared/data" for parent in Path(__file__).parents if (parent / "shared/data").is_dir()), None)
GRADER = CascadeGrader()
PAIRS, LATEX_PAIRS = 60_000, 25

pytestmark = pytest.mark.skipif(DATA is None, reason="needs shared/data beside the checkout")


def grade(answer, gold, options=()):
    task = Task(task_id="t", family="f", question="?", images=(), gold=GoldAnswer(value=gold), options=tuple(options))
    return GRADER.grade(answer, task).score


def load(name):
    return json.loads((DATA / name).read_text())


def rows(name):
    found = load(name)
    return list(found.values()) if isinstance(found, dict) else found


@pytest.fixture(scope="module")
def golds():
    names = [
        "dynamath/dataset.json",
        *(f"dynamath/trials/trial{trial}.json" for trial in range(1, 11)),
        "mathvista/output_llava_llama_2_13b.json",
        "charxiv/reasoning_val.json",
        "mathverse/testmini_text_only.json",
        "logicvista/dataset.json",
    ]
    found = {str(row["answer"]) for name in names for row in rows(name)}
    found |= {answer for row in rows("charxiv/descriptive_val.json") for answer in row["answers"]}
    return sorted(text for text in found if text.strip())


@pytest.fixture(scope="module")
def option_lists():
    lists = [row["choices"] for row in rows("mathvista/output_llava_llama_2_13b.json") if row["choices"]]
    for row in rows("wemath/testmini_2steps.json"):
        lists.append([text.strip(" ;") for text in re.split(r"(?:^|;|\s)\s*[A-G]\.\s*", row["option"])[1:]])
    for row in rows("mathverse/testmini_text_only.json"):
        _, _, choices = row["question"].partition("Choices:")
        lists.append([text.strip() for text in re.split(r"\n[A-H][:.]", choices)[1:]])
    return [options for options in lists if len(options) > 1 and all(options)]


def written(gold):
    """Ways in which a model writes an answer."""
    yield from (gold, f" {gold} ", f"{gold}.", f"**{gold}**", f"`{gold}`", rf"\text{{{gold}}}", f"Answer: {gold}")
    yield from (f"The answer is {gold}.", f"The answer is **{gold}**.", rf"The final answer is \boxed{{{gold}}}.")
    yield from (gold.replace("²", "^2"), gold.replace("^2", "²").replace("^3", "³"), gold.replace("-", "−"))
    number = re.fullmatch(r"(-?[\d.]+) ?(°|%|cm|m|km)", gold)
    if number:
        yield from (f"{number[1]} {number[2]}", f"{number[1]}{number[2]}")


def test_every_gold_answer_is_right_however_it_is_written(golds):
    ways = [(text, gold) for gold in golds for text in written(gold)]
    missed = [(text, gold) for text, gold in ways if not grade(text, gold)]
    # What is left are formulas that nobody's LaTeX would hold, such as one dollar sign in text.
    assert len(missed) <= 1e-3 * len(ways), missed[:20]
    assert all(grade(gold, gold) for gold in golds)


def test_no_option_is_right_for_another_unless_they_are_equal(option_lists):
    wrong, latex = [], 0
    for options in option_lists:
        for answer, gold in itertools.permutations(options, 2):
            if looks_like_latex(answer) and looks_like_latex(gold):
                latex += 1
                if latex > LATEX_PAIRS:
                    continue
            if answer != gold and grade(answer, gold):
                wrong.append((answer, gold))
    # tan(2π − θ) is tan(π − θ): such pairs are equal.
    assert all("\\tan" in answer or "\\cos" in answer for answer, _ in wrong), wrong


def test_every_option_chooses_itself_and_no_other(option_lists):
    for options in option_lists:
        for answer, gold in itertools.product(options, repeat=2):
            if len(answer) > 1 and len(options) == len(set(options)) and not re.fullmatch(r"\W*\w\W*", answer):
                assert grade(answer, gold, options) == (answer == gold), (answer, gold, options)


def test_gold_answers_of_different_questions_differ(golds):
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(golds), size=(PAIRS, 2)).tolist()
    # Near neighbours in the sorted list look alike: the hardest pairs.
    drawn += [(place, place + step) for place in range(len(golds) - 3) for step in (1, 2, 3)]
    pairs = [(golds[a], golds[b]) for a, b in drawn if a != b]
    pairs = [pair for pair in pairs if not all(map(looks_like_latex, pair))]
    right = [(answer, gold) for answer, gold in pairs[: PAIRS - 100] if grade(answer, gold)]
    assert len(right) < 1e-3 * len(pairs), right
    neighbours = [(answer, gold) for answer, gold in pairs[PAIRS - 100 :] if grade(answer, gold)]
    unequal = [pair for pair in neighbours if not _look_equal(*pair)]
    assert len(unequal) < 1e-3 * len(pairs), unequal


def _look_equal(answer, gold):
    """An independent, coarse oracle: the same number, or the same letters and digits."""
    numbers = [re.findall(r"-?\d+(?:\.\d+)?|-?\.\d+", text.replace(",", "")) for text in (answer, gold)]
    if len(numbers[0]) == len(numbers[1]) == 1 and float(numbers[0][0]) == float(numbers[1][0]):
        return True
    return len({re.sub(r"[\W_]", "", text).casefold() for text in (answer, gold)}) == 1
