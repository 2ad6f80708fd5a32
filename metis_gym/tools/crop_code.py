"""The code that crops an image: what scripts, solutions and demonstrations call the `python` tool with."""

from metis_gym.records import Box, ToolCall

__all__ = ["crop_call"]


def crop_call(box: Box, size: tuple[int, int]) -> ToolCall:
    """The call that shows a box of the first image at a size.

    Args:
        box: In pixels of the source image.
        size: Width and height of what is shown.

    >>> crop_call((0, 0, 64, 32), (640, 320)).arguments["code"]
    'image_1.crop((0, 0, 64, 32)).resize((640, 320))'
    """
    left, top, right, bottom = box
    return ToolCall(name="python", arguments={"code": f"image_1.crop({(left, top, right, bottom)}).resize({size})"})
