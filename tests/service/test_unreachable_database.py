"""A database that answers nothing, or has hung up: calls end in time, threads are free again, and all goes on by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from support.breakage import Tries, kill
from support.deployment import Deployment, deploy
from support.engines import Engines
from support.gateway import eventually
from support.interleave import Background, outcome, refused
from support.rpc import Refused, request_of
from support.wire import Wire
from support.world import Person, World

from tenantry_server.domain import call as calls
from tenantry_server.store import guard, postgresql
from tenantry_server.store.database import DatabaseFailure
from tenantry_server.store.postgresql import PostgresDatabase
from tenantry_server.store.queries import organizations
from tenantry_server.store.transactions import change

pytest_plugins = ("support.only",)

Code = grpc.StatusCode
_SHORT = 0.4
_ENDED = (Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE)


class Site:
    """A server behind a wire that can be cut off, an organization, and whoever reads and changes it."""

    def __init__(self, wire: Wire, deployment: Deployment) -> None:
        self.wire = wire
        self.world = World(deployment)
        self.owner: Person = self.world.person("owner")
        self.organization = self.world.organization(self.owner)

    @property
    def busy(self) -> int:
        """How many calls the server has."""
        return self.world.deployment.server.overload.calls

    def read(self, timeout: float = 20) -> Any:
        return self._send("OrganizationService.GetOrganization", timeout)

    def write(self, timeout: float = 20) -> Any:
        return self._send("OrganizationService.UpdateOrganization", timeout, name="Apex")

    def _send(self, method: str, timeout: float, **fields: Any) -> Any:
        request = request_of(method, organization_id=self.organization.id, **fields)
        return outcome(lambda: self.owner.rpc.send(method, request, timeout=timeout))


@pytest.fixture
def site(engines: Engines) -> Iterator[Site]:
    """All of it."""
    with Wire(engines.new("postgresql")) as wire:
        deployment = deploy("postgresql", wire.url)
        yield Site(wire, deployment)
        wire.heal()
        deployment.close()


def cut_off(site: Site) -> list[Any]:
    """Calls of both kinds, more than there are threads, while nothing comes through; every one ends."""
    site.wire.hang()
    waiting = [Background(lambda act=act: act(_SHORT)) for act in (site.read, site.write) for _ in range(8)]  # type: ignore[misc]
    return [each.result() for each in waiting]


def test_no_call_waits_for_a_database_that_answers_nothing_past_its_deadline(site: Site) -> None:
    results = cut_off(site)
    assert all(isinstance(result, Refused) and result.code in _ENDED for result in results), results
    # Nothing comes through yet, and every thread is free again.
    eventually(lambda: site.busy == 0, "the threads are free")
    site.wire.heal()
    assert not refused(site.read())
    assert site.write().name == "Apex"
    assert site.world.breaches() == []


def test_without_the_guard_the_threads_would_go_on_waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard._Task, "cut", lambda task: None)
    cut_off(site)
    time.sleep(3 * _SHORT)  # the guard would have cut them by then
    assert site.busy > 0
    site.wire.heal()
    eventually(lambda: site.busy == 0, "what was sent is answered after all")


def test_a_change_whose_answer_is_cut_off_may_have_happened_and_says_so(site: Site) -> None:
    """Under a request id, it then happens once."""
    database = site.world.deployment.database
    commit, held = database.commit, threading.Event()

    def committing() -> None:
        if not held.is_set():
            held.set()
            site.wire.hang()
        commit()

    database.commit = committing  # type: ignore[method-assign]
    call = calls.operator("test")
    call.organization_id, call.deadline, call.request_id = site.organization.id, time.monotonic() + _SHORT, "once"
    roles = site.world.services.roles
    first = Background(lambda: roles.create(call, name="Tester", description="", permissions=["sandbox:read"])).result()
    assert first.reason == "OUTCOME_UNKNOWN"
    site.wire.heal()
    call.deadline = time.monotonic() + 20
    roles.create(call, name="Tester", description="", permissions=["sandbox:read"])
    found = site.owner.rpc("RoleService.ListRoles", organization_id=site.organization.id).roles
    assert [role.name for role in found].count("Tester") == 1


def test_a_call_ends_a_connection_that_cannot_be_made(site: Site) -> None:
    site.world.deployment.database.drop_connection()
    site.wire.hang()
    database = site.world.deployment.database

    def connect() -> float:
        begin = time.monotonic()
        with pytest.raises(DatabaseFailure), database.serving(begin + _SHORT):
            database.rows(organizations.IDS_OF_USER, user_id="")
        return time.monotonic() - begin

    assert Background(connect).result() >= _SHORT / 2


# -- connections that died while nobody used them ------------------------------------------------------------------------


def test_a_connection_that_died_while_it_was_idle_is_replaced_before_it_is_used(on_postgresql: Callable[..., World]) -> None:
    world = on_postgresql()
    owner = world.person("owner")
    acme = world.organization(owner)
    for _ in range(3):
        assert kill(world.deployment, state="idle") > 0
        with Tries(world.deployment.database) as tries:
            owner.rpc("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Apex")
        assert tries.count == 1


def test_without_looking_it_would_cost_another_try(
    on_postgresql: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = on_postgresql()
    acme = world.organization(world.person("owner"))
    monkeypatch.setattr(postgresql, "is_dead", lambda connection: False)
    call = calls.operator("test")
    call.organization_id = acme.id

    def rename() -> None:
        world.services.organizations.update(call, name="Apex")

    def twice() -> int:
        rename()
        call.etag = ""
        kill_others(world)
        with Tries(world.deployment.database) as tries:
            rename()
        return tries.count

    assert Background(twice).result() == 2


def kill_others(world: World) -> None:
    """Cuts the connections of a deployment, the caller's own too, behind its back."""
    thread = threading.Thread(target=lambda: kill(world.deployment))
    thread.start()
    thread.join()


