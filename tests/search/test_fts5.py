"""The default text engine beside oracles: plain Python over all passages, and SQLite's own BM25."""

import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_corpora import bm25_of_all, random_corpus

from metis_gym.errors import MissingDependencyError, SearchError, SearchIndexError
from metis_gym.records import Passage
from metis_gym.search.engines import fts5
from metis_gym.search.engines.fts5 import Fts5Engine
from metis_gym.search.index import sqlite_files
from metis_gym.search.index.schemas import IMAGE_SCHEMA, TEXT_SCHEMA
from metis_gym.search.index.sqlite_files import ReadOnlyFile
from metis_gym.search.index.terms import query_terms
from metis_gym.search.index.text import searchable, write_text_index

QUERIES = [
    "wort000",
    "wort299",
    "wort000 wort001 wort002",
    "wort010 wort150 wort298 wort299",
    "wort005 nowhere wort250",
    "wort120 wort121 wort122 wort123 wort124 wort125",
]


@pytest.fixture
def engine(index_path):
    return Fts5Engine(path=str(index_path))


def found(hits):
    return [(hit.score, int(hit.link.rpartition("/")[2]) + 1) for hit in hits]


@pytest.mark.parametrize("query", QUERIES)
def test_order_and_scores_are_those_of_the_formula(engine, corpus, query):
    # The corpus is small: all passages with a leading term are candidates, so the order is exact.
    expected = bm25_of_all(corpus, query)[:10]
    for (score, row), (wanted, wanted_row) in zip(found(engine.search(query, limit=10)), expected, strict=True):
        assert row == wanted_row
        assert score == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("query", QUERIES)
def test_scores_are_those_of_sqlite(engine, corpus, query):
    with closing(sqlite3.connect(":memory:")) as file:
        file.execute("CREATE VIRTUAL TABLE t USING fts5(terms, tokenize='ascii')")
        file.executemany("INSERT INTO t(terms) VALUES(?)", [(" ".join(searchable(p)),) for p in corpus])
        match = " OR ".join(f'"{term}"' for term in query_terms(query))
        theirs = {
            row: -score
            for row, score in file.execute("SELECT rowid, bm25(t) FROM t WHERE t MATCH ?", (match,)).fetchall()
        }
    for score, row in found(engine.search(query, limit=10)):
        assert score == pytest.approx(theirs[row], rel=1e-9)


def test_common_words_bring_no_candidates_but_count(tmp_path, monkeypatch):
    monkeypatch.setattr(fts5, "MAX_MATCHES", 20)
    corpus = random_corpus(600, seed=1)
    write_text_index(corpus, tmp_path / "t.sqlite")
    engine = Fts5Engine(path=str(tmp_path / "t.sqlite"))
    query = "wort290 wort000"
    rare = [row for row, passage in enumerate(corpus, 1) if "wort290" in searchable(passage)]
    assert 1 <= len(rare) <= 20
    expected = [pair for pair in bm25_of_all(corpus, query) if pair[1] in rare][:10]
    hits = found(engine.search(query, limit=10))
    assert [row for _, row in hits] == [row for _, row in expected]
    assert [score for score, _ in hits] == pytest.approx([score for score, _ in expected], rel=1e-9)


def test_equal_scores_keep_the_order_of_the_corpus(tmp_path):
    same = [Passage(title="", text="one tower", link=f"https://generated.example/{n}") for n in range(30)]
    other = [Passage(title="", text=f"filler{n} words", link="") for n in range(100)]
    write_text_index([*same, *other], tmp_path / "t.sqlite")
    hits = Fts5Engine(path=str(tmp_path / "t.sqlite")).search("tower", limit=10)
    assert [row for _, row in found(hits)] == list(range(1, 11))


def test_titles_are_searched_and_shown_on_one_line(tmp_path):
    write_text_index([Passage(title="Halworth\n  Museum", text="a\nb  house", link="x")], tmp_path / "t.sqlite")
    (hit,) = Fts5Engine(path=str(tmp_path / "t.sqlite")).search("halworth", limit=10)
    assert (hit.title, hit.snippet, hit.link) == ("Halworth Museum", "a b house", "x")


@pytest.mark.parametrize("query", ["", "   ", "the of", "nowhere", "\x00", "!!!"])
def test_finding_nothing_is_an_empty_answer(engine, query):
    assert engine.search(query, limit=10) == ()


OPERATORS = st.sampled_from(
    [
        '"',
        "'",
        "*",
        "(",
        ")",
        "^",
        ":",
        "-",
        "+",
        " AND ",
        " OR ",
        " NOT ",
        " NEAR(",
        "{a b}:",
        "\x00",
        "😀",
        "é",
        "wort1",
    ]
)


@given(st.one_of(st.text(), st.lists(OPERATORS, max_size=12).map("".join)))
def test_any_query_is_searched_for(index_path, query):
    for hit in Fts5Engine(path=str(index_path)).search(query, limit=3):
        assert hit.score > 0


