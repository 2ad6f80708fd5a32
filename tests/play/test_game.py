"""The rules of playing, without a socket."""

import pytest

from metis_gym.errors import ConfigError, InvalidActionError
from metis_gym.play import Game
from metis_gym.play.game import MAX_TEXT_CHARS, seen_share
from metis_gym.play.page import game_html
from metis_gym.recording import Run
from metis_gym.records import Necessity, ToolStatus
from metis_gym.viewer import read_episodes
from metis_gym.wrappers import Recorder
from tests.play.toys import HEIGHT, REGION, WIDTH, toy_env, toy_game
from tests.viewer.parsing import parsed


@pytest.fixture
def game():
    made = toy_game()
    yield made
    made.close()


def text_of(game):
    return "".join(parsed(game_html(game, title="toys", form_token="t")).texts)


def test_a_box_is_cropped_by_the_tool_and_enlarged(game):
    game.crop((100, 60, 200, 110))
    ((result,),) = [turn.results for turn in game.card.turns]
    assert (result.status, result.output) == (ToolStatus.OK, "640 x 320")
    assert len(result.images) == 1


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ((200, 110, 100, 60), (100, 60, 200, 110)),  # dragged from the lower right
        ((-50, -9, 100, 60), (0, 0, 100, 60)),
        ((300, 200, 9_999_999, 9_999_999), (300, 200, WIDTH, HEIGHT)),
    ],
)
def test_a_box_is_put_in_order_and_cut_off_at_the_image(box, kept, game):
    game.crop(box)
    assert f"image_1.crop({kept})" in game.card.turns[0].action


@pytest.mark.parametrize("box", [(5, 5, 5, 50), (5, 5, 50, 6), (WIDTH, 0, WIDTH + 99, 50), (-9, -9, -1, -1)])
def test_a_box_without_pixels_costs_nothing(box, game):
    with pytest.raises(InvalidActionError, match="a box has at least"):
        game.crop(box)
    assert game.card.turns == ()


def test_searches_are_calls(game):
    game.search("  the tower ")
    game.search_image()
    first, second = (turn.results[0] for turn in game.card.turns)
    assert "About the tower." in first.output
    assert len(second.images) == 1


@pytest.mark.parametrize("text", ["", "   ", "x" * (MAX_TEXT_CHARS + 1)])
def test_empty_and_endless_texts_are_refused(text, game):
    for move in (game.search, game.answer):
        with pytest.raises(InvalidActionError, match="characters"):
            move(text)
    assert game.card.turns == () and not game.is_over


def test_moves_have_their_time(game):
    with pytest.raises(InvalidActionError, match="answer this question first"):
        game.next()
    game.answer("B")
    for move in (lambda: game.answer("B"), lambda: game.crop((0, 0, 50, 50)), lambda: game.search("x")):
        with pytest.raises(InvalidActionError, match="the episode is over"):
            move()
    game.next()
    assert game.number == 2 and not game.is_over


def test_every_move_changes_the_place(game):
    places = [game.place]
    for move in (lambda: game.crop((0, 0, 50, 50)), lambda: game.answer("B"), game.next):
        move()
        places.append(game.place)
    assert len(set(places)) == 4


def test_a_tool_that_is_not_there_is_named():
    import gymnasium as gym

    game = Game(gym.make("MetisVQA-v0", taskset="tests.play.toys:Toys", tools=(), disable_env_checker=True))
    game.next()
    with pytest.raises(InvalidActionError, match="there is no tool 'python' here"):
        game.crop((0, 0, 50, 50))
    page = parsed(game_html(game, title="toys", form_token="t"))
    moves = {form.attributes["action"] for form in page.all("form")}
    assert moves == {"/answer"}
    game.close()


def test_only_environments_of_this_package_are_played():
    import gymnasium as gym

    with pytest.raises(ConfigError, match="Expect an environment of metis-gym"):
        Game(gym.make("CartPole-v1"))


