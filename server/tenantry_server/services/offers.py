"""What becomes of invitations inside a change: the steps that invitations and members have in common."""

from datetime import datetime

from ..domain import ids
from ..domain.audit import Changes
from ..domain.audit import changes as differences
from ..domain.errors import AlreadyMember, InvitationPending, InviterLostAuthority, LimitExceeded
from ..domain.invitations import MAKERS, Invitation, InvitationState, expiry
from ..domain.membership import Grant, ensure_shared
from ..domain.principal import Principal
from ..store.change import Change
from ..store.queries import invitations as statements
from ..store.standings import granter_access
from ..store.values import milliseconds
from .assignments import custom_id
from .seats import ensure_seat
from .service import Limits


def invite(change: Change, limits: Limits, email: str, grant: Grant, expire_time: datetime | None) -> Invitation:
    """Makes an invitation of a canonical address, inside a change. The grant has been judged already."""
    expires = expiry(change.now, expire_time, lifetime=limits.invitation_lifetime, field="expire_time")
    ensure_may_be_invited(change, limits, email)
    principal = change.call.principal
    invitation = Invitation(
        id=ids.new(),
        organization_id=change.organization.id,
        organization_name=change.organization.name,
        email=email,
        state=InvitationState.PENDING,
        role=grant.role,
        assigned_roles=grant.assigned_roles,
        inviter_email=principal.email,
        expire_time=expires,
        revision=change.organization.revision,
        create_time=change.now,
        update_time=change.now,
        granter_user_id=principal.user_id,
        granter_token_id=granter_token(principal),
    )
    now = milliseconds(change.now)
    change.database.later(
        statements.INSERT,
        InvitationPending(email=email),
        id=invitation.id,
        organization_id=invitation.organization_id,
        email=email,
        state=invitation.state.value,
        role=grant.role.value,
        inviter_email=invitation.inviter_email,
        granter_user_id=invitation.granter_user_id,
        granter_token_id=invitation.granter_token_id,
        expire_time=milliseconds(expires),
        revision=invitation.revision,
        create_time=now,
        update_time=now,
    )
    offer(change, invitation)
    change.record("invitation.create", "invitation", invitation.id, differences(None, invitation))
    return invitation


def ensure_may_be_invited(change: Change, limits: Limits, email: str) -> None:
    """Refuses personal organizations, members, and one pending invitation too many; overdue ones make way."""
    ensure_shared(change.organization)
    found = _obstacles(change, limits, email)
    if found.member_id is not None:
        raise AlreadyMember(email=email)
    if found.pending_id is not None:
        raise InvitationPending(email=email)
    if found.overdue:
        change.database.later(statements.CLOSE_OVERDUE, organization_id=change.organization.id, now=milliseconds(change.now))
    _ensure_room(change, found, limits)


def cancel_pending(change: Change, email: str) -> Changes:
    """Ends the pending invitation to an address whose user became a member another way, or is to be none any more; what the
    audit trail says of it.
    """
    organization_id = change.organization.id
    found = change.database.row(
        statements.PENDING_TO, organization_id=organization_id, email=email, now=milliseconds(change.now)
    )
    if found is None:
        return {}
    change.database.later(statements.CANCEL, invitation_id=found, **change.slots)
    return {"cancelled_invitation_id": (None, found)}


def ensure_room(change: Change, limits: Limits, email: str) -> None:
    """Refuses what would be one pending invitation, of the organization or to the address, or one seat, too many."""
    _ensure_room(change, _obstacles(change, limits, email), limits)


def _obstacles(change: Change, limits: Limits, email: str) -> statements.Obstacles:
    return change.database.one(
        statements.OBSTACLES,
        email=email,
        most=limits.pending_invitations,
        most_to_address=limits.pending_invitations_per_address,
        organization_id=change.organization.id,
        now=milliseconds(change.now),
    )


def _ensure_room(change: Change, found: statements.Obstacles, limits: Limits) -> None:
    if found.pending >= limits.pending_invitations:
        raise LimitExceeded(limit="pending invitations", maximum=str(limits.pending_invitations))
    if found.pending_to_address >= limits.pending_invitations_per_address:
        raise LimitExceeded(limit="pending invitations to an address", maximum=str(limits.pending_invitations_per_address))
    ensure_seat(change)


def ensure_inviter_may_grant(change: Change, invitation: Invitation, grant: Grant) -> None:
    """Who answers for the invitation must still be able to make it. Raises InviterLostAuthority."""
    held = granter_access(
        change.database,
        change.catalog,
        change.organization,
        user_id=invitation.granter_user_id,
        token_id=invitation.granter_token_id,
        now=change.now,
    )
    if held is None or not MAKERS & held.permissions or not held.permissions >= grant.permissions(change.catalog.all):
        raise InviterLostAuthority(invitation_id=invitation.id)


def granter_token(principal: Principal) -> str:
    """A person answers for what they granted, through whatever credential; an organization's own token for itself."""
    return "" if principal.user_id else principal.credential_id


def write(change: Change, action: str, before: Invitation, after: Invitation, more: Changes | None = None) -> Invitation:
    """Keeps what became of an invitation, and says so in the audit trail."""
    change.database.later(
        statements.UPDATE,
        invitation_id=after.id,
        state=after.state.value,
        role=after.role.value,
        granter_user_id=after.granter_user_id,
        granter_token_id=after.granter_token_id,
        expire_time=milliseconds(after.expire_time),
        **change.slots,
    )
    change.record(action, "invitation", after.id, differences(before, after) | (more or {}))
    return after


def offer(change: Change, invitation: Invitation) -> None:
    """Keeps which roles an invitation offers."""
    for role in invitation.assigned_roles:
        change.database.later(
            statements.OFFER,
            organization_id=invitation.organization_id,
            invitation_id=invitation.id,
            role_id=role.id,
            custom_role_id=custom_id(role),
        )
