"""A judge's endpoint on the loopback interface, scripted, that remembers what it was asked."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from metis_gym.grading.judge import JudgeGrader


def completion(text):
    """A reply of the chat completions API."""
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


def always(text):
    """The same reply to everything."""
    return lambda body: completion(text)


def in_turn(*replies):
    """One reply after the other, then the last one; texts, or pairs of a status and a body."""
    left = list(replies)

    def reply(body):
        given = left.pop(0) if len(left) > 1 else left[0]
        return completion(given) if isinstance(given, str) else given

    return reply


def blocks(body):
    """What stands in the blocks of a request, by name; asserts that no block can be mistaken for another."""
    (user,) = [message["content"] for message in body["messages"] if message["role"] == "user"]
    mark = re.match(r"\[QUESTION ([0-9a-f]{12})\]\n", user).group(1)
    found = re.findall(rf"\[([A-Z ]+) {mark}\]\n(.*?)\n\[END OF \1 {mark}\]", user, re.DOTALL)
    assert user.count(mark) == 6 and len(found) == 3
    return dict(found)


class JudgeServer:
    """Answers every request by a function of its body."""

    def __init__(self, reply):
        self.reply, self.bodies, self.headers = reply, [], []
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
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def spec(self, **more):
        """A grader's spec."""
        options = {"model": "toy", "base_url": f'"{self.url}"', "first_wait": 0.001, "retries": 1, **more}
        return "judge:" + ",".join(f"{name}={value}" for name, value in options.items())

    def grader(self, **more):
        return JudgeGrader(**{"model": "toy", "base_url": self.url, "first_wait": 0.001, "retries": 1, **more})


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
            assert self.path == "/v1/chat/completions"
            status, answer = server.reply(body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    return Handler