def test_the_tally_counts_cells_and_regret(game):
    game.crop((100, 60, 200, 120))  # needed, right: the best plan, no regret
    game.answer("B")
    game.next()
    game.crop((0, 0, 50, 50))  # redundant, right: 0.1 for the call
    game.answer("B")
    game.next()
    game.answer("A")  # needed, not called, wrong: V* = 1 − 0.1
    game.next()
    game.answer("B")  # rightly without
    tally = game.tally
    assert [
        tally.count(need, called=called) for need in (Necessity.REQUIRED, Necessity.NONE) for called in (True, False)
    ] == [
        (1, 1),
        (1, 0),
        (1, 1),
        (1, 1),
    ]
    assert (tally.right, tally.redundant, tally.missed) == (3, 1, 1)
    assert tally.mean_regret == pytest.approx((0.0 + 0.1 + 0.9 + 0.0) / 4)
    assert "played 4 · right 3 · redundant calls in 1 · needed calls missed in 1 · regret 0.25 a task" in text_of(game)


def test_what_the_crop_held(game):
    assert seen_share(game.card) is None
    game.crop((100, 60, 150, 120))
    assert seen_share(game.card) == pytest.approx(0.5)
    game.crop(REGION)
    assert seen_share(game.card) == 1.0


def test_a_broken_tool_is_no_mistake_of_the_player(game):
    game.crop((0, 0, WIDTH, HEIGHT))
    assert game.is_over and game.tally.outcomes == ()
    assert "not scored: the cutter is broken" in text_of(game)
    game.next()
    assert not game.is_over


def test_nothing_that_a_model_does_not_see_stands_on_the_page_before_the_answer(game):
    game.crop((0, 0, 50, 50))
    page = game_html(game, title="toys", form_token="t")
    for hidden in (
        "THE EXPLANATION",
        "THE NOTES",
        "deciding",
        "region",
        "needs a tool",
        "needed,",
        "toys/choice",
        "would have paid",
    ):
        assert hidden not in page.replace(page[page.index("<style>") : page.index("</style>")], "")
    assert [rect.attributes["class"] for rect in parsed(page).all("rect")] == ["crop"]
    game.answer("A")
    after = text_of(game)
    for told in (
        "THE EXPLANATION",
        "deciding detail",
        "would have paid",
        "A tool was needed, and you called one.",
        "hdpo",
    ):
        assert told in after
    assert "Your crop held none of the deciding detail" in after


def test_hostile_options_and_pages_are_text(game):
    game.search_image()
    for _ in range(2):
        page = parsed(game_html(game, title="<script>x", form_token='"><script>'))
        assert len(page.all("script")) == 1
        assert not [name for element in page.elements for name in element.attributes if name.startswith("on")]
        assert not [e for e in page.all("img") if not e.attributes["src"].startswith("data:image/webp;base64,")]
        if not game.is_over:
            game.answer("B")


def test_open_questions_are_answered_in_words():
    game = toy_game(open=True)
    page = parsed(game_html(game, title="toys", form_token="t"))
    assert len(page.all("input", type="text", name="answer")) == 1
    game.answer("blue")
    assert game.tally.right == 1
    game.close()


def test_a_game_can_be_recorded_and_viewed(tmp_path):
    game = Game(Recorder(toy_env(), tmp_path / "run", {"agent": "a person"}), seed=1)
    game.next()
    game.crop(REGION)
    game.answer("B")
    game.close()
    (card,) = read_episodes(tmp_path / "run")
    assert card.is_right and card.has_called and Run(tmp_path / "run").notes == {"agent": "a person"}


def test_the_real_tool_crops(sandbox_kwargs):
    import gymnasium as gym

    env = gym.make(
        "MetisVQA-v0", taskset="tests.play.toys:Toys", tools=("python",), disable_env_checker=True, **sandbox_kwargs
    )
    game = Game(env, seed=1)
    game.next()
    game.crop((100, 60, 200, 110))
    (result,) = game.card.turns[0].results
    assert result.status is ToolStatus.OK and result.images[0].shape == (320, 640, 3)
    game.close()
