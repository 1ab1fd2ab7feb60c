"""Servers to measure.

    python -m benchmarks.server            Tenantry itself, as `tenantry serve` runs it, and two methods more
    python -m benchmarks.server --bare ADDRESS THREADS

Both are grpc.health.v1's Check under other names, which goes through what every call goes through, its log line included: the
health check itself has a thread of its own, and is not logged. One is judged PUBLIC, and is the empty call; one is judged
AUTHENTICATED, and tells what authentication costs. The bare server is grpc's own with the same Check and no interceptor.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tenantry_server import bootstrap, cli, processes
from tenantry_server.domain.principal import Level, Requirement
from tenantry_server.rpc.interceptor import Interceptor
from tenantry_server.rpc.policy import MethodPolicy

from .scenarios import EMPTY, HEALTH, KNOWN


class Server(bootstrap.Server):
    """Tenantry's server, and the methods more."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        check = grpc.unary_unary_rpc_method_handler(
            self._health.Check,
            request_deserializer=health_pb2.HealthCheckRequest.FromString,
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        )
        for service, method in (path[1:].split("/") for path in (EMPTY, KNOWN)):
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: check}),))

    def interceptors(self) -> tuple[Interceptor, ...]:
        """The same, told of the methods more."""
        policies: Mapping[str, MethodPolicy] = self.policies
        check = policies[HEALTH]
        known = Requirement(level=Level.AUTHENTICATED, kinds=check.requirement.kinds)
        self.policies = {
            **policies,
            EMPTY: replace(check, path=EMPTY, is_limited=True),
            KNOWN: replace(check, path=KNOWN, requirement=known),
        }
        return super().interceptors()


def bare(address: str, threads: int) -> None:
    """Serves Check alone, until a signal comes."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server = grpc.server(ThreadPoolExecutor(threads))
    servicer = health.HealthServicer(experimental_non_blocking=False)
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(address)
    server.start()
    stop.wait()
    server.stop(0).wait()


def main() -> None:
    """Serves what the command line says."""
    if sys.argv[1:2] == ["--bare"]:
        bare(sys.argv[2], int(sys.argv[3]))
        return
    processes.Server = Server  # type: ignore[attr-defined]  # what `serve` makes
    cli.main(["serve"])


if __name__ == "__main__":
    main()