def test_a_thread_that_cannot_connect_holds_up_no_other(
    on_postgresql: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Any = on_postgresql().deployment.database
    connect, first, go = PostgresDatabase._connect, threading.Lock(), threading.Event()

    def slowly(self: PostgresDatabase) -> Any:
        if first.acquire(blocking=False):
            assert go.wait(20)
        return connect(self)

    monkeypatch.setattr(PostgresDatabase, "_connect", slowly)

    def look() -> bool:
        return bool(database.execute_sql("SELECT 1").fetchall())

    stuck = Background(look)
    eventually(first.locked, "one connects")
    assert Background(look).result()
    go.set()
    assert stuck.result()
    # Peewee's own lock, which was taken out, would have.
    database._lock, first = threading.Lock(), threading.Lock()
    go.clear()
    stuck = Background(look)
    eventually(first.locked, "one connects")
    waiting = Background(look)
    time.sleep(_SHORT)
    assert not waiting.done
    go.set()
    assert stuck.result()
    assert waiting.result()


def test_the_server_gives_up_at_the_deadline_of_the_call_too(on_postgresql: Callable[..., World]) -> None:
    world = on_postgresql()
    acme = world.organization(world.person("owner"))
    call = calls.operator("test")
    call.deadline = time.monotonic() + 10

    def body(change: Any) -> str:
        database = change.database
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        found = [
            database.execute_sql(f"SELECT setting::int FROM pg_settings WHERE name = '{name}'").fetchone() for name in names
        ]
        change.record("test", "organization", acme.id, {})
        return str([row[0] for row in found])

    lock, statement, idle = eval(change(world.services.store, call, acme.id, body, str))
    assert 0 < lock <= 10_000
    assert 0 < statement <= 10_000
    assert 10_000 < idle <= 15_000
    assert world.deployment.database.execute_sql("SHOW statement_timeout").fetchone() == ("0",)  # type: ignore[no-untyped-call]
