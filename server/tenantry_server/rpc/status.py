"""What a refusal looks like in gRPC: the one table from facts to codes, and the details that go with them.

Every status carries google.rpc.ErrorInfo (reason, domain, metadata), and BadRequest, ResourceInfo, PreconditionFailure,
QuotaFailure or RetryInfo where they say more (AIP-193).
"""

import google.rpc.error_details_pb2 as details_pb2
import google.rpc.status_pb2 as status_pb2
import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from ..domain import errors, quota_errors
from ..domain.errors import DOMAIN, TenantryError

_CODES: dict[type[TenantryError], grpc.StatusCode] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Aborted: grpc.StatusCode.ABORTED,
    errors.LimitExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    quota_errors.QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Longest list of violations in an answer: metadata has to stay small.
_MAX_VIOLATIONS = 20


def code_of(error: TenantryError) -> grpc.StatusCode:
    """The gRPC code of a fact: that of its nearest ancestor in the table."""
    return next(_CODES[ancestor] for ancestor in type(error).__mro__ if ancestor in _CODES)


def status_of(error: TenantryError) -> status_pb2.Status:
    """The status of a fact, with its details."""
    status = status_pb2.Status(code=code_of(error).value[0], message=error.message)
    info = details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    for detail in (info, *_details(error)):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def internal(call_id: str) -> status_pb2.Status:
    """The status of something unforeseen: a fixed text, and the call's id to find it in the log."""
    status = status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message="internal error")
    packed = Any()
    packed.Pack(details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"call_id": call_id}))
    status.details.append(packed)
    return status


def _details(error: TenantryError) -> list[Message]:
    match error:
        case errors.InvalidRequest():
            return [_bad_request(error)]
        case errors.NotFound():
            return [details_pb2.ResourceInfo(resource_type=error.kind, resource_name=error.identifier)]
        case errors.FailedPrecondition():
            violation = details_pb2.PreconditionFailure.Violation(type=error.reason, description=error.message)
            return [details_pb2.PreconditionFailure(violations=[violation])]
        case errors.LimitExceeded():
            excess = details_pb2.QuotaFailure.Violation(subject=error.metadata["limit"], description=error.message)
            return [details_pb2.QuotaFailure(violations=[excess])]
        case quota_errors.QuotaExceeded():
            excess = details_pb2.QuotaFailure.Violation(subject=error.metadata["metric"], description=error.message)
            return [details_pb2.QuotaFailure(violations=[excess])]
        case errors.RateLimited():
            excess = details_pb2.QuotaFailure.Violation(subject=error.metadata["rate_limit"], description=error.message)
            retry = details_pb2.RetryInfo(retry_delay=Duration(seconds=error.seconds))
            return [details_pb2.QuotaFailure(violations=[excess]), retry]
        case errors.Conflict() | errors.Overloaded() | errors.Unavailable():
            return [details_pb2.RetryInfo(retry_delay=Duration(seconds=1))]
    return []


def _bad_request(error: errors.InvalidRequest) -> details_pb2.BadRequest:
    return details_pb2.BadRequest(
        field_violations=[
            details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description, reason=v.rule)
            for v in error.violations[:_MAX_VIOLATIONS]
        ]
    )
