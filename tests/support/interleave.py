"""Forced interleavings: threads that start together and stop where the test says, instead of hoping for bad luck.

A place is a statement of `store/queries`, or one of the words below for what is no statement. Threads are stopped outside the
database's own locks, which a query hook would hold on SQLite.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Self
from unittest.mock import patch

from tenantry_server.domain.errors import TenantryError
from tenantry_server.store.database import Database
from tenantry_server.store.statements import Bound, Statement

from .rpc import Refused

# `writing`: before it waits for its turn; `begin`, `commit`: before the database hears of it.
Place = Statement[Any] | Literal["writing", "begin", "commit"]

# Longer than anything takes: a test that waits so long has failed.
PATIENCE = 20.0
_WORDS = ("writing", "begin", "commit")


def outcome(act: Callable[[], Any]) -> Any:
    """What an act returns, or how it is refused, as a value."""
    try:
        return act()
    except (Refused, TenantryError) as refusal:
        return refusal


def refused(result: Any) -> bool:
    """Whether the outcome is a refusal."""
    return isinstance(result, Refused | TenantryError)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Runs every act in a thread of its own, all starting together. Answers with their outcomes, in order."""
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        start.wait(PATIENCE)
        return outcome(act)

    with ThreadPoolExecutor(len(acts)) as pool:
        return [running.result(2 * PATIENCE) for running in [pool.submit(run, act) for act in acts]]


class Background:
    """An act in a thread of its own."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[Any] = self._pool.submit(outcome, act)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._running.done()

    def result(self) -> Any:
        """Its outcome, once it has ended."""
        try:
            return self._running.result(PATIENCE)
        finally:
            self._pool.shutdown(wait=False)


class Before:
    """While entered, calls `act` in each thread that is about to pass one of the places."""

    def __init__(self, database: Database, places: Iterable[Place], act: Callable[[], None]) -> None:
        self._database = database
        self._places = frozenset(places)
        self._act = act
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        for name in ("rows", "run", "later"):
            self._patch(name, lambda arguments: arguments[0] in self._places)
        self._patches.enter_context(patch.object(self._database, "together", self._one_by_one))
        for name in _WORDS:
            if name in self._places:
                self._patch(name, lambda arguments: True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._patches.close()

    def _one_by_one(self, *bound: Bound) -> list[Any]:
        """What goes together has places in between."""
        return [self._database.rows(statement, **values) for statement, values in bound]

    def _patch(self, name: str, is_place: Callable[[tuple[Any, ...]], bool]) -> None:
        original = getattr(self._database, name)

        def watched(*arguments: Any, **values: Any) -> Any:
            if is_place(arguments):
                self._act()
            return original(*arguments, **values)

        self._patches.enter_context(patch.object(self._database, name, watched))


class Meeting(Before):
    """Holds each thread, once, at the places until `parties` threads are there or `patience` is over: then it goes on."""

    def __init__(self, database: Database, *places: Place, parties: int = 2, patience: float = PATIENCE) -> None:
        super().__init__(database, places, self._wait)
        self._barrier = threading.Barrier(parties, action=self._all_there)
        self._patience = patience
        self._seen: set[int] = set()
        self.met = False

    def _all_there(self) -> None:
        self.met = True

    def _wait(self) -> None:
        thread = threading.get_ident()
        if thread in self._seen:
            return
        self._seen.add(thread)
        try:
            self._barrier.wait(self._patience)
        except threading.BrokenBarrierError:
            return


class Stop(Before):
    """Stops the first thread that comes to one of the places until the test lets it go; the others pass."""

    def __init__(self, database: Database, *places: Place) -> None:
        super().__init__(database, places, self._wait)
        self._first = threading.Lock()
        self._arrived = threading.Event()
        self._go = threading.Event()

    def wait(self) -> None:
        """Returns when a thread has stopped."""
        assert self._arrived.wait(PATIENCE), "nobody came by"

    def go(self) -> None:
        """Lets it go."""
        self._go.set()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._go.set()
        super().__exit__(kind, error, trace)

    def _wait(self) -> None:
        if self._first.acquire(blocking=False):
            self._arrived.set()
            assert self._go.wait(PATIENCE), "nobody said go"


class Seen(Before):
    """Notices when a thread comes to one of the places."""

    def __init__(self, database: Database, *places: Place) -> None:
        self._event = threading.Event()
        super().__init__(database, places, self._event.set)

    def wait(self) -> None:
        """Returns when one has."""
        assert self._event.wait(PATIENCE), "nobody came by"
