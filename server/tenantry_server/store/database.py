"""The database, by URL: one connection a thread, opened lazily and kept.

The worker threads are the pool. SQLite drops the interpreter lock at every row, so a process runs one statement at a time
there, and its writers queue on a mutex (and on a file lock, when several processes share the file) instead of polling.
"""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import peewee
from playhouse.postgres_ext import Psycopg3Database

from ..domain.errors import DeadlineExceeded
from .statements import Statement

T = TypeVar("T")

_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    # An acknowledged revocation survives a power loss.
    "synchronous": "full",
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "cache_size": -65536,
    "temp_store": 2,
}
_POSTGRES_PARAMETERS: dict[str, Any] = {
    "application_name": "tenantry",
    "connect_timeout": 3,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


class Database(peewee.Database):
    """What Tenantry adds to a Peewee database."""

    def reading(self) -> AbstractContextManager[Any]:
        """Held while a statement is executed and its rows are fetched."""
        return nullcontext()

    def writing(self, deadline: float) -> AbstractContextManager[Any]:
        """Held by a transaction that changes something. Raises DeadlineExceeded when its turn comes too late."""
        return nullcontext()

    def rows(self, statement: Statement[T], **values: Any) -> list[T]:
        """All rows of a statement."""
        text, parameters = statement.sql(self, values)
        with self.reading():
            rows = self.execute_sql(text, parameters).fetchall()
        make = statement.make
        return [make(row) for row in rows]

    def row(self, statement: Statement[T], **values: Any) -> T | None:
        """The first row of a statement, or None."""
        rows = self.rows(statement, **values)
        return rows[0] if rows else None

    def one(self, statement: Statement[T], **values: Any) -> T:
        """The row of a statement that always has one, such as a count."""
        return self.rows(statement, **values)[0]

    def run(self, statement: Statement[None], **values: Any) -> int:
        """How many rows a statement changed."""
        text, parameters = statement.sql(self, values)
        with self.reading():
            return int(self.execute_sql(text, parameters).rowcount)

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc]  # the engine class has it
        self.__dict__.setdefault("_opened", {})[id(connection)] = connection
        return connection

    def _close(self, connection: Any) -> None:
        self.__dict__.setdefault("_opened", {}).pop(id(connection), None)
        super()._close(connection)  # type: ignore[misc]

    def shut_down(self) -> None:
        """Closes the connections of all threads, which must be idle or gone."""
        opened = self.__dict__.setdefault("_opened", {})
        while opened:
            opened.popitem()[1].close()
        self.dispose()

    def drop_connection(self) -> None:
        """Closes this thread's connection, whatever state it is in; the next statement opens another."""
        try:
            self.close()
        except Exception:  # noqa: BLE001  whatever state it is in, the thread lets go of it
            self.dispose()


class SqliteDatabase(Database, peewee.SqliteDatabase):
    """A file. `BEGIN IMMEDIATE` makes writers wait at the start, where waiting is safe."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), pragmas=_SQLITE_PRAGMAS, timeout=5, check_same_thread=False, cached_statements=256)
        self._statements = threading.Lock()
        self._writers = threading.Lock()
        self._file = path.with_name(path.name + ".lock")

    def reading(self) -> AbstractContextManager[Any]:
        return self._statements

    @contextmanager
    def writing(self, deadline: float) -> Iterator[None]:
        if not self._writers.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise DeadlineExceeded
        try:
            with self._file.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        finally:
            self._writers.release()

    def begin(self, lock_type: str | None = None) -> None:
        super().begin("IMMEDIATE")


class PostgresDatabase(Database, Psycopg3Database):  # type: ignore[misc]
    """PostgreSQL through psycopg 3, which prepares constant SQL by itself."""

    def __init__(self, url: str) -> None:
        super().__init__(url, **_POSTGRES_PARAMETERS)


def open_database(url: str) -> Database:
    """The database of a URL: `sqlite:///relative/file`, `sqlite:////absolute/file` or `postgresql://…`.

    Nothing is connected yet. Raises ValueError, without the URL's password, when the URL is neither.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        path = Path(unquote(parts.path[1:]))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteDatabase(path)
    if parts.scheme in ("postgresql", "postgres"):
        return PostgresDatabase("postgresql" + url[len(parts.scheme) :])
    raise ValueError("must be sqlite:///file or postgresql://…")
