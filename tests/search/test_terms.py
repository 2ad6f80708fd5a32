"""From text to terms: what is folded, what is left out, and that any text will do."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.search.index.terms import MAX_QUERY_TERMS, STOP_WORDS, query_terms, terms_of
from metis_gym.search.snippets import MAX_SNIPPET, one_line, snippet


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Towers, TOWER; tower's", ["tower"] * 3),
        ("Cities, boxes, glass, bus, species, oboes", ["city", "boxe", "glass", "bus", "specy", "oboes"]),
        ("Ångström é", ["angstrom"]),  # single letters are stop words
        ("12,480 people in 1,204,000 and 1,23", ["12480", "people", "1204000", "1", "23"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("서울", ["서", "울"]),
        ("abc漢字def", ["abc", "漢", "字", "def"]),
        ("snake_case and NEAR(x, 5)", ["snake", "case", "near", "5"]),
        ("the of and", []),
        ("Straße", ["strasse"]),
        ("a\x00b\x00halworth\udfff!", ["halworth"]),
        ("x" * 60, ["x" * 48]),
    ],
)
def test_terms(text, terms):
    assert list(terms_of(text)) == terms


def test_query_terms_are_different_and_bounded():
    assert query_terms("tower Towers tower") == ("tower",)
    words = [f"wort{number}" for number in range(100)]
    assert query_terms(" ".join(words)) == tuple(words[:MAX_QUERY_TERMS])


@given(st.text())
def test_any_text_gives_terms_that_sqlite_leaves_whole(text):
    terms = list(terms_of(text))
    assert not STOP_WORDS.intersection(terms)
    with closing(sqlite3.connect(":memory:")) as file:
        file.execute("CREATE VIRTUAL TABLE t USING fts5(terms, content='', tokenize='ascii')")
        file.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")
        file.execute("INSERT INTO t(rowid, terms) VALUES(1, ?)", (" ".join(terms),))
        stored = [term for (term,) in file.execute("SELECT term FROM v ORDER BY offset")]
    assert stored == terms


@given(st.text())
def test_terms_of_terms_are_themselves_unless_plural(text):
    for term in terms_of(text):
        assert len(list(terms_of(term))) <= 1


@given(st.text(), st.text(max_size=30), st.integers(1, 200))
def test_snippets_are_short_and_out_of_the_text(text, query, limit):
    shown = snippet(text, query, limit)
    assert len(shown) <= limit + 4
    assert "\n" not in shown
    if len(one_line(text)) <= limit:
        assert shown == one_line(text)
    else:
        assert shown.removeprefix("… ").removesuffix(" …") in one_line(text)


def test_a_snippet_of_a_long_text_is_where_most_terms_are():
    filler = "lorem ipsum dolor " * 200
    text = f"{filler} The tower is far. {filler} The Halworth tower is 120 m high. {filler}"
    assert "Halworth tower is 120 m high" in snippet(text, "height of the Halworth tower")
    assert len(snippet(text, "halworth")) <= MAX_SNIPPET + 4


def test_a_word_longer_than_a_snippet_is_cut():
    assert snippet("a" * 5000 + " b", "x", 100) == "a" * 100 + " …"
