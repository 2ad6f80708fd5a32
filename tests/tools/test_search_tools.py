"""The search tools inside the environment: what models read, what counts, what fails."""

import dataclasses
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from PIL import Image

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.errors import ConfigError, SearchError, SearchIndexError
from metis_gym.recording import Run, replay
from metis_gym.records import Passage, TitledImage, ToolCall, ToolStatus
from metis_gym.search import IMAGE_ENGINES, TEXT_ENGINES, ImageHit, TextHit
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.text import write_text_index
from metis_gym.tasksets import TASKSETS, Taskset, make_taskset
from metis_gym.tools import TOOLS, Tool, ToolSession
from metis_gym.tools.image_search import ImageSearchTool
from metis_gym.tools.text_search import TextSearchTool
from metis_gym.turns import MAX_OBSERVATION_CHARS

CORPUS = [
    Passage(title="Ashmere Tower", text="The Ashmere tower is 95 m high.", link="https://generated.example/ashmere"),
    Passage(title="Towers", text="A tower is a tall building. <image>", link="https://generated.example/towers"),
    *(
        Passage(title=f"Page {n}", text=f"Filler number {n} about towers. " * 40, link=f"https://generated.example/{n}")
        for n in range(40)
    ),
    *(Passage(title=f"Other {n}", text=f"Something else {n}", link="") for n in range(200)),
]
OWN = Passage(title="Halworth Tower", text="The Halworth tower\nis 120 m high.", link="https://generated.example/own")


def image(seed):
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), np.ones((20, 20, 1), dtype=np.uint8))


@TASKSETS.register("with_overlay")
class WithOverlay(Taskset):
    """Tasks of `signs` that bring a passage and a copy of their image; "bare" ones bring nothing."""

    tools = ("text_search", "image_search")

    def __init__(self, *, split, view_size, bare=False):
        self._signs = make_taskset("signs:max_source=1792,required_share=0", split=split, view_size=view_size)
        self.bare = bare

    @property
    def families(self):
        return ("signs",)

    def draw(self, rng):
        return self._signs.draw(rng)

    def load(self, task_id):
        return self.build(task_id)  # not out of the cache, which knows tasks of `signs` by the same ids

    def build(self, task_id):
        task = self._signs.build(task_id)
        if self.bare:
            return task
        copy = TitledImage(title="The Halworth Tower", image=task.images[0].source[::2, ::2].copy(), link="own")
        return dataclasses.replace(task, passages=(OWN,), titled_images=(copy,))


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    write_text_index(CORPUS, folder / "text.sqlite")
    entries = [TitledImage(title=f"Image {n}", image=image(n), link=f"p{n}") for n in range(10)]
    write_image_index(entries, folder / "images.sqlite")
    return {
        "text_engine": f"fts5:path={folder / 'text.sqlite'}",
        "image_engine": f"dhash:path={folder / 'images.sqlite'}",
    }


@pytest.fixture
def env(engines):
    env = gym.make("MetisVQA-v0", taskset="with_overlay", tools=("text_search", "image_search"), **engines)
    env.reset(seed=3)
    yield env
    env.close()


def text_search(query, name="text_search"):
    return {"name": name, "arguments": {"query": query}}


IMAGE_SEARCH = {"name": "image_search", "arguments": {}}


def test_results_are_laid_out_as_the_protocol_says(env):
    text = env.step(text_search("How high is the Ashmere tower?"))[0]["text"]
    assert text.startswith("A search for 'How high is the Ashmere tower?' found 10 results:\n\nPage 1. [Title: ")
    assert (
        "Page 1. [Title: Ashmere Tower](Link: https://generated.example/ashmere)\n"
        "Snippet: The Ashmere tower is 95 m high.\n\nPage 2. [Title: "
    ) in text
    assert "Page 10. [Title: " in text and "Page 11." not in text
    snippets = [line for line in text.splitlines() if line.startswith("Snippet: ")]
    assert len(snippets) == len(set(snippets)) == 10
    assert "<image>" not in text and len(text) < MAX_OBSERVATION_CHARS


