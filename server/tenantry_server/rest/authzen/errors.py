"""What a refusal looks like in this dialect: the one table from facts to statuses, and the body.

{"status", "message"}    of a call, and in `context.error` of one evaluation among many
"""

import json
from collections.abc import Mapping
from http import HTTPStatus

from ...domain import errors
from ...domain.call import Call
from ...domain.errors import TenantryError

_STATUSES: dict[type[TenantryError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.PermissionDenied: HTTPStatus.FORBIDDEN,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    # No evaluation is refused for anything else.
    TenantryError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def render(error: TenantryError | None, call: Call, metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """The status and the body of a refusal; None is what was not foreseen."""
    told = {"status": 500, "message": "Internal server error"} if error is None else body(error)
    return [("x-http-status", str(told["status"])), ("x-http-body", json.dumps(told))]


def body(error: TenantryError) -> dict[str, object]:
    """What is told of a refusal."""
    status = next(_STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in _STATUSES)
    message = error.message
    if isinstance(error, errors.InvalidRequest):
        message = ", ".join(f"{each.field} {each.description}".strip() for each in error.violations[:20])
    return {"status": status.value, "message": message}
