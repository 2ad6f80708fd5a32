"""Files on their way in, and the sealed memory that they and images are sent in: only a descriptor crosses."""

import errno
import os
import time
from collections.abc import Mapping, Sequence

import numpy as np

from metis_gym.errors import ConfigError
from metis_gym.records import ImageArray

__all__ = ["check_files", "check_images", "make_payload", "new_memory", "seal", "write_all"]

_ADD_SEALS = 1033
_SEAL_PAUSES = (0.001, 0.01, 0.1, 1.0)
_SEALED = 1 | 2 | 4 | 8  # no more seals, no shrinking, no growing, no writing


def check_images(images: Sequence[ImageArray]) -> tuple[tuple[int, int], ...]:
    """Width and height of each image.

    Raises:
        ConfigError: One is not an image.
    """
    for number, image in enumerate(images, start=1):
        shape, dtype = np.shape(image), getattr(image, "dtype", type(image).__name__)
        if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ConfigError(f"image_{number} must be uint8 of shape (height, width, 3), actually: {dtype} {shape}")
    return tuple((image.shape[1], image.shape[0]) for image in images)


def check_files(files: Mapping[str, bytes], disk_bytes: int) -> tuple[tuple[str, int], ...]:
    """Name and length of each file.

    Raises:
        ConfigError: A name that is not plain, or more bytes than the working folder may hold.
    """
    for name in files:
        if not name or name in (".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
            raise ConfigError(f"a file for the sandbox needs a plain name without folders, actually: {name!r}")
    total = sum(len(content) for content in files.values())
    if total > disk_bytes:
        raise ConfigError(f"the files hold {total} bytes, which is more than SandboxLimits.disk_bytes = {disk_bytes}")
    return tuple((name, len(content)) for name, content in files.items())


def make_payload(files: Mapping[str, bytes]) -> int:
    """Put the contents of files, one after the other, into memory that can no longer be changed.

    Returns:
        A descriptor, to be closed by the caller.

    Raises:
        OSError: There is no memory or no descriptor left, or the kernel holds on to the pages.
    """
    fd = new_memory("payload")
    try:
        for content in files.values():
            write_all(fd, memoryview(content).cast("B"))
        seal(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def new_memory(name: str) -> int:
    """A descriptor of empty memory that can be sealed."""
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(fd: int) -> None:
    """Let nobody change the memory, its length or its seals any more.

    The kernel may be busy with pages that were just written; it is asked again then.
    """
    import fcntl  # which Windows lacks, where this module is imported and never gets here

    for pause in _SEAL_PAUSES:
        try:
            fcntl.fcntl(fd, _ADD_SEALS, _SEALED)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        time.sleep(pause)
    fcntl.fcntl(fd, _ADD_SEALS, _SEALED)


def write_all(fd: int, data: memoryview) -> None:
    """Write bytes, however many calls it takes."""
    while data:
        data = data[os.write(fd, data) :]
