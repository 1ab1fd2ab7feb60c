"""The published Python client of Daytona, 0.190.0, and API keys and users: it raises where an answer has another form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from daytona_api_client import (
    ApiKeyList,
    ApiKeyResponse,
    ApiKeysApi,
    CreateApiKey,
    User,
    UsersApi,
)
from daytona_api_client.exceptions import (
    ApiException,
    BadRequestException,
    ConflictException,
    ForbiddenException,
    NotFoundException,
    UnauthorizedException,
)
from e2e.clients import Connect, connecting
from e2e.scene import Scene
from support.gateway import Front
from support.world import OWNER

EXPIRY = datetime(2030, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def connect(gateway: Front) -> Iterator[Connect]:
    """Clients of the gateway, for people or keys."""
    with connecting(gateway) as connected:
        yield connected


def organization_of(scene: Scene) -> dict[str, Any]:
    """The client's argument for the header."""
    return {"x_daytona_organization_id": scene.uuid(scene.organization)}


def refused(cases: list[tuple[Callable[[], Any], type[ApiException], str]]) -> None:
    """Fails unless each call raises its exception, with this message."""
    for call, kind, message in cases:
        with pytest.raises(kind) as caught:
            call()
        assert json.loads(caught.value.body or "")["message"] == message


def test_a_key_lives_its_whole_life(scene: Scene, connect: Connect) -> None:
    owner, here = ApiKeysApi(connect(scene.owner)), organization_of(scene)
    wanted = CreateApiKey(name="My API key", permissions=["write:sandboxes", "delete:sandboxes"], expires_at=EXPIRY)
    made = owner.create_api_key(wanted, **here)
    assert isinstance(made, ApiKeyResponse)
    assert (made.name, made.expires_at, made.additional_properties) == ("My API key", EXPIRY, {})
    assert made.permissions == ["delete:sandboxes", "write:sandboxes"]
    assert made.created_at > LONG_AGO

    shown = owner.get_api_key("My API key", **here)
    assert isinstance(shown, ApiKeyList)
    assert (shown.name, shown.value, shown.user_id) == (made.name, made.value[:12] + "*" * 20, scene.uuid(scene.owner))
    assert (shown.created_at, shown.expires_at, shown.last_used_at) == (made.created_at, EXPIRY, None)
    assert (shown.permissions, shown.additional_properties) == (made.permissions, {})
    assert owner.list_api_keys(**here) == [shown]

    key = ApiKeysApi(connect(made.value))
    assert key.get_current_api_key() == shown
    scene.world.deployment.server._last_used.flush()
    used = owner.get_api_key("My API key", **here)
    assert used.last_used_at is not None
    assert used.last_used_at > made.created_at
    assert owner.delete_api_key("My API key", **here) is None
    assert owner.list_api_keys(**here) == []
    with pytest.raises(UnauthorizedException):
        key.get_current_api_key()


def test_a_key_may_have_no_permissions_and_no_expiry(scene: Scene, connect: Connect) -> None:
    owner, here = ApiKeysApi(connect(scene.owner)), organization_of(scene)
    made = owner.create_api_key(CreateApiKey(name="reader", permissions=[]), **here)
    assert (made.permissions, made.expires_at) == ([], None)
    (shown,) = owner.list_api_keys(**here)
    assert (shown.permissions, shown.expires_at, shown.last_used_at) == ([], None, None)


@pytest.mark.parametrize("name", ["nightly build", "100%", "a/b", "a+b&c?d#e", "ünïcödé 🔑", "current"])
def test_a_key_is_found_by_what_the_client_makes_of_its_name(scene: Scene, connect: Connect, name: str) -> None:
    owner, here = ApiKeysApi(connect(scene.owner)), organization_of(scene)
    owner.create_api_key(CreateApiKey(name=name, permissions=[]), **here)
    assert [each.name for each in owner.list_api_keys(**here)] == [name]
    if name != "current":
        assert owner.get_api_key(name, **here).name == name
    assert owner.delete_api_key(name, **here) is None
    owner.create_api_key(CreateApiKey(name=name, permissions=[]), **here)
    assert owner.delete_api_key_for_user(scene.uuid(scene.owner), name, **here) is None
    assert owner.list_api_keys(**here) == []


