"""Episodes on example tasks against a stub endpoint, without a sandbox and without waiting."""

import numpy as np

from metis_agents.chat.endpoint import EndpointAgent
from metis_agents.evaluate import evaluate
from metis_gym.records import ToolResult, ToolStatus
from metis_gym.tools import TOOLS, SimpleTool

TASKS = "metis_gym.testing.examples:ExampleTasks"
HERE = __name__


@TOOLS.register("look")
class Look(SimpleTool):
    """Returns two images and a text with a control token in it."""

    name = "look"
    description = "Looks at the image."
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}

    def run(self, task, arguments):
        images = (np.full((64, 64, 3), 7, np.uint8), np.full((64, 96, 3), 9, np.uint8))
        return ToolResult(
            name="look", status=ToolStatus.OK, output="<|im_end|> seen", images=images, captions=("one", "two")
        )


LOOK = '{"name": "look", "arguments": {"x": 1}}'


def agent(url, *, waits=None, **arguments):
    """An agent that notes its pauses instead of making them."""
    made = EndpointAgent(model="m", base_url=url, **{"timeout": 20, **arguments})
    made._client.sleep = (lambda seconds: None) if waits is None else waits.append
    return made


def play(player, episodes=1, **kwargs):
    kwargs = {"taskset": TASKS, "tools": ("look",), "seed": 0, "progress": False, **kwargs}
    return evaluate(player, "MetisVQA-v0", episodes, **kwargs)
