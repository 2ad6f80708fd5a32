"""Families: what is drawn, splits, variety, the same image on another day."""

import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from metis_envs.families.family import SearchFamily
from metis_envs.families.names import name_split, place_name
from metis_envs.families.sums import expression_split
from metis_envs.families.versions import versions_fingerprint
from metis_envs.mixture import WEIGHTS
from metis_envs.scenes.photographs import PHOTOGRAPHS, photographs_of
from metis_gym.errors import ConfigError, TaskIdError
from metis_gym.images.transforms import fingerprint
from metis_gym.records import AnswerKind, Necessity
from metis_gym.registration import FAMILY_IDS
from metis_gym.tasksets import make_taskset

FAMILIES = tuple(FAMILY_IDS.values())
GOLDEN = Path(__file__).parent / "golden_images.json"
PINNED_SEEDS = (1, 2, 3)


def family(name, **options):
    return make_taskset(
        name, split=options.pop("split", "train"), view_size=448, options={"max_source": 1792, **options}
    )


def digest(name, seed):
    task = family(name).load(family(name).task_id(seed))
    return fingerprint(task.images[0].source), fingerprint(task.images[0].view), task.question, task.gold.value


def digests(name):
    return [list(digest(name, seed)) for seed in PINNED_SEEDS]


@pytest.mark.parametrize("name", FAMILIES)
def test_both_answer_formats_and_every_necessity_occur(name):
    has_partial = Necessity.PARTIAL in family(name).necessities
    kind = family(name, required_share=0.4, partial_share=0.3) if has_partial else family(name)
    plans = [kind.blueprint(seed)[1] for seed in range(40)]
    assert {plan.choices > 0 for plan in plans} == {True, False}
    assert {plan.necessity for plan in plans} == set(kind.necessities)


@pytest.mark.parametrize("name", FAMILIES)
def test_sources_are_1024_to_4096_pixels_and_views_are_their_box_filter(name):
    kind = make_taskset(name, split="train", view_size=448)
    canvases = [kind.blueprint(seed)[1].canvas for seed in range(60)]
    longest = [max(canvas.width, canvas.height) for canvas in canvases]
    assert min(longest) >= 1024
    assert max(longest) <= 4096
    assert len(set(longest)) > 1 or isinstance(kind, SearchFamily)
    assert all(max(canvas.view_width, canvas.view_height) == 448 for canvas in canvases)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_answers_are_spread_evenly(name):
    kind = family(name, answers="choice")
    drawn = [kind.answer_index(seed, 4) for seed in range(40)]
    assert [kind.build(kind.task_id(seed)).gold.value for seed in range(3)] == ["ABCD"[index] for index in drawn[:3]]
    counts = [drawn.count(index) for index in range(4)]
    assert sum(counts) == 40
    # 40 draws from 4 letters: fewer than 2 or more than 22 of one has a probability below 1e-4.
    assert min(counts) >= 2
    assert max(counts) <= 22


@pytest.mark.parametrize("name", FAMILIES)
def test_tasks_are_whole(name):
    for seed in range(5):
        task = family(name).build(family(name).task_id(seed))
        source, view = task.images[0].source, task.images[0].view
        factor = source.shape[0] // view.shape[0]
        assert source.shape == (view.shape[0] * factor, view.shape[1] * factor, 3)
        assert task.explanation and task.notes and task.question.endswith("?")
        assert "photograph" in task.notes or "drawn" in task.notes
        assert task.gold.value in task.alternatives
        assert (task.gold.kind is AnswerKind.CHOICE) == bool(task.options)
        assert bool(task.solution) == (task.necessity is Necessity.REQUIRED)
        assert (task.blind_accuracy is None) == (task.necessity is Necessity.UNKNOWN) == (not task.plans)
        left, top, right, bottom = task.region
        assert 0 <= left < right <= source.shape[1]
        assert 0 <= top < bottom <= source.shape[0]
        assert all(edge % factor == 0 for edge in task.region)


@pytest.mark.parametrize("name", FAMILIES)
def test_thousands_of_distinct_tasks(name):
    kind = family(name)
    assert len({kind.draw(np.random.default_rng(seed)) for seed in range(3000)}) == 3000
    sources = {fingerprint(kind.build(kind.task_id(seed)).images[0].view) for seed in range(5)}
    assert len(sources) == 5


