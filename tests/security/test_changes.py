"""What becomes of changes, the same in every RPC: of etags, dry runs and repetitions, and of secrets in their answers.

Generated from the descriptors: a new RPC is held to all of it without being named.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from support.descriptors import (
    code_named,
    core_methods,
    is_change,
    is_core,
    is_platform,
    is_scoped,
    label,
    methods,
    shows_a_secret,
)
from support.rpc import Client, Refused, read_details
from support.stage import Stage, events_of, outcome, state_for
from support.world import World, fresh

from tenantry_server.domain.tokens import SCANNER, digest

CHANGES = [method for method in core_methods() if is_change(method)]
READS = [method for method in core_methods() if not is_change(method)]
WITH_ETAG = [method for method in CHANGES if "etag" in method.input_type.fields_by_name]
# Changes of several things, each answered for itself and remembered under a request id of its own.
ITEMWISE = [method for method in CHANGES if "results" in method.output_type.fields_by_name]
DIALECT_CHANGES = [method for method in methods() if is_change(method) and not is_core(method)]


@pytest.fixture
def stages(world: World) -> Any:
    """Makes the stage on which a method can succeed."""
    return lambda method: Stage(world, state_for(method))


@pytest.mark.parametrize("method", WITH_ETAG, ids=label)
def test_a_stale_etag_is_refused_and_the_present_one_is_not(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    request = stage.request(method, validate_only=True)
    request.etag = stage.etag_for(method)
    assert not isinstance(outcome(stage.actor(method), method, request), Refused)
    before = stage.world.changes()
    for validate_only in (True, False):
        stale = stage.request(method, validate_only=validate_only)
        stale.etag = "r0"
        refusal = outcome(stage.actor(method), method, stale)
        assert isinstance(refusal, Refused)
        assert refusal.seen == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": "r0"})
    assert stage.world.changes() == before


@pytest.mark.parametrize("method", CHANGES, ids=label)
def test_a_dry_run_is_answered_and_changes_nothing(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    before = stage.world.changes()
    request = stage.request(method, validate_only=True, request_id=fresh("dry"))
    tried = _answered(stage.actor(method), method, request)
    assert stage.world.changes() == before
    assert _secrets(tried) == []
    # It leaves nothing under the request id either: the real change still happens, in the organization that it is of.
    request.validate_only = False
    revision = stage.world.revision(stage.organization.id)
    made = _answered(stage.actor(method), method, request)
    assert type(tried) is type(made)
    assert stage.world.revision(stage.organization.id) == revision + 1 or not is_scoped(method)
    assert stage.world.changes() == before + events_of(method)


@pytest.mark.parametrize("method", CHANGES, ids=label)
def test_a_repetition_gets_the_first_answer_and_changes_nothing_more(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    before = stage.world.changes()
    request = stage.request(method, request_id=fresh("key"))
    first = _answered(stage.actor(method), method, request)
    again = _answered(stage.actor(method), method, request)
    assert _without_secret(method, first) == again
    assert stage.world.changes() == before + events_of(method)


@pytest.mark.parametrize("method", [method for method in CHANGES if method not in ITEMWISE], ids=label)
def test_a_request_id_is_good_for_one_request(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    key = fresh("key")
    _answered(stage.actor(method), method, stage.request(method, request_id=key))
    before = stage.world.changes()
    other, given = ("PlatformTokenService.CreatePlatformToken", {"unrestricted": True})
    if not is_platform(method):
        other, given = "OrganizationService.CreateOrganization", {}
    refusal = stage.actor(method).refusal(other, name="Something else", request_id=key, **given)
    assert refusal.seen == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": key})
    assert stage.world.changes() == before


@pytest.mark.parametrize("method", ITEMWISE, ids=label)
def test_the_request_id_of_a_batch_is_good_for_one_batch(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    key = fresh("key")
    _answered(stage.actor(method), method, stage.request(method, request_id=key))
    before = stage.world.changes()
    answer = stage.actor(method).send(method.full_name, stage.request(method, request_id=key))
    refusals = [read_details(Refused(code_named(result.error.code), ""), result.error) for result in answer.results]
    assert [refusal.reason for refusal in refusals] == ["REQUEST_ID_REUSED"]
    assert stage.world.changes() == before


@pytest.mark.parametrize("method", DIALECT_CHANGES, ids=label)
def test_a_dialects_idempotency_key_makes_a_change_happen_once(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    token = stage.operator_token if is_platform(method) else stage.owner.token
    client = Client(stage.world.deployment.channel, token, metadata=(("idempotency-key", fresh("key")),))
    before = stage.world.changes()
    request = stage.request(method)
    first, again = _answered(client, method, request), _answered(client, method, request)
    assert _without_secret(method, first) == again
    assert stage.world.changes() == before + 1


@pytest.mark.parametrize("method", READS, ids=label)
def test_a_read_is_answered_and_changes_nothing(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    before = stage.world.changes()
    answer = _answered(stage.actor(method), method, stage.request(method))
    assert _secrets(answer) == []
    assert stage.world.changes() == before


def _secrets(answer: Any) -> list[str]:
    """The fields of an answer that hold a secret; anywhere else than on top one must not be at all."""
    fields = {field.name: value for field, value in answer.ListFields() if isinstance(value, str)}
    found = [name for name, value in fields.items() if digest(value)]
    assert len(re.findall(SCANNER, str(answer))) == len(found)
    return found


def _without_secret(method: MethodDescriptor, answer: Any) -> Any:
    """The answer as a repetition has it: where something was made or rotated, without the secrets that it had."""
    found, rest = _secrets(answer), deepcopy(answer)
    assert bool(found) == shows_a_secret(method)
    for name in found:
        rest.ClearField(name)
    return rest


def _answered(client: Client, method: MethodDescriptor, request: Any) -> Any:
    """The answer; where items are answered for themselves, each of them must be good."""
    answer = client.send(method.full_name, request)
    for result in getattr(answer, "results", ()):
        assert result.WhichOneof("result") != "error", result
    return answer
