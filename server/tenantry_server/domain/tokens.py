"""API tokens: what a secret looks like, and what is kept of it.

    tnt_<kind>_<43 characters: 256 random bits><6 characters: CRC-32 of all before>

in base62 (0-9 A-Z a-z). The kind is `usr` (acts for a person) or `org` (belongs to an organization). Secret scanners find
it by `SCANNER`; the checksum tells a real one from a look-alike without asking the server. Kept is the SHA-256 alone: with
256 random bits a slow hash would add nothing.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

SCANNER = r"tnt_(?:usr|org)_[0-9A-Za-z]{49}"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET = re.compile(SCANNER)


class TokenKind(StrEnum):
    """Whose token it is."""

    USER = "usr"
    ORGANIZATION = "org"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token as it may be shown. `permissions` None narrows nothing. `secret` is there only when it was just made."""

    id: str
    kind: TokenKind
    user_id: str
    organization_id: str
    permissions: tuple[str, ...] | None
    expire_time: datetime | None
    create_time: datetime
    secret: str = field(default="", repr=False)


def mint(kind: TokenKind) -> str:
    """A fresh secret."""
    body = f"tnt_{kind}_{_base62(secrets.randbits(256), 43)}"
    return body + _base62(zlib.crc32(body.encode()), 6)


def digest(secret: str) -> str | None:
    """What is kept of a secret: its SHA-256, in hexadecimal; None when it is no well-formed secret of ours."""
    if not _SECRET.fullmatch(secret) or _base62(zlib.crc32(secret[:-6].encode()), 6) != secret[-6:]:
        return None
    return hashlib.sha256(secret.encode()).hexdigest()


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits
