"""The page in a real browser: list, filters, keys, permanent links, and that nothing on it runs or is fetched."""

import pytest

from metis_gym.viewer import page_html, read_episodes
from tests.viewer.toys import FURTHER, PAYLOADS, four_cells, hostile, played, record

SHOWN = "[...document.querySelectorAll('#list li')].filter(r => !r.hidden).length"
ARTICLE = "[...document.querySelectorAll('article')].filter(a => a.offsetParent !== null).map(a => a.id).join()"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    cells = list(read_episodes(record(folder / "cells", four_cells())))
    other = [played(row.task.task_id, row.task.necessity, family=row.task.family) for row in four_cells()]
    compared = list(read_episodes(record(folder / "other", other)))
    attacks = list(read_episodes(record(folder / "hostile", hostile(PAYLOADS + FURTHER))))
    runs = {
        "one": {"cells": cells},
        "two": {"cells": cells, "other": compared},
        "hostile": {PAYLOADS[0]: attacks, PAYLOADS[3]: attacks},
    }
    for name, cards in runs.items():
        (folder / f"{name}.html").write_text(page_html(cards), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in runs}


def test_the_cells_filter(browser, pages):
    tab = browser.open(pages["one"])
    assert tab.run(SHOWN) == 10
    for cell, count in (("required-called", 4), ("none-called", 3), ("none-not", 2), ("required-not", 1)):
        tab.click(f'button[data-cell="{cell}"]')
        assert (tab.run(SHOWN), tab.run("document.getElementById('shown').textContent")) == (count, str(count))
    tab.click('button[data-cell="required-not"]')  # once more: off
    assert tab.run(SHOWN) == 10
    assert tab.errors() == []


def test_search_and_family_filter(browser, pages):
    tab = browser.open(pages["one"])
    tab.key("/")
    assert tab.run("document.activeElement.id") == "search"
    for letter in "redundant":
        tab.key(letter)
    assert tab.run(SHOWN) == 3
    tab.key("j")  # while one types, letters are letters
    assert tab.run("document.getElementById('search').value") == "redundantj"
    tab.run(
        "document.getElementById('search').value = ''; const f = document.getElementById('family');"
        "f.value = 'sums'; f.dispatchEvent(new Event('input'))"
    )
    assert tab.run(SHOWN) == 2


def test_two_runs_filter_by_what_changed(browser, pages):
    tab = browser.open(pages["two"])
    for value, count in (("gained", 2), ("lost", 0), ("dropped-redundant", 3), ("dropped-needed", 4), ("", 10)):
        tab.run(
            f"(() => {{ const d = document.getElementById('difference'); d.value = '{value}'; "
            "d.dispatchEvent(new Event('input')) })()"
        )
        assert tab.run(SHOWN) == count
    tab.go(pages["two"] + "#e4")
    assert tab.run("document.querySelectorAll('#e4 .column').length") == 2
    assert tab.run("document.querySelectorAll('#e4 .images img').length") == 2  # the view and the detail, once


def test_keys_go_through_what_is_shown(browser, pages):
    tab = browser.open(pages["one"])
    tab.click('button[data-cell="none-called"]')
    tab.run("document.activeElement.blur()")
    for key, expected in (("j", "e4"), ("j", "e5"), ("k", "e4"), ("ArrowDown", "e5"), ("ArrowUp", "e4"), ("k", "e4")):
        tab.key(key)
        tab.until(f"({ARTICLE}) === '{expected}'")
    assert tab.run("document.querySelectorAll('#list a.here').length") == 1


def test_an_address_names_an_episode(browser, pages):
    tab = browser.open(pages["one"] + "#e3")
    assert tab.run(ARTICLE) == "e3"
    assert tab.run("document.querySelector('#e3 h2').textContent") == "What is used-3?"


def test_it_works_without_script(browser, pages):
    tab = browser.open("about:blank#")
    tab.send("Emulation.setScriptExecutionDisabled", value=True)
    tab.send("Page.navigate", url=pages["one"] + "#e3")
    tab.until("document.readyState === 'complete' && location.hash === '#e3'")
    assert tab.run(ARTICLE) == "e3"
    tab.click("#list li:nth-child(2) a")
    tab.until(f"({ARTICLE}) === 'e1'")


def test_hostile_episodes_run_and_fetch_nothing(browser, pages):
    tab = browser.open(pages["hostile"] + "#e1")
    title = tab.run("document.title")
    for number in range(len(PAYLOADS + FURTHER)):
        tab.go(pages["hostile"] + f"#e{number}")
        tab.until(f"({ARTICLE}) === 'e{number}'")
    tab.key("j")
    assert tab.run("document.title") == title and PAYLOADS[0] in title
    assert tab.run("document.querySelectorAll('iframe, [onerror], [onfocus], [onload], [style]').length") == 0
    assert {address.partition("#")[0] for address in tab.requests()} == {pages["hostile"]}
    assert tab.errors() == []


def test_the_policy_stops_what_somebody_injects(browser, pages):
    tab = browser.open(pages["one"])
    title = tab.run("document.title")
    tab.run(
        "(() => { window.stopped = []; document.addEventListener('securitypolicyviolation', "
        "(event) => window.stopped.push(event.effectiveDirective));"
        "document.querySelector('main').innerHTML = \"<img src='data:,x' onerror='document.title=1'>\" +"
        "\"<img src='https://evil.example/x.png'><b style='color: red'>b</b>\";"
        "const s = document.createElement('script'); s.textContent = 'document.title = 2'; "
        "document.body.append(s); })()"
    )
    tab.until("['img-src', 'script-src-elem', 'style-src-attr'].every((name) => window.stopped.includes(name))")
    tab.until("window.stopped.includes('script-src-attr')")
    assert tab.run("document.title") == title
    assert not [address for address in tab.requests() if "evil" in address]


@pytest.mark.parametrize("width", [360, 700, 1400])
def test_nothing_is_wider_than_the_window(browser, pages, width):
    tab = browser.open(pages["two"] + "#e4", width=width, height=800)
    assert tab.run("document.documentElement.scrollWidth") <= width
