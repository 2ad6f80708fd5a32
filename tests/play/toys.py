"""Something to play that draws no scene and starts no sandbox."""

import json
import re

import gymnasium as gym
import numpy as np

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.errors import InfrastructureError
from metis_gym.play import Game
from metis_gym.records import AnswerKind, GoldAnswer, Necessity, Plan, Task, TaskImage
from metis_gym.search.contract import ImageHit, TextHit
from metis_gym.tasksets import Taskset
from metis_gym.tools import SimpleTool

WIDTH, HEIGHT = 400, 240
REGION = (100, 60, 200, 120)
HOSTILE = "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"


class Toys(Taskset):
    """Tasks by number: even ones need a tool. The right answer is always B."""

    tools = ("python", "text_search", "image_search")

    def __init__(self, *, split="train", view_size=448, open=False, question="Which one?"):
        self.open, self.question, self.drawn = open, question, 0

    @property
    def families(self):
        return ("toys",)

    def draw(self, rng):
        self.drawn += 1
        return f"toys/{'open' if self.open else 'choice'}/{self.drawn - 1}"

    def build(self, task_id):
        need = Necessity.NONE if int(task_id.rpartition("/")[2]) % 2 else Necessity.REQUIRED
        source = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        blind = 0.5 if need is Necessity.REQUIRED else 1.0
        tool = (Plan(calls={"python": 1}, accuracy=1.0),) if blind < 1 else ()
        return Task(
            task_id=task_id,
            family="toys",
            question=self.question,
            images=(TaskImage(source=source, view=source[::2, ::2].copy()),),
            gold=GoldAnswer(value="blue") if self.open else GoldAnswer(value="B", kind=AnswerKind.CHOICE),
            options=() if self.open else ("a secret red", f"blue {HOSTILE}"),
            necessity=need,
            region=REGION,
            explanation="THE EXPLANATION",
            notes="THE NOTES",
            blind_accuracy=blind,
            plans=(Plan(calls={}, accuracy=blind), *tool),
        )


class Cutter(SimpleTool):
    """Crops as the real tool would, by reading the code instead of running it."""

    name = "python"
    description = "Cuts."
    schema = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}

    def run(self, task, arguments):
        numbers = re.fullmatch(
            r"image_1\.crop\(\((\d+), (\d+), (\d+), (\d+)\)\)\.resize\(\((\d+), (\d+)\)\)", arguments["code"]
        )
        left, top, right, bottom, width, height = map(int, numbers.groups())
        if right == WIDTH and bottom == HEIGHT and left == top == 0:
            raise InfrastructureError("the cutter is broken")
        return self.result(f"{width} x {height}", images=(task.images[0].source[top:bottom, left:right],))


class OnePage:
    """Finds one page, whatever is asked."""

    name, parameters, is_live = "one_page", {}, False

    def fingerprint(self):
        return "1"

    def search(self, query, *, limit):
        return (TextHit(title="The tower", snippet=f"About {query}.", link="https://page.example"),)[:limit]

    def scores(self, query, passages):
        return None


class OneImage:
    """Finds one image, whatever is asked."""

    name, parameters, is_live = "one_image", {}, False

    def fingerprint(self):
        return "1"

    def search(self, query, *, limit):
        return (ImageHit(title=HOSTILE, image=np.zeros((64, 64, 3), np.uint8)),)[:limit]

    def distances(self, query, images):
        return None


def toy_env(**options):
    spec = {key: json.dumps(value) for key, value in options.items()}
    told = ":" + ",".join(f"{key}={value}" for key, value in spec.items()) if spec else ""
    return gym.make(
        "MetisVQA-v0",
        taskset=f"{__name__}:Toys{told}",
        tools=(f"{__name__}:Cutter", "text_search", "image_search"),
        text_engine=f"{__name__}:OnePage",
        image_engine=f"{__name__}:OneImage",
        disable_env_checker=True,
    )


def toy_game(**options):
    """A game in its first task."""
    game = Game(toy_env(**options), seed=1)
    game.next()
    return game
