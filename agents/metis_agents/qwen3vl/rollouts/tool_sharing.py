"""Tool results that a group shares: the same first calls on the same task are run once.

The episodes of a group often begin with the same call, and a session is seeded by its task, so that the same code gives
the same result. Here it is run once and its result given to all. An episode that goes on to a call nobody has made
before first makes up for the calls that were not run for it, in its own session: what its code sees is what it would
have seen. Only code that looks at clocks can tell the difference, which is why this is an option.
"""

import json
import threading
from collections import OrderedDict

from metis_gym.records import Task, ToolCall, ToolResult
from metis_gym.tools.toolbox import Toolbox

__all__ = ["ResultCache", "SharingToolbox"]


class ResultCache:
    """Results by task and the calls made so far; safe for threads.

    Args:
        capacity: Most results that are kept; the least recently used leaves.
    """

    def __init__(self, capacity: int = 4_096) -> None:
        self._capacity = capacity
        self._results: OrderedDict[tuple[str, ...], ToolResult] = OrderedDict()
        self._busy: dict[tuple[str, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...]) -> ToolResult | None:
        """The result of a sequence of calls, if it is known."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def put(self, key: tuple[str, ...], result: ToolResult) -> None:
        """Keep the result of a call and let those who wait for it go on."""
        with self._lock:
            self._results[key] = result
            self._busy.pop(key, None)  # whoever comes now finds the result
            while len(self._results) > self._capacity:
                self._results.popitem(last=False)

    def running(self, key: tuple[str, ...]) -> threading.Lock:
        """Held while somebody runs these calls, so that others wait for the result."""
        with self._lock:
            return self._busy.setdefault(key, threading.Lock())

    def clear(self) -> None:
        """Forget all results, such as at the end of a batch."""
        with self._lock:
            self._results.clear()
            self._busy.clear()


class SharingToolbox(Toolbox):
    """A toolbox that takes results from a cache where it can.

    Args:
        original: The environment's own toolbox.
        cache: Shared by the environments of a player.
    """

    def __init__(self, original: Toolbox, cache: ResultCache) -> None:
        super().__init__(list(original.tools.values()))
        self.prices = original.prices
        self._cache = cache
        self._history: tuple[str, ...] = ()
        self._owed: list[ToolCall] = []

    def open(self, task: Task, *, seed: int) -> None:
        """Start an episode: its calls are looked up under its task and seed."""
        super().open(task, seed=seed)
        self._history, self._owed = (task.task_id, str(seed)), []

    def run(self, call: ToolCall) -> ToolResult:
        """The kept result of the same call after the same calls on the same task; otherwise run it.

        Raises:
            InfrastructureError: The tool broke; nothing is kept of that.
        """
        self._history = (*self._history, json.dumps([call.name, call.problem, dict(call.arguments)], sort_keys=True))
        with self._cache.running(self._history):
            known = self._cache.get(self._history)
            if known is not None:
                self._owed.append(call)
                return known
            for owed in self._owed:
                super().run(owed)
            self._owed = []
            result = super().run(call)
            self._cache.put(self._history, result)
        return result
