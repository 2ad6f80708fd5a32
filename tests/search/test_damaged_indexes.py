"""Index files, prepared results and kept answers that are damaged or hostile end in documented errors, and soon."""

import base64
import contextlib
import io
import json
import math
import os
import shutil
import sqlite3
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_corpora import random_corpus

from metis_gym.errors import SearchError, SearchIndexError
from metis_gym.records import Passage, TitledImage
from metis_gym.search import ImageHit, ImageQuery, TextHit
from metis_gym.search.engines.bm25s import Bm25sEngine
from metis_gym.search.engines.dhash import DhashEngine
from metis_gym.search.engines.fts5 import Fts5Engine
from metis_gym.search.engines.prepared import PreparedEngine
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.inputs import read_images
from metis_gym.search.index.text import write_text_index
from metis_gym.search.services.cache import CachedImageEngine, CachedTextEngine, DiskCache

DOCUMENTED = (SearchError, SearchIndexError)
NOISE = np.random.default_rng(0).integers(0, 256, (6, 40, 60, 3), dtype=np.uint8)
QUERY = "wort000 wort001 wort150 wort299"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write_text_index(random_corpus(80, seed=3), folder / "text.sqlite")
    write_image_index(
        [TitledImage(title=f"P {n}", image=p, link="x") for n, p in enumerate(NOISE)], folder / "p.sqlite"
    )
    return folder


def search_text(path):
    hits = []
    for make in (Fts5Engine, Bm25sEngine):
        with contextlib.suppress(*DOCUMENTED):
            hits += make(path=str(path)).search(QUERY, limit=10)
    return hits


def search_images(path):
    with contextlib.suppress(*DOCUMENTED):
        return DhashEngine(path=str(path), max_distance=1).search(ImageQuery(image=NOISE[0], task_id=""), limit=6)
    return ()


