"""A real HTTP server on the loopback interface that gives scripted replies and remembers what it was asked."""

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Reply:
    """One reply; `body` is sent as it is if it is bytes, else as JSON."""

    body: object = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    is_silent: bool = False
    drips: int = 0
    chunked: bool = False
    cut_after: int | None = None

    def data(self):
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict
    headers: dict
    body: object


class ScriptedServer:
    """Replies are taken in order; the last one stays."""

    def __init__(self):
        self.replies = []
        self.requests = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def script(self, *replies):
        self.replies = list(replies)

    def next_reply(self):
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def _handler(owner):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._answer(None)

        def do_POST(self):
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *_):
            pass

        def _answer(self, body):
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            owner.requests.append(Request(self.command, parts.path, query, dict(self.headers), body))
            reply = owner.next_reply()
            if reply.is_silent:
                self._wait_for_the_end()
            data = reply.data()
            self.close_connection = True
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has had enough
                self._send(reply, data)

        def _wait_for_the_end(self):
            """Say nothing until the client has gone, or a minute has."""
            self.connection.settimeout(60)
            with contextlib.suppress(OSError):
                self.connection.recv(1)

        def _send(self, reply, data):
            if reply.chunked:
                for start in range(0, len(data), 1000):
                    part = data[start : start + 1000]
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            elif reply.drips:
                for position in range(reply.drips):
                    self.wfile.write(data[position : position + 1])
                    self.wfile.flush()
                    time.sleep(0.05)
            else:
                self.wfile.write(data[: reply.cut_after])

    return Handler
