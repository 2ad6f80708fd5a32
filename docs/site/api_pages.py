"""Pages of the API, made from signatures and docstrings, which are Markdown with Google's sections."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

__all__ = ["MODULES", "write"]

MODULES = {
    "metis_gym": "the package",
    "metis_gym.records": "tasks, episodes, outcomes",
    "metis_gym.tasksets": "where tasks come from",
    "metis_gym.tools": "what a model may call",
    "metis_gym.dialects": "what a model writes and reads",
    "metis_gym.grading": "what compares answers",
    "metis_gym.rewards": "reward designs",
    "metis_gym.metrics": "what is measured",
    "metis_gym.sandbox": "where model-written code runs",
    "metis_gym.search": "local and live search",
    "metis_gym.recording": "recorded runs",
    "metis_gym.viewer": "runs as a page",
    "metis_gym.wrappers": "recording and timing",
    "metis_gym.testing": "checks for what you add",
    "metis_gym.errors": "every error",
    "metis_agents.evaluate": "evaluation",
    "metis_agents.agent": "what an agent is",
    "metis_agents.compare": "comparing reward designs",
    "metis_agents.sb3": "stable-baselines3",
    "metis_agents.rl": "the trainer of every design",
}
"""Module → what it holds, in the order of the index."""

_QUALIFIED = re.compile(r"\b(?:[a-z_]\w*\.)+([A-Z]\w*)")
_MAX_SIGNATURE = 90
_SECTIONS = ("Args", "Returns", "Yields", "Raises", "Attributes", "Source")
_ENTRY = re.compile(r"(?m)^    (\*{0,2}[\w.\"<>, ]+?)(?: \([^)]*\))?: ")


def write(folder: Path) -> None:
    """Write a page for each module, and one that lists them."""
    folder.mkdir()
    for module in MODULES:
        (folder / f"{module}.md").write_text(_page(module), "utf-8")
    rows = [f"| [`{module}`]({module}.md) | {about} |" for module, about in MODULES.items()]
    toctree = ["```{toctree}", ":hidden:", "", *MODULES, "```", ""]
    head = [
        "# API",
        "",
        "What the packages export, from their docstrings.",
        "",
        "| module | what it holds |",
        "|---|---|",
    ]
    (folder / "index.md").write_text("\n".join([*head, *rows, "", *toctree]), "utf-8")


def _page(name: str) -> str:
    module = importlib.import_module(name)
    parts = [f"# {name}", _text(inspect.getdoc(module) or "")]
    for exported in getattr(module, "__all__", ()):
        thing = getattr(module, exported)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            parts.append(_described(exported, thing, 2))
            parts += _methods(exported, thing) if inspect.isclass(thing) else []
    return "\n\n".join(parts) + "\n"


def _methods(owner: str, kind: type) -> list[str]:
    public = [name for name in vars(kind) if not name.startswith("_")]
    shown = []
    for name in public:
        member = inspect.getattr_static(kind, name)
        function = getattr(member, "__func__", getattr(member, "fget", member))
        if inspect.isfunction(function) and function.__doc__:
            shown.append(_described(f"{owner}.{name}", function, 3, is_property=isinstance(member, property)))
    return shown


def _described(name: str, thing: Any, level: int, *, is_property: bool = False) -> str:
    signature = "" if is_property else _signature(thing)
    code = f"```python\n{name}{signature}\n```"
    return "\n\n".join([f"{'#' * level} {name}", code, _text(inspect.getdoc(thing) or "")])


def _signature(thing: Any) -> str:
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    text = re.sub(r"<(?:function|object|class)[^>]*>|<[\w.]+ object at 0x[0-9a-f]+>", "…", str(found))
    text = _QUALIFIED.sub(r"\1", text)
    if len(text) <= _MAX_SIGNATURE:
        return text
    written = [re.sub(r"<[^>]*0x[0-9a-f]+>", "…", str(one)) for one in found.parameters.values()]
    parameters = [_QUALIFIED.sub(r"\1", one) for one in written]
    stars = next((place for place, one in enumerate(found.parameters.values()) if one.kind is one.KEYWORD_ONLY), None)
    if stars is not None:
        parameters.insert(stars, "*")
    return "(\n" + "".join(f"    {one},\n" for one in parameters) + ")"


def _text(docstring: str) -> str:
    """A docstring as Markdown: sections become lists, examples become code."""
    titles = "|".join(_SECTIONS)
    parts = re.split(rf"(?m)^({titles}):\n", docstring)
    text = [_examples(parts[0])]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        inside, _, after = _split_section(body)
        text += [f"**{title}**", _entries(inside), _examples(after)]
    return _lower_headings("\n\n".join(part for part in text if part.strip()))


def _split_section(body: str) -> tuple[str, str, str]:
    lines = body.split("\n")
    end = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith(" ")), len(lines))
    return "\n".join(lines[:end]), "", "\n".join(lines[end:])


def _entries(section: str) -> str:
    found = _ENTRY.split(section)
    if len(found) == 1:
        return inspect.cleandoc(section)
    pairs = zip(found[1::2], found[2::2], strict=True)
    return "\n".join(f"* `{name}`: {' '.join(about.split())}" for name, about in pairs)


def _examples(text: str) -> str:
    """Doctests, which need no fences in a docstring, as fenced code."""
    return re.sub(r"(?ms)((?:^>>> .*?)(?=\n\s*\n|\Z))", r"```python\n\1\n```", text)


def _lower_headings(text: str) -> str:
    return re.sub(r"(?m)^(#+ )", r"###\1", text)
