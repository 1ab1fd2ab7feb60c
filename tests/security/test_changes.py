"""How changes are asked for, the same in every RPC: what requests declare, and what becomes of etags, dry runs and repetitions.

Generated from the descriptors: a new RPC is held to all of it without being named.
"""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from support.descriptors import (
    code_named,
    core_methods,
    fields_of,
    is_change,
    is_core,
    is_scoped,
    label,
    methods,
    rules_of,
)
from support.rpc import Client, Refused, read_details
from support.stage import Stage, outcome, state_for
from support.world import World, fresh

from tenantry_server.store.models import AuditEvent

CHANGES = [method for method in core_methods() if is_change(method)]
READS = [method for method in core_methods() if not is_change(method)]
WITH_ETAG = [method for method in CHANGES if "etag" in method.input_type.fields_by_name]
# Changes of several things, each answered for itself and remembered under a request id of its own.
ITEMWISE = [method for method in CHANGES if "results" in method.output_type.fields_by_name]
DIALECT_CHANGES = [method for method in methods() if is_change(method) and not is_core(method)]
# What needs no rule: every value of it is good, or the service checks the content as a whole.
_FREE = {"google.protobuf.FieldMask", "google.protobuf.Struct", "google.protobuf.Timestamp"}


def _fields(method: MethodDescriptor) -> set[str]:
    return {field.name for field in method.input_type.fields}


@pytest.mark.parametrize("method", CHANGES, ids=label)
def test_every_change_can_be_tried_and_repeated(method: MethodDescriptor) -> None:
    assert {"request_id", "validate_only"} <= _fields(method)


@pytest.mark.parametrize("method", READS, ids=label)
def test_no_read_asks_how_a_change_is_to_be_made(method: MethodDescriptor) -> None:
    assert not {"request_id", "validate_only", "etag", "update_mask"} & _fields(method)


@pytest.mark.parametrize("method", [m for m in CHANGES if m.name.startswith(("Update", "Delete"))], ids=label)
def test_every_update_and_deletion_takes_an_etag(method: MethodDescriptor) -> None:
    assert "etag" in _fields(method)


@pytest.mark.parametrize("method", [m for m in CHANGES if m.name.startswith("Update")], ids=label)
def test_every_update_of_optional_fields_takes_a_mask(method: MethodDescriptor) -> None:
    optional = [f.name for f in method.input_type.fields if f.has_presence and f.message_type is None]
    assert "update_mask" in _fields(method) or not optional


@pytest.mark.parametrize("method", [m for m in READS if m.name.startswith("List")], ids=label)
def test_every_list_comes_in_pages(method: MethodDescriptor) -> None:
    assert {"page_size", "page_token"} <= _fields(method)
    assert "next_page_token" in method.output_type.fields_by_name


@pytest.mark.parametrize("method", core_methods(), ids=label)
def test_every_field_of_a_request_has_a_rule(method: MethodDescriptor) -> None:
    def is_free(field: FieldDescriptor) -> bool:
        of = field.message_type
        return field.type == FieldDescriptor.TYPE_BOOL or (of is not None and of.full_name in _FREE)

    ruleless = [f.full_name for *_, f in fields_of(method.input_type) if rules_of(f) is None and not is_free(f)]
    assert ruleless == []


@pytest.mark.parametrize("method", core_methods(), ids=label)
def test_every_text_of_a_list_has_a_rule_of_its_own(method: MethodDescriptor) -> None:
    texts = [f for *_, f in fields_of(method.input_type) if f.is_repeated and f.type == FieldDescriptor.TYPE_STRING]
    assert [f.full_name for f in texts if not (rules := rules_of(f)) or not rules.repeated.HasField("items")] == []


@pytest.fixture
def stages(world: World) -> Any:
    """Makes the stage on which a method can succeed."""
    return lambda method: Stage(world, state_for(method))


