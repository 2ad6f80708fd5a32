"""Recorded runs: a folder that holds every observation, action, info and tool result, and replays to the same.

```
run/
├── run.json        format, versions, the environment's spec
├── events.jsonl    one line for each reset and step
├── tasks.jsonl     one line for each task: the right answer, and what else is known about it
└── images/         each image once, by its fingerprint, as PNG
```

A replay makes the environment anew and feeds it the recorded actions and *tool results*; it runs no code. Running the
tools again is a choice of its own (`live_tools=True`), and reports where they differ.

A recording may come from anybody. Reading one reads regular files below its folder, each of them bounded, and nothing
else. Replaying one makes an environment of *this package*, from arguments that are checked one by one
(`metis_gym.recording.choices`): no other class, wrapper, file, address, key or sandbox of its choice. `trust=True`
makes whatever its spec names, which may run any code.
"""

from metis_gym.recording.cards import TaskCard
from metis_gym.recording.events import Event
from metis_gym.recording.playback import Difference, replay
from metis_gym.recording.reader import Run
from metis_gym.recording.writer import RunWriter

__all__ = ["Difference", "Event", "Run", "RunWriter", "TaskCard", "replay"]
