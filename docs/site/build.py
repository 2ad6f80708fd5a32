"""Builds the documentation: puts the pages together, generates those of environments and of the API, runs Sphinx.

    python docs/site/build.py            # → out/docs/html/index.html

Warnings are errors. Nothing that is generated is written into docs/.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import api_pages
import environment_pages
import notebook_pages

ROOT = Path(__file__).parents[2]
DOCS, SITE = ROOT / "docs", ROOT / "docs" / "site"
RENAMED = {"search": "search-tools"}
"""Pages whose own names Sphinx needs."""

_OUTSIDE = {"CONTRIBUTING.md": "add/index.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_KINDS = {
    "A family of tasks": ("family", "Add a family of tasks"),
    "A tool": ("tool", "Add a tool"),
    "A reward design": ("design", "Add a reward design"),
    "A grader": ("grader", "Add a grader"),
    "A dialect": ("dialect", "Add a dialect"),
    "A search engine": ("engine", "Add a search engine"),
    "An agent": ("agent", "Add an agent"),
}


def assemble(source: Path) -> None:
    """Write everything that Sphinx reads into a folder.

    Args:
        source: The folder; what is in it is removed first.
    """
    shutil.rmtree(source, ignore_errors=True)
    ignored = shutil.ignore_patterns("site", "*.json")
    shutil.copytree(DOCS, source, ignore=ignored)
    for former, name in RENAMED.items():
        (source / f"{former}.md").rename(source / f"{name}.md")
    shutil.copy(SITE / "conf.py", source)
    shutil.copytree(SITE / "static", source / "static")
    (source / "changelog.md").write_text((ROOT / "CHANGELOG.md").read_text("utf-8"), "utf-8")
    _add_pages(source / "add")
    environment_pages.write(source / "environments")
    api_pages.write(source / "api")
    notebook_pages.write(source / "notebooks")
    for page in source.rglob("*.md"):
        page.write_text(_relinked(page, source), "utf-8")


def main() -> int:
    """Assemble the pages, and run Sphinx on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "docs", help="folder (default: out/docs)")
    out: Path = parser.parse_args().out
    assemble(out / "source")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", out / "source", out / "html"]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        sys.stdout.write(f"{out / 'html' / 'index.html'}\n")
    return status


def _add_pages(folder: Path) -> None:
    """CONTRIBUTING.md as a page for each kind of thing that can be added, and one for what all of them share."""
    folder.mkdir()
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    names = "|".join(_KINDS)
    before, *parts = re.split(rf"(?m)^\*\*({names})\*\*", text)
    *_, after = re.split(r"(?m)^## What holds everywhere$", parts[-1])
    parts[-1] = re.split(r"(?m)^## What holds everywhere$", parts[-1])[0]
    entries = []
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        page, title = _KINDS[name]
        (folder / f"{page}.md").write_text(f"# {title}\n\n{name}{body}", "utf-8")
        entries.append(page)
    shared = before.replace("# Contributing\n", "# Add your own\n", 1) + f"## What holds everywhere\n{after}"
    toctree = "\n".join(["```{toctree}", ":hidden:", "", *entries, "```", ""])
    (folder / "index.md").write_text(f"{shared}\n{toctree}", "utf-8")


def _relinked(page: Path, source: Path) -> str:
    """The page's text, with links to where its targets are on the site; those to other files become plain text."""

    def relinked(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        if target.startswith(("http:", "https:", "#", "mailto:")):
            return found[0]
        place, hash_sign, anchor = target.partition("#")
        name = place.removeprefix("../").removeprefix("docs/")
        if name in _OUTSIDE:
            place = _upwards(page, source) + _OUTSIDE[name]
        elif Path(name).stem in RENAMED and name.endswith(".md"):
            place = str(Path(place).with_name(f"{RENAMED[Path(name).stem]}.md"))
        elif page.parent.name == "add" and (source / name).exists():
            place = f"../{name}"
        if (page.parent / place).exists():
            return f"{mark}[{text}]({place}{hash_sign}{anchor})"
        return f"`{name}`" if text.strip("`") == name else f"{text} (`{name}`)"

    pieces = re.split(r"(?ms)(^```.*?^```$)", page.read_text("utf-8"))
    return "".join(piece if piece.startswith("```") else _LINK.sub(relinked, piece) for piece in pieces)


def _upwards(page: Path, source: Path) -> str:
    return "../" * (len(page.relative_to(source).parts) - 1)


if __name__ == "__main__":
    sys.exit(main())
