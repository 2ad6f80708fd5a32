"""Numbers with units, currencies and percent signs.

A text is a number only if it states exactly one: "12 of 15", "3-4" and "12:45" are none, "17 + 45 = 62" states 62.
Powers (10²), fractions (2 1/2), scientific notation (4 × 10⁻⁴) and thousands (1,000; 1 000; 60k) are read by value.
"""

import functools
import math
import re
from dataclasses import dataclass, field

from metis_gym.grading.normalise import plain
from metis_gym.grading.units import read_unit, scale_of

__all__ = ["Quantity", "parse_quantity", "read_quantity", "same_quantity"]

_ABOUT = re.compile(
    r"^(?:about|approximately|approx\.?|around|roughly|nearly|exactly|ca\.?|circa|[≈~=])\s*", re.IGNORECASE
)
_NUMBER = re.compile(
    r"(?P<sign>[-+]\s?|minus\s|negative\s)?(?P<currency>(?:US)?[$€£¥₹])?\s?(?P<late_sign>-)?"
    r"(?:(?P<whole>\d{1,6})\s(?P<mixed>\d{1,6}/\d{1,6})"
    r"|(?P<over>\d{1,12}(?:\.\d+)?)\s?/\s?(?P<under>\d{1,12}(?:\.\d+)?)"
    r"|(?P<base>\d{1,6}(?:\.\d+)?)\s?\^\s?(?:\((?P<boxed>[-+]?\d{1,3})\)|(?P<power>[-+]?\d{1,3}))"
    r"|(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|[1-9]\d{0,2}(?:[ ']\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
    r"(?:e(?P<exponent>[-+]?\d{1,3})(?!\d)"
    r"|\s?[x×·*]\s?10\s?(?:\^\s?(?:\((?P<boxed_ten>[-+]?\d{1,3})\)|(?P<ten>[-+]?\d{1,3})))?)?)"
    r"(?![\d:/^]|[.,]\d|\s?/\s?\d)",
    re.IGNORECASE,
)
_NO_GROUPS = str.maketrans("", "", ", '")
_MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "bn": 1e9, "mn": 1e6}
_MULTIPLE = re.compile(r"^(?:(?P<sign>bn|mn|[kKMB])(?![^\W\d_])|\s?(?P<word>thousand|million|billion|trillion)\b)\s*")
_MULTIPLE_WORDS = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_ARITHMETIC = re.compile(r"[\d\s.,()+\-×·*/÷^x%°$€£]*")
_NAME = re.compile(r"[^\W\d][\w\s'∠△°()]{0,60}")
_ASPECTS = {word: word for word in "high long wide deep thick old heavy far apart".split()}
_ASPECTS |= {"tall": "high", "broad": "wide", "across": "wide", "away": "far", "height": "high", "length": "long"}
_ASPECTS |= {"width": "wide", "depth": "deep", "thickness": "thick", "age": "old", "weight": "heavy"}
_ASPECT = re.compile(rf"\s(?:in\s|of\s)?({'|'.join(_ASPECTS)})$", re.IGNORECASE)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: value for value, word in enumerate(_UNITS)}
_WORDS |= {word: 10 * value for value, word in enumerate(_TENS, 2)}
_WORDS |= {f"{tens}-{unit}": 10 * t + u for t, tens in enumerate(_TENS, 2) for u, unit in enumerate(_UNITS[:10]) if u}
_NUMBER_WORD = re.compile(rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?![\w-])(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """A number and what stands behind it.

    Attributes:
        value: The number, in the unit that was written.
        unit: "%", a currency, a unit as `metis_gym.grading.units` spells it, one to three words, or nothing.
        is_code: It begins with a zero that a number would not have: 007 is another locker than 7.
        aspect: What is measured, where it is said behind the unit: "high" in 7 m high.
        is_glued: The unit is one capital right behind the number, as in seat 12A: it cannot be left out.
        whole: The number again where it was written as a whole one: these are compared exactly.
    """

    value: float
    unit: str = ""
    aspect: str = field(default="", repr=False, compare=False)
    is_code: bool = field(default=False, repr=False, compare=False)
    is_glued: bool = field(default=False, repr=False, compare=False)
    whole: int | None = field(default=None, repr=False, compare=False)


def read_quantity(text: str) -> Quantity | None:
    """The one number that a text states, or None.

    >>> read_quantity("about 1,250 km"), read_quantity("17 + 45 = 62"), read_quantity("12:45")
    (Quantity(value=1250.0, unit='km'), Quantity(value=62.0, unit=''), None)
    >>> read_quantity("10²"), read_quantity("2½"), read_quantity("5 or more")
    (Quantity(value=100.0, unit=''), Quantity(value=2.5, unit=''), None)
    """
    return parse_quantity(plain(text))


@functools.lru_cache(maxsize=8192)
def parse_quantity(text: str) -> Quantity | None:
    """The same for a text without formatting."""
    left, equals, right = text.rpartition("=")
    if equals and (_ARITHMETIC.fullmatch(left) or _NAME.fullmatch(left.strip())):
        text = right.strip()
    for _ in range(2):
        text = _ABOUT.sub("", text)
    found = _NUMBER.match(text)
    if found is None:
        return _from_word(text)
    value = _value(found)
    rest = text[found.end() :]
    multiple = _MULTIPLE.match(rest)
    if multiple and (multiple["sign"] != "K" or found["currency"]):  # 300K may be kelvins
        value *= _MULTIPLES[multiple["sign"]] if multiple["sign"] else _MULTIPLE_WORDS[multiple["word"]]
        rest = rest[multiple.end() :]
    rest, aspect = _without_aspect(rest)
    unit = _unit(found["currency"] or "", rest)
    if unit is None or not math.isfinite(value):
        return None
    digits = (found["digits"] or "").translate(_NO_GROUPS)
    is_whole = digits.isdecimal() and float(digits) == abs(value)
    return Quantity(
        value,
        unit,
        aspect,
        is_code=any(re.match(r"0\d", part or "") for part in (digits, found["over"], found["under"])),
        is_glued=re.fullmatch(r"[A-Z]", rest) is not None,
        whole=int(math.copysign(1, value)) * int(digits) if is_whole else None,
    )


def same_quantity(answer: Quantity, gold: Quantity, tolerance: float, codes: bool = False) -> bool:
    """Whether these are the same quantity.

    A unit may be left out on either side, and so may what is measured ("high"), but two different quantities never
    agree. 12 % is also 0.12.

    Args:
        answer: What was answered.
        gold: The right answer.
        tolerance: Largest relative difference. Up to the default of 1e-6, whole numbers are compared exactly.
        codes: Whether a leading zero counts: 007 is then not 7.
    """
    if codes and answer.is_code != gold.is_code:
        return False
    if answer.aspect and gold.aspect and answer.aspect != gold.aspect:
        return False
    if answer.unit != gold.unit and answer.unit and gold.unit:
        return _same_scaled(answer, gold, tolerance)
    if answer.unit != gold.unit and (answer.is_glued or gold.is_glued):
        thousands, other = (answer, gold) if answer.is_glued else (gold, answer)
        return thousands.unit == "K" and math.isclose(1e3 * thousands.value, other.value, rel_tol=tolerance)
    if _close(answer, gold, tolerance):
        return True
    if answer.unit == gold.unit or (answer.unit or gold.unit) != "%":
        return False
    in_percent, plain_number = (answer, gold) if answer.unit == "%" else (gold, answer)
    return math.isclose(in_percent.value / 100, plain_number.value, rel_tol=tolerance, abs_tol=tolerance * 1e-6)


def _same_scaled(answer: Quantity, gold: Quantity, tolerance: float) -> bool:
    """1.2 km is 1200 m; 12 apples are not 12 pears."""
    scales = scale_of(answer.unit), scale_of(gold.unit)
    if scales[0] is None or scales[1] is None or scales[0][1] != scales[1][1]:
        return False
    values = answer.value * scales[0][0], gold.value * scales[1][0]
    return math.isclose(*values, rel_tol=tolerance if tolerance > 1e-6 else 1e-9)


def _close(answer: Quantity, gold: Quantity, tolerance: float) -> bool:
    if tolerance <= 1e-6 and answer.whole is not None and gold.whole is not None:
        return answer.whole == gold.whole
    return math.isclose(answer.value, gold.value, rel_tol=tolerance, abs_tol=tolerance * 1e-6)


def _value(found: re.Match[str]) -> float:
    negative = (found["sign"] or "").strip().lower() in ("-", "minus", "negative") or found["late_sign"] is not None
    try:
        return -_size(found) if negative else _size(found)
    except (OverflowError, ZeroDivisionError):
        return math.nan


def _size(found: re.Match[str]) -> float:
    if found["whole"]:
        above, below = found["mixed"].split("/")
        return float(found["whole"]) + float(above) / float(below)
    if found["over"]:
        return float(found["over"]) / float(found["under"])
    if found["base"]:
        return float(float(found["base"]) ** int(found["boxed"] or found["power"]))
    digits = found["digits"].translate(_NO_GROUPS)
    if found["exponent"]:
        return float(f"{digits}e{found['exponent']}")
    ten = found["boxed_ten"] or found["ten"]
    if ten:
        return float(f"{digits}e{ten}")
    return float(digits) * (10.0 if re.search(r"[x×·*]\s?10$", found.group(), re.IGNORECASE) else 1.0)


def _unit(currency: str, rest: str) -> str | None:
    behind = read_unit(rest)
    if not currency:
        return behind
    before = read_unit(currency.removeprefix("US"))
    return before if behind in ("", before) else None


def _without_aspect(rest: str) -> tuple[str, str]:
    """What stands behind a number, and what is measured, which only says something behind a unit of measure.

    >>> _without_aspect(" m high"), _without_aspect(" ft in length"), _without_aspect(" stars high")
    ((' m', 'high'), (' ft', 'long'), (' stars high', ''))
    """
    found = _ASPECT.search(rest)
    unit = read_unit(rest[: found.start()]) if found else None
    return (rest[: found.start()], _ASPECTS[found[1].lower()]) if found and unit and scale_of(unit) else (rest, "")


def _from_word(text: str) -> Quantity | None:
    found = _NUMBER_WORD.fullmatch(text)
    if found is None or found[2].startswith("-"):
        return None
    rest, aspect = _without_aspect(found[2])
    unit, value = read_unit(rest), _WORDS[found[1].lower()]
    return None if unit is None else Quantity(float(value), unit, aspect, whole=value)
