"""SQLite: a file. It drops the interpreter lock at every row, so a process runs one statement at a time there, and its writers
queue on a mutex (and on a file lock, when several processes share the file) instead of polling.
"""

import fcntl
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import peewee

from ..domain.errors import DeadlineExceeded
from .database import Database, as_peewee
from .statements import Result

_PRAGMAS = {
    "journal_mode": "wal",
    # An acknowledged revocation survives a power loss.
    "synchronous": "full",
    "foreign_keys": 1,
    "busy_timeout": 5000,
    # In KiB, of every connection. Enough for what calls of a thousand organizations read; of a larger file the kernel keeps the
    # pages, once for all processes.
    "cache_size": -8192,
    "temp_store": 2,
}
# How long a process waits for another that migrates the same file, in seconds.
_LONGEST_MIGRATION = 3600.0


class _Kept(threading.local):
    """What a thread executes statements by."""

    cursor: sqlite3.Cursor | None = None


class SqliteDatabase(Database, peewee.SqliteDatabase):
    """A file. `BEGIN IMMEDIATE` makes writers wait at the start, where waiting is safe."""

    def __init__(self, path: Path) -> None:
        self._kept = _Kept()
        super().__init__(str(path), pragmas=_PRAGMAS, timeout=5, check_same_thread=False, cached_statements=256)
        self._statements = threading.Lock()
        self._writers = threading.Lock()
        self._path = path.with_name(path.name + ".lock")
        self._file: TextIOWrapper | None = None

    def reading(self) -> AbstractContextManager[Any]:
        return self._statements

    def executed(self, text: str, parameters: list[Any]) -> Result:
        if self.query_hooks:
            return super().executed(text, parameters)
        try:
            cursor = self._cursor().execute(text, parameters)
            return cursor.fetchall() if cursor.description else [], cursor.rowcount
        except sqlite3.Error:
            with as_peewee:
                raise

    def _cursor(self) -> sqlite3.Cursor:
        """The thread's own: one for each statement would cost as much again as what Peewee does around it."""
        cursor = self._kept.cursor
        if cursor is None or cursor.connection is not self._state.conn:  # type: ignore[attr-defined]  # Peewee has it
            cursor = self._kept.cursor = self.cursor()
        return cursor

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
