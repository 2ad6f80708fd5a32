"""Observations that take more tokens than they may: images are left out with a note, and text is cut in the middle.

How much a tool returns is mostly the model's own doing: it prints, and it draws. So an observation that is too long is
cut, and the episode goes on and is scored: were it left out of the loss, a model could undo its own wrong episodes.
"""

from collections.abc import Callable, Sequence

from metis_agents.qwen3vl.chat.tokens import EncodedImage

__all__ = ["cut_text", "leave_out_images"]

Encode = Callable[[str], Sequence[int]]


def leave_out_images(
    content: Sequence[str | EncodedImage], room: int, encode: Encode, size: Callable[[EncodedImage], int]
) -> list[str | EncodedImage]:
    """Keep the images that fit, in order; text has a claim to half of the room.

    Args:
        content: Texts and images.
        room: Tokens for all of them.
        encode: Text → token ids.
        size: Tokens of an image.

    Returns:
        The content, with a note in the place of each image that is left out.
    """
    written = sum(len(encode(part)) for part in content if isinstance(part, str))
    left = room - min(written, room // 2)
    kept: list[str | EncodedImage] = []
    for part in content:
        if isinstance(part, str):
            kept.append(part)
        elif size(part) <= left:
            kept.append(part)
            left -= size(part)
        else:
            kept.append(f"[image left out: it takes {size(part)} tokens, more than there is room for]")
    return kept


def cut_text(content: Sequence[str | EncodedImage], room: int, encode: Encode) -> list[int | EncodedImage]:
    """Keep the beginning and the end of the text, with a note between them.

    Args:
        content: Texts and images; images stay.
        room: Tokens for the texts and the note. A room too small for the note has the note alone.
        encode: Text → token ids.

    Returns:
        Token ids and images.

    >>> cut_text(["0123456789" * 10, "abcdefgh"], 40, lambda text: [ord(character) for character in text])[:6]
    [48, 49, 50, 51, 52, 53]
    """
    written = [encode(part) if isinstance(part, str) else part for part in content]
    total = sum(len(part) for part in written if not isinstance(part, EncodedImage))
    keep = total if total <= room else max(0, room - len(encode(_note(total))))
    first, last = keep - keep // 2, total - keep // 2
    cut: list[int | EncodedImage] = []
    place, is_noted = 0, total == keep
    for part in written:
        if isinstance(part, EncodedImage):
            cut.append(part)
            continue
        cut += part[: max(0, first - place)]
        if not is_noted and place + len(part) > first:
            cut += encode(_note(total - keep))
            is_noted = True
        cut += part[max(0, first - place, last - place) :]
        place += len(part)
    return cut


def _note(tokens: int) -> str:
    return f"\n[… {tokens} tokens left out …]\n"
