"""The numeric view: arrays in, a number out, for standard RL libraries.

An environment of its own rather than a wrapper, because environment checkers only accept unwrapped environments.
"""

import re
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from PIL import Image

from metis_gym.actions import plain_action, shown
from metis_gym.env import ToolUseEnv
from metis_gym.errors import ConfigError, InvalidActionError
from metis_gym.grading.choice import LETTERS
from metis_gym.records import Box, ImageArray, Message, Task, TaskImage
from metis_gym.tools import Tool, ToolSettings
from metis_gym.tools.crop import CropTool
from metis_gym.tools.offered import check_prices
from metis_gym.tools.text_search import TextSearchTool
from metis_gym.tools.toolbox import Toolbox

__all__ = ["NumericToolUseEnv"]

_TEXT_BYTES = 512
_MAX_COUNTED = 255
_PAGES = 4
_MIN_SOURCE = 1024
_GREY = 128


class NumericToolUseEnv(ToolUseEnv):
    """Multiple-choice questions about images, as arrays and numbers.

    ## Description
    The same episodes as `MetisVQA-v0` for policies that write no text. A tool call is a crop of one cell of a grid over
    the image, cut by trusted host code and charged as a `python` call, or, where the tasks are made for it (`flags`),
    a text search for what they say should be searched for. By default: `patches`, 64×64.

    ## Action Space
    `Discrete(choices + crop_grid²)`, one more where there is search

    | Action | Meaning |
    |---|---|
    | 0 … choices − 1 | answer with option A, B, … |
    | choices + row · crop_grid + column | crop that cell of the grid |
    | choices + crop_grid² | search text for the task's query, or else for its question |

    ## Observation Space
    `Dict` of uint8 boxes, with V = `view_size`:

    | Key | Shape | Meaning |
    |---|---|---|
    | `image` | (V, V, 3) | the task's view, centred on grey where it is not square |
    | `returned` | (V, V, 3) | the last crop, box-filtered to this size; zeros before the first |
    | `text` | (512,) | the question and its options in UTF-8, zeros behind |
    | `tool_counts` | (1,) | calls so far |
    | `turns_left` | (1,) | turns that may still call |
    | `mentions` | (choices,) | only where there is search: how many of the first pages found name each option |

    ## Rewards, Starting State, Episode End
    As in `ToolUseEnv`.

    ## Arguments
    Those of `ToolUseEnv` except `tools`, `dialect`, `answers`, `sandbox`, `image_engine` and `calls_per_turn`; and
    * `crop_grid`: Cells on each side of the grid.
    * `max_source`: Longest side of the source images, in pixels; None is four views, and at least 1024.

    Raises:
        ConfigError: An argument is not valid; the message names the valid ones.
    """

    refused_arguments: ClassVar = ("tools", "dialect", "answers", "sandbox", "image_engine", "calls_per_turn")
    """Arguments of `ToolUseEnv` that this environment does not take."""

    def __init__(
        self,
        *,
        taskset: Any = "patches",
        choices: int = 4,
        crop_grid: int = 4,
        view_size: int = 64,
        max_source: int | None = None,
        max_turns: int = 3,
        **others: Any,
    ) -> None:
        if crop_grid < 1:
            raise ConfigError(f"crop_grid must be at least 1, actually: {crop_grid}")
        for name in self.refused_arguments:
            if name in others:
                raise ConfigError(
                    f"the numeric view has no argument {name!r}: it answers by choice and crops by itself"
                )
        self.crop_grid, self.choices, self.view_size = crop_grid, choices, view_size
        arguments = {
            "taskset": taskset,
            "choices": choices,
            "view_size": view_size,
            "max_source": max_source or max(_MIN_SOURCE, 4 * view_size),
            "max_turns": max_turns,
            **others,
        }
        super().__init__(answers="choice", **arguments)
        gym.utils.EzPickle.__init__(self, **{**arguments, "max_source": max_source}, crop_grid=crop_grid)
        image = (view_size, view_size, 3)
        shapes: dict[str, tuple[int, ...]] = {
            "image": image,
            "returned": image,
            "text": (_TEXT_BYTES,),
            "tool_counts": (1,),
            "turns_left": (1,),
        }
        if self.can_search:
            shapes["mentions"] = (choices,)
        self.observation_space = spaces.Dict(
            {name: spaces.Box(0, 255, shape, np.uint8) for name, shape in shapes.items()}
        )
        self.action_space = spaces.Discrete(choices + crop_grid**2 + self.can_search)

    @property
    def can_search(self) -> bool:
        """Whether there is an action that searches."""
        return TextSearchTool.name in self.toolbox.tools

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Answer, crop or search.

        Raises:
            InvalidActionError: The action is not in the action space.
            gymnasium.error.ResetNeeded: The episode is over, or there is none.
        """
        number = _whole_number(action)
        if number is None or not 0 <= number < int(self.action_space.n):  # type: ignore[attr-defined]
            raise InvalidActionError(f"an action is a whole number in {self.action_space}, actually: {shown(action)}")
        if number < self.choices:
            return super().step({"answer": LETTERS[number]})
        if number == self._search_action:
            query = self.episode.task.query or self.episode.task.question
            return super().step({"name": TextSearchTool.name, "arguments": {"query": query}})
        box = self._cell(number - self.choices)
        return super().step({"name": CropTool.name, "arguments": {"box": list(box)}})

    def encode_action(self, action: Mapping[str, Any]) -> int:
        """The number of a scripted agent's action: `{"answer": letter}`, or any tool call.

        A text search becomes a search, where there is one; any other call becomes the crop of the cell that holds the
        middle of the task's deciding detail.

        Raises:
            InvalidActionError: The answer is not the letter of an option.
        """
        plain = plain_action(action)
        if not isinstance(plain, dict):
            raise InvalidActionError(f"a scripted action is an answer or one tool call, actually: {shown(action)}")
        if "answer" not in plain:
            is_search = self.can_search and plain["name"] == TextSearchTool.name
            return self._search_action if is_search else self.choices + self._deciding_cell()
        letters = list(LETTERS[: self.choices])
        if plain["answer"] not in letters:
            raise InvalidActionError(
                f"an answer is a letter from A to {letters[-1]}, actually: {shown(plain['answer'])}"
            )
        return letters.index(str(plain["answer"]))

    def _make_toolbox(self, tools: Sequence[str], prices: Mapping[str, float], settings: ToolSettings) -> Toolbox:
        has_search = TextSearchTool.name in tools
        made: list[Tool] = [CropTool()]
        if has_search:
            made.append(TextSearchTool(text_engine=settings["text_engine"]))
        check_prices(prices, tuple(tool.name for tool in made))
        return Toolbox(made, prices=prices)

    @property
    def _search_action(self) -> int:
        return self.choices + self.crop_grid**2

    def _cell(self, index: int) -> Box:
        height, width = self.episode.task.images[0].source.shape[:2]
        row, column = divmod(index, self.crop_grid)
        grid = self.crop_grid
        return column * width // grid, row * height // grid, (column + 1) * width // grid, (row + 1) * height // grid

    def _deciding_cell(self) -> int:
        task = self.episode.task
        height, width = task.images[0].source.shape[:2]
        left, top, right, bottom = task.region or (0, 0, width, height)
        row, column = (top + bottom) * self.crop_grid // (2 * height), (left + right) * self.crop_grid // (2 * width)
        return int(row * self.crop_grid + column)

    def _observe(self, message: Message, system: str) -> dict[str, Any]:  # noqa: ARG002
        task, turns = self.episode.task, self.episode.turns
        if len(task.options) != self.choices:
            raise ConfigError(
                f"the numeric view needs tasks with exactly {self.choices} options; task {task.task_id!r} has "
                f"{len(task.options)}"
            )
        results = [result for turn in turns for result in turn.results]
        crops = [image for result in results for image in result.images]
        left = max(self.turn_taker.limits.max_turns - len(turns), 0)
        observation = {
            "image": _squared(task.images[0].view, self.view_size),
            "returned": self._reduced_crop(crops[-1]).copy()
            if crops
            else np.zeros((self.view_size, self.view_size, 3), dtype=np.uint8),
            "text": _text_bytes(task),
            "tool_counts": np.array([min(len(results), _MAX_COUNTED)], dtype=np.uint8),
            "turns_left": np.array([min(left, _MAX_COUNTED)], dtype=np.uint8),
        }
        if self.can_search:
            found = [result.output for result in results if result.name == TextSearchTool.name]
            observation["mentions"] = _mentions(found[-1] if found else "", task.options)
        return observation

    def _reduced_crop(self, crop: ImageArray) -> ImageArray:
        """A crop at the size of the view. One that cannot be written is shared by episodes, and reduced once."""
        if crop.flags.writeable:
            return _reduced(crop, self.view_size)
        known = _reductions.setdefault(self.episode.task.images[0], {})
        key = id(crop), self.view_size
        if key not in known:
            known[key] = crop, _reduced(crop, self.view_size)
        return known[key][1]


_reductions: weakref.WeakKeyDictionary[TaskImage, dict[tuple[int, int], tuple[ImageArray, ImageArray]]] = (
    weakref.WeakKeyDictionary()
)
"""Image → crop's identity and side → the crop, which keeps its identity taken, and what it was reduced to."""


