"""V*: small objects in large photographs (craigwu/vstar_bench, arXiv 2312.14135)."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row, choice_gold, letter_gold
from metis_envs.benchmarks.options import listed_options
from metis_envs.benchmarks.tables import JsonTable, Table
from metis_envs.benchmarks.treebench import separate_options
from metis_gym.errors import TaskDataError

__all__ = ["VStar"]

_FOLDERS = ("direct_attributes", "relative_position")
_IMAGES = (".jpg", ".jpeg", ".png", ".webp")


class VStar(Benchmark):
    """191 questions: 115 on attributes of an object, 76 on where two objects are."""

    name: ClassVar[str] = "vstar"
    hub: ClassVar[str] = "craigwu/vstar_bench"
    rows: ClassVar[int | None] = 191
    repository_files: ClassVar[tuple[str, ...]] = ("test_questions.jsonl",)
    needed: ClassVar[tuple[tuple[str, ...], ...]] = (
        *(("text", "question"), ("label", "options", "answer"), ("category",), ("image",)),
    )

    def open_tables(self) -> list[Table]:
        """Files as everywhere, or the folders of the original, with a JSON file beside each image."""
        if self.path is not None and all((self.path / name).is_dir() for name in _FOLDERS):
            known = (self.path / name for name in self.repository_files)
            return super().open_tables() if any(file.is_file() for file in known) else [_Folders(self.path)]
        return super().open_tables()

    def labels_of(self, row: Row) -> Mapping[str, str]:
        """What is asked about."""
        return {"category": row.text("category")}

    def item(self, row: Row, table: Table) -> Item:
        """A question with its options.

        The original's folders list the right option first, so the options of a row are shuffled, by its number.
        """
        if isinstance(table, _Folders):
            given = row.texts("options")
            if not given:
                raise TaskDataError(f"{row.place} has no options")
            rng = np.random.default_rng(np.random.SeedSequence([191, int(row.text("number"))]))
            options = tuple(given[index] for index in rng.permutation(len(given)))
            gold = choice_gold(options, given[0], row.place)
            return Item(question=row.text("question"), options=options, gold=gold)
        if "A" in row:
            letters, options = separate_options(row)
            gold = letter_gold(letters, row.text("label", "answer"), row.place)
            return Item(question=row.text("question", "text"), options=options, gold=gold)
        listed = listed_options(_without_request(row.text("text", "question")))
        if listed is None:
            raise TaskDataError(f"{row.place}: no options can be read from {row.text('text', 'question')!r:.200}")
        gold = letter_gold(listed.labels, row.text("label", "answer"), row.place)
        return Item(question=listed.question, options=listed.options, gold=gold)


def _without_request(text: str) -> str:
    """Without the line that asks for a letter only."""
    lines = text.splitlines()
    kept = [line for line in lines if not line.lower().startswith("answer with the option")]
    return "\n".join(kept)


class _Folders:
    """The original's folders: a JSON file with `question` and `options` beside each image."""

    columns: tuple[str, ...] = ("question", "options", "category", "image", "number")

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, folder.name
        files = sorted(file for name in _FOLDERS for file in (folder / name).glob("*.json"))
        if not files:
            raise TaskDataError(f"{folder} has no JSON files in {' and '.join(_FOLDERS)}")
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def row(self, index: int) -> Mapping[str, Any]:
        """The row of a file, with the image that has its name."""
        file = self._files[index]
        row = JsonTable(file, is_single=True).row(0)
        images = [file.with_suffix(suffix) for suffix in _IMAGES if file.with_suffix(suffix).is_file()]
        if not images:
            raise TaskDataError(f"{file} has no image beside it")
        image = str(images[0].relative_to(self.folder))
        return {**row, "image": image, "category": file.parent.name, "number": index}

    light_row = row

    def fingerprint(self) -> str:
        """A digest of all files."""
        digest = 0
        for file in self._files:
            digest = zlib.crc32(file.name.encode() + file.read_bytes(), digest)
        return f"{digest:08x}"
