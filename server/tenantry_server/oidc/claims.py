"""What a token says about who bears it: the claims that matter here, each held to its rule.

OpenID Connect Core 1.0, sections 2 and 5.1; RFC 7519, section 4.1. There is no leeway: a token begins at `nbf` and is over
at `exp`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..domain.clock import EPOCH, floor
from ..domain.names import fitting

_LONGEST_SUBJECT, _LONGEST_EMAIL = 255, 320
# A token made later than this from now is refused: one of the two clocks is wrong, so nobody knows when it is over.
_AHEAD = timedelta(seconds=60)
# The end of the year 9999, in seconds; who counts milliseconds is beyond it.
_END = 253402300799


class BadToken(Exception):
    """A token is refused. The text says why, for the debug log alone, and repeats nothing that the token says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified token says. Its bearer is known by issuer and subject together, and by nothing else; the name may be
    shown to people.
    """

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None
    issue_time: datetime | None
    expire_time: datetime

    @property
    def digest(self) -> str:
        """A SHA-256 of what it says of its bearer, beside who they are."""
        said = json.dumps([self.email, self.email_verified, self.name])
        return hashlib.sha256(said.encode()).hexdigest()


def read(payload: Mapping[str, Any], *, issuer: str, now: datetime) -> Claims:
    """The claims of a token whose signature, issuer and audience were verified. Raises BadToken."""
    email, verified = _email(payload), payload.get("email_verified")
    made, expire_time = _times(payload, now)
    return Claims(
        issuer=issuer,
        subject=_subject(payload),
        email=email,
        # Some providers send the word (Amazon Cognito).
        email_verified=email is not None and (verified is True or verified == "true"),
        name=_name(payload.get("name")) or _name(payload.get("preferred_username")) or None,
        issue_time=made,
        expire_time=expire_time,
    )


def _times(payload: Mapping[str, Any], now: datetime) -> tuple[datetime | None, datetime]:
    """When it was made, if it says so, and when it is over, to the millisecond, if it has begun and is not over yet."""
    over, begins, made = (_instant(payload, name) for name in ("exp", "nbf", "iat"))
    if over is None:
        raise BadToken("no exp")
    expire_time = floor(over)
    if now >= expire_time:
        raise BadToken("it is over")
    if begins is not None and now < begins:
        raise BadToken("it has not begun")
    if made is not None and made - now > _AHEAD:
        raise BadToken("it was made in the future")
    return None if made is None else floor(made), expire_time


def _instant(payload: Mapping[str, Any], name: str) -> datetime | None:
    """A NumericDate: seconds, with a fraction or without. JSON's true, Python's NaN and infinities are none."""
    if name not in payload:
        return None
    value = payload[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _END:
        raise BadToken(f"{name} is no time")
    return EPOCH + timedelta(seconds=value)


def _subject(payload: Mapping[str, Any]) -> str:
    subject = payload.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        raise BadToken("sub is no subject")
    return subject


def _email(payload: Mapping[str, Any]) -> str | None:
    """The address as sent; whether it is one is not decided here."""
    email = payload.get("email")
    if email is None or email == "":
        return None
    if not isinstance(email, str) or len(email) > _LONGEST_EMAIL or not email.isprintable():
        raise BadToken("email is no address")
    return email


def _name(value: Any) -> str:
    """A name as people may be shown it; empty when there is none."""
    return fitting(value) if isinstance(value, str) else ""
