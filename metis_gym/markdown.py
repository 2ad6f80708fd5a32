"""Tables in Markdown, with columns as wide as their texts."""

from collections.abc import Sequence

__all__ = ["MAX_WIDTH", "fitting", "table"]

MAX_WIDTH = 100
"""Characters of a line of what commands print; `--wide` and files have the rest."""
_MAX_NAME = 40


def fitting(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, kept: Sequence[str] = (), max_width: int = MAX_WIDTH
) -> tuple[list[str], list[list[str]], list[str]]:
    """A table without the columns that do not fit a width; the last ones go first. Long names lose their middle.

    Args:
        head: Titles of the columns, the most important first; the first one, which names the rows, always stays.
        rows: The cells.
        kept: Titles of columns that stay.
        max_width: Characters of a line of the aligned table.

    Returns:
        Titles, cells, and the titles that were left out.

    >>> fitting(["name", "a", "b"], [["x", "12345", "12345"]], max_width=17)
    (['name', 'a'], [['x', '12345']], ['b'])
    """
    names = [shortened(row[0]) for row in rows]
    cells = [[name, *row[1:]] for name, row in zip(names, rows, strict=True)]
    columns = list(range(len(head)))
    while _width(head, cells, columns) > max_width:
        loose = [column for column in columns[1:] if head[column] not in kept]
        if not loose:
            break
        columns.remove(loose[-1])
    left_out = [title for column, title in enumerate(head) if column not in columns]
    return [head[column] for column in columns], [[row[column] for column in columns] for row in cells], left_out


def shortened(name: str, max_length: int = _MAX_NAME) -> str:
    """A name whose middle is left out where it is long.

    >>> shortened("openai:model=a-very-long-name", 11)
    'opena…-name'
    """
    half = (max_length - 1) // 2
    return name if len(name) <= max_length else f"{name[:half]}…{name[-half:]}"


def _width(head: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int]) -> int:
    return 1 + sum(max(len(line[column]) for line in (head, *rows)) + 3 for column in columns)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, aligned: bool = False) -> str:
    """A Markdown table.

    Args:
        head: Titles of the columns.
        rows: The cells, as many in each row as there are titles.
        aligned: Pad the cells, so that the text itself reads as a table.

    >>> print(table(["name", "n"], [["hdpo", "3"]], aligned=True))
    | name | n |
    |------|---|
    | hdpo | 3 |
    """
    if not aligned:
        return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (head, *rows)]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    first, *others = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([first, rule, *others])
