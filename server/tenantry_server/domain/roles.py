"""Roles: named sets of permissions, and what they may be called."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .clock import EPOCH
from .errors import InvalidRequest

# Letters of other scripts that look like the ones of "owner" (Unicode TR39, confusables).
_LOOK_ALIKES = str.maketrans(
    {"о": "o", "ο": "o", "0": "o", "ѡ": "w", "ԝ": "w", "п": "n", "ո": "n", "е": "e", "ҽ": "e", "г": "r"}
)


class MemberRole(StrEnum):
    """Standing of a member in an organization."""

    OWNER = "owner"
    MEMBER = "member"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A system role (organization_id empty, revision 0) or a role of an organization."""

    id: str
    organization_id: str
    name: str
    description: str
    permissions: tuple[str, ...]
    system: bool = False
    assignable: bool = True
    revision: int = 0
    create_time: datetime = field(default=EPOCH)
    update_time: datetime = field(default=EPOCH)


def ensure_role_name(name: str, *, field: str) -> None:
    """Refuses a name that could be taken for ownership, in whatever letters. Raises InvalidRequest."""
    plain = unicodedata.normalize("NFKC", name).casefold().translate(_LOOK_ALIKES)
    letters = "".join(c for c in unicodedata.normalize("NFKD", plain) if c.isalnum())
    if letters in ("owner", "owners"):
        raise InvalidRequest.of(field, "must not look like the name of the owners' standing", "OWNER_LOOK_ALIKE")


def assigned(role_ids: Sequence[str], roles: Sequence[Role], *, field: str) -> tuple[Role, ...]:
    """The roles of the ids, by id. Raises InvalidRequest when one is unknown, named twice or not assignable."""
    by_id = {role.id: role for role in roles}
    for index, role_id in enumerate(role_ids):
        role = by_id.get(role_id)
        if role is None:
            raise InvalidRequest.of(f"{field}[{index}]", "is not a role of the organization", "UNKNOWN_ROLE")
        if not role.assignable:
            raise InvalidRequest.of(f"{field}[{index}]", "is held by ownership and cannot be assigned", "NOT_ASSIGNABLE")
    if len(set(role_ids)) != len(role_ids):
        raise InvalidRequest.of(field, "must name each role once", "REPEATED_ROLE")
    return tuple(sorted(roles, key=lambda role: role.id))
