"""Tasksets: specs, weights, the cache, tasksets of one's own."""

import dataclasses
import threading

import numpy as np
import pytest

from metis_gym.curriculum import PassRateCurriculum
from metis_gym.errors import ConfigError, TaskIdError
from metis_gym.records import GoldAnswer, Task, TaskImage
from metis_gym.tasksets import TASKSETS, TaskCache, Taskset, WeightedTaskset, load_task, make_taskset


class Plain(Taskset):
    """Tasks that count how often they are built."""

    def __init__(self, *, split="train", view_size=448, side=10):
        self.side, self.built = side, []

    @property
    def families(self):
        return ("plain",)

    def draw(self, rng):
        return f"plain/{int(rng.integers(1000))}"

    def build(self, task_id):
        self.built.append(task_id)
        image = np.zeros((self.side, self.side, 3), np.uint8)
        images = (TaskImage(source=image, view=image),)
        return Task(task_id=task_id, family="plain", question="?", images=images, gold=GoldAnswer(value="1"))


TASKSETS.register("plain")(Plain)


def test_tasks_without_images_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr("metis_gym.task_cache._MAX_TASKS", 3)
    kind, cache = Plain(side=10), TaskCache(capacity_bytes=1 << 30)
    for number in range(9):
        cache.get(kind, f"plain/{number}")
    assert len(cache._tasks) == 3


def test_ones_own_taskset_goes_where_a_name_goes():
    import gymnasium as gym

    env = gym.make("metis_gym:MetisVQA-v0", taskset="plain:side=12", tools=())
    assert env.reset(seed=0)[0]["images"][0].shape == (12, 12, 3)
    assert env.step({"answer": "1"})[4]["correct"]


def test_a_group_of_a_task_is_drawn_once():
    kind = Plain(side=1)
    tasks = [kind.load("plain/group") for _ in range(16)]
    assert len(kind.built) == 1
    assert all(task is tasks[0] for task in tasks)


def test_the_cache_forgets_the_least_recently_used():
    kind, cache = Plain(side=10), TaskCache(capacity_bytes=3 * 600)  # source and view: 600 bytes a task
    for task_id in ("a", "b", "c", "a", "d", "a", "b"):
        cache.get(kind, task_id)
    assert kind.built == ["a", "b", "c", "d", "b"]
    cache.clear()
    cache.get(kind, "a")
    assert kind.built[-1] == "a"


def test_a_task_larger_than_the_cache_is_kept_alone():
    kind, cache = Plain(side=100), TaskCache(capacity_bytes=10)
    assert cache.get(kind, "a") is cache.get(kind, "a")


def test_tasksets_of_different_classes_may_draw_the_same_id():
    class Other(Plain):
        def build(self, task_id):
            return dataclasses.replace(super().build(task_id), question="Another?")

    for make in (
        lambda kind: kind,
        lambda kind: WeightedTaskset([(kind, 1.0)]),
        lambda kind: PassRateCurriculum(kind, pool=2),
    ):
        assert make(Plain(side=2)).load("plain/same").question == "?"
        assert make(Other(side=2)).load("plain/same").question == "Another?"


def test_views_of_another_size_are_another_task(tmp_path):
    from PIL import Image

    Image.new("RGB", (640, 640)).save(tmp_path / "a.png")
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"question": "?", "answer": "1", "image": "a.png"}\n')
    sides = []
    for view_size in (64, 320):
        taskset = make_taskset(f"jsonl:{path}", split="train", view_size=view_size)
        sides.append(taskset.load(taskset.task_id(0)).images[0].view.shape[0])
    assert sides == [64, 320]


def test_the_cache_is_safe_for_threads():
    kind, cache = Plain(side=4), TaskCache(capacity_bytes=400)
    threads = [
        threading.Thread(target=lambda start=start: [cache.get(kind, str((start + i) % 7)) for i in range(200)])
        for start in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache._bytes == sum(2 * 48 for _ in cache._tasks) <= 400


def test_specs_may_be_joined_listed_and_weighted():
    for spec in ("signs+sums", ["signs", "sums"], {"signs": 2, "sums": 1.0}):
        taskset = make_taskset(spec, split="test", view_size=448)
        assert taskset.families == ("signs", "sums")
    rng = np.random.default_rng(0)
    drawn = [taskset.draw(rng).partition("/")[0] for _ in range(3000)]
    assert drawn.count("signs") / 3000 == pytest.approx(2 / 3, abs=0.035)  # four standard errors


def test_a_parts_own_options_go_before_the_common_ones():
    taskset = make_taskset("patches:choices=2+sums", split="train", view_size=448, options={"choices": 3})
    assert [part.choices for part in taskset.parts] == [2, 3]


def test_any_task_can_be_loaded_by_its_id():
    taskset = make_taskset("patches:choices=2", split="test", view_size=64)
    task = taskset.load(taskset.draw(np.random.default_rng(1)))
    assert load_task(task.task_id).question == task.question
    with pytest.raises(TaskIdError, match="names no known taskset"):
        load_task("nothing/train/448/1")
    with pytest.raises(TaskIdError, match="none of the families"):
        make_taskset("signs+sums", split="test", view_size=448).build(task.task_id)


@pytest.mark.parametrize("weights", [{}, {"signs": 0.0}, {"signs": float("inf")}, {"signs": float("nan")}])
def test_wrong_weights_raise(weights):
    with pytest.raises(ConfigError):
        WeightedTaskset([(make_taskset("signs", split="train", view_size=448), weight) for weight in weights.values()])
