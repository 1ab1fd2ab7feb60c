"""A desk over a SQLite file of the test's own, at an instant that stands still."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clock import MovableClock
from support.deployment import CATALOG, LIMITS, REGIONS
from support.desk import NOW, Desk, Somebody

from tenantry_server import bootstrap, logs
from tenantry_server.store.schema import migrate
from tenantry_server.store.urls import open_database


@pytest.fixture
def clock() -> MovableClock:
    """The clock of the desk's services."""
    stopped = MovableClock()
    stopped.stopped = NOW
    return stopped


@pytest.fixture
def desk(tmp_path: Path, clock: MovableClock) -> Iterator[Desk]:
    """The core servicers."""
    logs.configure(logging.CRITICAL)
    database = open_database(f"sqlite:///{tmp_path / 'tenantry.db'}")
    migrate(database)
    yield Desk(bootstrap.wire(database, CATALOG, LIMITS, clock, regions=REGIONS))
    database.shut_down()


@pytest.fixture
def ana(desk: Desk) -> Somebody:
    """A person who has an organization."""
    return desk.person("ana")
