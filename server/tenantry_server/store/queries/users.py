"""Statements about users and how identity providers know them, and the keys that all processes share."""

from typing import Any

from peewee import JOIN

from ...domain.roles import MemberRole
from ...domain.users import Following, Identity, User, UserState
from ..models import Membership, PersonalOrganization, ServerKey
from ..people import ApiToken
from ..people import Identity as IdentityTable
from ..people import User as Table
from ..statements import Row, Slot, Statement, changing, constant, value
from ..values import instant, instant_or_none

_COLUMNS = (
    Table.id,
    Table.email,
    Table.email_verified,
    Table.name,
    Table.state,
    PersonalOrganization.organization_id,
    Table.revision,
    Table.create_time,
    Table.update_time,
    Table.delete_time,
)


def record(row: Row) -> User:
    """The record of a row, without the identities."""
    id_, email, verified, name, state, personal, revision, created, updated, deleted = row
    return User(
        id=id_,
        email=email,
        email_verified=bool(verified),
        name=name,
        state=UserState(state),
        personal_organization_id=personal or "",
        revision=revision,
        create_time=instant(created),
        update_time=instant(updated),
        delete_time=instant_or_none(deleted),
    )


def _users() -> Any:
    return Table.select(*_COLUMNS).join(PersonalOrganization, JOIN.LEFT_OUTER, on=PersonalOrganization.user_id == Table.id)


_ACTIVE = constant(UserState.ACTIVE.value)

GET = Statement(lambda: _users().where(Table.id == Slot("user_id")), record)
BY_EMAIL = Statement(
    lambda: _users().where((Table.email == Slot("email")) & (Table.state == _ACTIVE)).order_by(Table.id), record
)
VERIFIED = Statement(
    lambda: _users().where(
        (Table.email == Slot("email")) & (Table.email_verified == Slot("verified")) & (Table.state == _ACTIVE)
    ),
    record,
)


def _page(condition: Any) -> Any:
    return _users().where(condition).order_by(Table.id).limit(Slot("limit"))


LIST = Statement(lambda: _page((Table.id > Slot("after")) & (Table.state == _ACTIVE)), record)
LIST_WITH_DELETED = Statement(lambda: _page(Table.id > Slot("after")), record)
INSERT = changing(
    lambda: Table.insert(
        {
            Table.id: Slot("id"),
            Table.email: Slot("email"),
            Table.email_verified: Slot("email_verified"),
            Table.name: Slot("name"),
            Table.state: UserState.ACTIVE.value,
            Table.revision: 1,
            Table.create_time: Slot("now"),
            Table.update_time: Slot("now"),
        }
    ).on_conflict("nothing")
)
# Takes the user's lock, and changes them.
UPDATE = changing(
    lambda: Table.update(
        {
            Table.email: Slot("email"),
            Table.email_verified: Slot("email_verified"),
            Table.name: Slot("name"),
            Table.state: Slot("state"),
            Table.delete_time: Slot("delete_time"),
            Table.revision: Table.revision + 1,
            Table.update_time: Slot("now"),
        }
    ).where(Table.id == Slot("user_id"))
)
# Whoever makes an active user a member, or an owner of something new, takes this lock; who deletes the user, too.
TOUCH = changing(
    lambda: Table.update({Table.revision: Table.revision + 1}).where((Table.id == Slot("user_id")) & (Table.state == _ACTIVE))
)
IDENTITIES = Statement(
    lambda: (
        IdentityTable.select(IdentityTable.user_id, IdentityTable.issuer, IdentityTable.subject)
        .where((IdentityTable.user_id >= Slot("first")) & (IdentityTable.user_id <= Slot("last")))
        .order_by(IdentityTable.user_id, IdentityTable.issuer, IdentityTable.subject)
    ),
    lambda row: (str(row[0]), Identity(row[1], row[2])),
)
IDENTIFY = changing(
    lambda: IdentityTable.insert(
        {
            IdentityTable.issuer: Slot("issuer"),
            IdentityTable.subject: Slot("subject"),
            IdentityTable.id: Slot("id"),
            IdentityTable.user_id: Slot("user_id"),
            IdentityTable.create_time: Slot("now"),
            IdentityTable.token_time: Slot("token_time"),
            IdentityTable.token_digest: Slot("token_digest"),
        }
    ).on_conflict("nothing")
)
FOLLOWED = Statement(
    lambda: IdentityTable.select(IdentityTable.token_time, IdentityTable.token_digest).where(
        IdentityTable.id == Slot("identity_id")
    ),
    lambda row: Following(instant_or_none(row[0]), row[1] or ""),
)
FOLLOW = changing(
    lambda: IdentityTable.update(
        {IdentityTable.token_time: Slot("token_time"), IdentityTable.token_digest: Slot("token_digest")}
    ).where(IdentityTable.id == Slot("identity_id"))
)
FORGET_IDENTITIES = changing(lambda: IdentityTable.delete().where(IdentityTable.user_id == Slot("user_id")))
END_TOKENS = changing(lambda: ApiToken.delete().where(ApiToken.user_id == Slot("user_id")))
DROP_PERSONAL = changing(lambda: PersonalOrganization.delete().where(PersonalOrganization.user_id == Slot("user_id")))
# Who could own an organization that is brought back: a deleted one keeps its last owner, even a deleted user.
ACTIVE_OWNER = value(
    lambda: (
        Membership.select(Membership.user_id)
        .join(Table, on=Table.id == Membership.user_id)
        .where(
            (Membership.organization_id == Slot("organization_id"))
            & (Membership.role == constant(MemberRole.OWNER))
            & (Table.state == _ACTIVE)
        )
        .limit(1)
    )
)
ANY = value(lambda: Table.select(Table.id).limit(1))
KEY = value(lambda: ServerKey.select(ServerKey.secret).where(ServerKey.purpose == Slot("purpose")))
