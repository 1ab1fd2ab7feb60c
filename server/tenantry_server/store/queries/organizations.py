"""Statements about organizations, their slugs and their settings."""

import json
from typing import Any, NamedTuple

from peewee import fn

from ...domain.organizations import Organization, OrganizationState, Suspension, masked, masked_otel
from ...domain.rates import limits_of
from ...domain.users import UserState
from ..models import Membership, OrganizationSlug, PersonalOrganization
from ..models import Organization as Table
from ..people import User
from ..statements import Row, Slot, Statement, changing, constant, value
from ..values import ORGANIZATION_STATES, instant, instant_or_none

COLUMNS = (
    Table.id,
    Table.name,
    Table.slug,
    Table.personal,
    Table.state,
    Table.creator_user_id,
    Table.default_region_id,
    Table.limited_network_egress,
    Table.experimental_config,
    Table.revision,
    Table.create_time,
    Table.update_time,
    Table.delete_time,
    Table.purge_time,
    Table.suspend_time,
    Table.suspend_until,
    Table.suspension_reason,
    Table.cleanup_grace_hours,
    Table.limits,
    Table.otel_config,
    Table.quotas,
)


def record(row: Row) -> Organization:
    """The record of a row of COLUMNS, its secrets masked."""
    (id_, name, slug, personal, state, creator, region, egress, config, revision, created, updated, deleted, purged) = row[:14]
    (suspended, until, reason, grace_hours, limits, otel, quotas) = row[14:]
    return Organization(
        id=id_,
        name=name,
        slug=slug,
        personal=bool(personal),
        state=ORGANIZATION_STATES[state],
        creator_user_id=creator,
        default_region_id=region,
        limited_network_egress=bool(egress),
        experimental_config=masked(json.loads(config)) if config != "{}" else {},
        revision=revision,
        create_time=instant(created),
        update_time=instant(updated),
        delete_time=instant_or_none(deleted),
        purge_time=instant_or_none(purged),
        suspension=_suspension(suspended, reason, until),
        cleanup_grace_hours=grace_hours,
        limits=limits_of(limits) if limits else None,
        otel_config=masked_otel(json.loads(otel)) if otel else None,
        quotas=json.loads(quotas) if quotas != "{}" else {},
    )


def _suspension(suspended: int | None, reason: str, until: int | None) -> Suspension | None:
    if suspended is None:
        return None
    return Suspension(time=instant(suspended), reason=reason, until=instant_or_none(until))


def is_active() -> Any:
    """Whether an organization is active `now`: also one whose suspension has come to its end."""
    ended = (Table.state == constant(OrganizationState.SUSPENDED.value)) & (Table.suspend_until <= Slot("now"))
    return (Table.state == constant(OrganizationState.ACTIVE.value)) | ended


