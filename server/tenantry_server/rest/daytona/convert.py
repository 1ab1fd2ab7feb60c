"""All spelling of this dialect: ids as UUIDs, instants with milliseconds, permissions as `action:resources`."""

import re
from collections.abc import Mapping

from tenantry.rest.daytona.v1 import (
    api_key_service_pb2,
    invitation_service_pb2,
    member_service_pb2,
    organization_service_pb2,
    role_service_pb2,
    user_service_pb2,
)

from ...domain import ids
from ...domain.clock import isoformat, isoformat_or_none
from ...domain.errors import InvalidRequest, Violation
from ...domain.invitations import Invitation
from ...domain.membership import Member
from ...domain.metrics import Metrics
from ...domain.organizations import CLEANUP_GRACE_HOURS, Organization, OrganizationState
from ...domain.rates import SETTABLE, OrganizationLimits, RateOverride
from ...domain.roles import Role
from ...domain.tokens import ApiToken, TokenKind
from ...domain.users import User
from ...wire import struct
from . import convert_quotas

# What this dialect's resources with tokens are called.
SANDBOX = "sandbox"
# The published permissions. Others are spelt as in the catalog, in both directions.
_PERMISSIONS = {
    "write:registries": "registry:write",
    "delete:registries": "registry:delete",
    "write:snapshots": "snapshot:write",
    "delete:snapshots": "snapshot:delete",
    "write:sandboxes": "sandbox:write",
    "delete:sandboxes": "sandbox:delete",
    "read:volumes": "volume:read",
    "write:volumes": "volume:write",
    "delete:volumes": "volume:delete",
    "write:regions": "region:write",
    "delete:regions": "region:delete",
    "read:runners": "runner:read",
    "write:runners": "runner:write",
    "delete:runners": "runner:delete",
    "read:audit_logs": "audit-log:read",
}
_SPELLINGS = {name: spelling for spelling, name in _PERMISSIONS.items()}

# What stands for the rest of a secret.
_MASK = "*" * 20
# What the published clients demand of every instant, where there is none.
_NEVER = "1970-01-01T00:00:00.000Z"
_NAME, _VALUE = re.compile(r"[A-Za-z0-9!#$%&*+.^_`|~-]{1,100}"), re.compile(r"[ -~]{1,4000}")


def organization(record: Organization, metrics: Metrics) -> organization_service_pb2.Organization:
    """An organization, with its limits."""
    suspension = record.suspension
    quotas = {name: metrics.limit(name, record.quotas) or 0 for name in metrics.all}
    return organization_service_pb2.Organization(
        id=ids.to_uuid(record.id),
        name=record.name,
        created_by=ids.to_uuid(record.creator_user_id),
        personal=record.personal,
        created_at=isoformat(record.create_time),
        updated_at=isoformat(record.update_time),
        suspended=record.state is OrganizationState.SUSPENDED,
        suspended_at=isoformat(suspension.time) if suspension else _NEVER,
        suspension_reason=suspension.reason if suspension else "",
        suspended_until=isoformat(suspension.until) if suspension and suspension.until else _NEVER,
        suspension_cleanup_grace_period_hours=record.cleanup_grace_hours or CLEANUP_GRACE_HOURS,
        max_cpu_per_sandbox=quotas["max-cpu-per-sandbox"],
        max_memory_per_sandbox=quotas["max-memory-per-sandbox"],
        max_disk_per_sandbox=quotas["max-disk-per-sandbox"],
        snapshot_deactivation_timeout_minutes=quotas["snapshot-deactivation-timeout"],
        sandbox_limited_network_egress=record.limited_network_egress,
        default_region_id=convert_quotas.region_id(record.default_region_id) or None,
        experimental_config=struct(record.experimental_config),
        secret_quota=quotas["secret"],
        max_secrets_per_sandbox=quotas["max-secrets-per-sandbox"],
        preview_warning_enabled=True,
        sso_enabled=False,
        scim_enabled=False,
        otel_config=None if record.otel_config is None else organization_service_pb2.OtelConfig(**record.otel_config),
        **_rate_limits(record.limits),
    )


