"""ApiTokenService, of the caller's own tokens: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from support.desk import NOW, Desk, Somebody
from support.world import MEMBER

from tenantry.v1 import api_token_pb2, api_token_service_pb2
from tenantry_server.domain.errors import ApiTokenNotFound
from tenantry_server.wire import timestamp

AT, TOMORROW = timestamp(NOW), timestamp(NOW + timedelta(days=1))
READ, WRITE = "sandbox:read", "sandbox:write"


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


@pytest.fixture
def made(ana: Somebody) -> Any:
    """A token of Ana's that reaches all of her organizations."""
    return ana("ApiTokenService.CreateMyApiToken", name="Laptop", description="Mine.", permissions=[READ])


def test_create_answers_with_the_whole_token_and_its_secret(ana: Somebody, made: Any) -> None:
    assert made.api_token == api_token_pb2.ApiToken(
        id=made.api_token.id,
        kind=api_token_pb2.API_TOKEN_KIND_USER,
        name="Laptop",
        description="Mine.",
        user_id=ana.id,
        creator_id=ana.id,
        hint=made.secret[:12],
        granted_permissions=[READ],
        revision=made.api_token.revision,
        etag=f"r{made.api_token.revision}",
        create_time=AT,
        update_time=AT,
    )
    assert made.secret.startswith("tnt_usr_")


def test_create_binds_it_to_the_organization_that_is_named(ana: Somebody, acme: Any) -> None:
    given = {"organization_id": acme.id, "permissions": [READ], "expire_time": TOMORROW}
    made = ana("ApiTokenService.CreateMyApiToken", name="Laptop", **given).api_token
    assert (made.organization_id, made.expire_time, made.revision) == (acme.id, TOMORROW, 2)


def test_get_answers_with_what_it_can_do_where_it_is_asked_for(desk: Desk, ana: Somebody, acme: Any) -> None:
    bo = desk.person("bo")
    ana("MemberService.AddMember", organization_id=acme.id, user_id=bo.id, role=MEMBER)
    made = bo("ApiTokenService.CreateMyApiToken", name="Laptop", permissions=[READ, WRITE]).api_token
    nowhere = bo("ApiTokenService.GetMyApiToken", api_token_id=made.id)
    assert nowhere == api_token_service_pb2.GetMyApiTokenResponse(api_token=made)
    there = bo("ApiTokenService.GetMyApiToken", api_token_id=made.id, organization_id=acme.id)
    missing = api_token_pb2.WithheldPermission(permission=WRITE, reason=api_token_pb2.WITHHOLDING_REASON_NOT_HELD_BY_OWNER)
    assert there.access == api_token_pb2.EffectiveAccess(organization_id=acme.id, permissions=[READ], withheld=[missing])


def test_list_answers_by_pages(ana: Somebody, made: Any) -> None:
    first = ana("ApiTokenService.ListMyApiTokens", page_size=1)
    second = ana("ApiTokenService.ListMyApiTokens", page_token=first.next_page_token)
    assert len(first.api_tokens) == len(second.api_tokens) == 1
    assert made.api_token in [*first.api_tokens, *second.api_tokens]
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    ("given", "name", "permissions"),
    [
        ({"name": "Phone"}, "Phone", [READ]),
        ({"permissions": [WRITE, READ]}, "Laptop", [READ, WRITE]),
        ({"unrestricted": True}, "Laptop", []),
        ({"name": "Phone", "description": "", "update_mask": FieldMask(paths=["description"])}, "Laptop", [READ]),
    ],
)
def test_update_changes_what_the_mask_or_the_request_names(
    ana: Somebody, made: Any, given: dict[str, Any], name: str, permissions: list[str]
) -> None:
    updated = ana("ApiTokenService.UpdateMyApiToken", api_token_id=made.api_token.id, **given).api_token
    assert (updated.name, updated.granted_permissions, updated.unrestricted) == (name, permissions, not permissions)
    assert updated.revision == made.api_token.revision + 1


def test_rotate_answers_with_a_new_secret(ana: Somebody, made: Any) -> None:
    overlap = Duration(nanos=1_500_000)
    rotated = ana("ApiTokenService.RotateMyApiToken", api_token_id=made.api_token.id, overlap=overlap)
    assert rotated.secret not in ("", made.secret)
    assert rotated.api_token.overlap_end_time == timestamp(NOW + timedelta(milliseconds=1))
    assert ana("ApiTokenService.GetMyApiToken", api_token_id=made.api_token.id).api_token == rotated.api_token


def test_revoke_answers_with_nothing_and_the_token_is_gone(ana: Somebody, made: Any) -> None:
    token_id = made.api_token.id
    assert ana("ApiTokenService.RevokeMyApiToken", api_token_id=token_id) == api_token_service_pb2.RevokeMyApiTokenResponse()
    with pytest.raises(ApiTokenNotFound) as refusal:
        ana("ApiTokenService.GetMyApiToken", api_token_id=token_id)
    assert refusal.value.metadata == {"api_token_id": token_id}


def test_the_current_token_tells_of_itself_and_of_the_organization_that_is_asked_for(
    desk: Desk, ana: Somebody, acme: Any, made: Any
) -> None:
    laptop = desk.with_token(made.secret)
    alone = laptop("ApiTokenService.GetCurrentApiToken")
    assert alone == api_token_service_pb2.GetCurrentApiTokenResponse(api_token=made.api_token)
    there = laptop("ApiTokenService.GetCurrentApiToken", organization_id=acme.id)
    assert there.access == api_token_pb2.EffectiveAccess(organization_id=acme.id, permissions=[READ])
    operator = desk.operator("user:read")("ApiTokenService.GetCurrentApiToken").api_token
    assert (operator.kind, operator.granted_permissions) == (api_token_pb2.API_TOKEN_KIND_PLATFORM, ["user:read"])