def changed(folder, tmp_path, name, *statements, writable=False):
    path = tmp_path / name
    shutil.copy(folder / name, path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        if writable:
            file.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            file.execute(statement)
    return path


RECURSION = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
SCHEMAS = [
    ("DROP TABLE meta", f"CREATE VIEW meta AS SELECT 'kind' AS key, ({RECURSION}) AS value"),
    (
        "ALTER TABLE passages RENAME TO real",
        f"CREATE VIEW passages AS SELECT id, title, text, link, terms FROM real WHERE ({RECURSION}) > 0",
    ),
    (
        "ALTER TABLE frequencies RENAME TO f",
        f"CREATE VIEW frequencies AS SELECT term, ({RECURSION}) AS passages FROM f",
    ),
    ("CREATE VIEW another AS SELECT 1",),
    ("CREATE TABLE another(a)",),
    ("CREATE INDEX another ON passages(abs(id))",),
    ("CREATE TRIGGER another AFTER INSERT ON passages BEGIN SELECT 1; END",),
    ("DROP TABLE passages", "CREATE TABLE passages(id INTEGER PRIMARY KEY, title, text, link, terms)"),
    (
        "DROP TABLE passages",
        "CREATE TABLE passages(id INTEGER PRIMARY KEY, title TEXT AS (hex(zeroblob(90000000))), text, link, terms)",
    ),
    ("DROP TABLE postings", "CREATE VIRTUAL TABLE postings USING fts5(terms, content='passages', tokenize='ascii')"),
    ("DROP TABLE postings", "CREATE VIRTUAL TABLE postings USING fts5vocab('passages', 'row')"),
    ("DROP TABLE frequencies",),
]


@pytest.mark.parametrize("statements", SCHEMAS)
def test_other_tables_than_expected_are_refused_at_once(folder, tmp_path, statements):
    path = changed(folder, tmp_path, "text.sqlite", *statements)
    start = time.process_time()
    for make in (Fts5Engine, Bm25sEngine):
        with pytest.raises(SearchIndexError, match=r"no text index of this project"):
            make(path=str(path))
    assert time.process_time() - start < 2.0


def test_a_long_list_of_tables_is_refused_before_it_is_read(folder, tmp_path):
    path = changed(folder, tmp_path, "text.sqlite", *(f"CREATE TABLE t{n}(a, b, c)" for n in range(150)))
    with pytest.raises(SearchIndexError, match="not a database of this project"):
        Fts5Engine(path=str(path))


def test_nothing_but_reading_is_allowed(folder):
    file = Fts5Engine(path=str(folder / "text.sqlite")).index.file
    for statement in (
        "DELETE FROM passages",
        "CREATE TEMP TABLE t(a)",
        "ATTACH ':memory:' AS other",
        "PRAGMA writable_schema = ON",
        "SELECT load_extension('x')",
        "SELECT randomblob(10)",
        "SELECT * FROM sqlite_master",
        f"{RECURSION}",
    ):
        with pytest.raises(SearchError, match=r"not authorized|prohibited"), file.connection() as connection:
            connection.execute(statement).fetchall()


def test_a_search_without_end_is_interrupted(folder):
    file = Fts5Engine(path=str(folder / "text.sqlite")).index.file
    tables = ", ".join(f"passages p{n}" for n in range(8))
    total = " + ".join(f"p{n}.id" for n in range(8))
    start = time.monotonic()
    with pytest.raises(SearchError, match="interrupted"), file.connection(max_seconds=0.2) as connection:
        connection.execute(f"SELECT p0.id FROM {tables} WHERE {total} < 0").fetchall()
    assert time.monotonic() - start < 5
    with file.connection() as connection:
        assert connection.execute("SELECT id FROM passages LIMIT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("name", [b"\x80\xff\xc1\xfe", b"\x1b[2J"])
def test_names_that_are_no_text_are_documented_errors(folder, tmp_path, name):
    """SQLite quotes a damaged statement in its own error."""
    data = (folder / "text.sqlite").read_bytes().replace(b"CREATE TABLE meta(", b"CREATE TABLE " + name + b"(")
    (tmp_path / "t.sqlite").write_bytes(data)
    with pytest.raises(SearchIndexError, match="no text index of this project") as raised:
        Fts5Engine(path=str(tmp_path / "t.sqlite"))
    assert str(raised.value).isprintable()


VALUES = ["NULL", "-1", "0", "1e999", "9223372036854775807", "'x'", "x'ff00'", "CAST(x'ff' AS TEXT)", "''", "char(0)"]
CELLS = [
    ("text.sqlite", "UPDATE meta SET value = {} WHERE key = 'passages'"),
    ("text.sqlite", "UPDATE meta SET value = {} WHERE key = 'average_length'"),
    ("text.sqlite", "UPDATE meta SET value = {} WHERE key = 'fingerprint'"),
    ("text.sqlite", "UPDATE meta SET key = {} WHERE key = 'passages'"),
    ("text.sqlite", "UPDATE frequencies SET passages = {}"),
    ("text.sqlite", "UPDATE passages SET title = {}"),
    ("text.sqlite", "UPDATE passages SET text = {}"),
    ("text.sqlite", "UPDATE passages SET link = {}"),
    ("text.sqlite", "UPDATE passages SET terms = {}"),
    ("text.sqlite", "UPDATE postings_data SET block = {}"),
    ("text.sqlite", "UPDATE postings_docsize SET sz = {}"),
    ("text.sqlite", "UPDATE postings_config SET v = {}"),
    ("text.sqlite", "DELETE FROM passages WHERE id != {}"),
    ("p.sqlite", "UPDATE hashes SET bits = {}"),
    ("p.sqlite", "UPDATE pictures SET title = {}"),
    ("p.sqlite", "UPDATE pictures SET link = {}"),
    ("p.sqlite", "UPDATE pictures SET thumbnail = {}"),
    ("p.sqlite", "DELETE FROM pictures WHERE id != {}"),
    ("p.sqlite", "DELETE FROM hashes WHERE 1 != {}"),
    ("p.sqlite", "UPDATE meta SET value = {} WHERE key = 'pictures'"),
]


@pytest.mark.parametrize(("name", "statement"), CELLS)
def test_values_of_any_kind_are_documented_errors(folder, tmp_path, name, statement):
    for number, value in enumerate(VALUES):
        (tmp_path / str(number)).mkdir()
        with contextlib.suppress(sqlite3.IntegrityError):
            for without_checks in (statement.format(value),):
                path = changed(
                    folder, tmp_path / str(number), name, "PRAGMA ignore_check_constraints = ON", without_checks
                )
                check(search_text(path) if name == "text.sqlite" else search_images(path))


def test_not_null_is_not_believed(folder, tmp_path):
    """A file may hold NULL where its schema says that there is none: it was made under another schema."""
    loose = "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')"
    path = changed(folder, tmp_path, "text.sqlite", loose, writable=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("UPDATE passages SET terms = NULL, title = NULL")
        file.execute("UPDATE frequencies SET passages = NULL")
        file.execute("PRAGMA writable_schema = ON")
        for table in ("meta", "passages", "frequencies"):
            (sql,) = (
                sqlite3.connect(folder / "text.sqlite")
                .execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,))
                .fetchone()
            )
            file.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table))
    for make in (Fts5Engine, Bm25sEngine):
        with pytest.raises(SearchError, match="damaged"):
            make(path=str(path)).search(QUERY, limit=5)


