"""Pages out of notebooks: each is executed here, and its outputs stand in the page."""

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

__all__ = ["NOTEBOOKS", "write"]

NOTEBOOKS = Path(__file__).parents[2] / "examples" / "notebooks"
_SECONDS = 600


def write(folder: Path) -> None:
    """Execute every notebook, and write a page for each.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    folder.mkdir()
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=_SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
        parts = [part for number, cell in enumerate(notebook.cells) for part in _cell(cell, folder, path.stem, number)]
        said = f"*This page is the notebook `examples/notebooks/{path.name}`, executed when the site was built.*"
        parts.insert(1, said)
        (folder / f"{path.stem}.md").write_text("\n\n".join(parts) + "\n", "utf-8")


def _cell(cell: Any, folder: Path, name: str, number: int) -> list[str]:
    if cell.cell_type == "markdown":
        return [cell.source]
    parts = [f"```python\n{cell.source}\n```"]
    for place, output in enumerate(cell.outputs):
        data = output.get("data", {})
        if "image/png" in data:
            image = folder / f"{name}-{number}-{place}.png"
            image.write_bytes(base64.b64decode(data["image/png"]))
            parts.append(f"![output]({image.name})")
        elif "text/html" in data:
            parts.append(f'```{{raw}} html\n<div class="output">{data["text/html"]}</div>\n```')
        else:
            parts.append(f"````text\n{_plain(output).rstrip()}\n````")
    return parts


def _plain(output: Any) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
