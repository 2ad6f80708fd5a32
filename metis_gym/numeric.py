"""The numeric view: arrays in, a number out, for standard RL libraries.

An environment of its own rather than a wrapper, because environment checkers only accept unwrapped environments.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from PIL import Image

from metis_gym.env import ToolUseEnv
from metis_gym.errors import ConfigError, InvalidActionError
from metis_gym.grading.choice import LETTERS
from metis_gym.records import INVALID_CALLS, Box, Message, PictureArray, Task
from metis_gym.tools.crop import CropTool
from metis_gym.tools.toolbox import Toolbox

__all__ = ["NumericToolUseEnv"]

_TEXT_BYTES = 512
_MOST_COUNTED = 255
_SMALLEST_SOURCE = 1024
_GREY = 128


class NumericToolUseEnv(ToolUseEnv):
    """Multiple-choice questions about pictures, as arrays and numbers.

    ## Description
    The same episodes as `MetisVQA-v0` for policies that write no text. A tool call is a crop of one cell of a grid over
    the picture, cut by trusted host code and charged as a `python` call. By default: `patches`, 64×64.

    ## Action Space
    `Discrete(choices + crop_grid²)`

    | Action | Meaning |
    |---|---|
    | 0 … choices − 1 | answer with option A, B, … |
    | choices + row · crop_grid + column | crop that cell of the grid |

    ## Observation Space
    `Dict` of uint8 boxes, with V = `view_size`:

    | Key | Shape | Meaning |
    |---|---|---|
    | `image` | (V, V, 3) | the task's view, centred on grey where it is not square |
    | `returned` | (V, V, 3) | the last crop, box-filtered to this size; zeros before the first |
    | `text` | (512,) | the question and its options in UTF-8, zeros behind |
    | `tool_counts` | (1,) | crops so far |
    | `turns_left` | (1,) | turns that may still crop |

    ## Rewards, Starting State, Episode End
    As in `ToolUseEnv`.

    ## Arguments
    Those of `ToolUseEnv` except `tools`, `dialect`, `answers`, `sandbox` and `calls_per_turn`; and
    * `crop_grid`: cells on each side of the grid.
    * `max_source`: longest side of the source pictures.

    Raises:
        ConfigError: An argument is not valid; the message names the valid ones.
    """

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
        for name in ("tools", "dialect", "answers", "sandbox", "calls_per_turn"):
            if name in others:
                raise ConfigError(
                    f"the numeric view has no argument {name!r}: it answers by choice and crops by itself"
                )
        self.crop_grid, self.choices, self.view_size = crop_grid, choices, view_size
        arguments = {
            "taskset": taskset,
            "choices": choices,
            "view_size": view_size,
            "max_source": max_source or max(_SMALLEST_SOURCE, 4 * view_size),
            "max_turns": max_turns,
            **others,
        }
        super().__init__(answers="choice", **arguments)
        gym.utils.EzPickle.__init__(self, **{**arguments, "max_source": max_source}, crop_grid=crop_grid)
        picture = (view_size, view_size, 3)
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, picture, np.uint8),
                "returned": spaces.Box(0, 255, picture, np.uint8),
                "text": spaces.Box(0, 255, (_TEXT_BYTES,), np.uint8),
                "tool_counts": spaces.Box(0, 255, (1,), np.uint8),
                "turns_left": spaces.Box(0, 255, (1,), np.uint8),
            }
        )
        self.action_space = spaces.Discrete(choices + crop_grid**2)
        self._last_crop: tuple[PictureArray, PictureArray] | None = None

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Answer or crop.

        Raises:
            InvalidActionError: The action is not in the action space.
            gymnasium.error.ResetNeeded: The episode is over, or there is none.
        """
        if not self.action_space.contains(action):
            raise InvalidActionError(f"an action is a whole number in {self.action_space}, actually: {action!r:.80}")
        number = int(action)
        if number < self.choices:
            return super().step({"answer": LETTERS[number]})
        box = self._cell(number - self.choices)
        return super().step({"name": CropTool.name, "arguments": {"box": list(box)}})

    def encode_action(self, action: Mapping[str, Any]) -> int:
        """The number of a scripted agent's action: `{"answer": letter}`, or any tool call.

        A call becomes the crop of the cell that holds the middle of the task's deciding detail.

        Raises:
            InvalidActionError: The answer is not the letter of an option.
        """
        if "answer" not in action:
            return self.choices + self._deciding_cell()
        number = LETTERS.find(str(action["answer"]))
        if not 0 <= number < self.choices:
            raise InvalidActionError(
                f"an answer is a letter from A to {LETTERS[self.choices - 1]}, actually: {action!r}"
            )
        return number

    def _make_toolbox(self, tools: Sequence[str], prices: Mapping[str, float], sandbox: str) -> Toolbox:  # noqa: ARG002
        self._check_prices(prices, (CropTool.name,))
        crop = CropTool(price=prices.get(CropTool.name, 1.0))
        return Toolbox([crop], invalid_price=prices.get(INVALID_CALLS, 1.0))

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
        crops = [image for turn in turns for result in turn.results for image in result.images]
        left = max(self.turn_taker.limits.max_turns - len(turns), 0)
        return {
            "image": _squared(task.images[0].view, self.view_size),
            "returned": self._reduced_crop(crops[-1]).copy()
            if crops
            else np.zeros((self.view_size, self.view_size, 3), dtype=np.uint8),
            "text": _text_bytes(task),
            "tool_counts": np.array([min(len(crops), _MOST_COUNTED)], dtype=np.uint8),
            "turns_left": np.array([min(left, _MOST_COUNTED)], dtype=np.uint8),
        }

    def _reduced_crop(self, crop: PictureArray) -> PictureArray:
        """The last crop at the size of the view, reduced once: the answer's observation shows it again."""
        if self._last_crop is None or self._last_crop[0] is not crop:
            self._last_crop = crop, _reduced(crop, self.view_size)
        return self._last_crop[1]


def _squared(view: PictureArray, side: int) -> PictureArray:
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


def _reduced(picture: PictureArray, side: int) -> PictureArray:
    return np.array(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX), dtype=np.uint8)


def _text_bytes(task: Task) -> NDArray[np.uint8]:
    """Question and options in UTF-8, cut at the end if they are longer."""
    lines = [task.question, *(f"{letter}. {option}" for letter, option in zip(LETTERS, task.options, strict=False))]
    data = "\n".join(lines).encode()[:_TEXT_BYTES]
    text = np.zeros(_TEXT_BYTES, dtype=np.uint8)
    text[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return text
