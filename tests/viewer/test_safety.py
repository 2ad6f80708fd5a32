"""Whatever models, tools and recordings write, the page holds only its own elements, script and style."""

import base64
import hashlib
import re

import numpy as np
import pytest

from metis_gym.records import Episode, Message, Role, Turn
from metis_gym.terminal import printable
from metis_gym.viewer import card_of_episode, episode_html, page_html, read_episodes
from metis_gym.viewer.markup import ATTRIBUTES, ELEMENTS, tag, text
from tests.viewer.parsing import FRAME, parsed
from tests.viewer.toys import FURTHER, PAYLOADS, hostile, image, record, task


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = record(tmp_path_factory.mktemp("hostile") / "run", hostile(PAYLOADS + FURTHER))
    cards = list(read_episodes(folder))
    return parsed(page_html({PAYLOADS[0]: cards, PAYLOADS[1]: cards}, title=PAYLOADS[4]))


def test_only_the_fixed_elements_and_attributes(page):
    known = {name.lower() for name in ATTRIBUTES}  # the reader lowers names, as browsers do
    for element in page.elements:
        if element.name in FRAME:
            assert set(element.attributes) <= FRAME[element.name]
            continue
        assert element.name in ELEMENTS
        others = {name for name in element.attributes if not name.startswith(("data-", "aria-"))}
        assert others <= known
    assert page.comments == []


def test_nothing_runs_leads_out_or_loads(page):
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name in ("style", "srcdoc")]
        assert element.attributes.get("href", "#e0").startswith("#")
        assert re.match(
            r"data:image/webp;base64,[A-Za-z0-9+/=]+$", element.attributes.get("src", "data:image/webp;base64,A")
        )


def test_one_script_and_one_style_which_the_policy_names_by_their_digests(page):
    assert len(page.all("script")) == len(page.all("style")) == len(page.all("title")) == 1
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    said = dict(part.strip().split(" ", 1) for part in policy.attributes["content"].split(";"))
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind].encode()).digest()).decode()
        assert said[f"{kind}-src"] == f"'sha256-{digest}'"
    assert (said["default-src"], said["img-src"]) == ("'none'", "data:")
    assert said["base-uri"] == said["form-action"] == "'none'"


@pytest.mark.parametrize("payload", [*PAYLOADS[:-1], *FURTHER])
def test_payloads_are_read_as_text(page, payload):
    """In question, option, output, errors, caption, turn, component, failure, …; only controls are spelled out."""
    assert sum(printable(payload) in said for said in page.texts) >= 5


def test_control_and_direction_characters_are_shown(page):
    everything = "".join(page.texts)
    assert not set(everything) & set("\x00\x1b\u202e\ud800")
    assert "\\u202egnp.exe\\x1b[2J\\x00\\ud800&lt;b&gt;" in everything


def test_the_page_is_utf_8(tmp_path):
    cards = list(read_episodes(record(tmp_path / "run", hostile())))
    page_html({"run": cards}).encode()


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("script", {}),
        ("iframe", {}),
        ("a", {"href": "https://evil.example"}),
        ("a", {"href": "javascript:alert(1)"}),
        ("img", {"src": "https://evil.example/a.png"}),
        ("img", {"src": "data:text/html,x"}),
        ("p", {"onclick": "alert(1)"}),
        ("p", {"style": "color: red"}),
        ("p", {'x" onclick': "alert(1)"}),
        ("p", {'data-x" onclick="alert(1)': "a"}),
        ("p", {"aria-x><script>": "a"}),
    ],
)
def test_no_other_element_or_attribute_can_be_written(name, attributes):
    with pytest.raises(ValueError, match=r"page|attribute|images"):
        tag(name, **attributes)


def test_text_is_escaped_once():
    assert text("&lt;") == "&amp;lt;"
    assert tag("p", text("<"), "<") == "<p>&lt;&lt;</p>"


def test_an_episode_in_memory_is_as_safe(tmp_path):
    episode = hostile()[1]
    prompt = Message(role=Role.USER, text=episode.prompt, images=(image(5),))
    turns = tuple(Turn(text=action, results=results, answer=PAYLOADS[2]) for action, results in episode.turns)
    made = Episode(task=episode.task, system="", prompt=prompt, turns=turns)
    page = parsed(episode_html(card_of_episode(made, episode.outcome)))
    assert {element.name for element in page.elements} <= ELEMENTS
    assert not [name for element in page.elements for name in element.attributes if name.startswith("on")]


def test_huge_and_negative_crops_stay_inside_of_the_image():
    of = task("t")
    assert np.asarray(of.images[0].view).shape[:2] == (48, 64)
    episode = Episode(
        task=of,
        system="",
        prompt=Message(role=Role.USER, text="", images=(of.images[0].view,)),
        turns=(Turn(text="image_1.crop((5, 5, 999999, 999999)) image_1.crop((9, 9, 2, 2))"),),
    )
    boxes = parsed(episode_html(card_of_episode(episode))).all("rect", class_="crop run0")
    assert [(box.attributes["x"], box.attributes["width"], box.attributes["height"]) for box in boxes] == [
        ("5", "123", "91")
    ]
