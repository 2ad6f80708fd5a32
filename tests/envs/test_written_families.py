"""Patches, charts, sums, geometry, word problems, areas and ledgers: what an audit found in them, as properties."""

import io
import re
from contextlib import redirect_stdout

import numpy as np
import pytest
from PIL import Image

from metis_envs.families import charts, wordmaths
from metis_envs.families.areas import Areas
from metis_envs.families.wordings import TEST_ONLY
from metis_envs.scenes.canvas import Canvas
from metis_envs.scenes.charts import CHART_COLOURS, Chart, ChartPlace
from metis_envs.scenes.draft import Draft
from metis_envs.scenes.prints import Printer
from metis_envs.scenes.sheets import lay_sheet
from metis_envs.scenes.view import box_view
from metis_gym.records import Necessity
from metis_gym.tasksets import make_taskset

HIDING = ("patches", "charts", "sums", "geometry", "wordmaths", "areas")
WRITTEN = (*HIDING, "ledgers")
WORKSHEETS = ("sums", "geometry", "wordmaths", "ledgers")


def family(name, split="train", **options):
    return make_taskset(name, split=split, view_size=448, options={"max_source": 1792, **options})


SHARES = {
    Necessity.NONE: {"required_share": 0.0},
    Necessity.PARTIAL: {"required_share": 0.0, "partial_share": 1.0},
    Necessity.REQUIRED: {"required_share": 1.0},
}
KINDS = [(name, necessity) for name in HIDING for necessity in SHARES if necessity in family(name).necessities]


@pytest.mark.parametrize(("name", "necessity"), KINDS)
def test_views_are_identical_inside_a_block_and_different_between_blocks(name, necessity):
    kind = family(name, **SHARES[necessity])
    for seed in range(4):
        blueprint, brief = kind.blueprint(seed)
        assert brief.necessity is necessity
        sources = [blueprint.render(index) for index in range(len(blueprint.answers))]
        views = [box_view(source, brief.canvas.factor).tobytes() for source in sources]
        assert len({source.tobytes() for source in sources}) == len(sources)
        for one in range(len(views)):
            for other in range(one):
                assert (views[one] == views[other]) == (blueprint.blocks[one] == blueprint.blocks[other])


@pytest.mark.parametrize("name", WRITTEN)
def test_there_are_several_wordings_and_some_are_kept_for_the_test_split(name):
    asked = {
        split: [blank(kind.blueprint(seed)[0].question) for seed in range(250)]
        for split, kind in ((split, family(name, split)) for split in ("train", "test"))
    }
    assert 5 <= len(set(asked["train"])) < len(set(asked["test"]))
    # Two of seven wordings are the test split's own: 71 of 250 expected, standard error 7.
    assert 30 < sum(question not in set(asked["train"]) for question in asked["test"]) < 115
    assert TEST_ONLY == 2


def blank(question):
    """A question without what is filled in: numbers, names, colours, titles."""
    question = re.sub(r"[“(].*?[”)]|#\w+|[\d:]+|: [a-z ,]+\?$", "_", question)
    words = re.sub(r"[?.,:]", "", question).split()
    return " ".join(word for word in words if word.islower() and word not in FILLED)


FILLED = {*wordmaths._GOODS, *"abcdefgh_"}
FILLED |= set("sheet heading note blackboard whiteboard frame the with red green blue yellow purple orange".split())
FILLED |= set("tallest shortest second highest lowest".split())
FILLED |= {name for topics in charts._TOPICS.values() for topic in topics for name in topic.names}


