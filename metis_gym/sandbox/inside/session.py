"""The birth of a session: descriptors, walls, then its images and files, then the loop that runs code."""

import fcntl
import mmap
import os
import socket
import traceback

from . import frames
from .images import MAX_PARTS, map_images, part_bytes
from .spec import SessionSpec
from .syscalls import call
from .tiers import Tier
from .warmup import seed_generators
from .worker import Worker, receive_exactly

__all__ = ["wait_and_run"]

_CHANNEL, _PAYLOAD, _IMAGES = 3, 4, 5
_OUT_OF_THE_WAY = 64
_REQUEST_BYTES = 1 << 16
_DESCRIPTORS = _IMAGES - _CHANNEL + 2 + MAX_PARTS

_worker = Worker()


def wait_and_run(tier: Tier, link: socket.socket) -> None:
    """Live as a session, in a process forked ahead of time by the zygote, until the host closes the channel.

    Args:
        tier: How to isolate it.
        link: Brings a `SessionSpec`, and with it channel, standard output, standard error, payload and, where there are
            images, the parts of their block.
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
        blocks = range(_IMAGES, _IMAGES + len(part_bytes(session.images)))
        call("close_range", blocks.stop, 0xFFFFFFFF, 0)
        _unpack(session)
        preloaded = _preload(session, channel, blocks)
        seed_generators(session.seed)
    except BaseException:  # noqa: BLE001 — the boundary: the host is told what broke, whatever it was
        reason = traceback.format_exc().encode()
        channel.sendall(frames.pack_reply_header(bytes(frames.NONCE_BYTES), frames.FAILED, reason, []))
        return
    _worker.serve(channel, session.limits, preloaded, image_files=session.image_files)


def _arrange(fds: list[int]) -> None:
    """Give the descriptors their fixed numbers. The others are closed once the walls are up, which needs some."""
    channel, out, error, *supplies = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for fd in fds)
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for number, fd in enumerate((nothing, out, error, channel, *supplies)):
        os.dup2(fd, number, inheritable=False)


def _unpack(session: SessionSpec) -> None:
    """Write the files into the working folder."""
    total = sum(length for _, length in session.files)
    if total:
        with mmap.mmap(_PAYLOAD, total, prot=mmap.PROT_READ) as payload, memoryview(payload) as content:
            start = 0
            for name, length in session.files:
                with open(name, "wb") as file, content[start : start + length] as data:
                    file.write(data)
                start += length
    os.close(_PAYLOAD)


def _preload(session: SessionSpec, channel: socket.socket, blocks: range) -> dict[str, object]:
    """Map the images, which the host has been completing all the while.

    The descriptors of their memory, which other sessions have as well, are not left to the code.

    Returns:
        The variables `image_1`, `image_2`, ….
    """
    if not session.images:
        return {}
    images = map_images(blocks, session.images)
    for block in blocks:
        os.close(block)
    receive_exactly(channel, len(frames.SUPPLIED))
    return {f"image_{number}": image for number, image in enumerate(images, start=1)}
