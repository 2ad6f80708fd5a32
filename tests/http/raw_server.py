"""A server on the loopback interface that says exactly the bytes that a test wants, and remembers what it read."""

import contextlib
import socket
import threading


class RawServer:
    """Runs `behave(connection, request)` for each request; `request` is what came up to the empty line."""

    def __init__(self, behave):
        self.behave, self.requests, self.accepted = behave, [], 0
        self.is_over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def port(self):
        return self._listener.getsockname()[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def drip(self, connection, data, pause=0.02):
        """Send byte by byte, until the client has gone."""
        for position in range(len(data)):
            if self.is_over.wait(pause):
                return
            connection.sendall(data[position : position + 1])

    def _accept(self):
        while not self.is_over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self.accepted += 1
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection):
        connection.settimeout(0.05)
        with connection, contextlib.suppress(OSError):
            while (request := self._read(connection)) is not None:
                self.requests.append(request)
                connection.settimeout(5)
                if self.behave(self, connection, request) == "close":
                    return
                connection.settimeout(0.05)

    def _read(self, connection):
        data = b""
        while not self.is_over.is_set():
            with contextlib.suppress(TimeoutError):
                part = connection.recv(65536)
                if not part:
                    return None
                data += part
            head, end, body = data.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            if end and len(body) >= length:
                return data
        return None


def saying(data, close=True):
    """Always the same bytes."""

    def behave(server, connection, request):
        connection.sendall(data)
        return "close" if close else None

    return behave