@pytest.mark.parametrize("name", HIDING)
def test_words_and_options_are_the_same_whether_a_tool_is_needed_or_not(name):
    told = {
        share: [family(name, required_share=share).blueprint(seed)[0] for seed in range(150)] for share in (0.0, 1.0)
    }
    questions = {share: [blank(plan.question) for plan in plans] for share, plans in told.items()}
    assert set(questions[0.0]) == set(questions[1.0])
    sizes = {share: np.sort([size(plan.answers) for plan in plans]) for share, plans in told.items()}
    # Kolmogorov–Smirnov: 1.95 · √(2 / 150) = .225 is exceeded by chance once in a thousand.
    points = np.concatenate([sizes[0.0], sizes[1.0]])
    shares = [np.searchsorted(sizes[share], points, side="right") / 150 for share in (0.0, 1.0)]
    assert np.abs(shares[0] - shares[1]).max() < 0.225


def size(answers):
    """How large the answers are as numbers, or how long as texts."""
    numbers = [float(answer) if answer.lstrip("-").isdigit() else len(answer) for answer in answers]
    return float(np.mean(numbers))


@pytest.mark.parametrize("name", ["sums", "geometry", "wordmaths", "charts", "ledgers"])
def test_every_option_stands_in_the_image_whatever_the_answer(name):
    # What the answer decides is where things stand: the texts on the worksheet or chart are the same for all of them.
    for seed in range(12):
        blueprint, _ = family(name, answers="choice").blueprint(seed)
        texts = [sorted(printed) for printed in printed_texts(blueprint)]
        assert len(texts) == len(blueprint.answers) == 4
        assert all(other == texts[0] for other in texts)
        assert len({tuple(printed) for printed in printed_texts(blueprint)}) == 4


def printed_texts(blueprint):
    """For each answer the texts that it decides, in the order of their places."""
    owner = blueprint.draw_detail.__self__
    if hasattr(owner, "chart"):
        return [list(names) for names in owner.chart.names]
    return [[piece.text for piece in pieces] for pieces in owner.content.varying]


