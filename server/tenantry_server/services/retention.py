"""Retention: what nobody needs any more is removed, in the background, without holding anybody up.

Every server process has a thread that looks now and then, and one of them at a time has the lease to do it. The lease saves
work and no more: two processes at once, or one whose clock is wrong, do no harm.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from ..domain import call as calls
from ..domain import ids
from ..domain.call import Call
from ..store import purge
from ..store.change import Store
from ..store.queries import retention as statements
from ..store.statements import Statement
from ..store.transactions import REMEMBERED_FOR
from ..store.values import milliseconds

T = TypeVar("T")

log = structlog.get_logger("tenantry.retention")

_PERIOD = 60.0
_LONGEST_PASS = 300.0
_LEASE, _LEASE_FOR = "retention", timedelta(minutes=10)
# How many organizations are looked up at a time.
_SOME = 100
# By how much the clocks of processes may differ: no answer is forgotten that another process would still give again.
_SKEW = timedelta(minutes=10)
# For how long the end of a secret, and of an invitation, can still be told from its never having been.
_SECRETS_KEPT_FOR = timedelta(days=1)
_INVITATIONS_KEPT_FOR = timedelta(days=30)

# Waits for so many seconds; whether to stop.
Pause = Callable[[float], bool]


@dataclass(slots=True)
class Removed:
    """What a pass removed."""

    organizations: int = 0
    answers: int = 0
    secrets: int = 0
    invitations: int = 0


class _Over(Exception):
    """The pass has taken its time, or is told to stop."""


class Retention:
    """Removes organizations whose window has passed, answers under request ids, former secrets, expired invitations."""

    def __init__(self, store: Store, pause: Pause = lambda seconds: False) -> None:
        self._store = store
        self._pause = pause
        self._end = 0.0

    def sweep(self) -> Removed:
        """One pass: until nothing is left to do, its time is over, or `pause` says to stop. Answers with what is gone."""
        removed, self._end = Removed(), time.monotonic() + _LONGEST_PASS
        now = self._store.clock.now()
        try:
            for count in self._forget(statements.ANSWERS, now - REMEMBERED_FOR - _SKEW):
                removed.answers += count
            for count in self._forget(statements.SECRETS, now - _SECRETS_KEPT_FOR):
                removed.secrets += count
            for organization_id in self._each(statements.WITH_EXPIRED_INVITATIONS, before=now - _INVITATIONS_KEPT_FOR):
                for count in self._forget(statements.EXPIRED_INVITATIONS, now - _INVITATIONS_KEPT_FOR, organization_id):
                    removed.invitations += count
            for organization_id in self._each(statements.DUE, now=now):
                removed.organizations += self._purge(organization_id)
        except _Over:
            pass
        return removed

    def _each(self, statement: Statement[str], **instants: datetime) -> Iterator[str]:
        """The organizations that a statement finds, as long as it finds any; what is done with each takes it out."""
        slots = {name: milliseconds(instant) for name, instant in instants.items()}
        while found := self._store.database.rows(statement, limit=_SOME, **slots):
            yield from found

    def _purge(self, organization_id: str) -> bool:
        """Whether it is gone by our hand."""
        while True:
            progress = self._take_turn(lambda call: purge.purge_some(self._store, call, organization_id))
            if progress is not purge.Progress.MORE:
                return progress is purge.Progress.DONE

    def _forget(self, statement: Statement[None], before: datetime, organization_id: str = "") -> Iterator[int]:
        """Removes what the statement says, and tells of each batch."""
        found = purge.BATCH
        while found == purge.BATCH:
            found = self._take_turn(lambda call: purge.forget_some(self._store, call, statement, before, organization_id))
            yield found

    def _take_turn(self, act: Callable[[Call], T]) -> T:
        """One transaction, and as long a rest as it took: at least half of the time is the callers'."""
        begin = time.monotonic()
        result = act(calls.operator("tenantry sweep"))
        end = time.monotonic()
        if self._pause(end - begin) or end > self._end:
            raise _Over
        return result


class Sweeper:
    """A thread that sweeps now and then, when no other process does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holder = ids.new()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sweeps every minute or so from now on."""
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends, after the transaction that is under way."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def sweep(self) -> Removed | None:
        """One pass, under the lease; None when another process has it. What fails now is tried again the next time."""
        database, now = self._store.database, self._store.clock.now()
        lease = {"name": _LEASE, "holder": self._holder}
        until = milliseconds(now + _LEASE_FOR)
        try:
            if not database.run(statements.TAKE_LEASE, now=milliseconds(now), until=until, **lease):
                return None
            removed = Retention(self._store, self._stop.wait).sweep()
            database.run(statements.END_LEASE, **lease)
        except Exception as error:  # noqa: BLE001  whatever it is, it may be over when the next period ends
            database.drop_connection()
            log.warning("sweep failed", error=type(error).__name__)
            return None
        if removed != Removed():
            log.info("swept", **asdict(removed))
        return removed

    def _run(self) -> None:
        # Processes that start together do not look together.
        while not self._stop.wait(_PERIOD * random.uniform(0.5, 1)):  # noqa: S311
            self.sweep()
        self._store.database.close()