def test_images_are_the_same_in_another_process():
    """One process draws all families, in the other order: what one leaves behind must not show in the next."""
    code = (
        f"import json, sys; sys.path[:0] = {sys.path!r}\n"
        "from test_families import FAMILIES, digest\n"
        "print(json.dumps({name: digest(name, 4) for name in reversed(FAMILIES)}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONHASHSEED": "7", "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    drawn = {name: tuple(found) for name, found in json.loads(done.stdout).items()}
    assert drawn == {name: digest(name, 4) for name in FAMILIES}


@pytest.mark.parametrize("name", FAMILIES)
def test_images_are_the_same_as_on_the_day_they_were_pinned(name):
    golden = json.loads(GOLDEN.read_text())
    if golden["versions"] != versions_fingerprint(1):
        pytest.skip("the pinned images were drawn by other versions than those installed")
    pinned, generation = golden["families"][name], family(name).generation
    assert pinned["generation"] == generation, "run python tests/envs/pin_images.py"
    assert digests(name) == pinned["digests"], f"{name} draws differently: raise its generation, {generation} now"


def test_generations_are_each_familys_own(monkeypatch):
    other, before = family("sums").task_id(1), family("signs").task_id(1)
    monkeypatch.setattr(type(family("signs")), "generation", family("signs").generation + 1)
    after = family("signs").task_id(1)
    assert before.partition("@")[0] == after.partition("@")[0]
    assert before != after
    with pytest.raises(TaskIdError, match="made by other versions"):
        family("signs").build(before)
    assert family("signs").build(after).task_id == after
    assert family("sums").build(other).task_id == other


def test_the_first_generation_keeps_the_ids_that_were_recorded_before_families_had_one():
    # The rule of the first release: the checksum of "generation 1" and the versions of all that draws.
    packages = ("matplotlib", "numpy", "pillow", "scikit-image", "scikit-learn")
    installed = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    recorded = f"{zlib.crc32(f'generation 1, {installed}'.encode()):08x}"
    assert versions_fingerprint(1) == recorded


class Shaded(type(make_taskset("patches", split="train", view_size=448))):
    """A family with parameters of its own."""

    name = "shaded"

    def __init__(self, *, shade=0.5, title="plain", **others):
        super().__init__(**others)
        self.shade, self.title = shade, title


@pytest.mark.parametrize("title", ["a/b", "a@b", 'a "b", c=d', "1", "é"])
def test_a_familys_own_parameters_travel_in_its_ids(title):
    kind = Shaded(title=title, choices=3)
    rebuilt, seed = Shaded(split="test", view_size=64)._read_id(kind.task_id(7))
    assert (rebuilt.title, rebuilt.shade, rebuilt.choices, rebuilt.split, seed) == (title, 0.5, 3, "train", 7)
    assert rebuilt.task_id(7) == kind.task_id(7)


def test_a_family_that_forgets_its_parameter_is_told():
    class Forgetful(Shaded):
        def __init__(self, *, most=3, **others):
            super().__init__(**others)

    with pytest.raises(ConfigError, match=r"does not keep it as self\.most"):
        Forgetful().task_id(1)


def test_users_matplotlib_settings_do_not_matter():
    import matplotlib

    before = digest("charts", 2)
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.facecolor": "red", "axes.grid": True}):
        assert digest("charts", 2) == before


def test_splits_share_no_photograph():
    shown = {split: {entry.name for entry in PHOTOGRAPHS if entry.split == split} for split in ("train", "test")}
    assert not shown["train"] & shown["test"]
    assert min(map(len, shown.values())) >= 8
    for split in ("train", "test"):
        assert {
            entry.name for textures in (True, False) for entry in photographs_of(split, textures=textures)
        } == shown[split]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_images_show_one_photograph_of_their_own_split(name, split):
    allowed = {entry.name for entry in PHOTOGRAPHS if entry.split == split}
    kind = family(name, split=split)
    for seed in range(12):
        notes = kind.blueprint(seed)[0].notes
        assert "mosaic" not in notes
        named = {entry.name for entry in PHOTOGRAPHS if re.search(rf": (\w+, )*{entry.name}\b", notes)}
        assert named <= allowed


def test_splits_share_no_name_and_no_sum():
    rng = np.random.default_rng(0)
    names = {split: {place_name(rng, split) for _ in range(300)} for split in ("train", "test")}
    assert not names["train"] & names["test"]
    assert {name_split(name) for name in names["test"]} == {"test"}
    for split in ("train", "test"):
        for seed in range(5):
            blueprint, _ = family("sums", split=split, answers="choice").blueprint(seed)
            content = blueprint.draw_detail.__self__.content
            pieces = sorted([*content.fixed, *content.varying[0]], key=lambda piece: (piece.y, piece.x))
            texts = " ".join(piece.text for piece in pieces)
            found = re.findall(r"[a-h]\) (.+?) =", texts)
            assert len(found) == 4
            assert {expression_split(text) for text in found} == {split}


def test_splits_share_no_seed():
    train, test = (family("patches", split=split) for split in ("train", "test"))
    assert not np.array_equal(train.build(train.task_id(3)).images[0].view, test.build(test.task_id(3)).images[0].view)
    assert train.task_id(3) != test.task_id(3)


def test_view_size_redraws_the_scene_for_its_own_factor():
    for view_size in (32, 64, 128, 448):
        kind = make_taskset(
            "patches", split="train", view_size=view_size, options={"max_source": 2048, "required_share": 1.0}
        )
        _, brief = kind.blueprint(1)
        assert brief.canvas.view_width == view_size
        task = kind.build(kind.task_id(1))
        left, top, right, bottom = (edge // brief.canvas.factor for edge in task.region)
        # A fine pattern averages to the patch's own colour: what is left is the average of its grain.
        assert task.images[0].view[top:bottom, left:right].std(axis=(0, 1)).max() < 2


def test_the_mixture_draws_by_its_weights():
    mixture = make_taskset("mixture", split="train", view_size=448)
    rng = np.random.default_rng(0)
    drawn = [re.split("[:/]", mixture.draw(rng))[0] for _ in range(4000)]
    shares = {name: drawn.count(name) / len(drawn) for name in WEIGHTS}
    # Standard error of a share of .25 over 4000 draws: .0068; four of them.
    assert shares == pytest.approx(WEIGHTS, abs=0.028)


def test_options_reach_the_id_and_come_back_from_it():
    kind = family("patches", choices=2, required_share=1.0, answers="choice")
    task_id = kind.task_id(9)
    assert task_id.startswith("patches:answers=choice,choices=2,max_source=1792,required_share=1.0/train/448/9@")
    plain = make_taskset("patches", split="test", view_size=64)
    rebuilt, original = plain.build(task_id), kind.build(task_id)
    assert rebuilt.task_id == original.task_id == task_id
    assert hashlib.sha256(rebuilt.images[0].source).digest() == hashlib.sha256(original.images[0].source).digest()
