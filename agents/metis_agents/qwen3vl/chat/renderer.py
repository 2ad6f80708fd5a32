r"""Conversations → tokens, in the chat form of Qwen3-VL: the one place that knows it.

```
<|im_start|>system\n…<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|>…<|vision_end|>…<|im_end|>\n<|im_start|>assistant\n
```
Texts of others are encoded so that control tokens written in them are plain text: a tool that prints `<|im_end|>` ends
nothing. A model's turn is never encoded while acting: it is what was sampled.
"""

import copy
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metis_agents.qwen3vl.chat.cutting import cut_text, leave_out_images
from metis_agents.qwen3vl.chat.tokens import EncodedImage, Tokens, join
from metis_agents.qwen3vl.chat.vocabulary import END, IMAGE, START, VISION_END, VISION_START, Vocabulary
from metis_agents.qwen3vl.model.images import ImageEncoder
from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.errors import BudgetError, ConfigError
from metis_gym.records import ImageArray, Message, Role

__all__ = ["FittedObservation", "Renderer", "check_template"]

_Part = str | int | EncodedImage


class FittedObservation(NamedTuple):
    """An observation within a number of tokens.

    Attributes:
        tokens: It.
        is_cut: Whether something was left out.
    """

    tokens: Tokens
    is_cut: bool


