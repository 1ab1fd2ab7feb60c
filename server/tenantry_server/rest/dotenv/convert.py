"""All spelling of this dialect: ids as ULIDs, answers under `data`."""

from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from tenantry.rest.dotenv.v1 import (
    api_key_service_pb2,
    member_service_pb2,
    organization_service_pb2,
    user_service_pb2,
)

from ...domain.errors import InvalidRequest
from ...domain.organizations import Organization
from ...domain.roles import MemberRole
from ...domain.tokens import ApiToken
from ...domain.users import User
from ...services.members import Addition

# The ability that stands for all of them.
_EVERYTHING = "*"
_MOST = 500
_Principal = user_service_pb2.PrincipalResource

# Organizations, with the caller's standing in each.
Reach = Sequence[tuple[Organization, MemberRole | None]]


def organization(record: Organization) -> organization_service_pb2.Organization:
    """An organization."""
    return organization_service_pb2.Organization(id=record.id, name=record.name, slug=record.slug, status=record.state)


def one(record: Organization) -> organization_service_pb2.OrganizationResponse:
    """An organization in its envelope."""
    return organization_service_pb2.OrganizationResponse(data=organization(record))


def page(records: list[Organization], number: int, size: int) -> organization_service_pb2.ListOrganizationsResponse:
    """A numbered page of a whole list, with where it stands."""
    last = max(1, -(-len(records) // size))
    return organization_service_pb2.ListOrganizationsResponse(
        data=map(organization, records[(number - 1) * size : number * size]),
        meta=organization_service_pb2.Meta(current_page=number, per_page=size, total=len(records), last_page=last),
    )


def addition(record: Addition, *, email: str, role: str) -> member_service_pb2.AddMemberResponse:
    """Who was added, in its envelope: a member, an invitation, or a request about which no more is told."""
    data = member_service_pb2.Addition(type="request", email=email, role=role, status="accepted")
    if record.member is not None:
        data.type, data.id, data.status = "member", record.member.user_id, "active"
        data.email = record.member.email
    if record.invitation is not None:
        data.type, data.id, data.status = "invitation", record.invitation.id, record.invitation.state
        data.email = record.invitation.email
    return member_service_pb2.AddMemberResponse(data=data)


def api_key(record: ApiToken) -> api_key_service_pb2.ApiKey:
    """A token."""
    return api_key_service_pb2.ApiKey(
        id=record.id,
        name=record.name,
        abilities=[_EVERYTHING] if record.permissions is None else record.permissions,
        expires_at=_seconds_or_none(record.expire_time),
        last_used_at=_seconds_or_none(record.last_used_time),
        created_at=_seconds(record.create_time),
        updated_at=_seconds(record.update_time),
        token_prefix=record.hint,
    )


def new_api_key(record: ApiToken, message: str) -> api_key_service_pb2.NewApiKeyResponse:
    """A token with its secret, in the envelope of new ones."""
    return api_key_service_pb2.NewApiKeyResponse(success=True, message=message, token=record.secret, api_key=api_key(record))


def permissions(abilities: list[str]) -> list[str] | None:
    """What abilities come to; None narrows nothing. Raises InvalidRequest when `*` is not alone."""
    if _EVERYTHING not in abilities:
        return abilities
    if len(abilities) > 1:
        raise InvalidRequest.of("abilities", "must name * alone, or other abilities", "ABILITIES")
    return None


def abilities(value: Value) -> list[str]:
    """The names in a list. Raises InvalidRequest when it is none, names nothing, or one of them twice."""
    names = [each.string_value for each in value.list_value.values]
    if not 1 <= len(names) <= _MOST or len(set(names)) < len(names):
        raise InvalidRequest.of("abilities", f"must name 1 to {_MOST} permissions, each once", "PERMISSION_NAMES")
    return names


def instant_or_null(value: Value, *, field: str) -> datetime | None:
    """An instant, or none for null and for what is absent. Raises InvalidRequest."""
    kind = value.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    moment = Timestamp()
    try:
        moment.FromJsonString(value.string_value)
        return moment.ToDatetime(UTC)
    except ValueError:
        raise InvalidRequest.of(field, "must be an instant such as 2030-01-31T12:00:00Z, or null", "TIMESTAMP") from None


def principal(user: User | None, organizations: Reach) -> user_service_pb2.GetCurrentPrincipalResponse:
    """Who calls: a user with the organizations within reach, or the one organization."""
    included = [_organization(organization, role) for organization, role in organizations]
    if user is None:
        return user_service_pb2.GetCurrentPrincipalResponse(data=included[0])
    references = [_Principal.Relationships.Organizations.Reference(type=one.type, id=one.id) for one in included]
    data = _Principal(
        type="users",
        id=user.id,
        attributes=_Principal.Attributes(
            name=user.name,
            email=user.email,
            is_verified=user.email_verified,
            created_at=_seconds(user.create_time),
            updated_at=_seconds(user.update_time),
        ),
        relationships=_Principal.Relationships(organizations=_Principal.Relationships.Organizations(data=references)),
    )
    return user_service_pb2.GetCurrentPrincipalResponse(data=data, included=included)


def _organization(record: Organization, role: MemberRole | None) -> _Principal:
    return _Principal(
        type="organizations",
        id=record.id,
        attributes=_Principal.Attributes(
            name=record.name,
            ulid=record.id,
            slug=record.slug,
            status=record.state,
            role=role,
            created_at=_seconds(record.create_time),
            updated_at=_seconds(record.update_time),
        ),
    )


def _seconds(instant: datetime) -> str:
    """RFC 3339, whole seconds."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else _seconds(instant)
