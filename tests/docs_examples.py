"""The examples of the pages: blocks of Python with what they print, and commands.

    python tests/docs_examples.py docs/getting-started.md     # writes what the blocks print into the page

In a page, `<!-- output -->` after a block of Python stands before what it prints, `<!-- run -->` before commands that
tests run, and `<!-- not run: why -->` before a block that they only read. In outputs, `…` stands for anything.
"""

import contextlib
import io
import re
import shlex
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Block", "blocks_of", "commands_of", "matches", "run_python"]

_FENCE = re.compile(r"(?ms)^(?P<fence>`{3,})(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=fence)$")
_RUN = re.compile(r"<!-- (run|not run: (?P<why>[^>]*?)) -->\s*\Z")
_OUTPUT = re.compile(r"\s*<!-- output -->\n(?P<fence>`{3,})text\n(?P<text>.*?)(?P=fence)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: "python", "bash", ….
        code: What is in it.
        line: Where it begins.
        is_run: The commands are marked as run.
        why_not: Why they are not.
        output: What the page says that it prints; None where it says nothing.
        place: Start and end of that output in the page's text.
    """

    language: str
    code: str
    line: int
    is_run: bool = False
    why_not: str = ""
    output: str | None = None
    place: tuple[int, int] = field(default=(0, 0))


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page."""
    found = []
    for match in _FENCE.finditer(text):
        mark = _RUN.search(text[: match.start()])
        output = _OUTPUT.match(text, match.end())
        found.append(
            Block(
                language=match["language"],
                code=match["code"],
                line=text.count("\n", 0, match.start()) + 1,
                is_run=bool(mark) and not mark["why"],
                why_not=(mark["why"] or "") if mark else "",
                output=output["text"] if output else None,
                place=output.span("text") if output else (0, 0),
            )
        )
    return found


def commands_of(block: Block) -> list[list[str]]:
    """The words of each `metis-gym` command of a block, without the program's name."""
    lines = block.code.replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("metis-gym ")]
    return [words[1:] for words in commands]


def run_python(blocks: list[Block], page: str) -> list[str]:
    """What each block of Python prints; all of a page share their names."""
    module = types.ModuleType(page)
    sys.modules[page] = module
    printed = []
    try:
        for block in blocks:
            told = io.StringIO()
            with contextlib.redirect_stdout(told):
                exec(compile(block.code, f"{page}, line {block.line}", "exec"), module.__dict__)
            printed.append(told.getvalue())
    finally:
        del sys.modules[page]
    return printed


def matches(shown: str, printed: str) -> bool:
    """Whether an output is what a page shows; `…` of the page stands for anything."""
    pattern = "".join(".*?" if part == "…" else re.escape(part) for part in re.split("(…)", shown.strip()))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def main() -> None:
    """Write what the blocks print into the pages that are named."""
    for path in map(Path, sys.argv[1:]):
        text = path.read_text("utf-8")
        blocks = [block for block in blocks_of(text) if block.language == "python" and not block.why_not]
        for block, printed in reversed(list(zip(blocks, run_python(blocks, path.stem), strict=True))):
            if block.output is not None:
                start, end = block.place
                text = f"{text[:start]}{printed.strip()}\n{text[end:]}"
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
