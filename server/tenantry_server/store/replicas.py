"""A primary and a replica of it. Everything goes to the primary but for what a thread says it reads from the replica."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..domain.errors import DatabaseUnavailable
from .postgresql import PostgresDatabase
from .statements import Statement
from .urls import postgresql

T = TypeVar("T")

# How long the primary is not asked again after it gave no answer, in seconds.
_REST = 1.0


class _Reader(threading.local):
    """Whether a thread reads from the replica."""

    from_replica = False


class ReplicatedDatabase(PostgresDatabase):
    """The primary, which knows a replica. All statements of a call go to one of the two, so they never contradict."""

    def __init__(self, url: str, replica_url: str, *, prepare: bool = True) -> None:
        super().__init__(url, prepare=prepare)
        self._replica = PostgresDatabase(replica_url, prepare=prepare)
        self._reader = _Reader()
        self._away_until = 0.0

    @contextmanager
    def reading_from_replica(self) -> Iterator[None]:
        """While entered, this thread's statements go to the replica, and it changes nothing."""
        self._reader.from_replica = True
        try:
            yield
        finally:
            self._reader.from_replica = False

    def ask_primary(self) -> bool:
        """Whether to ask the primary: not for a moment after it gave no answer, and then one call finds out for all."""
        now = time.monotonic()
        if now < self._away_until:
            return False
        if self._away_until:
            self._away_until = now + _REST
        return True

    def note_primary(self, *, away: bool) -> None:
        """The primary gave an answer, or none."""
        self._away_until = time.monotonic() + _REST if away else 0.0

    def rows(self, statement: Statement[T], **values: Any) -> list[T]:
        if self._reader.from_replica:
            return self._replica.rows(statement, **values)
        return super().rows(statement, **values)

    def run(self, statement: Statement[None], **values: Any) -> int:
        if self._reader.from_replica:
            raise DatabaseUnavailable
        return super().run(statement, **values)

    @contextmanager
    def serving(self, deadline: float) -> Iterator[None]:
        with self._replica.serving(deadline) if self._reader.from_replica else super().serving(deadline):
            yield

    @contextmanager
    def writing(self, deadline: float) -> Iterator[None]:
        if self._reader.from_replica:
            raise DatabaseUnavailable
        with super().writing(deadline):
            yield

    def drop_connection(self) -> None:
        if self._reader.from_replica:
            self._replica.drop_connection()
        else:
            super().drop_connection()

    def shut_down(self) -> None:
        self._replica.shut_down()
        super().shut_down()


def open_replicated(url: str, replica_url: str, *, prepare: bool = True) -> ReplicatedDatabase:
    """The database of two URLs. Nothing is connected yet. Raises ValueError when either is not PostgreSQL's."""
    return ReplicatedDatabase(postgresql(url), postgresql(replica_url), prepare=prepare)
