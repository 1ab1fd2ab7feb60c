"""What render.py refuses to render, and Envoy as a child process."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import methods
import pytest
import render
import replies
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, empty_pb2

from tenantry.policy.v1 import policy_pb2
from tenantry_server.gateway import Gateway, GatewayError

# -- what render.py refuses --------------------------------------------------------------------------------------------


def method(name: str, *rules: http_pb2.HttpRule, **changes: Any) -> descriptor_pb2.MethodDescriptorProto:
    """A method of a dialect; `rest` None leaves the option out."""
    rest, output = changes.pop("rest", {"of": "tenantry.v1.S.M"}), changes.pop("output", ".tenantry.rest.daytona.v1.Wrapper")
    changes = {"input_type": ".tenantry.rest.daytona.v1.Request", **changes}
    made = descriptor_pb2.MethodDescriptorProto(name=name, output_type=output, **changes)
    for rule in rules:
        made.options.Extensions[annotations_pb2.http].MergeFrom(rule)
    if rest is not None:
        made.options.Extensions[policy_pb2.rest].CopyFrom(policy_pb2.Rest(**rest))
    return made


def descriptor_set(*methods: descriptor_pb2.MethodDescriptorProto, package: str = "") -> descriptor_pb2.FileDescriptorSet:
    """A set with one service of these methods."""
    messages = descriptor_pb2.FileDescriptorProto(name="m.proto", package="tenantry.rest.daytona.v1")
    for name, fields in {"Request": ["organization_id", "role_id"], "Wrapper": ["items"], "Pair": ["items", "total"]}.items():
        message = messages.message_type.add(name=name)
        message.field.extend(descriptor_pb2.FieldDescriptorProto(name=field, json_name=field) for field in fields)
    file = descriptor_pb2.FileDescriptorProto(name="s.proto", package=package or "tenantry.rest.daytona.v1")
    file.service.add(name="S").method.extend(methods)
    empty = descriptor_pb2.FileDescriptorProto()
    empty_pb2.DESCRIPTOR.CopyToProto(empty)
    return descriptor_pb2.FileDescriptorSet(file=[empty, messages, file])


def get(path: str) -> http_pb2.HttpRule:
    return http_pb2.HttpRule(get=path)


WRAPPER = ".tenantry.rest.daytona.v1.Wrapper"
PAIR, EMPTY = ".tenantry.rest.daytona.v1.Pair", ".google.protobuf.Empty"
ROLE = "/api/organizations/{organization_id}/roles/{role_id}"
REFUSED = {
    "two methods on one path": (
        descriptor_set(method("A", get("/api/x/{role_id}")), method("B", get("/api/x/{organization_id}"))),
        "GET /api/x/{organization_id} is both /tenantry.rest.daytona.v1.S/A and /tenantry.rest.daytona.v1.S/B",
    ),
    "a path variable that is no field": (descriptor_set(method("A", get("/api/{nobody}"))), "no fields of its request: nobody"),
    "a method without path": (descriptor_set(method("A")), "no google.api.http rule"),
    "a method without rest option": (descriptor_set(method("A", get(ROLE), rest=None)), "no (tenantry.policy.v1.rest) option"),
    "a path outside": (descriptor_set(method("A", get("/v2/x"))), "/v2/x, which is not one of daytona's"),
    "a path of another dialect": (descriptor_set(method("A", get("/api/v1/x"))), "/api/v1/x, which is not one of daytona's"),
    "an unwrapped field that is none": (descriptor_set(method("A", get(ROLE), rest={"unwrap": "rows"})), "unwraps rows"),
    "an unwrapped field among others": (
        descriptor_set(method("A", get(ROLE), rest={"unwrap": "items"}, output=PAIR)),
        "unwraps items",
    ),
    "an unwrapped field of nothing": (descriptor_set(method("A", get(ROLE), rest={"unwrap": "a"}, output=EMPTY)), "unwraps a"),
    "204 with a body": (descriptor_set(method("A", get(ROLE), rest={"status": 204})), "is not google.protobuf.Empty"),
    "a status that is no success": (descriptor_set(method("A", get(ROLE), rest={"status": 404})), "status 404"),
    "a stream": (descriptor_set(method("A", get(ROLE), server_streaming=True)), "is a stream"),
    "a query parameter hidden by a path variable": (
        descriptor_set(method("A", get(ROLE)), method("B", get("/api/organizations/{organization_id}/roles"))),
        "takes from the query what elsewhere is a path variable: role_id",
    ),
    "a header for a field that is none": (
        descriptor_set(method("A", get("/api/x"), rest={"organization_header": "x-o"}, input_type=WRAPPER)),
        "has an organization_header, but no organization_id",
    ),
    "a field from a header that a query could set": (
        descriptor_set(method("A", get("/api/x"), rest={"organization_header": "x-o"})),
        "has a field from a header that a query could set too",
    ),
    "a service of nobody": (descriptor_set(method("A", get(ROLE)), package="tenantry.rest.other.v1"), "is of no dialect"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_render_refuses(reason: str) -> None:
    descriptors, complaint = REFUSED[reason]
    with pytest.raises(methods.Refused) as refusal:
        render.render(descriptors)
    assert complaint in str(refusal.value)


def test_render_takes_what_differs_from_the_refused_only_there() -> None:
    methods = [
        method("A", get(ROLE), rest={"unwrap": "items", "status": 200}),
        method("D", get("/api/things/{role_id}"), rest={"organization_header": "x-o"}),
        method("B", http_pb2.HttpRule(delete=ROLE), rest={"status": 204}, output=EMPTY),
        method("C", http_pb2.HttpRule(post="/api/organizations/{organization_id}/roles", body="*"), output=PAIR),
    ]
    rendered = render.render(descriptor_set(*methods))
    assert "/tenantry.rest.daytona.v1.S/C" in rendered
    # Without AuthZEN's methods there is no metadata of it.
    assert replies.DISCOVERY not in rendered


# -- Envoy as a child --------------------------------------------------------------------------------------------------


@pytest.fixture
def short_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made, by a path short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def test_a_long_path_to_temporary_files_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with Gateway(http_address="127.0.0.1:0", grpc_address="127.0.0.1:1", access_log="/dev/null") as gateway:
        assert gateway.poll() is None


def test_the_gateway_starts_on_a_free_port_and_leaves_nothing_behind(short_folder: Path) -> None:
    with Gateway(http_address="127.0.0.1:0", grpc_address="127.0.0.1:1", access_log="/dev/null") as gateway:
        host, port = gateway.address.split(":")
        socket.create_connection((host, int(port))).close()
        assert gateway.poll() is None
        (folder,) = short_folder.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert gateway.poll() is not None
    assert list(short_folder.iterdir()) == []


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(GatewayError, match=rf"cannot listen on {address}: address already in use"):
            Gateway(http_address=address, grpc_address="127.0.0.1:1").__enter__()
