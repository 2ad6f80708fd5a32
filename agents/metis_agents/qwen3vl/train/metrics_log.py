"""What a run writes while it learns: `metrics.jsonl` always, TensorBoard where it is installed, W&B where asked for."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metis_gym.errors import MissingDependencyError
from metis_gym.recording import Run
from metis_gym.storage import write_atomically

__all__ = ["MetricsLog"]

_FILE = "metrics.jsonl"
_COLUMNS = ("task", "conversation", "first image", "last image", "correct", "tool calls")


class MetricsLog:
    """Writes metrics.

    Args:
        folder: The run's folder.
        start: Batches already done: later lines, of a run that went on after its last checkpoint, are removed.
        tensorboard: Write TensorBoard events, if it is installed.
        wandb: A W&B project; None for none.
        config: What W&B shows as the run's configuration.

    Raises:
        MissingDependencyError: W&B is asked for and not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start: int = 0,
        tensorboard: bool = True,
        wandb: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / _FILE
        kept = [line for line in _lines(self._path) if line["batch"] < start]
        write_atomically(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._board = _tensorboard(folder / "tensorboard", start) if tensorboard else None
        self._wandb = _wandb(wandb, folder, config or {}) if wandb else None

    def write(self, batch: int, metrics: Mapping[str, float]) -> None:
        """Note the metrics of a batch; those that are not finite are left out."""
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"batch": batch, **finite}) + "\n")
        if self._board is not None:
            for name, value in finite.items():
                self._board.add_scalar(name, value, batch)
        if self._wandb is not None:
            self._wandb.log(dict(finite), step=batch)

    def show_samples(self, batch: int, folder: Path) -> None:
        """Show recorded episodes in W&B, where asked for: a table of conversations, with their first and last images.

        Args:
            batch: The batch after which they were played.
            folder: Holds a recording of each, in a folder of its own.
        """
        if self._wandb is None:
            return
        import wandb

        table = wandb.Table(columns=[*_COLUMNS])
        for place in sorted(path.parent for path in folder.glob("*/run.json")):
            for row in _sample_rows(place):
                table.add_data(*(wandb.Image(cell) if isinstance(cell, np.ndarray) else cell for cell in row))
        self._wandb.log({"samples": table}, step=batch)

    def close(self) -> None:
        """Close the file, TensorBoard's writer and W&B's run."""
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _sample_rows(folder: Path) -> Iterator[tuple[Any, ...]]:
    """What stands in the columns, for each finished episode of a recording."""
    said, images = list[str](), list[Any]()
    for event in Run(folder).events():
        observation, info = event.returned["observation"], event.returned["info"]
        if event.kind == "reset":
            said, images = [observation["system"]], []
        else:
            said.append(f"assistant: {event.given['action']}")
        said.append(f"user: {observation['text']}")
        images += observation["images"]
        if event.kind == "step" and (event.returned["terminated"] or event.returned["truncated"]):
            shown = (images[0], images[-1]) if images else (None, None)
            yield info["task_id"], "\n\n".join(said), *shown, bool(info["correct"]), int(info["tool_calls"])


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; a last one that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _tensorboard(folder: Path, start: int) -> Any | None:
    with contextlib.suppress(ImportError):
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder), purge_step=start or None)
    return None


def _wandb(project: str, folder: Path, config: Mapping[str, Any]) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise MissingDependencyError(
            "Reporting to W&B needs wandb, which is not installed. Install it with: pip install wandb"
        ) from error
    return wandb.init(project=project, dir=str(folder), config=dict(config), resume="allow")
