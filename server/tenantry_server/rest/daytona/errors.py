"""What a refusal looks like in this dialect: the one table from facts to statuses, and the body.

{"path", "timestamp", "statusCode", "error", "message"}
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

from ...domain import errors, ids, quota_errors
from ...domain.call import Call
from ...domain.clock import Clock, isoformat
from ...domain.errors import TenantryError
from . import convert

_STATUSES: dict[type[TenantryError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.PermissionDenied: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.AlreadyExists: HTTPStatus.CONFLICT,
    errors.FailedPrecondition: HTTPStatus.FORBIDDEN,
    # A global role belongs to no organization, so here it is none of the organization's.
    errors.SystemRole: HTTPStatus.NOT_FOUND,
    errors.RequestIdReused: HTTPStatus.CONFLICT,
    errors.ListTooLong: HTTPStatus.BAD_REQUEST,
    errors.Aborted: HTTPStatus.CONFLICT,
    errors.LimitExceeded: HTTPStatus.FORBIDDEN,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    quota_errors.QuotaExceeded: HTTPStatus.FORBIDDEN,
    quota_errors.RegionInUse: HTTPStatus.BAD_REQUEST,
    quota_errors.EndpointMissing: HTTPStatus.BAD_REQUEST,
    quota_errors.QuotasNotEnforced: HTTPStatus.BAD_REQUEST,
    quota_errors.LastDefaultQuota: HTTPStatus.CONFLICT,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
}
# Fields that this dialect calls otherwise; the rest is in camel case.
_FIELDS = {"expire_time": "expiresAt", "experimental_config": "config", "resource_class": "sandboxClass"}
# Facts that this dialect puts otherwise: its tokens are keys, and known by their names.
_TEXTS = {
    errors.ApiTokenNotFound: "API key {api_token_id} not found",
    errors.TokenNameTaken: "there is an API key named {name} already",
}
_CLOCK = Clock()


def render(error: TenantryError | None, call: Call, metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """The status and the body of a refusal; None is what was not foreseen."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    if error is not None:
        status = next(_STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in _STATUSES)
    body = {
        "path": metadata.get("x-envoy-original-path", call.method)[:1000],
        "timestamp": isoformat(_CLOCK.now()),
        "statusCode": status.value,
        "error": status.phrase,
        "message": "Internal server error" if error is None else _message(error),
    }
    return [("x-http-status", str(status.value)), ("x-http-body", json.dumps(body))]


def _message(error: TenantryError) -> str:
    if isinstance(error, errors.InvalidRequest):
        return ", ".join(f"{_field(v.field)} {v.description}".strip() for v in error.violations[:20])
    text, words = _TEXTS.get(type(error), error.text), error.metadata
    if not isinstance(error, errors.NotFound | errors.OrganizationNotAccessible):  # these repeat what was sent
        words = {key: _spelt(key, value) for key, value in words.items()}
    return text.format(**words)


def _spelt(key: str, value: str) -> str:
    """Ids and permissions as this dialect spells them."""
    if key == "permissions":
        return ", ".join(convert.spelling(name) for name in value.split(","))
    known = ids.find(value) if key.endswith("_id") else None
    return ids.to_uuid(known) if known else value


def _field(path: str) -> str:
    path = re.sub(r"\[(\d+)\]", r".\1", path)
    head, dot, tail = path.partition(".")
    head = _FIELDS.get(head) or re.sub(r"_(\w)", lambda match: match[1].upper(), head)
    return head + dot + tail
