"""How an organization stood at a past instant, told from its audit trail: who was a member, by which roles, in which state.

The trail has one event for every revision, so it is read from the first to the last that is not later than the instant. What
it cannot tell is refused and never guessed: an event that is missing, that does not fit what came before, or whose action this
version does not know.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .audit import AuditEvent
from .errors import HistoryNotRetained
from .organizations import OrganizationState, is_over
from .permissions import Catalog
from .roles import MemberRole, Role


@dataclass(slots=True)
class _Grant:
    """What a member has, or an invitation offers: a standing, and roles by id."""

    role: MemberRole
    role_ids: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Past:
    """An organization as it was. Before its first event there is none: revision 0, and no state."""

    organization_id: str
    revision: int = 0
    state: OrganizationState | None = None
    suspend_until: datetime | None = None
    # The events up to the instant were the last there are.
    is_latest: bool = True
    _personal_user_id: str = ""
    _members: dict[str, _Grant] = field(default_factory=dict)
    _roles: dict[str, Role] = field(default_factory=dict)
    _invitations: dict[str, _Grant] = field(default_factory=dict)
    _deleted_users: set[str] = field(default_factory=set)

    def member_role(self, user_id: str) -> MemberRole | None:
        """The standing that a user had; None for who was no member, or deleted."""
        grant = None if user_id in self._deleted_users else self._members.get(user_id)
        return grant.role if grant else None

    def roles_of(self, catalog: Catalog, user_id: str) -> tuple[Role, ...]:
        """The roles that were assigned to a user, with what they granted then; system roles as the catalog has them today."""
        grant = self._members.get(user_id)
        known = (catalog.roles.get(role_id) or self._roles.get(role_id) for role_id in (grant.role_ids if grant else ()))
        return tuple(role for role in known if role is not None)

    @property
    def own_roles(self) -> tuple[Role, ...]:
        """The organization's own roles, as they were."""
        return tuple(self._roles.values())


def fold(organization_id: str, events: Iterable[AuditEvent], *, until: datetime) -> Past:
    """The organization after its last change before, or at, an instant. `events` is its whole trail, the oldest first.

    Clocks of several processes may disagree about instants, but never about revisions: the changes before the first one that
    is later count. Raises HistoryNotRetained.
    """
    past = Past(organization_id=organization_id)
    for event in events:
        if event.revision != past.revision + 1:
            raise not_told(past)
        if event.time > until:
            past.is_latest = False
            break
        try:
            _STEPS[event.action](past, event)
        except (KeyError, ValueError, TypeError):
            raise not_told(past) from None
        past.revision = event.revision
    if past.state is OrganizationState.SUSPENDED and is_over(past.suspend_until, until):
        past.state = OrganizationState.ACTIVE
    return past


def not_told(past: Past) -> HistoryNotRetained:
    """The first revision after what could be told."""
    return HistoryNotRetained(organization_id=past.organization_id, revision=str(past.revision + 1))


# -- what each action did --------------------------------------------------------------------------------------------------


def _after(event: AuditEvent, name: str) -> Any:
    """What a field became. Raises KeyError when it did not change."""
    return event.changes[name][1]


def _grant(event: AuditEvent, before: _Grant | None = None) -> _Grant:
    """A grant as it became; what did not change stays."""
    role = MemberRole(_after(event, "role")) if before is None or "role" in event.changes else before.role
    if before is not None and "assigned_roles" not in event.changes:
        return _Grant(role, before.role_ids)
    return _Grant(role, tuple(_after(event, "assigned_roles")))


def _nothing(past: Past, event: AuditEvent) -> None:
    """It changed nothing that permissions depend on."""


def _found(past: Past, event: AuditEvent) -> None:
    past.state = OrganizationState(_after(event, "state"))
    past._members[_after(event, "creator_user_id")] = _Grant(MemberRole.OWNER)


def _found_personal(past: Past, event: AuditEvent) -> None:
    past.state = OrganizationState.ACTIVE
    past._personal_user_id = event.target_id
    past._members[event.target_id] = _Grant(MemberRole.OWNER)


def _set_state(past: Past, event: AuditEvent) -> None:
    past.state = OrganizationState(_after(event, "state"))


