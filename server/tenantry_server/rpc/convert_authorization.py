"""Between the records and the messages of questions about permissions."""

from collections.abc import Iterable
from typing import Any

from tenantry.v1 import authorization_pb2
from tenantry.v1 import authorization_service_pb2 as pb

from ..domain.authorization import Decision
from ..domain.errors import TenantryError
from ..domain.explanations import ChangeKind, Explanation, Remedy, TokenPart
from ..domain.roles import Role
from ..services.authorization import Answer, Question
from ..services.subjects import Subject
from . import convert
from .status import status_of

_DECISIONS = {
    decision: authorization_pb2.PermissionDecision.Value(f"PERMISSION_DECISION_{decision.name}") for decision in Decision
}
_CHANGES = {kind: authorization_pb2.PermissionChangeKind.Value(f"PERMISSION_CHANGE_KIND_{kind.name}") for kind in ChangeKind}


def subject(request: Any) -> Subject | None:
    """Whom a request is about; None is the caller."""
    if not request.HasField("subject"):
        return None
    named = request.subject
    return Subject(named.user_id, named.api_token_id, named.credential)


def question(request: Any) -> Question:
    """What is asked, alone or in a batch."""
    return Question(subject(request), request.organization_id, request.permission, request.at_least_revision)


def answer(record: Answer, *, explained: bool = False) -> pb.CheckPermissionResponse:
    """An answer, with or without why."""
    return pb.CheckPermissionResponse(
        allowed=record.allowed,
        revision=record.revision,
        explanation=_explanation(record.explanation) if explained and record.explanation else None,
    )


def results(records: Iterable[Answer | TenantryError]) -> pb.BatchCheckPermissionsResponse:
    """The answers of a batch, or why there is none. They are filled in where they stand: copying each would cost four times
    as much.
    """
    response = pb.BatchCheckPermissionsResponse()
    for record in records:
        result = response.results.add()
        if isinstance(record, TenantryError):
            result.error.CopyFrom(status_of(record))
        else:
            result.answer.allowed = record.allowed
            result.answer.revision = record.revision
    return response


def _explanation(record: Explanation) -> authorization_pb2.PermissionExplanation:
    return authorization_pb2.PermissionExplanation(
        decision=_DECISIONS[record.decision],
        member_role=convert.member_role_of(record.member_role),
        implicit=record.implicit,
        granting_roles=map(_role, record.granting_roles),
        token=_token(record.token),
        organization_state=convert.organization_state_of(record.state),
        changes=map(_change, record.changes),
    )


def _role(record: Role) -> authorization_pb2.PermissionRole:
    return authorization_pb2.PermissionRole(role_id=record.id, name=record.name, system=record.system)


def _token(record: TokenPart | None) -> authorization_pb2.PermissionToken | None:
    if record is None:
        return None
    return authorization_pb2.PermissionToken(
        api_token_id=record.id,
        unrestricted=record.unrestricted,
        narrowed=record.narrowed,
        expired=record.expired,
        excluded=record.excluded,
        out_of_reach=record.out_of_reach,
    )


def _change(record: Remedy) -> authorization_pb2.PermissionChange:
    return authorization_pb2.PermissionChange(
        kind=_CHANGES[record.kind],
        role=_role(record.role) if record.role else None,
        member_role=convert.member_role_of(record.member_role),
    )
