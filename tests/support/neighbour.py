"""Another server process over the same database: `python -m support.neighbour URL` says its port, and ends with its input."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from tenantry_server import bootstrap, logs
from tenantry_server.store.urls import open_database

from .deployment import CATALOG, LIMITS


def main(url: str) -> None:
    """Serves until there is nothing more to read."""
    logs.configure(logging.CRITICAL)
    server = bootstrap.Server(bootstrap.wire(open_database(url), CATALOG, LIMITS), address="127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(grace=1)


@contextmanager
def neighbour(url: str) -> Iterator[grpc.Channel]:
    """A channel to such a process."""
    command, folder = [sys.executable, "-m", "support.neighbour", url], Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield channel
        finally:
            process.stdin.close()
            process.wait(20)


if __name__ == "__main__":
    main(sys.argv[1])
