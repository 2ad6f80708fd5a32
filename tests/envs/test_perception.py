"""Families of small and large print: what tells the necessity, what the view tells, which options stand in an image."""

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from metis_envs.families import counting, documents, relations, signs, spotting
from metis_envs.families.lists import _turned
from metis_envs.families.wordings import TEST_ONLY, wordings_of
from metis_envs.scenes import labels, lists
from metis_envs.scenes.view import box_view
from metis_gym.records import Necessity
from metis_gym.tasksets import make_taskset

PERCEPTION = ("counting", "documents", "relations", "signs", "spotting")
KINDS = {
    Necessity.NONE: {"required_share": 0.0},
    Necessity.PARTIAL: {"required_share": 0.0, "partial_share": 1.0},
    Necessity.REQUIRED: {"required_share": 1.0},
}


def family(name, necessity, split="train", **options):
    given = {"max_source": 1792, **KINDS[necessity], **options}
    return make_taskset(name, split=split, view_size=448, options=given)


def views(blueprint):
    return [box_view(blueprint.render(index), blueprint.factor) for index in range(len(blueprint.answers))]


@pytest.mark.parametrize("name", PERCEPTION)
@pytest.mark.parametrize("necessity", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_views_are_equal_within_a_block_and_differ_between_blocks(name, necessity, seed):
    blueprint, brief = family(name, necessity, answers="choice").blueprint(seed)
    assert brief.necessity is necessity
    drawn = views(blueprint)
    for first, block in enumerate(blueprint.blocks):
        for second in range(first):
            assert np.array_equal(drawn[first], drawn[second]) == (block == blueprint.blocks[second])
    count = {Necessity.NONE: 4, Necessity.PARTIAL: 2, Necessity.REQUIRED: 1}[necessity]
    assert len(set(blueprint.blocks)) == count


@pytest.mark.parametrize("name", PERCEPTION)
def test_an_open_question_has_a_finite_list_of_answers_and_one_view(name):
    blueprint, _ = family(name, Necessity.REQUIRED, answers="open").blueprint(1)
    assert 4 <= len(blueprint.answers) <= 12
    first, *others = views(blueprint)
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("name", PERCEPTION)
def test_options_and_answers_are_the_same_whatever_the_necessity(name):
    for seed in range(30):
        plans = [family(name, necessity).blueprint(seed)[0] for necessity in KINDS]
        assert plans[0].answers == plans[1].answers == plans[2].answers


@pytest.mark.parametrize("name", PERCEPTION)
def test_questions_name_another_thing_in_the_same_words(name):
    """The words of a seed are the same but for what is named, which is drawn without regard to necessity."""
    unlike = []
    for seed in range(60):
        none, required = (
            family(name, necessity).blueprint(seed)[0].question.split()
            for necessity in (Necessity.NONE, Necessity.REQUIRED)
        )
        different = set(none) ^ set(required)
        assert len(different) <= 10, (none, required)
        unlike.append(none != required)
    assert np.mean(unlike) > 0.5


@pytest.mark.parametrize("name", PERCEPTION)
def test_no_thumbnail_tells_the_necessity(name):
    """Sizes, colours and places of a seed are the same for each necessity: a thumbnail is, up to a few grey levels."""
    for seed in range(3):
        none, required = (
            views(family(name, necessity, answers="choice").blueprint(seed)[0])[0].astype(np.uint8)
            for necessity in (Necessity.NONE, Necessity.REQUIRED)
        )
        small = [
            np.asarray(Image.fromarray(view).resize((16, 16), Image.Resampling.BOX), dtype=float)
            for view in (none, required)
        ]
        assert np.abs(small[0] - small[1]).mean() < 1.0
        assert np.abs(none.mean(axis=(0, 1)) - required.mean(axis=(0, 1))).max() < 0.5


@pytest.mark.parametrize("name", PERCEPTION)
def test_no_part_of_a_view_is_one_plain_colour(name):
    """A panel of one exact colour told the necessity of every former task of these families."""
    for seed in range(4):
        blueprint, _ = family(name, Necessity.REQUIRED).blueprint(seed)
        left, top, right, bottom = (edge // blueprint.factor for edge in blueprint.region)
        part = box_view(blueprint.render(0), blueprint.factor)[top:bottom, left:right].reshape(-1, 3)
        _, counts = np.unique(part, axis=0, return_counts=True)
        assert counts.max() / len(part) < 0.3


@pytest.mark.parametrize(
    ("module", "name"),
    [(lists, "documents"), (lists, "signs"), (lists, "counting"), (labels, "spotting"), (labels, "relations")],
)
@pytest.mark.parametrize("necessity", KINDS)
def test_every_option_stands_in_the_image(module, name, necessity, monkeypatch):
    """On the things of the asked kind of print, one for each option; the others have them as well."""
    blueprint, _ = family(name, necessity, answers="choice").blueprint(2)
    scene = blueprint.paint()
    written = []
    monkeypatch.setattr(module, "print_text", lambda _scene, _sheet, _place, text, *_, **__: written.append(text))
    for index in range(4):
        written.clear()
        blueprint.draw_detail(scene, index)
        assert len(written) == len(set(written)) >= 4


@pytest.mark.parametrize("lines", [3, 4, 5])
def test_the_lines_of_a_list_say_the_answers_in_turn(lines):
    task = documents.Documents(answers="choice").draw_task(
        family("documents", Necessity.NONE, answers="choice").blueprint(0)[1]
    )
    said = [_turned(task, index, line) for index in range(4) for line in range(4)]
    assert all(set(values) >= set(task.answers) for values in said)
    assert [values[line] for values, line in zip(said, 4 * list(range(4)), strict=True)] == [
        task.values[index] for index in range(4) for _ in range(4)
    ]


def wording_lists():
    for documented in (*documents._DOCUMENTS, *signs._KINDS, *spotting._ATTRIBUTES):
        yield documented.wordings
    yield counting._WORDINGS
    yield relations._WORDINGS


def test_templates_have_five_to_ten_wordings_and_the_last_ones_are_for_the_test_split():
    for wordings in wording_lists():
        assert 5 <= len(set(wordings)) == len(wordings) <= 10
        assert set(wordings_of(wordings, "test")) - set(wordings_of(wordings, "train")) == set(wordings[-TEST_ONLY:])


@pytest.mark.parametrize("name", PERCEPTION)
def test_wordings_tell_nothing_about_the_scene(name):
    kind = family(name, Necessity.NONE, split="test")
    blueprint, brief = kind.blueprint(5)
    again = kind.blueprint(5)[0]
    assert blueprint.question == again.question
    assert blueprint.answers == again.answers
    assert brief.words is not brief.rng


@pytest.mark.parametrize("name", ["signs", "documents", "counting", "spotting", "relations"])
@pytest.mark.parametrize("choices", [2, 3, 6])
def test_other_numbers_of_options(name, choices):
    for view_size in (384, 448):
        kind = make_taskset(name, split="test", view_size=view_size, options={"choices": choices, "answers": "choice"})
        for seed in range(12):
            blueprint, _ = kind.blueprint(seed)
            assert len(set(blueprint.answers)) == choices


def test_whatever_is_printed_has_a_glyph(monkeypatch):
    """A font without one draws an empty box."""
    printed = set()

    def record(_scene, _sheet, _place, text, face, *_, **__):
        printed.update((face.path, character) for character in text)

    for module in (lists, labels):
        monkeypatch.setattr(module, "print_text", record)
    monkeypatch.setattr("metis_envs.families.lists.conceal_among", lambda *_: None)
    monkeypatch.setattr("metis_envs.families.labels.conceal_among", lambda *_: None)
    for name in PERCEPTION:
        kind = family(name, Necessity.NONE)
        for seed in range(40):
            blueprint, brief = kind.blueprint(seed)
            _print_all(blueprint, brief)
    characters = {path: set(TTFont(path).getBestCmap()) for path in {path for path, _ in printed}}
    assert [character for path, character in printed if ord(character) not in characters[path]] == []
    assert len(printed) > 150


def _print_all(blueprint, brief):
    scene = np.zeros((brief.canvas.height, brief.canvas.width, 3), np.uint8)
    for index in range(len(blueprint.answers)):
        blueprint.draw_detail(scene, index)
    things = [cell.cell_contents for cell in blueprint.paint.__closure__]
    for thing in things:
        if isinstance(thing, lists.ListSheet):
            thing.print_frame(scene, np.random.default_rng(0))
