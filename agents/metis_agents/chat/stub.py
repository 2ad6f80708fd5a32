"""A local chat-completions endpoint that answers with a script: for tests, and for trying commands offline.

```
metis-gym eval --agent openai:base_url=stub --taskset signs --episodes 8
python -m metis_agents.chat.stub --port 8000 --faults 0.2
```
It is as strict as the servers it stands for: images in `tool` messages are refused as vLLM refuses them; with
`signatures` thought signatures must come back as Gemini demands. `faults` is the share of requests that fail in a way
that passes: 429, 500, no answer in time, a broken connection, malformed JSON, an answer without choices. Which ones
depends on the request and on how often it was sent, so that the order in which threads ask changes nothing.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from metis_agents.chat.stub_replies import Reply, Script, default_script, refusal, replies_from
from metis_gym.errors import ConfigError
from metis_gym.registries import nearest
from metis_gym.terminal import say

__all__ = ["FAULTS", "Stub", "StubOptions", "main", "shared_stub"]

FAULTS = ("429", "500", "cut", "malformed", "no_choices")
"""Faults that `StubOptions.faults` draws from; "hang" is drawn only where it is named in `kinds`."""


@dataclass(frozen=True, kw_only=True)
class StubOptions:
    """How a stub behaves.

    Attributes:
        faults: Share of requests that fail in a way that passes.
        kinds: The faults that are drawn.
        no_usage: Share of answers that do not say how many tokens they took.
        seed: Of the faults.
        key: The key that requests must bear; empty if none.
        model: The model that is served; empty for any.
        signatures: Demand thought signatures, as Gemini does.
        refused: Fields that are refused, as some servers refuse `seed`.
        max_context: Characters of text beyond which a conversation is too long; 0 for no limit.
    """

    faults: float = 0.0
    kinds: tuple[str, ...] = FAULTS
    no_usage: float = 0.0
    seed: int = 0
    key: str = ""
    model: str = ""
    signatures: bool = False
    refused: tuple[str, ...] = ()
    max_context: int = 0

    @classmethod
    def read(cls, query: str) -> "StubOptions":
        """Options as they stand behind `base_url=stub?`, such as "faults=0.2&signatures=true".

        Raises:
            ConfigError: There is no such option, or its value cannot be read.
        """
        given: dict[str, Any] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            default = getattr(cls, name, None)
            if default is None:
                raise ConfigError(f"the stub has no option {name!r}. {nearest(name, tuple(cls.__annotations__))}")
            try:
                given[name] = _as(default, value)
            except ValueError as error:
                raise ConfigError(f"the stub's option {name} cannot be {value!r}") from error
        return cls(**given)


@dataclass(eq=False)
class Stub:
    """A server on 127.0.0.1, running from the beginning of a `with` block to its end.

    Attributes:
        script: Says what the model writes.
        options: How the server behaves.
        port: Where it listens; 0 for any free port.
        keep: Keep the bodies of all requests in `requests`.
    """

    script: Script = default_script
    options: StubOptions = field(default_factory=StubOptions)
    port: int = 0
    keep: bool = False

    def __post_init__(self) -> None:
        """Open the port."""
        self.requests: list[dict[str, Any]] = []
        self.faults: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), functools.partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """For `base_url=`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> "Stub":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def start(self) -> None:
        """Answer, in a thread of its own."""
        self._thread.start()

    def serve(self) -> None:
        """Answer until interrupted."""
        self._server.serve_forever()

    def fault(self, digest: str) -> str:
        """The fault of this sending of a request; empty if it is answered."""
        with self._lock:
            self._seen[digest] += 1
            draw = random.Random(f"{self.options.seed}:{digest}:{self._seen[digest]}")
            kind = draw.choice(self.options.kinds) if draw.random() < self.options.faults else ""
            self.faults[kind] += 1
        return kind

    def wait(self) -> None:
        """Hold an answer back until the server ends."""
        self._released.wait()

    def answer(self, body: dict[str, Any], key: str) -> Reply:
        """What the server says to a request that nothing happens to."""
        with self._lock:
            if self.keep:
                self.requests.append(body)
        return refusal(body, key, self.options) or self.script(body)

    def says_usage(self, digest: str) -> bool:
        """Whether the answer to this request says how many tokens it took."""
        return random.Random(f"usage:{self.options.seed}:{digest}").random() >= self.options.no_usage


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, stub: Stub, *args: Any) -> None:
        self._stub = stub
        super().__init__(*args)

    def do_POST(self) -> None:
        """Answer a request for a completion."""
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        digest = hashlib.sha256(data).hexdigest()
        fault = self._stub.fault(digest)
        if fault == "hang":
            self._stub.wait()
        if fault in ("hang", "cut"):
            self.close_connection = True
        elif fault in ("429", "500"):
            words = "Rate limit reached" if fault == "429" else "The server had an error"
            self._send(Reply(status=int(fault), body={"error": {"message": words}}, wait="0"))
        elif fault:
            self._send(Reply(body={"choices": []} if fault == "no_choices" else b'{"choices": [{"message": {"con'))
        else:
            self._complete(data, digest)

    def do_GET(self) -> None:
        """Say which models there are."""
        self._send(Reply(body={"object": "list", "data": [{"id": self._stub.options.model or "stub"}]}))

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def _complete(self, data: bytes, digest: str) -> None:
        try:
            body = json.loads(data)
        except ValueError:
            self._send(Reply(status=400, body={"error": {"message": "the body is not JSON"}}))
            return
        reply = self._stub.answer(body, self.headers.get("Authorization", "").removeprefix("Bearer "))
        if isinstance(reply.body, dict) and "usage" in reply.body and not self._stub.says_usage(digest):
            reply = Reply(status=reply.status, body={**reply.body, "usage": None})
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        with contextlib.suppress(ConnectionError):  # the client has had enough
            self.send_response(reply.status)
            if reply.wait:
                self.send_header("Retry-After", reply.wait)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)


