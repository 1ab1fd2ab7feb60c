"""Databases with the data in them: small ones are new each time, large ones stay in the cache folder and are used again.

PostgreSQL takes the rows by COPY, SQLite in batches; neither checks foreign keys meanwhile, for the rows are right.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from support.postgres import start

import tenantry_server.store
from tenantry_server.store.schema import migrate
from tenantry_server.store.urls import open_database

from . import data
from .data import LARGE, TABLES, Row, Size

_BATCH = 20_000
_SOURCES = (Path(data.__file__), *sorted((Path(tenantry_server.store.__file__).parent / "migrations").glob("*.py")))
# Of the rows and the schema: other ones make another database.
_VERSION = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()[:8]


@contextmanager
def postgres(folder: Path, *, keep: bool) -> Iterator[Any]:
    """A PostgreSQL server of our own, whose data stays in the folder or goes with it."""
    server = start(folder, cleanup_mode="stop" if keep else "delete")
    try:
        yield server
    finally:
        server.cleanup()


def database_of(server: Any, name: str, *, fresh: bool = False) -> str:
    """The URL of a database of a server, made if there is none."""
    uri = str(server.get_uri())
    with psycopg.connect(uri, autocommit=True) as connection:
        if fresh:
            connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            connection.execute(f"CREATE DATABASE {name}".encode())
    before, _, after = uri.partition("/postgres?")
    return f"{before}/{name}?{after}"


def sqlite_url(folder: Path, size: Size) -> str:
    """A SQLite database with the data. Only a large one that is complete is used again."""
    path = folder / f"{size.name}.db"
    done = path.with_suffix(f".{_VERSION}")
    if size is not LARGE or not done.exists():
        for old in folder.glob(f"{size.name}.*"):
            old.unlink()
        _migrate(f"sqlite:///{path}")
        _timed("SQLite", _fill_sqlite, path, size)
        done.touch()
    return f"sqlite:///{path}"


def postgres_url(server: Any, size: Size) -> str:
    """A PostgreSQL database with the data. Only a large one that is complete is used again."""
    name = f"bench_{size.name}_{_VERSION}"
    with psycopg.connect(str(server.get_uri()), autocommit=True) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (f"bench_{size.name}_",))
        for (old,) in found.fetchall():
            if size is not LARGE or old != name:
                connection.execute(f"DROP DATABASE {old}".encode())
    url = database_of(server, name)
    with psycopg.connect(url, autocommit=True) as connection:
        done = connection.execute("SELECT 1 FROM pg_tables WHERE tablename = 'bench_is_complete'").fetchone()
    if not done:
        _migrate(url)
        _timed("PostgreSQL", _fill_postgres, url, size)
    return url


def _migrate(url: str) -> None:
    database = open_database(url)
    migrate(database)
    database.shut_down()


def _timed(engine: str, fill: Callable[[Any, Size], None], place: Any, size: Size) -> None:
    start = time.monotonic()
    fill(place, size)
    sys.stderr.write(f"filled the {size.name} database of {engine} in {time.monotonic() - start:.0f} s\n")


def _fill_sqlite(path: Path, size: Size) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("foreign_keys = 0", "synchronous = 0", "cache_size = -1000000", "temp_store = 2"):
            connection.execute(f"PRAGMA {pragma}")
        for table in TABLES:
            marks = ", ".join("?" * (table.columns.count(",") + 1))
            statement = f"INSERT INTO {table.name} ({table.columns}) VALUES ({marks})"
            for batch in _batches(table.rows(size)):
                connection.execute("BEGIN")
                connection.executemany(statement, batch)
                connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch


def _fill_postgres(url: str, size: Size) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no foreign keys
        connection.execute("SET synchronous_commit = off")
        for table in TABLES:
            connection.execute(f"TRUNCATE {table.name} CASCADE".encode())
            with connection.cursor().copy(f"COPY {table.name} ({table.columns}) FROM STDIN".encode()) as copy:
                for row in table.rows(size):
                    copy.write_row(row)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
        connection.execute("CREATE TABLE bench_is_complete ()")
