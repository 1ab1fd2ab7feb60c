"""Statements that remove what nobody needs any more: a bounded number of rows each, so that no transaction is long.

The bound stands in the text: of a parameter, PostgreSQL would think that it may be everything, and go through the table.
"""

from typing import Any, NamedTuple

from peewee import SQL, Model, Tuple, fn

from ...domain.invitations import InvitationState
from ...domain.organizations import OrganizationState
from ...domain.users import UserState
from ..models import TABLES, AuditEvent, Invitation, Lease, Organization, OrganizationSlug, PersonalOrganization, RequestRecord
from ..people import ApiTokenSecret, User
from ..statements import Slot, Statement, changing, constant, value

# What an organization's purge time becomes when its purge begins: no clock, however slow, takes it for a time to come.
PURGING = 0

# How many rows a statement removes at most.
BATCH = 500

_DELETED = Organization.state == constant(OrganizationState.DELETED.value)


def _is_home() -> Any:
    """Whether the organization tells the life of a deleted user who may still be erased: that takes the trail."""
    return (
        AuditEvent.select(AuditEvent.revision)
        .join(User, on=(User.id == AuditEvent.target_id))
        .where(
            (AuditEvent.organization_id == Organization.id)
            & (AuditEvent.revision == 1)
            & (AuditEvent.action == "user.create")
            & (User.state == UserState.DELETED.value)
        )
    )


class Locked(NamedTuple):
    """What tells whether an organization is to be purged, and its slug."""

    state: OrganizationState
    purge_time: int | None
    slug: str


# Organizations whose purge is due, those first whose purge has begun.
DUE = value(
    lambda: (
        Organization.select(Organization.id)
        .where(_DELETED & (Organization.purge_time <= Slot("now")) & ~fn.EXISTS(_is_home()))
        .order_by(Organization.purge_time)
        .limit(Slot("limit"))
    )
)
# Takes the organization's lock without counting a revision: what is removed here is no change that anybody made.
LOCK = Statement(
    lambda: (
        Organization.update({Organization.revision: Organization.revision})
        .where(Organization.id == Slot("organization_id"))
        .returning(Organization.state, Organization.purge_time, Organization.slug)
    ),
    lambda row: Locked(OrganizationState(row[0]), row[1], str(row[2])),
)
BEGIN_PURGE = changing(
    lambda: Organization.update({Organization.purge_time: PURGING}).where(
        (Organization.id == Slot("organization_id")) & (Organization.purge_time != PURGING)
    )
)


def _some(table: type[Model], limit: int) -> Statement[None]:
    """Removes up to so many rows of an organization from a table."""
    key = [field.name for field in table._meta.get_primary_keys() if field.name != "organization_id"]

    def columns(source: Any) -> Any:
        found = [getattr(source, name) for name in key]
        return found[0] if len(found) == 1 else Tuple(*found)

    def build() -> Any:
        if not key:  # there is one row at most
            whole: Any = table
            return table.delete().where(whole.organization_id == Slot("organization_id"))
        rows: Any = table.alias()
        some = rows.select(*(getattr(rows, name) for name in key)).where(rows.organization_id == Slot("organization_id"))
        here: Any = table
        return table.delete().where(
            (here.organization_id == Slot("organization_id")) & columns(here).in_(some.limit(SQL(str(limit))))
        )

    return changing(build)


# Where an organization that is deleted has no row, or the one that is found by its slug.
ELSEWHERE = (PersonalOrganization, OrganizationSlug)


def of_organization(limit: int) -> dict[str, Statement[None]]:
    """What an organization has, by table, what points at others first: a table that is added is in it."""
    return {
        table._meta.table_name: _some(table, limit)
        for table in reversed(TABLES)
        if "organization_id" in table._meta.fields and table not in ELSEWHERE
    }


OF_ORGANIZATION = of_organization(BATCH)
END_SLUG = changing(
    lambda: OrganizationSlug.delete().where(
        (OrganizationSlug.slug == Slot("slug")) & (OrganizationSlug.organization_id == Slot("organization_id"))
    )
)
END = changing(lambda: Organization.delete().where(Organization.id == Slot("organization_id")))


# Each condition stands inside for what is found, and outside for what it has become when its row is there to be removed.
def _old_answers(record: Any) -> Any:
    return record.create_time <= Slot("before")


def _answers() -> Any:
    rows: Any = RequestRecord.alias()
    some = rows.select(rows.principal_id, rows.request_id).where(_old_answers(rows)).order_by(rows.create_time)
    key = Tuple(RequestRecord.principal_id, RequestRecord.request_id)
    return RequestRecord.delete().where(_old_answers(RequestRecord) & key.in_(some.limit(SQL(str(BATCH)))))


def _ended(secret: Any) -> Any:
    return secret.expire_time.is_null(False) & (secret.expire_time <= Slot("before"))


def _secrets() -> Any:
    rows: Any = ApiTokenSecret.alias()
    some = rows.select(rows.digest).where(_ended(rows)).limit(SQL(str(BATCH)))
    return ApiTokenSecret.delete().where(_ended(ApiTokenSecret) & ApiTokenSecret.digest.in_(some))


ANSWERS = changing(_answers)
SECRETS = changing(_secrets)


def _expired(invitation: Any) -> Any:
    states = (constant(InvitationState.PENDING.value), constant(InvitationState.EXPIRED.value))
    return invitation.state.in_(states) & (invitation.expire_time <= Slot("before"))


def _invitations() -> Any:
    rows: Any = Invitation.alias()
    some = rows.select(rows.id).where((rows.organization_id == Slot("organization_id")) & _expired(rows))
    return Invitation.delete().where(
        (Invitation.organization_id == Slot("organization_id"))
        & _expired(Invitation)
        & Invitation.id.in_(some.limit(SQL(str(BATCH))))
    )


_PLACE = (Invitation.organization_id, Invitation.id)
# The next invitations of all organizations, wherever they are, and whether they are expired.
WALK = Statement(
    lambda: (
        Invitation.select(*_PLACE, _expired(Invitation))
        .where(Tuple(*_PLACE) > Tuple(Slot("organization_id"), Slot("after")))
        .order_by(*_PLACE)
        .limit(Slot("limit"))
    ),
    lambda row: (str(row[0]), str(row[1]), bool(row[2])),
)
EXPIRED_INVITATIONS = changing(_invitations)

# One process at a time has a lease; how long by its own clock is enough, for nothing goes wrong when two have it.
TAKE_LEASE = changing(
    lambda: Lease.update({Lease.holder: Slot("holder"), Lease.expire_time: Slot("until")}).where(
        (Lease.name == Slot("name")) & ((Lease.expire_time <= Slot("now")) | (Lease.holder == Slot("holder")))
    )
)
END_LEASE = changing(
    lambda: Lease.update({Lease.expire_time: 0}).where((Lease.name == Slot("name")) & (Lease.holder == Slot("holder")))
)
