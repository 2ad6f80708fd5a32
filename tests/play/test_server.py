"""Whom the server answers, and whom it refuses."""

import http.client
import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import urlencode, urlsplit

import pytest

from metis_gym.cli import main
from metis_gym.play import Game, PlayServer
from tests.play.toys import toy_env
from tests.viewer.parsing import parsed

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def server():
    made = PlayServer(Game(toy_env(), seed=1), title="toys")
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.stop()
    thread.join()
    made.close()


class Client:
    """A browser's part: keeps the cookie and reads the forms' hidden fields."""

    def __init__(self, server):
        self.server, self.cookie = server, None

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        if self.cookie and "Cookie" not in sent:
            sent["Cookie"] = self.cookie
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def enter(self):
        answer, _ = self.ask("GET", f"/?token={self.server.token}")
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return answer

    def fields(self):
        page = parsed(self.ask("GET", "/")[1])
        return {name: page.all("input", type="hidden", name=name)[0].attributes["value"] for name in ("form", "place")}

    def move(self, name, *, headers=None, **fields):
        body = urlencode({**self.fields(), **fields})
        return self.ask("POST", f"/{name}", body, **{"Content_Type": FORM, **(headers or {})})


@pytest.fixture
def client(server):
    made = Client(server)
    made.enter()
    return made


def turns(server):
    return len(server._game.card.turns)


def test_the_token_becomes_a_cookie_that_neither_scripts_nor_other_sites_have(server):
    answer = Client(server).enter()
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    name, *marks = (part.strip() for part in answer.headers["Set-Cookie"].split(";"))
    assert marks == ["HttpOnly", "SameSite=Strict", "Path=/"]
    assert server.token not in name


def test_it_listens_on_this_machine_only(server):
    assert server._server.server_address[0] == "127.0.0.1"
    assert server._server.socket.family == socket.AF_INET
    assert server.address == f"http://127.0.0.1:{server.port}/?token={server.token}"


def test_a_game_by_http(server, client):
    assert client.ask("GET", "/")[0].status == 200
    assert client.move("crop", left="100", top="60", right="200", bottom="120")[0].headers["Location"] == "/"
    client.move("search", query="the tower")
    client.move("answer", answer="B")
    assert server._game.tally.right == 1
    page = client.ask("GET", "/")[1]
    assert "would have paid" in page and "All" not in page[:20]
    client.move("next")
    assert server._game.number == 2


@pytest.mark.parametrize(
    "cookie", [None, "", "metis-gym-play=", "metis-gym-play=wrong", "other=1", "\x01=;;", "metis-gym-play=é"]
)
def test_nobody_gets_in_without_the_cookie(cookie, server, client):
    fields = client.fields()
    stranger = Client(server)
    headers = {} if cookie is None else {"Cookie": cookie.encode("latin-1").decode("latin-1")}
    for method, path, body in (("GET", "/", None), ("POST", "/answer", urlencode({**fields, "answer": "B"}))):
        answer, page = stranger.ask(method, path, body, Content_Type=FORM, **headers)
        assert answer.status == 403 and "Which one?" not in page
    assert not server._game.is_over


@pytest.mark.parametrize("token", ["", "x", "é", "%00", "a" * 5000])
def test_a_wrong_token_is_no_way_in(token, server):
    answer, _ = Client(server).ask("GET", "/?token=" + token.replace("é", "%C3%A9"))
    assert answer.status == 403 and "Set-Cookie" not in answer.headers


HOSTS = ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "[::1]:80", "127.0.0.1.evil.example:{port}", ""]
ORIGINS = ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "", "https://127.0.0.1:{port}"]


@pytest.mark.parametrize("host", HOSTS)
def test_foreign_names_do_not_lead_here(host, server, client):
    name = host.format(port=server.port)
    assert client.ask("GET", "/", Host=name)[0].status == 403
    assert client.ask("GET", f"/?token={server.token}", Host=name)[0].status == 403
    assert client.move("answer", answer="B", headers={"Host": name})[0].status == 403
    assert not server._game.is_over


@pytest.mark.parametrize("origin", ORIGINS)
def test_forms_of_other_sites_are_refused(origin, server, client):
    assert client.move("answer", answer="B", headers={"Origin": origin.format(port=server.port)})[0].status == 403
    assert not server._game.is_over


