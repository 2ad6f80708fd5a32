"""Tasks to try things with. They need no extra package."""

import numpy as np

from metis_gym.errors import TaskIdError
from metis_gym.records import AnswerKind, GoldAnswer, Task, TaskImage
from metis_gym.tasksets import Taskset

__all__ = ["ExampleTasks", "example_task"]

_COLOURS = ("red", "green", "blue", "grey")
_SIDE, _FACTOR = 256, 4


class ExampleTasks(Taskset):
    """Which colour is the image? Choices, open questions about words, and open questions about numbers, in turn.

    `taskset="metis_gym.testing.examples:ExampleTasks"`.
    """

    def __init__(self, *, split: str = "train", view_size: int = 64) -> None:
        self.split, self.view_size = split, view_size

    @property
    def families(self) -> tuple[str, ...]:
        """One family, called "example"."""
        return ("example",)

    def draw(self, rng: np.random.Generator) -> str:
        """Draw one of 2³¹ tasks."""
        return f"example/{self.split}/{int(rng.integers(1 << 31))}"

    def build(self, task_id: str) -> Task:
        """Make the task of an id."""
        family, _, rest = task_id.partition("/")
        split, _, seed = rest.partition("/")
        if family != "example" or split not in ("train", "test") or not seed.isdecimal():
            raise TaskIdError(f"cannot read task id {task_id!r}; expected example/split/seed")
        return example_task(int(seed), split)


def example_task(seed: int = 0, split: str = "train") -> Task:
    """A task: a choice, a word or a number, by the seed's remainder by 3."""
    rng = np.random.default_rng([seed, split == "test"])
    colour, shade = int(rng.integers(len(_COLOURS))), int(rng.integers(100, 200))
    source = np.full((_SIDE, _SIDE, 3), 0, np.uint8)
    source[:, :] = [(shade, 0, 0), (0, shade, 0), (0, 0, shade), (shade, shade, shade)][colour]
    source[: _SIDE // 2] //= int(rng.integers(2, 9))
    view = source[::_FACTOR, ::_FACTOR].copy()
    for image in (source, view):
        image.setflags(write=False)
    kinds = (
        ("Which colour is the image?", GoldAnswer(value="ABCD"[colour], kind=AnswerKind.CHOICE), _COLOURS),
        ("Which colour is the image?", GoldAnswer(value=_COLOURS[colour], kind=AnswerKind.TEXT), ()),
        ("How bright is the image?", GoldAnswer(value=str(shade), kind=AnswerKind.NUMBER), ()),
    )
    question, gold, options = kinds[seed % 3]
    return Task(
        task_id=f"example/{split}/{seed}",
        family="example",
        question=question,
        images=(TaskImage(source=source, view=view),),
        gold=gold,
        options=options,
        alternatives=tuple("ABCD"[: len(options)]),
        region=(0, 0, _SIDE, _SIDE),
    )
