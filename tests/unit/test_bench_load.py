"""The bench's load generator against real servers: what it counts, and what it calls an error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from benchmarks.load import Order, carry_out
from benchmarks.measure import keep

_PATH = "/benchmarks.Test/Echo"


class _Echo:
    """Answers with what was sent; remembers who sent it, and refuses whose token is `bad`."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []

    def __call__(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        token = next((str(value) for key, value in context.invocation_metadata() if key == "authorization"), "")
        self.seen.append((token, request))
        context.set_trailing_metadata((("x-request-id", str(len(self.seen))),))
        if token == "Bearer bad":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        return request


@pytest.fixture
def echo() -> Iterator[tuple[_Echo, str]]:
    behaviour = _Echo()
    server = grpc.server(ThreadPoolExecutor(2))
    service, _, method = _PATH[1:].partition("/")
    handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(behaviour)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield behaviour, f"127.0.0.1:{port}"
    server.stop(0).wait()


def order(address: str, requests: Path, **more: Any) -> Order:
    base: dict[str, Any] = {"seconds": 20.0, "in_flight": 8, "connections": 3, "calls": 300, "server": os.getpid()}
    return Order(address=address, path=_PATH, requests=str(requests), **(base | more))


def test_every_request_arrives_with_its_own_token_and_body(echo: tuple[_Echo, str], tmp_path: Path) -> None:
    behaviour, address = echo
    requests = [(f"token{n}", b"x" * n) for n in range(40)]
    run = carry_out(order(address, keep(tmp_path, "some", requests)))
    assert (run.errors, run.problem) == (0, "")
    assert 300 <= run.calls <= 300 + 2 * 8  # what is in flight when the last of them ends still counts
    assert len(behaviour.seen) == run.calls == run.next
    assert set(behaviour.seen) == {(f"Bearer {token}", body) for token, body in requests}
    assert 0 < run.p50 <= run.p99


def test_a_run_goes_on_where_the_last_one_stopped(echo: tuple[_Echo, str], tmp_path: Path) -> None:
    behaviour, address = echo
    file = keep(tmp_path, "many", [("", str(n).encode()) for n in range(1000)])
    first = carry_out(order(address, file, calls=50))
    carry_out(order(address, file, calls=50, start=first.next))
    bodies = [body for _, body in behaviour.seen]
    assert len(bodies) == len(set(bodies))


def test_refused_calls_are_errors(echo: tuple[_Echo, str], tmp_path: Path) -> None:
    _, address = echo
    run = carry_out(order(address, keep(tmp_path, "bad", [("good", b"1"), ("bad", b"2")])))
    assert run.calls // 3 < run.errors < run.calls
    assert run.problem == "grpc-status 7 not you"


def test_windows_hold_calls_and_cpu(echo: tuple[_Echo, str], tmp_path: Path) -> None:
    _, address = echo
    run = carry_out(order(address, keep(tmp_path, "one", [("", b"")]), calls=0, seconds=0.6))
    assert len(run.windows) == 2
    assert all(window.calls > 0 and window.server > 0 for window in run.windows)
    assert run.resident > 1_000_000


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 403)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"2\r\nok\r\n0\r\n\r\n")
            return
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize(("path", "fails"), [("/good", False), ("/bad", True), ("/chunked", True)])
def test_http_1_is_spoken_to_peers(path: str, fails: bool, tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    requests = keep(tmp_path, "get", [("", f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())])
    run = carry_out(Order(address, "", str(requests), 20.0, in_flight=2, connections=2, server=os.getpid(), calls=20))
    server.shutdown()
    server.server_close()
    assert run.calls >= 20
    assert run.errors == (run.calls if fails else 0)
