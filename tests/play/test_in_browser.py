"""A game in a real browser: drag a box, search, answer by key, next; and nothing but its own page is asked."""

import threading

import pytest

from metis_gym.play import Game, PlayServer
from tests.play.toys import HEIGHT, WIDTH, toy_env


@pytest.fixture(params=[1300, 420], ids=["wide", "phone"])
def played(browser, request):
    game = Game(toy_env(question="Which one? <b>"), seed=1)
    server = PlayServer(game, title="toys")
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield game, browser.open(server.address, width=request.param, height=900)
    finally:
        server.stop()
        thread.join()
        server.close()


def moved(tab, place):
    tab.until(f"document.readyState === 'complete' && document.querySelector('[name=place]').value === '{place}'")


def test_a_game(played):
    game, tab = played
    moved(tab, "1.0")
    title = tab.run("document.title")
    left, top, width, height = tab.box(".drag .frame img")
    tab.drag((left + 0.25 * width, top + 0.25 * height), (left + 0.5 * width, top + 0.5 * height))
    moved(tab, "1.1")
    box = [int(n) for n in game.card.turns[0].action.split("((")[1].split(")")[0].split(",")]
    for got, expected in zip(box, (0.25 * WIDTH, 0.25 * HEIGHT, 0.5 * WIDTH, 0.5 * HEIGHT), strict=True):
        assert abs(got - expected) <= 3
    tab.run("document.querySelector('[name=query]').focus()")
    for letter in "b tower":  # letters are text here, not answers
        tab.key(letter)
    tab.click(".move.search button")
    moved(tab, "1.2")
    assert "About b tower." in game.card.turns[1].results[0].output
    tab.click(".move.search_image button")
    moved(tab, "1.3")
    tab.key("b")
    moved(tab, "1.4")
    assert game.tally.right == 1
    assert "would have paid" in tab.run("document.body.textContent")
    assert tab.run("document.querySelectorAll('.own td b').length") == 6
    tab.key("n")
    moved(tab, "2.0")
    assert tab.run("document.title") == title
    assert tab.run("document.documentElement.scrollWidth <= window.innerWidth")
    own = tab.run("location.origin")
    assert all(address.startswith(own) for address in tab.requests())
    assert [error for error in tab.errors() if "favicon" not in error and "404" not in error] == []


def test_a_small_slip_of_the_mouse_is_no_call(played):
    game, tab = played
    moved(tab, "1.0")
    x, y = tab.middle(".drag .frame img")
    tab.drag((x, y), (x + 1, y + 1))
    tab.until("document.querySelectorAll('.drawn').length === 0")
    assert game.place == "1.0"


def test_a_game_without_script_or_mouse(played):
    """A box is typed as numbers, the options are buttons: keys that every browser knows are enough."""
    game, tab = played
    moved(tab, "1.0")
    tab.send("Emulation.setScriptExecutionDisabled", value=True)
    tab.run("window.isOld = true")
    tab.send("Page.reload")
    tab.until("!window.isOld")
    moved(tab, "1.0")
    tab.run("document.querySelector('.numbers summary').focus()")
    tab.key("Enter")
    for number in (100, 60, 200, 120):
        tab.key("Tab")
        for digit in str(number):
            tab.key(digit)
    tab.key("Enter")
    moved(tab, "1.1")
    assert "crop((100, 60, 200, 120))" in game.card.turns[0].action
    tab.run("document.querySelector('.move.answer button[value=B]').focus()")
    tab.key("Enter")
    moved(tab, "1.2")
    assert game.tally.right == 1
    tab.run("document.querySelector('.move.next button').focus()")
    tab.key("Enter")
    moved(tab, "2.0")