@pytest.mark.parametrize("unit", ["wort001 ", "x", "the ", '" OR ', "é", "東", "wort1,000,", "\udfff", "😀"])
def test_a_query_of_a_megabyte_is_searched_for(engine, unit):
    engine.search(unit * (1_000_000 // len(unit)), limit=10)


def test_scores_of_passages_are_those_in_the_corpus(engine, corpus):
    query = "wort150 wort200 wort000"
    scores = engine.scores(query, corpus)
    for score, row in found(engine.search(query, limit=20)):
        assert scores[row - 1] == score
    assert engine.scores("nowhere", [Passage(title="", text="nowhere")]) != [0.0], "a word that the corpus lacks counts"
    assert engine.scores("nowhere", corpus[:3]) == [0.0] * 3


def answers(path):
    engine = Fts5Engine(path=str(path))
    return [[hit.__dict__ for hit in engine.search(query, limit=10)] for query in QUERIES]


def test_answers_are_the_same_in_another_process(index_path):
    code = (
        "import json, sys; from metis_gym.search.engines.fts5 import Fts5Engine; e = Fts5Engine(path=sys.argv[1]);"
        "print(json.dumps([[h.__dict__ for h in e.search(q, limit=10)] for q in json.loads(sys.argv[2])]))"
    )
    results = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, str(index_path), json.dumps(QUERIES)]
        results.append(json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout))
    assert results[0] == results[1] == answers(index_path)


def test_an_index_built_again_is_the_same(corpus, index_path, tmp_path):
    write_text_index(iter(corpus), tmp_path / "again.sqlite")
    again = Fts5Engine(path=str(tmp_path / "again.sqlite"))
    assert again.fingerprint() == Fts5Engine(path=str(index_path)).fingerprint()
    changed = [*corpus[:-1], Passage(title="x", text="y")]
    write_text_index(changed, tmp_path / "again.sqlite")
    assert Fts5Engine(path=str(tmp_path / "again.sqlite")).fingerprint() != again.fingerprint()


def test_threads_search_at_once(engine, index_path):
    expected = answers(index_path)
    wrong = []

    def work():
        for _ in range(20):
            for query, wanted in zip(QUERIES, expected, strict=True):
                if [hit.__dict__ for hit in engine.search(query, limit=10)] != wanted:
                    wrong.append(query)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _search_in_child(engine, queue):
    queue.put([[hit.__dict__ for hit in engine.search(query, limit=10)] for query in QUERIES])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_goes_on_searching_with_connections_of_its_own(engine, index_path):
    engine.search(QUERIES[0], limit=10)  # opens a connection before the fork
    inherited = list(engine.index.file._idle)
    assert inherited
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    children = [context.Process(target=_search_in_child, args=(engine, queue)) for _ in range(3)]
    for child in children:
        child.start()
    for _ in children:
        assert queue.get() == answers(index_path)
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert engine.index.file._idle == inherited, "the parent keeps its own"
    engine.index.file.forget_connections()
    assert engine.index.file._idle == []
    assert answers(index_path)[0] == [hit.__dict__ for hit in engine.search(QUERIES[0], limit=10)]


def test_searching_writes_nothing(corpus, tmp_path):
    path = tmp_path / "index with spaces & 100% é?.sqlite"
    write_text_index(corpus, path)
    before = path.read_bytes()
    path.chmod(0o444)
    assert Fts5Engine(path=str(path)).search("wort200", limit=10)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path], "no journal, no lock, nothing half-made"


def test_a_file_that_is_no_index_is_refused(tmp_path, index_path):
    text = tmp_path / "corpus.jsonl"
    text.write_text('{"title": "a"}')
    with pytest.raises(SearchIndexError, match="no text index of this project"):
        Fts5Engine(path=str(text))
    with pytest.raises(SearchIndexError, match=r"is no image index of this project \(DatabaseError: its tables"):
        ReadOnlyFile(index_path, "image index", 1, IMAGE_SCHEMA)
    with pytest.raises(SearchIndexError, match="is no image index, but a 'text index'"):
        ReadOnlyFile(index_path, "image index", 1, TEXT_SCHEMA)
    with pytest.raises(SearchIndexError, match="there is no text index"):
        Fts5Engine(path=str(tmp_path))


def test_an_index_of_another_format_is_refused(tmp_path, index_path):
    other = tmp_path / "other.sqlite"
    shutil.copy(index_path, other)
    with closing(sqlite3.connect(other)) as file:
        file.execute("UPDATE meta SET value = '0' WHERE key = 'format'")
        file.commit()
    with pytest.raises(SearchIndexError, match=r"format 0, made by another version.*Build it again"):
        Fts5Engine(path=str(other))


def test_an_index_that_is_damaged_later_is_a_failed_search(tmp_path, corpus):
    path = tmp_path / "t.sqlite"
    write_text_index(corpus, path)
    engine = Fts5Engine(path=str(path))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(SearchError, match="cannot be read"):
        engine.search("wort000 wort001", limit=10)


def test_a_failed_build_leaves_the_old_index(tmp_path, corpus):
    path = tmp_path / "t.sqlite"
    write_text_index(corpus, path)
    before = path.read_bytes()

    def broken():
        yield corpus[0]
        raise KeyError("the source broke")

    with pytest.raises(KeyError):
        write_text_index(broken(), path)
    for passages, message in (
        ([], "at least one passage"),
        ([Passage(title="", text="x" * 1_000_001)], "passage 1 has"),
    ):
        with pytest.raises(SearchIndexError, match=message):
            write_text_index(passages, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SearchIndexError, match="cannot build"):
        write_text_index(corpus, tmp_path / "no such folder" / "t.sqlite")


def test_a_sqlite_without_fts5_is_told_at_start_up(monkeypatch):
    class Without(sqlite3.Connection):
        def execute(self, statement, *rest):
            if "fts5" in statement:
                raise sqlite3.OperationalError("no such module: fts5")
            return super().execute(statement, *rest)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite_files.sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Without))
    with pytest.raises(MissingDependencyError, match=r"has no FTS5.*bm25s"):
        Fts5Engine()
