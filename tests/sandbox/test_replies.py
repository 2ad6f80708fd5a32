"""The host's reader of replies: nothing that comes from inside can harm it."""

import socket
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_gym.sandbox import SandboxLimits
from metis_gym.sandbox.inside import frames
from metis_gym.sandbox.replies import ForgedReplyError, ReplyReader

LIMITS = SandboxLimits(output_bytes=100, images=2, image_pixels=1000)
NONCE = bytes(range(16))


def read(data, *, chunk=None, limits=LIMITS, nonce=NONCE):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        reader = ReplyReader(ours, nonce, limits)
        for start in range(0, len(data), chunk or max(1, len(data))):
            theirs.sendall(data[start : start + (chunk or len(data))])
            if (reply := reader.read()) is not None:
                return reply
        theirs.close()
        return reader.read()


def reply(status=frames.OK, text=b"", images=(), nonce=NONCE):
    head = frames.pack_reply_header(nonce, status, text, [(p.shape[1], p.shape[0]) for p in images])
    return head + b"".join(p.tobytes() for p in images)


@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_a_reply_in_pieces(chunk):
    images = [np.arange(60, dtype=np.uint8).reshape(4, 5, 3), np.full((1, 2, 3), 9, np.uint8)]
    got = read(reply(frames.ERROR, "ü".encode(), images), chunk=chunk)
    assert (got.status, got.text) == (frames.ERROR, "ü")
    assert all(np.array_equal(a, b) for a, b in zip(got.images, images, strict=True))
    got.images[0][:] = 0  # they belong to whoever reads them


FORGERIES = {
    "magic": b"x" + reply()[1:],
    "nonce": reply(nonce=bytes(16)),
    "status": reply(status=99),
    "opening": reply(status=frames.READY),
    "text": reply(text=b"x" * 101),
    "images": frames.REPLY.pack(frames.MAGIC, NONCE, frames.OK, 0, 3),
    "empty image": frames.REPLY.pack(frames.MAGIC, NONCE, frames.OK, 0, 1) + struct.pack("<II", 0, 5),
    "large image": frames.REPLY.pack(frames.MAGIC, NONCE, frames.OK, 0, 1) + struct.pack("<II", 1001, 1),
    "large images together": frames.REPLY.pack(frames.MAGIC, NONCE, frames.OK, 0, 2) + 2 * struct.pack("<II", 501, 1),
    "overflowing image": frames.REPLY.pack(frames.MAGIC, NONCE, frames.OK, 0, 1) + struct.pack("<II", 2**31, 2**31),
}


@pytest.mark.parametrize("data", FORGERIES.values(), ids=FORGERIES)
def test_forgeries(data):
    with pytest.raises(ForgedReplyError):
        read(data)


def test_a_run_cannot_be_answered_before_a_session_is_open():
    with pytest.raises(ForgedReplyError):
        read(reply(status=frames.OK), limits=None)
    assert read(reply(status=frames.READY), limits=None).status == frames.READY


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_noise_is_a_forgery_or_an_end(noise):
    with pytest.raises((ForgedReplyError, EOFError)):
        read(noise)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_noise_after_a_true_beginning_never_gives_more_than_the_limits(noise):
    try:
        got = read(frames.MAGIC + NONCE + noise)
    except (ForgedReplyError, EOFError):
        return
    assert len(got.text.encode("utf-8", "replace")) <= 3 * LIMITS.output_bytes
    assert len(got.images) <= LIMITS.images
    assert sum(image.shape[0] * image.shape[1] for image in got.images) <= LIMITS.image_pixels