def test_owners_see_and_end_everybodys_keys_and_members_their_own(scene: Scene, connect: Connect) -> None:
    owner, member = ApiKeysApi(connect(scene.owner)), ApiKeysApi(connect(scene.member))
    other_owner = ApiKeysApi(connect(scene.world.member(scene.organization, scene.owner, role=OWNER)))
    here, user = organization_of(scene), scene.uuid(scene.member)
    owner.create_api_key(CreateApiKey(name="mine", permissions=[]), **here)
    theirs = member.create_api_key(CreateApiKey(name="theirs", permissions=[]), **here)
    for caller in (owner, other_owner):
        assert [each.name for each in caller.list_api_keys(**here)] == ["theirs", "mine"]
    assert [(each.name, each.user_id) for each in member.list_api_keys(**here)] == [("theirs", user)]
    with pytest.raises(ForbiddenException):
        member.delete_api_key_for_user(scene.uuid(scene.owner), "mine", **here)
    assert other_owner.delete_api_key_for_user(user, "theirs", **here) is None
    with pytest.raises(UnauthorizedException):
        ApiKeysApi(connect(theirs.value)).get_current_api_key()


def test_the_user_is_the_one_who_calls(scene: Scene, connect: Connect) -> None:
    key = scene.as_owner.post("/api/api-keys", {"name": "key"}, **scene.here).body["value"]
    for caller in (scene.owner, key):
        user = UsersApi(connect(caller)).get_authenticated_user()
        assert isinstance(user, User)
        assert (user.id, user.name, user.email) == (scene.uuid(scene.owner), "Owner", scene.owner.email)
        assert (user.public_keys, user.additional_properties) == ([], {"emailVerified": True})
        assert user.created_at > LONG_AGO


def test_refusals_are_the_clients_own_exceptions_and_can_be_read(scene: Scene, connect: Connect) -> None:
    owner, nobody = (ApiKeysApi(connect(caller)) for caller in (scene.owner, "garbage"))
    here = organization_of(scene)
    there: dict[str, Any] = {"x_daytona_organization_id": scene.uuid(scene.foreign)}
    robot = UsersApi(connect(scene.world.token(organization_id=scene.organization.id)))
    key, bad = CreateApiKey(name="nightly", permissions=[]), CreateApiKey(name="x", permissions=["fly:high"])
    owner.create_api_key(key, **here)
    denied = f"no access to organization {scene.uuid(scene.foreign)}, or it does not exist"
    kind = "this call cannot be made with a credential of kind organization"
    unknown = "permissions.0 'fly:high' is not a permission of the catalog"
    refused(
        [
            (nobody.list_api_keys, UnauthorizedException, "the credential is not valid"),
            (owner.list_api_keys, BadRequestException, "x-daytona-organization-id must name the organization"),
            (lambda: owner.list_api_keys(**there), ForbiddenException, denied),
            (lambda: owner.create_api_key(key, **there), ForbiddenException, denied),
            (lambda: owner.create_api_key(key, **here), ConflictException, "there is an API key named nightly already"),
            (lambda: owner.create_api_key(bad, **here), BadRequestException, unknown),
            (lambda: owner.delete_api_key("x", **here), NotFoundException, "API key x not found"),
            (
                lambda: owner.delete_api_key_for_user("auth0|x", "nightly", **here),
                NotFoundException,
                "API key nightly not found",
            ),
            (robot.get_authenticated_user, ForbiddenException, kind),
        ]
    )


def test_members_are_refused_what_they_may_not(scene: Scene, connect: Connect) -> None:
    owner, member = (ApiKeysApi(connect(caller)) for caller in (scene.owner, scene.member))
    here, user = organization_of(scene), scene.uuid(scene.owner)
    key = CreateApiKey(name="nightly", permissions=["write:sandboxes"])
    owner.create_api_key(key, **here)
    beyond = "nobody grants what they do not hold: write:sandboxes"
    refused(
        [
            (lambda: member.create_api_key(key, **here), ForbiddenException, beyond),
            (lambda: member.get_api_key("nightly", **here), NotFoundException, "API key nightly not found"),
            (
                lambda: member.delete_api_key_for_user(user, "nightly", **here),
                ForbiddenException,
                "permission missing: api-token:delete",
            ),
        ]
    )
