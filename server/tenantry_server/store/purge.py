"""The end of what nobody needs any more, in transactions that each remove a bounded number of rows.

An organization whose window has passed is first marked, under its lock: from then on nothing brings it back, whatever
anybody's clock says, and `doctor` knows that it is on its way out. Then its rows go, a batch at a time, and at last itself,
with one event in the platform's trail. A process that is killed in between leaves it marked, and another goes on.
"""

from datetime import datetime
from enum import Enum, auto

from ..domain.call import Call
from ..domain.organizations import OrganizationState
from .change import Change, Store
from .database import Database
from .queries import platform
from .queries import retention as statements
from .statements import Statement
from .tries import run
from .values import milliseconds


class Progress(Enum):
    """How far a purge is."""

    MORE = auto()  # there is more to remove
    DONE = auto()
    LEFT = auto()  # the organization was brought back meanwhile, or another process was faster


def purge_some(store: Store, call: Call, organization_id: str) -> Progress:
    """One batch of an organization's purge."""
    database = store.database

    def work() -> Progress:
        now = store.clock.now()
        found = database.row(statements.LOCK, organization_id=organization_id)
        if found is None or not _is_due(found, now):
            return Progress.LEFT
        database.run(statements.BEGIN_PURGE, organization_id=organization_id)
        if _remove_rows(database, organization_id):
            return Progress.MORE
        _end(store, call, organization_id, found.slug, now)
        return Progress.DONE

    return run(database, call, work)


def _is_due(found: statements.Locked, now: datetime) -> bool:
    is_deleted = found.state is OrganizationState.DELETED and found.purge_time is not None
    return is_deleted and (found.purge_time or 0) <= milliseconds(now)


def _remove_rows(database: Database, organization_id: str) -> bool:
    """Removes about a batch, from the tables that point at others first; whether there may be more."""
    removed = 0
    for statement in statements.OF_ORGANIZATION.values():
        removed += database.run(statement, organization_id=organization_id)
        if removed >= statements.BATCH:
            return True
    return False


def _end(store: Store, call: Call, organization_id: str, slug: str, now: datetime) -> None:
    """Removes the organization, of which nothing else is left: nobody adds anything under its lock."""
    store.database.run(statements.END_SLUG, organization_id=organization_id, slug=slug)
    store.database.run(statements.END, organization_id=organization_id)
    change = Change(store, call, now)
    change.enter_platform(store.database.one(platform.BUMP))
    change.record("organization.purge", "organization", organization_id, {})


def forget_some(store: Store, call: Call, statement: Statement[None], before: datetime, organization_id: str = "") -> int:
    """Removes up to a batch of rows that ended before an instant; of how many. Those of an organization, under its lock."""
    database = store.database

    def work() -> int:
        slots = {"organization_id": organization_id} if organization_id else {}
        if organization_id:
            database.row(statements.LOCK, organization_id=organization_id)
        return database.run(statement, before=milliseconds(before), **slots)

    return run(database, call, work)
