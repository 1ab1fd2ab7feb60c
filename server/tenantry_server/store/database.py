"""The database: one connection a thread, opened lazily and kept. The worker threads are the pool.

What each engine adds stands in a module of its own; `urls.py` opens one by its URL.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import peewee

from .faults import Fault, classify
from .statements import Bound, Deferred, Result, Statement

T = TypeVar("T")

# Raises a driver's errors as Peewee's. To enter it costs something: where statements are executed, only errors do.
as_peewee: Any = peewee.__exception_wrapper__  # type: ignore[attr-defined]  # not in the stubs

# What is raised when the database cannot be reached or used, also by its driver (InterfaceError, which is no DatabaseError).
DatabaseFailure = peewee.PeeweeException

# How long a read waits before it is tried again on another connection, in seconds.
_READ_PAUSES = (0.0, 0.02, 0.1)


class _Thread(threading.local):
    """What a thread is doing: its transaction's deadline, while it has one."""

    deadline: float | None = None


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

    def ensure_connected(self) -> None:
        """Raises when the connection of the transaction is known to be lost: what was not committed yet never will be."""

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
        return statement.made(rows)

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
            return self.executed(text, parameters)[0]

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
            return self.executed(text, parameters)[1]

    def together(self, *bound: Bound) -> list[list[Any]]:
        """The rows of several statements of a transaction, executed in their order, in one round trip."""
        with self.reading():
            answers = self.all_executed([statement.sql(self, values) for statement, values in bound])
        return [statement.made(rows) for (statement, _), (rows, _) in zip(bound, answers, strict=True)]

    def later(self, statement: Statement[None], refusal: Exception | None = None, /, **values: Any) -> None:
        """Executes what changes something, no later than with the transaction's next statement or its commit, which then raises
        what comes of it: `refusal`, if there is one, when a unique index stands against it.
        """
        text, parameters = statement.sql(self, values)
        with self.reading():
            self.executed_later(Deferred(text, parameters, refusal))

    def settle(self) -> None:
        """Executes what waits for the next statement of the transaction, and raises what comes of it."""

    def all_executed(self, sent: list[tuple[str, list[Any]]]) -> list[Result]:
        """What comes of several statements, in their order."""
        return [self.executed(text, parameters) for text, parameters in sent]

    def executed_later(self, statement: Deferred) -> None:
        """Executes a statement now or later in the transaction."""
        try:
            self.executed(statement.text, statement.parameters)
        except peewee.IntegrityError as error:
            if statement.refusal is None:
                raise
            raise statement.refusal from error

    def executed(self, text: str, parameters: list[Any]) -> Result:
        """What comes of a statement that will be executed often. Peewee's query hooks hear of it."""
        cursor = self.execute_sql(text, parameters)
        return cursor.fetchall() if cursor.description else [], cursor.rowcount

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
