"""Tables in Markdown, with columns as wide as their texts."""

from collections.abc import Sequence

__all__ = ["table"]


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
