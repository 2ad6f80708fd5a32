"""Speed and memory of search at 100,000 entries, beside the plain alternatives in the same run.

python tests/benchmarks/bench_search.py

Text: FTS5 and bm25s beside `rank_bm25`, on the passages of the invented world, asked the questions that tasks ask. Each
engine runs in a process of its own; memory is what it holds beyond that process's imports. Images: the dHash index
beside a loop over hashes. A figure is the median over queries of one search, start to end, each the fastest of three
runs, so that what else the machine does counts little.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "envs")]

import numpy as np  # noqa: E402

from metis_envs.world import draw_fact, draw_landmark, draw_thing, images_of_task, pages_of_task  # noqa: E402
from metis_envs.world.collection import DefaultCollection, image_of  # noqa: E402
from metis_envs.world.corpus import generated_passages, generated_things  # noqa: E402
from metis_gym.records import GoldAnswer, Passage, Task, TaskImage, TitledImage  # noqa: E402
from metis_gym.search import ImageQuery, make_text_engine, search_text  # noqa: E402
from metis_gym.search.engines.dhash import DhashEngine  # noqa: E402
from metis_gym.search.index.dhash import dhash  # noqa: E402
from metis_gym.search.index.images import write_image_index  # noqa: E402
from metis_gym.search.index.text import searchable, write_text_index  # noqa: E402
from metis_gym.tools.image_search import ImageSearchTool  # noqa: E402
from metis_gym.tools.text_search import TextSearchTool  # noqa: E402

ENTRIES = 100_000
_THINGS = 33_000
_QUERIES = 200
_SLOW_QUERIES = 20
_ROW = "| {:<58} | {:>12} | {:>12} | {:<22} |"


def main() -> None:
    """Print the table."""
    print(_ROW.format("what", "median", "memory", "target"))
    print(_ROW.format("-" * 58, "-" * 12, "-" * 12, "-" * 22))
    with tempfile.TemporaryDirectory() as folder:
        bench_text(Path(folder))
        bench_service()
        bench_images(Path(folder))


def row(what: str, milliseconds: float, megabytes: float | None = None, target: str = "") -> None:
    """Print one line of the table."""
    memory = "" if megabytes is None else f"{megabytes:.0f} MB"
    print(_ROW.format(what, f"{milliseconds:.3f} ms", memory, target), flush=True)


def median_ms(calls: "list[Callable[[], object]]", before: Callable[[], object] = int) -> float:
    """Median milliseconds of some calls; `before` is called before each, and not counted."""
    return median(min(_milliseconds(call, before) for _ in range(3)) for call in calls)


def _milliseconds(call: Callable[[], object], before: Callable[[], object]) -> float:
    before()
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


# --- text ------------------------------------------------------------------------------------------------------------


def bench_text(folder: Path) -> None:
    """FTS5, bm25s, rank_bm25; then what an overlay costs."""
    path = folder / "text.sqlite"
    start = time.perf_counter()
    count = write_text_index(islice(generated_passages(_THINGS), ENTRIES), path)
    built = 1e3 * (time.perf_counter() - start)
    row(f"text: generating and indexing {count:,} passages, once", built, target="")
    for engine, target in (("fts5", "< 8 ms, < 50 MB"), ("bm25s", ""), ("rank_bm25", "the plain alternative")):
        command = [sys.executable, __file__, "--measure", engine, str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, env=_environment()).stdout)
        row(f"text: {engine}, one search", found["ms"], found["mb"], target)
    bench_overlay(path)


def measure(engine: str, path: str) -> dict[str, float]:
    """Median and memory of one text engine, in this process."""
    import bm25s  # noqa: F401 — imported before memory is read
    import rank_bm25  # noqa: F401

    questions = _questions(_SLOW_QUERIES if engine == "rank_bm25" else _QUERIES)
    before = _resident_mb()
    search = _rank_bm25(path) if engine == "rank_bm25" else _own(f"{engine}:path={path}")
    search("warm up: the tower")
    milliseconds = median_ms([lambda question=question: search(question) for question in questions])
    return {"ms": milliseconds, "mb": _resident_mb() - before}


def _own(spec: str) -> Callable[[str], object]:
    engine = make_text_engine(spec)
    return lambda question: engine.search(question, limit=10)


def _rank_bm25(path: str) -> Callable[[str], object]:
    """The package, on the same terms; it keeps the texts too, as it has to show them."""
    from rank_bm25 import BM25Okapi

    with sqlite3.connect(path) as file:
        texts = [text for (text,) in file.execute("SELECT text FROM passages ORDER BY id")]
        model = BM25Okapi([terms.split(" ") for (terms,) in file.execute("SELECT terms FROM passages ORDER BY id")])
    file.close()
    return lambda question: model.get_top_n(searchable(Passage(title="", text=question)), texts, n=10)


def _questions(count: int) -> list[str]:
    rng = np.random.default_rng(5)
    return [draw_fact(rng, draw_thing(rng, owner="test")).question for _ in range(count)]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def bench_overlay(path: Path) -> None:
    """Opening episodes with an overlay, drawing it, and searching with it."""
    rng = np.random.default_rng(6)
    things = [draw_thing(rng, owner="train") for _ in range(_QUERIES)]
    facts = [draw_fact(rng, thing) for thing in things]
    drawing = [
        lambda thing=thing, fact=fact: pages_of_task(rng, thing, fact.attribute)
        for thing, fact in zip(things, facts, strict=True)
    ]
    row("overlay: drawing a thing's six pages", median_ms(drawing), target="< 2 ms")
    albums = [lambda n=n, thing=thing: images_of_task(rng, thing, n) for n, thing in enumerate(things[:40])]
    row("overlay: drawing a landmark's two images", median_ms(albums), target="< 2 ms")
    overlays = [draw() for draw in drawing]
    text, images = TextSearchTool(text_engine=f"fts5:path={path}"), ImageSearchTool(image_engine="dhash")
    tasks = [_task(pages) for pages in overlays]
    opening = [lambda task=task: (text.open(task, seed=0), images.open(task, seed=0)) for task in tasks]
    row("overlay: opening an episode with it", median_ms(opening), target="< 2 ms")
    engine = make_text_engine(f"fts5:path={path}")
    pairs = list(zip(facts, overlays, strict=True))
    for what, used in (("without", False), ("with", True)):
        calls = [
            lambda f=fact, p=pages, used=used: search_text(engine, f.question, p if used else (), limit=10)
            for fact, pages in pairs
        ]
        row(f"overlay: a search of the tool's {what} it", median_ms(calls))


def _task(pages: tuple[Passage, ...]) -> Task:
    blank = np.zeros((64, 64, 3), np.uint8)
    return Task(
        task_id="t",
        family="f",
        question="?",
        images=(TaskImage(source=blank, view=blank),),
        gold=GoldAnswer(value="a"),
        passages=pages,
        titled_images=(TitledImage(title="t", image=blank),) * 5,
    )


# --- services ---


def bench_service() -> None:
    """One search of a service on this machine, beside a plain request without any bounds."""
    pages = [{"title": "t", "link": "https://a.example", "snippet": "word " * 60}] * 10
    body = json.dumps({"organic": pages}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        os.environ |= {"BENCH_KEY": "k", "NO_PROXY": "127.0.0.1"}
        engine = make_text_engine(f"serper:api_key_env=BENCH_KEY,url={address},cache=false")

        def plain() -> object:
            with urllib.request.urlopen(address, data=b'{"q": "tower"}', timeout=5) as reply:
                return json.load(reply)

        for what, call in (("one search", lambda: engine.search("tower", limit=10)), ("a plain urlopen", plain)):
            row(f"service: {what}", median_ms([call] * 200))
        server.shutdown()


# --- images --------------------------------------------------------------------------------------------------------


def bench_images(folder: Path) -> None:
    """The dHash index beside a loop over hashes, for query images of 1024 × 768 pixels."""
    path = folder / "images.sqlite"
    _write_many_images(path)
    engine = DhashEngine(path=str(path))
    hashes = [sum(int(word) << 64 * n for n, word in enumerate(column)) for column in engine.index.hashes.T]
    queries = [image_of(thing, 1024, 768) for thing in islice(generated_things(), 40)]
    searches = [lambda q=q: engine.search(ImageQuery(image=q, task_id=""), limit=5) for q in queries]
    searches[0]()
    again = median_ms(searches)
    first = median_ms(searches, before=engine.index._recent.cache_clear)
    found = [lambda q=q: engine.search(ImageQuery(image=q, task_id=""), limit=0) for q in queries]
    row(f"images: dhash, one search among {len(hashes):,}, no images back", median_ms(found), target="< 2 ms")
    row(f"images: dhash, one search among {len(hashes):,}, 5 images back", first, target="< 2 ms")
    row("images: the same again, as the episodes of a group do", again, target="< 2 ms")
    row("  of which hashing the query", median_ms([lambda q=q: dhash(q) for q in queries]))

    def scan(image: "np.typing.NDArray[np.uint8]") -> list[int]:
        wanted = sum(int(word) << 64 * n for n, word in enumerate(dhash(image)))
        return sorted(range(len(hashes)), key=lambda n: (hashes[n] ^ wanted).bit_count())[:5]

    scans = [lambda q=q: scan(q) for q in queries[:10]]
    row("images: a loop over hashes, no images back", median_ms(scans), target="the plain alternative")
    kinds = [lambda n=n: draw_landmark(np.random.default_rng(n), "tower", 1024, 768) for n in range(10)]
    row("images: drawing a landmark of 1024 x 768", median_ms(kinds))


def _write_many_images(path: Path) -> None:
    """An index of some real entries, filled up to 100,000 with random hashes over one thumbnail."""
    real = write_image_index(DefaultCollection(landmarks=400, pieces=1).images(), path)
    file = sqlite3.connect(path)
    (bits,) = file.execute("SELECT bits FROM hashes").fetchone()
    (thumbnail,) = file.execute("SELECT thumbnail FROM pictures WHERE id = 1").fetchone()
    noise = np.random.default_rng(0).integers(0, 1 << 63, (ENTRIES - real, 4), dtype=np.uint64)
    noise[:, 3] &= np.uint64((1 << 50) - 1)
    file.execute("UPDATE hashes SET bits = ?", (bits + noise.astype("<u8").tobytes(),))
    rows = ((number, f"Image {number}", "", thumbnail) for number in range(real + 1, ENTRIES + 1))
    file.executemany("INSERT INTO pictures VALUES(?, ?, ?, ?)", rows)
    file.commit()
    file.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
    else:
        main()