def _rate_limits(limits: OrganizationLimits | None) -> dict[str, int]:
    """What was set for the organization, and nothing of what holds for all."""
    overrides = {name: getattr(limits, name, None) or RateOverride() for name in SETTABLE}
    calls = {f"{name}_rate_limit": override.calls for name, override in overrides.items()}
    seconds = {f"{name}_rate_limit_ttl_seconds": override.seconds for name, override in overrides.items()}
    return {name: value for name, value in (calls | seconds).items() if value is not None}


def headers(sent: Mapping[str, str]) -> dict[str, str]:
    """Headers as they are meant: what has no name or no value is none. Raises InvalidRequest for what no header can be."""
    found = {name.strip(): value.strip() for name, value in sent.items() if name.strip() and value.strip()}
    wrong = sorted(name for name, value in found.items() if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value))
    if wrong:
        raise InvalidRequest(Violation(f"headers[{name}]", "is no header", "HEADER") for name in wrong[:20])
    return found


def role(record: Role) -> role_service_pb2.OrganizationRole:
    """A role."""
    return role_service_pb2.OrganizationRole(
        id=ids.to_uuid(record.id),
        name=record.name,
        description=record.description,
        permissions=map(spelling, record.permissions),
        is_global=record.system,
        created_at=isoformat(record.create_time),
        updated_at=isoformat(record.update_time),
    )


def member(record: Member) -> member_service_pb2.OrganizationUser:
    """A member."""
    return member_service_pb2.OrganizationUser(
        user_id=ids.to_uuid(record.user_id),
        organization_id=ids.to_uuid(record.organization_id),
        name=record.name,
        email=record.email,
        role=record.role,
        assigned_roles=map(role, record.assigned_roles),
        created_at=isoformat(record.create_time),
        updated_at=isoformat(record.update_time),
    )


def invitation(record: Invitation) -> invitation_service_pb2.OrganizationInvitation:
    """An invitation."""
    return invitation_service_pb2.OrganizationInvitation(
        id=ids.to_uuid(record.id),
        email=record.email,
        invited_by=record.inviter_email,
        organization_id=ids.to_uuid(record.organization_id),
        organization_name=record.organization_name,
        expires_at=isoformat(record.expire_time),
        status=record.state,
        role=record.role,
        assigned_roles=map(role, record.assigned_roles),
        created_at=isoformat(record.create_time),
        updated_at=isoformat(record.update_time),
    )


def user(record: User) -> user_service_pb2.User:
    """A person."""
    return user_service_pb2.User(
        id=ids.to_uuid(record.id),
        name=record.name,
        email=record.email,
        email_verified=record.email_verified,
        created_at=isoformat(record.create_time),
    )


def new_api_key(record: ApiToken, implicit: frozenset[str]) -> api_key_service_pb2.ApiKeyResponse:
    """A key with its secret."""
    return api_key_service_pb2.ApiKeyResponse(
        name=record.name,
        value=record.secret,
        created_at=isoformat(record.create_time),
        permissions=_granted(record, implicit),
        expires_at=isoformat_or_none(record.expire_time),
    )


def api_key(record: ApiToken, implicit: frozenset[str]) -> api_key_service_pb2.ApiKeyList:
    """A key, its secret masked."""
    return api_key_service_pb2.ApiKeyList(
        name=record.name,
        value=record.hint + _MASK,
        created_at=isoformat(record.create_time),
        permissions=_granted(record, implicit),
        last_used_at=isoformat_or_none(record.last_used_time),
        expires_at=isoformat_or_none(record.expire_time),
        user_id=ids.to_uuid(record.user_id) if record.user_id else "",
    )


def _granted(record: ApiToken, implicit: frozenset[str]) -> list[str]:
    """What a key was granted beyond what every key may; one that narrows nothing, all that this dialect has names for, which
    are none for the platform's.
    """
    if record.permissions is None:
        return [] if record.kind is TokenKind.PLATFORM else list(_PERMISSIONS)
    return [spelling(name) for name in record.permissions if name not in implicit]


def permission(spelling: str) -> str:
    """A permission's name in the catalog."""
    return _PERMISSIONS.get(spelling, spelling)


def spelling(permission: str) -> str:
    """A permission of the catalog as this dialect spells it."""
    return _SPELLINGS.get(permission, permission)
