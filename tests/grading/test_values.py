"""Pairs that mean the same and pairs that do not: all made up, in the forms in which data sets and models write."""

import pytest

from metis_gym.grading import CascadeGrader, GradingStep
from metis_gym.grading.units import read_unit, scale_of
from metis_gym.grading.values import Comparison
from metis_gym.records import AnswerKind, GoldAnswer, Task

GRADER = CascadeGrader()

SAME = [
    # powers, indices, fractions, in Unicode, ASCII and LaTeX
    ("48 cm^2", "48 cm²"),
    ("48cm2", "48 cm²"),
    ("48 square centimetres", "48 cm²"),
    ("48 ㎠", "48 cm²"),
    (r"48 \text{ cm}^2", "48 cm²"),
    (r"$48 \mathrm{~cm}^{2}$", "48 cm²"),
    ("48 cm<sup>2</sup>", "48 cm²"),
    ("10^4", "10⁴"),
    ("10**4", "10⁴"),
    ("10000", "10⁴"),
    ("10^{-3}", "10⁻³"),
    ("3 × 10^-2", "3×10⁻²"),
    ("0.03", "3 x 10^-2"),
    ("½", "1/2"),
    ("2½", "2.5"),
    (r"2\frac{1}{2}", "2 1/2"),
    ("H2O", "H₂O"),
    (r"\text{H}_2\text{O}", "H₂O"),
    ("5√2", r"5\sqrt{2}"),
    ("α", r"$\alpha$"),
    # width, typeface, digits, signs, invisible characters
    ("４２", "42"),
    ("𝟒𝟐", "42"),
    ("٤٢", "42"),
    ("4\u200b2", "42"),
    ("\u200f42\u200e", "42"),
    ("–7", "-7"),
    ("−7", "-7"),
    ("minus 7", "-7"),
    ("+7", "7"),
    ("Ⅳ", "IV"),
    ("eﬃcient", "efficient"),
    ("„red“", "red"),
    # marks
    ("**τ***", "τ*"),
    ("__red__", "red"),
    ("*red*", "red"),
    ("`red`", "red"),
    ("**42**.", "42"),
    (r"The answer is $\boxed{42}$.", "42"),
    # thousands, percent, money, units
    ("12,500", "12500"),
    ("12 500", "12500"),
    ("12.5k", "12500"),
    ("3 million", "3,000,000"),
    ("35 percent", "35%"),
    ("35 %", "0.35"),
    ("20 dollars", "$20"),
    ("5 kilometres", "5 km"),
    ("5km", "5 km"),
    ("5 KM", "5 km"),
    ("1.5 km", "1500 m"),
    ("90 degrees", "90°"),
    (r"90^{\circ}", "90º"),
    ("36 km per hour", "36 km/h"),
    ("90 minutes", "1.5 h"),
    ("7 stars", "7"),
    ("three", "3"),
    ("007", "007"),
    # times of day
    ("9:20 am", "9:20"),
    ("9:20 A.M.", "9:20"),
    ("09:20", "9:20"),
    ("9.20 am", "9:20"),
    ("at 9:20", "9:20"),
    ("3:05 pm", "15:05"),
    ("7:0", "7:00"),
    # lists, equations
    ("[4, 5, 6]", "[4,5,6]"),
    ("4, 5, 6", "[4, 5, 6]"),
    ("4, 5, and 6", "4, 5, 6"),
    ("(2.0, -1.50)", "(2, -1.5)"),
    ("A and D", "A, D"),
    ("y=3", "y = 3"),
    ("3", "y = 3"),
    ("x = 3", "3"),
    ("3 = x", "x = 3"),
    ("Area = 6 cm^2", "6 cm²"),
    ("y >= 3", r"$y \geq 3$"),
    # phrases
    ("line T", "T"),
    ("bar K", "K"),
    ("(K)", "K"),
    ("Bar K is the tallest.", "K"),
    ("Bar K, because it is the tallest", "K"),
    ("third", "3rd"),
    ("the letter M", "M"),
    ("The letter is M.", "M"),
    ("to the right", "right"),
    ("upwards", "up"),
    ("It points to the left.", "left"),
    ("a red balloon", "red balloon"),
    ("It is 5 cm", "5 cm"),
    ("There are 7 stars on the card.", "7"),
    ("The total cost is $20.", "20"),
    ("Sept", "September"),
    # names
    ("Orly St.", "Orly Street"),
    ("orly street", "Orly St"),
    ("Fenn Ave.", "Fenn Avenue"),
    ("14 Fenn Rd., Wexley", "14 Fenn Road, Wexley"),
    ("5th Ave", "5th Avenue"),
    ("St. Osric", "Saint Osric"),
    ("Mt. Orly", "Mount Orly"),
    ("It is on Orly St.", "Orly Street"),
    # ranges
    ("40–55", "40-55"),
    ("40 – 55", "40-55"),
    ("40-55", "40 — 55"),
    ("40 to 55", "40–55"),
    ("from 40 to 55", "40-55"),
    ("between 40 and 55", "40–55"),
    ("40 km – 55 km", "40-55 km"),
    ("40% to 55%", "40–55%"),
    ("$40–$55", "$40-55"),
    ("1.5–2 km", "1500-2000 m"),
    ("-5 to 3", "-5 – 3"),
    ("1,000–2,000", "1000-2000"),
    ("Mon – Fri", "Monday to Friday"),
    ("9 am – 5 pm", "9:00-17:00"),
    # what is measured
    ("7 m high", "7"),
    ("7 metres tall", "7 m"),
    ("7 m in height", "7 m high"),
    ("12 ft wide", "12 feet"),
    ("It is 12 cm long.", "12 cm"),
    ("seven metres deep", "7 m"),
    ("9 years old", "9 years"),
    ("Tue", "Tuesday"),
]

