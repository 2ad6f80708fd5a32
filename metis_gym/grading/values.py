r"""Do two texts have the same value? What kinds of values there are, and when two of a kind are equal.

| kind | equal | different |
|---|---|---|
| text | `The red one.` `red one`; `H₂O` `H2O` | `a__b` `ab`; `R²` `r²`; `①` `1`; `é` `e`; Cyrillic А, Latin A |
| name | `Ash St.` `Ash Street`; `St. Ann` `Saint Ann` | `Ash St.` `Ash Road` |
| number | `.5` `1/2` `50 %`; `10²` `100`; `1,000` `1 000`; `7 m high` `7 m` `7` | `12 mW` `12 MW`; `007` `7` |
| time of day | `10:45` `10:45 am` `10.45 a.m.`; `16:45` `4:45 pm` | `10:45` `10:45 pm`; `1:64` (a text) |
| range | `20–30` `20 - 30` `from 20 to 30`; `9 am – 5 pm` `9:00-17:00` | `20-30` `20-40`; `30-20` `20 to 30` |
| list | `(2, 4)` `(2.0,4)` `2, 4`; `A, C` `A and C` | `(2, 4)` `[2, 4]`; `(2, 4)` `(4, 2)` |
| equation | `x = 4` `4`; `5 = s` `s = 5` | `x = 4` `y = 4` |
| LaTeX | `$\frac{1}{2}$` `1/2`; `$\sqrt{8}$` `$2\sqrt{2}$` | `$AB$` `$BA$`; `$6\pi$ cm²` `$6\pi$ m²` |

A kind is read from the text alone. Where both sides are of one kind, that kind decides. A leading zero makes a code
unless the task says that its answer is a number; a text that is said to be one is not compared as a number.
"""

import functools
import math
import re
from dataclasses import dataclass, replace

from metis_gym.grading.abbreviations import written_out
from metis_gym.grading.latex import looks_like_latex, same_latex
from metis_gym.grading.normalise import forms, normalise, plain
from metis_gym.grading.number import Quantity, parse_quantity, same_quantity
from metis_gym.grading.ranges import read_range
from metis_gym.grading.steps import GradingStep
from metis_gym.grading.units import read_unit, scale_of
from metis_gym.records import AnswerKind

__all__ = ["Comparison", "read_clock", "read_list"]