def test_the_tasks_own_passages_are_found(env):
    text = env.step(text_search("height of the Halworth tower"))[0]["text"]
    page = "[Title: Halworth Tower](Link: https://generated.example/own)"
    assert f"Page 1. {page}\nSnippet: The Halworth tower is 120 m high." in text


def test_another_task_does_not_see_them(engines):
    env = gym.make("MetisVQA-v0", taskset="with_overlay:bare=true", tools=("text_search", "image_search"), **engines)
    env.reset(seed=3)
    assert "Halworth" not in env.step(text_search("height of the tower of Hal worth"))[0]["text"]
    assert "0 results" in env.step(IMAGE_SEARCH)[0]["text"]


@pytest.mark.parametrize("query", ["", "  \n ", "\u3000"])
def test_an_empty_query_is_told(env, query):
    observation, *_, info = env.step(text_search(query))
    assert "The query is empty" in observation["text"]
    assert info["tool_errors"] == info["tool_calls_by/text_search"] == 1.0


def test_finding_nothing_is_told(env):
    observation, *_, info = env.step(text_search("xyzzy"))
    assert observation["text"].startswith("A search for 'xyzzy' found 0 results. No page holds any of these words.")
    assert info["tool_errors"] == 0.0


@pytest.mark.parametrize("query", ["x" * 60_000, "a\x00b", "\udfff", "😀", '"(tower NEAR', "tower " * 9_000])
def test_any_query_gives_a_readable_observation(env, query):
    observation, _, _, truncated, info = env.step(text_search(query))
    assert observation in env.observation_space and info["scored"] and not truncated
    assert len(observation["text"]) < MAX_OBSERVATION_CHARS


def test_the_alias_and_lists_of_queries_are_understood(env):
    observation, *_, info = env.step(text_search(["Halworth tower", "another"], name="search"))
    assert "A search for 'Halworth tower' found" in observation["text"]
    assert info["tool_calls_by/text_search"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Argument 'query' is missing"),
        ({"query": 5}, "must be a string"),
        ({"query": []}, "must be a string, not list"),
        ({"query": [["a"]]}, "must be a string"),
        ({"query": "a", "page": 2}, "Unknown argument 'page'"),
    ],
)
def test_wrong_arguments_are_told(env, arguments, message):
    assert message in env.step({"name": "text_search", "arguments": arguments})[0]["text"]


def test_image_search_gives_images_with_titles(env):
    observation, *_, info = env.step(IMAGE_SEARCH)
    assert observation["text"] == "A search for the image found 1 result:\n1. <image>\n[The Halworth Tower]"
    (found,) = observation["images"]
    assert found.shape[0] % 32 == found.shape[1] % 32 == 0
    assert info["tool_calls_by/image_search"] == 1.0 and info["tool_errors"] == 0.0


def test_image_search_runs_once_in_an_episode(env):
    env.step(IMAGE_SEARCH)
    observation, *_, info = env.step(IMAGE_SEARCH)
    assert "was called already" in observation["text"] and observation["images"] == ()
    assert info["tool_calls_by/image_search"] == 2.0 and info["tool_errors"] == 1.0
    env.reset(seed=4)
    assert len(env.step(IMAGE_SEARCH)[0]["images"]) == 1


def test_image_search_finds_images_of_the_index(env):
    task = dataclasses.replace(env.unwrapped.episode.task)
    images = (dataclasses.replace(task.images[0], source=image(4)),)
    session = TOOLS.create("image_search", image_engine=env.unwrapped.toolbox.tools["image_search"].engine)
    result = session.open(dataclasses.replace(task, images=images, titled_images=()), seed=0).call({})
    assert result.captions == ("Image 4",) and len(result.images) == 1
    result = session.open(dataclasses.replace(task, images=()), seed=0).call({})
    assert (result.status, result.errors) == (ToolStatus.ERROR, "This question has no image to search for.")


