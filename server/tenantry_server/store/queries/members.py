"""Statements about members and the roles assigned to them."""

from collections.abc import Iterable
from typing import Any

from peewee import JOIN, fn

from ...domain.membership import Member
from ...domain.roles import MemberRole, Role
from ..models import Membership as Table
from ..models import MembershipRole
from ..models import Role as RoleTable
from ..people import User
from ..statements import Row, Slot, Statement, changing, constant, count_up_to, value
from ..values import instant
from . import roles

_COLUMNS = (
    Table.organization_id,
    Table.user_id,
    User.email,
    User.name,
    Table.role,
    Table.revision,
    Table.create_time,
    Table.update_time,
)
_THIS = lambda: (Table.organization_id == Slot("organization_id")) & (Table.user_id == Slot("user_id"))


def record(row: Row, assigned: Iterable[Role]) -> Member:
    """The record of a row of GET or LIST and the roles assigned to the member."""
    organization_id, user_id, email, name, role, revision, created, updated = row
    return Member(
        organization_id=organization_id,
        user_id=user_id,
        email=email,
        name=name,
        role=MemberRole(role),
        assigned_roles=tuple(sorted(assigned, key=lambda role: role.id)),
        revision=revision,
        create_time=instant(created),
        update_time=instant(updated),
    )


def assignment(row: Row) -> tuple[str, str, Role | None]:
    """Who has it, the role's id, and the role itself if it is the organization's own."""
    return row[0], row[1], roles.record(row[2:]) if row[2] is not None else None


GET: Statement[Row] = Statement(lambda: Table.select(*_COLUMNS).join(User, on=User.id == Table.user_id).where(_THIS()), tuple)
# The second of the two bounds follows from the first, but PostgreSQL, when it merges the two tables, begins at each one's own.
LIST: Statement[Row] = Statement(
    lambda: (
        Table.select(*_COLUMNS)
        .join(User, on=User.id == Table.user_id)
        .where((Table.organization_id == Slot("organization_id")) & (Table.user_id > Slot("after")) & (User.id > Slot("after")))
        .order_by(Table.user_id)
        .limit(Slot("limit"))
    ),
    tuple,
)
# A thousand places behind a member, whether they are still one or not: how far a page looks whose items only some have.
FURTHER = value(
    lambda: (
        Table.select(Table.user_id)
        .where((Table.organization_id == Slot("organization_id")) & (Table.user_id >= Slot("first")))
        .order_by(Table.user_id)
        .limit(1)
        .offset(1000)
    )
)
# The assignments of a run of members, from `first` to `last`.
ASSIGNMENTS = Statement(
    lambda: (
        MembershipRole.select(MembershipRole.user_id, MembershipRole.role_id, *roles.COLUMNS)
        .join(
            RoleTable,
            JOIN.LEFT_OUTER,
            on=(RoleTable.organization_id == MembershipRole.organization_id) & (RoleTable.id == MembershipRole.custom_role_id),
        )
        .where(
            (MembershipRole.organization_id == Slot("organization_id"))
            & (MembershipRole.user_id >= Slot("first"))
            & (MembershipRole.user_id <= Slot("last"))
        )
    ),
    assignment,
)
# The standing of a user, by organization.
ROLES_OF_USER = Statement(
    lambda: Table.select(Table.organization_id, Table.role).where(Table.user_id == Slot("user_id")),
    lambda row: (str(row[0]), MemberRole(row[1])),
)


COUNT = value(lambda: count_up_to(Table.select(Table.user_id).where(Table.organization_id == Slot("organization_id")), "most"))
OWNERS = value(
    lambda: Table.select(fn.COUNT(Table.user_id)).where(
        (Table.organization_id == Slot("organization_id")) & (Table.role == constant(MemberRole.OWNER))
    )
)


def by_email() -> Any:
    """The member who has an address."""
    return (
        Table.select(Table.user_id)
        .where(
            (Table.organization_id == Slot("organization_id"))
            & Table.user_id.in_(User.select(User.id).where(User.email == Slot("email")))
        )
        .limit(1)
    )


INSERT = changing(
    lambda: Table.insert(
        {
            Table.organization_id: Slot("organization_id"),
            Table.user_id: Slot("user_id"),
            Table.role: Slot("role"),
            Table.revision: Slot("revision"),
            Table.create_time: Slot("now"),
            Table.update_time: Slot("now"),
        }
    ).on_conflict("nothing")
)
UPDATE = changing(
    lambda: Table.update({Table.role: Slot("role"), Table.revision: Slot("revision"), Table.update_time: Slot("now")}).where(
        _THIS()
    )
)
DELETE = changing(lambda: Table.delete().where(_THIS()))
ASSIGN = changing(
    lambda: MembershipRole.insert(
        {
            MembershipRole.organization_id: Slot("organization_id"),
            MembershipRole.user_id: Slot("user_id"),
            MembershipRole.role_id: Slot("role_id"),
            MembershipRole.custom_role_id: Slot("custom_role_id"),
        }
    )
)
UNASSIGN = changing(
    lambda: MembershipRole.delete().where(
        (MembershipRole.organization_id == Slot("organization_id"))
        & (MembershipRole.user_id == Slot("user_id"))
        & (MembershipRole.role_id == Slot("role_id"))
    )
)
