"""Between the records and the messages of the core API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from tenantry.policy.v1 import policy_pb2
from tenantry.v1 import audit_event_pb2, invitation_pb2, member_pb2, organization_pb2, role_pb2, user_pb2

from ..domain.audit import AuditEvent
from ..domain.errors import InvalidRequest
from ..domain.etags import etag
from ..domain.invitations import Invitation, InvitationState
from ..domain.membership import Member
from ..domain.organizations import CLEANUP_GRACE_HOURS, Organization, OrganizationState, Suspension
from ..domain.permissions import Permission
from ..domain.principal import PrincipalKind
from ..domain.roles import MemberRole, Role
from ..domain.users import User, UserState
from ..services.service import PageRequest
from ..wire import struct, timestamp, timestamp_or_none, value

_ORGANIZATION_STATES = {
    OrganizationState.ACTIVE: organization_pb2.ORGANIZATION_STATE_ACTIVE,
    OrganizationState.SUSPENDED: organization_pb2.ORGANIZATION_STATE_SUSPENDED,
    OrganizationState.DELETED: organization_pb2.ORGANIZATION_STATE_DELETED,
}
_MEMBER_ROLES = {
    MemberRole.OWNER: member_pb2.MEMBER_ROLE_OWNER,
    MemberRole.MEMBER: member_pb2.MEMBER_ROLE_MEMBER,
}
_INVITATION_STATES = {
    InvitationState.PENDING: invitation_pb2.INVITATION_STATE_PENDING,
    InvitationState.ACCEPTED: invitation_pb2.INVITATION_STATE_ACCEPTED,
    InvitationState.DECLINED: invitation_pb2.INVITATION_STATE_DECLINED,
    InvitationState.CANCELLED: invitation_pb2.INVITATION_STATE_CANCELLED,
    InvitationState.EXPIRED: invitation_pb2.INVITATION_STATE_EXPIRED,
}
_PRINCIPAL_KINDS = {
    PrincipalKind.USER: policy_pb2.PRINCIPAL_KIND_USER,
    PrincipalKind.USER_IN_ORGANIZATION: policy_pb2.PRINCIPAL_KIND_USER_IN_ORGANIZATION,
    PrincipalKind.ORGANIZATION: policy_pb2.PRINCIPAL_KIND_ORGANIZATION,
    PrincipalKind.PLATFORM: policy_pb2.PRINCIPAL_KIND_PLATFORM,
}
_USER_STATES = {
    UserState.ACTIVE: user_pb2.USER_STATE_ACTIVE,
    UserState.DELETED: user_pb2.USER_STATE_DELETED,
    UserState.ERASED: user_pb2.USER_STATE_ERASED,
}
_MEMBER_ROLE_OF = {value: role for role, value in _MEMBER_ROLES.items()}
_INVITATION_STATE_OF = {value: state for state, value in _INVITATION_STATES.items()}


def organization(record: Organization) -> organization_pb2.Organization:
    """An organization."""
    return organization_pb2.Organization(
        id=record.id,
        name=record.name,
        slug=record.slug,
        personal=record.personal,
        state=_ORGANIZATION_STATES[record.state],
        default_region_id=record.default_region_id,
        settings=organization_pb2.OrganizationSettings(
            limited_network_egress=record.limited_network_egress,
            experimental_config=struct(record.experimental_config),
            otel_config=otel_config(record.otel_config),
        ),
        creator_user_id=record.creator_user_id,
        revision=record.revision,
        etag=etag(record.revision),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        delete_time=timestamp_or_none(record.delete_time),
        purge_time=timestamp_or_none(record.purge_time),
        suspension=suspension(record.suspension),
        cleanup_grace_hours=record.cleanup_grace_hours or CLEANUP_GRACE_HOURS,
    )


def suspension(record: Suspension | None) -> organization_pb2.Suspension | None:
    """Why an organization is suspended, if it is."""
    if record is None:
        return None
    return organization_pb2.Suspension(time=timestamp(record.time), reason=record.reason, until=timestamp_or_none(record.until))


def otel_config(shown: Mapping[str, Any] | None) -> organization_pb2.OtelConfig | None:
    """Where telemetry is exported to, as it may be shown."""
    return None if shown is None else organization_pb2.OtelConfig(**shown)


def role(record: Role) -> role_pb2.Role:
    """A role."""
    return role_pb2.Role(
        id=record.id,
        organization_id=record.organization_id,
        name=record.name,
        description=record.description,
        permissions=record.permissions,
        system=record.system,
        assignable=record.assignable,
        revision=record.revision,
        etag=etag(record.revision),
        create_time=None if record.system else timestamp(record.create_time),
        update_time=None if record.system else timestamp(record.update_time),
    )


def permission(record: Permission) -> role_pb2.Permission:
    """A permission of the catalog."""
    return role_pb2.Permission(
        name=record.name,
        description=record.description,
        owner_only=record.owner_only,
        implicit=record.implicit,
    )


def member(record: Member) -> member_pb2.Member:
    """A member."""
    return member_pb2.Member(
        organization_id=record.organization_id,
        user_id=record.user_id,
        email=record.email,
        name=record.name,
        role=_MEMBER_ROLES[record.role],
        assigned_roles=[role(assigned) for assigned in record.assigned_roles],
        revision=record.revision,
        etag=etag(record.revision),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
    )


def invitation(record: Invitation, now: datetime) -> invitation_pb2.Invitation:
    """An invitation, its state as of now."""
    return invitation_pb2.Invitation(
        id=record.id,
        organization_id=record.organization_id,
        organization_name=record.organization_name,
        email=record.email,
        state=_INVITATION_STATES[record.state_at(now)],
        role=_MEMBER_ROLES[record.role],
        assigned_roles=[role(assigned) for assigned in record.assigned_roles],
        inviter_email=record.inviter_email,
        expire_time=timestamp(record.expire_time),
        revision=record.revision,
        etag=etag(record.revision),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
    )


def audit_event(record: AuditEvent) -> audit_event_pb2.AuditEvent:
    """An audit event."""
    return audit_event_pb2.AuditEvent(
        organization_id=record.organization_id,
        revision=record.revision,
        time=timestamp(record.time),
        actor=audit_event_pb2.AuditActor(
            kind=_PRINCIPAL_KINDS[record.actor_kind], id=record.actor_id, credential_id=record.credential_id
        ),
        action=record.action,
        target=audit_event_pb2.AuditTarget(type=record.target_type, id=record.target_id),
        changes=[
            audit_event_pb2.AuditChange(field=field, before=value(before), after=value(after))
            for field, (before, after) in record.changes.items()
        ],
        call_id=record.call_id,
    )


def user(record: User) -> user_pb2.User:
    """A user."""
    return user_pb2.User(
        id=record.id,
        email=record.email,
        email_verified=record.email_verified,
        name=record.name,
        state=_USER_STATES[record.state],
        personal_organization_id=record.personal_organization_id,
        identities=[user_pb2.Identity(issuer=one.issuer, subject=one.subject) for one in record.identities],
        revision=record.revision,
        etag=etag(record.revision),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        delete_time=timestamp_or_none(record.delete_time),
    )


def principal_kind(kind: PrincipalKind) -> policy_pb2.PrincipalKind.ValueType:
    """Who a credential stands for."""
    return _PRINCIPAL_KINDS[kind]


def member_role_of(role: MemberRole | None) -> member_pb2.MemberRole.ValueType:
    """A standing, or that there is none."""
    return member_pb2.MEMBER_ROLE_UNSPECIFIED if role is None else _MEMBER_ROLES[role]


def organization_state_of(state: OrganizationState | None) -> organization_pb2.OrganizationState.ValueType:
    """Where an organization is in its life, or that there is none."""
    return organization_pb2.ORGANIZATION_STATE_UNSPECIFIED if state is None else _ORGANIZATION_STATES[state]


def member_role(value: int) -> MemberRole:
    """A standing. Validation has seen to it that it is one."""
    return _MEMBER_ROLE_OF[value]  # type: ignore[index]


def invitation_state(value: int) -> InvitationState | None:
    """A state, or None for all of them."""
    return _INVITATION_STATE_OF.get(value)  # type: ignore[call-overload]


def page(request: Any) -> PageRequest:
    """Which page a list request asks for."""
    return PageRequest(request.page_size, request.page_token)


def chosen(request: Any, fields: Sequence[str], *, clearable: frozenset[str] = frozenset()) -> frozenset[str]:
    """The fields that an update is to change (AIP-134): those of its mask, all with `*`, or those that are present.

    Raises InvalidRequest when the mask names another field, or one that the request does not carry and that can neither be
    cleared nor be empty.
    """
    present = {field for field in fields if _is_present(request, field)}
    paths = list(request.update_mask.paths)
    if not paths:
        return frozenset(present)
    if paths == ["*"]:
        paths = list(fields)
    for path in paths:
        if path not in fields:
            raise InvalidRequest.of("update_mask", f"{path!r} is not one of {', '.join(fields)}", "UPDATE_MASK")
        if path not in present and path not in clearable and not _is_list(request, path):
            raise InvalidRequest.of(path, "is named by update_mask, but absent", "UPDATE_MASK")
    return frozenset(paths)


def _is_list(request: Message, field: str) -> bool:
    return bool(request.DESCRIPTOR.fields_by_name[field].is_repeated)


def _is_present(request: Message, field: str) -> bool:
    return bool(getattr(request, field)) if _is_list(request, field) else request.HasField(field)
