"""What a host has that an attacker would like to have: secrets, files, processes, sockets."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import skimage

from metis_gym import errors


class Ground:
    """Sets secrets and victims up in this process and around it, and tells afterwards whether they were touched."""

    def __init__(self) -> None:
        self.tokens = {
            name: f"tok{secrets.token_hex(12)}"
            for name in (
                "environment",
                "world_file",
                "own_file",
                "victim_environment",
                "victim_command",
                "sibling",
                "link",
                "attribute",
            )
        }
        os.environ["METIS_TEST_SECRET"] = self.tokens["environment"]
        self.folder = Path(tempfile.mkdtemp(prefix="attacked-"))
        self.folder.chmod(0o777)
        self._write("world.txt", self.tokens["world_file"], 0o644)
        self._write("own.txt", self.tokens["own_file"], 0o600)
        self._write("victim.txt", "untouched", 0o666)
        (self.folder / "link").symlink_to(f"/nowhere/{self.tokens['link']}")
        with contextlib.suppress(OSError):  # not every file system has them
            os.setxattr(self.folder / "world.txt", "user.secret", self.tokens["attribute"].encode())
        self._sockets = self._listen()
        self.victim = subprocess.Popen(
            ["/bin/sh", "-c", f"sleep 3600; : {self.tokens['victim_command']}"],
            env={"VICTIM_SECRET": self.tokens["victim_environment"], "PATH": "/usr/bin:/bin"},
            start_new_session=True,
        )
        self._state = self._snapshot()

    def hints(self) -> dict[str, object]:
        """What the attacker is told: everything but the secrets themselves."""
        return {
            "folder": str(self.folder),
            "world_file": str(self.folder / "world.txt"),
            "own_file": str(self.folder / "own.txt"),
            "victim_file": str(self.folder / "victim.txt"),
            "link": str(self.folder / "link"),
            "host_name": socket.gethostname(),
            "socket": str(self.folder / "socket"),
            "datagram": str(self.folder / "datagram"),
            "abstract": f"\0{self.folder.name}",
            "tcp": self._sockets[0].getsockname()[1],
            "udp": self._sockets[1].getsockname()[1],
            "victim_pid": self.victim.pid,
            "host_pid": os.getpid(),
            "project": os.path.dirname(errors.__file__),
            "photographs": os.path.join(os.path.dirname(skimage.__file__), "data"),
            "temporary": tempfile.gettempdir(),
        }

    def damage(self) -> list[str]:
        """What was touched since the beginning."""
        found = []
        if self._snapshot() != self._state:
            found.append(f"files of the host changed: {self._state} became {self._snapshot()}")
        if self.victim.poll() is not None:
            found.append("another process of the user was killed")
        for listener in self._sockets:
            with contextlib.suppress(BlockingIOError):
                got = listener.recv(100) if listener.type == socket.SOCK_DGRAM else listener.accept()
                found.append(f"something arrived at {listener.getsockname()!r}: {got!r}")
        return found

    def leaked(self, text: str) -> list[str]:
        """Which secrets are in a text."""
        return [f"the secret {name!r} was read" for name, token in self.tokens.items() if token in text]

    def close(self) -> None:
        self.victim.send_signal(signal.SIGKILL)
        self.victim.wait()
        for listener in self._sockets:
            listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.environ.pop("METIS_TEST_SECRET", None)

    def _write(self, name: str, text: str, mode: int) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)

    def _listen(self) -> list[socket.socket]:
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        stream, datagram = (socket.socket(socket.AF_UNIX, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        abstract = socket.socket(socket.AF_UNIX)
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        stream.bind(str(self.folder / "socket"))
        datagram.bind(str(self.folder / "datagram"))
        abstract.bind(f"\0{self.folder.name}")
        for name in ("socket", "datagram"):
            (self.folder / name).chmod(0o777)
        for listener in (tcp, stream, abstract):
            listener.listen(8)
        for listener in (tcp, udp, stream, datagram, abstract):
            listener.setblocking(False)
        return [tcp, udp, stream, datagram, abstract]

    def _snapshot(self) -> dict[str, tuple[int, int, int, bytes]]:
        def look(path: Path) -> tuple[int, int, int, bytes]:
            state = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(state.st_mode) else b""
            return state.st_mode, state.st_mtime_ns, state.st_nlink, content

        return {path.name: look(path) for path in sorted(self.folder.iterdir())}
