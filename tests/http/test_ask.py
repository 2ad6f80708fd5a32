"""`Client.ask`: one attempt, and an answer whatever its status."""

import pytest
from bounded_clients import client, reply
from raw_server import RawServer, saying

from metis_gym.errors import InfrastructureError


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500, 503])
def test_every_status_is_an_answer(status):
    data = reply(b"words", b"Retry-After: 7").replace(b"200 OK", b"%d What" % status)
    with RawServer(saying(data)) as server:
        answer = client(retries=5).ask("GET", server.url)
    assert (answer.status, answer.body, answer.wait) == (status, b"words", 7.0)
    assert len(server.requests) == 1


def test_no_answer_is_an_error():
    with RawServer(saying(b"")) as server, pytest.raises(InfrastructureError, match="no connection"):
        client(retries=5).ask("GET", server.url)


def test_its_body_is_bounded_too():
    data = reply(b"x" * 200_000).replace(b"200 OK", b"500 What")
    with RawServer(saying(data)) as server, pytest.raises(InfrastructureError, match="longer than"):
        client().ask("GET", server.url)
