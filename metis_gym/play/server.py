"""Serves a game to one browser of this machine's user, and to nobody else.

It listens on 127.0.0.1 only. The printed address holds a token, which is exchanged for a cookie that scripts cannot
read and other sites cannot send; each form holds another one. The Host header is checked, so that no foreign name leads
here. A browser sends boxes and texts, never code.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from metis_gym.errors import InvalidActionError, MetisError
from metis_gym.play.game import Game
from metis_gym.play.page import POLICY, game_html, message_html

__all__ = ["PlayServer"]

_HOST = "127.0.0.1"
_COOKIE = "metis-gym-play"
_MAX_BODY = 16_384
_MAX_DIGITS = 7
_SECONDS = 30
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class PlayServer:
    """A server for one game.

    All moves run in one thread: what a sandbox starts may end with the thread that started it.

    Args:
        game: The game; the server closes it.
        title: What is played.
        port: Where to listen on 127.0.0.1; 0 for any free port.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, game: Game, *, title: str, port: int = 0) -> None:
        self.token, self._cookie, self._form = (secrets.token_urlsafe(24) for _ in range(3))
        self._game, self._title, self._problem = game, title, ""
        self._server = _Listener((_HOST, port), _Handler)
        self._server.play = self
        self._player = ThreadPoolExecutor(max_workers=1)
        self.port = int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{_HOST}:{self.port}/?token={self.token}"

    def serve(self) -> None:
        """Serve until `stop` is called or the user interrupts."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """End `serve`, from another thread."""
        self._server.shutdown()

    def close(self) -> None:
        """Close the socket and the game."""
        self._server.server_close()
        self._player.submit(self._game.close).result()
        self._player.shutdown()

    def is_own_host(self, host: str | None) -> bool:
        """Whether the server was asked by one of its own names."""
        return host in (f"{_HOST}:{self.port}", f"localhost:{self.port}")

    def is_own_origin(self, origin: str | None) -> bool:
        """Whether a form comes from a page of this server. Browsers that say nothing are told by cookie and form."""
        return origin is None or (urlsplit(origin).scheme == "http" and self.is_own_host(urlsplit(origin).netloc))

    def knows_cookie(self, header: str | None) -> bool:
        """Whether this is the browser that had the token."""
        try:
            morsel = SimpleCookie(header or "").get(_COOKIE)
        except CookieError:
            return False
        return morsel is not None and _equal(morsel.value, self._cookie)

    def cookie_for(self, token: str) -> str | None:
        """The cookie for whoever has the token; it is gone when the browser closes."""
        return f"{_COOKIE}={self._cookie}; HttpOnly; SameSite=Strict; Path=/" if _equal(token, self.token) else None

    def knows_form(self, fields: Mapping[str, str]) -> bool:
        """Whether a form comes from a page that this server wrote."""
        return _equal(fields.get("form", ""), self._form)

    def page(self) -> str:
        """The game as it stands; the first task is drawn when it is first asked for."""
        return self._player.submit(self._page).result()

    def move(self, name: str, fields: Mapping[str, str]) -> bool:
        """Make a move, unless it was meant for another place of the game. What is wrong stands on the next page.

        Returns:
            Whether there is such a move.
        """
        return name in _MOVES and self._player.submit(self._move, _MOVES[name], fields).result()

    def _page(self) -> str:
        if self._game.number == 0:
            self._move(_MOVES["next"], {"place": self._game.place})
        if self._game.number == 0:
            return message_html("No task", self._problem)
        problem, self._problem = self._problem, ""
        return game_html(self._game, title=self._title, form_token=self._form, problem=problem)

    def _move(self, move: Callable[[Game, Mapping[str, str]], None], fields: Mapping[str, str]) -> bool:
        if fields.get("place") != self._game.place:
            return True  # sent twice, or from a page that is out of date: show how it stands
        try:
            move(self._game, fields)
        except MetisError as error:
            self._problem = str(error)
        return True


def _crop(game: Game, fields: Mapping[str, str]) -> None:
    sides = [fields.get(name, "") for name in ("left", "top", "right", "bottom")]
    if not all(side.isascii() and side.isdigit() and len(side) <= _MAX_DIGITS for side in sides):
        raise InvalidActionError("a box is four whole numbers: drag it on the image, or type them")
    left, top, right, bottom = map(int, sides)
    game.crop((left, top, right, bottom))


_MOVES: Mapping[str, Callable[[Game, Mapping[str, str]], None]] = {
    "next": lambda game, _: game.next(),
    "crop": _crop,
    "search": lambda game, fields: game.search(fields.get("query", "")),
    "search_image": lambda game, _: game.search_image(),
    "answer": lambda game, fields: game.answer(fields.get("answer", "")),
}


class _Listener(ThreadingHTTPServer):
    """A browser opens connections that it does not use, so each has a thread."""

    daemon_threads = True
    play: PlayServer


class _Handler(BaseHTTPRequestHandler):
    """Refuses everything that is not the one browser; then a page, or a move and the way back to the page."""

    timeout = _SECONDS
    server: _Listener
    server_version = "metis-gym"
    sys_version = ""

    def do_GET(self) -> None:
        """The page; with the token, the cookie."""
        play, address = self.server.play, urlsplit(self.path)
        if not play.is_own_host(self.headers.get("Host")):
            return self._refuse("This server answers to 127.0.0.1 only.")
        if address.path != "/":
            return self._refuse("There is nothing here.", HTTPStatus.NOT_FOUND)
        token = parse_qs(address.query).get("token", [""])[-1]
        if cookie := play.cookie_for(token):
            return self._send("", HTTPStatus.SEE_OTHER, {"Location": "/", "Set-Cookie": cookie})
        if not play.knows_cookie(self.headers.get("Cookie")):
            return self._refuse("Open the address that metis-gym play printed: it holds the key.")
        return self._send(play.page())

    def do_POST(self) -> None:
        """A move."""
        play = self.server.play
        if not play.is_own_host(self.headers.get("Host")) or not play.is_own_origin(self.headers.get("Origin")):
            return self._refuse("This server answers to its own pages only.")
        if not play.knows_cookie(self.headers.get("Cookie")):
            return self._refuse("Open the address that metis-gym play printed: it holds the key.")
        fields = self._fields()
        if fields is None or not play.knows_form(fields):
            return self._refuse("This form is not from this server.")
        if not play.move(self.path.removeprefix("/"), fields):
            return self._refuse("There is no such move.", HTTPStatus.NOT_FOUND)
        return self._send("", HTTPStatus.SEE_OTHER, {"Location": "/"})

    def _fields(self) -> dict[str, str] | None:
        """The form's fields; None where it is no form, or too large a one."""
        length = self.headers.get("Content-Length", "")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not length.isascii() or not length.isdigit() or len(length) > _MAX_DIGITS or int(length) > _MAX_BODY:
            return None
        if kind != "application/x-www-form-urlencoded":
            return None
        try:
            read = parse_qs(self.rfile.read(int(length)).decode("ascii"), keep_blank_values=True, max_num_fields=16)
        except ValueError:
            return None
        return {name: values[-1] for name, values in read.items()}

    def _refuse(self, why: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        self._send(message_html("Refused", why), status)

    def _send(self, page: str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> None:
        body = page.encode("utf-8", "replace")
        self.send_response(status)
        for name, value in {**_HEADERS, **(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: addresses hold the token."""


def _equal(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
