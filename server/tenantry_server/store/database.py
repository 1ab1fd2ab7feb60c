"""The database, by URL: one connection a thread, opened lazily and kept.

The worker threads are the pool. SQLite drops the interpreter lock at every row, so a process runs one statement at a time
there, and its writers queue on a mutex (and on a file lock, when several processes share the file) instead of polling.
"""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import peewee
import psycopg
from playhouse.postgres_ext import Psycopg3Database
from psycopg.conninfo import conninfo_to_dict

from ..domain.errors import DeadlineExceeded
from .faults import Fault, classify
from .guard import Adapter, Guard, is_dead
from .prepared import Prepared, Result
from .statements import Statement

T = TypeVar("T")

# What is raised when the database cannot be reached or used, also by its driver (InterfaceError, which is no DatabaseError).
DatabaseFailure = peewee.PeeweeException

_WRONG_URL = "must be sqlite:///file or postgresql://…"
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
    # The driver prepares nothing: it would end what is prepared here along with its own, whenever something is rolled back.
    "prepare_threshold": None,
}

# What a transaction may wait for a lock or a statement, beyond what its call has left, in milliseconds; and the server for
# the next statement, so that a process that is cut off from it holds no lock for long.
_LIMITS = {"lock_timeout": 0, "statement_timeout": 0, "idle_in_transaction_session_timeout": 5000}

# How long a read waits before it is tried again on another connection, in seconds.
_READ_PAUSES = (0.0, 0.02, 0.1)

# How long a process waits for another that migrates the same file, in seconds.
_LONGEST_MIGRATION = 3600.0
# The number that processes on PostgreSQL agree on.
_MIGRATION_LOCK = 7_361_746_238
_MIGRATION_PAUSE, _MIGRATION_LOCK_TIMEOUT = 0.05, "200ms"


class _Thread(threading.local):
    """What a thread is doing: its transaction's deadline while it has one, and what is prepared on its connection."""

    deadline: float | None = None
    prepared: Prepared | None = None


class Database(peewee.Database):
    """What Tenantry adds to a Peewee database."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._thread = _Thread()
        super().__init__(*args, **kwargs)

    def reading(self) -> AbstractContextManager[Any]:
        """Held while a statement is executed and its rows are fetched."""
        return nullcontext()

    @contextmanager
    def writing(self, deadline: float) -> Iterator[None]:
        """Held by a transaction that changes something. Raises DeadlineExceeded when its turn comes too late."""
        self._thread.deadline = deadline
        try:
            yield
        finally:
            self._thread.deadline = None

    def serving(self, deadline: float) -> AbstractContextManager[Any]:
        """Held while a call is answered: its connection works when it begins, and nobody waits for it past the deadline."""
        return nullcontext()

    def migrating(self) -> AbstractContextManager[Any]:
        """Held by the one process that changes the schema."""
        raise NotImplementedError

    @contextmanager
    def writing_once(self, patience: float) -> Iterator[None]:
        """One try of something that is no change of an organization, within so many seconds. An error ends the connection."""
        with self.writing(time.monotonic() + patience):
            try:
                self.begin()
                yield
                self.commit()
            except BaseException:
                self.drop_connection()
                raise

    def rows(self, statement: Statement[T], **values: Any) -> list[T]:
        """All rows of a statement. Outside a transaction, a connection that died since it was last used is replaced."""
        text, parameters = statement.sql(self, values)
        try:
            rows = self._fetch(text, parameters)
        except peewee.PeeweeException as error:
            if self._thread.deadline is not None or classify(error) is not Fault.LOST:
                raise
            rows = self._fetch_again(text, parameters, error)
        make = statement.make
        return [make(row) for row in rows]

    def _fetch_again(self, text: str, parameters: list[Any], error: peewee.PeeweeException) -> list[Any]:
        """A few more tries, with new connections; raises the last error when they are lost, too."""
        for pause in _READ_PAUSES:
            self.drop_connection()
            time.sleep(pause)
            try:
                return self._fetch(text, parameters)
            except peewee.PeeweeException as another:
                if classify(another) is not Fault.LOST:
                    raise
                error = another
        raise error

    def _fetch(self, text: str, parameters: list[Any]) -> list[Any]:
        with self.reading():
            return self.executed(text, parameters).rows

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
            return self.executed(text, parameters).rowcount

    def executed(self, text: str, parameters: list[Any]) -> Result:
        """What comes of a statement that will be executed often. Peewee's query hooks hear of it."""
        cursor = self.execute_sql(text, parameters)
        return Result(cursor.fetchall() if cursor.description else [], cursor.rowcount)

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
        self._path = path.with_name(path.name + ".lock")
        self._file: TextIOWrapper | None = None

    def reading(self) -> AbstractContextManager[Any]:
        return self._statements

    @contextmanager
    def writing(self, deadline: float) -> Iterator[None]:
        if not self._writers.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise DeadlineExceeded
        try:
            if self._file is None:
                self._file = self._path.open("a")
            with super().writing(deadline):
                fcntl.flock(self._file, fcntl.LOCK_EX)
                try:
                    yield
                finally:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._writers.release()

    def shut_down(self) -> None:
        super().shut_down()
        with self._writers:
            if self._file is not None:
                self._file.close()
                self._file = None

    def migrating(self) -> AbstractContextManager[Any]:
        return self.writing(time.monotonic() + _LONGEST_MIGRATION)

    def begin(self, lock_type: str | None = None) -> None:
        super().begin("IMMEDIATE")


