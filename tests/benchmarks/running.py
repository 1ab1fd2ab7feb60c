"""Starts what is measured, each in processes of its own, and ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from tenantry_server.processes import wait_until_serving

from . import signing

_TESTS = Path(__file__).resolve().parents[1]
# Below the ports that the system gives to clients, which could be given away between two starts.
_PORTS = count(21_000 + os.getpid() % 5_000)
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """Something that answers calls, the root of its processes, and that of its database, if the database has one."""

    address: str
    pid: int
    postgres: int = 0


def free_address() -> str:
    """An address on loopback that nobody has."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise AssertionError


@contextmanager
def process(command: list[str], environment: Mapping[str, str], *, log: bool = True) -> Iterator[subprocess.Popen[Any]]:
    """A process of ours, ended with SIGTERM. What it says goes nowhere, or is shown if it ends by itself."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
    with tempfile.TemporaryFile() as said:
        output = said if log else subprocess.DEVNULL
        started = subprocess.Popen(command, env={**own, **environment}, stdout=output, stderr=output, cwd=_TESTS)
        try:
            yield started
        except BaseException:
            said.seek(0)
            sys.stderr.write(said.read()[-4000:].decode(errors="replace"))
            raise
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


@contextmanager
def tenantry(url: str, *, postgres: int = 0, workers: int = 1, plain: bool = False) -> Iterator[Running]:
    """Tenantry over a database; `plain` is the product itself, without the bench's method. Its log goes nowhere."""
    address = free_address()
    environment = {
        "TENANTRY_DATABASE_URL": url,
        "TENANTRY_GRPC_ADDRESS": address,
        "TENANTRY_WORKERS": str(workers),
        # Every call is counted, and none refused.
        **dict.fromkeys(
            ("TENANTRY_RATE_LIMIT", "TENANTRY_RATE_LIMIT_PRINCIPAL", "TENANTRY_RATE_LIMIT_ADDRESS"), "999999999/1d"
        ),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", *(("tenantry_server", "serve") if plain else ("benchmarks.server",))]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        environment |= signing.settings(Path(folder))
        server = stack.enter_context(process(command, environment, log=False))
        wait_until_serving(address, lambda: server.poll() is None)
        yield Running(address, server.pid, postgres)


@contextmanager
def bare(threads: int) -> Iterator[Running]:
    """A server of grpc's without anything of ours."""
    address = free_address()
    command = [sys.executable, "-m", "benchmarks.server", "--bare", address, str(threads)]
    with process(command, {"PYTHONWARNINGS": "ignore"}) as server:
        wait_until_serving(address, lambda: server.poll() is None)
        yield Running(address, server.pid)


def wait_for_port(address: str, started: subprocess.Popen[Any]) -> None:
    """Returns when something listens there. Raises RuntimeError when nothing will."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and started.poll() is None:
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{started.args!r} does not listen")
