"""Services that exist for a test alone, described in protos built in memory."""

from __future__ import annotations

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from tenantry.policy.v1 import policy_pb2

_PACKAGE = "tenantry.synthetic"
_FIELD = descriptor_pb2.FieldDescriptorProto
TEXT, NUMBER, SWITCH, BYTES = _FIELD.TYPE_STRING, _FIELD.TYPE_INT64, _FIELD.TYPE_BOOL, _FIELD.TYPE_BYTES

Field = tuple[str, "descriptor_pb2.FieldDescriptorProto.Type.ValueType", bool]
ORGANIZATION: Field = ("organization_id", TEXT, False)
REQUEST_KEY: Field = ("request_id", TEXT, False)


class Synthetic:
    """A file with services; `pool` finds them once they are all there."""

    def __init__(self) -> None:
        self._file = descriptor_pb2.FileDescriptorProto(name="synthetic.proto", package=_PACKAGE, syntax="proto3")
        self._file.message_type.add(name="Answer")

    def method(
        self,
        service: str,
        name: str,
        *fields: Field,
        access: policy_pb2.Access | None = None,
        rest: policy_pb2.Rest | None = None,
        client_streaming: bool = False,
    ) -> Synthetic:
        """Adds a method with a request of these fields: name, type, and whether it is a list."""
        request = self._file.message_type.add(name=f"{service}{name}Request")
        for number, (field, kind, is_list) in enumerate(fields, 1):
            label = _FIELD.LABEL_REPEATED if is_list else _FIELD.LABEL_OPTIONAL
            request.field.add(name=field, number=number, type=kind, label=label)
        method = self._service(service).method.add(
            name=name,
            input_type=f".{_PACKAGE}.{request.name}",
            output_type=f".{_PACKAGE}.Answer",
            client_streaming=client_streaming,
        )
        if access is not None:
            method.options.Extensions[policy_pb2.access].CopyFrom(access)
        if rest is not None:
            method.options.Extensions[policy_pb2.rest].CopyFrom(rest)
        return self

    @property
    def names(self) -> list[str]:
        """The full names of its services."""
        return [f"{_PACKAGE}.{service.name}" for service in self._file.service]

    def pool(self) -> DescriptorPool:
        """A pool of its own that knows it."""
        pool = DescriptorPool()
        pool.Add(self._file)
        return pool

    def _service(self, name: str) -> descriptor_pb2.ServiceDescriptorProto:
        known = [service for service in self._file.service if service.name == name]
        return known[0] if known else self._file.service.add(name=name)
