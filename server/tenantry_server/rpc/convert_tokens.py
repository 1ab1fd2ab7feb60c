"""Between the records and the messages of API tokens."""

from datetime import timedelta
from typing import Any

from tenantry.v1 import api_token_pb2

from ..domain.errors import InvalidRequest
from ..domain.etags import etag
from ..domain.tokens import ApiToken, Effect, TokenKind, Withholding
from ..services.minting import TokenRequest, TokenUpdate
from ..wire import moment, timestamp, timestamp_or_none
from .convert import chosen

_KINDS = {
    TokenKind.USER: api_token_pb2.API_TOKEN_KIND_USER,
    TokenKind.ORGANIZATION: api_token_pb2.API_TOKEN_KIND_ORGANIZATION,
    TokenKind.PLATFORM: api_token_pb2.API_TOKEN_KIND_PLATFORM,
}
_REASONS = {
    Withholding.EXPIRED: api_token_pb2.WITHHOLDING_REASON_TOKEN_EXPIRED,
    Withholding.EXCLUDED: api_token_pb2.WITHHOLDING_REASON_EXCLUDED,
    Withholding.NOT_A_MEMBER: api_token_pb2.WITHHOLDING_REASON_NOT_A_MEMBER,
    Withholding.ORGANIZATION_SUSPENDED: api_token_pb2.WITHHOLDING_REASON_ORGANIZATION_SUSPENDED,
    Withholding.ORGANIZATION_DELETED: api_token_pb2.WITHHOLDING_REASON_ORGANIZATION_DELETED,
    Withholding.NOT_HELD_BY_OWNER: api_token_pb2.WITHHOLDING_REASON_NOT_HELD_BY_OWNER,
    Withholding.UNKNOWN_PERMISSION: api_token_pb2.WITHHOLDING_REASON_UNKNOWN_PERMISSION,
}
_FIELDS = ("name", "description", "unrestricted", "permissions", "expire_time")
_CLEARABLE = frozenset({"expire_time"})


def api_token(record: ApiToken) -> api_token_pb2.ApiToken:
    """A token, without its secret."""
    return api_token_pb2.ApiToken(
        id=record.id,
        kind=_KINDS[record.kind],
        name=record.name,
        description=record.description,
        user_id=record.user_id,
        organization_id=record.organization_id,
        creator_id=record.creator_id,
        hint=record.hint,
        unrestricted=record.permissions is None,
        granted_permissions=record.permissions or (),
        expire_time=timestamp_or_none(record.expire_time),
        last_used_time=timestamp_or_none(record.last_used_time),
        overlap_end_time=timestamp_or_none(record.overlap_end_time),
        revision=record.revision,
        etag=etag(record.revision),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
    )


def effect(record: Effect | None) -> api_token_pb2.EffectiveAccess | None:
    """What a token can do now."""
    if record is None:
        return None
    return api_token_pb2.EffectiveAccess(
        organization_id=record.organization_id,
        permissions=record.permissions,
        withheld=[
            api_token_pb2.WithheldPermission(permission=permission, reason=_REASONS[reason])
            for permission, reason in record.withheld
        ],
    )


def wanted(request: Any) -> TokenRequest:
    """The token that a request asks for. Raises InvalidRequest when it says neither or both of what it narrows to."""
    return TokenRequest(
        name=request.name,
        description=request.description,
        permissions=_permissions(unrestricted=request.unrestricted, permissions=list(request.permissions)),
        expire_time=moment(request, "expire_time"),
    )


def update(request: Any) -> TokenUpdate:
    """What a request asks to change of a token. Raises InvalidRequest."""
    fields = chosen(request, _FIELDS, clearable=_CLEARABLE)
    permissions: list[str] | None = None
    if fields & {"unrestricted", "permissions"}:
        permissions = _permissions(unrestricted=request.unrestricted, permissions=list(request.permissions))
        fields = fields - {"unrestricted"} | {"permissions"}
    return TokenUpdate(
        fields=fields,
        name=request.name,
        description=request.description,
        permissions=permissions,
        expire_time=moment(request, "expire_time"),
    )


def overlap(request: Any) -> timedelta:
    """How long the old secret stays good."""
    return timedelta(milliseconds=request.overlap.ToMilliseconds())


def _permissions(*, unrestricted: bool, permissions: list[str]) -> list[str] | None:
    if unrestricted and permissions:
        raise InvalidRequest.of("permissions", "must be empty in a token that narrows nothing", "UNRESTRICTED")
    return None if unrestricted else permissions
