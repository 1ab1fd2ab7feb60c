"""Statements that find and remove what a user was called. Rare: some read whole tables."""

from typing import Any, NamedTuple

from peewee import fn

from ...domain.invitations import InvitationState
from ..models import AuditEvent, Invitation, RequestRecord
from ..people import User
from ..statements import Slot, Statement, changing, constant, value


def _holds(column: Any) -> Any:
    """Whether a text holds another one exactly. LIKE would take some characters of addresses for wildcards."""
    return fn.REPLACE(column, Slot("text"), "") != column


class Event(NamedTuple):
    """What of an audit event tells whom an address in it means."""

    organization_id: str
    revision: int
    time: int
    actor_id: str
    action: str
    target_id: str
    changes: str


_EVENT = tuple(getattr(AuditEvent, name) for name in Event._fields)
_HERE = AuditEvent.organization_id == Slot("organization_id")
_OF_USER = (AuditEvent.target_type == constant("user")) & (AuditEvent.target_id == Slot("user_id"))

# The organization whose trail tells the user's life: the personal one.
HOME = value(lambda: AuditEvent.select(AuditEvent.organization_id).where((AuditEvent.action == "user.create") & _OF_USER))
OWN_CHANGES = Statement(
    lambda: AuditEvent.select(AuditEvent.time, AuditEvent.changes).where(_HERE & _OF_USER).order_by(AuditEvent.revision.desc()),
    lambda row: (int(row[0]), str(row[1])),
)
ERASURE = value(
    lambda: AuditEvent.select(AuditEvent.revision).where(_HERE & _OF_USER & (AuditEvent.action == "user.erase")).limit(1)
)
HOLDERS = value(lambda: User.select(User.id).where(User.email == Slot("email")))
FORMER_HOLDERS = value(
    lambda: AuditEvent.select(AuditEvent.target_id).where((AuditEvent.action == "user.update") & _holds(AuditEvent.changes))
)
EVENTS = Statement(
    lambda: (
        AuditEvent.select(*_EVENT).where(_holds(AuditEvent.changes)).order_by(AuditEvent.organization_id, AuditEvent.revision)
    ),
    lambda row: Event(*row),
)
INVITATIONS = Statement(
    lambda: Invitation.select(Invitation.organization_id, Invitation.id, Invitation.create_time).where(
        Invitation.email == Slot("email")
    ),
    lambda row: (str(row[0]), str(row[1]), int(row[2])),
)
ANSWERS = Statement(
    lambda: RequestRecord.select(
        RequestRecord.principal_id, RequestRecord.request_id, RequestRecord.create_time, RequestRecord.answer
    ).where(_holds(RequestRecord.answer)),
    lambda row: (str(row[0]), str(row[1]), int(row[2]), str(row[3])),
)
REPLACE_CHANGES = changing(
    lambda: AuditEvent.update({AuditEvent.changes: Slot("changes")}).where(
        _HERE & (AuditEvent.revision == Slot("revision")) & (AuditEvent.changes != Slot("changes"))
    )
)
# The only events that hold what a user was called.
FORGET_OWN_CHANGES = changing(
    lambda: AuditEvent.update({AuditEvent.changes: "{}"}).where(
        _HERE & _OF_USER & (AuditEvent.action == "user.update") & (AuditEvent.changes != "{}")
    )
)
_THIS = (Invitation.organization_id == Slot("organization_id")) & (Invitation.id == Slot("invitation_id"))
CANCEL = changing(
    lambda: Invitation.update({Invitation.state: InvitationState.CANCELLED.value}).where(
        _THIS & (Invitation.state == constant(InvitationState.PENDING.value))
    )
)
REPLACE_INVITEE = changing(
    lambda: Invitation.update({Invitation.email: Slot("instead")}).where(_THIS & (Invitation.email != Slot("instead")))
)
REPLACE_INVITER = changing(
    lambda: Invitation.update({Invitation.inviter_email: Slot("instead")}).where(
        (Invitation.organization_id == Slot("organization_id"))
        & (Invitation.inviter_email == Slot("email"))
        & Invitation.id.in_(
            AuditEvent.select(AuditEvent.target_id).where(
                _HERE & (AuditEvent.action == "invitation.create") & (AuditEvent.actor_id == Slot("user_id"))
            )
        )
    )
)
REPLACE_ANSWER = changing(
    lambda: RequestRecord.update({RequestRecord.answer: Slot("answer")}).where(
        (RequestRecord.principal_id == Slot("principal_id"))
        & (RequestRecord.request_id == Slot("request_id"))
        & (RequestRecord.answer != Slot("answer"))
    )
)
