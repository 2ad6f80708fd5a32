"""The one grammar in which users name things: `name:key=value,key=value`.

```
spec        name [":" parameters]
name        a registered name, or module:Thing, as in gymnasium.make("module:Id")
parameters  key=value {"," key=value}
value       true, false, none, a number, or text; text in quotes is always text
```

Examples: `"hdpo:w_tool=0.15"`, `"my_pkg.tools:Zoom:factor=2"`, `'rows:path="a,b=c.parquet"'`. Text needs quotes (double
or single) where it holds a comma or would be read as something else; a backslash inside quotes stands before a quote or
a backslash. What follows the first colon is a `Thing` if it is an identifier that ends there or at another colon, and a
parameter if an `=` follows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from metis_gym.errors import ConfigError

__all__ = ["format_spec", "is_name", "parse_pairs", "parse_spec", "split_outside_quotes", "unquoted"]

_EXPECTED = "expected name:key=value,key=value"
_IDENTIFIERS = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_QUOTED = r"""(?:"(?:\\["'\\]|\\(?!["'\\])|[^"\\])*"|'(?:\\["'\\]|\\(?!["'\\])|[^'\\])*')"""
_THING = re.compile(rf"({_IDENTIFIERS})(?::|\Z)")
_PART = re.compile(rf"([^=,]*)=\s*(?:({_QUOTED})\s*|([^,]*))(?:,|\Z)")
_QUOTED_VALUE = re.compile(rf"[=:]\s*({_QUOTED})")
_PLAIN_TEXT = re.compile(r"[\w.:\-]+")
_WORD = re.compile(r"[\w.\-]+")
_CONSTANTS = {"true": True, "false": False, "none": None}


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Split a spec into the name and its parameters.

    >>> parse_spec("coupled:alpha=0.1,gated=true")
    ('coupled', {'alpha': 0.1, 'gated': True})
    >>> parse_spec("hdpo")
    ('hdpo', {})
    >>> parse_spec('my_pkg.tasks:Rows:path="a,b=c.parquet"')
    ('my_pkg.tasks:Rows', {'path': 'a,b=c.parquet'})

    Raises:
        ConfigError: A part without `=`, a quote that is not closed, a key given twice, or an empty name or key.
    """
    name, _, rest = spec.partition(":")
    name, rest = name.strip(), rest.strip()
    thing = _THING.match(rest)
    if thing is not None:
        name, rest = f"{name}:{thing.group(1)}", rest[thing.end() :]
    if not name or name.startswith(":"):
        raise ConfigError(f"cannot read {spec!r}: {_EXPECTED}")
    return name, _parse_parameters(rest, spec)


def parse_pairs(pairs: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Arguments that a command line gives as `name=value`, each value JSON, or text where it is none.

    >>> parse_pairs(["reward=hdpo", 'tools=["python"]', "view-size=224"])
    {'reward': 'hdpo', 'tools': ['python'], 'view_size': 224}

    Args:
        pairs: The texts.
        option: Named in the message.

    Raises:
        ConfigError: A text without a name or without `=`.
    """
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, is_pair, value = pair.partition("=")
        if not is_pair or not name:
            raise ConfigError(f"{option} takes name=value, actually: {pair!r}")
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        arguments[name.replace("-", "_")] = read
    return arguments


def format_spec(name: str, parameters: Mapping[str, Any]) -> str:
    """The inverse of `parse_spec`, with the keys sorted; text is put into quotes where it needs them.

    >>> format_spec("coupled", {"gated": True, "alpha": 0.1})
    'coupled:alpha=0.1,gated=true'
    >>> format_spec("rows", {"path": "a,b=c.parquet"})
    'rows:path="a,b=c.parquet"'

    Raises:
        ConfigError: A name, a key or a value that a spec cannot hold.
    """
    if parse_spec(name) != (name, {}) or not is_name(name):
        raise ConfigError(f"{name!r} is not a name: expected letters, digits, '_', '-' and '.', or module:Thing")
    for key in parameters:
        if not key.isidentifier():
            raise ConfigError(f"the parameter {key!r} of {name!r} is not an identifier")
    values = {key: _format_value(value, f"{name}:{key}") for key, value in parameters.items()}
    return name + (":" if values else "") + ",".join(f"{key}={values[key]}" for key in sorted(values))


def is_name(text: str) -> bool:
    """Whether this may be a name in a spec: one word, or module:Thing.

    >>> is_name("always-tool"), is_name("my_pkg:Zoom"), is_name("a b"), is_name("a:b=1")
    (True, True, False, False)
    """
    word, colon, thing = text.partition(":")
    return _WORD.fullmatch(word) is not None and (not colon or re.fullmatch(_IDENTIFIERS, thing) is not None)


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Split at a character, except inside quoted values.

    >>> split_outside_quotes('rows:path="a+b"+signs', "+")
    ['rows:path="a+b"', 'signs']
    """
    masked = _QUOTED_VALUE.sub(lambda found: "\0" * len(found.group()), text)
    ends = [place for place, letter in enumerate(masked) if letter == separator]
    return [text[start + 1 : end] for start, end in zip([-1, *ends], [*ends, len(text)], strict=True)]


def unquoted(text: str) -> str:
    r"""Take the quotes off a quoted text.

    >>> unquoted('"a \\"b\\""')
    'a "b"'
    """
    return re.sub(r"""\\(["'\\])""", r"\1", text[1:-1])


def _parse_parameters(text: str, spec: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    place = 0
    while place < len(text):
        if text[place] in ", ":
            place += 1
            continue
        part = _PART.match(text, place)
        key, quoted, bare = part.groups() if part else ("", None, "")
        if part is None or not key.strip():
            raise ConfigError(f"cannot read {text[place:].partition(',')[0]!r} in {spec!r}: {_EXPECTED}")
        if quoted is None and bare[:1] in ("'", '"') and bare:
            raise ConfigError(
                f"cannot read {bare!r} in {spec!r}: its quote is not closed before the next comma or the end; "
                'inside quotes, write a quote as \\"'
            )
        if key.strip() in parameters:
            raise ConfigError(f"the parameter {key.strip()!r} is given twice in {spec!r}")
        parameters[key.strip()] = unquoted(quoted) if quoted is not None else _parse_value(bare.strip())
        place = part.end()
    return parameters


def _parse_value(text: str) -> Any:
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def _format_value(value: Any, where: str) -> str:
    if isinstance(value, bool | None):
        return str(value).lower()
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value)).replace("e+", "e")  # a "+" joins tasksets
    if not isinstance(value, str):
        raise ConfigError(
            f"{where} is {value!r}, which a spec cannot hold: expected true, false, none, a number or text"
        )
    if _PLAIN_TEXT.fullmatch(value) and _parse_value(value) == value:
        return value
    return '"' + re.sub(r"""(["'\\])""", r"\\\1", value) + '"'
