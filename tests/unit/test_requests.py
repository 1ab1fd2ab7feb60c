"""Requests that are built from descriptors: a new RPC is covered by itself, and one that cannot be built stops its tests."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from support.descriptors import label, methods
from support.requests import Objects, UnknownShape, build, put, reference_ways, spelt
from support.synthetic import BYTES, NUMBER, ORGANIZATION, SWITCH, TEXT, Field, Synthetic

from tenantry.policy.v1 import policy_pb2
from tenantry.policy.v1.policy_pb2 import Access

OBJECTS = Objects(**{field.name: field.name for field in fields(Objects)})
SCOPED, PLATFORM = Access(permissions=["role:read"]), Access(level=policy_pb2.ACCESS_LEVEL_PLATFORM)
OWN = Access(level=policy_pb2.ACCESS_LEVEL_AUTHENTICATED)


def made(*fields: Field, access: Access = SCOPED, **options: Any) -> Any:
    """A request of a synthetic method with these fields."""
    synthetic = Synthetic().method("Things", "Do", *fields, access=access, **options)
    (service,) = synthetic.names
    return build(synthetic.pool().FindServiceByName(service).methods[0], OBJECTS)


def test_a_method_that_nobody_named_gets_its_request() -> None:
    request = made(ORGANIZATION, ("user_id", TEXT, False), ("validate_only", SWITCH, False), ("request_id", TEXT, False))
    assert (request.organization_id, request.user_id, request.request_id) == ("organization_id", "stranger_id", "")


@pytest.mark.parametrize(
    ("access", "user", "token"), [(OWN, "stranger_id", "own_token_id"), (PLATFORM, "user_id", "platform_token_id")]
)
def test_what_an_id_names_goes_by_who_calls(access: Access, user: str, token: str) -> None:
    request = made(("user_id", TEXT, False), ("api_token_id", TEXT, False), access=access)
    assert (request.user_id, request.api_token_id) == (user, token)


@pytest.mark.parametrize(
    "field",
    [("text", TEXT, False), ("thing_id", TEXT, False), ("things", TEXT, True), ("count", NUMBER, False), ("raw", BYTES, False)],
    ids=lambda field: str(field[0]),
)
def test_a_field_of_which_nothing_is_known_stops_the_test(field: Field) -> None:
    with pytest.raises(UnknownShape, match=field[0]):
        made(ORGANIZATION, field)


def test_a_stream_stops_the_test() -> None:
    with pytest.raises(UnknownShape, match="streams"):
        made(ORGANIZATION, client_streaming=True)


@pytest.mark.parametrize("method", methods(), ids=label)
def test_an_id_is_put_where_the_way_leads(method: MethodDescriptor) -> None:
    for way in reference_ways(method):
        request = build(method, OBJECTS)
        put(request, way, "CANARY")
        assert str(request).count("CANARY") == 1, spelt(way)
