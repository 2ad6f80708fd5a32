"""A cache of tasks: the episodes of a group share a task, and its images are drawn once."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeAlias

from metis_gym.errors import ConfigError
from metis_gym.records import Task
from metis_gym.registries import path_of

__all__ = ["Builds", "TaskCache"]

_Key: TypeAlias = tuple[type, int, str, str]
_MAX_TASKS = 4_096


class Builds(Protocol):
    """What makes tasks."""

    def build(self, task_id: str) -> Task:
        """Make the task that an id names."""
        ...


class TaskCache:
    """Keeps the most recently used tasks, up to a number of bytes of images and 4,096 tasks. Safe for threads.

    Tasksets of a class whose tasks look different under one id say so in `view_size` or in a text `cache_key`.

    Args:
        capacity_bytes: How many bytes of images are kept. A single larger task is kept alone.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self._tasks: OrderedDict[_Key, Task] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, taskset: Builds, task_id: str) -> Task:
        """The task of this id, built now if it is not kept."""
        key = _key_of(taskset, task_id)
        with self._lock:
            if key in self._tasks:
                self._tasks.move_to_end(key)
                return self._tasks[key]
        task = taskset.build(task_id)
        if not isinstance(task, Task):
            raise ConfigError(
                f"the taskset {path_of(type(taskset))} is not finished: build() must return a metis_gym.records.Task, "
                f"actually: {type(task).__name__} {task!r:.80}"
            )
        with self._lock:
            self._keep(key, task)
        return task

    def get_variant(self, taskset: Builds, task_id: str, answer: int, make: Callable[[], Task]) -> Task:
        """The task of this id with another answer, by its number, made now if it is not kept."""
        key = _key_of(taskset, f"{task_id}\n{answer}")
        with self._lock:
            if key in self._tasks:
                self._tasks.move_to_end(key)
                return self._tasks[key]
        task = make()
        with self._lock:
            self._keep(key, task)
        return task

    def clear(self) -> None:
        """Forget all tasks and free their images."""
        with self._lock:
            self._tasks.clear()
            self._bytes = 0

    def _keep(self, key: _Key, task: Task) -> None:
        if key in self._tasks:
            return
        self._tasks[key] = task
        self._bytes += _image_bytes(task)
        while len(self._tasks) > _MAX_TASKS or (self._bytes > self.capacity_bytes and len(self._tasks) > 1):
            _, dropped = self._tasks.popitem(last=False)
            self._bytes -= _image_bytes(dropped)


def _key_of(taskset: Builds, name: str) -> _Key:
    return type(taskset), getattr(taskset, "view_size", 0), getattr(taskset, "cache_key", ""), name


def _image_bytes(task: Task) -> int:
    own = sum(image.source.nbytes + image.view.nbytes for image in task.images)
    return own + sum(entry.image.nbytes for entry in task.titled_images)
