"""The real gateway in front of a server, and its access log."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, TypeVar

from tenantry_server.gateway import Gateway

from .http import TIMEOUT, Http

T = TypeVar("T")


def eventually(found: Callable[[], T | None], what: str, *, within: float = 20.0) -> T:
    """What a condition finds, once it does. Fails when that takes too long."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited {within:.0f} seconds in vain: {what}")


@dataclass(frozen=True)
class Front:
    """A running gateway."""

    address: str
    access_log: Path
    trust: ssl.SSLContext | None = None

    def http(self, token: str = "") -> Http:
        """A client with a connection of its own, to be closed."""
        if self.trust is None:
            return Http(self.address, token)
        return Http(self.address, token, connection=HTTPSConnection(self.address, timeout=TIMEOUT, context=self.trust))

    def logged(self, request_id: str) -> dict[str, Any]:
        """The access log's line about a request."""
        return eventually(lambda: self._find(request_id), f"request {request_id} in the access log")

    def _find(self, request_id: str) -> dict[str, Any] | None:
        # The last line may still be in the making.
        lines = self.access_log.read_text().splitlines(keepends=True)
        entries = (json.loads(line) for line in lines if line.endswith("\n"))
        return next((entry for entry in entries if entry["request_id"] == request_id), None)


@contextmanager
def fronting(grpc_address: str, folder: Path, *, trust: ssl.SSLContext | None = None, **options: Any) -> Iterator[Front]:
    """Runs a gateway in front of a server, its clients trusting its certificate. To be entered in the main thread."""
    log = folder / "access.log"
    log.touch()
    with Gateway(http_address="127.0.0.1:0", grpc_address=grpc_address, access_log=str(log), **options) as running:
        yield Front(running.address, log, trust)
