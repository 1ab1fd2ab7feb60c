"""What an error of the database means: a table of real errors of both engines, bare, wrapped and hidden behind others."""

from __future__ import annotations

import sqlite3

import peewee
import psycopg
import pytest
from psycopg import errors as states

from tenantry_server.store.faults import _STATES, Fault, classify


def of_sqlite(code: int, text: str = "it failed") -> sqlite3.OperationalError:
    """An error of SQLite with this code."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def wrapped(cause: BaseException, kind: type[peewee.PeeweeException] = peewee.OperationalError) -> peewee.PeeweeException:
    """An error as Peewee passes it on."""
    error = kind(str(cause))
    vars(error)["orig"] = cause
    return error


_POSTGRESQL = [
    (states.SerializationFailure, Fault.RETRY),
    (states.DeadlockDetected, Fault.RETRY),
    (states.LockNotAvailable, Fault.TIMEOUT),
    (states.StatementCompletionUnknown, Fault.AMBIGUOUS),
    (states.ReadOnlySqlTransaction, Fault.LOST),
    (states.IdleInTransactionSessionTimeout, Fault.LOST),
    (states.TooManyConnections, Fault.LOST),
    (states.AdminShutdown, Fault.LOST),
    (states.CrashShutdown, Fault.LOST),
    (states.CannotConnectNow, Fault.LOST),
    (states.ConnectionFailure, Fault.LOST),
    (states.ConnectionDoesNotExist, Fault.LOST),
    (states.QueryCanceled, Fault.TIMEOUT),
    (states.DiskFull, Fault.FULL),
    (states.UniqueViolation, Fault.OTHER),
    (states.SyntaxError, Fault.OTHER),
]
_SQLITE = [
    (sqlite3.SQLITE_BUSY, Fault.RETRY),
    (sqlite3.SQLITE_BUSY_SNAPSHOT, Fault.RETRY),
    (sqlite3.SQLITE_LOCKED, Fault.RETRY),
    (sqlite3.SQLITE_FULL, Fault.FULL),
    (sqlite3.SQLITE_CONSTRAINT_UNIQUE, Fault.OTHER),
    (sqlite3.SQLITE_CORRUPT, Fault.OTHER),
]


@pytest.mark.parametrize(("kind", "fault"), _POSTGRESQL)
def test_an_error_of_postgresql_is_known_by_its_state(kind: type[psycopg.Error], fault: Fault) -> None:
    assert classify(kind("it failed")) is fault
    assert classify(wrapped(kind("it failed"))) is fault


def test_every_state_of_the_table_is_tried() -> None:
    assert set(_STATES) <= {kind.sqlstate for kind, _ in _POSTGRESQL}


@pytest.mark.parametrize(("code", "fault"), _SQLITE)
def test_an_error_of_sqlite_is_known_by_its_code(code: int, fault: Fault) -> None:
    assert classify(of_sqlite(code)) is fault
    assert classify(wrapped(of_sqlite(code))) is fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("the connection is closed", Fault.LOST),
        ("consuming input failed: server closed the connection unexpectedly", Fault.LOST),
        ('connection failed: connection to server at "127.0.0.1", port 5432 failed: Connection refused', Fault.LOST),
        ("terminating connection due to administrator command", Fault.LOST),
        ("SSL SYSCALL error: EOF detected", Fault.LOST),
        ("no such table: users", Fault.OTHER),
    ],
)
@pytest.mark.parametrize("kind", [peewee.OperationalError, peewee.InterfaceError])
def test_a_lost_connection_without_a_state_is_known_by_its_words(
    kind: type[peewee.PeeweeException], text: str, fault: Fault
) -> None:
    assert classify(wrapped(psycopg.OperationalError(text), kind)) is fault
    assert classify(kind(text)) is fault


def test_words_do_not_count_for_other_errors_nor_for_sqlite() -> None:
    assert classify(peewee.IntegrityError("connection is closed")) is Fault.OTHER
    assert classify(wrapped(of_sqlite(sqlite3.SQLITE_ERROR, "connection closed"))) is Fault.OTHER
    assert classify(ValueError("connection is closed")) is Fault.OTHER


def test_the_first_error_is_found_behind_the_one_that_it_caused() -> None:
    last = peewee.InterfaceError("cannot roll back")
    last.__cause__ = wrapped(states.SerializationFailure("first"))
    assert classify(last) is Fault.RETRY


def test_the_first_error_is_found_behind_a_failed_roll_back() -> None:
    last = peewee.InterfaceError("the connection is closed")
    last.__context__ = wrapped(states.DiskFull("first"))
    assert classify(last) is Fault.FULL


def test_a_chain_that_bites_its_tail_ends() -> None:
    one, other = peewee.OperationalError("one"), peewee.OperationalError("other")
    one.__cause__, other.__cause__ = other, one
    assert classify(one) is Fault.OTHER
