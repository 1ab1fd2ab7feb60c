"""A server over a database, in this process: the full chain, on a real port."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc

from tenantry_server import bootstrap, logs, sweeper
from tenantry_server.bootstrap import Server, Services
from tenantry_server.domain.regions import FirstRegion
from tenantry_server.operator_files import load_catalog, load_regions
from tenantry_server.services import last_used, meter
from tenantry_server.services.secret_keys import SecretKeys
from tenantry_server.services.service import Limits
from tenantry_server.store.database import Database
from tenantry_server.store.schema import migrate
from tenantry_server.store.urls import open_database

from .clock import MovableClock

CATALOG = load_catalog()
REGIONS = load_regions()
# Tests found more organizations than a person may, and make more tokens of the one platform that they share than it may
# have; those of the limits set others.
_FOLDER = TemporaryDirectory(prefix="tenantry-keys-")
atexit.register(_FOLDER.cleanup)
# Races are arranged by holding several calls of every kind at once; how many threads there are otherwise.
THREADS = {"_SQLITE": bootstrap._SQLITE, "_POSTGRESQL": bootstrap._POSTGRESQL}
bootstrap._SQLITE = bootstrap._POSTGRESQL = bootstrap.Threads(quick=8, lists=8, changes=8)
LIMITS = Limits(
    organizations_per_user=1000,
    pending_invitations_per_address=100_000,
    api_tokens=100_000,
    secret_keys=SecretKeys(Path(_FOLDER.name) / "secret.keys"),
)
LIMITS.secret_keys.add()
# When tokens were last used, and how often organizations call, is written when a test says so, or it would come between what
# another test counts.
last_used._PERIOD = meter._PERIOD = 3600.0
# Neither does anything vanish before a test says so.
sweeper._PERIOD = 7200.0


@dataclass
class Deployment:
    """A running server, and what is behind it."""

    engine: str
    url: str
    database: Database
    clock: MovableClock
    services: Services
    server: Server
    channel: grpc.Channel

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server.port}"

    def close(self) -> None:
        """Stops it."""
        self.channel.close()
        self.server.stop(grace=1)


def deploy(
    engine: str,
    url: str,
    *,
    limits: Limits = LIMITS,
    regions: Sequence[FirstRegion] = REGIONS,
    make: Callable[..., Server] = Server,
    prepare: Callable[[Services], Any] | None = None,
    open_url: Callable[[str], Database] = open_database,
    open_channel: Callable[[str], grpc.Channel] = grpc.insecure_channel,
) -> Deployment:
    """Migrates a fresh database and serves it. `make` may build a weakened server, for negative controls, or one that speaks
    TLS, to which `open_channel` makes the channel.
    """
    logs.configure(logging.CRITICAL)
    database = open_url(url)
    migrate(database)
    clock = MovableClock()
    services = bootstrap.wire(database, CATALOG, limits, clock, regions=regions)
    if prepare is not None:
        prepare(services)
    server = make(services, address="127.0.0.1:0")
    server.start()
    channel = open_channel(f"127.0.0.1:{server.port}")
    return Deployment(engine, url, database, clock, services, server, channel)