DIFFERENT = [
    # the same characters after NFKC, or without marks
    ("104", "10⁴"),
    ("35", "3⁵"),
    ("32", "3**2"),
    ("32", "3^2"),
    ("cd", "c__d"),
    ("cd", "c_d"),
    ("cd", "c*d"),
    ("x2", "x²"),
    ("72", "7₂"),
    ("51/2", "5½"),
    ("12", "½"),
    ("3", "③"),
    ("(3)", "⑶"),
    ("BrandTM", "Brand™"),
    ("C", "ℂ"),
    ("10^23", "10²3"),
    ("m3", "m_3 "),
    ("23", "2~3"),
    ("23", "2`3"),
    ("2 3", "23"),
    ("a b", "ab"),
    ("resume", "résumé"),
    ("А", "A"),  # the first is Cyrillic
    ("е", "e"),
    ("4\x002", "42"),
    # numbers
    ("34", "3-4"),
    ("3.4", "3-4"),
    ("1,00", "100"),
    ("1,00", "1.00"),
    ("(1,000)", "1000"),
    ("2,300", "2, 300"),
    ("-7", "7"),
    ("±7", "7"),
    ("<7", "7"),
    (">= 7", "7"),
    ("5!", "5"),
    ("5!", "120"),
    ("√9", "9"),
    ("60π", "60"),
    ("6x", "6"),
    ("2√3", "2"),
    ("7th", "7"),
    ("3D", "3"),
    ("S&P 500", "500"),
    ("GPT-4", "4"),
    ("7 or more", "7"),
    ("at least 7", "7"),
    ("over 7", "7"),
    ("7 of 9", "7"),
    ("007", "7"),
    ("05", "5"),
    ("12A", "12"),
    ("600k", "600"),
    ("5 million", "5"),
    ("0.35%", "35%"),
    ("1234567", "1234568"),
    ("9007199254740993", "9007199254740992"),
    ("1e400", "1e500"),
    ("1/2", "1/3"),
    ("1/2", "12"),
    # units
    ("12 mW", "12 MW"),
    ("mW", "MW"),
    ("5 cm", "5 m"),
    ("5 cm²", "5 cm³"),
    ("5 km/h", "5 km"),
    ("5 apples", "5 pears"),
    ("$5", "€5"),
    ("20°C", "20°F"),
    ("5 Mbit", "5 MB"),
    # times, lists, equations, formulas
    ("9:20", "9:02"),
    ("9:20 pm", "9:20"),
    ("9:20 am", "9:20 pm"),
    ("12:15 am", "12:15 pm"),
    ("9:20", "920"),
    ("1:64", "1.64"),
    ("(2, 4)", "(4, 2)"),
    ("(2, 4)", "[2, 4]"),
    ("(2, 4]", "(2, 4)"),
    ("2, 4", "2, 4, 6"),
    ("x = 3", "y = 3"),
    ("x < 3", r"$x \leq 3$"),
    ("R² - r²", "r² - R²"),
    ("$R^2-r^2$", "$r^2-R^2$"),
    ("$AB$", "$BA$"),
    (r"$\{1,2\}$", "$(1,2)$"),
    (r"$6\pi \mathrm{cm}^2$", r"$6\pi \mathrm{m}^2$"),
    (r"$\frac{1}{2x}$", r"$\frac{1}{2}x$"),
    (r"$x^{10}0$", "$x^{100}$"),
    (r"$\text{red}$", r"$\text{blue}$"),
    ("$10:15$", "$10:45$"),
    # phrases
    ("not left", "left"),
    ("left or right", "left"),
    ("It is 5 or it is 6", "6"),
    ("It is 5. It is 6.", "6"),
    ("The answer is 5. The answer is 6.", "6"),
    ("The answer is not 5", "5"),
    ("a line", "A"),
    ("A or B", "A"),
    ("quarter to", "quarter"),
    ("No correct answer", "No"),
    ("R is not the tallest", "R"),
    ("S is lower than T", "S"),
    ("log₂8", "log28"),
    ("increases then decreases", "decreases"),
    # names
    ("Orly St.", "Orly Road"),
    ("Orly St.", "St. Orly"),
    ("Orly Street", "Orly"),
    ("Mt. Orly", "Orly Mt."),
    ("7 Ct", "7 Court"),
    ("A St", "A Street"),  # a letter and something
    # ranges
    ("40-55", "40-56"),
    ("40-55", "41-55"),
    ("40-55", "40"),
    ("40-55", "55"),
    ("40-55", "-15"),
    ("55-40", "40 to 55"),
    ("3-1", "3 to 1"),
    ("40-55", "40, 55"),
    ("40-55", "40 and 55"),
    ("40-55 km", "40-55 m"),
    ("40 cm - 55 m", "40-55 m"),
    ("04-05", "4-5"),
    ("1-2-3", "1 to 2-3"),
    ("4A-5A", "4-5"),
    ("Mon – Fri", "Monday to Thursday"),
    ("9 am – 5 pm", "9 am - 5 am"),
    ("left-right", "left to right"),
    # what is measured
    ("7 m high", "7 m wide"),
    ("7 m high", "8 m high"),
    ("7 m high", "7 cm high"),
    ("7 m high up", "7"),
    ("7 stars high", "7 stars wide"),
]


