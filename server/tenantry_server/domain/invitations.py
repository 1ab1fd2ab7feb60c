"""Invitations: which moves exist, and how long one lives.

    move      from               to
    update    pending            pending
    resend    pending, expired   pending
    accept    pending            accepted
    decline   pending            declined
    cancel    pending            cancelled

Expired is computed: a pending invitation whose expire time has passed. It is written down when the organization invites
somebody again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from . import clock
from .errors import InvalidRequest, InvitationExpired, InvitationNotPending
from .roles import MemberRole, Role

MAX_LIFETIME = timedelta(days=3653)

# Who may have set an invitation last: what they must still hold, one of them, when it is accepted.
MAKERS = frozenset({"invitation:create", "invitation:update", "member:create"})


class InvitationState(StrEnum):
    """Where an invitation is in its life."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Move(StrEnum):
    """What can be done to an invitation."""

    UPDATE = "update"
    RESEND = "resend"
    ACCEPT = "accept"
    DECLINE = "decline"
    CANCEL = "cancel"


_MOVES: dict[Move, tuple[frozenset[InvitationState], InvitationState]] = {
    Move.UPDATE: (frozenset({InvitationState.PENDING}), InvitationState.PENDING),
    Move.RESEND: (frozenset({InvitationState.PENDING, InvitationState.EXPIRED}), InvitationState.PENDING),
    Move.ACCEPT: (frozenset({InvitationState.PENDING}), InvitationState.ACCEPTED),
    Move.DECLINE: (frozenset({InvitationState.PENDING}), InvitationState.DECLINED),
    Move.CANCEL: (frozenset({InvitationState.PENDING}), InvitationState.CANCELLED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An offer to an e-mail address to join an organization. `granter` is who answers for what it grants: the user, or the
    organization's own token, that set it last.
    """

    id: str
    organization_id: str
    organization_name: str
    email: str
    state: InvitationState
    role: MemberRole
    assigned_roles: tuple[Role, ...]
    inviter_email: str
    granter_user_id: str
    granter_token_id: str
    expire_time: datetime
    revision: int
    create_time: datetime
    update_time: datetime

    def state_at(self, now: datetime) -> InvitationState:
        """The state, with expiry computed."""
        if self.state is InvitationState.PENDING and self.expire_time <= now:
            return InvitationState.EXPIRED
        return self.state


def move(invitation: Invitation, step: Move, now: datetime) -> InvitationState:
    """The state after the move. Raises InvitationExpired or InvitationNotPending when there is no such move."""
    sources, target = _MOVES[step]
    state = invitation.state_at(now)
    if state in sources:
        return target
    if state is InvitationState.EXPIRED:
        raise InvitationExpired(invitation_id=invitation.id, expire_time=clock.isoformat(invitation.expire_time))
    raise InvitationNotPending(invitation_id=invitation.id, state=state)


def expiry(now: datetime, wanted: datetime | None, *, lifetime: timedelta, field: str) -> datetime:
    """The expire time: as wanted, or a lifetime from now. Raises InvalidRequest when it is past or too far away."""
    if wanted is None:
        return now + lifetime
    wanted = clock.floor(wanted)
    if not now < wanted <= now + MAX_LIFETIME:
        raise InvalidRequest.of(field, "must lie in the future, at most ten years from now", "EXPIRE_TIME")
    return wanted
