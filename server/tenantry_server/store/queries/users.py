"""Statements about users and their tokens."""

from typing import NamedTuple

from ..models import ApiToken, ServerKey, User
from ..statements import Slot, Statement, changing, value


class UserRow(NamedTuple):
    """A user."""

    id: str
    email: str
    email_verified: bool
    name: str


_COLUMNS = (User.id, User.email, User.email_verified, User.name)
_make = lambda row: UserRow(row[0], row[1], bool(row[2]), row[3])

GET = Statement(lambda: User.select(*_COLUMNS).where(User.id == Slot("user_id")), _make)
BY_EMAIL = Statement(lambda: User.select(*_COLUMNS).where(User.email == Slot("email")).order_by(User.id), _make)
VERIFIED = Statement(
    lambda: User.select(*_COLUMNS).where((User.email == Slot("email")) & (User.email_verified == Slot("verified"))), _make
)
INSERT = changing(
    lambda: User.insert(
        {
            User.id: Slot("id"),
            User.email: Slot("email"),
            User.email_verified: Slot("email_verified"),
            User.name: Slot("name"),
            User.revision: 1,
            User.create_time: Slot("now"),
            User.update_time: Slot("now"),
        }
    ).on_conflict("nothing")
)
INSERT_TOKEN = changing(
    lambda: ApiToken.insert(
        {
            ApiToken.id: Slot("id"),
            ApiToken.digest: Slot("digest"),
            ApiToken.kind: Slot("kind"),
            ApiToken.user_id: Slot("user_id"),
            ApiToken.organization_id: Slot("organization_id"),
            ApiToken.permissions: Slot("permissions"),
            ApiToken.expire_time: Slot("expire_time"),
            ApiToken.create_time: Slot("now"),
        }
    )
)
ANY = value(lambda: User.select(User.id).limit(1))
KEY = value(lambda: ServerKey.select(ServerKey.secret).where(ServerKey.purpose == Slot("purpose")))
