"""What requests declare, the same in every RPC of the core API: how a change is asked for, pages, and rules of fields.

Generated from the descriptors: a new RPC is held to all of it without being named.
"""

from __future__ import annotations

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from support.descriptors import core_methods, fields_of, is_change, label, methods, rules_of

from tenantry_server.domain.slugs import RESERVED

CHANGES = [method for method in core_methods() if is_change(method)]
READS = [method for method in core_methods() if not is_change(method)]
# What needs no rule: every value of it is good, or the service checks the content as a whole.
_FREE = {"google.protobuf.FieldMask", "google.protobuf.Struct", "google.protobuf.Timestamp"}
_OURS = "tenantry."


def _fields(method: MethodDescriptor) -> set[str]:
    return {field.name for field in method.input_type.fields}


def _named(*verbs: str) -> list[MethodDescriptor]:
    return [method for method in core_methods() if method.name.startswith(verbs)]


@pytest.mark.parametrize("method", CHANGES, ids=label)
def test_every_change_can_be_tried_and_repeated(method: MethodDescriptor) -> None:
    assert {"request_id", "validate_only"} <= _fields(method)


@pytest.mark.parametrize("method", READS, ids=label)
def test_no_read_asks_how_a_change_is_to_be_made(method: MethodDescriptor) -> None:
    assert not {"request_id", "validate_only", "etag", "update_mask"} & _fields(method)


@pytest.mark.parametrize("method", _named("Update", "Delete", "Rotate", "Revoke"), ids=label)
def test_every_update_and_every_end_takes_an_etag(method: MethodDescriptor) -> None:
    assert "etag" in _fields(method)


@pytest.mark.parametrize("method", _named("Update"), ids=label)
def test_every_update_of_optional_fields_takes_a_mask(method: MethodDescriptor) -> None:
    optional = [f.name for f in method.input_type.fields if f.has_presence and f.message_type is None]
    assert "update_mask" in _fields(method) or not optional


@pytest.mark.parametrize("method", _named("List"), ids=label)
def test_every_list_comes_in_pages(method: MethodDescriptor) -> None:
    assert {"page_size", "page_token"} <= _fields(method)
    assert "next_page_token" in method.output_type.fields_by_name


@pytest.mark.parametrize("method", _named("Create", "Rotate"), ids=label)
def test_a_secret_is_called_secret_and_stands_beside_its_token(method: MethodDescriptor) -> None:
    answer = method.output_type
    secrets = [f.name for *_, f in fields_of(answer) if f.type == FieldDescriptor.TYPE_STRING and "secret" in f.name]
    is_of_token = "api_token" in answer.fields_by_name
    assert secrets == (["secret"] if is_of_token else [])
    assert is_of_token == (answer.name.endswith("TokenResponse"))


@pytest.mark.parametrize("method", core_methods(), ids=label)
def test_every_field_of_a_request_has_a_rule(method: MethodDescriptor) -> None:
    def is_free(field: FieldDescriptor) -> bool:
        of = field.message_type
        if of is None:
            return field.type == FieldDescriptor.TYPE_BOOL
        # A single message of ours has nothing to rule but its own fields, which are looked at too.
        return of.full_name in _FREE or (of.full_name.startswith(_OURS) and not field.is_repeated)

    ruleless = [f.full_name for *_, f in fields_of(method.input_type) if rules_of(f) is None and not is_free(f)]
    assert ruleless == []


@pytest.mark.parametrize("method", core_methods(), ids=label)
def test_every_text_of_a_list_has_a_rule_of_its_own(method: MethodDescriptor) -> None:
    texts = [f for *_, f in fields_of(method.input_type) if f.is_repeated and f.type == FieldDescriptor.TYPE_STRING]
    assert [f.full_name for f in texts if not (rules := rules_of(f)) or not rules.repeated.HasField("items")] == []


def test_no_organization_can_be_called_like_a_word_of_our_own_paths() -> None:
    rules = [method.GetOptions().Extensions[annotations_pb2.http] for method in methods()]
    bound = [each for rule in rules for each in (rule, *rule.additional_bindings)]
    paths = [getattr(each, verb) for each in bound if (verb := each.WhichOneof("pattern"))]
    words = {word for path in paths for word in path.split("/") if word and not word.startswith("{")}
    assert {"api", "me", "invitations", "evaluation"} <= words
    assert words <= RESERVED
