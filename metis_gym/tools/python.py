"""The `python` tool: the model's own code on the full-resolution images, in a sandbox."""

from collections.abc import Mapping
from typing import Any, ClassVar

from metis_gym import sandbox
from metis_gym.images.transforms import fit
from metis_gym.records import Task, ToolResult, ToolStatus
from metis_gym.sandbox.contract import RunResult, RunStatus, SandboxBackend, SandboxLimits, SandboxSession
from metis_gym.sandbox.images import SharedImages, SharedImagesCache
from metis_gym.tools.contract import Tool, ToolSession

__all__ = ["PythonTool"]

_RESTARTED = "The interpreter was restarted: variables of earlier calls are gone, image_1, … are loaded again."

_images = SharedImagesCache(capacity_bytes=256 << 20, capacity=64)
"""The episodes of a group play the same task: their sessions map the same images."""


class PythonTool(Tool):
    """Runs Python in a sandbox session that lives as long as the episode.

    The session is opened at the first call, so that an episode without calls pays nothing. When the code kills its own
    interpreter, the next call starts a new one and says so.

    Args:
        price: Price of one call.
        sandbox: A backend's name, or "auto" for the strongest that this machine offers.
        limits: What a session may use.

    Raises:
        SandboxUnavailableError: At the first call, if this machine cannot isolate. Code is never run without isolation.
    """

    name: ClassVar[str] = "python"
    description: ClassVar[str] = (
        "Runs Python code on the full-resolution images, preloaded as Pillow images image_1, image_2, .... numpy, "
        "Pillow and matplotlib can be imported; there is no network. Variables stay for later calls. Printed text "
        "comes back as text; an image or figure as the last expression comes back as an image, for example "
        "image_1.crop((left, top, right, bottom)).resize((640, 640))."
    )
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"code": {"type": "string", "description": "Python source code"}},
        "required": ["code"],
    }
    aliases: ClassVar[tuple[str, ...]] = ("code_interpreter",)
    settings: ClassVar[tuple[str, ...]] = ("sandbox",)

    def __init__(self, *, price: float = 1.0, sandbox: str = "auto", limits: SandboxLimits | None = None) -> None:
        super().__init__(price=price)
        self.sandbox = sandbox
        self.limits = limits or SandboxLimits()

    def open(self, task: Task, *, seed: int) -> "PythonSession":
        """Prepare a session on the task's source images; nothing is started yet."""
        return PythonSession(self, task, seed)


class PythonSession(ToolSession):
    """One episode's interpreter."""

    def __init__(self, tool: PythonTool, task: Task, seed: int) -> None:
        self._tool, self._task, self._seed = tool, task, seed
        self._session: SandboxSession | None = None
        self._images: SharedImages | None = None
        self._was_killed = False

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Run the code and return what it printed, its last value and the images it showed."""
        restarted, self._was_killed = self._was_killed, False
        if self._session is None:
            self._session = self._open()
        ran = self._session.run(arguments["code"])
        if not self._session.alive:
            self.close()
            self._was_killed = True
        return _as_tool_result(ran, _RESTARTED if restarted else "")

    def close(self) -> None:
        """End the episode's interpreter, if it was started."""
        session, self._session = self._session, None
        self._images = None
        if session is not None:
            session.close()

    def _open(self) -> SandboxSession:
        backend: SandboxBackend = sandbox.make(self._tool.sandbox)
        self._images = _images.get(self._task, [image.source for image in self._task.images])
        return backend.open(images=self._images, limits=self._tool.limits, seed=self._seed)


def _as_tool_result(ran: RunResult, note: str) -> ToolResult:
    output = "\n".join(filter(None, [ran.stdout.rstrip("\n"), ran.result_text]))
    errors = "\n".join(filter(None, [ran.stderr.rstrip("\n"), note]))
    return ToolResult(
        name=PythonTool.name,
        status=ToolStatus.OK if ran.status is RunStatus.OK else ToolStatus.ERROR,
        output=output,
        errors=errors,
        images=tuple(fit(image) for image in ran.images),
        seconds=ran.seconds,
    )
