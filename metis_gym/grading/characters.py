"""Bringing characters to one form, and only those whose value stays the same.

Not NFKC: it turns 10² into 102, ① into 1, ½ behind a 2 into 21⁄2 and ™ into TM. Here
* width, typeface, ligatures, presentation forms, squared units, ℃ and Roman numerals become plain characters;
* digits of all scripts become 0 to 9;
* superscripts become `^…`, subscripts `_…`, fractions ` a/b`;
* dashes, minus signs, quotes and spaces become one kind of each;
* characters that nobody sees (zero width, direction marks, variation selectors) go, control characters become spaces;
* all else stays: ① is not 1, ™ is not TM, a Cyrillic А is not a Latin A, é is not e.
"""

import re
import unicodedata

__all__ = ["fold_characters", "raised"]

_PLAIN = {
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("−–—‐‑‒―﹣－", "-"),
    "º": "°",
    "˚": "°",
    "∘": "°",
    "∆": "Δ",
    "µ": "μ",
    "∶": ":",
    "⁄": "/",
    "∕": "/",
    "⋅": "·",
    "∙": "·",
    "•": "·",
    "∼": "~",
    "…": "...",
    "ﾟ": "°",
    "ª": "^a",
}
_KEPT = {"™", "℠", "ℂ", "ℍ", "ℕ", "ℙ", "ℚ", "ℝ", "ℤ", "℘", "ℑ", "ℜ", "℀", "℁", "℅", "℆", "№", "℡"}
_FOLDED = {"<wide>", "<narrow>", "<font>", "<initial>", "<medial>", "<final>", "<isolated>", "<vertical>", "<square>"}
_LIGATURES = range(0xFB00, 0xFB50)
_ROMAN = range(0x2160, 0x2180)
_COMPATIBLE = {"℃", "℉", "ϕ", "ϵ", "ϑ", "ϰ", "ϱ", "ϖ", "ĳ", "Ĳ", "ŀ", "Ŀ", "ſ"}
_SMALL = {"<super>": "^", "<sub>": "_"}
_RAISED = re.compile("[\ue000\ue001][^\ue000\ue001\ue002]*\ue002(?:[\ue000\ue001][^\ue000\ue001\ue002]*\ue002)*")
_SUPER, _SUB, _END = "\ue000", "\ue001", "\ue002"
"""Private characters that stand around one raised or lowered character until its neighbours are known."""


class _Table(dict[int, str]):
    """What becomes of each character, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        if len(self) < 20_000:
            self[code] = folded
        return folded


_table = _Table()


def fold_characters(text: str) -> str:
    """Plain characters for all that mean the same.

    >>> fold_characters("１０²³ cm"), fold_characters("2½"), fold_characters("x₁₂"), fold_characters("①")
    ('10^23 cm', '2 1/2', 'x_12', '①')
    """
    if text.isascii() and text.isprintable():
        return text
    text = unicodedata.normalize("NFC", text).translate(_table)
    if _END in text:
        text = _RAISED.sub(lambda found: _runs(found.group(), text[found.end() : found.end() + 1]), text)
    return text


def raised(mark: str, inner: str, follower: str) -> str:
    """A power or an index: `^2`, or with brackets where it is no plain number or word, or where it would run on.

    >>> raised("^", "2", ""), raised("^", "2x", ""), raised("^", "2", "3")
    ('^2', '^(2x)', '^(2)')
    """
    is_plain = re.fullmatch(r"-?\d+|[^\W\d_]+|[°'*+-]|\([^()]*\)", inner) is not None
    runs_on = bool(inner) and follower.isalnum() and inner[-1].isdigit() == follower.isdigit()
    return f"{mark}{inner}" if is_plain and not runs_on else f"{mark}({inner})"


def _fold(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    category, (tag, parts) = unicodedata.category(character), _decomposition(character)
    if category in ("Cc", "Zs", "Zl", "Zp", "Co"):
        return " "
    if category == "Cf" or "VARIATION SELECTOR" in unicodedata.name(character, ""):
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if character in _KEPT or not parts:
        return character
    if tag in _SMALL:
        return f"{_SUPER if tag == '<super>' else _SUB}{''.join(map(_fold, parts))}{_END}"
    if tag == "<fraction>":
        return f" {''.join(map(_fold, parts))}"
    is_compatible = character in _COMPATIBLE or ord(character) in _LIGATURES or ord(character) in _ROMAN
    return "".join(map(_fold, parts)) if tag in _FOLDED or (tag == "<compat>" and is_compatible) else character


def _decomposition(character: str) -> tuple[str, str]:
    tag, _, codes = unicodedata.decomposition(character).partition(" ")
    return (tag, "".join(chr(int(code, 16)) for code in codes.split())) if tag.startswith("<") else ("", "")


def _runs(marked: str, follower: str) -> str:
    """Join neighbours of the same kind: ²³ is one power."""
    runs: list[tuple[str, str]] = []
    for kind, inner in re.findall(f"([{_SUPER}{_SUB}])([^{_END}]*){_END}", marked):
        if runs and runs[-1][0] == kind:
            runs[-1] = (kind, runs[-1][1] + inner)
        else:
            runs.append((kind, inner))
    ends = [""] * (len(runs) - 1) + [follower]
    return "".join(
        raised("^" if kind == _SUPER else "_", inner, end) for (kind, inner), end in zip(runs, ends, strict=True)
    )
