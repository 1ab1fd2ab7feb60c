"""The data: the same rows each time, made from numbers.

User n owns organization n and is a member of four others; each of `GROUPS` organizations has 100 members, and one, the
crowd, has 100,000, all of them users beyond the first. Who is in an organization without owning it has a system role
there. Every organization has had two invitations, of which one is pending, and an audit event of each: a database plans for
the tables that it has seen. There are no personal organizations, which no measured call needs.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]

MEMBERS = 5
GROUPS, GROUP = 50, 100
CROWD = 100_000
ROLE = "00000000000000000000000001"
_STRIDE = 7_919  # a prime, so that the members of an organization lie far apart
_SCATTER = 0x9E3779B97F4A7C15
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_START = 1_750_000_000_000
_NEVER = 4_000_000_000_000


def numbered(prefix: str, number: int) -> str:
    """A ULID by number: sorted like it, with a tail that looks random."""
    return f"{prefix}{number:08d}{number * _SCATTER % 10**16:016d}"


def user_id(number: int) -> str:
    """The id of a user, from 1."""
    return numbered("1A", number)


def organization_id(number: int) -> str:
    """The id of an organization, from 1."""
    return numbered("2B", number)


def secret(number: int) -> str:
    """The token of a user."""
    body = f"tnt_usr_{number:043d}"
    checksum, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        checksum, digit = divmod(checksum, 62)
        digits = _BASE62[digit] + digits
    return body + digits


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is: a name, and the number of organizations of five members."""

    name: str
    organizations: int

    @property
    def crowd(self) -> int:
        """The number of the organization of 100,000 members."""
        return self.organizations + 1

    def group(self, number: int) -> int:
        """The number of an organization of 100 members, from 0."""
        return self.organizations + 2 + number

    def members(self, organization: int) -> list[int]:
        """The users of an organization of five, its owner first."""
        return [(organization - 1 + turn * _STRIDE) % self.organizations + 1 for turn in range(MEMBERS)]

    def group_members(self, number: int) -> range:
        """The users of an organization of 100, its owner first."""
        first = self.organizations + 1 + number * GROUP
        return range(first, first + GROUP)

    @property
    def crowd_members(self) -> range:
        """The users of the crowd, its owner first."""
        return range(self.organizations + 1, self.organizations + 1 + CROWD)


SMALL = Size("small", 1_000)
LARGE = Size("large", 1_000_000)


@dataclass(frozen=True, slots=True)
class Table:
    """What goes into a table."""

    name: str
    columns: str
    rows: Callable[[Size], Iterator[Row]]


def _users(size: Size) -> Iterator[Row]:
    for n in range(1, size.organizations + CROWD + 1):
        yield user_id(n), f"user{n}@example.com", True, f"User {n}", 1, _START + n, _START + n


def _organizations(size: Size) -> Iterator[Row]:
    for n in range(1, size.organizations + GROUPS + 2):
        yield (
            *(organization_id(n), f"Organization {n}", f"organization-{n}", False, "active", user_id(_owner(size, n)), ""),
            *(False, "{}", 1, _START + n, _START + n, None, None),
        )


def _owner(size: Size, organization: int) -> int:
    if organization <= size.organizations:
        return organization
    return next(iter(_others(size)[organization]))


def _others(size: Size) -> dict[int, range]:
    """The organizations that do not have five members."""
    return {size.crowd: size.crowd_members} | {size.group(n): size.group_members(n) for n in range(GROUPS)}


def _memberships(size: Size) -> Iterator[tuple[int, int, bool]]:
    """Organization, user, and whether the user owns it; by organization and user."""
    for organization in range(1, size.organizations + 1):
        for user in sorted(size.members(organization)):
            yield organization, user, user == organization
    for organization, users in sorted(_others(size).items()):
        for user in users:
            yield organization, user, user == users[0]


def _members(size: Size) -> Iterator[Row]:
    for organization, user, owns in _memberships(size):
        role = "owner" if owns else "member"
        yield organization_id(organization), user_id(user), role, 1, _START + organization, _START + organization


def _assigned(size: Size) -> Iterator[Row]:
    for organization, user, owns in _memberships(size):
        if not owns:
            yield organization_id(organization), user_id(user), ROLE, None


def _slugs(size: Size) -> Iterator[Row]:
    for n in range(1, size.organizations + GROUPS + 2):
        yield f"organization-{n}", organization_id(n)


def _tokens(size: Size) -> Iterator[Row]:
    for n in range(1, size.organizations + GROUPS * GROUP + 1):
        yield (
            *(numbered("3C", n), "usr", "bench", "", user_id(n), "", user_id(n), "tnt_usr_"),
            *(None, None, None, 1, _START + n, _START + n),
        )


def _secrets(size: Size) -> Iterator[Row]:
    for n in range(1, size.organizations + GROUPS * GROUP + 1):
        yield hashlib.sha256(secret(n).encode()).hexdigest(), numbered("3C", n), None


def _invitations(size: Size) -> Iterator[Row]:
    for n in range(1, size.organizations + 1):
        for number, state in ((2 * n - 1, "accepted"), (2 * n, "pending")):
            yield (
                *(organization_id(n), numbered("4D", number), f"invited{number}@example.com", state, "member"),
                *(f"user{n}@example.com", user_id(n), "", _NEVER, 1, _START + n, _START + n),
            )


def _events(size: Size) -> Iterator[Row]:
    changes = '{"email":[null,"invited@example.com"],"state":[null,"pending"],"role":[null,"member"]}'
    for n in range(1, size.organizations + 1):
        for number in (2 * n - 1, 2 * n):
            yield (
                *(organization_id(n), number - 2 * n, _START + n, "user", user_id(n), numbered("3C", n)),
                *("invitation.create", "invitation", numbered("4D", number), changes, numbered("5E", number)),
            )


TABLES = (
    Table("users", "id, email, email_verified, name, revision, create_time, update_time", _users),
    Table(
        "organizations",
        "id, name, slug, personal, state, creator_user_id, default_region_id, limited_network_egress, experimental_config,"
        " revision, create_time, update_time, delete_time, purge_time",
        _organizations,
    ),
    Table("organization_slugs", "slug, organization_id", _slugs),
    Table("memberships", "organization_id, user_id, role, revision, create_time, update_time", _members),
    Table("membership_roles", "organization_id, user_id, role_id, custom_role_id", _assigned),
    Table(
        "api_tokens",
        "id, kind, name, description, user_id, organization_id, creator_id, hint, permissions, expire_time, last_used_time,"
        " revision, create_time, update_time",
        _tokens,
    ),
    Table("api_token_secrets", "digest, api_token_id, expire_time", _secrets),
    Table(
        "invitations",
        "organization_id, id, email, state, role, inviter_email, granter_user_id, granter_token_id, expire_time, revision,"
        " create_time, update_time",
        _invitations,
    ),
    Table(
        "audit_events",
        "organization_id, revision, time, actor_kind, actor_id, credential_id, action, target_type, target_id, changes,"
        " call_id",
        _events,
    ),
)
