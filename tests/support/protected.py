"""Services of somebody else, which know nothing of Tenantry, behind gateway/protect.yaml and the real Envoy."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import yaml

from tenantry_server.gateway import Gateway

from .http import Http

CONFIG = Path(__file__).resolve().parents[2] / "gateway" / "protect.yaml"
REPORTS = "/example.v1.Reports/Read"
Json = dict[str, Any]
# Changes the example for a test.
Change = Callable[[Json], None]


def nothing(config: Json) -> None:
    """The example as it stands."""


@dataclass
class Seen:
    """The requests that came through to the services behind: the line, and the headers."""

    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, str]:
        """The headers of the last one."""
        return self.requests[-1][1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        pairs = [(name.lower(), value) for name, value in self.headers.items()]
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        self.server.seen.requests.append((f"{self.command} {self.path}", dict(pairs)))  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = _answer

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Protecting(Gateway):
    """The example, at the addresses of a test."""

    def __init__(self, ports: dict[str, int], change: Change) -> None:
        super().__init__(http_address="127.0.0.1:0", grpc_address="")
        self._ports = ports
        self._change = change

    def _config(self, folder: Path) -> Json:
        config: Json = yaml.safe_load(CONFIG.read_bytes())
        _be_patient(config)
        self._change(config)
        config["admin"]["address"]["pipe"]["path"] = str(folder / "admin.sock")
        config["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = 0
        for cluster in config["static_resources"]["clusters"]:
            endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
            endpoint["address"]["socket_address"]["port_value"] = self._ports[cluster["name"]]
        return config


def _be_patient(config: Json) -> None:
    """The example on a machine that is busy with other things."""
    manager(config)["http_filters"][0]["typed_config"]["grpc_service"]["timeout"] = "20s"
    for cluster in config["static_resources"]["clusters"]:
        cluster["connect_timeout"] = "20s"
        for probe in cluster.get("health_checks", ()):
            probe["timeout"] = "20s"


@dataclass
class Protected:
    """Envoy in front of an HTTP service and a gRPC service."""

    address: str
    seen: Seen

    def http(self, token: str = "") -> Http:
        """A client, to be closed."""
        return Http(self.address, token)

    def report(self, token: str = "", *metadata: tuple[str, str]) -> Any:
        """Calls the gRPC service: its answer. Raises grpc.RpcError."""
        credential = (("authorization", f"Bearer {token}"),) if token else ()
        with grpc.insecure_channel(self.address) as channel:
            return channel.unary_unary(REPORTS, bytes, bytes)(b"", metadata=(*credential, *metadata), timeout=20)


@contextmanager
def _http_service(seen: Seen) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.seen = seen  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _grpc_service(seen: Seen) -> Iterator[int]:
    def read(_: bytes, context: grpc.ServicerContext) -> bytes:
        seen.requests.append((REPORTS, {key: str(value) for key, value in context.invocation_metadata()}))
        return b"report"

    executor = ThreadPoolExecutor(2)
    server = grpc.server(executor)
    handlers: dict[str, Any] = {"Read": grpc.unary_unary_rpc_method_handler(read)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("example.v1.Reports", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=1).wait()
        executor.shutdown()


@contextmanager
def protecting(tenantry: int, change: Change = nothing) -> Iterator[Protected]:
    """Runs the example in front of both services, with Tenantry at a port. To be entered in the main thread."""
    seen = Seen()
    with ExitStack() as stack:
        ports = {"service": stack.enter_context(_http_service(seen)), "grpc-service": stack.enter_context(_grpc_service(seen))}
        running = stack.enter_context(_Protecting({"tenantry": tenantry, **ports}, change))
        yield Protected(running.address, seen)


def manager(config: Json) -> Json:
    """The connection manager of the example."""
    found: Json = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def routes(config: Json) -> list[Json]:
    """The routes of the example."""
    found: list[Json] = manager(config)["route_config"]["virtual_hosts"][0]["routes"]
    return found


def extensions(route: Json) -> Json:
    """What a route demands."""
    found: Json = route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"]["context_extensions"]
    return found
