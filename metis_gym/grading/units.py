"""Units of measure: one spelling for each, and what one is in others: 1.2 km is 1200 m, and 12 mW is not 12 MW."""

import functools
import re

__all__ = ["Scale", "read_unit", "scale_of"]

Scale = tuple[float, tuple[tuple[str, int], ...]]
"""How many base units one is, and the base units with their powers."""

_PREFIXES = {
    "T": (1e12, "tera"),
    "G": (1e9, "giga"),
    "M": (1e6, "mega"),
    "k": (1e3, "kilo"),
    "h": (1e2, "hecto"),
    "d": (1e-1, "deci"),
    "c": (1e-2, "centi"),
    "m": (1e-3, "milli"),
    "μ": (1e-6, "micro"),
    "n": (1e-9, "nano"),
    "p": (1e-12, "pico"),
}
_PREFIXED: dict[str, Scale] = {
    **{base: (1.0, ((base, 1),)) for base in "m g s A V W J N Hz Pa eV Wh Ω mol F T cal bit bar B".split()},
    "L": (1e-3, (("m", 3),)),
}
_NEVER_ALONE = ("bar", "B", "F")
"""5B is five thousand million, and bars stand in charts."""
_WORDS = {
    "m": ["metre", "meter"],
    "g": ["gram", "gramme"],
    "s": ["second", "sec"],
    "L": ["litre", "liter"],
    "A": ["ampere", "amp"],
    "V": ["volt"],
    "W": ["watt"],
    "J": ["joule"],
    "N": ["newton"],
    "Hz": ["hertz"],
    "Pa": ["pascal"],
    "Ω": ["ohm"],
    "B": ["byte"],
    "cal": ["calorie"],
    "mol": ["mole"],
}
_FIXED: dict[str, tuple[str, Scale]] = {
    "%": ("percent", (1.0, (("%", 1),))),
    "‰": ("permille", (1.0, (("‰", 1),))),
    "°": ("degree deg", (1.0, (("°", 1),))),
    "°C": ("", (1.0, (("°C", 1),))),
    "°F": ("", (1.0, (("°F", 1),))),
    "K": ("kelvin", (1.0, (("K", 1),))),
    "rad": ("radian", (1.0, (("rad", 1),))),
    "min": ("minute", (60.0, (("s", 1),))),
    "h": ("hour hr", (3600.0, (("s", 1),))),
    "day": ("days", (86400.0, (("s", 1),))),
    "week": ("weeks wk", (604800.0, (("s", 1),))),
    "month": ("months", (1.0, (("month", 1),))),
    "year": ("years yr", (12.0, (("month", 1),))),
    "in": ("inch inches", (0.0254, (("m", 1),))),
    "ft": ("foot feet", (0.3048, (("m", 1),))),
    "yd": ("yard", (0.9144, (("m", 1),))),
    "mi": ("mile", (1609.344, (("m", 1),))),
    "lb": ("lbs", (453.59237, (("g", 1),))),
    "oz": ("ounce", (28.349523125, (("g", 1),))),
    "t": ("tonne", (1e6, (("g", 1),))),
    "ha": ("hectare", (1e4, (("m", 2),))),
    "dB": ("decibel", (1.0, (("dB", 1),))),
    "mph": ("", (1609.344 / 3600, (("m", 1), ("s", -1)))),
    "rpm": ("", (1 / 60, (("turn", 1), ("s", -1)))),
    "fps": ("", (1.0, (("fps", 1),))),
    "px": ("pixel", (1.0, (("px", 1),))),
    "$": ("dollar usd US$", (1.0, (("$", 1),))),
    "€": ("euro eur", (1.0, (("€", 1),))),
    "£": ("gbp", (1.0, (("£", 1),))),
    "¥": ("yen jpy", (1.0, (("¥", 1),))),
    "₹": ("rupee inr", (1.0, (("₹", 1),))),
    "unit": ("units", (1.0, (("unit", 1),))),
}
_NO_NAME = frozenset(
    (
        "a an and or of to by than then more less fewer least most plus minus times over under above below not no from "
        "half quarter dozen score hundred squared cubed th st nd rd left remaining other others if but so is are was "
        "in on at per with without between until till past"
    ).split()
)
_TOKEN = re.compile(
    r"(?P<by>\s*(?:/|·|\*|×|\s)\s*)?"
    r"(?P<name>°[CF](?![^\W\d_])|[^\W\d_]+|[%‰°$€£¥₹])"
    r"(?:\s?(?:\^|\*\*)\s?\(?(?P<power>-?[1-9])\)?|(?P<glued>[23])(?!\d))?"
)
_POWERS = (
    (re.compile(r"\b(?:square|sq\.?)\s+([^\W\d_]+)", re.IGNORECASE), r"\1^2"),
    (re.compile(r"\b(?:cubic|cu\.?)\s+([^\W\d_]+)", re.IGNORECASE), r"\1^3"),
    (re.compile(r"\b([^\W\d_]+)\s+squared\b", re.IGNORECASE), r"\1^2"),
    (re.compile(r"\b([^\W\d_]+)\s+cubed\b", re.IGNORECASE), r"\1^3"),
    (re.compile(r"\s+per\s+", re.IGNORECASE), "/"),
    (re.compile(r"^per cent\b", re.IGNORECASE), "%"),
    (re.compile(r"(?:°|\bdegrees?)\s+(?=(?:[CF]|celsius|fahrenheit)\b)", re.IGNORECASE), "°"),
    (re.compile(r"°(c)elsius\b|°(f)ahrenheit\b", re.IGNORECASE), lambda found: f"°{(found[1] or found[2]).upper()}"),
)
_MAX_LENGTH = 48


