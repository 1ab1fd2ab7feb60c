"""What the protos say, for tests that are generated from them. Reads the descriptors itself, not through the server."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import grpc
from buf.validate import validate_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from tenantry.policy.v1 import policy_pb2
from tenantry_server import bootstrap

CORE = "tenantry.v1."
_RULES: Any = validate_pb2.DESCRIPTOR.extensions_by_name["field"]
# Methods by these verbs read; every other one changes something.
READING_VERBS = ("Get", "List", "Count", "Find", "Export", "Check", "BatchCheck")
# Fields of an answer that hold what is shown once.
_SECRETS = frozenset({"secret", "key", "proxy_api_key", "api_key", "password"})
# Fields of a request that say how, and not what.
CONTROLS = frozenset(
    {"request_id", "validate_only", "etag", "update_mask", "page_size", "page_token", "at_least_revision"},
)


@cache
def methods() -> tuple[MethodDescriptor, ...]:
    """Every method of every service that the server registers, infrastructure aside."""
    pool = descriptor_pool.Default()
    return tuple(method for name in bootstrap.SERVICE_NAMES for method in pool.FindServiceByName(name).methods)


def core_methods() -> tuple[MethodDescriptor, ...]:
    """Those of the core API."""
    return tuple(method for method in methods() if is_core(method))


def label(method: MethodDescriptor) -> str:
    """What a failing test calls the method."""
    return str(method.full_name.removeprefix("tenantry.").replace(".v1", "").removeprefix("v1."))


def path(method: MethodDescriptor) -> str:
    """The method's name on the wire."""
    return f"/{method.containing_service.full_name}/{method.name}"


def is_core(method: MethodDescriptor) -> bool:
    """Whether it is a method of the core API rather than of a dialect."""
    return bool(method.full_name.startswith(CORE))


def core_of(method: MethodDescriptor) -> MethodDescriptor:
    """The core method it speaks for, or is."""
    options = method.GetOptions()
    if not options.HasExtension(policy_pb2.rest):
        return method
    return descriptor_pool.Default().FindMethodByName(options.Extensions[policy_pb2.rest].of)


def access_of(method: MethodDescriptor) -> policy_pb2.Access:
    """The declared access, that of the core method for one of a dialect."""
    options = core_of(method).GetOptions()
    assert options.HasExtension(policy_pb2.access), f"{method.full_name} declares no access"
    return options.Extensions[policy_pb2.access]


def header_of(method: MethodDescriptor) -> str:
    """The header that names the organization of a dialect's method, if one does."""
    return method.GetOptions().Extensions[policy_pb2.rest].organization_header


def is_scoped(method: MethodDescriptor) -> bool:
    """Whether the method is about one organization."""
    return access_of(method).level in (policy_pb2.ACCESS_LEVEL_UNSPECIFIED, policy_pb2.ACCESS_LEVEL_SCOPED)


def is_metered(method: MethodDescriptor) -> bool:
    """Whether the method changes what an organization uses, of which leases tell, and no audit event does."""
    return core_of(method).name in ("Reserve", "Commit", "Release", "ReportUsage")


def is_platform(method: MethodDescriptor) -> bool:
    """Whether the method is one of operators and internal services."""
    return access_of(method).level == policy_pb2.ACCESS_LEVEL_PLATFORM


def names_an_organization(method: MethodDescriptor) -> bool:
    """Whether a caller who is judged as such can still name an organization: in a field, in a header, or by a token of theirs
    that is bound to it.
    """
    is_free = access_of(method).level == policy_pb2.ACCESS_LEVEL_AUTHENTICATED
    return is_free and not {"organization_id", "api_token_id"}.isdisjoint(method.input_type.fields_by_name)


def shows_a_secret(method: MethodDescriptor) -> bool:
    """Whether the answer has the secret of a token, or the key of a region, that was just made or rotated."""
    answers = (core_of(method).output_type, method.output_type)
    return any(not _SECRETS.isdisjoint(answer.fields_by_name) for answer in answers)


def denies_by_answer(method: MethodDescriptor) -> bool:
    """Whether the method answers with a denial, or with nothing, where others refuse."""
    return core_of(method).containing_service.name == "AuthorizationService" and not is_scoped(method)


def is_change(method: MethodDescriptor) -> bool:
    """Whether the method changes something, by its verb."""
    return not core_of(method).name.startswith(READING_VERBS)


def reference_of(field: FieldDescriptor) -> int:
    """Which kind of object the field names; 0 for none."""
    return int(field.GetOptions().Extensions[policy_pb2.reference])


def rules_of(field: FieldDescriptor) -> Any:
    """The field's validation rules, if it has any."""
    options = field.GetOptions()
    return options.Extensions[_RULES] if options.HasExtension(_RULES) else None


def fields_of(message: Descriptor, before: tuple[FieldDescriptor, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Every field by the path that leads to it, through the project's own nested messages."""
    for field in message.fields:
        way = (*before, field)
        yield way
        of = field.message_type
        if of is not None and of.full_name.startswith("tenantry.") and not of.GetOptions().map_entry:
            yield from fields_of(of, way)


def registered_paths(server: bootstrap.Server) -> set[str]:
    """The methods that a server really answers, as grpc knows them."""
    state = server._server._state  # type: ignore[attr-defined]  # there is no public way to ask
    generic = {name for handler in state.generic_handlers for name in getattr(handler, "_method_handlers", {})}
    return {name.decode() if isinstance(name, bytes) else name for name in (*state.registered_method_handlers, *generic)}


def code_named(number: int) -> grpc.StatusCode:
    """A status code by its number."""
    return next(code for code in grpc.StatusCode if code.value[0] == number)
