"""Connections of the load generator: gRPC over HTTP/2, many calls at once, and HTTP/1.1 for peers, one call at a time.

A call is sent as prebuilt pieces of bytes. It succeeded when a message came and the status is 0, or 200 over HTTP/1.1.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from . import frames

_READ = 1 << 18
_REFILL = 1 << 29
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """What one call says: a credential and a message over gRPC; over HTTP/1.1 all of it is the body."""

    token: str
    body: bytes


@dataclass(slots=True)
class Done:
    """A call that ended: when it began, and what went wrong, if anything did."""

    start: float
    problem: str = ""


class Wire(Protocol):
    """A connection to a server."""

    socket: socket.socket

    def send(self, number: int) -> None:
        """Begins the call of a request, by its number."""

    def flush(self) -> None:
        """Sends what was begun."""

    def receive(self) -> list[Done]:
        """Reads what came; the calls that ended. Raises ConnectionError."""


def connect(address: str) -> socket.socket:
    """A connection to `host:port`."""
    host, _, port = address.rpartition(":")
    opened = socket.create_connection((host, int(port)), timeout=30)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


@dataclass(slots=True)
class Prepared:
    """All calls of a scenario over HTTP/2, but for what differs by connection and stream."""

    first: bytes
    later: bytes
    calls: list[tuple[bytes, bytes, bytes]]  # the frames' heads up to the stream's id, and the message

    @classmethod
    def of(cls, path: str, address: str, requests: Sequence[Request]) -> Prepared:
        """Prebuilds them."""
        first, later = frames.request_headers(path, address)
        calls = []
        for request in requests:
            block = later + frames.credential(request.token)
            body = frames.message(request.body)
            head = frames.frame(frames.HEADERS, frames.END_HEADERS, 0, block)
            calls.append((head[:5], block + frames.frame(frames.DATA, frames.END_STREAM, 0, body)[:5], body))
        return cls(first, later, calls)


@dataclass(slots=True)
class _Stream:
    start: float
    answered: bool = False


@dataclass
class Http2:
    """gRPC over HTTP/2."""

    socket: socket.socket
    prepared: Prepared
    _streams: dict[int, _Stream] = field(default_factory=dict)
    _decoder: frames.Decoder = field(default_factory=frames.Decoder)
    _out: bytearray = field(default_factory=lambda: bytearray(frames.preface()))
    _in: bytearray = field(default_factory=bytearray)
    _next: int = 1
    _received: int = 0

    def send(self, number: int) -> None:
        """Begins a call."""
        head, middle, body = self.prepared.calls[number]
        stream = self._next.to_bytes(4, "big")
        if self._next == 1:  # spelt out, for the server to keep
            block = self.prepared.first + middle[len(self.prepared.later) : -5]
            head, middle = frames.frame(frames.HEADERS, frames.END_HEADERS, 0, block)[:5], block + middle[-5:]
        self._out += b"".join((head, stream, middle, stream, body))
        self._streams[self._next] = _Stream(time.perf_counter())
        self._next += 2

    def flush(self) -> None:
        """Sends what was begun."""
        if self._out:
            self.socket.sendall(self._out)
            self._out.clear()

    def receive(self) -> list[Done]:
        """Reads frames."""
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._in += data
        done: list[Done] = []
        at = 0
        while len(self._in) - at >= 9:
            end = at + 9 + int.from_bytes(self._in[at : at + 3], "big")
            if end > len(self._in):
                break
            head = self._in[at : at + 9]
            self._take(head[3], head[4], int.from_bytes(head[5:9], "big"), bytes(self._in[at + 9 : end]), done)
            at = end
        del self._in[:at]
        return done

    def _take(self, kind: int, flags: int, stream: int, payload: bytes, done: list[Done]) -> None:
        if kind == frames.DATA:
            self._count(len(payload))
            self._streams[stream].answered = True
        elif kind == frames.HEADERS:
            headers = self._decoder.decode(payload)
            if flags & frames.END_STREAM:
                done.append(self._end(stream, dict(headers)))
        elif kind == frames.RST_STREAM:
            done.append(Done(self._streams.pop(stream).start, f"reset, {payload.hex()}"))
        elif kind == frames.SETTINGS and not flags & frames.ACK:
            self._out += frames.frame(frames.SETTINGS, frames.ACK, 0)
        elif kind == frames.PING and not flags & frames.ACK:
            self._out += frames.frame(frames.PING, frames.ACK, 0, payload)
        elif kind == frames.GOAWAY:
            raise ConnectionError(f"the server goes away: {payload[8:].decode(errors='replace')}")

    def _count(self, size: int) -> None:
        self._received += size
        if self._received > _REFILL:
            self._out += frames.widen(self._received)
            self._received = 0

    def _end(self, number: int, trailers: dict[bytes, bytes]) -> Done:
        stream = self._streams.pop(number)
        status = trailers.get(b"grpc-status", b"none")
        if status == b"0" and stream.answered:
            return Done(stream.start)
        text = trailers.get(b"grpc-message", b"").decode(errors="replace")
        return Done(stream.start, f"grpc-status {status.decode()} {text}".rstrip())


@dataclass
class Http1:
    """HTTP/1.1, kept alive."""

    socket: socket.socket
    requests: Sequence[Request]
    _out: bytes = b""
    _in: bytes = b""
    _start: float = 0.0

    def send(self, number: int) -> None:
        """Begins a call."""
        self._out = self.requests[number].body
        self._start = time.perf_counter()

    def flush(self) -> None:
        """Sends what was begun."""
        if self._out:
            self.socket.sendall(self._out)
            self._out = b""

    def receive(self) -> list[Done]:
        """Reads an answer."""
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._in += data
        head, found, body = self._in.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        whole = len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")
        if not found or not whole:
            return []
        self._in = b""
        status = head.split(b" ", 2)[1]
        return [Done(self._start, "" if status == b"200" else f"HTTP status {status.decode()} {body[:200]!r}")]
