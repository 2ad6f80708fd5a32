r"""Taking formatting off: Markdown and HTML marks, `$…$`, and those LaTeX commands that only typeset.

A mark goes only where it formats: in pairs around whole words (`**red**`), never inside of one (`2**3`, `a__b`). A
power or an index keeps its sign. What LaTeX *computes* (sums, integrals, …) stays as it stands, for
`metis_gym.grading.latex`.
"""

import re

from metis_gym.grading.characters import raised

__all__ = ["formulas", "plain_latex", "strip_markup"]

_MAX_PASSES = 12
"""How deep braces are resolved from the inside out; what is nested deeper stays."""

_BOLD = re.compile(r"(?<![\w*])\*\*(?=\S)(.+?\*?)\s?\*\*(?![\w*])|^\*\*\s(.+)\*\*$", re.DOTALL)
_EMPHASIS = re.compile(r"(?<![\w*])(\*)(?![\s*])([^*\n]*[^\s*])\1(?![\w*])")
_UNDERLINE = re.compile(r"(?<!\w)(_{1,3})(?![\s_])([^_\n]*[^\s_])\1(?!\w)")
_CODE = re.compile(r"(?<![\w`])(`{1,3})(?!`)([^`]*[^`])\1(?![\w`])")
_TAG = re.compile(r"</?(?:b|i|em|strong|u|code|p|span|answer)>|<br ?/?>", re.IGNORECASE)
_SMALL_TAG = re.compile(r"<(sup|sub)>([^<>]*)</\1>", re.IGNORECASE)
_MATHS = re.compile(r"\$\$([^$]+)\$\$|(?<!\\)\$(?=\S)([^$]*[^\s$\\])\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)

_STYLE = (
    r"text|textbf|textit|textrm|textsf|texttt|textnormal|mathrm|mathbf|mathit|mathsf|mathtt|mathnormal|boldsymbol|bm"
    r"|operatorname|mbox|hbox|boxed|fbox|emph|underline|rm|bf"
)
_STYLED = re.compile(rf"\\(?:{_STYLE})\*?\s*\{{([^{{}}]*)\}}")
_GLUED = re.compile(rf"(\\[a-zA-Z]+)(?=\\(?:{_STYLE})\b)")
_FRACTION = re.compile(r"(\d?)\\[dtc]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_ROOT = re.compile(r"\\sqrt\s*(?:\{([^{}]*)\}|(\d))")
_BARE_ROOT = re.compile(r"√\s*\{([^{}]*)\}")
_SCRIPT = re.compile(r"\s?([\^_])\s*\{([^{}]*)\}(?=(.?))")
_COMMAND = re.compile(r"\\([a-zA-Z]+)\s*|\\(.)", re.DOTALL)

_ACCENTS = {"hat": "\u0302", "widehat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "overline": "\u0304"}
_ACCENTS |= {"vec": "\u20d7", "dot": "\u0307", "ddot": "\u0308"}
_ACCENT = re.compile(rf"\\({'|'.join(_ACCENTS)})\s*\{{([^{{}}]*)\}}")
_SPACES = ("quad", "qquad", "enspace", "thinspace")
_DROPPED = (
    "left right big Big bigg Bigg bigl bigr Bigl Bigr displaystyle textstyle limits rm bf it mathrm text rightarrow"
).split()
_WORDS = {
    "circ": "°",
    "degree": "°",
    "times": "×",
    "cdot": "·",
    "div": "÷",
    "pm": "±",
    "mp": "∓",
    "le": "≤",
    "leq": "≤",
    "leqslant": "≤",
    "ge": "≥",
    "geq": "≥",
    "geqslant": "≥",
    "lt": "<",
    "gt": ">",
    "ne": "≠",
    "neq": "≠",
    "approx": "≈",
    "infty": "∞",
    "angle": "∠",
    "triangle": "△",
    "parallel": "∥",
    "perp": "⊥",
    "cup": "∪",
    "cap": "∩",
    "in": "∈",
    "prime": "'",
    "ell": "l",
    "lbrace": "{",
    "rbrace": "}",
    "ldots": "...",
    "dots": "...",
    "to": "→",
    **dict(
        zip(
            (
                "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho "
                "sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
            ).split(),
            "αβγδεεζηθθικλμνξπρστυφφχψωΓΔΘΛΞΠΣΦΨΩ",
            strict=True,
        )
    ),
    **{name: name for name in ("sin", "cos", "tan", "log", "ln", "exp", "min", "max", "lim")},
}


def strip_markup(text: str, underlines: bool = True) -> str:
    r"""Take off bold, italics, code and HTML marks.

    Args:
        text: What was written.
        underlines: Whether `_…_` and `__…__` are marks, too: in an answer they are; a gold answer may be a name.

    >>> strip_markup("**B**"), strip_markup("2**3 and a__b"), strip_markup("m<sup>2</sup>")
    ('B', '2**3 and a__b', 'm^2')
    """
    if "<" in text:
        text = _SMALL_TAG.sub(lambda found: _raised("^_"[found[1].lower() == "sub"], found[2], ""), text)
        text = _TAG.sub("", text)
    if "**" in text:
        text = _BOLD.sub(lambda found: found[1] or found[2], text)
    for mark, pattern in (("*", _EMPHASIS), ("_", _UNDERLINE), ("`", _CODE)):
        if mark in text and (underlines or mark != "_"):
            text = pattern.sub(r"\2", text)
    return text.strip()


def plain_latex(text: str) -> str:
    r"""Resolve what only typesets: `$…$`, `\text`, fractions, roots, powers, Greek letters, spaces.

    >>> plain_latex(r"$136 \mathrm{~cm}^{2}$"), plain_latex(r"\frac{\sqrt{30}}{2}"), plain_latex("$5 and $10")
    ('136 cm^2', '√30/2', '$5 and $10')
    """
    if "$" in text:
        text = _MATHS.sub(lambda found: next(filter(None, found.groups())), text)
    if "\\" in text:
        text = _MATHS.sub(lambda found: next(filter(None, found.groups())), text)
    elif "{" not in text:
        return text
    text = text.replace("~", " ") if "\\" in text else text
    text = re.sub(r"\\[{}]", lambda found: {"\\{": "⦃", "\\}": "⦄"}[found.group()], text)
    text = _GLUED.sub(r"\1 ", text)
    for _ in range(_MAX_PASSES):
        before = text
        text = _ACCENT.sub(lambda found: found[2] + _ACCENTS[found[1]], _STYLED.sub(r"\1", text))
        text = _SCRIPT.sub(lambda found: _raised(found[1], found[2], found[3]), text)
        text = _ROOT.sub(_root, text)
        text = _BARE_ROOT.sub(_root, text)
        text = _FRACTION.sub(_fraction, text)
        if text == before:
            break
    text = _COMMAND.sub(_command, text)
    return " ".join(text.replace("⦃", "{").replace("⦄", "}").replace("^°", "°").split())


def _raised(mark: str, inner: str, follower: str) -> str:
    inner = _COMMAND.sub(_command, inner).strip()
    if inner == "°":
        return "°"
    return raised(mark, inner, follower) if inner else ""


def _root(found: re.Match[str]) -> str:
    inner = next(filter(None, found.groups()), "")
    return f"√{_atom(inner)}"


def _fraction(found: re.Match[str]) -> str:
    before, above, below = found[1], found[2] or found[3] or "", found[4] or found[5] or ""
    return f"{before}{' ' if before else ''}{_atom(above)}/{_atom(below)}"


def _atom(text: str) -> str:
    text = text.strip()
    return text if re.fullmatch(r"√?(?:\d+(?:\.\d+)?|\w|\\[a-zA-Z]+)", text) else f"({text})"


def _command(found: re.Match[str]) -> str:
    word, sign = found[1], found[2]
    if sign is not None:
        return {"%": "%", "$": "$", "&": "&", "#": "#", "_": "_", "|": "|", "!": ""}.get(sign, " ")
    if word in _SPACES:
        return " "
    if word in _DROPPED:
        return ""
    # A command ends at its space, which typesets nothing: "\pi r" is "πr", but "\cos x" is "cos x".
    return (
        _WORDS[word] + (" " if _WORDS[word].isascii() and word.isalpha() else "") if word in _WORDS else found.group()
    )


def formulas(text: str) -> tuple[str, ...]:
    r"""The formula of a text that holds exactly one, in `$…$` or such, with its LaTeX.

    >>> formulas(r"The answer is $\sqrt{8}$."), formulas("$x$ or $y$"), formulas(r"so \boxed{\frac{1}{2}}")
    (('$\\sqrt{8}$',), (), ('$\\frac{1}{2}$',))
    """
    found = [next(filter(None, groups)) for groups in _MATHS.findall(text)] or _boxed(text)
    return (f"${found[0].strip()}$",) if len(found) == 1 and found[0].strip() else ()


def _boxed(text: str) -> list[str]:
    r"""What stands in `\boxed{…}`."""
    found = []
    for start in re.finditer(r"\\boxed\s*\{", text):
        depth = 1
        for place in range(start.end(), len(text)):
            depth += (text[place] == "{") - (text[place] == "}")
            if depth == 0:
                found.append(text[start.end() : place])
                break
    return found
