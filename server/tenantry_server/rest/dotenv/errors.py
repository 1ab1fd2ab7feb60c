"""What a refusal looks like in this dialect: the one table from facts to statuses and codes, and the two bodies.

{"error", "message", "details"?}                    everything but
{"error", "message", "errors": {field: [text]}}     fields that break a rule (422)
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping

from ...domain import errors, quota_errors
from ...domain.call import Call
from ...domain.errors import TenantryError

# A code of None stands for the fact's reason in lower case.
_ANSWERS: dict[type[TenantryError], tuple[int, str | None]] = {
    errors.InvalidRequest: (422, "validation_failed"),
    errors.Unauthenticated: (401, "unauthenticated"),
    errors.PermissionDenied: (403, None),
    errors.PermissionMissing: (403, "insufficient_permissions"),
    errors.PrincipalKindNotAllowed: (403, "insufficient_permissions"),
    errors.GrantExceedsOwn: (403, "insufficient_permissions"),
    # Another's organization is none, as far as the caller may know.
    errors.OrganizationNotAccessible: (404, "not_found"),
    errors.NotFound: (404, "not_found"),
    errors.AlreadyExists: (409, "conflict"),
    errors.FailedPrecondition: (422, None),
    errors.EmailNotVerified: (403, None),
    errors.RequestIdReused: (409, None),
    errors.Aborted: (409, "conflict"),
    errors.LimitExceeded: (422, "limit_exceeded"),
    errors.RateLimited: (429, "rate_limited"),
    errors.Overloaded: (503, "service_unavailable"),
    quota_errors.QuotaExceeded: (422, "limit_exceeded"),
    errors.Unavailable: (503, "service_unavailable"),
    errors.DeadlineExceeded: (504, "timeout"),
}

# Fields that this dialect calls otherwise.
_FIELDS = {"permissions": "abilities", "expire_time": "expires_at"}
_DETAILS = {"expire_time": "expires_at"}


def render(error: TenantryError | None, call: Call, metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """The status and the body of a refusal; None is what was not foreseen."""
    if error is None:
        return _headers(500, {"error": "internal_error", "message": "Internal server error"})
    status, code = next(_ANSWERS[ancestor] for ancestor in type(error).__mro__ if ancestor in _ANSWERS)
    body: dict[str, object] = {"error": code or error.reason.lower(), "message": error.message}
    if isinstance(error, errors.InvalidRequest):
        fields = defaultdict(list)
        for violation in error.violations[:20]:
            field = _field(violation.field)
            fields[field].append(f"{field} {violation.description}".strip())
        body |= {"message": next(iter(fields.values()))[0], "errors": fields}
    elif error.metadata:
        body["details"] = {_DETAILS.get(key, key): value for key, value in error.metadata.items()}
    return _headers(status, body)


def _field(path: str) -> str:
    """A field as this dialect calls it; items of lists are counted after a dot."""
    head, dot, tail = re.sub(r"\[(\d+)\]", r".\1", path).partition(".")
    return _FIELDS.get(head, head) + dot + tail


def _headers(status: int, body: Mapping[str, object]) -> list[tuple[str, str]]:
    return [("x-http-status", str(status)), ("x-http-body", json.dumps(body))]