def _suspend(past: Past, event: AuditEvent) -> None:
    past.state = OrganizationState.SUSPENDED
    if "suspension" in event.changes:
        until = _after(event, "suspension").get("until")
        past.suspend_until = None if until is None else datetime.fromisoformat(until)


def _unsuspend(past: Past, event: AuditEvent) -> None:
    """Also of an organization that was not suspended, or not any more."""
    past.state = OrganizationState.ACTIVE


def _transfer(past: Past, event: AuditEvent) -> None:
    former, heir = event.changes["owner_user_id"]
    past._members[heir] = _Grant(MemberRole.OWNER, past._members[heir].role_ids)
    past._members[former] = _Grant(MemberRole.MEMBER, tuple(_after(event, "former_owner_roles")))


def _set_role(past: Past, event: AuditEvent) -> None:
    before = past._roles.get(event.target_id)
    told = {name: after for name, (_, after) in event.changes.items()}
    past._roles[event.target_id] = Role(
        id=event.target_id,
        organization_id=past.organization_id,
        name=told.get("name", before.name if before else ""),
        description="",
        permissions=tuple(told["permissions"]) if before is None or "permissions" in told else before.permissions,
    )


def _end_role(past: Past, event: AuditEvent) -> None:
    del past._roles[event.target_id]
    for grants in (past._members, past._invitations):
        for grant in grants.values():
            if event.target_id in grant.role_ids:
                grant.role_ids = tuple(role_id for role_id in grant.role_ids if role_id != event.target_id)


def _join(past: Past, event: AuditEvent) -> None:
    past._members[event.target_id] = _grant(event)


def _set_access(past: Past, event: AuditEvent) -> None:
    past._members[event.target_id] = _grant(event, past._members[event.target_id])


def _leave(past: Past, event: AuditEvent) -> None:
    del past._members[event.target_id]


def _offer(past: Past, event: AuditEvent) -> None:
    past._invitations[event.target_id] = _grant(event, past._invitations.get(event.target_id))


def _accept(past: Past, event: AuditEvent) -> None:
    offered = past._invitations[event.target_id]
    past._members[_after(event, "user_id")] = _Grant(offered.role, offered.role_ids)


def _delete_user(past: Past, event: AuditEvent) -> None:
    """The user goes; of a deleted organization that they alone owned they stay the owner, for nobody else is one."""
    past._deleted_users.add(event.target_id)
    if event.target_id == past._personal_user_id:
        past.state = OrganizationState.DELETED
    elif "role" in event.changes:
        del past._members[event.target_id]
    if "successor_user_id" in event.changes:
        heir = _after(event, "successor_user_id")
        known = past._members.get(heir)
        past._members[heir] = _Grant(MemberRole.OWNER, known.role_ids if known else ())


_STEPS: dict[str, Callable[[Past, AuditEvent], None]] = {
    "organization.create": _found,
    "organization.update": _nothing,
    "organization.update_settings": _nothing,
    "organization.set_default_region": _nothing,
    "organization.delete": _set_state,
    "organization.undelete": _set_state,
    "organization.suspend": _suspend,
    "organization.unsuspend": _unsuspend,
    "organization.update_limits": _nothing,
    "organization.set_otel_config": _nothing,
    "organization.delete_otel_config": _nothing,
    "organization.transfer_ownership": _transfer,
    "role.create": _set_role,
    "role.update": _set_role,
    "role.delete": _end_role,
    "member.add": _join,
    "member.update_access": _set_access,
    "member.remove": _leave,
    "member.leave": _leave,
    "invitation.create": _offer,
    "invitation.update": _offer,
    "invitation.resend": _offer,
    "invitation.cancel": _nothing,
    "invitation.decline": _nothing,
    "invitation.accept": _accept,
    "api_token.create": _nothing,
    "api_token.update": _nothing,
    "api_token.rotate": _nothing,
    "api_token.revoke": _nothing,
    "api_token.exclude": _nothing,
    "region.create": _nothing,
    "region.update": _nothing,
    "region.delete": _nothing,
    "region.rotate_key": _nothing,
    "quota.create": _nothing,
    "quota.update": _nothing,
    "quota.delete": _nothing,
    "user.create": _found_personal,
    "user.update": _nothing,
    "user.delete": _delete_user,
    "user.erase": _nothing,
}
# Every action that can be told.
ACTIONS = frozenset(_STEPS)
