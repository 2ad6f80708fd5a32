"""`metis-gym index`: users' own passages and images become indexes, or a message says which row does not."""

import json

import numpy as np
import pytest
from PIL import Image

from metis_gym.cli import main
from metis_gym.search import CORPORA, ImageQuery, make_image_engine, make_text_engine
from metis_gym.search.index.corpora import COLLECTIONS

ROWS = [
    {"title": "Ashmere Tower", "text": "It is 95 m high.", "link": "https://ashmere.example/"},
    {"title": "Without a link", "text": "Nothing more."},
    {"id": 7, "contents": '"Eiffel Tower"\nIt stands in Paris.'},
]


def write_rows(path, rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def image(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((20, 20, 1), dtype=np.uint8))


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(image(0)).save(folder / "big_ben.png")
    Image.fromarray(image(1)).save(folder / "more/b.JPG", format="JPEG")
    (folder / "notes.txt").write_text("no image")
    write_rows(
        folder / "metadata.jsonl", [{"file_name": "more/b.JPG", "title": "The Bridge", "link": "https://b.example"}]
    )
    return folder


def build(source, out, *more):
    return main(["index", "build", "--from", str(source), "--out", str(out), *more])


def test_passages_become_an_index(tmp_path, capsys):
    out = tmp_path / "new folder" / "my.db"
    assert build(write_rows(tmp_path / "p.jsonl", [*ROWS, "", "  "]), out) == 0
    assert "3 passages" in capsys.readouterr().out
    engine = make_text_engine(f"fts5:path={out}")
    (hit,) = engine.search("high tower Ashmere", limit=1)
    assert (hit.title, hit.snippet, hit.link) == ("Ashmere Tower", "It is 95 m high.", "https://ashmere.example/")
    (hit,) = engine.search("Paris", limit=5)
    assert (hit.title, hit.snippet) == ("Eiffel Tower", "It stands in Paris.")


def test_a_folder_of_images_becomes_an_index(album, tmp_path):
    assert build(album, tmp_path / "my.db") == 0
    engine = make_image_engine(f"dhash:path={tmp_path / 'my.db'}")
    titles = [engine.search(ImageQuery(image=image(n), task_id=""), limit=1)[0] for n in (0, 1)]
    assert [(hit.title, hit.link) for hit in titles] == [
        ("big ben", "big_ben.png"),
        ("The Bridge", "https://b.example"),
    ]


BROKEN_ROWS = [
    ("nonsense", "line 2: expected a JSON object"),
    ("[1, 2]", "line 2: expected a JSON object"),
    ({"title": "no text"}, r"line 2: expected the texts .* wrong: \['text'\]"),
    ({"title": 5, "text": "t"}, r"line 2: .* wrong: \['title'\]"),
    ({"title": "t", "text": "t", "link": 5}, r"line 2: .* wrong: \['link'\]"),
    ("[" * 100_000, "line 2: expected a JSON object"),
]


@pytest.mark.parametrize(("row", "message"), BROKEN_ROWS)
def test_a_broken_row_is_named_or_skipped(row, message, tmp_path, capsys):
    import re

    path = write_rows(tmp_path / "p.jsonl", [ROWS[0], row, ROWS[1]])
    assert build(path, tmp_path / "my.db") == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "my.db").exists()
    assert build(path, tmp_path / "my.db", "--skip-broken") == 0
    shown = capsys.readouterr()
    assert "2 passages, 1 skipped" in shown.out and re.search(message, shown.err)


def test_a_broken_image_is_named_or_skipped(album, tmp_path, capsys):
    (album / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    assert build(album, tmp_path / "my.db") == 2
    assert "broken.png" in capsys.readouterr().err
    assert build(album, tmp_path / "my.db", "--skip-broken") == 0
    assert "2 images, 1 skipped" in capsys.readouterr().out


def test_metadata_of_a_missing_file_is_named(album, tmp_path, capsys):
    write_rows(album / "metadata.jsonl", [{"file_name": "gone.png", "title": "Gone"}])
    assert build(album, tmp_path / "my.db") == 2
    assert "line 1: 'file_name' must name a file of the folder, actually: 'gone.png'" in capsys.readouterr().err


def test_lone_surrogates_do_not_stop_it(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"title": "\\ud800 tower", "text": "high"}')
    assert build(path, tmp_path / "my.db") == 0
    assert make_text_engine(f"fts5:path={tmp_path / 'my.db'}").search("tower", limit=1)[0].title == "? tower"


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: folder / "gone.jsonl", "there is no file or folder"),
        (lambda folder: write_rows(folder / "empty.jsonl", []), "at least one passage"),
        (lambda folder: folder, "at least one image"),
    ],
)
def test_nothing_to_index_is_told(prepare, message, tmp_path, capsys):
    assert build(prepare(tmp_path), tmp_path / "my.db") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "my.db").exists()


def test_an_index_is_replaced_on_demand_only(tmp_path, capsys):
    out = tmp_path / "my.db"
    assert build(write_rows(tmp_path / "p.jsonl", ROWS), out) == 0
    before = out.read_bytes()
    one = write_rows(tmp_path / "one.jsonl", ROWS[:1])
    assert build(one, out) == 2 and out.read_bytes() == before
    assert "--force" in capsys.readouterr().err
    assert build(one, out, "--force") == 0 and out.read_bytes() != before


def test_a_search_can_be_tried(tmp_path, capsys):
    out = tmp_path / "my.db"
    build(write_rows(tmp_path / "p.jsonl", ROWS), out)
    capsys.readouterr()
    assert main(["index", "search", "Paris", "--engine", f"fts5:path={out}"]) == 0
    assert "1. Eiffel Tower\n   \n   It stands in Paris." in capsys.readouterr().out
    assert main(["index", "search", "xyzzy", "--engine", f"fts5:path={out}"]) == 0
    assert capsys.readouterr().out == "0 results\n"
    assert main(["index", "search", "x", "--limit", "0", "--engine", f"fts5:path={out}"]) == 2
    assert "--limit" in capsys.readouterr().err


def test_defaults_are_built_ahead_of_time_and_say_so(tmp_path, capsys, monkeypatch):
    from metis_envs.world.collection import DefaultCollection
    from metis_envs.world.corpus import DefaultCorpus

    monkeypatch.setattr(CORPORA, "_entries", {"default": lambda: DefaultCorpus(things=5)})
    monkeypatch.setattr(COLLECTIONS, "_entries", {"default": lambda: DefaultCollection(landmarks=5, pieces=1)})
    assert main(["index", "defaults", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "building the text corpus 'default'" in shown and "building the image collection 'default'" in shown
    assert main(["index", "defaults", "--folder", str(tmp_path)]) == 0
    assert "building" not in capsys.readouterr().out