def test_no_patch_is_grey_and_all_kinds_of_patches_are_in_every_image():
    for share in (0.0, 1.0):
        kind = family("patches", required_share=share)
        for seed in range(12):
            task = kind.build(kind.task_id(seed))
            factor = task.images[0].source.shape[0] // 448
            left, top, right, bottom = (edge // factor for edge in task.region)
            red, green, blue = task.images[0].view[top:bottom, left:right].mean(axis=(0, 1))
            assert max(abs(red - green), abs(green - blue), abs(red - blue)) > 3


def test_a_coarse_patch_and_a_fine_one_average_to_the_same_colour():
    # The thumbnail of 16 × 16 px shows no difference: every pattern's average is that of its patch.
    for share in (0.0, 1.0):
        kind = family("patches", required_share=share, answers="open")
        for seed in range(6):
            blueprint, brief = kind.blueprint(seed)
            views = [box_view(blueprint.render(index), 28 * brief.canvas.factor) for index in range(4)]
            assert all(np.array_equal(view, views[0]) for view in views)


def flat_chart(values, printed=True):
    canvas = Canvas(200, 160, 4)
    sheet = lay_sheet(np.random.default_rng(0), canvas, canvas.box(0, 0, 200, 160), turn=0.0, tilt=0.0)
    chart = Chart(
        title="Trees", unit="trees", values=tuple((value,) for value in values), names=(("a", "b", "c"),), places=(),
        top=80, ticks=4, printed=printed,
    )  # fmt: skip
    place = ChartPlace(
        chart=chart, letter="A", printer=Printer(sheet, 40.0, (0.0, 0.0), (0, 0, 0)), ink=(0, 0, 0), width=20, height=16
    )
    draft = Draft(canvas, np.full((320, 400, 3), 255, np.uint8))
    place.paint(draft)
    return draft.scene()


def test_bars_are_as_high_as_their_numbers():
    values = (20, 57, 43)
    scene = flat_chart(values)
    heights = [(scene == colour).all(axis=2).any(axis=1).sum() for colour in CHART_COLOURS[:3]]
    # An edge is smooth over two or three source pixels.
    assert np.allclose(np.array(heights) / heights[1], np.array(values) / values[1], atol=6 / heights[1])


def test_small_charts_are_visible_in_the_view():
    for seed in range(6):
        kind = family("charts", required_share=1.0)
        task = kind.build(kind.task_id(seed))
        factor = task.images[0].source.shape[1] // task.images[0].view.shape[1]
        left, top, right, bottom = (edge // factor for edge in task.region)
        chart = task.images[0].view[top:bottom, left:right].astype(int)
        coloured = (chart.max(axis=2) - chart.min(axis=2)) > 25
        assert coloured.sum() > 60, "bars or lines in colour, not a plain field"


@pytest.mark.parametrize("name", WORKSHEETS)
@pytest.mark.parametrize("choices", [2, 4, 6])
def test_no_text_hangs_over_the_edge_of_its_worksheet(name, choices):
    for split in ("train", "test"):
        for seed in range(12):
            blueprint, _ = family(name, split, choices=choices, answers="choice").blueprint(seed)
            worksheet = blueprint.draw_detail.__self__
            for piece in [*worksheet.content.fixed, *(one for row in worksheet.content.varying for one in row)]:
                left, top, right, bottom = worksheet.printer._edges(piece)
                assert left >= 0 and right <= worksheet.sheet.width
                assert top >= 0 and bottom <= worksheet.sheet.height


def test_measures_have_units_and_figures_are_to_scale():
    for seed in range(30):
        blueprint, _ = family("geometry").blueprint(seed)
        content = blueprint.draw_detail.__self__.content
        units = [(piece.x, piece.y) for piece in content.fixed if piece.text == " cm"]
        for pieces in content.varying:
            assert [(piece.x, piece.y) for piece in pieces] == units
            below, beside = (int(piece.text) for piece in pieces[:2])
            xs, ys = zip(*content.lines[0], strict=True)
            assert (max(xs) - min(xs)) / (max(ys) - min(ys)) == pytest.approx(below / beside)


@pytest.mark.parametrize("name", ["sums", "geometry", "wordmaths"])
def test_far_worksheets_carry_as_much_as_near_ones(name):
    def counts(share):
        kind = family(name, required_share=share, answers="open")
        plans = [kind.blueprint(seed)[0] for seed in range(30)]
        return {len(plan.draw_detail.__self__.content.varying[0]) for plan in plans}

    assert counts(0.0) == counts(1.0)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("choices", [2, 6])
def test_every_scene_fits_into_the_smallest_view(name, choices):
    for split in ("train", "test"):
        kind = make_taskset(name, split=split, view_size=384, options={"choices": choices, "answers": "choice"})
        for seed in range(20):
            assert len(kind.blueprint(seed)[0].answers) == choices


@pytest.mark.parametrize("required_share", [0.0, 1.0])
def test_counts_of_areas_are_right_to_the_pixel(required_share):
    kind = family("areas", required_share=required_share, answers="open")
    for seed in range(8):
        task = kind.build(kind.task_id(seed))
        blueprint, _ = kind.blueprint(seed)
        code = blueprint.searches[0].arguments["code"]
        assert bool(task.solution) == (required_share == 1.0)
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, {"image_1": Image.fromarray(task.images[0].source)})
        counts = dict(line.split() for line in printed.getvalue().splitlines())
        asked = re.findall(r"#[0-9A-F]{6}", task.question)
        if len(asked) == 1:
            assert counts[asked[0]] == task.gold.value
        else:
            assert counts[task.gold.value] == re.search(r" (\d+) ", task.question)[1]
        assert len(set(counts.values())) == len(counts) == 4


def test_areas_have_no_partial_tasks_as_every_field_looks_the_same():
    assert Necessity.PARTIAL not in Areas.necessities


def test_ledgers_are_unknown_and_claim_nothing_exact():
    kind = family("ledgers")
    for seed in range(8):
        task = kind.build(kind.task_id(seed))
        assert task.necessity is Necessity.UNKNOWN
        assert (task.blind_accuracy, task.plans, task.min_calls, task.tool_accuracy) == (None, (), None, None)
        assert task.tool_benefit is not None and 0 < task.tool_benefit < 1
        assert len(task.alternatives) == 4