@pytest.mark.parametrize("method", WITH_ETAG, ids=label)
def test_a_stale_etag_is_refused_and_the_present_one_is_not(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    _, etag = stage.object_of(method)
    request = stage.request(method, validate_only=True)
    request.etag = etag
    assert not isinstance(outcome(stage.owner, method, request), Refused)
    before = _state(stage)
    for validate_only in (True, False):
        stale = stage.request(method, validate_only=validate_only)
        stale.etag = "r0"
        refusal = outcome(stage.owner, method, stale)
        assert isinstance(refusal, Refused)
        assert refusal.seen == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": "r0"})
    assert _state(stage) == before


@pytest.mark.parametrize("method", CHANGES, ids=label)
def test_a_dry_run_is_answered_and_changes_nothing(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    before = _state(stage)
    request = stage.request(method, validate_only=True, request_id=fresh("dry"))
    tried = _answered(stage.owner.rpc, method, request)
    assert _state(stage) == before
    # It leaves nothing under the request id either: the real change still happens.
    request.validate_only = False
    made = _answered(stage.owner.rpc, method, request)
    assert type(tried) is type(made)
    assert _state(stage) == (before[0] + 1, before[1] + (0 if _founds(method) else 1))


@pytest.mark.parametrize("method", CHANGES, ids=label)
def test_a_repetition_gets_the_first_answer_and_changes_nothing_more(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    before = _state(stage)
    request = stage.request(method, request_id=fresh("key"))
    first = _answered(stage.owner.rpc, method, request)
    again = _answered(stage.owner.rpc, method, request)
    assert first == again
    assert _state(stage)[0] == before[0] + 1


@pytest.mark.parametrize("method", [method for method in CHANGES if method not in ITEMWISE], ids=label)
def test_a_request_id_is_good_for_one_request(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    key = fresh("key")
    _answered(stage.owner.rpc, method, stage.request(method, request_id=key))
    before = _state(stage)
    refusal = stage.owner.rpc.refusal("OrganizationService.CreateOrganization", name="Something else", request_id=key)
    assert refusal.seen == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": key})
    assert _state(stage) == before


@pytest.mark.parametrize("method", ITEMWISE, ids=label)
def test_the_request_id_of_a_batch_is_good_for_one_batch(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    key = fresh("key")
    _answered(stage.owner.rpc, method, stage.request(method, request_id=key))
    before = _state(stage)
    answer = stage.owner.rpc.send(method.full_name, stage.request(method, request_id=key))
    refusals = [read_details(Refused(code_named(result.error.code), ""), result.error) for result in answer.results]
    assert [refusal.reason for refusal in refusals] == ["REQUEST_ID_REUSED"]
    assert _state(stage) == before


@pytest.mark.parametrize("method", DIALECT_CHANGES, ids=label)
def test_a_dialects_idempotency_key_makes_a_change_happen_once(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    client = Client(stage.world.deployment.channel, stage.owner.token, metadata=(("idempotency-key", fresh("key")),))
    before = _state(stage)
    request = stage.request(method)
    assert _answered(client, method, request) == _answered(client, method, request)
    assert _state(stage)[0] == before[0] + 1


@pytest.mark.parametrize("method", READS, ids=label)
def test_a_read_is_answered_and_changes_nothing(stages: Any, method: MethodDescriptor) -> None:
    stage = stages(method)
    before = _state(stage)
    _answered(stage.owner.rpc, method, stage.request(method))
    assert _state(stage) == before


def _state(stage: Stage) -> tuple[int, int]:
    """How many changes there were: anywhere, and in the organizations of the stage."""
    database = stage.world.deployment.database
    with database.reading():
        events = AuditEvent.select().count(database)
    organizations = (stage.organization.id, stage.elsewhere.id)
    return int(events), sum(stage.world.revision(organization_id) for organization_id in organizations)


def _founds(method: MethodDescriptor) -> bool:
    """Whether the change is one of a new organization."""
    return not is_scoped(method) and method.name.startswith("Create")


def _answered(client: Client, method: MethodDescriptor, request: Any) -> Any:
    """The answer; where items are answered for themselves, each of them must be good."""
    answer = client.send(method.full_name, request)
    for result in getattr(answer, "results", ()):
        assert result.WhichOneof("result") != "error", result
    return answer
