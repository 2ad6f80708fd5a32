"""The options of a curation: all that decides what comes out. They are kept beside the ledger, for `curate merge`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metis_gym.errors import ConfigError, StorageError
from metis_gym.storage import write_json

__all__ = ["OPTIONS", "Options"]

OPTIONS = "options.json"
KINDS = ("sft", "rl")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What decides what comes out.

    Attributes:
        kind: "sft" for trajectories, "rl" for prompts.
        inputs: Files, folders and recorded runs, the first with the highest priority.
        format: The form of rows; empty to find out.
        image_root: Where relative paths of images begin; empty for each file's folder.
        allow_outside: Follow paths of images that lead out of that folder.
        source_dialect: What trajectories are written in; empty to find out.
        max_pixels: Largest image.
        shard: Which of how many shards.
        seed: Of what is drawn at random.
        dialect: What trajectories are written in at the end.
        grader: What compares answers.
        check_answers: Whose final answers are graded: "built-in", "all" or "none".
        execute: Run code again.
        sandbox: Where code runs.
        seconds: Most seconds of one run of code.
        missing: "undecided" or "drop": trajectories whose code needs a library that the sandbox lacks.
        repair: Record results anew that differ when code runs again.
        agent: The base model (sft) or the policy (rl); empty to leave out what it is asked for.
        agent_dialect: What it writes and reads; empty for its own.
        rollouts: How often it plays each sample.
        direct: When a question counts as answered without tools.
        direct_applies: Which trajectories are asked about: "calls" or "all".
        judge: A model behind a chat interface; empty for none.
        judge_sample: Judged samples for people to judge as well.
        against: Benchmarks with their files, which nothing may be taken from.
        tools: What the policy may call; empty for the environment's choice.
        retry_never: Further rollouts where none was right.
        direct_rollouts: Rollouts of the policy without tools.
        rate: Smallest and largest share of right rollouts.
        drop_suspect: Drop prompts whose right answer most rollouts contradict.
    """

    kind: str
    inputs: tuple[str, ...]
    format: str = ""
    image_root: str = ""
    allow_outside: bool = False
    source_dialect: str = ""
    max_pixels: int = 50_000_000
    shard: tuple[int, int] = (1, 1)
    seed: int = 0
    dialect: str = "metis"
    grader: str = "cascade"
    check_answers: str = "built-in"
    execute: bool = True
    sandbox: str = "auto"
    seconds: float = 20.0
    missing: str = "undecided"
    repair: bool = False
    agent: str = ""
    agent_dialect: str = ""
    rollouts: int = 8
    direct: str = "above_chance"
    direct_applies: str = "calls"
    judge: str = ""
    judge_sample: int = 0
    against: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    retry_never: int = 0
    direct_rollouts: int = 0
    rate: tuple[float, float] = (0.0, 1.0)
    drop_suspect: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind must be one of {', '.join(KINDS)}, actually: {self.kind!r}")
        if self.max_pixels < 1:
            raise ConfigError(f"--max-pixels must be at least 1, actually: {self.max_pixels}")

    def write(self, folder: Path) -> None:
        """Keep them.

        Raises:
            OSError: They cannot be written.
        """
        write_json(folder / OPTIONS, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Options":
        """The options of a curation.

        Raises:
            StorageError: The folder holds none, or damaged ones.
        """
        try:
            read: Mapping[str, Any] = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
            values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in read.items()}
            return cls(**values)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StorageError(f"{folder} holds no curation ({OPTIONS}): {error}") from error
