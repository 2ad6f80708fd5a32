"""The plug-in of lmms-eval: what it is asked and what it gives back; with the true package where that is installed."""

import dataclasses
import importlib.metadata

import numpy as np
import pytest
from PIL import Image

from metis_agents import lmms_plugin
from metis_agents.agent import NoAnswerError
from metis_agents.agents import AGENTS
from metis_agents.lmms_plugin import MetisGym
from metis_gym.errors import ConfigError, InfrastructureError, MetisError, MissingDependencyError


@dataclasses.dataclass
class Request:
    """As `lmms_eval.api.instance.Instance`, as far as a model reads it."""

    args: tuple


class Watcher:
    """Answers with the last word of the question and the size of the image; remembers what it was shown."""

    name = "watcher"
    shown = []

    def __init__(self, end="."):
        self.end = end

    def reset(self, rng):
        pass

    def act(self, observation, info):
        self.shown.append((observation["text"], [np.asarray(image).shape for image in observation["images"]]))
        words = observation["text"].split()
        if "refuse" in words:
            raise NoAnswerError("no")
        if "break" in words:
            raise InfrastructureError("the endpoint is gone")
        number = next(word for word in words if word.startswith("#"))
        return {"answer": f"{number}{self.end}"}


@pytest.fixture
def watcher(monkeypatch):
    monkeypatch.setattr(AGENTS, "_entries", {**AGENTS._entries})
    AGENTS.register("watcher")(Watcher)
    Watcher.shown.clear()


def messages(doc):
    parts = [{"type": "image", "url": image} for image in doc.get("images", [])]
    text = [{"type": "text", "text": doc["question"]}]
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [*parts, *text]}]


def asked(model, docs, **settings):
    model.task_dict["toy"] = {"test": docs}
    limits = {"max_new_tokens": 16, **settings}
    return model.generate_until([Request(("", messages, limits, i, "toy", "test")) for i in range(len(docs))])


def test_answers_come_back_in_order_and_alone(watcher):
    model = MetisGym("watcher", parallel=3, end="!", batch_size=1, device=None)
    docs = [{"question": f"<image 1> Say #{n} \nA. red"} for n in range(7)]
    assert asked(model, docs) == [f"#{n}!" for n in range(7)]
    assert all("<image 1>" not in text and "Be brief." in text for text, _ in Watcher.shown)


def test_images_are_shown_whole_up_to_a_limit(watcher, tmp_path):
    image = Image.new("L", (60, 40), 200)
    image.save(tmp_path / "a.png")
    given = [image, str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes()]
    model = MetisGym("watcher", view_pixels=600)
    asked(model, [{"question": "Say #1", "images": given}])
    assert Watcher.shown[0][1] == [(20, 30, 3)] * 3


def test_no_answer_is_an_empty_text_and_an_outage_is_none(watcher):
    model = MetisGym("watcher")
    assert asked(model, [{"question": "refuse"}]) == [""]
    with pytest.raises(InfrastructureError, match="the endpoint is gone"):
        asked(model, [{"question": "break"}])


@pytest.mark.parametrize(
    ("given", "told"),
    [({"agent": "nobody"}, "nobody"), ({"parallel": 0}, "parallel"), ({"dialect": "metiss"}, "metis")],
)
def test_wrong_arguments_say_what_is_wrong(watcher, given, told):
    with pytest.raises(MetisError, match=told):
        MetisGym(**{"agent": "watcher", **given})


def test_other_media_and_rounds_of_others_are_refused(watcher):
    model = MetisGym("watcher")
    video = {"question": "#1", "images": []}
    model.task_dict["toy"] = {"test": [video]}
    request = Request(
        ("", lambda doc: [{"role": "user", "content": [{"type": "video", "url": "x"}]}], {}, 0, "toy", "test")
    )
    with pytest.raises(MetisError, match="'video'"):
        model.generate_until([request])
    for method in (model.loglikelihood, model.generate_until_multi_round):
        with pytest.raises(NotImplementedError):
            method([request])


def test_agents_that_play_in_batches_are_refused(watcher, monkeypatch):
    class Batches:
        name = "batches"

        def play(self, make_env, requests):
            yield from ()

    AGENTS.register("batches-for-this-test")(Batches)
    with pytest.raises(ConfigError, match="in a batch"):
        MetisGym("batches-for-this-test")


def test_without_lmms_eval_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lmms_eval.models.registry_v2", None)
    with pytest.raises(MissingDependencyError, match="lmms"):
        lmms_plugin.manifest()


def test_the_entry_point_is_the_manifest():
    found = {entry.name: entry.value for entry in importlib.metadata.entry_points(group="lmms_eval.models")}
    if "metis_gym" not in found:
        pytest.skip("the installed package is older than its entry point")
    assert found["metis_gym"] == "metis_agents.lmms_plugin:manifest"


def test_the_true_registry_takes_the_model(watcher):
    registry = pytest.importorskip("lmms_eval.models.registry_v2", reason="needs lmms-eval")
    from lmms_eval.api.instance import Instance
    from lmms_eval.api.model import lmms

    models = registry.ModelRegistryV2()
    models.register_manifest(lmms_plugin.manifest())
    kind = models.get_model_class("metis_gym")
    assert issubclass(kind, lmms)
    model = kind.create_from_arg_string("agent=watcher,end=?,parallel=2", {"batch_size": 1, "device": "cpu"})
    model.task_dict["toy"] = {"test": [{"question": "Say #5"}]}
    details = {"task": "toy", "doc_id": 0, "repeats": 1}
    request = Instance("generate_until", ("", messages, {"max_new_tokens": 16}, 0, "toy", "test"), 0, details)
    assert model.generate_until([request]) == ["#5?"]
