"""The composition root: settings become a wired server. With the servicers, it alone imports every layer."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from . import tls
from .oidc.verifier import Verifier
from .rest.authzen import errors as authzen_errors
from .rest.daytona import errors as daytona_errors
from .rest.dotenv import errors as dotenv_errors
from .rpc import interceptors, policy
from .rpc.addresses import Network
from .rpc.admission import Limiting
from .rpc.certificates import certificate_principal
from .rpc.interceptor import Chain, Interceptor
from .rpc.interceptors import ErrorRenderer
from .rpc.overload import Overload, Workers
from .rpc.policy import MethodPolicy
from .servicers import SERVICE_NAMES as SERVICE_NAMES
from .servicers import SERVICERS
from .services.counters import Counter, MemoryCounter
from .services.credentials import Credentials
from .services.last_used import LastUsed
from .services.meter import Meter
from .services.rate_limiter import RateLimiter
from .store.database import Database
from .store.sqlite import SqliteDatabase
from .sweeper import Sweeper
from .wiring import Services as Services
from .wiring import wire as wire


class Threads(NamedTuple):
    """What a server process does at once. What one statement answers waits neither behind lists, nor behind changes: these wait
    for the disk, for others who change the same organization, and for a database that is away while its replica answers.
    """

    quick: int
    lists: int
    changes: int


# Threads hand each other the interpreter, which costs something each time. SQLite runs one statement and one change at a time,
# so more threads would only cost more. PostgreSQL's are as many as keep the interpreter busy while answers are a millisecond
# away; changes are more, because some wait for each other.
_SQLITE = Threads(quick=1, lists=1, changes=1)
_POSTGRESQL = Threads(quick=4, lists=4, changes=8)
# Calls beyond this many are refused with RESOURCE_EXHAUSTED instead of queueing without end; beyond the second bound, gRPC
# does so itself, without a reason.
_MOST, _HARD_BOUND = 64, 1024

_OPTIONS = (
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.max_receive_message_length", 1 << 20),
    # Above what the gateway lets through; below the hard limit, grpc refuses at random from the soft one on.
    ("grpc.max_metadata_size", 32 << 10),
    ("grpc.absolute_max_metadata_size", 64 << 10),
    # Connections stick to the process that accepted them, so ageing spreads them anew.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


# How each dialect, by its proto package, says what went wrong.
_RENDERERS: Mapping[str, ErrorRenderer] = {
    "tenantry.rest.daytona.v1": daytona_errors.render,
    "tenantry.rest.dotenv.v1": dotenv_errors.render,
    "tenantry.rest.authzen.v1": authzen_errors.render,
}


class Health(health.HealthServicer):
    """grpc.health.v1 without Watch, which would hold a worker thread for as long as a stranger likes."""

    def Watch(self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None) -> Any:
        """Refuses."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "use Check")


class Server:
    """A gRPC server over wired services, with health and drain."""

    def __init__(
        self,
        services: Services,
        *,
        address: str,
        share_port: bool = False,
        transport: tls.Transport | None = None,
        verifier: Verifier | None = None,
        counter: Counter | None = None,
        trusted_proxies: tuple[Network, ...] = (),
    ) -> None:
        """Raises PolicyError when a method's declaration is wrong, RuntimeError when an address cannot be bound, TlsError when
        the transport's certificates cannot be used. Without a transport the port speaks plaintext, and is the only one;
        without a verifier nobody signs in, and without a counter this process counts calls by itself.
        """
        self._clients = transport.clients if transport else None
        self.policies = policy.read((*SERVICE_NAMES, *policy.INFRASTRUCTURE), services.store.catalog)
        self._verifier = verifier
        self._last_used = LastUsed(services.store.database)
        self._sweeper = Sweeper(services.store)
        self.credentials = Credentials(services.store, services.sign_in, self._last_used, verifier)
        limiter = RateLimiter(services.store, services.rate_limits.limits.rates, counter or MemoryCounter())
        self._meter = Meter(services.store)
        self.limiting = Limiting(limiter, self._meter, trusted_proxies)
        self.services = services = replace(
            services,
            authorization=services.authorization.presenting(self.credentials),
            rate_limits=services.rate_limits.counting(limiter),
        )
        workers, apart = _workers(services.store.database, self.policies)
        self.overload = Overload(workers, apart)
        self._server = grpc.server(
            workers,
            interceptors=[self.overload, Chain(self.interceptors())],
            options=(*_OPTIONS, ("grpc.so_reuseport", int(share_port))),
            maximum_concurrent_rpcs=_HARD_BOUND,
        )
        for _, register, make in SERVICERS:
            register(make(services), self._server)
        self._health = Health(experimental_non_blocking=False)
        self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port, self.mtls_port = tls.listen(self._server, address, transport)

    def interceptors(self) -> tuple[Interceptor, ...]:
        """What surrounds every call; tests take links out to see others fail."""
        parts = (self.policies, self.services.store, self.credentials, _RENDERERS, self.limiting)
        if self._clients is None:
            return interceptors.chain(*parts)
        clients = self._clients
        return interceptors.chain(
            *parts, partial(certificate_principal, principals=clients.principals, revoked=clients.revoked)
        )

    def start(self) -> None:
        """Accepts calls, and says so."""
        self._last_used.start()
        self._meter.start()
        self._sweeper.start()
        if self._verifier:
            self._verifier.start()
        self._server.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)

    def announce_end(self) -> None:
        """Says that no more calls should come, while it still answers those that do."""
        self._health.enter_graceful_shutdown()

    def stop(self, grace: float) -> None:
        """Refuses new calls, waits up to `grace` seconds for running ones, and closes every connection."""
        self._server.stop(grace).wait()
        self.overload.close()
        if self._verifier:
            self._verifier.close()
        self._sweeper.close()
        self._last_used.close()
        self._meter.close()
        self.services.store.database.shut_down()


def _workers(database: Database, policies: Mapping[str, MethodPolicy]) -> tuple[Workers, Mapping[str, Workers]]:
    """The workers, and those that some methods have apart."""
    threads = _SQLITE if isinstance(database, SqliteDatabase) else _POSTGRESQL
    quick, lists, changes = (Workers(count, _MOST) for count in threads)
    return quick, {path: changes if known.is_change else lists for path, known in policies.items() if not known.is_quick}
