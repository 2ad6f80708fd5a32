"""Running servers: one process for each worker, each with a port of its own, because one process is one Python lock.

A worker that ends by itself is started again; it loses its own episodes only. Workers end with the process that started
them, however that ends.
"""

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import uvicorn

from metis_gym.errors import ConfigError, MetisError
from metis_gym.registration import register_all
from metis_gym.registries import adopt, in_process_names
from metis_gym.serve.app import ServeConfig, make_app

__all__ = ["Workers", "serve_here"]

_MAX_MESSAGE = 1 << 20
"""Bytes of a message of a client: the longest turn that is read, six bytes a character at most, and some more."""
_QUEUE = 4
_SPARE_CONNECTIONS = 16
_PAUSE = 1.0
_PATIENCE = 10.0


def serve_here(
    config: ServeConfig,
    host: str,
    port: int,
    *,
    started: Callable[[int], object] = lambda _: None,
    parent: Connection | None = None,
) -> None:
    """Serve in this process until it is told to stop.

    Args:
        config: What is served.
        host: Where to listen.
        port: Where to listen; 0 for any free port.
        started: Told the port when the server listens.
        parent: The other end belongs to the process that started this one: when it is gone, the server stops.
    """
    settings = uvicorn.Config(
        make_app(config),
        host=host,
        port=port,
        ws_max_size=_MAX_MESSAGE,
        ws_max_queue=_QUEUE,
        limit_concurrency=config.sessions + _SPARE_CONNECTIONS,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
    )
    server = uvicorn.Server(settings)

    def tell() -> None:
        while not (server.started or server.should_exit):
            time.sleep(0.01)
        if server.started:
            started(server.servers[0].sockets[0].getsockname()[1])

    def follow() -> None:
        assert parent is not None
        with contextlib.suppress(EOFError, OSError):
            parent.recv()
        server.should_exit = server.force_exit = True

    threads = [tell] if parent is None else [tell, follow]
    for target in threads:
        threading.Thread(target=target, daemon=True).start()
    server.run()


@dataclass(frozen=True)
class _Worker:
    process: SpawnProcess
    life: Connection
    port: int


class Workers:
    """The worker processes of a server.

    Args:
        config: What is served; the sessions are those of one worker.
        host: Where they listen.
        port: The first worker's port, the others follow; 0 for any free ports.
        workers: How many.
    """

    def __init__(self, config: ServeConfig, host: str, port: int, workers: int) -> None:
        self._config, self._host = config, host
        self._context = multiprocessing.get_context("spawn")
        self._names = in_process_names()
        self._workers: list[_Worker] = []
        try:
            for number in range(workers):
                self._workers.append(self._start(port + number if port else 0))
        except BaseException:
            self.close()
            raise

    @property
    def ports(self) -> list[int]:
        """Where they listen."""
        return [worker.port for worker in self._workers]

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return [int(worker.process.pid or 0) for worker in self._workers]

    def watch(self, stopped: threading.Event) -> Iterator[int]:
        """Start workers again that ended by themselves, until `stopped` is set; the ports of these."""
        while not stopped.is_set():
            wait([worker.process.sentinel for worker in self._workers], timeout=_PAUSE)
            for number, worker in enumerate(self._workers):
                if not stopped.is_set() and worker.process.exitcode is not None:
                    worker.life.close()
                    self._workers[number] = self._start(worker.port)
                    yield worker.port
                    stopped.wait(_PAUSE)  # one that cannot live is not started in a tight loop

    def close(self) -> None:
        """End all workers, and with them their sessions."""
        for worker in self._workers:
            worker.life.close()
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()

    def _start(self, port: int) -> _Worker:
        life, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(self._config, self._host, port, theirs, self._names), daemon=True
        )
        process.start()
        theirs.close()
        try:
            answer = life.recv()
        except EOFError:
            answer = None
        if not isinstance(answer, int):
            process.join(_PATIENCE)
            if isinstance(answer, MetisError):
                raise answer
            raise ConfigError(f"cannot listen on {self._host}, port {port}: {answer or 'see above'}") from answer
        return _Worker(process, life, answer)


def _work(
    config: ServeConfig, host: str, port: int, parent: Connection, names: tuple[tuple[str, str, str], ...]
) -> None:
    """Runs in a worker process, where the ids and the user's names are not registered yet."""
    register_all()
    adopt(names)
    told: list[Any] = []

    def started(listening: int) -> None:
        told.append(listening)
        parent.send(listening)

    try:
        serve_here(config, host, port, started=started, parent=parent)
    except Exception as error:  # noqa: BLE001 — the border of a process: the one that started it raises this
        if not told:
            parent.send(error)
