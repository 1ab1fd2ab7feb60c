"""Statements about an organization's own roles."""

from ...domain.roles import Role
from ..models import Invitation as InvitationTable
from ..models import InvitationRole, Membership, MembershipRole
from ..models import Role as Table
from ..statements import Row, Slot, Statement, changing, count_up_to, value
from ..values import instant, words

COLUMNS = (
    Table.id,
    Table.organization_id,
    Table.name,
    Table.description,
    Table.permissions,
    Table.revision,
    Table.create_time,
    Table.update_time,
)
MAX_ASSIGNED = 32


def record(row: Row) -> Role:
    """The record of a row of COLUMNS."""
    id_, organization_id, name, description, permissions, revision, created, updated = row
    return Role(
        id=id_,
        organization_id=organization_id,
        name=name,
        description=description,
        permissions=words(permissions),
        revision=revision,
        create_time=instant(created),
        update_time=instant(updated),
    )


_THIS = lambda: (Table.organization_id == Slot("organization_id")) & (Table.id == Slot("role_id"))

GET = Statement(lambda: Table.select(*COLUMNS).where(_THIS()), record)
LIST = Statement(
    lambda: (
        Table.select(*COLUMNS)
        .where((Table.organization_id == Slot("organization_id")) & (Table.id > Slot("after")))
        .order_by(Table.id)
        .limit(Slot("limit"))
    ),
    record,
)
# Slots id0 … id31; those not needed are filled with an id that no role has.
BY_IDS = Statement(
    lambda: Table.select(*COLUMNS).where(
        (Table.organization_id == Slot("organization_id")) & Table.id.in_([Slot(f"id{n}") for n in range(MAX_ASSIGNED)])
    ),
    record,
)
BY_NAME = Statement(
    lambda: (
        Table.select(*COLUMNS)
        .where((Table.organization_id == Slot("organization_id")) & (Table.name == Slot("name")))
        .order_by(Table.id)
        .limit(2)
    ),
    record,
)
COUNT = value(lambda: count_up_to(Table.select(Table.id).where(Table.organization_id == Slot("organization_id")), "most"))
INSERT = changing(lambda: Table.insert({column: Slot(column.name) for column in COLUMNS}))
UPDATE = changing(
    lambda: Table.update(
        {
            Table.name: Slot("name"),
            Table.description: Slot("description"),
            Table.permissions: Slot("permissions"),
            Table.revision: Slot("revision"),
            Table.update_time: Slot("now"),
        }
    ).where(_THIS())
)
DELETE = changing(lambda: Table.delete().where(_THIS()))

# Who has a role of the organization: by the column that refers to it, which the index is for.
HOLDERS = value(
    lambda: (
        MembershipRole.select(MembershipRole.user_id)
        .where((MembershipRole.organization_id == Slot("organization_id")) & (MembershipRole.custom_role_id == Slot("role_id")))
        .order_by(MembershipRole.user_id)
    )
)
OFFERS = value(
    lambda: (
        InvitationRole.select(InvitationRole.invitation_id)
        .join(
            InvitationTable,
            on=(InvitationTable.organization_id == InvitationRole.organization_id)
            & (InvitationTable.id == InvitationRole.invitation_id),
        )
        .where(
            (InvitationRole.organization_id == Slot("organization_id"))
            & (InvitationRole.custom_role_id == Slot("role_id"))
            & (InvitationTable.state == "pending")
            & (InvitationTable.expire_time > Slot("now"))
        )
        .order_by(InvitationRole.invitation_id)
    )
)
# Who has the role changes with it: run before it is taken from them.
TOUCH_HOLDERS = changing(
    lambda: Membership.update({Membership.revision: Slot("revision"), Membership.update_time: Slot("now")}).where(
        (Membership.organization_id == Slot("organization_id"))
        & Membership.user_id.in_(
            MembershipRole.select(MembershipRole.user_id).where(
                (MembershipRole.organization_id == Slot("organization_id")) & (MembershipRole.custom_role_id == Slot("role_id"))
            )
        )
    )
)
TOUCH_OFFERS = changing(
    lambda: InvitationTable.update(
        {InvitationTable.revision: Slot("revision"), InvitationTable.update_time: Slot("now")}
    ).where(
        (InvitationTable.organization_id == Slot("organization_id"))
        & InvitationTable.id.in_(
            InvitationRole.select(InvitationRole.invitation_id).where(
                (InvitationRole.organization_id == Slot("organization_id")) & (InvitationRole.custom_role_id == Slot("role_id"))
            )
        )
    )
)
UNASSIGN = changing(
    lambda: MembershipRole.delete().where(
        (MembershipRole.organization_id == Slot("organization_id")) & (MembershipRole.custom_role_id == Slot("role_id"))
    )
)
UNOFFER = changing(
    lambda: InvitationRole.delete().where(
        (InvitationRole.organization_id == Slot("organization_id")) & (InvitationRole.custom_role_id == Slot("role_id"))
    )
)
