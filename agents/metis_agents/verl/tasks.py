"""The dataset that verl is given: ids of tasks. No image travels: the process that plays an episode draws its scene."""

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from metis_agents.verl.settings import VerlSettings
from metis_gym.backstage import backstage, stream_task_id

__all__ = ["MetisTasks"]

_STREAMS = {"train": 0, "test": 1_000_003}
"""Test tasks are the same in every run, whatever its seed, so that runs can be compared."""


class MetisTasks(Dataset[dict[str, Any]]):
    """Rows for verl's agent loops; `data.custom_cls` names this class.

    Args:
        data_files: "train" or "test", or a list that begins with one of them.
        tokenizer: Not used.
        config: verl's `data` configuration, with `metis` in it.
        processor: Not used.
        max_samples: Fewer rows than the settings say; -1 for all.
    """

    def __init__(
        self,
        data_files: str | Sequence[str],
        tokenizer: Any = None,  # noqa: ARG002 — verl's signature
        config: Any = None,
        processor: Any = None,  # noqa: ARG002
        max_samples: int = -1,
    ) -> None:
        settings = VerlSettings.of(config)
        self.split = data_files if isinstance(data_files, str) else str(data_files[0])
        count = settings.tasks if self.split == "train" else settings.test_tasks
        self._count = count if max_samples < 0 else min(count, max_samples)
        self._stream = settings.seed if self.split == "train" else _STREAMS["test"]
        with contextlib.closing(settings.make_env(self.split)) as env:
            self._taskset = backstage(env).taskset

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> dict[str, Any]:
        task_id = stream_task_id(self._taskset, self._stream, number)
        return {
            "raw_prompt": [{"role": "user", "content": task_id}],
            "data_source": task_id.partition("/")[0].partition(":")[0],
            "extra_info": {"index": number, "task_id": task_id, "split": self.split},
            "index": number,
            "dummy_tensor": torch.zeros(1, dtype=torch.uint8),
        }
