"""Tagged parts of a text. All functions take time linear in the text, whatever stands in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

__all__ = [
    "ANSWER",
    "TaggedBlock",
    "TextBlock",
    "closed_body",
    "find_blocks",
    "is_balanced",
    "remove_blocks",
    "spoken",
    "spoken_blocks",
]

ANSWER = "answer"
"""The tag of a final answer, in every dialect that has one."""


@dataclass(frozen=True)
class TextBlock:
    """A tagged part of a text: `text[start:end]` with its tags; `closed` tells whether the end tag is there."""

    start: int
    end: int
    body: str
    closed: bool


@dataclass(frozen=True)
class TaggedBlock(TextBlock):
    """A part with the name of its tag."""

    tag: str


def find_blocks(text: str, tag: str) -> list[TextBlock]:
    """Find `<tag>…</tag>` from left to right; a last one may lack its end tag, or a part of that.

    >>> [block.body for block in find_blocks("<a>1</a> x <a>2", "a")]
    ['1', '2']
    """
    opening, closing = f"<{tag}>", f"</{tag}>"
    blocks: list[TextBlock] = []
    position = 0
    while (start := text.find(opening, position)) >= 0:
        body_start = start + len(opening)
        end = text.find(closing, body_start)
        if end < 0:
            blocks.append(TextBlock(start, len(text), closed_body(text[body_start:], closing), False))
            break
        blocks.append(TextBlock(start, end + len(closing), text[body_start:end], True))
        position = end + len(closing)
    return blocks


def closed_body(body: str, closing: str) -> str:
    """The text without a beginning of its end tag: servers cut off a stop, or a part of it.

    >>> closed_body("{}</tool_", "</tool_call>")
    '{}'
    """
    for length in range(len(closing) - 1, 0, -1):
        if body.endswith(closing[:length]):
            return body[:-length]
    return body


def remove_blocks(text: str, tag: str) -> str:
    """Take complete `<tag>…</tag>` parts out of a text.

    >>> remove_blocks("<think>B?</think>A", "think")
    'A'
    """
    kept, position = [], 0
    for block in find_blocks(text, tag):
        if block.closed:
            kept.append(text[position : block.start])
            position = block.end
    return "".join(kept) + text[position:]


def spoken(text: str, *, thoughts: Sequence[str] = ("think",), quotes: Sequence[str] = ()) -> str:
    """What is said outside thoughts and quotes; a thought that was not opened began with the turn.

    >>> spoken("so B</think>It is <think>A?</think>C.")
    'It is C.'
    """
    for tag in (*thoughts, *quotes):
        text = remove_blocks(text, tag)
    for tag in thoughts:
        text = text.rpartition(f"</{tag}>")[2]
    return text


def is_balanced(text: str, tag: str) -> bool:
    """Whether the text has as many `<tag>` as `</tag>`."""
    return text.count(f"<{tag}>") == text.count(f"</{tag}>")


def spoken_blocks(
    text: str, calls: Sequence[str], *, thoughts: Sequence[str] = (), quotes: Sequence[str] = ()
) -> list[TaggedBlock]:
    """The calls and the `<answer>` parts of a model's turn. What stands inside another part never acts.

    * A call that is not closed lasts to the end of the turn, where a stop cut it off. An answer that is not closed
      does so too, provided that no further part follows.
    * A thought does not act. One that is not closed is none, and one that was not opened began with the turn.
    * A quote of what only the environment writes does not act, nor does anything after one that is not closed.

    Args:
        text: The turn.
        calls: Tags of calls.
        thoughts: Tags of thoughts.
        quotes: Tags of observations.

    >>> turn = "<think><call>1</call></think><call>'<answer>B</answer>'</call>"
    >>> [(block.tag, block.body) for block in spoken_blocks(turn, ["call"], thoughts=["think"])]
    [('call', "'<answer>B</answer>'")]
    """
    tags = (*calls, ANSWER, *thoughts, *quotes)
    last_end = {tag: text.rfind(f"</{tag}>") for tag in tags}
    pattern = _tags(tags)
    found: list[TaggedBlock] = []
    open_answer = -1
    position = 0
    while (met := pattern.search(text, position)) is not None:
        start, position = met.span()
        slash, tag = met.groups()
        if slash:
            found, open_answer = ([], -1) if tag in thoughts else (found, open_answer)
        elif last_end[tag] >= position:
            end = text.find(f"</{tag}>", position)
            body, position, open_answer = text[position:end], end + len(tag) + 3, -1
            found += [TaggedBlock(start, position, body, True, tag)] if tag in calls or tag == ANSWER else []
        elif tag in quotes:
            break
        elif tag in calls:
            return [*found, _open_block(text, start, tag)]
        elif tag == ANSWER:
            open_answer = start
    return [*found, _open_block(text, open_answer, ANSWER)] if open_answer >= 0 else found


def _open_block(text: str, start: int, tag: str) -> TaggedBlock:
    body = closed_body(text[start + len(tag) + 2 :], f"</{tag}>")
    return TaggedBlock(start, len(text), body, False, tag)


@cache
def _tags(tags: tuple[str, ...]) -> re.Pattern[str]:
    """What opens or closes one of these parts."""
    return re.compile(rf"<(/?)({'|'.join(map(re.escape, tags))})>")
