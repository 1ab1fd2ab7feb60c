"""Users: people, how identity providers know them, and what becomes of them."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Following:
    """A token by which a profile was kept up to date: when it was made, if it says so, and a digest of what it says."""

    issue_time: datetime | None = None
    digest: str = ""

    def gives_way_to(self, other: Following) -> bool:
        """Whether another token may be followed after this one: a newer one, or one that says the very same, so that two that
        were made at the same time do not take turns. What does not say when it was made is newer than nothing that does.
        """
        if self.issue_time is None or other.issue_time is None:
            return self.issue_time is None
        return other.issue_time > self.issue_time or other == self


# Whoever was made by an operator follows none yet.
NO_TOKEN = Following()


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
