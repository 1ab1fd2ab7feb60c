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

from .descriptors import CONTROLS, access_of, fields_of, is_change, reference_of, rules_of
from .world import fresh


class UnknownShape(Exception):
    """A field of a request of which it is not known what to put there."""


@dataclass(frozen=True, kw_only=True)
class Objects:
    """What requests name: an organization, one object of it of every kind, and what belongs to nobody's organization."""

    organization_id: str
    role_id: str
    member_id: str
    invitation_id: str
    api_token_id: str  # of a token that the organization owns
    stranger_id: str  # a user who is no member
    own_invitation_id: str  # an invitation to the caller
    own_token_id: str  # a token of the caller
    key_name: str  # what tokens of the caller and of the member, bound to the organization, are both called
    user_id: str  # somebody whom operators may change and delete: the only owner of an organization
    user_email: str
    left_id: str  # that organization
    deleted_user_id: str  # somebody who is deleted already
    platform_token_id: str
    region_id: str  # a custom region of the organization, with all services
    region_key: str  # of a service of it
    platform_region_id: str
    lease_id: str  # of something that is reserved
    resource_id: str  # a sandbox of which a committed lease tells
    resource_token: str  # by which it says who it is

    def of_kind(self, kind: int) -> str:
        """The object that a reference of this kind may name."""
        known: dict[int, str] = {
            policy_pb2.REFERENCE_ROLE: self.role_id,
            policy_pb2.REFERENCE_MEMBER: self.member_id,
            policy_pb2.REFERENCE_INVITATION: self.invitation_id,
            policy_pb2.REFERENCE_API_TOKEN: self.api_token_id,
            policy_pb2.REFERENCE_REGION: self.region_id,
            policy_pb2.REFERENCE_LEASE: self.lease_id,
        }
        return known[kind]


# A string that keeps a rule; object ids are told apart by their names.
_STRINGS: tuple[tuple[Any, Callable[[], str]], ...] = (
    (rules_pb2.display_name, lambda: fresh("Sample ")),
    (rules_pb2.safe_text, lambda: "A sample."),
    (rules_pb2.email_address, lambda: f"{fresh('sample')}@example.com"),
    (rules_pb2.region_id, lambda: "us"),
    (rules_pb2.web_address, lambda: "https://otel.example"),
    (rules_pb2.region_id_or_none, lambda: "us"),
    (rules_pb2.platform_region_id, lambda: fresh("region")),
    (rules_pb2.region_name, lambda: fresh("Region")),
    (rules_pb2.service_url, lambda: "https://sample.example"),
    (rules_pb2.metric_name, lambda: "cpu"),
    (rules_pb2.resource_class, lambda: "container"),
    (rules_pb2.resource_id, lambda: fresh("sandbox")),
    (rules_pb2.resource_token, lambda: fresh("resource-token-")),
)
# What a caller of each level may be granted and grant.
_PERMISSION = {policy_pb2.ACCESS_LEVEL_PLATFORM: "user:read"}
# Names of things that exist, by field, in a request that reads or ends one of them.
_KNOWN: dict[str, Callable[[Objects], str]] = {
    "name": lambda objects: objects.key_name,
    "email": lambda objects: objects.user_email,
}
_ENDING_VERBS = ("Delete", "Revoke")
_RESOURCE: dict[str, Callable[[Objects], str]] = {
    "resource_type": lambda objects: "sandbox",
    "resource_id": lambda objects: objects.resource_id,
}
# Fields of which neither type nor name says enough.
_SPECIAL: dict[str, Callable[[Objects], str]] = {
    "tenantry.v1.DeleteUserRequest.Successor.organization_id": lambda objects: objects.left_id,
    "tenantry.v1.DeleteUserRequest.Successor.user_id": lambda objects: objects.stranger_id,
    "tenantry.v1.EraseUserRequest.user_id": lambda objects: objects.deleted_user_id,
    "tenantry.rest.daytona.v1.DeleteMemberApiKeyRequest.user_id": lambda objects: objects.member_id,
    "tenantry.rest.dotenv.v1.AddMemberRequest.role": lambda objects: "developer",
    "tenantry.rest.authzen.v1.Subject.type": lambda objects: "caller",
    "tenantry.rest.authzen.v1.Subject.id": lambda objects: "caller",
    "tenantry.rest.authzen.v1.Resource.type": lambda objects: "organization",
    "tenantry.rest.authzen.v1.Resource.id": lambda objects: objects.organization_id,
    "tenantry.rest.authzen.v1.Action.name": lambda objects: "sandbox:read",
    **{
        f"tenantry.{package}.CreateRegionQuotaRequest.{field}": lambda objects: "linux-vm"
        for package, field in (("v1", "resource_class"), ("rest.daytona.v1", "sandbox_class"))
    },
    **{
        f"tenantry.v1.{name}ByResourceRequest.{field}": find
        for name in ("FindOrganization", "FindRegionQuota")
        for field, find in _RESOURCE.items()
    },
    "tenantry.v1.FindRegionByKeyRequest.key": lambda objects: objects.region_key,
    "tenantry.v1.UpdatePlatformRegionRequest.platform_region_id": lambda objects: objects.platform_region_id,
    "tenantry.v1.DeletePlatformRegionRequest.platform_region_id": lambda objects: objects.platform_region_id,
    **{
        f"tenantry.v1.{name}Request.{field}": find
        for name in ("ListLeases", "FindOtelConfigByResourceToken")
        for field, find in _RESOURCE.items()
    },
    "tenantry.v1.FindOtelConfigByResourceTokenRequest.resource_token": lambda objects: objects.resource_token,
    "tenantry.rest.daytona.v1.GetOtelConfigBySandboxAuthTokenRequest.auth_token": lambda objects: objects.resource_token,
    "tenantry.v1.ReserveRequest.gpu_type": lambda objects: "H100",
    "tenantry.v1.AllowedGpuTypesChange.gpu_types": lambda objects: "H100",
    "tenantry.v1.UpdateOrganizationQuotasRequest.cleared_metrics": lambda objects: "volume",
    "tenantry.v1.CreateRegionQuotaRequest.cleared_metrics": lambda objects: "max-cpu-per-gpu-sandbox",
    "tenantry.v1.UpdateRegionQuotaRequest.cleared_metrics": lambda objects: "max-cpu-per-gpu-sandbox",
}
# Large numbers.
_AMOUNTS = {"tenantry.v1.UpdateOrganizationLimitsRequest.api_calls_per_month": 1_000_000}
# Mappings from text to text.
_MAPS = {"headers": {"api-key": "sample"}}
# Plain messages that a request is good without.
_OPTIONAL = {
    "google.protobuf.Timestamp",
    "google.protobuf.Value",
    "tenantry.v1.Subject",
    "envoy.service.auth.v3.AttributeContext",
}