class Renderer:
    """Renders conversations for one tokenizer.

    Args:
        tokenizer: Of the Qwen3-VL family.
        images: How the model takes images.
        vocabulary: The tokenizer's ids, with the dialect's stops.
    """

    def __init__(self, tokenizer: Any, images: ImageEncoder, vocabulary: Vocabulary) -> None:
        self.tokenizer, self.images, self.vocabulary = tokenizer, images, vocabulary
        # Whether control tokens are split is a state of a tokenizer, not of a call: nobody else may set ours meanwhile.
        self._splitting = copy.deepcopy(tokenizer)
        self._cached_ids = functools.lru_cache(maxsize=4096)(self._encode)

    def prompt(self, system: str, text: str, images: Sequence[ImageArray] = ()) -> Tokens:
        """The conversation up to the model's first turn.

        Raises:
            ConfigError: Marks and images do not fit each other.
            BudgetError: An image that the model cannot take.
        """
        parts = self._turn("system", [system]) if system else []
        parts += [*self._turn("user", self._with_images(text, images)), self.vocabulary.start, "assistant\n"]
        return self._piece(parts)

    def observation(self, text: str, images: Sequence[ImageArray] = (), *, is_closed: bool) -> Tokens:
        """What follows a model's turn: its end, where the model did not write that itself, and the user's turn.

        Args:
            text: The user's turn.
            images: Its images.
            is_closed: Whether the model wrote `<|im_end|>` itself.

        Raises:
            ConfigError: Marks and images do not fit each other.
            BudgetError: An image that the model cannot take.
        """
        return self._observation(self._with_images(text, images), is_closed=is_closed)

    def fitted_observation(
        self, text: str, images: Sequence[ImageArray] = (), *, is_closed: bool, max_tokens: int
    ) -> FittedObservation:
        """As `observation`, within so many tokens: images that do not fit are left out, then text is cut in the middle.

        Notes say what is missing. Turns take a few tokens themselves, and the note does: they stay in any case.

        Raises:
            ConfigError: Marks and images do not fit each other.
        """
        content, is_whole = self._content_or_notes(text, images)
        whole = self._observation(self._marked(content), is_closed=is_closed)
        if len(whole) <= max_tokens:
            return FittedObservation(whole, is_cut=not is_whole)
        room = max(0, max_tokens - len(self._observation([], is_closed=is_closed)))
        kept = leave_out_images(content, room, self._cached_ids, self._image_size)
        room -= sum(self._image_size(part) for part in kept if isinstance(part, EncodedImage))
        cut = cut_text(kept, room, self._cached_ids)
        return FittedObservation(self._observation(self._marked(cut), is_closed=is_closed), is_cut=True)

    def written(self, ids: Sequence[int], logprobs: Sequence[float]) -> Tokens:
        """A model's turn, as sampled."""
        positions_3T = np.tile(np.arange(len(ids)), (3, 1))
        everywhere = np.ones(len(ids), dtype=np.bool_)
        return Tokens(np.array(ids, dtype=np.int64), positions_3T, everywhere, np.array(logprobs, dtype=np.float32))

    def text(self, ids: Sequence[int]) -> str:
        """What a model's turn says, for the environment: without the `<|im_end|>` that closes it."""
        kept = ids[:-1] if len(ids) and ids[-1] == self.vocabulary.end else ids
        return str(self.tokenizer.decode(list(kept), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def conversation(self, messages: Sequence[Message]) -> Tokens:
        """A whole conversation whose assistant turns are the model's, as for SFT.

        A turn's closing `<|im_end|>` is the model's, unless the turn ends with a stop of the dialect: then generation
        would have stopped there.

        Raises:
            ConfigError: No turn of the assistant, or marks and images that do not fit each other.
            BudgetError: An image that the model cannot take.
        """
        if not any(message.role is Role.ASSISTANT for message in messages):
            raise ConfigError("Expect a conversation with a turn of the assistant, actually: none")
        pieces = []
        for message in messages:
            if message.role is Role.ASSISTANT:
                pieces += self._assistant(message)
            else:
                parts = self._with_images(message.text, message.images)
                pieces.append(self._piece(self._turn(message.role.value, parts)))
        return join(pieces)

    def _assistant(self, message: Message) -> list[Tokens]:
        ids = [*self._cached_ids(message.text)]
        closing: list[_Part] = ["\n"]
        if ids and ids[-1] in self.vocabulary.stops:
            closing = [self.vocabulary.end, "\n"]
        else:
            ids.append(self.vocabulary.end)
        opening = self._piece([self.vocabulary.start, "assistant\n"])
        return [opening, self.written(ids, [0.0] * len(ids)), self._piece(closing)]

    def _turn(self, role: str, content: Sequence[_Part]) -> list[_Part]:
        return [self.vocabulary.start, f"{role}\n", *content, self.vocabulary.end, "\n"]

    def _with_images(self, text: str, images: Sequence[ImageArray]) -> list[_Part]:
        """The text with each mark replaced by its image."""
        texts = self._between(text, images)
        parts: list[str | EncodedImage] = [texts[0]]
        for image, after in zip(images, texts[1:], strict=True):
            parts += [self.images.encode(image), after]
        return self._marked(parts)

    def _content_or_notes(self, text: str, images: Sequence[ImageArray]) -> tuple[list[str | EncodedImage], bool]:
        """Texts and images, with a note for each image that the model cannot take, and whether there is none."""
        texts = self._between(text, images)
        content: list[str | EncodedImage] = [texts[0]]
        for image, after in zip(images, texts[1:], strict=True):
            try:
                content.append(self.images.encode(image))
            except BudgetError as error:
                content.append(f"[image left out: {error}]")
            content.append(after)
        taken = sum(isinstance(part, EncodedImage) for part in content)
        return content, taken == len(images)

    def _between(self, text: str, images: Sequence[ImageArray]) -> list[str]:
        """The texts before, between and after the images."""
        texts = text.split(IMAGE_MARK)
        if len(texts) - 1 != len(images):
            raise ConfigError(
                f"Expect one {IMAGE_MARK} for each image, actually: {len(texts) - 1} marks and {len(images)} "
                f"images in {text[:200]!r}"
            )
        return texts

    def _marked(self, content: Sequence[_Part]) -> list[_Part]:
        """The same with the family's marks around each image."""
        parts: list[_Part] = []
        for part in content:
            is_image = isinstance(part, EncodedImage)
            parts += [self.vocabulary.vision_start, part, self.vocabulary.vision_end] if is_image else [part]
        return parts

    def _image_size(self, image: EncodedImage) -> int:
        """Tokens of an image with its marks."""
        return self.images.tokens(image) + 2

    def _observation(self, content: Sequence[_Part], *, is_closed: bool) -> Tokens:
        closing: list[_Part] = ["\n"] if is_closed else [self.vocabulary.end, "\n"]
        return self._piece([*closing, *self._turn("user", content), self.vocabulary.start, "assistant\n"])

    def _piece(self, parts: Sequence[_Part]) -> Tokens:
        """Nobody's own: neighbouring texts are encoded as one, as a template would have them."""
        ids: list[NDArray[np.int64]] = []
        positions: list[NDArray[np.int64]] = []
        images, places = [], []
        position = 0
        for part in _merged(parts):
            if isinstance(part, EncodedImage):
                count = self.images.tokens(part)
                places.append(sum(map(len, ids)))
                ids.append(np.full(count, self.vocabulary.image))
                positions.append(position + _grid(part, self.images.merge))
                images.append(part)
                position += max(part.rows, part.columns) // self.images.merge
            else:
                written = self._cached_ids(part) if isinstance(part, str) else (part,)
                ids.append(np.array(written, dtype=np.int64))
                positions.append(position + np.tile(np.arange(len(written)), (3, 1)))
                position += len(written)
        ids_T = np.concatenate(ids)
        nowhere = np.zeros(len(ids_T), dtype=np.bool_)
        silent = np.zeros(len(ids_T), dtype=np.float32)
        return Tokens(ids_T, np.concatenate(positions, axis=1), nowhere, silent, tuple(images), tuple(places))

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._splitting.encode(text, add_special_tokens=False, split_special_tokens=True))


def _merged(parts: Sequence[_Part]) -> list[_Part]:
    """Neighbouring texts joined, empty ones left out."""
    merged: list[_Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return merged


def _grid(image: EncodedImage, merge: int) -> NDArray[np.int64]:
    """Positions of an image's tokens, from 0 on: time stands still, height and width count."""
    rows, columns = image.rows // merge, image.columns // merge
    height, width = np.indices((rows, columns)).reshape(2, -1)
    return np.stack([np.zeros_like(height), height, width])


def check_template(tokenizer: Any, template: str | None = None) -> None:
    """Check that a chat template writes what this renderer writes; where there is none, that passes.

    Args:
        tokenizer: Its own template is checked, unless another is given.
        template: That of the checkpoint's processor, which may stand beside the tokenizer's.

    Raises:
        ConfigError: The template writes another form; both are shown.
    """
    import jinja2

    template = template or tokenizer.chat_template
    if not template:
        return
    image = f"{VISION_START}{IMAGE}{VISION_END}"
    probe = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q"}]},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": [{"type": "text", "text": "O"}, {"type": "image"}]},
    ]
    try:
        said = tokenizer.apply_chat_template(probe, chat_template=template, tokenize=False, add_generation_prompt=True)
    except jinja2.TemplateError as error:
        raise ConfigError(
            "Expect a chat template that writes a system turn, images and several turns, as that of the Instruct "
            f"checkpoints of Qwen3-VL does, actually: it refuses them ({error})"
        ) from error
    turns = (("system", "S"), ("user", f"{image}Q"), ("assistant", "A"), ("user", f"O{image}"))
    expected = "".join(f"{START}{role}\n{text}{END}\n" for role, text in turns) + f"{START}assistant\n"
    if said == expected:
        return
    if "<think>" in said:
        raise ConfigError(
            "Expect a checkpoint that answers directly, such as Qwen/Qwen3-VL-8B-Instruct; this one is a thinking "
            "checkpoint, whose turns begin with <think> and lose their thoughts later, which is not supported; its "
            f"chat template writes {said!r}"
        )
    raise ConfigError(f"Expect a chat template of the form {expected!r}, actually: {said!r}")
