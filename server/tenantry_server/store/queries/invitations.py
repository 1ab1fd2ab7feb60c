"""Statements about invitations and the roles they offer."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from peewee import JOIN, SQL, Select, fn

from ...domain.invitations import Invitation, InvitationState
from ...domain.roles import MemberRole, Role
from ..models import Invitation as Table
from ..models import InvitationRole, Organization
from ..models import Role as RoleTable
from ..statements import Row, Slot, Statement, changing, constant, count_up_to, value
from ..values import instant
from . import members, organizations, roles

_COLUMNS = (
    Table.id,
    Table.organization_id,
    Organization.name,
    Table.email,
    Table.state,
    Table.role,
    Table.inviter_email,
    Table.granter_user_id,
    Table.granter_token_id,
    Table.expire_time,
    Table.revision,
    Table.create_time,
    Table.update_time,
)
_THIS = lambda: (Table.organization_id == Slot("organization_id")) & (Table.id == Slot("invitation_id"))
_OPEN = lambda: (Table.state == constant(InvitationState.PENDING)) & (Table.expire_time > Slot("now"))
_OVERDUE = lambda: (Table.state == constant(InvitationState.PENDING)) & (Table.expire_time <= Slot("now"))
_MINE = lambda: (Table.email == Slot("email")) & _OPEN() & organizations.is_active()


def record(row: Row, assigned: Iterable[Role]) -> Invitation:
    """The record of a row and the roles that the invitation offers."""
    (id_, organization_id, name, email, state, role, inviter, user, token, expires, revision, created, updated) = row
    return Invitation(
        id=id_,
        organization_id=organization_id,
        organization_name=name,
        email=email,
        state=InvitationState(state),
        role=MemberRole(role),
        assigned_roles=tuple(sorted(assigned, key=lambda role: role.id)),
        inviter_email=inviter,
        granter_user_id=user,
        granter_token_id=token,
        expire_time=instant(expires),
        revision=revision,
        create_time=instant(created),
        update_time=instant(updated),
    )


def _select() -> Any:
    return Table.select(*_COLUMNS).join(Organization, on=Organization.id == Table.organization_id)


def _list(*conditions: Any) -> Any:
    query = _select().where(
        (Table.organization_id == Slot("organization_id")) & (Table.id > Slot("after")), *(make() for make in conditions)
    )
    return query.order_by(Table.id).limit(Slot("limit"))


GET: Statement[Row] = Statement(lambda: _select().where(_THIS()), tuple)
# By state; pending and expired ones are told apart by the time.
LIST: dict[InvitationState | None, Statement[Row]] = {
    None: Statement(_list, tuple),
    InvitationState.PENDING: Statement(lambda: _list(_OPEN), tuple),
    InvitationState.EXPIRED: Statement(
        lambda: _list(lambda: (Table.state == InvitationState.EXPIRED.value) | _OVERDUE()), tuple
    ),
    InvitationState.ACCEPTED: Statement(lambda: _list(lambda: Table.state == "accepted"), tuple),
    InvitationState.DECLINED: Statement(lambda: _list(lambda: Table.state == "declined"), tuple),
    InvitationState.CANCELLED: Statement(lambda: _list(lambda: Table.state == "cancelled"), tuple),
}
MINE: Statement[Row] = Statement(
    lambda: _select().where(_MINE() & (Table.id > Slot("after"))).order_by(Table.id).limit(Slot("limit")), tuple
)
# Everything ever offered to an address.
OF_ADDRESS: Statement[Row] = Statement(
    lambda: _select().where(Table.email == Slot("email")).order_by(Table.id).limit(Slot("limit")), tuple
)
COUNT_MINE = value(
    lambda: Table.select(fn.COUNT(Table.id)).join(Organization, on=Organization.id == Table.organization_id).where(_MINE())
)
# The organization that an invitation of this id, in whatever state, invites an address to.
TO_ADDRESS = value(
    lambda: Table.select(Table.organization_id).where((Table.email == Slot("email")) & (Table.id == Slot("invitation_id")))
)


def _assignments() -> Any:
    return (
        InvitationRole.select(InvitationRole.invitation_id, InvitationRole.role_id, *roles.COLUMNS)
        .join(
            RoleTable,
            JOIN.LEFT_OUTER,
            on=(RoleTable.organization_id == InvitationRole.organization_id) & (RoleTable.id == InvitationRole.custom_role_id),
        )
        .switch(InvitationRole)
    )


# The roles that a run of invitations offers, from `first` to `last`.
ASSIGNMENTS = Statement(
    lambda: _assignments().where(
        (InvitationRole.organization_id == Slot("organization_id"))
        & (InvitationRole.invitation_id >= Slot("first"))
        & (InvitationRole.invitation_id <= Slot("last"))
    ),
    members.assignment,
)
MY_ASSIGNMENTS = Statement(
    lambda: (
        _assignments()
        .join(
            Table,
            on=(Table.organization_id == InvitationRole.organization_id) & (Table.id == InvitationRole.invitation_id),
        )
        .where(
            (Table.email == Slot("email"))
            & (Table.state == InvitationState.PENDING.value)
            & (Table.id >= Slot("first"))
            & (Table.id <= Slot("last"))
        )
    ),
    members.assignment,
)


class Obstacles(NamedTuple):
    """What may stand in the way of an invitation to an address: a member who has it, the id of a pending invitation to it, how
    many of the organization are pending (counted up to `most`), and whether some have run out that are still kept as pending;
    and how many the address has from all organizations (counted up to `most_to_address`).
    """

    member_id: str | None
    pending_id: str | None
    pending: int
    overdue: bool
    pending_to_address: int


def _here() -> Any:
    return Table.organization_id == Slot("organization_id")


def _pending_to() -> Any:
    return Table.select(Table.id).where(_here() & (Table.email == Slot("email")) & _OPEN()).limit(1)


def _pending() -> Any:
    return count_up_to(Table.select(Table.id).where(_here() & _OPEN()), "most")


def _pending_to_address() -> Any:
    """How many an invitee would be told of."""
    mine = Table.select(Table.id).join(Organization, on=Organization.id == Table.organization_id).where(_MINE())
    return count_up_to(mine, "most_to_address")


def _overdue() -> Any:
    return fn.EXISTS(Table.select(SQL("1")).where(_here() & _OVERDUE()))


OBSTACLES = Statement(
    lambda: Select((), (members.by_email(), _pending_to(), _pending(), _overdue(), _pending_to_address())),
    lambda row: Obstacles(row[0], row[1], row[2], bool(row[3]), row[4]),
)
COUNT_PENDING = value(_pending)
PENDING_TO = value(_pending_to)
CANCEL = changing(
    lambda: Table.update(
        {
            Table.state: InvitationState.CANCELLED.value,
            Table.revision: Slot("revision"),
            Table.update_time: Slot("now"),
        }
    ).where(_THIS())
)
# Of the whole organization, so that what is kept as pending stays within the limit of what may be.
CLOSE_OVERDUE = changing(
    lambda: Table.update({Table.state: InvitationState.EXPIRED.value}).where(
        (Table.organization_id == Slot("organization_id")) & _OVERDUE()
    )
)
INSERT = changing(lambda: Table.insert({column: Slot(column.name) for column in _COLUMNS if column.model is Table}))
UPDATE = changing(
    lambda: Table.update(
        {
            Table.state: Slot("state"),
            Table.role: Slot("role"),
            Table.granter_user_id: Slot("granter_user_id"),
            Table.granter_token_id: Slot("granter_token_id"),
            Table.expire_time: Slot("expire_time"),
            Table.revision: Slot("revision"),
            Table.update_time: Slot("now"),
        }
    ).where(_THIS())
)
OFFER = changing(
    lambda: InvitationRole.insert(
        {
            InvitationRole.organization_id: Slot("organization_id"),
            InvitationRole.invitation_id: Slot("invitation_id"),
            InvitationRole.role_id: Slot("role_id"),
            InvitationRole.custom_role_id: Slot("custom_role_id"),
        }
    )
)
UNOFFER = changing(
    lambda: InvitationRole.delete().where(
        (InvitationRole.organization_id == Slot("organization_id")) & (InvitationRole.invitation_id == Slot("invitation_id"))
    )
)