def test_hits_without_a_image_are_named():
    class Titles:
        def search(self, query, *, limit):
            return (ImageHit(title="first", image=None), ImageHit(title="", image=image(1)))

        def distances(self, query, images):
            return None

    signs = make_taskset("signs:max_source=1792,required_share=0", split="train", view_size=448)
    task = signs.load("signs/train/448/1")
    result = ImageSearchTool(image_engine=Titles()).open(task, seed=0).call({})
    assert result.output == "A search for the image found 2 results:\nWithout an image: [first]"
    assert result.captions == ("(no title)",)


class Broken:
    """An engine whose service is down."""

    name = "broken"
    parameters = {}
    is_live = False

    def fingerprint(self):
        return "broken"

    def search(self, query, *, limit):
        raise SearchError("broken: HTTP 503")


class BrokenText(Broken):
    def scores(self, query, passages):
        return None


class BrokenImages(Broken):
    def distances(self, query, images):
        return None


TEXT_ENGINES.register("broken_text")(BrokenText)
IMAGE_ENGINES.register("broken_image")(BrokenImages)


@pytest.mark.parametrize("call", [text_search("tower"), IMAGE_SEARCH])
def test_a_failed_search_leaves_the_episode_unscored_and_uncounted(call):
    env = gym.make(
        "MetisVQA-v0",
        taskset="with_overlay",
        tools=("text_search", "image_search"),
        text_engine="broken_text",
        image_engine="broken_image",
    )
    env.reset(seed=3)
    observation, reward, terminated, truncated, info = env.step(call)
    assert (reward, terminated, truncated, info["scored"]) == (0.0, False, True, False)
    assert info["tool_calls"] == 0.0 and info["tool_cost"] == 0.0
    assert "not you (SearchError)" in observation["text"]
    assert "HTTP 503" in str(env.unwrapped.failure)


@pytest.mark.parametrize("dialect", ["metis", "qwen"])
def test_dialects_show_results(engines, dialect):
    env = gym.make(
        "MetisVQA-v0", taskset="with_overlay", tools=("text_search", "image_search"), dialect=dialect, **engines
    )
    system = env.reset(seed=3)[0]["system"]
    assert "text_search" in system and '"query"' in system and "image_search" in system
    assert "Page 1. [Title: Halworth Tower]" in env.step(text_search("halworth"))[0]["text"]
    observation, *_ = env.step(IMAGE_SEARCH)
    assert observation["text"].count("<image>") == len(observation["images"]) == 1
    assert "The Halworth Tower" in observation["text"]


def test_same_seed_same_results(engines):
    texts = []
    for _ in range(2):
        env = gym.make("MetisVQA-v0", taskset="with_overlay", tools=("text_search",), **engines)
        env.reset(seed=3)
        texts.append(env.step(text_search("tall tower"))[0]["text"])
    assert texts[0] == texts[1]


def test_the_environment_survives_json_and_pickle(env):
    spec = EnvSpec.from_json(env.spec.to_json())
    again = gym.make(spec)
    copy = pickle.loads(pickle.dumps(env.unwrapped))
    for other in (again, copy):
        other.reset(seed=3)
        assert other.step(text_search("halworth"))[0]["text"] == env.step(text_search("halworth"))[0]["text"]


def test_engines_are_shared_within_a_process(engines):
    first, second = (TextSearchTool(text_engine=engines["text_engine"]) for _ in range(2))
    assert first.engine is second.engine


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tools": ("text_search",), "text_engine": "fts"}, ConfigError, "Did you mean 'fts5'"),
        ({"tools": ("text_search",), "text_engine": "fts5:pth=x"}, ConfigError, "no parameter 'pth'"),
        ({"tools": ("text_search",), "text_engine": "fts5:path=/no/such.sqlite"}, SearchIndexError, "no text index"),
        ({"tools": ("image_search",), "image_engine": "dhash:path=/no/such"}, SearchIndexError, "no image index"),
        ({"tools": ("text_search",), "text_engine": 5}, ConfigError, "text engine is named by a spec"),
        ({"tools": ("image_search",), "image_engine": ["dhash"]}, ConfigError, "image engine is named by a spec"),
        ({"tools": ("image_search",), "image_engine": "lens"}, ConfigError, "serpapi_lens"),
    ],
)
def test_wrong_engines_are_found_when_the_environment_is_made(arguments, error, message):
    with pytest.raises(error, match=message):
        gym.make("MetisVQA-v0", taskset="signs", **arguments)


