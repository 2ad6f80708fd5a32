"""The records that flow through everything, from the task to the outcome that a reward design sees.

All are frozen. An image is an array of shape (height, width, 3), uint8, RGB. Boxes are (left, top, right, bottom) in
pixels of the *source* image, right and bottom exclusive, as Pillow's `crop` takes them.
"""

from metis_gym.deprecation import former_names
from metis_gym.records.conversation import Episode, Message, Role, Turn
from metis_gym.records.outcome import Outcome
from metis_gym.records.task import AnswerKind, GoldAnswer, Necessity, Plan, PricedPlan, Task, TaskImage
from metis_gym.records.values import (
    INVALID_CALLS,
    Box,
    ImageArray,
    Passage,
    TitledImage,
    ToolCall,
    ToolResult,
    ToolStatus,
)

__all__ = [
    "INVALID_CALLS",
    "AnswerKind",
    "Box",
    "Episode",
    "GoldAnswer",
    "ImageArray",
    "Message",
    "Necessity",
    "Outcome",
    "Passage",
    "Plan",
    "PricedPlan",
    "Role",
    "Task",
    "TaskImage",
    "TitledImage",
    "ToolCall",
    "ToolResult",
    "ToolStatus",
    "Turn",
]

__getattr__ = former_names(__name__, {"PictureArray": "ImageArray", "TitledPicture": "TitledImage"})
