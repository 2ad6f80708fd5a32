"""`metis-gym index …`: build an index of one's own, build the default ones ahead of time, try a search."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from metis_gym.errors import ConfigError, SearchIndexError
from metis_gym.search.index.corpora import collection_file, corpus_file
from metis_gym.search.index.files import cache_folder
from metis_gym.search.index.images import write_image_index
from metis_gym.search.index.inputs import OnBroken, read_images, read_passages, refuse
from metis_gym.search.index.text import write_text_index
from metis_gym.search.registry import make_text_engine
from metis_gym.terminal import say

__all__ = ["main"]

_BUILD = "build an index from passages.jsonl, or from a folder of images"
_DEFAULTS = "build the default indexes now rather than at their first use"
_SEARCH = "search for a text and print the results"


def main(argv: Sequence[str]) -> int:
    """Run `metis-gym index` with these arguments. Returns the exit code.

    Raises:
        MetisError: What was asked for cannot be done.
    """
    parser = argparse.ArgumentParser(
        prog="metis-gym index", description="Build or query indexes for text and image search."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help=_BUILD, description=_BUILD)
    build.add_argument("--from", dest="source", type=Path, required=True, help="passages.jsonl, or a folder")
    build.add_argument("--out", type=Path, required=True, help="the index to be written")
    build.add_argument("--skip-broken", action="store_true", help="leave out rows and files that cannot be used")
    build.add_argument("--force", action="store_true", help="replace an index that is there already")
    defaults = commands.add_parser("defaults", help=_DEFAULTS, description=_DEFAULTS)
    defaults.add_argument("--folder", help="destination (default: metis-gym in the user's cache folder)")
    search = commands.add_parser("search", help=_SEARCH, description=_SEARCH)
    search.add_argument("query")
    search.add_argument("--engine", default="fts5", help="spec such as fts5:path=my.sqlite (default: %(default)s)")
    search.add_argument("--limit", type=int, default=5, help="maximum number of results (default: %(default)s)")
    options = parser.parse_args(argv)
    {"build": _build, "defaults": _defaults, "search": _search}[options.command](options)
    return 0


def _build(options: argparse.Namespace) -> None:
    source, out = options.source, options.out
    if out.exists() and not options.force:
        raise ConfigError(f"{str(out)!r} is there already; --force replaces it")
    if not source.exists():
        raise SearchIndexError(f"there is no file or folder {str(source)!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    skipped: list[str] = []
    on_broken: OnBroken = skipped.append if options.skip_broken else refuse
    start = time.monotonic()
    if source.is_dir():
        count, what = write_image_index(read_images(source, on_broken), out), "images"
        use = f"image_engine='dhash:path={out}'"
    else:
        count, what = write_text_index(read_passages(source, on_broken), out), "passages"
        use = f"text_engine='fts5:path={out}'"
    for problem in skipped:
        say(f"skipped: {problem}", stream=sys.stderr)
    left_out = f", {len(skipped)} skipped" if skipped else ""
    say(f"{out}: {count:,} {what}{left_out}, {time.monotonic() - start:.1f} s. Use it with {use}")


def _defaults(options: argparse.Namespace) -> None:
    folder = cache_folder(options.folder)
    for path in (corpus_file("default", folder, say), collection_file("default", folder, say)):
        say(f"{path}: {path.stat().st_size / 1e6:.0f} MB")


def _search(options: argparse.Namespace) -> None:
    if options.limit < 1:
        raise ConfigError(f"--limit must be at least 1, actually: {options.limit}")
    hits = make_text_engine(options.engine).search(options.query, limit=options.limit)
    for number, hit in enumerate(hits, start=1):
        say(f"{number}. {hit.title}\n   {hit.link}\n   {hit.snippet}")
    if not hits:
        say("0 results")
