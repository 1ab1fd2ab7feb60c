"""Connections that are cut: before the commit, during it, between calls. A change happens once, or says that it may have."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
import peewee
import psycopg
import pytest
from support import raw
from support.breakage import CommitLoses, Tries, kill
from support.interleave import Background, Place, Stop, at_once, outcome, refused
from support.world import Person, World

from tenantry_server.domain import call as calls
from tenantry_server.domain.errors import OutcomeUnknown
from tenantry_server.store.queries import audit, organizations, roles

pytest_plugins = ("support.only",)

Code = grpc.StatusCode
_UNKNOWN: tuple[grpc.StatusCode, str, dict[str, str]] = (Code.UNAVAILABLE, "OUTCOME_UNKNOWN", {})
# More calls than a server has threads.
_EVERYBODY = 24


class Site:
    """An organization whose owner makes roles."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.database = world.deployment.database
        self.owner: Person = world.person("owner")
        self.organization = world.organization(self.owner)

    def make_role(self, request_id: str = "") -> Any:
        return self.owner.rpc(
            "RoleService.CreateRole",
            organization_id=self.organization.id,
            name="Tester",
            permissions=["sandbox:write"],
            request_id=request_id,
        )

    def read(self) -> Any:
        return self.owner.rpc("RoleService.ListRoles", organization_id=self.organization.id)

    @property
    def made(self) -> int:
        """How many roles there are, after the rest was found sound."""
        assert self.world.breaches() == []
        events = raw.count(self.database, "audit_events", organization_id=self.organization.id, action="role.create")
        assert events == raw.count(self.database, "roles", organization_id=self.organization.id)
        return events


@pytest.mark.parametrize(
    ("place", "state"),
    [(organizations.BUMP, "idle"), (roles.INSERT, "idle in transaction"), (audit.INSERT, "idle in transaction")],
    ids=["lock", "write", "event"],
)
def test_a_connection_that_is_cut_before_the_commit_costs_another_try(
    on_postgresql: Callable[..., World], place: Place, state: str
) -> None:
    site = Site(on_postgresql())
    with Tries(site.database) as tries, Stop(site.database, place) as stop:
        making = Background(site.make_role)
        stop.wait()
        assert kill(site.world.deployment, state=state) >= 1
        stop.go()
        assert not refused(making.result())
    # The whole transaction was begun anew: no single statement was repeated outside of it.
    assert tries.count == 2
    assert site.made == 1


def test_a_connection_that_is_cut_at_the_commit_leaves_the_outcome_unknown(on_postgresql: Callable[..., World]) -> None:
    site = Site(on_postgresql())
    with Tries(site.database) as tries, Stop(site.database, "commit") as stop:
        making = Background(site.make_role)
        stop.wait()
        assert kill(site.world.deployment, state="idle in transaction") == 1
        stop.go()
        assert making.result().seen == _UNKNOWN
    assert tries.count == 1
    assert site.made == 0
    assert not refused(site.make_role())


def test_under_a_request_id_a_connection_that_is_cut_at_the_commit_costs_another_try(
    on_postgresql: Callable[..., World],
) -> None:
    site = Site(on_postgresql())
    with Tries(site.database) as tries, Stop(site.database, "commit") as stop:
        making = Background(lambda: site.make_role("once"))
        stop.wait()
        assert kill(site.world.deployment, state="idle in transaction") == 1
        stop.go()
        made = making.result()
    assert tries.count == 2
    assert site.made == 1
    assert site.make_role("once") == made


@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
def test_a_lost_answer_to_a_commit_is_said_to_be_unknown(deploy_own: Callable[..., World], *, applied: bool) -> None:
    site = Site(deploy_own())
    with CommitLoses(site.database, applied=applied):
        refusal = site.owner.rpc.refusal(
            "RoleService.CreateRole", organization_id=site.organization.id, name="Tester", permissions=["sandbox:write"]
        )
    assert refusal.seen == _UNKNOWN
    assert site.made == int(applied)


@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
def test_under_a_request_id_a_lost_answer_to_a_commit_changes_nothing(
    deploy_own: Callable[..., World], *, applied: bool
) -> None:
    site = Site(deploy_own())
    with CommitLoses(site.database, applied=applied):
        made = site.make_role("once")
    assert site.made == 1
    assert site.make_role("once") == made
    assert site.made == 1


@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
def test_an_unknown_outcome_stays_unknown_when_no_further_try_gets_through(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch, *, applied: bool
) -> None:
    site = Site(deploy_own())
    begin, begun = site.database.begin, list[None]()

    def once() -> None:
        begun.append(None)
        if len(begun) > 1:
            raise peewee.OperationalError from psycopg.errors.SerializationFailure("could not serialize access")
        begin()

    monkeypatch.setattr(site.database, "begin", once)
    call = replace(
        calls.operator("test"), organization_id=site.organization.id, deadline=time.monotonic() + 0.5, request_id="once"
    )
    with CommitLoses(site.database, applied=applied):
        refusal = outcome(
            lambda: site.world.services.roles.create(call, name="Tester", description="", permissions=["sandbox:write"])
        )
    monkeypatch.undo()
    assert isinstance(refusal, OutcomeUnknown)
    assert site.made == int(applied)


def test_connections_that_died_between_calls_fail_no_read(on_postgresql: Callable[..., World]) -> None:
    site = Site(on_postgresql())
    for _ in range(3):
        assert not any(map(refused, at_once(*[site.read] * _EVERYBODY)))
        assert kill(site.world.deployment) > 1
        assert not any(map(refused, at_once(*[site.read] * _EVERYBODY)))


def test_connections_that_died_between_calls_fail_no_change(on_postgresql: Callable[..., World]) -> None:
    site = Site(on_postgresql())
    at_once(*[site.read] * _EVERYBODY)
    assert kill(site.world.deployment) > 1
    assert not any(map(refused, at_once(*[site.make_role] * _EVERYBODY)))
    assert site.made == _EVERYBODY


def test_a_database_that_cannot_be_reached_is_said_to_be_and_found_again(on_postgresql: Callable[..., World]) -> None:
    site = Site(on_postgresql())
    ((name,),) = _run(site.world.deployment.url, "SELECT current_database()")
    elsewhere = site.world.deployment.url.replace(f"/{name}?", "/postgres?")
    _run(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    _run(elsewhere, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ?", name)
    for refusal in at_once(*[site.read] * _EVERYBODY, site.make_role):
        assert refusal.seen == (Code.UNAVAILABLE, "DATABASE_UNAVAILABLE", {})
        assert refusal.message == "the database cannot be reached; nothing was changed"
    _run(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert not any(map(refused, at_once(*[site.read] * _EVERYBODY, *[site.make_role] * 3)))
    site.database.drop_connection()
    assert site.made == 3


def _run(url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with raw.connect(url) as connection:
        return connection.execute(statement, parameters)
