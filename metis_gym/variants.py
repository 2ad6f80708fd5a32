"""A task with each of several answers."""

from collections.abc import Callable, Sequence
from typing import overload

from metis_gym.records import Task

__all__ = ["NO_VARIANTS", "Variants"]


class Variants(Sequence[Task]):
    """The task as it would be with each of some answers: what tool noise shows, and what an ideal agent compares.

    Args:
        answers: The answer at each place, as the gold answers name them: letters for a choice.
        make: Makes the task of a place; called when it is asked for.
        keys: What else differs at each place, such as the name that the first call of a chain shows; every answer goes
            with every key. By default nothing does.

    >>> from metis_gym.records import GoldAnswer, Task
    >>> def make(place):
    ...     return Task(task_id="t", family="f", question="?", images=(), gold=GoldAnswer(value="AB"[place]))
    >>> [task.gold.value for task in Variants(("A", "B"), make)]
    ['A', 'B']
    """

    def __init__(self, answers: Sequence[str], make: Callable[[int], Task], keys: Sequence[int] = ()) -> None:
        self.answers = tuple(answers)
        self.keys = tuple(keys) or (0,) * len(self.answers)
        self._make = make

    def __len__(self) -> int:
        return len(self.answers)

    @overload
    def __getitem__(self, place: int) -> Task: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Task]: ...
    def __getitem__(self, place: int | slice) -> Task | Sequence[Task]:
        """The task with the answer of a place."""
        found = range(len(self))[place]
        return self._make(found) if isinstance(found, int) else tuple(self._make(other) for other in found)


def _nothing(place: int) -> Task:
    raise IndexError(place)


NO_VARIANTS = Variants((), _nothing)
"""Of a task whose other possible answers are not known."""
