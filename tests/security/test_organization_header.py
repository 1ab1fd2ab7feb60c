"""A header that names the organization: it alone does, nobody gets out of the organization that their token is bound to, and
who says two things says nothing. Generated for every method of a dialect that has such a header.
"""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from support.descriptors import header_of, is_change, is_scoped, label, methods
from support.rpc import Client, Refused
from support.stage import KEY, Stage, outcome
from support.world import World

from tenantry_server.domain import call as calls

NAMED = [method for method in methods() if header_of(method)]


@pytest.fixture
def stage(world: World) -> Stage:
    """An organization, and its owner's keys."""
    return Stage(world)


def _client(stage: Stage, method: MethodDescriptor, token: str, *named: str) -> Client:
    """A client that sends the header so often."""
    metadata = tuple((header_of(method), organization_id) for organization_id in named)
    return Client(stage.world.deployment.channel, token, metadata=metadata)


def _body(stage: Stage, method: MethodDescriptor, organization_id: str = "") -> bytes:
    """A good request, whose body names an organization or none."""
    request = stage.request(method)
    request.organization_id = organization_id
    return bytes(request.SerializeToString())


def test_there_are_such_methods() -> None:
    assert len(NAMED) >= 5


@pytest.mark.parametrize("method", NAMED, ids=label)
@pytest.mark.parametrize("times", [0, 2])
def test_without_the_header_or_with_two_it_is_asked_for_whatever_the_body_says(
    stage: Stage, method: MethodDescriptor, times: int
) -> None:
    here, header = stage.organization.id, header_of(method)
    before = stage.world.changes()
    for body in (_body(stage, method), _body(stage, method, here)):
        refusal = outcome(_client(stage, method, stage.owner.token, *[here] * times), method, body)
        assert isinstance(refusal, Refused)
        assert refusal.seen == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": header})
        assert refusal.violations == {header: "ORGANIZATION_HEADER"}
    assert stage.world.changes() == before


@pytest.mark.parametrize("method", NAMED, ids=label)
def test_the_header_counts_and_not_the_body(stage: Stage, method: MethodDescriptor) -> None:
    client = _client(stage, method, stage.owner.token, stage.organization.id)
    with stage.world.unchanged(stage.elsewhere):
        assert not isinstance(outcome(client, method, _body(stage, method, stage.elsewhere.id)), Refused)


@pytest.mark.parametrize("method", NAMED, ids=label)
@pytest.mark.parametrize("named", ["nothing", "another", "somebody else's", "no id"])
def test_a_bound_token_means_its_own_organization_whatever_the_header_says(
    stage: Stage, method: MethodDescriptor, named: str
) -> None:
    another = stage.world.organization(stage.owner, "Another")
    said: dict[str, list[str]] = {
        "nothing": [],
        "another": [another.id],
        "somebody else's": [stage.elsewhere.id],
        "no id": ["?"],
    }
    token = stage.world.token(stage.owner, organization_id=stage.organization.id)
    revision = stage.world.revision(stage.organization.id)
    with stage.world.unchanged(another, stage.elsewhere):
        answer = outcome(_client(stage, method, token, *said[named]), method, _body(stage, method))
    assert not isinstance(answer, Refused), answer
    assert stage.world.revision(stage.organization.id) == revision + is_change(method)


@pytest.mark.parametrize("method", [method for method in NAMED if not is_scoped(method)], ids=label)
def test_a_token_of_the_organization_stands_for_no_person_and_gets_none_of_their_keys(
    stage: Stage, method: MethodDescriptor
) -> None:
    client = _client(stage, method, stage.api_token.secret, stage.organization.id)
    refusal: Any = outcome(client, method, _body(stage, method))
    assert refusal.seen == (
        grpc.StatusCode.PERMISSION_DENIED,
        "PRINCIPAL_KIND_NOT_ALLOWED",
        {"principal_kind": "organization"},
    )


def test_the_same_idempotency_key_is_another_request_for_another_organization(stage: Stage) -> None:
    another = stage.world.organization(stage.owner, "Another")
    (method,) = [method for method in NAMED if method.name == "CreateApiKey"]
    body = _body(stage, method)

    def make(organization_id: str) -> Any:
        metadata = (("idempotency-key", "once"), (header_of(method), organization_id))
        return outcome(Client(stage.world.deployment.channel, stage.owner.token, metadata=metadata), method, body)

    first, other = make(stage.organization.id), make(another.id)
    assert first.value
    assert other.seen == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": "once"})


def test_the_same_name_is_another_key_in_another_organization(stage: Stage) -> None:
    another = stage.world.organization(stage.owner, "Another")
    provision = stage.world.services.api_tokens.provision
    provision(calls.operator("test"), user_id=stage.owner.id, organization_id=another.id, name=KEY)
    (method,) = [method for method in NAMED if method.name == "DeleteApiKey"]
    with stage.world.unchanged(stage.organization):
        outcome(_client(stage, method, stage.owner.token, another.id), method, _body(stage, method))
    (kept,) = [method for method in NAMED if method.name == "GetApiKey"]
    assert outcome(_client(stage, kept, stage.owner.token, stage.organization.id), kept, _body(stage, kept)).name == KEY
    gone: Any = outcome(_client(stage, kept, stage.owner.token, another.id), kept, _body(stage, kept))
    assert gone.seen == (grpc.StatusCode.NOT_FOUND, "API_TOKEN_NOT_FOUND", {"api_token_id": KEY})