# The first statement of every change of an organization: it takes the lock and answers with the state to decide on.
BUMP = Statement(
    lambda: (
        Table.update({Table.revision: Table.revision + 1, Table.update_time: Slot("now")})
        .where(Table.id == Slot("organization_id"))
        .returning(*COLUMNS)
    ),
    record,
)
GET = Statement(lambda: Table.select(*COLUMNS).where(Table.id == Slot("organization_id")), record)
INSERT = changing(lambda: Table.insert({column: Slot(column.name) for column in COLUMNS[:12]}))
TAKE_SLUG = changing(
    lambda: OrganizationSlug.insert(
        {OrganizationSlug.slug: Slot("slug"), OrganizationSlug.organization_id: Slot("organization_id")}
    ).on_conflict("nothing")
)
MAKE_PERSONAL = changing(
    lambda: PersonalOrganization.insert(
        {PersonalOrganization.user_id: Slot("user_id"), PersonalOrganization.organization_id: Slot("organization_id")}
    )
)
PERSONAL = Statement(
    lambda: (
        Table.select(*COLUMNS)
        .join(PersonalOrganization, on=PersonalOrganization.organization_id == Table.id)
        .where(PersonalOrganization.user_id == Slot("user_id"))
    ),
    record,
)
# The second of the two bounds follows from the first, but PostgreSQL, when it merges the two tables, begins at each one's own.
OF_USER = Statement(
    lambda: (
        Table.select(*COLUMNS)
        .join(Membership, on=Membership.organization_id == Table.id)
        .where(
            (Membership.user_id == Slot("user_id"))
            & (Membership.organization_id > Slot("after"))
            & (Table.id > Slot("after"))
            & (Table.state != OrganizationState.DELETED.value)
        )
        .order_by(Membership.organization_id)
        .limit(Slot("limit"))
    ),
    record,
)
IDS_OF_USER = value(
    lambda: (
        Membership.select(Membership.organization_id)
        .where(Membership.user_id == Slot("user_id"))
        .order_by(Membership.organization_id)
    )
)
COUNT_CREATED = value(
    lambda: Table.select(fn.COUNT(Table.id)).where(
        (Table.creator_user_id == Slot("user_id")) & (Table.state != OrganizationState.DELETED.value)
    )
)
RENAME = changing(lambda: Table.update({Table.name: Slot("name")}).where(Table.id == Slot("organization_id")))
SET_REGION = changing(
    lambda: Table.update({Table.default_region_id: Slot("default_region_id")}).where(Table.id == Slot("organization_id"))
)
# What becomes of the personal organization of a deleted user: an organization like others, to be purged.
MAKE_IMPERSONAL = changing(lambda: Table.update({Table.personal: False}).where(Table.id == Slot("organization_id")))
# Whichever state it is, a suspension is over.
SET_STATE = changing(
    lambda: Table.update(
        {
            Table.state: Slot("state"),
            Table.delete_time: Slot("delete_time"),
            Table.purge_time: Slot("purge_time"),
            Table.suspend_time: None,
            Table.suspend_until: None,
            Table.suspension_reason: "",
        }
    ).where(Table.id == Slot("organization_id"))
)
SET_SUSPENSION = changing(
    lambda: Table.update(
        {
            Table.state: Slot("state"),
            Table.suspend_time: Slot("suspend_time"),
            Table.suspend_until: Slot("suspend_until"),
            Table.suspension_reason: Slot("suspension_reason"),
            Table.cleanup_grace_hours: Slot("cleanup_grace_hours"),
        }
    ).where(Table.id == Slot("organization_id"))
)
SET_LIMITS = changing(lambda: Table.update({Table.limits: Slot("limits")}).where(Table.id == Slot("organization_id")))
SET_OTEL = changing(lambda: Table.update({Table.otel_config: Slot("otel_config")}).where(Table.id == Slot("organization_id")))
SET_SETTINGS = changing(
    lambda: Table.update(
        {
            Table.limited_network_egress: Slot("limited_network_egress"),
            Table.experimental_config: Slot("experimental_config"),
        }
    ).where(Table.id == Slot("organization_id"))
)
SET_QUOTAS = changing(lambda: Table.update({Table.quotas: Slot("quotas")}).where(Table.id == Slot("organization_id")))
# In clear: for merging masked values with stored ones alone.
EXPERIMENTAL_CONFIG = value(lambda: Table.select(Table.experimental_config).where(Table.id == Slot("organization_id")))
# With its secrets as they are kept: sealed.
OTEL_CONFIG = value(lambda: Table.select(Table.otel_config).where(Table.id == Slot("organization_id")))


class Configured(NamedTuple):
    """Configurations that can hold secrets, as they are kept."""

    id: str
    experimental_config: str
    otel_config: str


CONFIGURED = Statement(
    lambda: (
        Table.select(Table.id, Table.experimental_config, Table.otel_config)
        .where((Table.id > Slot("after")) & ((Table.experimental_config != "{}") | (Table.otel_config != "")))
        .order_by(Table.id)
        .limit(Slot("limit"))
    ),
    lambda row: Configured(*row),
)
# The same secrets, encrypted anew, unless somebody was first.
RESEAL = changing(
    lambda: Table.update(
        {Table.experimental_config: Slot("experimental_config"), Table.otel_config: Slot("otel_config")}
    ).where(
        (Table.id == Slot("organization_id"))
        & (Table.experimental_config == Slot("before_experimental_config"))
        & (Table.otel_config == Slot("before_otel_config"))
    )
)

# What a user owns across organizations is counted under this lock.
BUMP_USER = Statement(
    lambda: (
        User.update({User.revision: User.revision + 1})
        .where((User.id == Slot("user_id")) & (User.state == UserState.ACTIVE.value))
        .returning(User.id, User.email, User.email_verified)
    ),
    lambda row: (str(row[0]), str(row[1]), bool(row[2])),
)