def check(hits):
    for hit in hits:
        assert isinstance(hit, TextHit | ImageHit)
        for text in (hit.title, hit.link):
            assert len(text.encode()) <= 10_000
        assert isinstance(hit, ImageHit) or (len(hit.snippet.encode()) < 10_000 and math.isfinite(hit.score))
        assert isinstance(hit, TextHit) or max(hit.image.shape) <= 192


def jpeg(width, height):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    data = stream.getvalue()
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[place + 4 :]


@pytest.mark.parametrize("size", [(193, 8), (65_000, 65_000), (12_000, 12_000), (0, 0)])
def test_thumbnails_that_promise_many_pixels_are_not_decoded(folder, tmp_path, size):
    path = changed(folder, tmp_path, "p.sqlite", f"UPDATE pictures SET thumbnail = x'{jpeg(*size).hex()}'")
    with pytest.raises(SearchError, match="damaged: a thumbnail"):
        DhashEngine(path=str(path)).search(ImageQuery(image=NOISE[0], task_id=""), limit=1)


@pytest.mark.parametrize("name", ["text.sqlite", "p.sqlite"])
@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=40),
    cut=st.none() | st.floats(0, 1),
    run=st.none() | st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=64)),
)
def test_any_damage_is_a_documented_error(folder, tmp_path_factory, name, flips, cut, run):
    data = bytearray((folder / name).read_bytes())
    for place, value in flips:
        data[int(place * len(data))] = value
    if run is not None:
        place = int(run[0] * (len(data) - 64))
        data[place : place + len(run[1])] = run[1]
    if cut is not None:
        del data[int(cut * len(data)) :]
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(data)
    check(search_text(path) if name == "text.sqlite" else search_images(path))
    shutil.rmtree(path.parent)


