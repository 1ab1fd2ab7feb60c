"""API tokens: what a secret looks like, what is kept of it, and what a token can do.

    tnt_<kind>_<43 characters: 256 random bits><6 characters: CRC-32 of all before>

in base62 (0-9 A-Z a-z). The kind is `usr` (acts for a person), `org` (belongs to an organization), `plt` (an operator's or an
internal service's) or `rgn` (the key of a region's service, which is no credential here). Secret scanners find it by `SCANNER`;
the checksum tells a real one from a look-alike without asking the server. Kept is the SHA-256 alone: with 256 random bits a
slow hash would add nothing.
"""

import hashlib
import re
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from .errors import GrantExceedsOwn, InvalidRequest, TokenOfPerson
from .organizations import OrganizationState
from .permissions import Catalog
from .principal import Access, Principal

SCANNER = r"tnt_(?:usr|org|plt|rgn)_[0-9A-Za-z]{49}"
# How much of a secret is kept to tell tokens apart: its prefix and 4 of its 43 random characters.
HINT_LENGTH = 12
LONGEST_OVERLAP = timedelta(days=7)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Two digits at a time: every call with a token has its checksum computed.
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_SECRET = re.compile(SCANNER)


class TokenKind(StrEnum):
    """Whose token it is."""

    USER = "usr"
    ORGANIZATION = "org"
    PLATFORM = "plt"
    REGION = "rgn"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token as it may be shown. `permissions` None narrows nothing. `secret` is there only when it was just made."""

    id: str
    kind: TokenKind
    name: str
    description: str
    user_id: str
    organization_id: str
    creator_id: str
    hint: str
    permissions: tuple[str, ...] | None
    expire_time: datetime | None
    revision: int
    create_time: datetime
    update_time: datetime
    last_used_time: datetime | None = None
    overlap_end_time: datetime | None = None
    secret: str = field(default="", repr=False)


class Withholding(StrEnum):
    """What takes a granted permission from a token."""

    EXPIRED = "expired"
    EXCLUDED = "excluded"
    NOT_A_MEMBER = "not_a_member"
    ORGANIZATION_SUSPENDED = "organization_suspended"
    ORGANIZATION_DELETED = "organization_deleted"
    NOT_HELD_BY_OWNER = "not_held_by_owner"
    UNKNOWN_PERMISSION = "unknown_permission"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a token can do now in an organization, and what takes the rest of what it was granted."""

    organization_id: str
    permissions: tuple[str, ...]
    withheld: tuple[tuple[str, Withholding], ...]


_STATES = {
    OrganizationState.SUSPENDED: Withholding.ORGANIZATION_SUSPENDED,
    OrganizationState.DELETED: Withholding.ORGANIZATION_DELETED,
}


def effect(
    catalog: Catalog, token: ApiToken, organization_id: str, access: Access | None, *, excluded: bool, now: datetime
) -> Effect:
    """`access` is what the token gives in the organization while that is active; None when its owner is no member."""
    granted = sorted(catalog.all) if token.permissions is None else list(token.permissions)
    everything: Withholding | None = None
    if token.expire_time is not None and token.expire_time <= now:
        everything = Withholding.EXPIRED
    elif excluded:
        everything = Withholding.EXCLUDED
    elif access is None:
        everything = Withholding.NOT_A_MEMBER
    else:
        everything = _STATES.get(access.organization.state)
    held = frozenset() if access is None or everything else access.permissions

    def withheld() -> Iterator[tuple[str, Withholding]]:
        for name in granted:
            if name not in held:
                unknown = Withholding.UNKNOWN_PERMISSION if name not in catalog.all else Withholding.NOT_HELD_BY_OWNER
                yield name, everything or unknown

    return Effect(organization_id, tuple(name for name in granted if name in held), tuple(withheld()))


def ensure_may_grant(
    principal: Principal, permissions: tuple[str, ...] | None, *, held: frozenset[str], everything: frozenset[str]
) -> None:
    """No token is made broader than what makes it: `held` is what the maker holds through their credential, `everything`
    what a token that narrows nothing comes to. Raises GrantExceedsOwn.
    """
    if permissions is None and principal.permissions is not None:
        raise GrantExceedsOwn(permissions="*")
    if beyond := (everything if permissions is None else frozenset(permissions)) - held:
        raise GrantExceedsOwn(permissions=",".join(sorted(beyond)))


def ensure_ends_before(principal: Principal, expire_time: datetime | None, now: datetime) -> datetime | None:
    """When a new token expires: no later than the token that makes it. Raises InvalidRequest."""
    if expire_time is not None and expire_time <= now:
        raise InvalidRequest.of("expire_time", "must be in the future", "EXPIRE_TIME")
    latest = principal.expire_time
    if latest is None or expire_time is None:
        return expire_time or latest
    if expire_time > latest:
        raise InvalidRequest.of("expire_time", "must not be later than that of the calling token", "EXPIRE_TIME")
    return expire_time


def ensure_not_outlived_by(principal: Principal, token: ApiToken) -> None:
    """A token that expires gets no secret of one that lasts longer. Raises InvalidRequest."""
    latest = principal.expire_time
    if latest is not None and (token.expire_time is None or token.expire_time > latest):
        raise InvalidRequest.of("api_token_id", "lasts longer than the calling token", "EXPIRE_TIME")


def widens(before: ApiToken, after: ApiToken) -> bool:
    """Whether a token can do more after a change than before it, or for longer."""
    more = before.permissions is not None and (after.permissions is None or bool({*after.permissions} - {*before.permissions}))
    longer = before.expire_time is not None and (after.expire_time is None or after.expire_time > before.expire_time)
    return more or longer


def ensure_of_organization(token: ApiToken) -> None:
    """An organization changes and rotates its own tokens alone: the secret of a person's acts for the person.

    Raises TokenOfPerson.
    """
    if token.kind is not TokenKind.ORGANIZATION:
        raise TokenOfPerson(api_token_id=token.id)


def mint(kind: TokenKind) -> str:
    """A fresh secret."""
    body = f"tnt_{kind}_{_base62(secrets.randbits(256), 43)}"
    return body + _base62(zlib.crc32(body.encode()), 6)


def digest(secret: str) -> str | None:
    """What is kept of a secret: its SHA-256, in hexadecimal; None when it is no well-formed secret of ours."""
    if not _SECRET.fullmatch(secret):
        return None
    data = secret.encode()
    return hashlib.sha256(data).hexdigest() if _base62(zlib.crc32(data[:-6]), 6) == secret[-6:] else None


def digest_of_others(secret: str) -> str:
    """What is kept of a secret that another service made: its SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _base62(number: int, width: int) -> str:
    digits = ""
    while len(digits) < width:
        number, pair = divmod(number, len(_PAIRS))
        digits = _PAIRS[pair] + digits
    return digits[-width:]