def test_an_environment_offers_the_tools_that_its_tasks_are_made_for(engines):
    def offered(taskset, **others):
        return tuple(gym.make("MetisVQA-v0", taskset=taskset, **engines, **others).unwrapped.toolbox.tools)

    assert offered("with_overlay") == ("text_search", "image_search")
    assert offered("signs") == ("python",)
    assert offered("signs+with_overlay") == ("python", "text_search", "image_search")
    assert offered("with_overlay", curriculum=2) == ("text_search", "image_search")
    assert offered("with_overlay", tools=("python",)) == ("python",)
    assert offered("with_overlay", tools=()) == ()


def test_a_prepared_cache_is_asked_by_the_tasks_search_key(env, tmp_path):
    (tmp_path / "results.json").write_text(
        json.dumps({"fvqa_17": {"tool_returned_web_title": ["Big Ben"], "cached_images_path": ["ben.png"]}})
    )
    Image.fromarray(image(1)).save(tmp_path / "ben.png")
    tool = ImageSearchTool(image_engine=f"prepared:path={tmp_path / 'results.json'}")
    task = dataclasses.replace(env.unwrapped.episode.task, titled_images=())
    found = tool.open(dataclasses.replace(task, search_key="fvqa_17"), seed=0).call({})
    assert found.captions == ("Big Ben",)
    with pytest.raises(SearchError, match="looked up by 'fvqa_18'"):
        tool.open(dataclasses.replace(task, search_key="fvqa_18"), seed=0).call({})


def test_opening_an_episode_looks_at_nothing(env):
    class Untouchable(tuple):
        def __iter__(self):
            raise AssertionError("looked at")

        def __len__(self):
            raise AssertionError("looked at")

    task = env.unwrapped.episode.task
    heavy = dataclasses.replace(task, passages=Untouchable([OWN]), titled_images=Untouchable(task.titled_images))
    for tool in env.unwrapped.toolbox.tools.values():
        tool.open(heavy, seed=0)


def test_a_tool_of_ones_own_takes_the_settings_that_it_names(engines):
    @TOOLS.register("curious")
    class Curious(Tool):
        """Wants two of the environment's settings."""

        name = "curious"
        description = "Nothing."
        schema = {"type": "object", "properties": {}}
        settings = ("sandbox", "text_engine")

        def __init__(self, *, price, sandbox, text_engine):
            super().__init__(price=price)
            self.given = (sandbox, text_engine)

        def open(self, task, *, seed):
            return ToolSession()

    env = gym.make("MetisVQA-v0", taskset="signs", tools=("curious",), sandbox="unsafe", text_engine="mine")
    assert env.unwrapped.toolbox.tools["curious"].given == ("unsafe", "mine")


def test_recorded_searches_replay_without_searching(engines, tmp_path):
    from metis_gym.wrappers import Recorder

    env = Recorder(
        gym.make("MetisVQA-v0", taskset="with_overlay", tools=("text_search", "image_search"), **engines),
        folder=tmp_path / "run",
    )
    env.reset(seed=3)
    env.step(IMAGE_SEARCH)
    env.step(IMAGE_SEARCH)
    env.step(text_search("halworth"))
    env.step({"answer": "A"})
    env.close()
    assert list(replay(Run(tmp_path / "run"))) == []


def test_calls_can_be_written_by_scripts(env):
    call = ToolCall(name="text_search", arguments={"query": "halworth"})
    assert "Halworth" in env.step(env.unwrapped.dialect.write_calls([call]))[0]["text"]
    assert TextHit(title="", snippet="", link="").score is None
