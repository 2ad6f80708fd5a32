"""The default image engine: hashes, the index, and what it recognises of real photographs."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance

from metis_envs.scenes.photographs import PHOTOGRAPHS, photograph
from metis_gym.errors import ConfigError, SearchError, SearchIndexError
from metis_gym.records import TitledImage
from metis_gym.search import ImageQuery, make_image_engine
from metis_gym.search.engines.dhash import DhashEngine
from metis_gym.search.index.dhash import BITS, WORDS, _count_ones_portably, dhash, differing_bits, near_distances
from metis_gym.search.index.images import ImageIndex, write_image_index


def photographs():
    """Two parts of every photograph: 34 real images."""
    wholes = [photograph(entry.name) for entry in PHOTOGRAPHS]
    return [part for whole in wholes for part in np.split(whole, [int(0.7 * whole.shape[1])], axis=1)]


@pytest.fixture(scope="module")
def index_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "photographs.sqlite"
    images = photographs()
    entries = [
        TitledImage(title=f"Photograph {n}", image=p, link=f"https://generated.example/{n}")
        for n, p in enumerate(images)
    ]
    assert write_image_index(entries, path) == len(images)
    return path


@pytest.fixture(scope="module")
def engine(index_path):
    return DhashEngine(path=str(index_path))


def query(image):
    return ImageQuery(image=np.ascontiguousarray(image), task_id="t")


def jpeg(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=30)
    return np.array(Image.open(stream))


def halved(image):
    return np.array(Image.fromarray(image).resize((image.shape[1] // 2, image.shape[0] // 2)))


def doubled(image):
    return np.array(Image.fromarray(image).resize((image.shape[1] * 2, image.shape[0] * 2)))


def brighter(image):
    return np.array(ImageEnhance.Brightness(Image.fromarray(image)).enhance(1.3))


def darker(image):
    return np.array(ImageEnhance.Brightness(Image.fromarray(image)).enhance(0.6))


def cropped(image, share=0.10):
    height, width = image.shape[:2]
    top, left = int(height * share / 2), int(width * share / 2)
    return image[top : height - top, left : width - left]


@pytest.mark.parametrize("change", [lambda p: p, jpeg, halved, doubled, brighter, darker, cropped])
def test_copies_of_real_photographs_are_found_first(engine, change):
    for number, image in enumerate(photographs()):
        hits = engine.search(query(change(image)), limit=5)
        assert hits and hits[0].title == f"Photograph {number}"


def test_an_unchanged_copy_has_no_distance_and_its_thumbnail_looks_alike(engine):
    image = photographs()[0]
    hit = engine.search(query(image), limit=1)[0]
    assert hit.distance == 0.0 and hit.link == "https://generated.example/0"
    height, width = hit.image.shape[:2]
    assert max(height, width) == 192
    small = np.array(Image.fromarray(image).resize((width, height)), dtype=float)
    assert np.abs(small - hit.image).mean() < 12


def test_mirrored_copies_and_other_images_are_not_found(engine):
    """What it does not do, kept here so that the documentation stays true."""
    mirrored = [engine.search(query(image[:, ::-1]), limit=1) for image in photographs()]
    assert sum(bool(hits) and hits[0].title == f"Photograph {n}" for n, hits in enumerate(mirrored)) <= 8
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert engine.search(query(noise), limit=5) == ()


def test_bits_say_where_it_becomes_brighter():
    ramp = np.repeat(np.arange(240, dtype=np.uint8)[None, :, None], 240, axis=0).repeat(3, axis=2)
    bits = np.unpackbits(dhash(ramp).astype("<u8").view(np.uint8))[:BITS]
    assert bits[:121].all(), "brighter from left to right everywhere"
    assert not bits[121:].any(), "equally bright from top to bottom"
    turned = np.unpackbits(dhash(np.ascontiguousarray(ramp.transpose(1, 0, 2))).astype("<u8").view(np.uint8))[:BITS]
    assert turned[121:].all() and not turned[:121].any()


@example(np.zeros((WORDS, 1), np.uint64), np.full(WORDS, 2**64 - 1, np.uint64))  # all 256 bits
@given(arrays(np.uint64, st.tuples(st.just(WORDS), st.integers(1, 20))), arrays(np.uint64, (WORDS,)))
def test_distances_count_bits(hashes, wanted):
    expected = [sum((int(a) ^ int(b)).bit_count() for a, b in zip(column, wanted, strict=True)) for column in hashes.T]
    assert differing_bits(hashes, wanted).tolist() == expected


@given(arrays(np.uint64, st.integers(1, 50)))
def test_counting_for_old_numpy_is_the_same(words):
    assert _count_ones_portably(words).tolist() == [int(word).bit_count() for word in words]


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3), (3000, 2, 3), (11, 12, 3)])
def test_images_of_any_shape_have_a_hash(shape, tmp_path):
    image = np.full(shape, 7, dtype=np.uint8)
    assert near_distances(image, [image]) == [0.0]
    write_image_index([TitledImage(title="odd", image=image)], tmp_path / "p.sqlite")
    assert DhashEngine(path=str(tmp_path / "p.sqlite")).search(query(image), limit=1)[0].title == "odd"


def test_equally_near_images_come_in_their_order(tmp_path):
    image = photographs()[0]
    write_image_index([TitledImage(title=str(n), image=image) for n in range(9)], tmp_path / "p.sqlite")
    hits = DhashEngine(path=str(tmp_path / "p.sqlite")).search(query(image), limit=4)
    assert [hit.title for hit in hits] == ["0", "1", "2", "3"]


def test_distances_of_images_are_those_in_the_index(engine):
    images = photographs()
    changed = query(cropped(images[4]))
    hit = engine.search(changed, limit=1)[0]
    distances = engine.distances(changed, [TitledImage(title="", image=image) for image in images])
    assert distances[4] == hit.distance
    assert distances.count(None) >= 24


def test_an_index_built_again_is_the_same_also_in_another_process(index_path, tmp_path):
    again = tmp_path / "again.sqlite"
    write_image_index(
        [
            TitledImage(title=f"Photograph {n}", image=p, link=f"https://generated.example/{n}")
            for n, p in enumerate(photographs())
        ],
        again,
    )
    assert ImageIndex(again).fingerprint == ImageIndex(index_path).fingerprint
    code = (
        "import json, sys; from metis_gym.search.engines.dhash import DhashEngine;"
        "from metis_gym.search import ImageQuery; from metis_envs.scenes.photographs import photograph;"
        "q = ImageQuery(image=photograph('cat')[20:], task_id='');"
        "print(json.dumps([(h.title, h.distance) for h in DhashEngine(path=sys.argv[1]).search(q, limit=9)]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(again)], env=environment, capture_output=True, check=True)
    here = DhashEngine(path=str(index_path)).search(query(photograph("cat")[20:]), limit=9)
    assert json.loads(done.stdout) == [[hit.title, hit.distance] for hit in here]


def test_max_distance_bounds_what_is_found(index_path):
    strict, lax = (make_image_engine(f"dhash:path={index_path},max_distance={share}") for share in (0, 1))
    image = photographs()[5]
    assert len(strict.search(query(image), limit=50)) == 1
    assert len(lax.search(query(image), limit=50)) == len(photographs())
    assert strict.parameters != lax.parameters
    for wrong in (-0.1, 1.5):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            make_image_engine(f"dhash:path={index_path},max_distance={wrong}")


def test_wrong_files_are_refused(tmp_path, index_path):
    with pytest.raises(SearchIndexError, match="there is no image index"):
        make_image_engine(f"dhash:path={tmp_path / 'none'}")
    with pytest.raises(SearchIndexError, match="at least one image"):
        write_image_index([], tmp_path / "p.sqlite")
    with pytest.raises(ConfigError, match="not both"):
        make_image_engine(f"dhash:path={index_path},collection=default")
    with pytest.raises(ConfigError, match="Did you mean 'dhash'"):
        make_image_engine("dhsh")


def test_a_damaged_thumbnail_is_a_failed_search(index_path, tmp_path):
    path = tmp_path / "p.sqlite"
    data = index_path.read_bytes()
    path.write_bytes(data.replace(b"\xff\xd8\xff\xe0", b"\x00\x00\x00\x00"))
    with pytest.raises(SearchError, match="a thumbnail cannot be read"):
        DhashEngine(path=str(path)).search(query(photographs()[0]), limit=1)
