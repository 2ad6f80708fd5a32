"""Frames between host and container: what goes in comes out, and nothing else is believed."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metis_gym.sandbox import RunResult, RunStatus, SandboxLimits
from metis_gym.sandbox.containers.wire import (
    BrokenWireError,
    Frame,
    Kind,
    max_result_bytes,
    pack_frame,
    pack_result,
    read_frame,
    unpack_result,
)

LIMITS = SandboxLimits(output_bytes=100, images=2, image_pixels=1000)


def reader(data):
    source = io.BytesIO(data)

    def read(count):
        got = source.read(count)
        if len(got) < count:
            raise EOFError
        return got

    return read


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.text(max_size=50), st.binary(max_size=100))
def test_a_frame_comes_out_as_it_went_in(request_number, text, data):
    text = text.encode("utf-8", "replace").decode()
    frame = Frame(request_number, Kind.RUN, text, data)
    assert read_frame(reader(b"".join(pack_frame(frame))), lambda _: 100) == frame


def test_a_frame_that_is_too_large_is_not_read():
    data = b"".join(pack_frame(Frame(5, Kind.RESULT, "", bytes(101))))
    with pytest.raises(BrokenWireError, match="101 bytes of data"):
        read_frame(reader(data), lambda request: 100 if request == 5 else 0)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_no_frame(noise):
    with pytest.raises((BrokenWireError, EOFError)):
        read_frame(reader(noise), lambda _: 100)


RESULT = RunResult(
    status=RunStatus.TIMEOUT,
    stdout="ü" * 10,
    stderr="e",
    result_text="",
    images=(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), np.zeros((1, 1, 3), np.uint8)),
    seconds=1.5,
)


@pytest.mark.parametrize("alive", [True, False])
def test_a_result_comes_out_as_it_went_in(alive):
    packed = pack_result(RESULT, alive=alive)
    assert len(packed) <= max_result_bytes(LIMITS)
    got, was_alive = unpack_result(packed, LIMITS)
    assert was_alive is alive
    assert (got.status, got.stdout, got.stderr, got.result_text, got.seconds) == ("timeout", "ü" * 10, "e", "", 1.5)
    assert all(np.array_equal(a, b) for a, b in zip(got.images, RESULT.images, strict=True))


def test_images_over_the_limit_together_are_refused():
    half = np.zeros((1, 501, 3), np.uint8)
    packed = pack_result(RunResult(status=RunStatus.OK, images=(half, half)), alive=True)
    with pytest.raises(BrokenWireError):
        unpack_result(packed, LIMITS)
    assert len(unpack_result(packed, SandboxLimits(images=2, image_pixels=1002))[0].images) == 2


@given(st.integers(0, 60), st.binary(min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_damaged_result_is_refused_or_within_the_limits(place, damage):
    packed = bytearray(pack_result(RESULT, alive=True))
    packed[place : place + len(damage)] = damage
    try:
        got, _ = unpack_result(packed, LIMITS)
    except BrokenWireError:
        return
    assert len(got.images) <= LIMITS.images
    assert sum(image.size for image in got.images) <= 3 * LIMITS.image_pixels
    assert sum(image.size for image in got.images) <= len(packed)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_noise_is_no_result(noise):
    with pytest.raises(BrokenWireError):
        unpack_result(noise, LIMITS)
