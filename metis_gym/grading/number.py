"""Numbers with units and percent signs.

An answer is a number only if it states exactly one: "12 of 15" and "12:45" are no numbers, "17 + 45 = 62" states 62.
"""

import math
import re
from dataclasses import dataclass

from metis_gym.grading.normalise import normalise

__all__ = ["Quantity", "read_quantity", "same_quantity"]

_NUMBER = re.compile(
    r"(?<![\w.,:/])(?P<sign>[-+]?)\s?(?P<currency>[$€£¥]?)\s?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<exponent>e[-+]?\d{1,3})?(?![\d:/]|[.,]\d)",
    re.IGNORECASE,
)
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()


@dataclass(frozen=True)
class Quantity:
    """A number and what stands behind it: "%", a currency, a unit, or nothing."""

    value: float
    unit: str = ""


def read_quantity(text: str) -> Quantity | None:
    """The one number that a text states, or None.

    >>> read_quantity("about 1,250 km"), read_quantity("17 + 45 = 62"), read_quantity("12:45")
    (Quantity(value=1250.0, unit='km'), Quantity(value=62.0, unit=''), None)
    """
    text = normalise(text).rpartition("=")[2].strip()
    if text in _WORDS:
        return Quantity(float(_WORDS.index(text)))
    found = list(_NUMBER.finditer(text))
    if len(found) != 1:
        return None
    number = found[0]
    value = float(number["digits"].replace(",", "") + (number["exponent"] or ""))
    behind = text[number.end() :].strip(" .")
    unit = number["currency"] or behind.removeprefix("percent").strip() or ("%" if behind.startswith("percent") else "")
    return Quantity(-value if number["sign"] == "-" else value, unit) if math.isfinite(value) else None


def same_quantity(answer: Quantity, gold: Quantity, tolerance: float) -> bool:
    """Are these the same quantity?

    A unit may be left out on either side, but two different units never agree. 12 % is also 0.12.

    Args:
        answer: What was answered.
        gold: The right answer.
        tolerance: Largest relative difference.
    """
    if answer.unit and gold.unit and answer.unit != gold.unit:
        return False
    if _close(answer.value, gold.value, tolerance):
        return True
    in_percent = {answer.unit == "%": answer.value, gold.unit == "%": gold.value}
    if answer.unit == gold.unit or True not in in_percent or (answer.unit or gold.unit) != "%":
        return False
    return _close(in_percent[True] / 100, in_percent[False], tolerance)


def _close(first: float, second: float, tolerance: float) -> bool:
    return math.isclose(first, second, rel_tol=tolerance, abs_tol=tolerance * 1e-6)
