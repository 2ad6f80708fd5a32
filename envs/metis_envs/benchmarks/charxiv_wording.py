"""The wording of CharXiv's authors, read from a clone of their repository: questions, and what a judge is told.

The tables stand in `src/constants.py` and are read as literals; nothing of the repository is run.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metis_gym.errors import ConfigError, TaskDataError

__all__ = ["Wording", "official_wording"]

_FILE = "src/constants.py"
_DESCRIPTIVE, _DESCRIPTIVE_RUBRICS = "DESCRIPTIVE_RESP_INST", "DESCRIPTIVE_GRADING_ICL"
_REASONING, _REASONING_RUBRICS = "REASONING_RESP_INST", "REASONING_GRADING_INST"
_YOUR_TURN = "### Your Turn"
_RUBRIC_OF = {
    **dict.fromkeys((2, 3, 4, 5, 6, 7), "ocr"),
    **dict.fromkeys((8, 9, 10, 12, 14, 15, 17, 19), "quant"),
    **{1: "title", 11: "bool", 13: "enum", 16: "trend", 18: "layout"},
}
"""Number of a template → the name of its rubric."""


@dataclass(frozen=True)
class Wording:
    """The authors' tables.

    Attributes:
        tables: Name → table.
    """

    tables: Mapping[str, Mapping[Any, str]]

    def descriptive_question(self, template: int, where: str) -> str:
        """A template with the subplot that is meant, which is said in words of our own."""
        return self._entry(_DESCRIPTIVE, template).replace("{}", where, 1).strip()

    def reasoning_question(self, kind: int, question: str, number: str) -> str:
        """A question with what its kind of answer asks for."""
        before, slot, after = self._entry(_REASONING, kind).partition("{}")
        return (
            f"{before}{question}{after.replace('{}', number, 1)}".strip() if slot else f"{question}\n{before}".strip()
        )

    def descriptive_rubric(self, template: int) -> str:
        """What a judge is told about a template."""
        return self._rubric(_DESCRIPTIVE_RUBRICS, _RUBRIC_OF[template])

    def reasoning_rubric(self, kind: int) -> str:
        """What a judge is told about a kind of answer."""
        return self._rubric(_REASONING_RUBRICS, kind)

    def _rubric(self, table: str, key: int | str) -> str:
        """Empty where the repository has none."""
        return self.tables.get(table, {}).get(key, "").partition(_YOUR_TURN)[0].strip()

    def _entry(self, table: str, key: int | str) -> str:
        found = self.tables.get(table, {}).get(key)
        if found is None:
            raise TaskDataError(f"{_FILE} has no {table}[{key!r}]")
        return found


def official_wording(path: Path | None) -> Wording:
    """The wording in a clone of the authors' repository.

    Raises:
        ConfigError: There is none.
        TaskDataError: It cannot be read.
    """
    file = None if path is None else path / _FILE
    if file is None or not file.is_file():
        raise ConfigError(f"wording=official needs path= a clone of the benchmark's repository, with {_FILE}")
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise TaskDataError(f"{file} cannot be read: {error}") from None
    tables = dict(_tables(tree))
    questions = [table for table in tables.values() if len(table) == len(_RUBRIC_OF)]
    if questions:
        tables.setdefault(_DESCRIPTIVE, questions[0])  # under whatever name
    if not {_DESCRIPTIVE, _REASONING} & set(tables):
        raise TaskDataError(f"{file} holds no table {_DESCRIPTIVE} or {_REASONING}; it has: {', '.join(tables) or '–'}")
    return Wording(tables)


def _tables(tree: ast.Module) -> Iterator[tuple[str, dict[Any, str]]]:
    """The tables of texts that stand in a module as literals."""
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        try:
            table = ast.literal_eval(node.value)
        except (ValueError, RecursionError, MemoryError):
            continue
        if all(isinstance(text, str) for text in table.values()):
            yield from ((target.id, table) for target in node.targets if isinstance(target, ast.Name))
