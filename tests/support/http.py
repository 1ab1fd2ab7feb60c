"""REST as a client sees it: one kept-alive connection, and answers with their status, headers and body, read and raw."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import Any, Self

TIMEOUT = 30.0
_UNSAID: Any = object()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON of the body; fails when it is not JSON."""
        return json.loads(self.raw)

    @property
    def seen(self) -> tuple[int, Any]:
        """What most tests assert: the status, and the body, which is None when there is none."""
        return self.status, self.body if self.raw else None


class Http:
    """Calls over one connection, which it keeps alive; with one credential, or with none."""

    def __init__(self, address: str, token: str = "", *, connection: http.client.HTTPConnection | None = None) -> None:
        self.address = address
        self._connection = connection or http.client.HTTPConnection(address, timeout=TIMEOUT)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def bearing(self, token: str) -> Http:
        """Calls over the same connection with another credential."""
        return Http(self.address, token, connection=self._connection)

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = _UNSAID, **headers: str) -> Answer:
        """POST; without a body when none is given."""
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: Any = _UNSAID, **headers: str) -> Answer:
        """PUT."""
        return self.call("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = _UNSAID, **headers: str) -> Answer:
        """PATCH."""
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        """DELETE."""
        return self.call("DELETE", path, **headers)

    def call(self, verb: str, path: str, body: Any = _UNSAID, **headers: str) -> Answer:
        """Any verb, with a JSON body. Names of headers are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is _UNSAID:
            return self.send(verb, path, None, named)
        return self.send(verb, path, json.dumps(body).encode(), {"Content-Type": "application/json", **named})

    def send(
        self, verb: str, path: str, content: bytes | Iterable[bytes] | None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Exactly this content, in chunks when it is not bytes."""
        sent = {**self._headers, **(headers or {})}
        try:
            self._connection.request(verb, path, content, sent)
            with closing(self._connection.getresponse()) as response:
                return Answer(response.status, response.headers, response.read())
        except BaseException:
            self._connection.close()
            raise

    @property
    def socket(self) -> socket.socket | None:
        """What the calls go over; None before the first, and after an answer that ended the connection."""
        return self._connection.sock

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def exchange(address: str, request: bytes) -> bytes:
    """All that comes back to some bytes, on a connection of its own, until the other side ends it."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough
            connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))