def build(method: MethodDescriptor, objects: Objects, *, validate_only: bool = False, request_id: str = "") -> Any:
    """A request that is good, as far as its declarations say."""
    if method.client_streaming or method.server_streaming:
        raise UnknownShape(f"{method.full_name} streams")
    request = _Builder(method, objects).message(method.input_type)
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


class _Builder:
    """Fills messages for a method."""

    def __init__(self, method: MethodDescriptor, objects: Objects) -> None:
        self._method = method
        self._objects = objects

    def message(self, descriptor: Descriptor) -> Message:
        """A message with everything in it that there is to say."""
        fields: Mapping[str, Any] = {
            field.name: _MAPS.get(field.name) or ([self._value(field)] if field.is_repeated else self._value(field))
            for field in descriptor.fields
            if not _is_left_out(field)
        }
        return message_factory.GetMessageClass(descriptor)(**fields)

    def _value(self, field: FieldDescriptor) -> Any:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            raise UnknownShape(field.full_name)
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._string(field)
        if field.type == FieldDescriptor.TYPE_ENUM and field.enum_type is not None:
            declared = rules_of(field)
            allowed = list(getattr(declared.enum, "in")) if declared is not None else []
            return allowed[-1] if allowed else field.enum_type.values[-1].number
        if field.type == FieldDescriptor.TYPE_BOOL:
            return True
        if field.type == FieldDescriptor.TYPE_INT32 or _is_quantity(field):
            return 1
        if field.full_name in _AMOUNTS:
            return _AMOUNTS[field.full_name]
        name = field.message_type.full_name if field.message_type is not None else ""
        if name == "google.protobuf.Struct":
            return {"switch": True}
        if name == "google.protobuf.Value":
            return {"string_value": "https://sample.example"} if field.name.endswith("_url") else {"number_value": 1}
        if name == "google.protobuf.Duration":
            return {"seconds": 60}
        if field.message_type is not None and name.startswith("tenantry."):
            return self.message(field.message_type)
        raise UnknownShape(field.full_name)

    def _string(self, field: FieldDescriptor) -> str:
        if special := _SPECIAL.get(field.full_name):
            return special(self._objects)
        if field.full_name == "tenantry.v1.NewLimit.metric":
            return "snapshot" if self._method.name == "UpdateOrganizationQuotas" else "cpu"
        if kind := reference_of(field):
            return self._objects.of_kind(kind)
        if named := self._ids().get(field.name):
            return named
        declared = rules_of(field)
        if declared is not None:
            rules = declared.repeated.items.string if field.is_repeated else declared.string
            if choices := getattr(rules, "in"):
                return str(choices[-1])
            if field.name in _KNOWN and self._is_about_what_exists():
                return _KNOWN[field.name](self._objects)
            if rules.Extensions[rules_pb2.permission_name]:
                return _PERMISSION.get(access_of(self._method).level, "sandbox:read")
            for rule, make in _STRINGS:
                if rules.Extensions[rule]:
                    return make()
            if rules.min_len:
                return fresh("sample")
        raise UnknownShape(field.full_name)

    def _ids(self) -> dict[str, str]:
        """What ids name that are no reference into an organization: by who calls, the caller's or the operator's."""
        objects = self._objects
        found = {"organization_id": objects.organization_id, "invitation_id": objects.own_invitation_id}
        # Of dialects, whose fields say no rules.
        found |= {"region_id": "us", "sandbox_class": "container", "sandbox_id": objects.resource_id}
        if access_of(self._method).level == policy_pb2.ACCESS_LEVEL_PLATFORM:
            return {**found, "user_id": objects.user_id, "api_token_id": objects.platform_token_id}
        return {**found, "user_id": objects.stranger_id, "api_token_id": objects.own_token_id}

    def _is_about_what_exists(self) -> bool:
        return not is_change(self._method) or self._method.name.startswith(_ENDING_VERBS)


def _is_quantity(field: FieldDescriptor) -> bool:
    declared = rules_of(field)
    return declared is not None and bool(declared.int64.Extensions[rules_pb2.quantity])


def _is_left_out(field: FieldDescriptor) -> bool:
    """Controls, plain switches, instants, and `unrestricted`, which stands for permissions: a request is good without them."""
    is_switch = field.type == FieldDescriptor.TYPE_BOOL and not field.has_presence
    is_optional = field.message_type is not None and field.message_type.full_name in _OPTIONAL
    # A new quota has totals, and a region keys only of services that it has.
    is_optional = is_optional and not (field.name.startswith("total_") or field.name.endswith("_url"))
    return field.name in CONTROLS or field.name == "unrestricted" or is_switch or is_optional
