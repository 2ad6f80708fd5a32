"""Clients for the tests of bounds, and what servers say to them."""

import time

import pytest

from metis_gym.errors import InfrastructureError
from metis_gym.http import Client, Policy

TIMEOUT = 0.5
SLACK = 2.0  # a busy machine; every one of these servers goes on for a minute or for ever
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\n[]"


def client(**settings):
    policy = Policy(**{"timeout": TIMEOUT, "retries": 0, "max_bytes": 100_000, **settings})
    return Client(service="test", policy=policy, sleep=lambda seconds: None)


def failure(url, reason, **settings):
    """The failed request's message, and the seconds that it took."""
    start = time.monotonic()
    with pytest.raises(InfrastructureError, match=reason) as raised:
        client(**settings).fetch("GET", url)
    return str(raised.value), time.monotonic() - start


def reply(body, *headers):
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def outsider(**settings):
    policy = Policy(**{"timeout": 5.0, "retries": 0, "redirects": 3, **settings})
    return Client(service="test", policy=policy, public_only=True)
