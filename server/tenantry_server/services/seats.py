"""Seats: members and pending invitations of an organization, of which it may have only so many."""

from datetime import datetime

from ..domain.leases import exceeded
from ..domain.metrics import SEATS
from ..store.change import Change
from ..store.database import Database
from ..store.queries import invitations as invitation_statements
from ..store.queries import members as statements
from ..store.values import milliseconds

# More than there are of anything.
_ALL = 1_000_000_000


def taken(database: Database, organization_id: str, now: datetime, *, most: int = _ALL) -> int:
    """How many seats are taken: who accepts an invitation takes the seat that it held. Of each kind, up to a number that is
    enough to know.
    """
    slots = {"organization_id": organization_id, "most": most}
    invited = database.one(invitation_statements.COUNT_PENDING, now=milliseconds(now), **slots)
    return int(database.one(statements.COUNT, **slots)) + int(invited)


def ensure_seat(change: Change, *, held: int = 0) -> None:
    """Raises QuotaExceeded when there is no seat for one more. `held` is how many were taken for it already, in this change."""
    metric = change.catalog.metrics.all.get(SEATS)
    limit = None if metric is None else change.catalog.metrics.limit(SEATS, change.organization.quotas)
    if metric is None or limit is None:
        return
    used = taken(change.database, change.organization.id, change.now, most=limit + 1 + held) - held
    if used >= limit:
        raise exceeded(metric, limit, used, 1)
