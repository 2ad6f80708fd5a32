"""The conversation so far, as text and as an image, for people."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.records import Episode, ImageArray, Message, Role
from metis_gym.terminal import printable

__all__ = ["IMAGE_HEIGHT", "IMAGE_WIDTH", "conversation_image", "conversation_text"]

IMAGE_WIDTH, IMAGE_HEIGHT = 960, 1080
_MARGIN, _GAP, _TEXT_SIZE, _LINE = 24, 14, 16, 22
_MAX_IMAGE = 420
_MAX_TEXT = 1_500
_SHADES = {
    Role.SYSTEM: ((236, 236, 240), (70, 70, 80)),
    Role.USER: ((226, 238, 252), (20, 50, 95)),
    Role.ASSISTANT: ((228, 246, 230), (20, 80, 35)),
}


def conversation_text(episode: Episode) -> str:
    """The conversation as plain text, one block for each message, and the verdict once there is an answer.

    It may go to a terminal as it is: control and direction characters that models and tools wrote are escaped.
    """
    blocks = [f"[{message.role}]\n{message.text}" for message in episode.messages]
    last = episode.turns[-1] if episode.turns else None
    if last is not None and last.answer is not None:
        blocks.append(f"[right answer]\n{_right_answer(episode)}")
    return printable("\n\n".join(blocks) + "\n")


def conversation_image(episode: Episode) -> ImageArray:
    """The conversation as an image of fixed size, shape (1080, 960, 3): the newest messages that fit, oldest on top.

    The system turn is left out. Where not everything fits, the beginning is cut and a line says so.
    """
    messages = [message for message in episode.messages if message.role is not Role.SYSTEM]
    last = episode.turns[-1] if episode.turns else None
    if last is not None and last.answer is not None:
        messages.append(Message(role=Role.SYSTEM, text=f"Right answer: {_right_answer(episode)}"))
    blocks = [_block(message) for message in messages]
    page = Image.new("RGB", (IMAGE_WIDTH, IMAGE_HEIGHT), "white")
    total = sum(block.height + _GAP for block in blocks) + _MARGIN
    top = min(_MARGIN, IMAGE_HEIGHT - total)
    for block in blocks:
        page.paste(block, (_MARGIN, top))
        top += block.height + _GAP
    if total > IMAGE_HEIGHT - _MARGIN:
        _say_cut(page)
    return np.asarray(page, dtype=np.uint8)


def _right_answer(episode: Episode) -> str:
    return episode.task.gold.value


def _say_cut(page: Image.Image) -> None:
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, IMAGE_WIDTH, _LINE + 4), fill=(255, 246, 214))
    pen.text((_MARGIN, 3), "… earlier messages do not fit", fill=(110, 80, 0), font=_font())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=_TEXT_SIZE)


def _block(message: Message) -> Image.Image:
    """One message: its role, its text and its images in their places."""
    background, ink = _SHADES[message.role]
    width = IMAGE_WIDTH - 2 * _MARGIN
    parts = [_text_part(str(message.role), width, ink)] if message.role is not Role.SYSTEM else []
    images = iter(message.images)
    for number, text in enumerate(_cut(message.text).split(IMAGE_MARK)):
        if number and (image := next(images, None)) is not None:
            parts.append(_thumbnail(image))
        if text.strip():
            parts.append(_text_part(text.strip("\n"), width, (25, 25, 25)))
    parts += [_thumbnail(image) for image in images]
    block = Image.new("RGB", (width, sum(part.height + 4 for part in parts) + 16), background)
    top = 8
    for part in parts:
        block.paste(part, (12, top), part if part.mode == "RGBA" else None)
        top += part.height + 4
    return block


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " …"


def _thumbnail(pixels: ImageArray) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((_MAX_IMAGE * 2, _MAX_IMAGE), Image.Resampling.LANCZOS)
    return image


def _text_part(text: str, width: int, ink: tuple[int, int, int]) -> Image.Image:
    lines = list(_wrapped(printable(text), width - 24))
    part = Image.new("RGBA", (width - 24, _LINE * len(lines)), (0, 0, 0, 0))
    pen = ImageDraw.Draw(part)
    for row, line in enumerate(lines):
        pen.text((0, row * _LINE), line, fill=ink, font=_font())
    return part


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Break lines at spaces, and inside words that are too long by themselves."""
    font = _font()
    for paragraph in text.expandtabs(4).splitlines() or [""]:
        line = ""
        for word in paragraph.split(" "):
            candidate = f"{line} {word}" if line else word
            if font.getlength(candidate) <= width:
                line = candidate
                continue
            if line:
                yield line
            *full, line = _chopped(word, font, width)
            yield from full
        yield line


def _chopped(word: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """A word in pieces, each as long as fits."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and font.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
