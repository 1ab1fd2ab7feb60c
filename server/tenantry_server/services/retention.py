"""Retention: what nobody needs any more is removed without holding anybody up. `sweeper.py` says when, and by whom."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from ..domain import call as calls
from ..domain.call import Call
from ..store import purge
from ..store.change import Store
from ..store.queries import retention as statements
from ..store.statements import Statement
from ..store.transactions import REMEMBERED_FOR
from ..store.values import milliseconds

T = TypeVar("T")

# In seconds.
_LONGEST_PASS, _BETWEEN_WALKS = 300.0, 3600.0
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
        self._end = self._next_walk = 0.0

    def sweep(self) -> Removed:
        """One pass: until nothing is left to do, its time is over, or `pause` says to stop. Answers with what is gone."""
        removed, self._end = Removed(), time.monotonic() + _LONGEST_PASS
        now = self._store.clock.now()
        try:
            for count in self._forget(statements.ANSWERS, now - REMEMBERED_FOR - _SKEW):
                removed.answers += count
            for count in self._forget(statements.SECRETS, now - _SECRETS_KEPT_FOR):
                removed.secrets += count
            for organization_id in self._due(now):
                removed.organizations += self._purge(organization_id)
            for organization_id in self._with_expired_invitations(now - _INVITATIONS_KEPT_FOR):
                for count in self._forget(statements.EXPIRED_INVITATIONS, now - _INVITATIONS_KEPT_FOR, organization_id):
                    removed.invitations += count
        except _Over:
            pass
        return removed

    def _due(self, now: datetime) -> Iterator[str]:
        """The organizations to purge, as long as there are any."""
        while found := self._store.database.rows(statements.DUE, now=milliseconds(now), limit=_SOME):
            yield from found

    def _with_expired_invitations(self, before: datetime) -> Iterator[str]:
        """The organizations that have some, by a walk through all invitations, which is not made too often."""
        if time.monotonic() < self._next_walk:
            return
        place, slots = ("", ""), {"before": milliseconds(before), "limit": statements.BATCH}
        while page := self._store.database.rows(statements.WALK, organization_id=place[0], after=place[1], **slots):
            place = page[-1][:2]
            yield from dict.fromkeys(organization_id for organization_id, _, is_expired in page if is_expired)
            self._rest(0.0)
        self._next_walk = time.monotonic() + _BETWEEN_WALKS

    def _purge(self, organization_id: str) -> bool:
        """Whether it is gone by our hand."""
        while True:
            progress = self._take_turn(lambda call: purge.purge_some(self._store, call, organization_id))
            if progress is not purge.Progress.MORE:
                return progress is purge.Progress.DONE

    def _forget(self, statement: Statement[None], before: datetime, organization_id: str = "") -> Iterator[int]:
        """Removes what the statement says, and tells of each batch."""
        found = statements.BATCH
        while found >= statements.BATCH:
            found = self._take_turn(lambda call: purge.forget_some(self._store, call, statement, before, organization_id))
            yield found

    def _take_turn(self, act: Callable[[Call], T]) -> T:
        """One transaction, and as long a rest as it took: at least half of the time is the callers'."""
        begin = time.monotonic()
        result = act(calls.operator("tenantry sweep"))
        self._rest(time.monotonic() - begin)
        return result

    def _rest(self, seconds: float) -> None:
        if self._pause(seconds) or time.monotonic() > self._end:
            raise _Over
