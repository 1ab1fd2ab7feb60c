"""Statements prepared through libpq: as many times as there are connections, and as safe as the driver's own."""

from collections.abc import Callable
from typing import Any

import peewee
import pytest
from support.breakage import kill
from support.world import World

from tenantry_server.store.database import Database
from tenantry_server.store.statements import Slot, Statement

pytest_plugins = ("support.only",)

PREPARED = "SELECT count(*) FROM pg_prepared_statements"
ECHO: Statement[Any] = Statement(
    lambda: peewee.Select((), (peewee.Cast(Slot("asked"), "text"), peewee.SQL("'100%%'"))), lambda row: (row[0], row[1])
)


@pytest.fixture
def database(on_postgresql: Callable[..., World]) -> Database:
    database = on_postgresql().deployment.database
    database.drop_connection()
    return database


def prepared(database: Database) -> int:
    ((count,),) = database.execute_sql(PREPARED).fetchall()  # type: ignore[no-untyped-call]
    return int(count)


def test_a_statement_is_prepared_once_a_connection(database: Database) -> None:
    for connections in range(3):
        for asked in ("", "it's", "100%s", "ünï\n", "$1"):
            assert database.one(ECHO, asked=asked) == (asked, "100%")
        assert prepared(database) == 1, connections
        database.drop_connection()


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_what_is_prepared_outlives_the_transaction(database: Database, end: str) -> None:
    database.begin()
    database.one(ECHO, asked="")
    getattr(database, end)()
    assert prepared(database) == 1
    assert database.one(ECHO, asked="again")[0] == "again"


def test_a_connection_that_is_gone_is_replaced_and_prepared_anew(
    database: Database, on_postgresql: Callable[..., World]
) -> None:
    world = on_postgresql()
    database = world.deployment.database
    database.one(ECHO, asked="")
    assert kill(world.deployment) >= 1
    assert database.one(ECHO, asked="again")[0] == "again"


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_the_end_of_a_transaction_whose_connection_was_closed_is_an_error(database: Database, end: str) -> None:
    database.begin()
    database.drop_connection()
    with pytest.raises(peewee.InterfaceError, match="closed before the end"):
        getattr(database, end)()


def test_text_that_the_engine_cannot_hold_is_refused_and_not_cut_short(database: Database) -> None:
    with pytest.raises(peewee.DataError, match="NUL"):
        database.one(ECHO, asked="cut\0here")
    assert database.one(ECHO, asked="whole")[0] == "whole"


@pytest.mark.parametrize(
    ("asked", "said"),
    [(None, None), (7, "7"), (-(2**63), str(-(2**63))), (True, "t"), (["a", 'b"\\'], r'{a,"b\"\\"}')],
)
def test_values_travel_as_what_they_are(database: Database, asked: Any, said: str | None) -> None:
    assert database.one(ECHO, asked=asked)[0] == said


def test_a_statement_that_the_engine_refuses_says_why_and_leaves_the_connection_usable(database: Database) -> None:
    wrong: Statement[Any] = Statement(lambda: peewee.Select((), (peewee.SQL("no_such_column"),)), tuple)
    for _ in range(2):
        with pytest.raises(peewee.ProgrammingError, match="no_such_column"):
            database.rows(wrong)
    assert database.one(ECHO, asked="fine")[0] == "fine"
