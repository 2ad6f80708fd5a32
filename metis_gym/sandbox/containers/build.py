"""Building the image of the backend `docker`."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from metis_gym.errors import ConfigError, SandboxError
from metis_gym.sandbox.containers import engine

__all__ = ["build", "find_context"]

_NEEDED = ("Dockerfile", "requirements.txt")


def find_context(given: str | None = None) -> Path:
    """The folder with the Dockerfile.

    Args:
        given: Where the user says it is; None for `sandbox_images/python` of this checkout.

    Raises:
        ConfigError: It is not there.
    """
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "sandbox_images" / "python"
    absent = [name for name in _NEEDED if not (folder / name).is_file()]
    if absent:
        raise ConfigError(
            f"{folder} has no {' and no '.join(absent)}. The folder sandbox_images/python is part of the repository "
            "and of the source distribution, not of the wheel: name it with --context"
        )
    return folder


def build(context: Path, *, tag: str, base: str | None, wheels: Path | None, say: Callable[[str], None]) -> str:
    """Build the image. Returns its id.

    Args:
        context: The folder with the Dockerfile.
        tag: Name of the image.
        base: Image to build on; None for the Dockerfile's.
        wheels: Folder of wheels; with one, nothing is fetched and the build has no network.
        say: Told each line of progress.

    Raises:
        SandboxUnavailableError: No engine, or no permission to use it.
        SandboxError: The build failed.
    """
    client = engine.connect()
    with tempfile.TemporaryDirectory(prefix="metis-image-") as folder:
        place = Path(folder)
        for name in _NEEDED:
            shutil.copy(context / name, place / name)
        (place / "wheels").mkdir()
        (place / "wheels" / "README").write_text("Wheels to install instead of fetching them.\n", encoding="utf-8")
        for wheel in sorted(wheels.glob("*.whl")) if wheels else []:
            shutil.copy(wheel, place / "wheels")
        progress = client.api.build(
            path=folder,
            tag=tag,
            buildargs={"BASE": base} if base else {},
            network_mode="none" if wheels else None,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for step in progress:
            if "error" in step:
                raise SandboxError(f"the image {tag!r} could not be built: {step['error'].strip()}")
            if text := step.get("stream", "").strip():
                say(text)
    identity = str(client.images.get(tag).id)
    client.close()
    return identity
