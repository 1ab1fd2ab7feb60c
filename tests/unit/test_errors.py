"""Facts: every one is documented, has a code, a reason, the metadata it promises, and a status in both dialects."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

import google.rpc.error_details_pb2 as details_pb2
import grpc
import pytest
from support.rpc import Refused, read_details

from tenantry.v1 import error_reason_pb2
from tenantry_server.domain import errors
from tenantry_server.domain.call import Call
from tenantry_server.domain.errors import InvalidRequest, NotFound, TenantryError, Violation
from tenantry_server.rest.daytona import errors as daytona
from tenantry_server.rest.dotenv import errors as dotenv
from tenantry_server.rpc import status

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "server" / "tenantry_server"
PROTO = ROOT / "proto" / "tenantry" / "v1" / "error_reason.proto"

FACTS = errors.facts()
CALL = Call(method="/tenantry.v1.RoleService/GetRole")
# What is unforeseen has a reason, but is no fact.
_NO_FACTS = {"UNSPECIFIED", "INTERNAL"}


class Documented(NamedTuple):
    """What error_reason.proto says about a reason."""

    code: str
    keys: frozenset[str]


def documented() -> dict[str, Documented]:
    """The comments of the public list, read; a comment says the code first, and the metadata's keys last."""
    found = {}
    entry = r"((?:^ *//.*\n)+) *ERROR_REASON_(\w+) = \d+;"
    for comment, reason in re.findall(entry, PROTO.read_text(), re.MULTILINE):
        text = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
        code, _, rest = text.partition(". ")
        _, said, keys = rest.partition("Metadata: ")
        assert said or rest.endswith("No metadata.") or reason == "UNSPECIFIED", f"{reason} does not say its metadata"
        found[reason] = Documented(code, frozenset(re.findall(r"`(\w+)`", keys)))
    return found


def constructions() -> dict[str, set[frozenset[str]]]:
    """With which metadata each fact is made, anywhere in the server."""
    names = {fact.__name__ for fact in FACTS}
    found: dict[str, set[frozenset[str]]] = {name: set() for name in names}
    for path in SERVER.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in names:
                found[_name(node.func)].add(frozenset(str(keyword.arg) for keyword in node.keywords))
            if isinstance(node, ast.Raise) and _name(node.exc) in names:
                found[_name(node.exc)].add(frozenset())
    return found


def _name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


DOCUMENTED, CONSTRUCTIONS = documented(), constructions()


def sample(fact: type[TenantryError]) -> TenantryError:
    """A fact with all the metadata that is documented of it."""
    if fact is InvalidRequest:
        return InvalidRequest([Violation("name", "must be there", "REQUIRED")])
    numbers = {"retry_after": "7"}
    return fact(**{key: numbers.get(key, f"some {key}") for key in DOCUMENTED[fact.reason].keys})


def test_every_fact_is_a_documented_reason_and_every_reason_a_fact() -> None:
    reasons = [fact.reason for fact in FACTS]
    assert len(reasons) == len(set(reasons))
    assert set(reasons) | _NO_FACTS == set(DOCUMENTED)
    names = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    assert names == set(DOCUMENTED)


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_has_the_documented_code(fact: type[TenantryError]) -> None:
    assert status.code_of(sample(fact)).name == DOCUMENTED[fact.reason].code


@pytest.mark.parametrize("fact", [fact for fact in FACTS if fact is not InvalidRequest])
def test_a_fact_is_made_with_the_documented_metadata(fact: type[TenantryError]) -> None:
    made, keys = CONSTRUCTIONS[fact.__name__], DOCUMENTED[fact.reason].keys
    assert made, "nothing ever raises it"
    assert frozenset().union(*made) == keys
    assert keys or made == {frozenset()}


@pytest.mark.parametrize("fact", FACTS)
def test_what_a_message_says_is_in_the_metadata_too(fact: type[TenantryError]) -> None:
    said = {field for _, field, _, _ in Formatter().parse(fact.text) if field}
    made = CONSTRUCTIONS[fact.__name__] if fact is not InvalidRequest else {frozenset({"fields"})}
    assert all(said <= keys for keys in made)


@pytest.mark.parametrize("fact", FACTS)
def test_a_status_carries_code_reason_and_metadata(fact: type[TenantryError]) -> None:
    error = sample(fact)
    made = status.status_of(error)
    seen = read_details(Refused(grpc.StatusCode.UNKNOWN, made.message), made)
    assert made.code == status.code_of(error).value[0]
    assert made.message == error.message
    assert (seen.reason, seen.metadata) == (fact.reason, error.metadata)
    assert len(seen.details) == len(made.details), "every detail is one that clients know"


@pytest.mark.parametrize(
    ("fact", "detail"),
    [
        (errors.InvalidRequest, details_pb2.BadRequest),
        (errors.RoleNotFound, details_pb2.ResourceInfo),
        (errors.LastOwner, details_pb2.PreconditionFailure),
        (errors.LimitExceeded, details_pb2.QuotaFailure),
        (errors.Conflict, details_pb2.RetryInfo),
        (errors.DatabaseUnavailable, details_pb2.RetryInfo),
        (errors.OutcomeUnknown, details_pb2.RetryInfo),
        (errors.EtagMismatch, None),
    ],
)
def test_facts_that_say_more_have_a_detail_for_it(fact: type[TenantryError], detail: Any) -> None:
    made = status.status_of(sample(fact))
    kinds = {type(found) for found in read_details(Refused(grpc.StatusCode.UNKNOWN, ""), made).details}
    assert kinds == {details_pb2.ErrorInfo} | ({detail} if detail else set())