def _tables() -> tuple[dict[str, str], dict[str, Scale]]:
    """Spelling → symbol, and symbol → scale."""
    spellings: dict[str, str] = {}
    scales: dict[str, Scale] = {}

    def add(symbol: str, scale: Scale, written: list[str], words: list[str]) -> None:
        scales.setdefault(symbol, scale)
        for spelling in [*written, *words, *(f"{word}s" for word in words)]:
            spellings.setdefault(spelling, symbol)

    for symbol, (words, scale) in _FIXED.items():
        add(symbol, scale, [symbol], words.split())
    for base, (factor, dimension) in _PREFIXED.items():
        names, written = _WORDS.get(base, []), ["L", "l"] if base == "L" else [base]
        add(base, (factor, dimension), [] if base in _NEVER_ALONE else written, names)
        for prefix, (power, word) in _PREFIXES.items():
            both = [start + end for start in ("μ", "u") for end in written] if prefix == "μ" else []
            both = both or [prefix + end for end in written]
            add(prefix + base, (factor * power, dimension), both, [word + name for name in names])
    return spellings, scales


_SPELLINGS, _SCALES = _tables()


def read_unit(text: str) -> str | None:
    """One spelling of a unit: symbols with their powers, or one to three words; None if it is no unit at all.

    >>> read_unit("square centimetres"), read_unit("km per hour"), read_unit("apples"), read_unit("or more")
    ('cm^2', 'km/h', 'apple', None)
    """
    text = text.strip()
    return _read_unit(text) if len(text) <= _MAX_LENGTH else None


@functools.lru_cache(maxsize=4096)
def _read_unit(text: str) -> str | None:
    if not text:
        return ""
    spelled = text
    for pattern, better in _POWERS:
        spelled = pattern.sub(better, spelled)
    return _symbols(spelled) or _words(text)


def scale_of(unit: str) -> Scale | None:
    """What one of a unit, as `read_unit` writes it, is in base units; None for words.

    >>> scale_of("cm^2"), scale_of("apple")
    ((0.0001, (('m', 2),)), None)
    """
    return _scale_of(unit)


@functools.lru_cache(maxsize=4096)
def _scale_of(unit: str) -> Scale | None:
    total, powers, end = 1.0, dict[str, int](), 0
    for found in _TOKEN.finditer(unit):
        if found["name"] not in _SCALES:
            return None
        power = int(found["power"] or 1) * (-1 if "/" in (found["by"] or "") else 1)
        factor, dimension = _SCALES[found["name"]]
        total *= factor**power
        for base, exponent in dimension:
            powers[base] = powers.get(base, 0) + exponent * power
        end = found.end()
    return (total, tuple(sorted((base, power) for base, power in powers.items() if power))) if end else None


def _symbols(text: str) -> str | None:
    written, end = "", 0
    while end < len(text):
        found = _TOKEN.match(text, end)
        symbol = found and _symbol(found["name"])
        if found is None or symbol is None or (bool(written) != bool(found["by"]) and "°" not in (written, symbol)):
            return None
        divides = "/" in (found["by"] or "")
        power = found["power"] or found["glued"]
        written += ("/" if divides else "·" if written else "") + symbol + (f"^{power}" if power else "")
        end = found.end()
    return written


def _symbol(name: str) -> str | None:
    """The symbol of a spelling: case counts (mW, MW), unless there is but one reading (KG)."""
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    lower = name.lower()
    return _SPELLINGS.get(lower) if len(name) > 1 else None


def _words(text: str) -> str | None:
    words = text.lower().replace("-", " ").split()
    if not 1 <= len(words) <= 3 or not all(_is_name(word) for word in words) or not _NO_NAME.isdisjoint(words):
        return None
    return " ".join(_singular(word) for word in words)


def _is_name(word: str) -> bool:
    is_ideographic = all("\u4e00" <= letter <= "\u9fff" for letter in word)
    return is_ideographic or (len(word) >= 3 and word.isascii() and word.isalpha())


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
