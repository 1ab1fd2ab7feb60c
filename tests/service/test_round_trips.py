"""Statements that nobody waits for go with the next one: fewer round trips, the same order, and nothing half done."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import peewee
import pytest
from support import raw
from support.world import World

from tenantry_server.domain import call as calls
from tenantry_server.domain.errors import InvitationPending, OutcomeUnknown
from tenantry_server.store import transactions
from tenantry_server.store.change import Change
from tenantry_server.store.database import Database
from tenantry_server.store.faults import Fault, classify
from tenantry_server.store.models import Lease
from tenantry_server.store.postgresql import PostgresDatabase
from tenantry_server.store.statements import Slot, Statement, changing
from tenantry_server.store.tries import run

pytest_plugins = ("support.only",)

# Rows that nothing else of the service minds.
TAKE = changing(lambda: Lease.insert({Lease.name: Slot("name"), Lease.holder: Slot("name"), Lease.expire_time: 0}))
WRONG = changing(lambda: peewee.Table("no_such_table", ("name",)).delete())
COUNT: Statement[Any] = Statement(lambda: Lease.select(peewee.fn.COUNT(Lease.name)), lambda row: row[0])
ECHO: Statement[Any] = Statement(lambda: peewee.Select((), (peewee.Cast(Slot("asked"), "text"),)), lambda row: row[0])


@pytest.fixture
def database(world: World) -> Iterator[Database]:
    """In a transaction of a change, which is rolled back."""
    database = world.deployment.database
    with database.writing(time.monotonic() + 20):
        database.begin()
        yield database
        database.rollback()


def change(world: World, work: Callable[[Database], Any]) -> None:
    """One transaction, tried as every change is."""
    database = world.deployment.database
    run(database, calls.operator("test"), lambda: work(database))


def kept(database: Database, name: str) -> int:
    return raw.count(database, "leases", name=name)


def test_an_invitation_takes_four_round_trips(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on_postgresql: Callable[..., World]
) -> None:
    connect, path = PostgresDatabase._connect, tmp_path / "trace"
    with path.open("wb") as file:

        def connecting(database: PostgresDatabase) -> Any:
            connection = connect(database)
            connection.pgconn.trace(file.fileno())
            return connection

        monkeypatch.setattr(PostgresDatabase, "_connect", connecting)
        world = on_postgresql()
        owner = world.person("owner")
        acme = world.organization(owner)
        world.deployment.database.drop_connection()
        before = path.stat().st_size
        owner.rpc("InvitationService.CreateInvitation", organization_id=acme.id, email="guest@example.com", role=2)
        told = path.read_bytes()[before:].decode()
    sent = re.findall(r"^(?:[\d: .-]*\t)?F\t\d+\t(\w+)", told, re.MULTILINE)
    # Who calls; the lock and who calls now; what stands against it; what is kept, and the commit. Each statement is prepared
    # when a connection first executes it, in a round trip of its own.
    assert (sent.count("Sync") + sent.count("Query") - sent.count("Parse"), sent.count("Execute")) == (4, 9)


def test_what_waits_is_done_before_what_comes_next(database: Database) -> None:
    (before,) = database.rows(COUNT)
    database.later(TAKE, name="first")
    assert database.rows(COUNT) == [before + 1]
    database.later(TAKE, name="second")
    assert database.together(COUNT.bind(), ECHO.bind(asked="x")) == [[before + 2], ["x"]]
    database.later(TAKE, name="third")
    # Also before what Peewee itself executes.
    (found,) = database.execute_sql("SELECT count(*) FROM leases").fetchone()  # type: ignore[no-untyped-call]
    assert found == before + 3


def test_what_waits_is_committed_with_the_rest(world: World) -> None:
    change(world, lambda database: database.later(TAKE, name="committed"))
    assert kept(world.deployment.database, "committed") == 1


@pytest.mark.parametrize("refusal", [None, InvitationPending(email="guest@example.com")], ids=["error", "refusal"])
@pytest.mark.parametrize("after", ["statement", "commit"])
def test_what_an_index_stands_against_is_refused_and_nothing_is_kept(
    world: World, refusal: Exception | None, after: str
) -> None:
    def work(database: Database) -> None:
        database.later(TAKE, name="once")
        database.later(TAKE, refusal, name="once")
        if after == "statement":
            database.rows(COUNT)

    with pytest.raises(peewee.IntegrityError if refusal is None else InvitationPending):
        change(world, work)
    assert kept(world.deployment.database, "once") == 0


def test_what_comes_after_a_mistake_is_not_done(world: World) -> None:
    def work(database: Database) -> None:
        database.later(WRONG)
        database.later(TAKE, name="after")

    with pytest.raises(peewee.PeeweeException, match="no_such_table"):
        change(world, work)
    assert kept(world.deployment.database, "after") == 0


def test_what_waits_is_forgotten_when_it_is_rolled_back(world: World) -> None:
    database = world.deployment.database
    with database.writing(time.monotonic() + 20):
        database.begin()
        database.later(TAKE, name="forgotten")
        database.rollback()
    assert kept(database, "forgotten") == 0
    change(world, lambda database: database.rows(COUNT))
    assert kept(database, "forgotten") == 0


def test_what_is_only_validated_is_refused_all_the_same(world: World) -> None:
    office = world.organization(world.person("owner"))
    call = replace(calls.operator("test"), validate_only=True)

    def body(change: Change) -> str:
        change.record("test", "organization", office.id, {})
        for _ in range(2):
            change.database.later(TAKE, InvitationPending(email="guest@example.com"), name="validated")
        return "done"

    with pytest.raises(InvitationPending):
        transactions.change(world.services.store, call, office.id, body, str)
    assert kept(world.deployment.database, "validated") == 0


def test_nothing_waits_outside_of_a_transaction(world: World) -> None:
    database = world.deployment.database
    database.later(TAKE, name="now")
    with raw.connect(world.deployment.url) as connection:
        assert connection.execute("SELECT count(*) FROM leases WHERE name = 'now'") == [(1,)]


def test_more_than_a_socket_holds_goes_at_once(database: Database) -> None:
    text = "x" * 20_000_000
    assert database.together(ECHO.bind(asked=text), ECHO.bind(asked=text)) == [[text], [text]]


def test_a_connection_that_is_cut_while_something_waits_is_known_to_be_lost(on_postgresql: Callable[..., World]) -> None:
    world = on_postgresql()
    database = world.deployment.database
    with database.writing(time.monotonic() + 20):
        database.begin()
        database.rows(COUNT)
        connection: Any = database.connection()  # type: ignore[no-untyped-call]
        cut(world, connection.info.backend_pid)
        database.later(TAKE, name="lost")
        with pytest.raises(peewee.OperationalError) as before_commit:
            database.ensure_connected()
        with pytest.raises(peewee.OperationalError) as lost:
            database.rows(COUNT)
        database.drop_connection()
    assert (classify(before_commit.value), classify(lost.value)) == (Fault.LOST, Fault.LOST)
    assert kept(database, "lost") == 0


def test_a_connection_that_ends_amid_several_statements_leaves_the_outcome_unknown_and_is_replaced(
    on_postgresql: Callable[..., World],
) -> None:
    world = on_postgresql()
    end = changing(lambda: peewee.Select((), (peewee.SQL("pg_terminate_backend(pg_backend_pid())"),)))

    def work(database: Database) -> None:
        database.later(TAKE, name="before")
        database.later(end)
        database.later(TAKE, name="after")

    with pytest.raises(OutcomeUnknown):
        change(world, work)
    assert [kept(world.deployment.database, name) for name in ("before", "after")] == [0, 0]


def cut(world: World, pid: int) -> None:
    with raw.connect(world.deployment.url) as connection:
        assert connection.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
