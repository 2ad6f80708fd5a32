"""A task's own passages and images: found as if they were in the index, and by that task alone."""

import numpy as np
import pytest
from small_corpora import bm25_of_all, random_corpus

from metis_gym.records import Passage, TitledImage
from metis_gym.search import ImageHit, ImageQuery, TextHit, search_images, search_text
from metis_gym.search.engines.dhash import DhashEngine
from metis_gym.search.engines.fts5 import Fts5Engine
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.text import searchable, write_text_index

OWN = [
    Passage(title="Halworth Tower", text="The Halworth tower is 120 m high.", link="https://generated.example/own1"),
    Passage(title="Ashmere Tower", text="The Ashmere tower is 95 m high.", link="https://generated.example/own2"),
    Passage(title="wort200", text="wort201 wort202", link="https://generated.example/own3"),
]


@pytest.fixture
def engine(index_path):
    return Fts5Engine(path=str(index_path))


def links(hits):
    return [hit.link for hit in hits]


def test_own_passages_come_where_their_score_puts_them(engine, corpus):
    query = "wort200 wort201 halworth"
    hits = search_text(engine, query, OWN, limit=10)
    assert set(links(hits)[:2]) == {OWN[0].link, OWN[2].link}
    assert len(hits) == 10
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_an_overlay_is_found_as_if_it_were_in_the_index(tmp_path, seed):
    """Ranks and scores are those of one list of all passages, with the corpus's frequencies and average length.

    Of passages with equal scores the overlay's come first.
    """
    passages = random_corpus(700, seed=seed)
    corpus, overlay = passages[:670], passages[670:]
    write_text_index(corpus, tmp_path / "t.sqlite")
    engine = Fts5Engine(path=str(tmp_path / "t.sqlite"))
    own_found = 0
    for own in overlay[:12]:
        query = " ".join(sorted(set(searchable(own)))[-3:])  # its rarest words
        ranked = bm25_of_all(corpus, query, overlay)
        expected = sorted(ranked, key=lambda pair: (-round(pair[0], 9), pair[1] <= len(corpus), pair[1]))[:10]
        hits = search_text(engine, query, overlay, limit=10)
        assert [int(hit.link.rpartition("/")[2]) + 1 for hit in hits] == [number for _, number in expected]
        assert [hit.score for hit in hits] == pytest.approx([score for score, _ in expected], rel=1e-9)
        own_found += sum(number > len(corpus) for _, number in expected)
    assert own_found >= 12, "the comparison saw passages of the overlay"


def test_nothing_leaks_to_another_task(engine):
    assert OWN[0].link in links(search_text(engine, "halworth", OWN, limit=10))
    assert search_text(engine, "halworth", (), limit=10) == ()
    assert search_text(engine, "halworth", OWN[1:], limit=10) == ()


def test_no_snippet_comes_twice(tmp_path):
    copies = [Passage(title=f"Page {n}", text="The  Halworth Tower", link=f"l{n}") for n in range(8)]
    others = [Passage(title="", text=f"tower number{n}", link=f"o{n}") for n in range(20)]
    write_text_index([*copies, *others], tmp_path / "t.sqlite")
    engine = Fts5Engine(path=str(tmp_path / "t.sqlite"))
    own = [Passage(title="", text="the halworth tower", link="own")]
    hits = search_text(engine, "halworth tower", own, limit=10)
    assert len(hits) == 10
    assert len({hit.snippet.casefold() for hit in hits}) == 10


class Service:
    """A text engine without a measure."""

    def __init__(self, hits):
        self.hits = hits

    def search(self, query, *, limit):
        return self.hits[:limit]

    def scores(self, query, passages):
        return None


def test_beside_a_service_fitting_passages_alternate_with_its_hits():
    web = tuple(TextHit(title="", snippet=f"web {n}", link=f"w{n}") for n in range(20))
    hits = search_text(Service(web), "How high is the Halworth tower?", OWN, limit=6)
    assert links(hits) == [OWN[0].link, "w0", OWN[1].link, "w1", "w2", "w3"]
    assert links(search_text(Service(web), "recipe for bread", OWN, limit=2)) == ["w0", "w1"]
    assert links(search_text(Service(()), "Halworth", OWN, limit=6)) == [OWN[0].link]
    assert search_text(Service(()), "???", OWN, limit=6) == ()


def image(seed):
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), np.ones((20, 20, 1), dtype=np.uint8))


@pytest.fixture(scope="module")
def image_engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "p.sqlite"
    write_image_index([TitledImage(title=f"Image {n}", image=image(n), link=f"p{n}") for n in range(20)], path)
    return DhashEngine(path=str(path))


def test_own_images_come_where_their_distance_puts_them(image_engine):
    exact = TitledImage(title="own copy", image=image(3), link="own")
    noisy = image(3).astype(int) + np.random.default_rng(0).integers(-60, 60, (240, 320, 1))
    rough = TitledImage(title="own rough copy", image=np.clip(noisy, 0, 255).astype(np.uint8)[10:], link="rough")
    far = TitledImage(title="another", image=image(99), link="far")
    query = ImageQuery(image=image(3), task_id="t")
    hits = search_images(image_engine, query, [rough, far, exact], limit=5)
    assert [hit.link for hit in hits] == ["own", "p3", "rough"]
    assert hits[0].distance == hits[1].distance == 0.0 < hits[2].distance
    assert [hit.link for hit in search_images(image_engine, query, (), limit=5)] == ["p3"]
    assert [hit.link for hit in search_images(image_engine, query, [exact], limit=1)] == ["own"]


class ImageService:
    """An image engine without a measure."""

    def search(self, query, *, limit):
        return (ImageHit(title="web", image=None, link="web"),)

    def distances(self, query, images):
        return None


def test_beside_a_service_own_copies_come_first():
    exact = TitledImage(title="own copy", image=image(3), link="own")
    far = TitledImage(title="another", image=image(99), link="far")
    query = ImageQuery(image=image(3), task_id="t")
    assert [hit.link for hit in search_images(ImageService(), query, [far, exact], limit=5)] == ["own", "web"]
    assert [hit.link for hit in search_images(ImageService(), query, [exact], limit=1)] == ["own"]
