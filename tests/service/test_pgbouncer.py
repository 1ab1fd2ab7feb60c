"""Behind PgBouncer in transaction mode, where every transaction may have another connection, all is as it was without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import peewee
import pytest
from support import pgbouncer, raw
from support.deployment import deploy
from support.engines import Engines
from support.gateway import eventually
from support.interleave import at_once, refused
from support.rpc import Refused
from support.world import World

from tenantry_server.store.schema import migrate
from tenantry_server.store.urls import open_database

pytestmark = pytest.mark.skipif(not pgbouncer.INSTALLED, reason="PgBouncer is not installed: make pgbouncer")

# Fewer than the server has threads.
_CONNECTIONS = 3
_OWNERS, _ROUNDS = 6, 8
_PREPARED_SINCE = (1, 21)


@pytest.fixture
def pooled(engines: Engines, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes servers whose database is behind a pooler, migrated without it."""
    with ExitStack() as stack:

        def make(*, prepare_statements: bool, prepared: int = 0) -> World:
            url = engines.new("postgresql")
            direct = open_database(url)
            migrate(direct)
            direct.shut_down()
            address = stack.enter_context(pgbouncer.pooling(url, tmp_path, connections=_CONNECTIONS, prepared=prepared))
            deployment = deploy("postgresql", address, open_url=partial(open_database, prepare=prepare_statements))
            stack.callback(deployment.close)
            return World(deployment)

        yield make


class Crowd:
    """Owners of an organization each, who all work at once."""

    def __init__(self, world: World) -> None:
        self.owners = [world.person("owner") for _ in range(_OWNERS)]
        self.organizations = [world.organization(owner) for owner in self.owners]

    def work(self) -> list[Any]:
        """Many calls of several kinds; how they ended."""
        return at_once(*[partial(self._act, number) for number in range(_OWNERS)])

    def _act(self, number: int) -> None:
        call, here = self.owners[number].rpc, {"organization_id": self.organizations[number].id}
        for turn in range(_ROUNDS):
            role = {"name": f"Role {turn}", "permissions": ["sandbox:read"], "request_id": f"role{turn}"}
            call("RoleService.CreateRole", **here, **role)
            call("RoleService.ListRoles", **here)
            call("OrganizationService.ListOrganizations")


def ensure_sound(world: World) -> None:
    assert raw.count(world.deployment.database, "roles") == _OWNERS * _ROUNDS
    assert world.breaches() == []


def test_without_prepared_statements_any_pooler_will_do(pooled: Callable[..., World]) -> None:
    world = pooled(prepare_statements=False)
    assert not [result for result in Crowd(world).work() if refused(result)]
    ensure_sound(world)
    # No setting of one transaction is left to the next that gets its connection.
    for _ in range(2 * _CONNECTIONS):
        assert world.deployment.database.execute_sql("SHOW lock_timeout").fetchone() == ("0",)  # type: ignore[no-untyped-call]


def test_connections_of_the_pooler_that_are_cut_cost_no_call(pooled: Callable[..., World]) -> None:
    world = pooled(prepare_statements=False)

    def cut() -> int:
        with raw.connect(world.deployment.url) as connection:
            own = "datname = current_database() AND pid <> pg_backend_pid()"
            rows = connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {own}")
        return len(rows)

    crowd = Crowd(world)
    results, killed = at_once(crowd.work, lambda: sum(cut() for _ in range(10)))
    assert killed
    assert not [result for result in results if refused(result)]
    ensure_sound(world)


def test_prepared_statements_need_a_pooler_that_knows_of_them(pooled: Callable[..., World]) -> None:
    """PgBouncer from 1.21 on does, where `max_prepared_statements` says so; earlier ones mix them up."""
    if pgbouncer.version() >= _PREPARED_SINCE:
        world = pooled(prepare_statements=True, prepared=200)
        assert not [result for result in Crowd(world).work() if refused(result)]
        ensure_sound(world)
    else:
        world = pooled(prepare_statements=True)
        eventually(lambda: are_mixed_up(world), "statements are mixed up")


def are_mixed_up(world: World) -> bool:
    try:
        return any(refused(result) for result in Crowd(world).work())
    except (Refused, peewee.PeeweeException):
        return True