def test_pages_that_are_used_many_times_do_not_fill_the_memory(tmp_path):
    """A file of a megabyte whose inner page names one long passage again and again."""
    path = tmp_path / "text.sqlite"
    long = Passage(title="Long", text="otter " * 50_000, link="https://a.example/")
    short = [Passage(title=f"Short {n}", text="An otter swims.", link="https://b.example/") for n in range(4_000)]
    write_text_index([long, *short], path)
    with contextlib.closing(sqlite3.connect(path)) as file:
        (root,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'passages'").fetchone()
        (size,) = file.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    page = size * (root - 1)
    assert data[page] == 5, "an inner page of a table"
    cells = int.from_bytes(data[page + 3 : page + 5], "big")
    places = [page + int.from_bytes(data[page + 12 + 2 * n : page + 14 + 2 * n], "big") for n in range(cells)]
    for place in places:
        data[place : place + 4] = data[places[0] : places[0] + 4]
    path.write_bytes(data)
    assert cells * len(long.text) > 10 * len(data), "it would give much more than it holds"
    engine = Bm25sEngine(path=str(path))
    with pytest.raises((SearchError, SearchIndexError), match="more text than it has bytes"):
        engine.search("otter", limit=3)


def test_long_passages_cost_little(tmp_path):
    """Ten passages of a million characters; the bound is generous, one of them took more than a second."""
    filler = "lorem ipsum dolor tower " * 41_000
    passages = [
        Passage(title="t" * 900_000 if n == 3 else "", text=filler[:90_000] if n == 3 else f"{filler} halworth {n}")
        for n in range(10)
    ]
    write_text_index(passages, tmp_path / "t.sqlite")
    engine = Fts5Engine(path=str(tmp_path / "t.sqlite"))
    start = time.process_time()
    hits = engine.search("halworth tower", limit=30)
    assert time.process_time() - start < 4.0
    assert len(hits) >= 5
    assert all(len(hit.snippet) < 1_100 and len(hit.title) <= 2_000 for hit in hits)
    assert sum("halworth" in hit.snippet for hit in hits) >= 4


# --- prepared results ------------------------------------------------------------------------------------------------


def prepared(here, paths, titles=None, **options):
    entry = {"tool_returned_web_title": titles or ["t"] * len(paths), "cached_images_path": paths}
    (here / "r.json").write_text(json.dumps({"a": entry}))
    engine = PreparedEngine(path=str(here / "r.json"), **options)
    return engine.search(ImageQuery(image=NOISE[0], task_id="a"), limit=9)


def png(path):
    Image.fromarray(NOISE[0]).save(path)


def test_prepared_results_read_below_their_folder_only(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    png(inside / "a.png")
    png(outside / "b.png")
    (inside / "link.png").symlink_to(outside / "b.png")
    assert len(prepared(inside, ["a.png", str(inside / "a.png"), "../in/a.png"])) == 3
    for path in ("../out/b.png", str(outside / "b.png"), "link.png"):
        with pytest.raises(SearchError, match="leads out of"):
            prepared(inside, [path])
    assert len(prepared(inside, [str(outside / "b.png")], folder=str(tmp_path))) == 1


def test_prepared_results_read_regular_files_only(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    for path in ("pipe.png", "folder.png", "loop.png", "a\x00b", "x" * 5000, "\ud800", ""):
        with pytest.raises(SearchError, match="cannot be read"):
            prepared(tmp_path, [path])
    with pytest.raises(SearchIndexError, match="no regular file"):
        PreparedEngine(path=str(tmp_path / "pipe.png"))


def test_titles_of_prepared_results_are_clean(tmp_path):
    png(tmp_path / "a.png")
    (hit,) = prepared(tmp_path, ["a.png"], ["\ud800" + "x" * 1_000_000])
    assert len(hit.title.encode()) <= 10_000


# --- kept answers ----------------------------------------------------------------------------------------------------


class One:
    """An engine that is asked when there is no kept answer."""

    name, is_live, parameters = "one", True, {}
    asked = 0

    def __init__(self, hit):
        self.hit = hit

    def fingerprint(self):
        return "f"

    def search(self, query, *, limit):
        self.asked += 1
        return (self.hit,)


TEXT_HIT = TextHit(title="t", snippet="s", link="l", score=1.5)
IMAGE_HIT = ImageHit(title="t", image=NOISE[0], link="l", distance=0.25)
SIGNED = [
    None,
    5,
    {},
    [None],
    [[]],
    [{}],
    [{"title": 5, "snippet": "s", "link": "l", "score": 1, "image": None, "distance": None}],
    [{"title": "\ud800", "snippet": "s", "link": "l", "score": 1, "image": None, "distance": None}],
    [{"title": "t", "snippet": "s", "link": "l", "score": float("nan"), "image": None, "distance": float("inf")}],
    [{"title": "t", "snippet": None, "link": "l", "score": 1, "image": 5, "distance": 1}],
    [{"title": "t", "snippet": "s", "link": "l", "score": "1", "image": "AAAA", "distance": 1}],
    [{"title": "t", "snippet": "s", "link": "l", "score": "1", "image": "é!", "distance": 1}],
    [
        {
            "title": "t",
            "snippet": "s",
            "link": "l",
            "score": True,
            "image": base64.b64encode(b"\x89PNG").decode(),
            "distance": 1,
        }
    ],
]


@pytest.mark.parametrize("value", SIGNED)
def test_kept_answers_that_cannot_be_right_are_asked_for_again(tmp_path, value):
    """Whoever can write the folder can compute the checksum."""
    from metis_gym.search.services.cache import _encoded

    query = ImageQuery(image=NOISE[0], task_id="")
    for cached, asked in (
        (CachedTextEngine(One(TEXT_HIT), DiskCache(tmp_path / "a")), "q"),
        (CachedImageEngine(One(IMAGE_HIT), DiskCache(tmp_path / "b")), query),
    ):
        cached.search(asked, limit=3)
        (path,) = cached.cache.folder.glob("*/*.json")
        path.write_text(_encoded(json.dumps(json.loads(path.read_text())["key"], sort_keys=True), value))
        for _ in range(2):
            (hit,) = cached.search(asked, limit=3)
            assert (hit.title, hit.link) == ("t", "l")
        assert cached.engine.asked == 2


def test_a_pipe_in_the_cache_does_not_hang(tmp_path):
    cached = CachedTextEngine(One(TEXT_HIT), DiskCache(tmp_path / "a"))
    cached.search("q", limit=3)
    (path,) = cached.cache.folder.glob("*/*.json")
    path.unlink()
    os.mkfifo(path)
    assert cached.search("q", limit=3) == (TEXT_HIT,)


def test_a_pipe_in_an_album_does_not_hang(tmp_path):
    png(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    problems = []
    assert [entry.title for entry in read_images(tmp_path, problems.append)] == ["a"]
    assert len(problems) == 1 and "no regular file" in problems[0]