def test_a_form_needs_its_token(server, client):
    fields = client.fields()
    for form in ({}, {"form": ""}, {"form": "wrong"}, {"form": server.token}):
        body = urlencode({"place": fields["place"], "answer": "B", **form})
        assert client.ask("POST", "/answer", body, Content_Type=FORM)[0].status == 403
    assert not server._game.is_over


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_only_forms_are_read(kind, server, client):
    assert client.move("answer", answer="B", headers={"Content_Type": kind})[0].status == 403
    assert not server._game.is_over


@pytest.mark.parametrize("length", ["-1", "999999999999", "16385", "x", "１２"])
def test_bodies_are_bounded(length, server, client):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = f"POST /answer HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {client.cookie}\r\n"
    connection.sendall((head + f"Content-Type: {FORM}\r\nContent-Length: {length}\r\n\r\n").encode())
    assert b" 403 " in connection.recv(4096).split(b"\r\n")[0]
    connection.close()


def test_a_move_that_was_sent_twice_counts_once(server, client):
    body = urlencode({**client.fields(), "query": "x"})
    for _ in range(3):
        assert client.ask("POST", "/search", body, Content_Type=FORM)[0].status == 303
    assert turns(server) == 1


@pytest.mark.parametrize(
    "box",
    [
        {},
        {"left": "1", "top": "1", "right": "50"},
        {"left": "a", "top": "1", "right": "50", "bottom": "50"},
        {"left": "-1", "top": "1", "right": "50", "bottom": "50"},
        {"left": "1", "top": "1", "right": "1e3", "bottom": "50"},
        {"left": "1", "top": "1", "right": "9" * 5000, "bottom": "50"},
        {"left": "1); import os; (", "top": "1", "right": "50", "bottom": "50"},
        {"left": "١", "top": "1", "right": "50", "bottom": "50"},
        {"left": "1", "top": "1", "right": "1", "bottom": "50"},
    ],
)
def test_only_boxes_come_in_never_code(box, server, client):
    assert client.move("crop", **box)[0].status == 303
    assert turns(server) == 0
    assert 'role="alert"' in client.ask("GET", "/")[1]
    assert 'role="alert"' not in client.ask("GET", "/")[1]  # said once


@pytest.mark.parametrize("name", ["", "run", "close", "_step", "crop/..", "%2e%2e", "../answer", "__class__"])
def test_there_are_no_other_moves_and_pages(name, server, client):
    assert client.move(name, answer="B")[0].status == 404
    if name:
        assert client.ask("GET", f"/{name}")[0].status == 404
    assert turns(server) == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_other_methods_are_not_known(method, server, client):
    assert client.ask(method, "/")[0].status == 501


def test_every_answer_has_the_guards(server, client):
    for path in ("/", "/nothing"):
        headers = client.ask("GET", path)[0].headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; img-src data:;")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers


def test_a_taken_port_is_one_line(server, capsys):
    assert main(["play", "--taskset", "tests.play.toys:Toys", "--port", str(server.port)]) == 2
    assert f"cannot listen on port {server.port}" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_there_is_not(port, capsys):
    assert main(["play", f"--port={port}"]) == 2
    assert "--port must be from 0 to 65535" in capsys.readouterr().err


def test_a_negative_seed_is_one_line(capsys):
    assert main(["play", "--seed=-1"]) == 2
    assert "--seed must be 0 or more" in capsys.readouterr().err


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    words = [sys.executable, "-m", "metis_gym", "play", "--taskset", "tests.play.toys:Toys", "--record", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        address = urlsplit(process.stdout.readline().split()[-1])
        assert f"ssh -L {address.port}:127.0.0.1:{address.port}" in process.stdout.readline()
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        connection.request("GET", f"/?{address.query}")
        cookie = connection.getresponse().headers["Set-Cookie"].partition(";")[0]
        connection.request("GET", "/", headers={"Cookie": cookie})
        page = connection.getresponse().read().decode()
        connection.close()
        assert "Which one?" in page
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0
    assert "played 0, right 0" in said and f"metis-gym view {tmp_path}" in said
    assert (tmp_path / "run.json").exists()
