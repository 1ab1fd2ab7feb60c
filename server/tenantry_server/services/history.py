"""How an organization stood at a past instant, read from its audit trail."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from ..domain.audit import AuditEvent
from ..domain.authorization import Standing
from ..domain.call import Call
from ..domain.errors import DeadlineExceeded
from ..domain.history import Past, fold, not_told
from ..domain.permissions import Catalog
from ..store.database import Database
from ..store.queries import audit

# Events that one statement reads.
_CHUNK = 1000


def read(database: Database, call: Call, standing: Standing, as_of: datetime) -> Past:
    """The past of a standing's organization. Raises HistoryNotRetained, or DeadlineExceeded when the trail is too long."""
    past = fold(standing.organization_id, _trail(database, call, standing.organization_id), until=as_of)
    if past.is_latest and past.revision < standing.revision:  # the end of the trail is missing
        raise not_told(past)
    return past


def standing_at(catalog: Catalog, standing: Standing, past: Past, as_of: datetime) -> Standing:
    """The standing as it was. The credential is today's: what it narrows to, when it expires, and who keeps it out."""
    principal = standing.principal
    expire_time = principal.expire_time if principal else None
    user_id = principal.user_id if principal else ""
    return replace(
        standing,
        state=past.state,
        revision=past.revision,
        token_expired=expire_time is not None and expire_time <= as_of,
        member_role=past.member_role(user_id),
        roles=past.roles_of(catalog, user_id),
    )


def _trail(database: Database, call: Call, organization_id: str) -> Iterator[AuditEvent]:
    since = 0
    while True:
        events = database.rows(audit.TRAIL, organization_id=organization_id, since=since, limit=_CHUNK)
        yield from events
        if len(events) < _CHUNK:
            return
        if time.monotonic() >= call.deadline:
            raise DeadlineExceeded
        since = events[-1].revision