def grade(answer, gold, kind=AnswerKind.AUTO, question="?", alternatives=(), options=()):
    task = Task(
        task_id="t",
        family="f",
        question=question,
        images=(),
        gold=GoldAnswer(value=gold, kind=kind),
        options=options,
        alternatives=alternatives,
    )
    return GRADER.grade(answer, task)


@pytest.mark.parametrize(("answer", "gold"), SAME)
def test_the_same(answer, gold):
    assert grade(answer, gold).score == 1.0


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_different_both_ways(answer, gold):
    assert grade(answer, gold).score == 0.0
    assert grade(gold, answer).score == 0.0


@pytest.mark.parametrize("text", sorted({text for pair in [*SAME, *DIFFERENT] for text in pair}))
def test_every_text_is_itself(text):
    assert grade(text, text).score == 1.0


def test_a_number_that_is_said_to_be_one_is_no_code():
    assert grade("007", "7", AnswerKind.NUMBER).score == 1.0
    assert grade("007", "7", AnswerKind.TEXT).score == 0.0


def test_text_with_a_unit_is_compared_with_its_unit_only():
    assert grade("48cm^2", "48 cm²", AnswerKind.TEXT).score == 1.0
    assert grade("48", "48 cm²", AnswerKind.TEXT).score == 0.0


def test_words_that_the_question_asks_by_may_be_repeated():
    assert grade("room 42", "42", question="What is the number of the room on the sign?").score == 1.0
    assert grade("room 42", "42", question="How many birds are there?").score == 0.0
    assert grade("7 kites", "7", question="How many kites are there?").score == 1.0


def test_words_in_all_possible_answers_may_be_left_out():
    stripes = ("horizontal stripes", "vertical stripes", "rising diagonal stripes", "falling diagonal stripes")
    listed = f"Which pattern is it: {', '.join(stripes)}?"
    for known in ({"alternatives": stripes}, {"question": listed}):
        assert grade("falling diagonal", "falling diagonal stripes", **known).score == 1.0
        assert grade("rising diagonal", "falling diagonal stripes", **known).score == 0.0
        assert grade("diagonal", "falling diagonal stripes", **known).score == 0.0
        assert grade("stripes", "falling diagonal stripes", **known).score == 0.0
    assert grade("falling diagonal", "D", AnswerKind.CHOICE, options=stripes).score == 1.0
    assert grade("falling diagonal", "falling diagonal stripes").score == 0.0


