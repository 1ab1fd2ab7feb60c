"""Databases behind the server's back: plain connections, snapshots, and tables without their constraints."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import psycopg

from tenantry_server.store.database import Database
from tenantry_server.store.models import TABLES

NAMES = tuple(model._meta.table_name for model in TABLES)


class Connection:
    """A connection of either engine, in autocommit. Parameters are `?` on both."""

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite:")
        self._connection: Any
        if self.is_sqlite:
            self._connection = sqlite3.connect(unquote(urlsplit(url).path[1:]), isolation_level=None)
            self._connection.execute("PRAGMA busy_timeout = 5000")
        else:
            self._connection = psycopg.connect(url, autocommit=True)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement, if it has any."""
        if not self.is_sqlite:
            sql = sql.replace("?", "%s")
        cursor = self._connection.execute(sql, tuple(parameters)) if parameters else self._connection.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []

    def close(self) -> None:
        """Ends it."""
        self._connection.close()


class Rehearsal(Connection):
    """A transaction, in a connection of the server's kind, that is rolled back in the end. It enforces no foreign keys."""

    def __init__(self, database: Database) -> None:
        self.is_sqlite = database.param == "?"
        self.database: Any = database

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self.database.execute_sql(sql.replace("?", self.database.param), tuple(parameters))
        return list(cursor.fetchall()) if cursor.description else []

    def __enter__(self) -> Self:
        if self.is_sqlite:
            self.execute("PRAGMA foreign_keys = 0")
        self.database.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.database.rollback()
        self.database.drop_connection()


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """A connection of the test's own; it does not enforce foreign keys on SQLite."""
    with closing(Connection(url)) as connection:
        yield connection


def snapshot(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in every table."""
    with connect(url) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in NAMES}


def values(database: Database, table: str, column: str, **where: Any) -> list[Any]:
    """A column of the rows that have these values, sorted; read by the server's own kind of connection."""
    conditions = " AND ".join(f"{name} = {database.param}" for name in where) or "1 = 1"
    with database.reading():
        cursor = database.execute_sql(  # type: ignore[no-untyped-call]
            f"SELECT {column} FROM {table} WHERE {conditions}", tuple(where.values())
        )
        return sorted(row[0] for row in cursor.fetchall())


def count(database: Database, table: str, **where: Any) -> int:
    """How many rows have these values."""
    return len(values(database, table, "1", **where))


def insert(connection: Connection, table: str, **values: Any) -> None:
    """Inserts a row."""
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def unguard(connection: Connection, table: str) -> None:
    """Takes every constraint and index from a table, and what others hold to it."""
    if connection.is_sqlite:
        connection.execute("PRAGMA foreign_keys = 0")
        connection.execute("PRAGMA legacy_alter_table = 1")
        connection.execute(f"CREATE TABLE unguarded AS SELECT * FROM {table}")
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE unguarded RENAME TO {table}")
        return
    for (index,) in connection.execute(
        "SELECT indexname FROM pg_indexes WHERE tablename = ? AND indexname NOT IN (SELECT conname FROM pg_constraint)",
        (table,),
    ):
        connection.execute(f"DROP INDEX {index}")
    # NOT NULL is a constraint with a name too, since PostgreSQL 18.
    for (constraint,) in connection.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = CAST(CAST(? AS TEXT) AS REGCLASS) ORDER BY contype = 'n'", (table,)
    ):
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {constraint} CASCADE")
