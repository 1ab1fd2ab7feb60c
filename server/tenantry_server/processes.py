"""Processes: one server, several that share a port, and the server with its gateway; each ends by draining.

On SIGTERM or SIGINT a server first says over grpc.health.v1 that it is going, waits until the gateway has noticed, and only
then refuses calls and lets the running ones finish: behind the gateway no call fails. One of several that share a port says
nothing when it goes alone: the others go on at the same address, and only calls that reach it in that instant fail.
"""

import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from . import ports
from .bootstrap import Server, wire
from .children import spawn
from .config import ConfigError, Settings
from .domain.permissions import Catalog
from .domain.rates import Rates
from .gateway import Gateway
from .oidc.verifier import Verifier
from .operator_files import load_catalog, load_regions
from .services.counters import SharedCounter
from .store.database import Database
from .store.replicas import open_replicated
from .store.urls import open_database
from .tls import TlsError, Transport, Upstream, open_channel

log = structlog.get_logger("tenantry.processes")

# Twice the gateway's health check interval, and a little.
NOTICE = 2.5
GRACE = 10.0
_START_TIME = 30.0
_RESTART_PAUSE = 1.0


class ProcessError(Exception):
    """A process could not be started, or ended by itself."""


def serve(settings: Settings, *, share_port: bool = False) -> None:
    """Serves gRPC in this process until a signal comes."""
    stop = stopping()
    if not share_port:
        _ensure_free(*ports.of_server(settings))
    catalog = load_catalog(settings.permissions_file)
    transport = _transport(settings, catalog)
    regions = load_regions(settings.regions_file)
    services = wire(_database(settings), catalog, settings.limits, regions=regions)
    verifier = Verifier(settings.oidc_issuers, services.store.clock) if settings.oidc_issuers else None
    address = settings.grpc_address
    try:
        server = Server(
            services,
            address=address,
            share_port=share_port,
            transport=transport,
            verifier=verifier,
            counter=SharedCounter(settings.rate_limit_redis_url) if settings.rate_limit_redis_url else None,
            trusted_proxies=settings.trusted_proxies,
        )
    except (RuntimeError, TlsError) as error:
        raise ProcessError(f"cannot listen on {settings.grpc_address}: {error}") from error
    server.start()
    log.info("serving", address=settings.grpc_address)
    stop.wait()
    log.info("draining", address=settings.grpc_address)
    if not share_port or _supervisor_ends():
        server.announce_end()
        time.sleep(NOTICE)
    server.stop(GRACE)


def supervise(settings: Settings) -> None:
    """Serves gRPC in several processes that share the port, and replaces one that dies, until a signal comes."""
    stop = stopping()
    _transport(settings, load_catalog(settings.permissions_file))
    _ensure_free(*ports.of_server(settings))
    if settings.limits.rates != Rates() and not settings.rate_limit_redis_url:
        log.warning("without Redis every process counts calls by itself", workers=settings.workers)
    workers = [_spawn("serve", "--worker") for _ in range(settings.workers)]
    try:
        while not stop.wait(0.2):
            for index, worker in enumerate(workers):
                if worker.poll() is not None:
                    log.error("worker ended", pid=worker.pid, status=worker.returncode)
                    stop.wait(_RESTART_PAUSE)
                    workers[index] = _spawn("serve", "--worker")
    finally:
        _end(workers)


def up(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serves gRPC, and the gateway in front of it, until a signal comes; `ready` is told where the gateway listens.

    Raises ProcessError or GatewayError when one of the two cannot start or ends by itself.
    """
    stop = stopping()
    _transport(settings, load_catalog(settings.permissions_file))
    front = _gateway(settings)
    _ensure_free(*ports.of_server(settings), settings.http_address)
    with ExitStack() as stack:
        server = _spawn("serve")
        stack.callback(_end, [server])
        wait_until_serving(settings.grpc_address, lambda: server.poll() is None, ports.upstream(settings))
        gateway = stack.enter_context(front)
        stack.callback(_end, [server])
        ready(gateway.address)
        while not stop.wait(0.2):
            if server.poll() is not None:
                raise ProcessError(f"the server ended with status {server.returncode}")
            if (status := gateway.poll()) is not None:
                raise ProcessError(f"the gateway ended with status {status}")
        gateway.drain()


def gateway(settings: Settings, ready: Callable[[str], None]) -> None:
    """Runs the gateway alone, until a signal comes; then it lets running calls finish."""
    stop = stopping()
    with _gateway(settings) as running:
        ready(running.address)
        while not stop.wait(0.2):
            if (status := running.poll()) is not None:
                raise ProcessError(f"the gateway ended with status {status}")
        running.drain()
        time.sleep(NOTICE)
        running.wait_until_idle(GRACE)


def stopping() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: event.set())
    return event


def wait_until_serving(address: str, alive: Callable[[], bool], upstream: Upstream | None = None) -> None:
    """Returns when the server at the address says that it serves, and proves what it must. Raises ProcessError when not."""
    deadline = time.monotonic() + _START_TIME
    with open_channel(address, upstream) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # missing in the stubs
        while alive() and time.monotonic() < deadline:
            with suppress(grpc.RpcError):
                answer = check(health_pb2.HealthCheckRequest(), timeout=1)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            time.sleep(0.05)
    raise ProcessError("the server did not start; its log says why")


def _database(settings: Settings) -> Database:
    """The database, with its replica if it has one. Raises ConfigError."""
    if not settings.replica_url:
        return open_database(settings.database_url, prepare=settings.database_prepare)
    try:
        return open_replicated(settings.database_url, settings.replica_url, prepare=settings.database_prepare)
    except ValueError:
        raise ConfigError("TENANTRY_REPLICA_URL and TENANTRY_DATABASE_URL must both be postgresql://…") from None


def _transport(settings: Settings, catalog: Catalog) -> Transport | None:
    """How the server speaks TLS, checked. Raises ConfigError."""
    # The platform's permissions, once the catalog has them.
    return ports.transport(settings, catalog.platform)


def _gateway(settings: Settings) -> Gateway:
    """The gateway, checked and not started. Raises ConfigError."""
    return Gateway(
        http_address=settings.http_address,
        grpc_address=settings.grpc_address,
        certificate=ports.front(settings),
        upstream=ports.upstream(settings),
    )


def _spawn(*arguments: str) -> "subprocess.Popen[Any]":
    """One of our own commands as a child. Its standard input ends when we do."""
    return spawn([sys.executable, "-m", "tenantry_server", *arguments], stdin=subprocess.PIPE)


def _supervisor_ends() -> bool:
    """Whether the process that started this one ends too, or has ended."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def _end(children: "list[subprocess.Popen[Any]]") -> None:
    for child in children:
        if child.stdin:
            child.stdin.close()
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(NOTICE + GRACE + 5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _ensure_free(*addresses: str) -> None:
    """Sees that nobody has them: processes that share a port would share it with a stranger of ours, too."""
    for address in addresses:
        host, _, port = address.rpartition(":")
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host.strip("[]"), int(port)))
            except OSError as error:
                raise ProcessError(f"cannot listen on {address}: {error.strerror}") from error
