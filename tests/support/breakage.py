"""Things that go wrong in the database, on purpose: statements that fail, connections that are cut, commits of unknown fate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import peewee

from tenantry_server.store.database import Database
from tenantry_server.store.statements import Deferred

from . import raw
from .deployment import Deployment

# What an engine says to this is a mistake of ours, to the server: nothing that is worth another try.
_BROKEN = "SELECT no_such_column FROM organizations"


class FailingStatement:
    """While entered, the n-th statement of every change (from 0) fails in the engine itself; "begin" and "commit" may, too."""

    def __init__(self, database: Database, which: int | str) -> None:
        self._database = database
        self._which = which
        self._patches = ExitStack()
        self._thread = threading.local()
        self.failed = False

    def __enter__(self) -> Self:
        database: Any = self._database
        begin, commit, rollback = database.begin, database.commit, database.rollback

        def counted(execute: Callable[..., Any], counted: Callable[..., tuple[Any, ...]]) -> Callable[..., Any]:
            def executed(*arguments: Any) -> Any:
                if getattr(self._thread, "inside", False):  # one way of executing uses another
                    return execute(*arguments)
                self._thread.inside = True
                try:
                    return execute(*counted(*arguments))
                finally:
                    self._thread.inside = False

            return executed

        def beginning() -> None:
            self._fail_at("begin")
            begin()
            self._thread.number = 0

        def committing() -> None:
            self._thread.number = None
            self._fail_at("commit")
            commit()

        def rolling_back() -> None:
            self._thread.number = None
            rollback()

        replacements = {
            "executed": counted(database.executed, lambda *one: self._or_broken(one)),
            "all_executed": counted(database.all_executed, lambda all_: ([self._or_broken(one) for one in all_],)),
            "executed_later": counted(database.executed_later, lambda one: (Deferred(*self._or_broken(one)),)),
            "begin": beginning,
            "commit": committing,
            "rollback": rolling_back,
        }
        for name, replacement in replacements.items():
            self._patches.enter_context(patch.object(database, name, replacement))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._patches.close()

    def _or_broken(self, statement: tuple[Any, ...]) -> tuple[Any, ...]:
        number = getattr(self._thread, "number", None)
        if number is None:
            return statement
        self._thread.number = number + 1
        if number != self._which:
            return statement
        self.failed = True
        return (_BROKEN, [])

    def _fail_at(self, place: str) -> None:
        if self._which == place:
            self.failed = True
            raise peewee.InternalError(f"cannot {place}")


class Tries:
    """Counts the transactions that begin while it is entered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.count = 0
        self._reached = threading.Condition()

    def __enter__(self) -> Self:
        begin = self._database.begin

        def counted() -> None:
            with self._reached:
                self.count += 1
                self._reached.notify_all()
            begin()

        self._patch = patch.object(self._database, "begin", counted)
        self._patch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._patch.stop()

    def wait(self, count: int) -> None:
        """Returns when so many have begun."""
        with self._reached:
            assert self._reached.wait_for(lambda: self.count >= count, timeout=20), "it was not tried so often"


def kill(deployment: Deployment, *, state: str = "") -> int:
    """Cuts a deployment's connections to PostgreSQL, all or those in a state. Answers with how many there were."""
    condition = "datname = current_database() AND pid <> pg_backend_pid()" + (f" AND state = '{state}'" if state else "")
    with raw.connect(deployment.url) as connection:
        rows = connection.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {condition}")
    deployment.database.drop_connection()  # the test's own
    return len(rows)


class CommitLoses:
    """While entered, the first commit loses its connection: before the database heard of it, or after."""

    def __init__(self, database: Database, *, applied: bool) -> None:
        self._first = threading.Lock()
        self._commit = database.commit
        self._applied = applied
        self._patch = patch.object(database, "commit", self._committing)

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._patch.stop()

    def _committing(self) -> None:
        if not self._first.acquire(blocking=False):
            self._commit()
            return
        if self._applied:
            self._commit()
        raise peewee.OperationalError("the connection is closed")  # what a driver says