def _whole_number(action: Any) -> int | None:
    """The number that a policy or a space gives: Python's or numpy's, or an array of shape (); else None."""
    kind = type(action)
    if issubclass(kind, np.integer) or (kind is np.ndarray and action.shape == () and action.dtype.kind in "iu"):
        return int(action)
    return int.__int__(action) if issubclass(kind, int) and not issubclass(kind, bool) else None


def _squared(view: ImageArray, side: int) -> ImageArray:
    """A view in the middle of a grey square."""
    height, width = view.shape[:2]
    if (height, width) == (side, side):
        return view.copy()
    if max(height, width) > side:
        return _reduced(view, side)
    square = np.full((side, side, 3), _GREY, dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = view
    return square


def _reduced(image: ImageArray, side: int) -> ImageArray:
    return np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BOX), dtype=np.uint8)


def _mentions(found: str, options: Sequence[str]) -> NDArray[np.uint8]:
    """In how many of the first pages found each option stands, shape (choices,)."""
    pages = [page.casefold() for page in found.split("\n\n")[1 : 1 + _PAGES]]
    patterns = [re.compile(rf"\b{re.escape(option.casefold())}\b") for option in options]
    return np.array([sum(bool(pattern.search(page)) for page in pages) for pattern in patterns], dtype=np.uint8)


def _text_bytes(task: Task) -> NDArray[np.uint8]:
    """Question and options in UTF-8, cut at the end if they are longer."""
    lines = [task.question, *(f"{letter}. {option}" for letter, option in zip(LETTERS, task.options, strict=False))]
    data = "\n".join(lines).encode()[:_TEXT_BYTES]
    text = np.zeros(_TEXT_BYTES, dtype=np.uint8)
    text[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return text
