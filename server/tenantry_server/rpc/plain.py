"""Questions about permissions that break no rule of their fields, told without asking the rules: that costs several times what
answering a question does. All others are held to the rules.
"""

from collections.abc import Container

from google.protobuf.message import Message

from tenantry.v1 import authorization_service_pb2 as pb

from ..domain import ids
from ..services.authorization import Question
from . import convert_authorization as rendering


def is_plain(question: Question, permissions: Container[str]) -> bool:
    """Whether it is about a user or the caller, by canonical ids, and a permission of the catalog: no rule is broken."""
    subject, organization_id, permission, at_least_revision = question
    return (
        permission in permissions
        and at_least_revision >= 0
        and ids.is_canonical(organization_id)
        and (subject is None or ids.is_canonical(subject.user_id))
    )


def is_plain_request(request: Message, permissions: Container[str]) -> bool:
    """Whether a request is one such question, about now."""
    return (
        type(request) is pb.CheckPermissionRequest
        and not request.HasField("as_of")
        and is_plain(rendering.question(request), permissions)
    )
