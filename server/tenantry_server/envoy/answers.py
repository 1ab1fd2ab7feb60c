"""What Envoy is told: which headers a request that passes gets, and how a client whose request does not is refused.

A refusal is application/problem+json (RFC 9457) with the fact's reason and metadata, and in gRPC a status with the same:

{"title", "status", "detail", "reason", "metadata"}
"""

import base64
import json
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

import google.rpc.error_details_pb2 as error_details_pb2
import google.rpc.status_pb2 as status_pb2
import grpc

from tenantry.envoy import external_auth_pb2 as pb

from ..domain import errors
from ..domain.errors import TenantryError
from ..domain.principal import Principal
from ..services.admission import Admitted
from .routes import OURS

_STATUSES: dict[type[TenantryError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.PermissionDenied: HTTPStatus.FORBIDDEN,
    # Another's organization is none, as far as the caller may know.
    errors.OrganizationNotAccessible: HTTPStatus.NOT_FOUND,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    TenantryError: HTTPStatus.FORBIDDEN,
}
# In gRPC; as in the core API, another's organization is denied and not absent.
_CODES = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# What a request that passes is told to come from; what is not true of it is taken out.
KIND, PRINCIPAL, USER = f"{OURS}principal-kind", f"{OURS}principal-id", f"{OURS}user-id"
CREDENTIAL, ORGANIZATION = f"{OURS}credential-id", f"{OURS}organization-id"
PERMISSIONS, REVISION = f"{OURS}permissions", f"{OURS}revision"
TOLD = (KIND, PRINCIPAL, USER, CREDENTIAL, ORGANIZATION, PERMISSIONS, REVISION)
_OVERWRITE = pb.OVERWRITE_IF_EXISTS_OR_ADD
_OK = status_pb2.Status(code=grpc.StatusCode.OK.value[0])


@lru_cache(maxsize=1024)
def passed(admitted: Admitted, *, forwards_credential: bool) -> pb.CheckResponse:
    """The request passes, as that of its caller. What is kept is the form that this takes, and never that it does."""
    told = {**_caller(admitted.principal), ORGANIZATION: admitted.organization_id}
    if admitted.organization_id:
        told |= {PERMISSIONS: _words(admitted.permissions), REVISION: str(admitted.revision)}
    removed = [name for name in TOLD if not told.get(name)]
    if not forwards_credential:
        removed.append("authorization")
    headers = (_header(name, value) for name, value in told.items() if value)
    return pb.CheckResponse(status=_OK, ok_response=pb.OkHttpResponse(headers=headers, headers_to_remove=removed))


def refused(error: TenantryError, *, is_grpc: bool) -> pb.CheckResponse:
    """The client learns what it would from this product's own API."""
    status = next(_STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in _STATUSES)
    more: dict[str, object] = {"reason": error.reason, "metadata": error.metadata}
    if isinstance(error, errors.InvalidRequest):
        more["metadata"] = {violation.field: violation.description for violation in error.violations}
    headers = {}
    if isinstance(error, errors.Unauthenticated):
        is_bad = isinstance(error, errors.InvalidCredential)
        headers["www-authenticate"] = 'Bearer error="invalid_token"' if is_bad else "Bearer"
    if isinstance(error, errors.Unavailable):
        headers["retry-after"] = "1"
    if is_grpc:
        headers["grpc-status-details-bin"] = _details(error, _CODES[status])
    return _denied(status, error.message, more, headers, is_grpc=is_grpc)


def closed(*, is_grpc: bool) -> pb.CheckResponse:
    """Nobody passes; why is not the client's business."""
    return _denied(HTTPStatus.FORBIDDEN, "this is not allowed", {}, {}, is_grpc=is_grpc)


def absent(*, is_grpc: bool) -> pb.CheckResponse:
    """There is nothing at the path."""
    return _denied(HTTPStatus.NOT_FOUND, "there is nothing at this path", {}, {}, is_grpc=is_grpc)


def _caller(principal: Principal) -> dict[str, str]:
    return {
        KIND: principal.kind.value,
        PRINCIPAL: principal.id,
        USER: principal.user_id,
        CREDENTIAL: principal.credential_id,
    }


@lru_cache(maxsize=1024)
def _words(permissions: frozenset[str]) -> str:
    return ",".join(sorted(permissions))


def _denied(
    status: HTTPStatus, detail: str, more: dict[str, object], headers: dict[str, str], *, is_grpc: bool
) -> pb.CheckResponse:
    code = _CODES[status]
    if is_grpc:  # Envoy says the body as grpc-message
        body = detail
        headers = headers | {"grpc-status": str(code.value[0])}
    else:
        body = json.dumps({"title": status.phrase, "status": status.value, "detail": detail, **more})
        headers = headers | {"content-type": "application/problem+json", "cache-control": "no-store"}
    denied = pb.DeniedHttpResponse(status=pb.HttpStatus(code=status), headers=_headers(headers), body=body)
    return pb.CheckResponse(status=status_pb2.Status(code=code.value[0], message=detail), denied_response=denied)


def _details(error: TenantryError, code: grpc.StatusCode) -> str:
    """The rich status of gRPC, as its header spells what is binary."""
    status = status_pb2.Status(code=code.value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=errors.DOMAIN, metadata=error.metadata)
    status.details.add().Pack(info)
    return base64.b64encode(status.SerializeToString()).decode().rstrip("=")


def _headers(headers: dict[str, str]) -> Iterable[pb.HeaderValueOption]:
    return (_header(name, value) for name, value in headers.items())


def _header(name: str, value: str) -> pb.HeaderValueOption:
    return pb.HeaderValueOption(header=pb.HeaderValue(key=name, value=value), append_action=_OVERWRITE)
