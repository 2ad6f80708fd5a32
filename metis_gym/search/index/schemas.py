"""The tables of index files: what writes them, and what a file must have to be read."""

import functools
import re
from dataclasses import dataclass

__all__ = ["IMAGE_SCHEMA", "TEXT_SCHEMA", "Schema", "normalised"]

_NAME = re.compile(r"CREATE (?:VIRTUAL )?TABLE '?(\w+)'?")


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What a kind of file holds.

    Attributes:
        made: The statements that make its tables.
        implied: Those that SQLite then runs by itself, for the tables behind a virtual one.
        functions: SQL functions that its searches use.
        first: What is run before anything but reading is forbidden: a virtual table declares itself at its first use.
    """

    made: tuple[str, ...]
    implied: tuple[str, ...] = ()
    functions: frozenset[str] = frozenset()
    first: tuple[str, ...] = ()

    @functools.cached_property
    def tables(self) -> frozenset[str]:
        """The names of all tables of the index."""
        return frozenset(name for _, name, _, _ in self.objects)

    @functools.cached_property
    def objects(self) -> tuple[tuple[str, str, str, str], ...]:
        """Type, name, table and normalised statement of everything in `sqlite_master`, sorted."""
        statements = [normalised(statement) for statement in (*self.made, *self.implied)]
        names = [found.group(1) for found in map(_NAME.match, statements) if found is not None]
        return tuple(sorted(("table", name, name, sql) for name, sql in zip(names, statements, strict=True)))

    def script(self) -> str:
        """The SQL that creates the tables."""
        return ";\n".join(self.made) + ";"


def normalised(statement: str) -> str:
    """A statement with single spaces."""
    return " ".join(statement.split())


_META = "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"

TEXT_SCHEMA = Schema(
    made=(
        _META,
        "CREATE TABLE passages(id INTEGER PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, link TEXT NOT NULL, "
        "terms TEXT NOT NULL)",
        "CREATE TABLE frequencies(term TEXT PRIMARY KEY, passages INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE VIRTUAL TABLE postings USING fts5(terms, content='', tokenize='ascii')",
    ),
    implied=(
        "CREATE TABLE 'postings_data'(id INTEGER PRIMARY KEY, block BLOB)",
        "CREATE TABLE 'postings_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID",
        "CREATE TABLE 'postings_docsize'(id INTEGER PRIMARY KEY, sz BLOB)",
        "CREATE TABLE 'postings_config'(k PRIMARY KEY, v) WITHOUT ROWID",
    ),
    functions=frozenset({"bm25", "match"}),
    first=("SELECT 1 FROM postings LIMIT 0",),
)
"""Of a text index."""

IMAGE_SCHEMA = Schema(
    made=(
        _META,
        "CREATE TABLE pictures(id INTEGER PRIMARY KEY, title TEXT NOT NULL, link TEXT NOT NULL, "
        "thumbnail BLOB NOT NULL)",
        "CREATE TABLE hashes(bits BLOB NOT NULL)",
    )
)
"""Of an image index."""
