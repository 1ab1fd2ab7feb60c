"""ApiTokenService: what each request means to the service, and what its record becomes; first, of an organization's tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from support.clock import MovableClock
from support.deployment import CATALOG
from support.desk import NOW, Desk, Somebody

from tenantry.v1 import api_token_pb2, api_token_service_pb2
from tenantry_server.domain.errors import ApiTokenNotFound, InvalidRequest
from tenantry_server.domain.tokens import digest
from tenantry_server.wire import timestamp

AT, TOMORROW = timestamp(NOW), timestamp(NOW + timedelta(days=1))
READ, WRITE = "sandbox:read", "sandbox:write"


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


@pytest.fixture
def made(ana: Somebody, acme: Any) -> Any:
    """A token of it."""
    return ana(
        "ApiTokenService.CreateApiToken",
        organization_id=acme.id,
        name="Deploy",
        description="Deploys.",
        permissions=[WRITE, READ],
        expire_time=TOMORROW,
    )


@pytest.fixture
def here(acme: Any, made: Any) -> dict[str, str]:
    """What names the token."""
    return {"organization_id": acme.id, "api_token_id": made.api_token.id}


def test_create_answers_with_the_whole_token_and_its_secret(ana: Somebody, acme: Any, made: Any) -> None:
    assert made.api_token == api_token_pb2.ApiToken(
        id=made.api_token.id,
        kind=api_token_pb2.API_TOKEN_KIND_ORGANIZATION,
        name="Deploy",
        description="Deploys.",
        organization_id=acme.id,
        creator_id=ana.id,
        hint=made.secret[:12],
        granted_permissions=[READ, WRITE],
        expire_time=TOMORROW,
        revision=2,
        etag="r2",
        create_time=AT,
        update_time=AT,
    )
    assert digest(made.secret)
    assert made.secret.startswith("tnt_org_")


def test_create_makes_one_that_narrows_nothing_when_it_is_said(ana: Somebody, acme: Any) -> None:
    made = ana("ApiTokenService.CreateApiToken", organization_id=acme.id, name="All", unrestricted=True).api_token
    assert (made.unrestricted, made.granted_permissions, made.HasField("expire_time")) == (True, [], False)


def test_what_it_narrows_to_is_said_in_one_way(ana: Somebody, acme: Any) -> None:
    for given in ({"unrestricted": True, "permissions": [READ]}, {}):
        with pytest.raises(InvalidRequest):
            ana("ApiTokenService.CreateApiToken", organization_id=acme.id, name="Both or none", **given)


def test_get_answers_with_the_token_and_what_it_can_do(ana: Somebody, acme: Any, made: Any, here: dict[str, str]) -> None:
    assert ana("ApiTokenService.GetApiToken", **here) == api_token_service_pb2.GetApiTokenResponse(
        api_token=made.api_token,
        access=api_token_pb2.EffectiveAccess(organization_id=acme.id, permissions=[READ, WRITE]),
    )


def test_what_an_expired_token_cannot_do_is_said_with_the_reason(
    ana: Somebody, acme: Any, here: dict[str, str], clock: MovableClock
) -> None:
    clock.stopped = NOW + timedelta(days=1)
    expired = api_token_pb2.WITHHOLDING_REASON_TOKEN_EXPIRED
    assert ana("ApiTokenService.GetApiToken", **here).access == api_token_pb2.EffectiveAccess(
        organization_id=acme.id,
        withheld=[api_token_pb2.WithheldPermission(permission=name, reason=expired) for name in (READ, WRITE)],
    )


def test_list_answers_by_pages(ana: Somebody, acme: Any, made: Any) -> None:
    listed: list[Any] = []
    token = ""
    while token or not listed:
        page = ana("ApiTokenService.ListApiTokens", organization_id=acme.id, page_size=1, page_token=token)
        assert len(page.api_tokens) == 1
        listed, token = [*listed, *page.api_tokens], page.next_page_token
    assert made.api_token in listed
    assert [found.kind for found in listed].count(api_token_pb2.API_TOKEN_KIND_USER) == 1, "Ana's own reaches it too"


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({"name": "Other"}, {"name": "Other"}),
        ({"description": ""}, {"description": ""}),
        ({"permissions": [WRITE]}, {"granted_permissions": [WRITE]}),
        ({"unrestricted": True}, {"granted_permissions": [], "unrestricted": True}),
        ({"expire_time": AT, "name": "Other", "update_mask": FieldMask(paths=["name"])}, {"name": "Other"}),
        ({"update_mask": FieldMask(paths=["expire_time"])}, {"expire_time": None}),
    ],
)
def test_update_changes_what_the_mask_or_the_request_names(
    ana: Somebody, made: Any, here: dict[str, str], given: dict[str, Any], changed: dict[str, Any]
) -> None:
    expected = api_token_pb2.ApiToken()
    expected.CopyFrom(made.api_token)
    for field, value in {**changed, "revision": 3, "etag": "r3"}.items():
        expected.ClearField(field)  # type: ignore[arg-type]  # the stubs want literals
        if isinstance(value, list):
            getattr(expected, field).extend(value)
        elif value is not None:
            setattr(expected, field, value)
    assert ana("ApiTokenService.UpdateApiToken", **here, **given).api_token == expected


def test_rotate_answers_with_a_new_secret_and_until_when_the_old_one_is_good(
    ana: Somebody, desk: Desk, made: Any, here: dict[str, str]
) -> None:
    rotated = ana("ApiTokenService.RotateApiToken", **here, overlap=Duration(seconds=90))
    assert rotated.secret not in ("", made.secret)
    assert rotated.api_token.hint == rotated.secret[:12]
    assert rotated.api_token.overlap_end_time == timestamp(NOW + timedelta(seconds=90))
    assert ana("ApiTokenService.GetApiToken", **here).api_token == rotated.api_token
    again = ana("ApiTokenService.RotateApiToken", **here)
    assert not again.api_token.HasField("overlap_end_time")
    current = desk.with_token(again.secret)("ApiTokenService.GetCurrentApiToken")
    assert (current.api_token, current.access.permissions) == (again.api_token, [READ, WRITE])


def test_revoke_answers_with_nothing_and_the_token_is_gone(ana: Somebody, here: dict[str, str]) -> None:
    assert ana("ApiTokenService.RevokeApiToken", **here) == api_token_service_pb2.RevokeApiTokenResponse()
    with pytest.raises(ApiTokenNotFound) as refusal:
        ana("ApiTokenService.GetApiToken", **here)
    assert refusal.value.metadata == {"api_token_id": here["api_token_id"]}


def test_every_permission_can_be_granted_and_comes_sorted(ana: Somebody, acme: Any) -> None:
    wanted = sorted(CATALOG.all, reverse=True)
    made = ana("ApiTokenService.CreateApiToken", organization_id=acme.id, name="All", permissions=wanted).api_token
    assert (made.granted_permissions, made.unrestricted) == (sorted(CATALOG.all), False)
