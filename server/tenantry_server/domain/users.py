"""Users: people, how identity providers know them, and what becomes of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class UserState(StrEnum):
    """Where a user is in their life."""

    ACTIVE = "active"
    DELETED = "deleted"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Identity:
    """How an identity provider knows a user: neither part alone identifies anybody."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person. The personal organization's id is empty once the user is deleted."""

    id: str
    email: str
    email_verified: bool
    name: str
    state: UserState
    personal_organization_id: str
    revision: int
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None = None
    identities: tuple[Identity, ...] = ()