COLOURS = ("red", "dark red", "blue", "green")
FLAG = "What colour is the flag on the tower?"


@pytest.mark.parametrize(
    "answer", ["the red flag", "red flag", "It is the red flag.", "**red** flag", "a red flag", "red flag on the tower"]
)
def test_a_colour_may_have_the_noun_that_the_question_asks_about(answer):
    assert grade(answer, "red", question=FLAG, alternatives=COLOURS).score == 1.0
    assert grade(answer, "red", question=f"{FLAG[:-1]}: red, dark red, blue or green?").score == 1.0
    assert grade(answer, "A", AnswerKind.CHOICE, question=FLAG, options=COLOURS).score == 1.0
    for other in COLOURS[1:]:
        assert grade(answer, other, question=FLAG, alternatives=COLOURS).score == 0.0
        assert grade(answer, other, question=FLAG, options=COLOURS).score == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "not the red flag",
            "red or blue flag",
            "red and blue flag",
            "the red or the blue flag",
            "the flag",
            "red roof",
        ),
        *("reddish flag", "red flag or blue flag", "the flag is not red", "red-blue flag", "neither red flag"),
    ],
)
def test_what_is_no_colour_with_its_noun_is_none(answer):
    assert grade(answer, "red", question=FLAG, alternatives=COLOURS).score == 0.0
    assert grade(answer, "red", question=FLAG, options=COLOURS).score == 0.0


def test_nouns_stay_where_answers_are_no_colours_or_are_not_known():
    assert grade("red flag", "red", question=FLAG).score == 0.0
    assert grade("Fenn tower", "Fenn", question="What stands by the tower?", alternatives=("Fenn", "Orly")).score == 0.0


def test_options_that_read_alike_in_full_are_told_apart_by_how_they_are_written():
    streets = ("Orly St", "Orly Street", "Orly Road")
    assert [grade(street, "Orly Street", options=streets).score for street in streets] == [0.0, 1.0, 0.0]


def test_ranges_are_options():
    decades = ("10–20", "20–30", "30–40")
    for answer in ("20-30", "20 to 30", "between 20 and 30", "20 - 30"):
        assert [grade(answer, gold, options=decades).score for gold in decades] == [0.0, 1.0, 0.0]


def test_another_possible_answer_is_wrong_however_it_could_be_read():
    assert grade("line S", "S", alternatives=("S", "line S")).score == 0.0
    assert grade("12 cm", "12", alternatives=("12", "12 cm", "13")).score == 0.0


def test_options_are_told_apart_by_their_texts():
    shuffled = ("(c)", "(a)", "(e)", "(d)", "(b)")
    assert grade("(b)", "(b)", options=shuffled).score == 1.0
    assert grade("E", "(b)", options=shuffled).score == 1.0
    assert grade("B", "(b)", options=shuffled).score == 0.0
    twins = ("19", "22", "22", "25")
    assert [grade(letter, "22", options=twins).score for letter in "ABCD"] == [0.0, 1.0, 1.0, 0.0]
    assert grade("22", "B", AnswerKind.CHOICE, options=twins).score == 1.0


def test_options_are_chosen_by_value():
    options = ("0.25", "0.5", "25%", "12 cm²")
    assert grade("1/2", "B", AnswerKind.CHOICE, options=options).score == 1.0
    assert grade("12 cm^2", "D", AnswerKind.CHOICE, options=options).score == 1.0
    assert grade("The area is 12 cm2", "D", AnswerKind.CHOICE, options=options).score == 1.0
    assert grade("1/4", "A", AnswerKind.CHOICE, options=options).score == 0.0  # two options have this value


def test_a_long_right_answer_may_be_given():
    gold = ", ".join(f"a method called {place}" for place in range(40))
    assert len(gold) > 300
    assert grade(gold, gold).score == grade(f"The answer is **{gold}**.", gold).score == 1.0
    assert grade("x" * 300, "x").step is GradingStep.TOO_LONG


@pytest.mark.parametrize("unit", "cm^2 km/h mW MW kg·m^-3 % ° °C $ min L".split())
def test_units_are_spelled_one_way(unit):
    assert read_unit(unit) == unit
    assert scale_of(unit) is not None


def test_lists_of_values_are_compared_by_element_and_in_depth():
    comparison = Comparison()
    assert comparison.step("[(1, 2), (3, 4)]", "[(1.0, 2), (3, 4.0)]") is GradingStep.VALUE
    assert comparison.step("[(1, 2), (3, 4)]", "[(1, 2), (4, 3)]") is None