@functools.cache
def shared_stub(query: str) -> str:
    """The address of a stub in this process, started at its first use, with options as in `StubOptions.read`."""
    stub = Stub(options=StubOptions.read(query))
    stub.start()
    return stub.url


def _as(default: Any, value: str) -> Any:
    """A value of the type of a default."""
    if isinstance(default, bool):
        return {"true": True, "false": False}[value.lower()] if value.lower() in ("true", "false") else int("no flag")
    if isinstance(default, tuple):
        return tuple(filter(None, value.split("+")))
    return type(default)(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m metis_agents.chat.stub", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add("--port", type=int, default=8000, help="where to listen on 127.0.0.1 (default: %(default)s)")
    add("--faults", type=float, default=0.0, help="share of requests that fail in a way that passes")
    add("--kinds", nargs="+", default=FAULTS, choices=(*FAULTS, "hang"), help="the faults that are drawn")
    add("--no-usage", type=float, default=0.0, help="share of answers that do not say how many tokens they took")
    add("--seed", type=int, default=0, help="of the faults")
    add("--key", default="", help="the key that requests must bear")
    add("--model", default="", help="the one model that is served")
    add("--signatures", action="store_true", help="demand thought signatures, as Gemini does")
    add("--refused", nargs="+", default=(), help="fields that are refused, as some servers refuse seed")
    add("--max-context", type=int, default=0, help="characters beyond which a conversation is too long")
    add("--replies", help="a JSON file with a list: what the model writes in its first turn, its second, …")
    given = vars(parser.parse_args(argv))
    script = replies_from(given.pop("replies")) if given["replies"] else default_script
    given.pop("replies", None)
    port = given.pop("port")
    given |= {name: tuple(given[name]) for name in ("kinds", "refused")}
    stub = Stub(script, StubOptions(**given), port)
    say(f"listening: openai:model={given['model'] or 'stub'},base_url={stub.url}")
    with contextlib.suppress(KeyboardInterrupt):
        stub.serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
