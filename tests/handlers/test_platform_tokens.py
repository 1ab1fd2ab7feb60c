"""PlatformTokenService and the platform's trail: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from support.desk import NOW, Desk, Somebody

from tenantry.policy.v1 import policy_pb2
from tenantry.v1 import api_token_pb2, audit_event_pb2, platform_token_service_pb2
from tenantry_server.domain.errors import ApiTokenNotFound
from tenantry_server.wire import timestamp

AT, TOMORROW = timestamp(NOW), timestamp(NOW + timedelta(days=1))


@pytest.fixture
def operator(desk: Desk) -> Somebody:
    """Who may do everything that the platform does; the second change is yet to come."""
    return desk.operator()


@pytest.fixture
def made(operator: Somebody) -> Any:
    """A token for a service."""
    return operator(
        "PlatformTokenService.CreatePlatformToken",
        name="Billing",
        description="Bills.",
        permissions=["user:read", "user:export"],
        expire_time=TOMORROW,
    )


def test_create_answers_with_the_whole_token_and_its_secret(made: Any) -> None:
    assert made.api_token == api_token_pb2.ApiToken(
        id=made.api_token.id,
        kind=api_token_pb2.API_TOKEN_KIND_PLATFORM,
        name="Billing",
        description="Bills.",
        hint=made.secret[:12],
        granted_permissions=["user:export", "user:read"],
        expire_time=TOMORROW,
        revision=2,
        etag="r2",
        create_time=AT,
        update_time=AT,
    )
    assert made.secret.startswith("tnt_plt_")


def test_get_answers_with_what_was_created(operator: Somebody, made: Any) -> None:
    found = operator("PlatformTokenService.GetPlatformToken", api_token_id=made.api_token.id)
    assert found == platform_token_service_pb2.GetPlatformTokenResponse(api_token=made.api_token)


def test_list_answers_by_pages(operator: Somebody, made: Any) -> None:
    first = operator("PlatformTokenService.ListPlatformTokens", page_size=1)
    second = operator("PlatformTokenService.ListPlatformTokens", page_token=first.next_page_token)
    ids = [token.id for token in (*first.api_tokens, *second.api_tokens)]
    assert ids == sorted([operator.id, made.api_token.id])
    assert (len(first.api_tokens), second.next_page_token) == (1, "")


@pytest.mark.parametrize(
    ("given", "name", "permissions"),
    [
        ({"name": "Invoices"}, "Invoices", ["user:export", "user:read"]),
        ({"permissions": ["user:read"]}, "Billing", ["user:read"]),
        ({"unrestricted": True}, "Billing", []),
        ({"update_mask": FieldMask(paths=["expire_time"])}, "Billing", ["user:export", "user:read"]),
    ],
)
def test_update_changes_what_the_mask_or_the_request_names(
    operator: Somebody, made: Any, given: dict[str, Any], name: str, permissions: list[str]
) -> None:
    key = {"api_token_id": made.api_token.id}
    updated = operator("PlatformTokenService.UpdatePlatformToken", **key, **given).api_token
    assert (updated.name, updated.granted_permissions, updated.unrestricted) == (name, permissions, not permissions)
    assert (updated.revision, updated.HasField("expire_time")) == (3, "update_mask" not in given)


def test_rotate_answers_with_a_new_secret(operator: Somebody, made: Any) -> None:
    key = {"api_token_id": made.api_token.id}
    rotated = operator("PlatformTokenService.RotatePlatformToken", **key, overlap=Duration(seconds=90))
    assert rotated.secret not in ("", made.secret)
    assert rotated.api_token.overlap_end_time == timestamp(NOW + timedelta(seconds=90))
    assert operator("PlatformTokenService.GetPlatformToken", **key).api_token == rotated.api_token


def test_revoke_answers_with_nothing_and_the_token_is_gone(operator: Somebody, made: Any) -> None:
    key = {"api_token_id": made.api_token.id}
    answer = operator("PlatformTokenService.RevokePlatformToken", **key)
    assert answer == platform_token_service_pb2.RevokePlatformTokenResponse()
    with pytest.raises(ApiTokenNotFound) as refusal:
        operator("PlatformTokenService.GetPlatformToken", **key)
    assert refusal.value.metadata == key


def test_the_platforms_trail_tells_who_did_what_by_pages_the_newest_first(operator: Somebody, made: Any) -> None:
    first = operator("AuditService.ListPlatformAuditEvents", page_size=1)
    (event,) = first.events
    assert (event.organization_id, event.revision, event.time) == ("", 2, AT)
    assert event.actor == audit_event_pb2.AuditActor(kind=policy_pb2.PRINCIPAL_KIND_PLATFORM, credential_id=operator.id)
    assert (event.action, event.target.type, event.target.id) == ("api_token.create", "api_token", made.api_token.id)
    second = operator("AuditService.ListPlatformAuditEvents", page_token=first.next_page_token)
    assert [(event.revision, event.actor.credential_id) for event in second.events] == [(1, "")]
    assert second.next_page_token == ""