@pytest.mark.parametrize("fact", [fact for fact in FACTS if issubclass(fact, NotFound)])
def test_what_is_not_found_is_named_as_sent(fact: type[NotFound]) -> None:
    error = fact(**{fact.key: "as Sent"})
    assert error.identifier == "as Sent"
    assert error.metadata == {fact.key: "as Sent"}
    assert "as Sent" in error.message


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_has_a_status_and_a_body_in_daytonas_dialect(fact: type[TenantryError]) -> None:
    headers = dict(daytona.render(sample(fact), CALL, {"x-envoy-original-path": "/api/organizations?x=1"}))
    body = json.loads(headers["x-http-body"])
    assert list(body) == ["path", "timestamp", "statusCode", "error", "message"]
    assert body["path"] == "/api/organizations?x=1"
    assert str(body["statusCode"]) == headers["x-http-status"]
    assert 400 <= body["statusCode"] < 600
    assert body["message"]


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_has_a_status_and_a_body_in_dotenvs_dialect(fact: type[TenantryError]) -> None:
    headers = dict(dotenv.render(sample(fact), CALL, {}))
    body = json.loads(headers["x-http-body"])
    assert {"error", "message"} <= set(body) <= {"error", "message", "details", "errors"}
    assert re.fullmatch(r"[a-z_]+", body["error"])
    assert ("errors" in body) == (fact is InvalidRequest)
    assert 400 <= int(headers["x-http-status"]) < 600


@pytest.mark.parametrize(
    ("fact", "code", "of_daytona", "of_dotenv"),
    [
        (errors.InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT, "400", "422"),
        (errors.MissingCredential, grpc.StatusCode.UNAUTHENTICATED, "401", "401"),
        (errors.OrganizationNotAccessible, grpc.StatusCode.PERMISSION_DENIED, "403", "404"),
        (errors.PermissionMissing, grpc.StatusCode.PERMISSION_DENIED, "403", "403"),
        (errors.RoleNotFound, grpc.StatusCode.NOT_FOUND, "404", "404"),
        (errors.SystemRole, grpc.StatusCode.FAILED_PRECONDITION, "404", "422"),
        (errors.AlreadyMember, grpc.StatusCode.ALREADY_EXISTS, "409", "409"),
        (errors.LastOwner, grpc.StatusCode.FAILED_PRECONDITION, "403", "422"),
        (errors.RequestIdReused, grpc.StatusCode.FAILED_PRECONDITION, "409", "409"),
        (errors.EtagMismatch, grpc.StatusCode.ABORTED, "409", "409"),
        (errors.LimitExceeded, grpc.StatusCode.RESOURCE_EXHAUSTED, "403", "422"),
        (errors.RateLimited, grpc.StatusCode.RESOURCE_EXHAUSTED, "429", "429"),
        (errors.Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED, "503", "503"),
        (errors.DatabaseUnavailable, grpc.StatusCode.UNAVAILABLE, "503", "503"),
        (errors.DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED, "504", "504"),
    ],
)
def test_the_same_fact_has_one_answer_on_each_edge(
    fact: type[TenantryError], code: grpc.StatusCode, of_daytona: str, of_dotenv: str
) -> None:
    error = sample(fact)
    assert status.code_of(error) is code
    assert dict(daytona.render(error, CALL, {}))["x-http-status"] == of_daytona
    assert dict(dotenv.render(error, CALL, {}))["x-http-status"] == of_dotenv


def test_what_is_unforeseen_has_a_fixed_text_everywhere() -> None:
    made = status.internal("call-1")
    assert (made.code, made.message) == (grpc.StatusCode.INTERNAL.value[0], "internal error")
    seen = read_details(Refused(grpc.StatusCode.INTERNAL, ""), made)
    assert (seen.reason, seen.metadata) == ("INTERNAL", {"call_id": "call-1"})
    for module in (daytona, dotenv):
        headers = dict(module.render(None, CALL, {}))
        assert headers["x-http-status"] == "500"
        assert json.loads(headers["x-http-body"])["message"] == "Internal server error"


def test_what_the_caller_sent_is_repeated_up_to_a_length() -> None:
    error = errors.EtagMismatch(etag="x" * 10_000)
    assert len(error.metadata["etag"]) == 200
    assert len(error.message) < 300


def test_an_answer_names_the_first_twenty_violations_and_each_field_once() -> None:
    error = InvalidRequest([Violation(f"items[{n // 2}]", "is wrong", "RULE") for n in range(100)])
    assert error.metadata["fields"].startswith("items[0],items[1],")
    made = status.status_of(error)
    bad = read_details(Refused(grpc.StatusCode.UNKNOWN, ""), made).details[1]
    assert isinstance(bad, details_pb2.BadRequest)
    assert len(bad.field_violations) == 20


def test_daytona_names_fields_as_its_json_does() -> None:
    fields = ["assigned_role_ids[3]", "expire_time", "experimental_config.otel", ""]
    error = InvalidRequest([Violation(field, "is wrong", "RULE") for field in fields])
    body = json.loads(dict(daytona.render(error, CALL, {}))["x-http-body"])
    assert body["message"] == "assignedRoleIds.3 is wrong, expiresAt is wrong, config.otel is wrong, is wrong"


def test_dotenv_lists_the_texts_by_field() -> None:
    error = InvalidRequest([Violation("name", text, "RULE") for text in ("is blank", "is long")])
    body = json.loads(dict(dotenv.render(error, CALL, {}))["x-http-body"])
    assert body["message"] == "name is blank"
    assert body["errors"] == {"name": ["name is blank", "name is long"]}
