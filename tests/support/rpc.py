"""Calls by name: a client that knows every method from the descriptors, and refusals as values."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import google.rpc.error_details_pb2 as details_pb2
import google.rpc.status_pb2 as status_pb2
import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tenantry_server import bootstrap  # noqa: F401  loads every descriptor

from .descriptors import header_of


@dataclass
class Refused(Exception):
    """A refused call: its code, and what its details say."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: dict[str, str] = field(default_factory=dict)  # field -> rule
    details: list[Message] = field(default_factory=list)
    trailing: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code.name} {self.reason} {self.metadata} {self.violations}: {self.message}"

    @property
    def seen(self) -> tuple[grpc.StatusCode, str, dict[str, str]]:
        """What a test asserts: code, reason and metadata."""
        return self.code, self.reason, self.metadata


@cache
def method_of(name: str) -> MethodDescriptor:
    """The descriptor of a method: `RoleService.CreateRole`, or its full name for one of another package."""
    full = name if name.count(".") > 1 else f"tenantry.v1.{name}"
    return descriptor_pool.Default().FindMethodByName(full)


def request_of(name: str, /, **fields: Any) -> Message:
    """A request message of a method."""
    return message_factory.GetMessageClass(method_of(name).input_type)(**fields)


class Client:
    """Calls methods with one credential, or none."""

    def __init__(self, channel: grpc.Channel, token: str = "", *, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._channel = channel
        self._metadata = (*metadata, *((("authorization", f"Bearer {token}"),) if token else ()))

    def __call__(self, name: str, /, **fields: Any) -> Any:
        """The answer of a method. Raises Refused."""
        return self.send(name, request_of(name, **fields))

    def send(self, name: str, request: Message | bytes, *, timeout: float = 20) -> Any:
        """The answer to a message, or to raw bytes. Raises Refused.

        Where a header names the organization, the request's own travels there.
        """
        method = method_of(name)
        request, header = with_header(method, request)
        answer_class = message_factory.GetMessageClass(method.output_type)
        call: Any = self._channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda sent: sent if isinstance(sent, bytes) else sent.SerializeToString(),
            response_deserializer=answer_class.FromString,
        )
        try:
            return call(request, metadata=(*self._metadata, *header), timeout=timeout)
        except grpc.RpcError as error:
            raise refused(error) from None

    def refusal(self, name: str, /, **fields: Any) -> Refused:
        """How a method refuses; fails the test when it does not."""
        try:
            answer = self(name, **fields)
        except Refused as error:
            return error
        raise AssertionError(f"{name} was answered: {answer}")


def with_header(method: MethodDescriptor, request: Any) -> tuple[Any, tuple[tuple[str, str], ...]]:
    """A request and, where one names the organization, the header in which it travels."""
    header = header_of(method)
    if not header or isinstance(request, bytes) or not request.organization_id:
        return request, ()
    named, request = request.organization_id, deepcopy(request)
    request.ClearField("organization_id")
    return request, ((header, named),)


def refused(error: Any) -> Refused:
    """A grpc error with its details read."""
    trailing = dict(error.trailing_metadata() or ())
    result = Refused(error.code(), error.details(), trailing=trailing)
    status = status_pb2.Status.FromString(trailing.get("grpc-status-details-bin", b""))
    return read_details(result, status)


def read_details(result: Refused, status: status_pb2.Status) -> Refused:
    """Adds what the details of a status say."""
    for packed in status.details:
        for kind in (
            details_pb2.ErrorInfo,
            details_pb2.BadRequest,
            details_pb2.ResourceInfo,
            details_pb2.PreconditionFailure,
            details_pb2.QuotaFailure,
            details_pb2.RetryInfo,
        ):
            detail = kind()
            if packed.Unpack(detail):
                result.details.append(detail)
                if isinstance(detail, details_pb2.ErrorInfo):
                    assert detail.domain == "tenantry"
                    result.reason, result.metadata = detail.reason, dict(detail.metadata)
                if isinstance(detail, details_pb2.BadRequest):
                    result.violations = {v.field: v.reason for v in detail.field_violations}
    return result
