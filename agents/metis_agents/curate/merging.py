"""`metis-gym curate merge`: the ledgers of all shards as one, and the stages that look at all samples once more."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from metis_agents.curate.curating import curate
from metis_agents.curate.options import Options
from metis_agents.curate.run import LEDGER
from metis_gym.errors import ConfigError
from metis_gym.storage import replacing

__all__ = ["merge"]


def merge(shards: Sequence[Path], out: Path, *, workers: int, say: Callable[[str], None]) -> int:
    """Join shards: every verdict is taken over, what looks at all samples is decided anew, and all is written.

    Returns:
        How many samples are undecided.

    Raises:
        ConfigError: The shards are not those of one curation, or one is missing.
        StorageError: A folder holds no curation, or cannot be written.
    """
    given = [Options.read(shard) for shard in shards]
    if not given:
        raise ConfigError("merge takes the folders of all shards, and then a new one")
    whole = replace(given[0], shard=(1, 1))
    for shard, options in zip(shards, given, strict=True):
        if replace(options, shard=(1, 1)) != whole:
            raise ConfigError(f"{shard} was made with other options than {shards[0]}: no shards of one curation")
    count = given[0].shard[1]
    found = sorted(options.shard for options in given)
    if found != [(number, count) for number in range(1, count + 1)]:
        held = ", ".join(f"{number}/{of}" for number, of in found)
        raise ConfigError(f"expected each of {count} shards once, actually: {held}")
    if out.resolve() in [shard.resolve() for shard in shards]:
        raise ConfigError(f"{out} is one of the shards; choose a new folder")
    _join(shards, out)
    return curate(whole, out, workers=workers, say=say)


def _join(shards: Sequence[Path], out: Path) -> None:
    """The lines of all shards, one shard after the other; whole lines only."""
    (out / LEDGER).mkdir(parents=True, exist_ok=True)
    names = sorted({path.name for shard in shards for path in (shard / LEDGER).glob("*.jsonl")})
    for name in names:
        with replacing(out / LEDGER / name) as part, part.open("wb") as joined:
            for shard in shards:
                path = shard / LEDGER / name
                if path.exists():
                    with path.open("rb") as stream:
                        shutil.copyfileobj(stream, joined)
                    if joined.tell() and not _ends_line(path):
                        joined.write(b"\n")


def _ends_line(path: Path) -> bool:
    with path.open("rb") as stream:
        if stream.seek(0, 2) == 0:
            return True
        stream.seek(-1, 2)
        return stream.read(1) == b"\n"
