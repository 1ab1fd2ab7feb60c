"""Statements about organizations, their slugs and their settings."""

import json

from peewee import fn

from ...domain.organizations import Organization, OrganizationState, masked
from ...domain.users import UserState
from ..models import Membership, OrganizationSlug, PersonalOrganization
from ..models import Organization as Table
from ..people import User
from ..statements import Row, Slot, Statement, changing, value
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
)


def record(row: Row) -> Organization:
    """The record of a row of COLUMNS, its secrets masked."""
    (id_, name, slug, personal, state, creator, region, egress, config, revision, created, updated, deleted, purged) = row
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
    )


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
SET_STATE = changing(
    lambda: Table.update(
        {Table.state: Slot("state"), Table.delete_time: Slot("delete_time"), Table.purge_time: Slot("purge_time")}
    ).where(Table.id == Slot("organization_id"))
)
SET_SETTINGS = changing(
    lambda: Table.update(
        {
            Table.limited_network_egress: Slot("limited_network_egress"),
            Table.experimental_config: Slot("experimental_config"),
        }
    ).where(Table.id == Slot("organization_id"))
)
# In clear: for merging masked values with stored ones alone.
EXPERIMENTAL_CONFIG = value(lambda: Table.select(Table.experimental_config).where(Table.id == Slot("organization_id")))

# What a user owns across organizations is counted under this lock.
BUMP_USER = Statement(
    lambda: (
        User.update({User.revision: User.revision + 1})
        .where((User.id == Slot("user_id")) & (User.state == UserState.ACTIVE.value))
        .returning(User.id, User.email, User.email_verified)
    ),
    lambda row: (str(row[0]), str(row[1]), bool(row[2])),
)
