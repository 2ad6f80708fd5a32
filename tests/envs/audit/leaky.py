"""A family that gives nothing away, and that gives away one thing at a time when it is asked to."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from metis_envs.families.family import Blueprint, Family, Overlay
from metis_envs.scenes.drawing import font
from metis_gym.records import GoldAnswer, Necessity, Passage, Task, TaskImage, ToolCall
from metis_gym.tasksets import Taskset

CELL = 5
PLACES = {"left": 16, "right": 120}
LARGE, SMALL = 30, 3.2  # heights of the print, in pixels of the view


@dataclass(frozen=True, kw_only=True, eq=False)
class Altered(Blueprint):
    """Alters what it renders, after all that makes the views equal."""

    alter: object = None

    def render(self, index):
        return self.alter(super().render(index), index)


class Notes(Family):
    """Two numbers on a sheet, one in large and one in small print; one of them is asked for."""

    name = "notes"
    generation = 1
    necessities = (Necessity.NONE, Necessity.PARTIAL, Necessity.REQUIRED)
    smallest_view = 64
    aspects = (1.0,)
    tools = ("python", "text_search")

    def __init__(self, *, leak="", **others):
        super().__init__(**{"view_size": 224, "max_source": 224 * CELL, **others})
        self.leak = leak

    def blueprint(self, seed):
        self._seed = seed
        blueprint, brief = super().blueprint(seed)
        if self.leak == "blocks" and brief.necessity is Necessity.REQUIRED:
            blueprint = dataclasses.replace(blueprint, blocks=tuple(range(len(blueprint.answers))))
        if self.leak in ("pixel", "noise") and brief.hides:
            blueprint = Altered(**vars(blueprint), alter=getattr(self, f"_{self.leak}"))
        return blueprint, brief

    def answer_index(self, seed, answers):
        if self.leak == "position":
            return int(np.random.default_rng(seed).choice(answers, p=[0.5, *[0.5 / (answers - 1)] * (answers - 1)]))
        if self.leak == "seed":
            return int(np.random.default_rng(seed).integers(answers))
        return super().answer_index(seed, answers)

    def plan(self, brief):
        rng = brief.rng
        numbers = self._numbers(rng, brief.choices or 8)
        asked = ("left", "right")[int(rng.integers(2))]
        other = "right" if asked == "left" else "left"
        needs_search = bool(rng.random() < 0.5)
        shade = int(rng.integers(160, 210)) + (40 if self.leak == "shade" and brief.hides else 0)
        grain, decoy = int(rng.integers(1 << 60)), str(int(rng.integers(1000, 9999)))
        height = SMALL if brief.hides or self.leak == "tiny" else LARGE

        def paint():
            tile = np.random.default_rng(grain).integers(shade - 6, shade + 7, (CELL * 32, CELL * 32, 1))
            scene = np.tile((tile - (0, 6, 18)).clip(0, 255).astype(np.uint8), (7, 7, 1))
            if self.leak == "panel" and brief.hides:
                scene[: 20 * CELL, : 40 * CELL] = 128
            write(scene, other, decoy, LARGE if brief.hides else SMALL)
            return scene

        found = Passage(title="Numbers", text=f"A note says {', '.join(numbers)}.", link="https://notes.example/all")

        def overlay(index, source):
            pages = [found]
            if self.leak == "search":
                pages.append(Passage(title=f"Note {numbers[index]}", text="It was written.", link="https://a.example/"))
            return Overlay(passages=tuple(pages))

        left = PLACES[asked] * CELL
        return Blueprint(
            question=self._question(brief, asked, needs_search),
            answers=tuple(numbers),
            paint=paint,
            draw_detail=lambda scene, index: write(scene, asked, numbers[index], height),
            region=(left, 80 * CELL, left + 88 * CELL, 120 * CELL),
            overlay=overlay,
            searches=(ToolCall(name="text_search", arguments={"query": "note"}),) if needs_search else (),
        )

    def _numbers(self, rng, count):
        if self.leak != "middle":
            return [str(number) for number in rng.choice(np.arange(1000, 9999), size=count, replace=False)]
        gold, start = self.answer_index(self._seed, count), int(rng.integers(1010, 9980))
        around = [start + step for step in (-2, -1, 1, 2, 3, -3, 4, -4)][: count - 1]
        return [str(number) for number in [*around[:gold], start, *around[gold:]]]

    def _question(self, brief, asked, needs_search):
        start = ("Which number stands", "What is the number that stands")[int(brief.words.integers(2))]
        if self.leak == "words" and brief.hides:
            start = start.replace("number", "little number")
        end = " (as it is listed)" if self.leak == "tool" and needs_search else ""
        return f"{start} on the {asked} half of the note{end}?"

    @staticmethod
    def _pixel(scene, index):
        scene[3, 3] = 100 + 10 * index
        return scene

    @staticmethod
    def _noise(scene, index):
        """Each cell shuffled: its sum stays, the print is gone."""
        side = len(scene) // CELL
        cells = scene.reshape(side, CELL, side, CELL, 3).transpose(0, 2, 1, 3, 4).reshape(side, side, CELL * CELL, 3)
        mixed = cells[:, :, np.random.default_rng(index).permutation(CELL * CELL)]
        return np.ascontiguousarray(
            mixed.reshape(side, side, CELL, CELL, 3).transpose(0, 2, 1, 3, 4).reshape(scene.shape)
        )


class Others(Notes):
    """The same, by another name."""

    name = "others"


def write(scene, place, text, height):
    """Write a number onto one half of the sheet."""
    left, top = PLACES[place] * CELL, 80 * CELL
    part = Image.fromarray(scene[top : top + 40 * CELL, left : left + 88 * CELL])
    ImageDraw.Draw(part).text((4 * CELL, 4 * CELL), text, fill=(40, 40, 46), font=font("sans", round(height * CELL)))
    scene[top : top + 40 * CELL, left : left + 88 * CELL] = np.asarray(part)


class Plain(Taskset):
    """A taskset that says no more than it must; the size of its image gives its necessity away."""

    families = ("plain",)

    def __init__(self, *, split="train", view_size=448):
        self.split = split

    def draw(self, rng):
        return f"plain/{int(rng.integers(1 << 31))}"

    def build(self, task_id):
        rng = np.random.default_rng(int(task_id.rpartition("/")[2]))
        options = tuple(map(str, rng.choice(90, size=4, replace=False)))
        required = bool(rng.random() < 0.5)
        side = 64 if required else 60
        image = np.full((side, side, 3), int(rng.integers(256)), np.uint8)
        return Task(
            task_id=task_id,
            family="plain",
            question="Which is it?",
            images=(TaskImage(source=image, view=image),),
            gold=GoldAnswer(value=options[int(rng.integers(4))]),
            options=options,
            necessity=Necessity.REQUIRED if required else Necessity.NONE,
            solution=(ToolCall(name="python", arguments={"code": "1"}),) if required else (),
        )
