"""Python in a model's turn: `<code>` parts with fences, and the paths of images in it.

Nothing here parses the code as Python: it may be anything. All functions take time linear in it.
"""

import re

from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.records import Task

__all__ = ["CODE", "local_paths", "path_lines", "read_code", "written_code"]

CODE = "code"
"""The tag of code that stands in a turn as it is."""
_FENCE = "```"
_LANGUAGE = re.compile(r"[ \t]*(?:python3?|py)?(?:[ \t]*\r?\n|[ \t]+|\Z)", re.IGNORECASE)
_LAST_LINE = re.compile(r"\n[ \t]*\Z")

_SUFFIXES = r"\.(?:png|jpe?g|bmp|gif|webp|tiff?)"
_LITERAL = re.compile(
    r"#[^\n]*"
    r'|"""(?:[^"\\]|\\[\s\S]|"(?!""))*(?:"""|\\?\Z)|\'\'\'(?:[^\'\\]|\\[\s\S]|\'(?!\'\'))*(?:\'\'\'|\\?\Z)'
    r'|(?P<text>"(?:[^"\\\n]|\\[\s\S])*"?|\'(?:[^\'\\\n]|\\[\s\S])*\'?)'
)
"""A comment or a literal text, from its beginning on; always matches there, so that nothing is looked at twice."""
_PATH = re.compile(rf"(?P<folders>(?:[A-Za-z]:)?(?:[^/]*/)*)(?P<stem>[^/]+){_SUFFIXES}", re.IGNORECASE)
_SOURCE = re.compile(r"image_[1-9][0-9]*")
_ELSEWHERE = re.compile(r"[A-Za-z]:|/|~|\.\./")
_OUTPUT_FOLDER = re.compile(r"/mnt/data(?:/temp_processed_images)?(?=/|\Z)")
"""Where the published models were trained to save what they make."""
_MADE = "/mnt/data/temp_processed_images/"
_TEMPORARY = re.compile(r"/(?:var/)?tmp/")
_ASSIGNED = re.compile(r"(?<![\w.])(?:user_)?(?:image|img)_path[ \t]*=[ \t]*[rRuU]?\Z")


def read_code(body: str) -> str:
    r"""The code of a `<code>` part: its last fence that is not empty, or all of it where there is none.

    >>> read_code("\n```python\na = 1\n```\n"), read_code(" a = 1 ")
    ('a = 1', 'a = 1')
    """
    parts = body.split(_FENCE)
    fenced = [_without_language(part) for part in parts[1::2]]
    if not fenced:
        return body.strip()
    return next((code for code in reversed(fenced) if code.strip()), "")


def written_code(code: str) -> str | None:
    """A `<code>` part that holds this code; None where it could not be read back."""
    body = f"\n{_FENCE}python\n{code}\n{_FENCE}\n"
    is_read_back = f"</{CODE}>" not in body and read_code(body) == code
    return f"<{CODE}>{body}</{CODE}>" if is_read_back else None


def local_paths(code: str) -> str:
    """The code with paths of images elsewhere replaced by those in the session's working folder. Nothing else changes.

    A literal text that is the path of an image is replaced

    * by `image_N.png` if its file is called `image_N`, whatever its folder and format;
    * by `image_1.png` if it lies elsewhere and is what `image_path` is set to, as the models' own harness does;
    * by its file's name if it lies elsewhere otherwise.

    `/mnt/data` and `/mnt/data/temp_processed_images`, where the published models save what they make, are the working
    folder, also at the beginning of a longer text.

    >>> local_paths("Image.open('/data/image_2.jpg').save('/out/a.png')  # /out/b.png")
    "Image.open('image_2.png').save('a.png')  # /out/b.png"
    """
    parts, position = [], 0
    for literal in _LITERAL.finditer(code):
        text = literal.group("text")
        if text is None:
            continue
        before = code[max(0, literal.start() - 32) : literal.start()]
        parts += [code[position : literal.start()], _local(text, is_input=_ASSIGNED.search(before) is not None)]
        position = literal.end()
    return "".join([*parts, code[position:]])


def path_lines(task: Task) -> list[str]:
    """The images of a task with their paths in the session's working folder, and their sizes."""
    lines = []
    for number, image in enumerate(task.images, start=1):
        (height, width), (view_height, view_width) = image.source.shape[:2], image.view.shape[:2]
        shown = "" if (height, width) == (view_height, view_width) else f", shown to you at {view_width}x{view_height}"
        lines += [IMAGE_MARK, f'Image path: "image_{number}.png"', f'Image size: "{width}x{height}"{shown}']
    return lines


def _without_language(part: str) -> str:
    """What stands in a fence, without its language, the line break after that, and the last one."""
    opening = _LANGUAGE.match(part)
    code = part[opening.end() :] if opening else part
    return _LAST_LINE.sub("", code) if code.strip() else code.removesuffix("\n")


def _local(literal: str, *, is_input: bool) -> str:
    quote, path = literal[0], literal[1:].removesuffix(literal[0])
    if len(literal) < 2 or literal[-1] != quote or "\\" in path or "://" in path:
        return literal
    named = _PATH.fullmatch(path)
    if named and _SOURCE.fullmatch(named["stem"]):
        return f"{quote}{named['stem']}.png{quote}"
    is_made = _TEMPORARY.match(path) or path.startswith(_MADE)
    if is_input and named and _ELSEWHERE.match(path) and not is_made:
        return f"{quote}image_1.png{quote}"
    output = _OUTPUT_FOLDER.match(path)
    if output:
        return f"{quote}.{path[output.end() :]}{quote}"
    if named and _ELSEWHERE.match(path) and "{" not in named["folders"]:
        return f"{quote}{path.rpartition('/')[2]}{quote}"
    return literal