_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{1,2})(?::(?P<second>\d\d))?|\.(?P<dotted>\d\d)(?=\s?[ap]\.?m)|(?=\s?(?:[ap]\.?m|o'c)))"
    r"\s?(?:(?P<half>[ap])\.?m\.?|h|hrs?|hours|o'clock)?",
    re.IGNORECASE,
)
_MAX_ELEMENTS = 64
_MAX_DEPTH = 3
_OPENING, _CLOSING = "([{", ")]}"
_MONTHS_AND_DAYS = (
    "january february march april may june july august september october november december "
    "monday tuesday wednesday thursday friday saturday sunday"
).split()
_SHORT = {name[:3]: name for name in _MONTHS_AND_DAYS} | {"sept": "september", "tues": "tuesday", "thurs": "thursday"}
_SHORT |= {f"{way}ward{s}": way for way in ("up", "down", "left", "right") for s in ("", "s")}
_SHORT |= dict(zip("first second third fourth fifth sixth".split(), "1st 2nd 3rd 4th 5th 6th".split(), strict=True))
_STYLED_WORD = re.compile(r"\\(?:text|mathrm|operatorname|mbox)\s*\{([^{}]*)\}(?:\s*\^\s*\{?(\d)\}?)?")


@dataclass(frozen=True)
class Comparison:
    """How two texts are compared.

    Attributes:
        kind: What the task says about its answer.
        tolerance: Largest relative difference of numbers.
        decimals: Round numbers to so many places before they are compared; None for no rounding.
        absolute: Largest absolute difference of numbers.
    """

    kind: AnswerKind = AnswerKind.AUTO
    tolerance: float = 1e-6
    decimals: int | None = None
    absolute: float = 0.0

    def step(self, answer: str, gold: str) -> GradingStep | None:
        """What makes an answer the same as the gold answer; None if they differ.

        Raises:
            MissingDependencyError: Both sides are LaTeX, and `math-verify` is not installed.
            InfrastructureError: LaTeX cannot be compared now.
        """
        step = self.plain_step(answer, gold)
        if self.kind is AnswerKind.TEXT or not (looks_like_latex(answer) and looks_like_latex(gold)):
            return step
        if step is None and _is_symbolic(answer, gold) and same_latex(answer, gold):
            return GradingStep.LATEX
        return GradingStep.LATEX if step is GradingStep.NUMBER else step

    def plain_step(self, answer: str, gold: str) -> GradingStep | None:
        """The same without mathematics."""
        said = _forms(answer, False) | (_forms(answer, True) if "_" in answer else frozenset())
        return self._same(plain(answer), plain(gold, is_gold=True), said & _forms(gold, True))

    def _same(self, answer: str, gold: str, shared: frozenset[str], depth: int = 0) -> GradingStep | None:
        if answer == gold and answer:
            return GradingStep.EXACT
        if "=" in answer and "=" in gold:
            return GradingStep.EXACT if shared else self._same_equation(answer, gold, depth)
        quantities = parse_quantity(answer), parse_quantity(gold)
        if quantities[0] and quantities[1]:
            return self._same_number(quantities[0], quantities[1], bool(shared))
        if _are_other_units(answer, gold):
            return None
        if shared:
            return GradingStep.EXACT
        clocks = read_clock(answer), read_clock(gold)
        if clocks[0] is not None and clocks[0] == clocks[1]:
            return GradingStep.VALUE
        if self._same_range(answer, gold):
            return GradingStep.VALUE
        if depth < _MAX_DEPTH and (self._same_list(answer, gold, depth) or self._same_side(answer, gold, depth)):
            return GradingStep.VALUE
        return None

    def _same_number(self, answer: Quantity, gold: Quantity, is_same_text: bool) -> GradingStep | None:
        has_units = bool(answer.unit and gold.unit and scale_of(answer.unit) and scale_of(gold.unit))
        if is_same_text and (answer.unit == gold.unit or not has_units):
            return GradingStep.EXACT
        if self.kind is AnswerKind.TEXT and not (has_units and answer.value == gold.value):
            return None
        is_code = self.kind is not AnswerKind.NUMBER
        if same_quantity(answer, gold, self.tolerance, codes=is_code) or self._is_near(answer, gold):
            return GradingStep.NUMBER
        return None

    def _is_near(self, answer: Quantity, gold: Quantity) -> bool:
        """Equal after rounding, or within the absolute difference, where the task allows for that."""
        if answer.unit and gold.unit and answer.unit != gold.unit:
            return False
        if self.decimals is not None and round(answer.value, self.decimals) == round(gold.value, self.decimals):
            return True
        return self.absolute > 0 and math.isclose(answer.value, gold.value, rel_tol=1e-12, abs_tol=self.absolute)

    def _same_range(self, answer: str, gold: str) -> bool:
        said, right = read_range(answer), read_range(gold)
        if said is None or right is None:
            return False
        if said == right:
            return _is_measured(right)
        if self.kind is AnswerKind.TEXT:
            return False
        codes = self.kind is not AnswerKind.NUMBER
        (low, high), (gold_low, gold_high) = _rising(*said), _rising(*right)
        if low and high and gold_low and gold_high:
            pairs = ((low, gold_low), (high, gold_high))
            return all(same_quantity(one, other, self.tolerance, codes=codes) for one, other in pairs)
        ends = _named_ends(said)
        return ends is not None and ends == _named_ends(right)

    def _same_list(self, answer: str, gold: str, depth: int) -> bool:
        said, right = read_list(answer), read_list(gold)
        if said is None or right is None:
            return False
        (brackets, elements), (gold_brackets, gold_elements) = said, right
        if len(elements) != len(gold_elements) or (brackets and gold_brackets and brackets != gold_brackets):
            return False
        return all(map(functools.partial(self._same_part, depth=depth + 1), elements, gold_elements))

    def _same_equation(self, answer: str, gold: str, depth: int) -> GradingStep | None:
        """Both sides equal, the left one literally; or both the other way round."""
        if answer.count("=") > 1 or gold.count("=") > 1:
            return GradingStep.VALUE if depth < _MAX_DEPTH and self._same_list(answer, gold, depth) else None
        (left, right), (gold_left, gold_right) = answer.split("="), gold.split("=")
        for one, other in ((left, right), (right, left)):
            if _forms(one, False) & _forms(gold_left, True) and self._same_part(other, gold_right, depth + 1):
                return GradingStep.VALUE
        return None

    def _same_side(self, answer: str, gold: str, depth: int) -> bool:
        """`x = 4` for 4, and 4 for `x = 4`: what stands on the left is only a name."""
        for text, other, is_gold in ((answer, gold, False), (gold, answer, True)):
            name, equals, side = text.partition("=")
            if equals and "=" not in side and "=" not in other and re.fullmatch(r"\s*[^\W\d][\w '()]{0,40}", name):
                pair = (other, side) if is_gold else (side, other)
                return self._same_part(*pair, depth=depth + 1)
        return False

    def _same_part(self, answer: str, gold: str, depth: int) -> bool:
        answer, gold = answer.strip(), gold.strip()
        return self._same(answer, gold, _forms(answer, False) & _forms(gold, True), depth) is not None


def _forms(text: str, is_gold: bool) -> frozenset[str]:
    written = forms(text, is_gold)
    return frozenset(_SHORT.get(form, written_out(form)) for form in written if form)


def _rising(first: str, last: str) -> tuple[Quantity, Quantity] | tuple[None, None]:
    """The ends of a range from a smaller to a larger number, each with the unit that only one may have."""
    low, high = parse_quantity(first), parse_quantity(last)
    if low is None or high is None or low.is_glued or high.is_glued:
        return None, None
    unit = low.unit or high.unit
    low, high = replace(low, unit=low.unit or unit), replace(high, unit=high.unit or unit)
    return (low, high) if low.unit == high.unit and low.value < high.value else (None, None)


def _named_ends(ends: tuple[str, str]) -> tuple[object, object] | None:
    """Two times of day, days or months; None if they are not of one kind."""
    clocks = read_clock(ends[0]), read_clock(ends[1])
    if None not in clocks:
        return clocks
    names = tuple(_SHORT.get(normalise(end), normalise(end)) for end in ends)
    return (names[0], names[1]) if set(_MONTHS_AND_DAYS).issuperset(names) else None


def _is_measured(ends: tuple[str, str]) -> bool:
    return all(_rising(*ends)) or _named_ends(ends) is not None


def read_clock(text: str) -> int | None:
    """Seconds since midnight, or None.

    >>> read_clock("10:45"), read_clock("10.45 a.m."), read_clock("4:45 pm"), read_clock("1:64")
    (38700, 38700, 60300, None)
    """
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hour, half = int(found["hour"]), (found["half"] or "").lower()
    minute, second = int(found["minute"] or found["dotted"] or 0), int(found["second"] or 0)
    if half:
        if not 1 <= hour <= 12:
            return None if hour > 23 or half == "a" else hour * 3600 + minute * 60 + second
        hour = hour % 12 + 12 * (half == "p")
    return hour * 3600 + minute * 60 + second if hour < 24 and minute < 60 and second < 60 else None


@functools.lru_cache(maxsize=4096)
def read_list(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The brackets and the elements of a list of two or more, or None.

    >>> read_list("(2, 4]"), read_list("A, B and C"), read_list("0,5")
    (('(]', ('2', '4')), ('', ('A', 'B', 'C')), None)
    """
    brackets = _brackets(text)
    inside = text[1:-1] if brackets else text
    elements, start, depth = [], 0, 0
    for place, character in enumerate(inside):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0 and (character == ";" or (character == "," and (brackets or _separates(inside, place)))):
            elements.append(inside[start:place])
            start = place + 1
    elements.append(inside[start:])
    last, joined, final = elements[-1].strip().removeprefix("and ").rpartition(" and ")
    elements[-1:] = [last, final] if joined else [final]
    parts = tuple(element.strip() for element in elements)
    if parts and not parts[-1]:
        parts = parts[:-1]
    is_list = 2 <= len(parts) <= _MAX_ELEMENTS and all(parts)
    return (brackets, parts) if is_list else None


def _separates(text: str, place: int) -> bool:
    """Whether this comma stands between elements, not within a number."""
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    return not (before.isdigit() and after.isdigit())


def _brackets(text: str) -> str:
    """The brackets around the whole text."""
    if len(text) < 2 or text[0] not in _OPENING or text[-1] not in _CLOSING:
        return ""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0:
            return text[0] + text[-1] if place == len(text) - 1 else ""
    return ""


def _are_other_units(answer: str, gold: str) -> bool:
    """Whether these are two bare units that differ in case only, such as mW and MW."""
    if answer.casefold() != gold.casefold() or not 2 <= len(answer) <= 8:
        return False
    scales = [scale_of(read_unit(text) or "") for text in (answer, gold)]
    return None not in scales and scales[0] != scales[1]


def _is_symbolic(answer: str, gold: str) -> bool:
    """Whether `math-verify` may decide: not on words and typed values, and not where it does not see the difference."""
    texts = plain(answer), plain(gold)
    if any(read_clock(text) is not None for text in texts) or all(parse_quantity(text) for text in texts):
        return False
    letters = {letter for text in texts for letter in re.findall(r"[^\W\d_]", text)}
    if any(letter.isupper() and letter.lower() in letters for letter in letters):
        return False  # math-verify would take R for r
    has_maths = any(re.search(r"\d|[=<>≤≥^√+\\/]|\b\w\b", text) for text in texts)
    return has_maths and _signature(answer, texts[0]) == _signature(gold, texts[1])


def _signature(text: str, plain_text: str) -> tuple[object, ...]:
    """What two equal expressions share, though `math-verify` does not look at it.

    These are letters with their case, names of segments, brackets around lists, relations, and units.
    """
    letters = frozenset(re.findall(r"[^\W\d_]", plain_text))
    names = sorted(re.findall(r"[A-Z]{2,}", plain_text))
    listed = read_list(plain_text)
    relations = sorted(re.findall(r"[=≤≥≠<>∈∪∩]", plain_text))
    units = sorted(f"{read_unit(found[1].replace('~', ' '))}{found[2] or ''}" for found in _STYLED_WORD.finditer(text))
    return letters, names, listed and listed[0], len(relations), "=" in relations, units
