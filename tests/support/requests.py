"""Requests of any method, built from descriptors alone: a new RPC is covered without being named.

Fields are filled by what they are declared to be: the organization, a reference, or a value that keeps the field's rules. A
field of which nothing is known stops the test with UnknownShape: say here what a good value of it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from tenantry.policy.v1 import policy_pb2, rules_pb2

from .descriptors import CONTROLS, fields_of, reference_of, rules_of
from .world import fresh


class UnknownShape(Exception):
    """A field of a request of which it is not known what to put there."""


@dataclass(frozen=True)
class Objects:
    """What requests name: an organization, one object of it of every kind, and what belongs to nobody's organization."""

    organization_id: str
    role_id: str
    member_id: str
    invitation_id: str
    stranger_id: str  # a user who is no member
    own_invitation_id: str  # an invitation to the caller

    def of_kind(self, kind: int) -> str:
        """The object that a reference of this kind may name."""
        known: dict[int, str] = {
            policy_pb2.REFERENCE_ROLE: self.role_id,
            policy_pb2.REFERENCE_MEMBER: self.member_id,
            policy_pb2.REFERENCE_INVITATION: self.invitation_id,
        }
        return known[kind]


# A string that keeps a rule; object ids are told apart by their names.
_STRINGS: tuple[tuple[Any, Callable[[], str]], ...] = (
    (rules_pb2.display_name, lambda: "Sample"),
    (rules_pb2.safe_text, lambda: "A sample."),
    (rules_pb2.email_address, lambda: f"{fresh('sample')}@example.com"),
    (rules_pb2.permission_name, lambda: "sandbox:read"),
    (rules_pb2.region_id, lambda: "us"),
)
# dotenv's dialect names a role by its key.
_BY_NAME = {"role": "developer"}


def build(method: MethodDescriptor, objects: Objects, *, validate_only: bool = False, request_id: str = "") -> Any:
    """A request that is good, as far as its declarations say."""
    if method.client_streaming or method.server_streaming:
        raise UnknownShape(f"{method.full_name} streams")
    request = _message(method.input_type, objects)
    for name, value in (("validate_only", validate_only), ("request_id", request_id)):
        if name in method.input_type.fields_by_name:
            setattr(request, name, value)
    return request


def put(request: Message, way: Sequence[FieldDescriptor], value: str) -> None:
    """Puts a text into the field at the end of a way; into its only item where a list is on the way or at its end."""
    for field in way[:-1]:
        inner = getattr(request, field.name)
        request = inner[0] if field.is_repeated else inner
    last = way[-1]
    if last.is_repeated:
        getattr(request, last.name)[:] = [value]
    else:
        setattr(request, last.name, value)


def spelt(way: Sequence[FieldDescriptor]) -> str:
    """The way as violations spell it, without the index of a last list."""
    return ".".join(f"{field.name}[0]" if field.is_repeated else field.name for field in way).removesuffix("[0]")


def reference_ways(method: MethodDescriptor) -> list[tuple[FieldDescriptor, ...]]:
    """The ways to all fields of the method's request that name an object."""
    return [way for way in fields_of(method.input_type) if reference_of(way[-1])]


def _message(descriptor: Descriptor, objects: Objects) -> Message:
    fields: Mapping[str, Any] = {
        field.name: [_value(field, objects)] if field.is_repeated else _value(field, objects)
        for field in descriptor.fields
        if not _is_left_out(field)
    }
    return message_factory.GetMessageClass(descriptor)(**fields)


def _is_left_out(field: FieldDescriptor) -> bool:
    """Controls, plain switches and instants: a request is good without them."""
    is_switch = field.type == FieldDescriptor.TYPE_BOOL and not field.has_presence
    is_instant = field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp"
    return field.name in CONTROLS or is_switch or is_instant


def _value(field: FieldDescriptor, objects: Objects) -> Any:
    if field.name == "organization_id":
        return objects.organization_id
    if kind := reference_of(field):
        return objects.of_kind(kind)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string(field, objects)
    if field.type == FieldDescriptor.TYPE_ENUM and field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type == FieldDescriptor.TYPE_INT32:
        return 1
    if field.message_type is not None and field.message_type.full_name == "google.protobuf.Struct":
        return {"switch": True}
    if field.message_type is not None and field.message_type.full_name.startswith("tenantry."):
        return _message(field.message_type, objects)
    raise UnknownShape(field.full_name)


def _string(field: FieldDescriptor, objects: Objects) -> str:
    named = {"user_id": objects.stranger_id, "invitation_id": objects.own_invitation_id}
    if field.name in named:
        return named[field.name]
    declared = rules_of(field)
    if declared is not None:
        rules = declared.repeated.items.string if field.is_repeated else declared.string
        if choices := getattr(rules, "in"):
            return str(choices[-1])
        if field.name in _BY_NAME:
            return _BY_NAME[field.name]
        for rule, make in _STRINGS:
            if rules.Extensions[rule]:
                return make()
    raise UnknownShape(field.full_name)
