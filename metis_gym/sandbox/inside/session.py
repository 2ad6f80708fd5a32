"""The birth of a session: descriptors, walls, then its pictures and files, then the loop that runs code."""

import fcntl
import mmap
import os
import socket
import traceback

from PIL import Image

from . import frames
from .spec import SessionSpec
from .syscalls import call
from .tiers import Tier
from .warmup import seed_generators
from .worker import Worker

__all__ = ["wait_and_run"]

_CHANNEL, _PARCEL, _FIRST_OTHER = 3, 4, 5
_OUT_OF_THE_WAY = 64
_REQUEST_BYTES = 1 << 16
_DESCRIPTORS = 4

_worker = Worker()


def wait_and_run(tier: Tier, link: socket.socket) -> None:
    """Live as a session, in a process forked ahead of time by the zygote, until the host closes the channel.

    Args:
        tier: How to isolate it.
        link: Brings a `SessionSpec`, and with it channel, standard output, standard error and parcel.
    """
    tier.begin()
    data, fds, _, _ = socket.recv_fds(link, _REQUEST_BYTES, _DESCRIPTORS)
    link.close()
    if data:
        _run_session(tier, SessionSpec.from_json(data.decode()), fds)


def _run_session(tier: Tier, session: SessionSpec, fds: list[int]) -> None:
    _arrange(fds)
    os.setsid()
    channel = socket.socket(fileno=_CHANNEL)
    try:
        tier.confine(session, channel)
        call("close_range", _FIRST_OTHER, 0xFFFFFFFF, 0)
        preloaded = _unpack(session)
        seed_generators(session.seed)
    except BaseException:  # the boundary: the host is told what broke, whatever it was
        reason = traceback.format_exc().encode()
        channel.sendall(frames.pack_reply_header(bytes(frames.NONCE_BYTES), frames.FAILED, reason, []))
        return
    _worker.serve(channel, session.limits, preloaded)


def _arrange(fds: list[int]) -> None:
    """Give the descriptors their fixed numbers. The others are closed once the walls are up, which needs some."""
    channel, out, error, parcel = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for fd in fds)
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for number, fd in enumerate((nothing, out, error, channel, parcel)):
        os.dup2(fd, number, inheritable=False)


def _unpack(session: SessionSpec) -> dict[str, object]:
    """Write the files into the working folder and make the pictures.

    Returns:
        The variables `image_1`, `image_2`, ….
    """
    lengths = [3 * width * height for width, height in session.images]
    total = sum(lengths) + sum(length for _, length in session.files)
    pictures: dict[str, object] = {}
    if total:
        with mmap.mmap(_PARCEL, total, prot=mmap.PROT_READ) as parcel, memoryview(parcel) as content:
            start = 0
            for count, (size, length) in enumerate(zip(session.images, lengths, strict=True), start=1):
                with content[start : start + length] as pixels:
                    pictures[f"image_{count}"] = Image.frombytes("RGB", size, pixels)
                start += length
            for name, length in session.files:
                with open(name, "wb") as file, content[start : start + length] as data:
                    file.write(data)
                start += length
    os.close(_PARCEL)
    return pictures
