"""PostgreSQL through psycopg 3, each statement prepared on each connection."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import peewee
import psycopg
from playhouse.postgres_ext import Psycopg3Database

from .database import Database, as_peewee
from .guard import Adapter, Guard, is_dead
from .prepared import Prepared
from .statements import Deferred, Result

_PARAMETERS: dict[str, Any] = {
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
_LIMIT = "SELECT " + ", ".join(f"set_config('{name}', %s, true)" for name in _LIMITS)

# The number that processes on PostgreSQL agree on.
_MIGRATION_LOCK = 7_361_746_238
_MIGRATION_PAUSE, _MIGRATION_LOCK_TIMEOUT = 0.05, "200ms"


class _Kept(threading.local):
    """What is prepared on a thread's connection."""

    prepared: Prepared | None = None


class PostgresDatabase(Database, Psycopg3Database):  # type: ignore[misc]
    """PostgreSQL through psycopg 3; statements are prepared on each connection."""

    psycopg3_adapter = Adapter

    def __init__(self, url: str, *, prepare: bool = True) -> None:
        self.guard = Guard()
        self._prepares = prepare
        self._kept = _Kept()
        super().__init__(url, **_PARAMETERS)
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
        self._kept.prepared = None
        super()._close(connection)

    def executed(self, text: str, parameters: list[Any]) -> Result:
        if self._is_ordinary:
            return super().executed(text, parameters)
        try:
            return self._prepared().execute(text, parameters)
        except psycopg.Error:
            with as_peewee:
                raise

    def all_executed(self, sent: list[tuple[str, list[Any]]]) -> list[Result]:
        if self._is_ordinary:
            return super().all_executed(sent)
        with as_peewee:
            return self._prepared().execute_all(sent)

    def executed_later(self, statement: Deferred) -> None:
        if not self._prepared().defer(statement):
            super().executed_later(statement)

    def settle(self) -> None:
        if self._kept.prepared is not None:
            with as_peewee:
                self._kept.prepared.flush()

    def execute_sql(self, *arguments: Any, **named: Any) -> Any:
        self.settle()
        return super().execute_sql(*arguments, **named)

    @property
    def _is_ordinary(self) -> bool:
        """Whether statements go the driver's own way: PgBouncer keeps nothing prepared, and hooks hear of no other."""
        return bool(self.query_hooks) or not self._prepares

    def _prepared(self) -> Prepared:
        connection = self.connection()
        prepared = self._kept.prepared
        if prepared is None or prepared.connection is not connection:
            prepared = self._kept.prepared = Prepared(connection)
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
        limits = [str(left + more) for more in _LIMITS.values()]
        with as_peewee:
            if self._is_ordinary:
                quoted = tuple(f"'{limit}'" for limit in limits)
                self._prepared().command(f"BEGIN; {_LIMIT % quoted}".encode())
            else:
                self._prepared().begin(Deferred(_LIMIT, limits))

    def ensure_connected(self) -> None:
        if is_dead(self._begun().connection):
            raise peewee.OperationalError("the connection is lost")

    def commit(self) -> None:
        with as_peewee:
            self._begun().commit()

    def rollback(self) -> None:
        with as_peewee:
            self._begun().rollback()

    def _begun(self) -> Prepared:
        if self.is_closed():  # another connection would end nothing, and succeed
            raise peewee.InterfaceError("the connection was closed before the end of the transaction")
        return self._prepared()
