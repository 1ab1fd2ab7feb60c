"""What answers look like: every key, and of every value what must be true of it. Unlike ==, 1 is neither 1.0 nor true."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

NEVER = "1970-01-01T00:00:00.000Z"


class Some:
    """Equal to every value that passes a test."""

    def __init__(self, what: str, test: Callable[[Any], bool]) -> None:
        self._what = what
        self._test = test

    def __eq__(self, other: object) -> bool:
        return self._test(other)

    def __repr__(self) -> str:
        return f"<{self._what}>"

    __hash__ = None  # type: ignore[assignment]  # what equals many things has no hash


def exactly(value: Any) -> Some:
    """This value, of this type."""
    return Some(repr(value), lambda other: type(other) is type(value) and other == value)


def matching(pattern: str) -> Some:
    """A text of this form."""
    return Some(f"text like {pattern}", lambda other: isinstance(other, str) and re.fullmatch(pattern, other) is not None)


def _is_instant(value: Any) -> bool:
    form = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value)
    return bool(form) and datetime.fromisoformat(value) is not None


def _is_whole_instant(value: Any) -> bool:
    form = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value)
    return bool(form) and datetime.fromisoformat(value) is not None


UUID = matching(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ULID = matching(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
INSTANT = Some("instant with milliseconds and Z", _is_instant)
WHOLE_INSTANT = Some("instant with whole seconds and Z", _is_whole_instant)
TEXT = Some("text", lambda value: isinstance(value, str))
BOOL = Some("boolean", lambda value: isinstance(value, bool))
_YES, _NO = exactly(True), exactly(False)


def secret(kind: str) -> Some:
    """A whole secret: of a person's token (usr), an organization's (org) or the platform's (plt)."""
    return matching(f"tnt_{kind}_[0-9A-Za-z]{{49}}")


# The beginning of a secret, and asterisks.
MASKED = matching(r"tnt_usr_[0-9A-Za-z]{4}\*{20}")


def organization(**known: Any) -> dict[str, Any]:
    """Daytona's organization, as one that is active. Where none is set, the default region is left out."""
    return {
        "id": UUID,
        "name": TEXT,
        "createdBy": UUID,
        "personal": _NO,
        "createdAt": INSTANT,
        "updatedAt": INSTANT,
        "suspended": _NO,
        "suspendedAt": NEVER,
        "suspensionReason": "",
        "suspendedUntil": NEVER,
        "suspensionCleanupGracePeriodHours": exactly(24),
        "maxCpuPerSandbox": exactly(4),
        "maxMemoryPerSandbox": exactly(8),
        "maxDiskPerSandbox": exactly(10),
        "snapshotDeactivationTimeoutMinutes": exactly(20160),
        "sandboxLimitedNetworkEgress": _NO,
        "experimentalConfig": {},
        "secretQuota": exactly(100),
        "maxSecretsPerSandbox": exactly(10),
        "previewWarningEnabled": _YES,
        "ssoEnabled": _NO,
        "scimEnabled": _NO,
        **known,
    }


def role(**known: Any) -> dict[str, Any]:
    """Daytona's role."""
    return {
        "id": UUID,
        "name": TEXT,
        "description": TEXT,
        "permissions": [],
        "isGlobal": _NO,
        "createdAt": INSTANT,
        "updatedAt": INSTANT,
        **known,
    }


def developer() -> dict[str, Any]:
    """Daytona's role Developer."""
    return role(
        id="00000000-0000-0000-0000-000000000001",
        name="Developer",
        description="Grants the ability to create sandboxes and keys in the organization",
        permissions=["write:sandboxes"],
        isGlobal=_YES,
    )


def member(**known: Any) -> dict[str, Any]:
    """Daytona's member."""
    return {
        "userId": UUID,
        "organizationId": UUID,
        "name": TEXT,
        "email": TEXT,
        "role": "member",
        "assignedRoles": [],
        "createdAt": INSTANT,
        "updatedAt": INSTANT,
        **known,
    }


def invitation(**known: Any) -> dict[str, Any]:
    """Daytona's invitation."""
    return {
        "id": UUID,
        "email": TEXT,
        "invitedBy": TEXT,
        "organizationId": UUID,
        "organizationName": TEXT,
        "expiresAt": INSTANT,
        "status": "pending",
        "role": "member",
        "assignedRoles": [],
        "createdAt": INSTANT,
        "updatedAt": INSTANT,
        **known,
    }


def new_api_key(**known: Any) -> dict[str, Any]:
    """Daytona's new key, which is no user's but the caller's and does not expire, with its secret."""
    return {"name": TEXT, "value": secret("usr"), "createdAt": INSTANT, "permissions": [], **known}


def api_key(**known: Any) -> dict[str, Any]:
    """Daytona's key as it is shown later: never used, without expiry, its secret masked."""
    return {"name": TEXT, "value": MASKED, "createdAt": INSTANT, "permissions": [], "userId": UUID, **known}


def daytona_user(**known: Any) -> dict[str, Any]:
    """Daytona's user."""
    fields = {"id": UUID, "name": TEXT, "email": TEXT, "publicKeys": [], "createdAt": INSTANT, "emailVerified": _YES}
    return fields | known


def daytona_error(status: int, path: str, message: Any = TEXT) -> tuple[int, dict[str, Any]]:
    """A refusal in Daytona's dialect: the status, and the body."""
    reason = "Payload Too Large" if status == 413 else HTTPStatus(status).phrase
    body = {"path": path, "timestamp": INSTANT, "statusCode": exactly(status), "error": reason, "message": message}
    return status, body


def dotenv_error(status: int, code: str, message: Any = TEXT, **details: str) -> tuple[int, dict[str, Any]]:
    """A refusal in dotenv's dialect: the status, and the body; no details, no key for them."""
    body = {"error": code, "message": message}
    return status, body | ({"details": details} if details else {})


def dotenv_invalid(**errors: Any) -> tuple[int, dict[str, Any]]:
    """Fields that break a rule, in dotenv's dialect: for each, what is wrong with it."""
    first = next(iter(errors.values()), TEXT)
    return 422, {"error": "validation_failed", "message": first, "errors": {name: [text] for name, text in errors.items()}}


def dotenv_organization(**known: Any) -> dict[str, Any]:
    """dotenv's organization in its envelope."""
    return {"data": {"id": ULID, "name": TEXT, "slug": matching("[a-z0-9-]+"), "status": "active", **known}}


def dotenv_key(**known: Any) -> dict[str, Any]:
    """dotenv's token as it is shown later: never used, without expiry."""
    return {
        "id": ULID,
        "name": TEXT,
        "abilities": ["*"],
        "created_at": WHOLE_INSTANT,
        "updated_at": WHOLE_INSTANT,
        "token_prefix": matching("tnt_(org|usr)_[0-9A-Za-z]{4}"),
        **known,
    }


def dotenv_new_key(message: str = "API key created.", **known: Any) -> dict[str, Any]:
    """dotenv's new token in the envelope of new ones, with its secret."""
    return {"success": _YES, "message": message, "token": secret("org"), "api_key": dotenv_key(**known)}