class PostgresDatabase(Database, Psycopg3Database):  # type: ignore[misc]
    """PostgreSQL through psycopg 3; statements are prepared on each connection."""

    psycopg3_adapter = Adapter

    def __init__(self, url: str, *, prepare: bool = True) -> None:
        self.guard = Guard()
        self._prepares = prepare
        super().__init__(url, **_POSTGRES_PARAMETERS)
        # Peewee holds a lock while it connects, so that one who cannot would hold up all; but a connection is its thread's.
        self._lock = nullcontext()

    @contextmanager
    def serving(self, deadline: float) -> Iterator[None]:
        connection = None if self.is_closed() else self.connection()
        if connection is not None and is_dead(connection):
            self.drop_connection()
            connection = None
        with self.guard.until(deadline, connection):
            yield

    @contextmanager
    def writing(self, deadline: float) -> Iterator[None]:
        with self.serving(deadline), super().writing(deadline):
            yield

    def _close(self, connection: Any) -> None:
        self.guard.closing()
        super()._close(connection)

    def executed(self, text: str, parameters: list[Any]) -> Result:
        if self.query_hooks or not self._prepares:
            return super().executed(text, parameters)
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            return self._prepared().execute(text, parameters)

    def _prepared(self) -> Prepared:
        connection = self.connection()
        prepared = self._thread.prepared
        if prepared is None or prepared.connection is not connection:
            prepared = self._thread.prepared = Prepared(connection)
        return prepared

    @contextmanager
    def migrating(self) -> Iterator[None]:
        # Who waited inside a statement would keep an index from being built while others write.
        while not self.execute_sql("SELECT pg_try_advisory_lock(%s)", (_MIGRATION_LOCK,)).fetchone()[0]:
            time.sleep(_MIGRATION_PAUSE)
        # Who waits for a table makes all wait who come after: rather give up soon, and ask again.
        self.execute_sql(f"SET lock_timeout = '{_MIGRATION_LOCK_TIMEOUT}'")
        try:
            yield
        finally:
            self.execute_sql("RESET lock_timeout")
            self.execute_sql("SELECT pg_advisory_unlock(%s)", (_MIGRATION_LOCK,))

    def begin(self) -> None:
        if self._thread.deadline is None:
            super().begin()
            return
        # The server gives up at the call's deadline, too; a commit is never cut short by any of these.
        left = max(1, int((self._thread.deadline - time.monotonic()) * 1000))
        limits = "; ".join(f"SET LOCAL {name} = {left + more}" for name, more in _LIMITS.items())
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            self._prepared().command(f"BEGIN; {limits}".encode())

    def commit(self) -> None:
        self._end(b"COMMIT")

    def rollback(self) -> None:
        self._end(b"ROLLBACK")

    def _end(self, command: bytes) -> None:
        if self.is_closed():  # another connection would end nothing, and succeed
            raise peewee.InterfaceError("the connection was closed before the end of the transaction")
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            self._prepared().command(command)


def open_database(url: str, *, prepare: bool = True) -> Database:
    """The database of a URL: `sqlite:///relative/file`, `sqlite:////absolute/file` or `postgresql://…`. `prepare`: whether
    PostgreSQL is to keep statements prepared.

    Nothing is connected yet. Raises ValueError, without the URL's password, when the URL is neither.
    """
    parts = _parts(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        path = Path(unquote(parts.path[1:]))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteDatabase(path)
    return PostgresDatabase(postgresql(url), prepare=prepare)


def postgresql(url: str) -> str:
    """A URL of PostgreSQL as the driver wants it. Raises ValueError for any other."""
    parts = _parts(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(_WRONG_URL)
    return "postgresql" + url[len(parts.scheme) :]


def _parts(url: str) -> SplitResult:
    """The parts of a URL that can be read; what others say of one that cannot would repeat it."""
    try:
        parts = urlsplit(url)
        if parts.scheme.startswith("postgres"):
            conninfo_to_dict(url)
        if parts.netloc.count("@") > 1:  # of a password with one that is not escaped, the driver takes the rest for the host
            raise ValueError(_WRONG_URL)
        return parts
    except (ValueError, psycopg.ProgrammingError):
        raise ValueError(_WRONG_URL) from None
