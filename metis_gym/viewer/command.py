"""`metis-gym view`: recorded runs as one page."""

import argparse
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from metis_gym.errors import ConfigError
from metis_gym.storage import write_atomically
from metis_gym.terminal import say
from metis_gym.viewer.episodes import EpisodeCard, read_episodes
from metis_gym.viewer.page import MAX_EPISODES, page_html

__all__ = ["view_command"]


def view_command(argv: Sequence[str]) -> int:
    """Write the page of some runs."""
    given = _parser().parse_args(argv)
    if given.episodes < 1:
        raise ConfigError(f"--episodes must be at least 1, actually: {given.episodes}")
    runs: dict[str, list[EpisodeCard]] = {}
    folders = [part for run in given.runs for part in _parts(run)]
    for folder, name in zip(folders, _names(folders), strict=True):
        runs[name] = list(read_episodes(folder, name))
    out = given.out or Path(given.runs[0]) / "view.html"
    write_atomically(out, page_html(runs, max_episodes=given.episodes).encode())
    count = sum(map(len, runs.values()))
    say(f"{count} episode{'s' * (count != 1)}: {out} ({out.stat().st_size / 1e6:.1f} MB), {out.resolve().as_uri()}")
    if given.open:
        webbrowser.open(out.resolve().as_uri())
    return 0


def _parts(run: Path) -> list[Path]:
    """The evaluations of a training run, whose samples stand side by side; any other folder is one run."""
    samples = sorted(path for path in (run / "samples").glob("*") if path.is_dir())
    return samples if samples and not (run / "run.json").exists() else [run]


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, or their whole paths where two are the same; a folder given twice is numbered."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return [
        f"{name} ({names[:place].count(name) + 1})" if name in names[:place] else name
        for place, name in enumerate(names)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metis-gym view",
        description="Write recorded runs as one HTML page that opens with a double click; several stand side by side.",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a recording, a folder that holds some, or a training run"
    )
    parser.add_argument("--out", type=Path, help="the page (default: view.html in the first run)")
    parser.add_argument(
        "--episodes", type=int, default=MAX_EPISODES, help="tasks on the page; of more, a sample (default: %(default)s)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser
