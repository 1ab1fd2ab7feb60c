"""Statements that find and remove the addresses of a user who is erased. Rare: some read whole tables."""

from peewee import fn

from ...domain.invitations import InvitationState
from ..models import AuditEvent, Invitation
from ..statements import Slot, changing, constant, value

_HERE = AuditEvent.organization_id == Slot("organization_id")

# What was written until the user was deleted: since then, the address may be somebody else's.
TRAILS = value(
    lambda: (
        AuditEvent.select(AuditEvent.organization_id)
        .where((AuditEvent.time <= Slot("until")) & AuditEvent.changes.like(Slot("pattern")))
        .distinct()
    )
)
OWN_TRAIL = value(
    lambda: (
        AuditEvent.select(AuditEvent.organization_id)
        .where((AuditEvent.target_type == constant("user")) & (AuditEvent.target_id == Slot("user_id")))
        .distinct()
    )
)
OWN_CHANGES = value(
    lambda: AuditEvent.select(AuditEvent.changes).where(
        (AuditEvent.target_type == constant("user")) & (AuditEvent.target_id == Slot("user_id"))
    )
)
INVITED = value(
    lambda: (
        Invitation.select(Invitation.organization_id)
        .where(
            (Invitation.create_time <= Slot("until"))
            & ((Invitation.email == Slot("email")) | (Invitation.inviter_email == Slot("email")))
        )
        .distinct()
    )
)
# The only events that hold what a user was called.
FORGET_OWN_CHANGES = changing(
    lambda: AuditEvent.update({AuditEvent.changes: "{}"}).where(
        _HERE & (AuditEvent.action == constant("user.update")) & (AuditEvent.target_id == Slot("user_id"))
    )
)
REPLACE_IN_TRAIL = changing(
    lambda: AuditEvent.update({AuditEvent.changes: fn.REPLACE(AuditEvent.changes, Slot("address"), Slot("instead"))}).where(
        _HERE & (AuditEvent.time <= Slot("until")) & AuditEvent.changes.like(Slot("pattern"))
    )
)
CANCEL = changing(
    lambda: Invitation.update({Invitation.state: InvitationState.CANCELLED.value}).where(
        (Invitation.organization_id == Slot("organization_id"))
        & (Invitation.email == Slot("email"))
        & (Invitation.create_time <= Slot("until"))
        & (Invitation.state == constant(InvitationState.PENDING.value))
    )
)
REPLACE_INVITEE = changing(
    lambda: Invitation.update({Invitation.email: Slot("instead")}).where(
        (Invitation.organization_id == Slot("organization_id"))
        & (Invitation.email == Slot("email"))
        & (Invitation.create_time <= Slot("until"))
    )
)
REPLACE_INVITER = changing(
    lambda: Invitation.update({Invitation.inviter_email: ""}).where(
        (Invitation.organization_id == Slot("organization_id"))
        & (Invitation.inviter_email == Slot("email"))
        & (Invitation.create_time <= Slot("until"))
    )
)
