"""All spelling of this dialect: what a subject, an action and a resource come to, and decisions."""

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.struct_pb2 import Struct

from tenantry.rest.authzen.v1 import access_service_pb2 as pb

from ...domain.errors import InvalidRequest, TenantryError, Violation
from ...services.authorization import Answer, Question
from ...services.subjects import Subject
from ...wire import struct
from . import errors

_SUBJECTS: dict[str, Callable[[str], Subject | None]] = {
    "user": lambda name: Subject(user_id=name),
    "api_token": lambda name: Subject(api_token_id=name),
    "credential": lambda name: Subject(credential=name),
    "caller": lambda _: None,
}
# The decision after which no more are told, by what is asked for.
_LAST = {"deny_on_first_deny": False, "permit_on_first_permit": True}
_REQUIRED = (("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id"))
_ORGANIZATION = "organization"
# The highest number that JSON tells from its neighbours.
_HIGHEST = 2**53 - 1


def question(request: pb.EvaluateRequest) -> Question:
    """What is asked. Raises InvalidRequest naming everything that is missing or wrong."""
    missing = [(part, name) for part, name in _REQUIRED if not getattr(getattr(request, part), name)]
    if missing:
        raise InvalidRequest(Violation(f"{part}.{name}", "is required", "REQUIRED") for part, name in missing)
    make = _SUBJECTS.get(request.subject.type)
    if make is None:
        raise InvalidRequest.of("subject.type", f"must be one of {', '.join(_SUBJECTS)}", "SUBJECT_TYPE")
    return Question(
        subject=make(request.subject.id),
        organization_id=_organization_of(request.resource),
        permission=_permission(request),
        at_least_revision=_revision(request.context),
    )


def questions(request: pb.EvaluateManyRequest) -> list[Question | TenantryError]:
    """What is asked by each evaluation, or what is wrong with it."""
    return [_attempt(_with_defaults(request, each)) for each in request.evaluations]


def alone(request: pb.EvaluateManyRequest) -> pb.EvaluateRequest:
    """What the evaluations have in common, as the one that is meant where there are none."""
    return _with_defaults(request, pb.EvaluateRequest())


def decision(answer: Answer) -> pb.EvaluateResponse:
    """A decision."""
    return pb.EvaluateResponse(decision=answer.allowed, context=_context(answer))


def one_of_none(answer: Answer) -> pb.EvaluateManyResponse:
    """The decision where no list was asked for."""
    return pb.EvaluateManyResponse(decision=answer.allowed, context=_context(answer))


def decisions(results: Iterable[Answer | TenantryError], semantic: str) -> pb.EvaluateManyResponse:
    """The decisions, up to the last that is told."""
    response, last = pb.EvaluateManyResponse(), _LAST.get(semantic)
    for result in results:
        item = _item(result)
        response.evaluations.add_struct().update(item)
        if item["decision"] is last:
            break
    return response


def _item(result: Answer | TenantryError) -> dict[str, Any]:
    if isinstance(result, TenantryError):
        return {"decision": False, "context": {"error": errors.body(result)}}
    context = {"context": {"revision": result.revision}} if result.revision else {}
    return {"decision": result.allowed, **context}


def _context(answer: Answer) -> Struct | None:
    return struct({"revision": answer.revision}) if answer.revision else None


def _attempt(request: pb.EvaluateRequest) -> Question | TenantryError:
    try:
        return question(request)
    except InvalidRequest as refusal:
        return refusal


def _with_defaults(request: pb.EvaluateManyRequest, own: pb.EvaluateRequest) -> pb.EvaluateRequest:
    """The evaluation with what all have in common. What it says of its own replaces that as a whole, but for what is required
    and left out.
    """
    whole = pb.EvaluateRequest()
    whole.CopyFrom(own)
    for part in ("subject", "action", "resource", "context"):
        if request.HasField(part) and not own.HasField(part):
            getattr(whole, part).CopyFrom(getattr(request, part))
    for part, name in _REQUIRED:
        if not getattr(getattr(whole, part), name) and (common := getattr(getattr(request, part), name)):
            setattr(getattr(whole, part), name, common)
    return whole


def _organization_of(resource: pb.Resource) -> str:
    if resource.type == _ORGANIZATION:
        return resource.id
    fields = resource.properties.fields
    if "organization_id" not in fields or not fields["organization_id"].string_value:
        raise InvalidRequest.of("resource.properties.organization_id", "must name the organization", "ORGANIZATION_ID")
    return fields["organization_id"].string_value


def _permission(request: pb.EvaluateRequest) -> str:
    """The permission: the action's own name, or the resource's type with it."""
    name, kind = request.action.name, request.resource.type
    if ":" not in name:
        return f"{kind}:{name}"
    if kind not in (_ORGANIZATION, name.partition(":")[0]):
        raise InvalidRequest.of("action.name", f"must be a permission of {kind}, the type of the resource", "ACTION_NAME")
    return name


def _revision(context: Struct) -> int:
    if "at_least_revision" not in context.fields:
        return 0
    value = context.fields["at_least_revision"]
    number = value.number_value
    if not value.HasField("number_value") or not number.is_integer() or not 0 <= number <= _HIGHEST:
        raise InvalidRequest.of("context.at_least_revision", "must be a revision", "REVISION")
    return int(number)
