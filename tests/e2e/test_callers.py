"""Who calls, as both dialects tell it, whatever the credential: Daytona's `/api/users/me`, dotenv's `/api/v1/user`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from e2e.scene import Scene, header
from e2e.shapes import ULID, WHOLE_INSTANT, api_key, daytona_error, daytona_user, dotenv_error, exactly, matching, new_api_key
from support.deployment import Deployment
from support.gateway import Front
from support.sign_in import Office
from support.world import fresh

from tenantry_server.domain.ids import to_uuid
from tenantry_server.domain.organizations import OrganizationState

pytest_plugins = ("support.sign_in",)

ME, ME_V1 = "/api/users/me", "/api/v1/user"
KEYS = "/api/api-keys"
CURRENT = f"{KEYS}/current"
GONE = "the credential is not valid"


@pytest.fixture
def entrance(office: Office, front_of: Callable[[Deployment], Front]) -> Iterator[Scene]:
    """A scene whose server trusts an identity provider."""
    front = front_of(office.deployment)
    with front.http() as client:
        yield Scene(office, client, front)


def included(organization: Any, role: str = "", **known: Any) -> dict[str, Any]:
    """An organization as dotenv's JSON:API has it; a role where a person calls."""
    attributes = {
        "name": "Acme",
        "ulid": organization.id,
        "slug": matching("[a-z0-9-]+"),
        "status": "active",
        "created_at": WHOLE_INSTANT,
        "updated_at": WHOLE_INSTANT,
    }
    return {
        "type": "organizations",
        "id": organization.id,
        "attributes": attributes | ({"role": role} if role else {}) | known,
    }


def user(id_: Any, *organizations: dict[str, Any], **known: Any) -> dict[str, Any]:
    """A person with their organizations, as dotenv's JSON:API has it."""
    attributes = {"is_verified": exactly(True), "created_at": WHOLE_INSTANT, "updated_at": WHOLE_INSTANT, **known}
    references = [{"type": each["type"], "id": each["id"]} for each in organizations]
    data = {
        "type": "users",
        "id": id_,
        "attributes": attributes,
        "relationships": {"organizations": {"data": references}},
    }
    return {"data": data, "included": [*organizations]}


def personal(id_: str) -> dict[str, Any]:
    """A personal organization."""
    return included(type("Personal", (), {"id": id_}), "owner", name="Personal")


# -- people ------------------------------------------------------------------------------------------------------------


def test_a_person_is_told_who_they_are_in_both_dialects(scene: Scene) -> None:
    owner = scene.owner
    shown = daytona_user(id=scene.uuid(owner), name="Owner", email=owner.email)
    answer = scene.as_owner.get(ME)
    assert answer.seen == (200, shown)
    assert answer.headers["content-type"] == "application/json"
    theirs = [personal(owner.personal_organization_id), included(scene.organization, "owner")]
    assert scene.as_owner.get(ME_V1).seen == (200, user(owner.id, *theirs, name="Owner", email=owner.email))
    member = scene.member
    theirs = sorted(
        [personal(member.personal_organization_id), included(scene.organization, "member")], key=lambda it: it["id"]
    )
    assert scene.by(member).get(ME_V1).seen == (200, user(member.id, *theirs, name="Member", email=member.email))


def test_through_a_key_of_an_organization_that_one_alone_is_within_reach(scene: Scene) -> None:
    key = scene.as_owner.post(KEYS, {"name": "Nightly"}, **scene.here).body["value"]
    owner, client = scene.owner, scene.by(key)
    expected = user(owner.id, included(scene.organization, "owner"), name="Owner", email=owner.email)
    assert client.get(ME_V1).seen == (200, expected)
    assert client.get(ME).seen == (200, daytona_user(id=scene.uuid(owner), email=owner.email))


def test_an_address_that_is_not_verified_says_so(scene: Scene) -> None:
    person = scene.world.person(verified=False)
    assert scene.by(person).get(ME).seen == (200, daytona_user(email=person.email, emailVerified=exactly(False)))
    attributes = scene.by(person).get(ME_V1).body["data"]["attributes"]
    assert (attributes["email"], attributes["is_verified"]) == (person.email, exactly(False))


def test_a_narrowed_token_is_told_who_it_stands_for_all_the_same(scene: Scene) -> None:
    token = scene.by(scene.world.token(scene.owner, permissions=["key:rotate"]))
    assert token.get(ME).seen == (200, daytona_user(id=scene.uuid(scene.owner)))
    assert token.get(ME_V1).body["data"]["id"] == scene.owner.id


def test_neither_query_nor_header_makes_somebody_else_of_the_caller(scene: Scene) -> None:
    for name in ("id", "userId", "user_id"):
        query = f"?{name}={scene.stranger.id}"
        assert scene.as_owner.get(ME + query, **header(scene.foreign)).body["id"] == scene.uuid(scene.owner)
        assert scene.as_owner.get(ME_V1 + query, **header(scene.foreign)).body["data"]["id"] == scene.owner.id


# -- organizations and the platform ------------------------------------------------------------------------------------


def test_the_token_of_an_organization_stands_for_it_and_for_no_person(scene: Scene) -> None:
    robot = scene.by(scene.world.token(organization_id=scene.organization.id))
    assert robot.get(ME_V1).seen == (200, {"data": included(scene.organization), "included": []})
    refusal = daytona_error(403, ME, "this call cannot be made with a credential of kind organization")
    assert robot.get(ME).seen == refusal
    scene.world.set_state(scene.organization.id, OrganizationState.SUSPENDED)
    assert robot.get(ME_V1).seen == (200, {"data": included(scene.organization, status="suspended"), "included": []})


def test_the_token_of_an_organization_that_is_gone_stands_for_nothing(scene: Scene) -> None:
    robot = scene.by(scene.world.token(organization_id=scene.organization.id))
    key = scene.by(scene.world.token(scene.owner, organization_id=scene.organization.id))
    assert scene.as_owner.delete(scene.v1()).status == 204
    id_ = scene.organization.id
    refusal = dotenv_error(404, "not_found", f"no access to organization {id_}, or it does not exist", organization_id=id_)
    assert robot.get(ME_V1).seen == refusal
    assert key.get(ME_V1).seen == (200, user(scene.owner.id, name="Owner", email=scene.owner.email))


def test_a_platform_token_is_nobody_here(scene: Scene) -> None:
    platform = scene.by(scene.world.platform_token())
    message = "this call cannot be made with a credential of kind platform"
    assert platform.get(ME).seen == daytona_error(403, ME, message)
    refusal = dotenv_error(403, "insufficient_permissions", message, principal_kind="platform")
    assert platform.get(ME_V1).seen == refusal


def test_a_person_who_is_deleted_is_nobody_any_more(scene: Scene) -> None:
    person = scene.stranger
    key = scene.by(person).post(KEYS, {"name": "Nightly"}, **header(scene.foreign)).body["value"]
    scene.world.platform()(
        "UserService.DeleteUser",
        user_id=person.id,
        successors=[{"organization_id": scene.foreign.id, "user_id": scene.owner.id}],
    )
    for token in (person.token, key):
        assert scene.by(token).get(ME).seen == daytona_error(401, ME, GONE)
        assert scene.by(token).get(ME_V1).seen == dotenv_error(401, "unauthenticated", GONE)


# -- who has signed in -------------------------------------------------------------------------------------------------


def test_who_signs_in_is_somebody_with_the_first_call(entrance: Scene) -> None:
    office = entrance.world
    assert isinstance(office, Office)
    stranger = office.stranger(email=f"{fresh('ana')}@example.com")
    answer = entrance.by(stranger.token).get(ME)
    assert answer.seen == (200, daytona_user(name="Stranger", email=stranger.claims.email))
    again = entrance.by(stranger.token).get(ME_V1)
    first = personal(again.body["included"][0]["id"])
    assert again.seen == (200, user(ULID, first, name="Stranger", email=stranger.claims.email))
    assert to_uuid(again.body["data"]["id"]) == answer.body["id"]
    unknown = entrance.by("header.payload.signature").get(ME)
    assert unknown.seen == daytona_error(401, ME, GONE)


def test_who_signs_in_without_an_address_has_an_empty_one(entrance: Scene) -> None:
    assert isinstance(entrance.world, Office)
    token = entrance.world.stranger(email=None).token
    assert entrance.by(token).get(ME).seen == (200, daytona_user(email="", emailVerified=exactly(False)))
    attributes = entrance.by(token).get(ME_V1).body["data"]["attributes"]
    assert (attributes["email"], attributes["is_verified"]) == ("", exactly(False))


def test_who_has_signed_in_makes_keys_in_the_organization_of_the_header_and_calls_with_none(entrance: Scene) -> None:
    assert isinstance(entrance.world, Office)
    person = entrance.world.stranger().person()
    entrance.world.join(entrance.organization, entrance.owner, person)
    client = entrance.by(person)
    assert client.get(KEYS).seen == daytona_error(400, KEYS, "x-daytona-organization-id must name the organization")
    assert client.post(KEYS, {"name": "Mine"}, **entrance.here).seen == (201, new_api_key(name="Mine"))
    assert client.get(KEYS, **entrance.here).seen == (200, [api_key(name="Mine", userId=to_uuid(person.id))])
    assert client.get(CURRENT).seen == daytona_error(404, CURRENT, "API key current not found")
    assert client.delete(f"{KEYS}/Mine", **entrance.here).seen == (204, None)


def test_while_the_identity_provider_cannot_be_reached_sign_in_can_be_tried_again(entrance: Scene) -> None:
    assert isinstance(entrance.world, Office)
    token = entrance.world.stranger().token
    entrance.world.verifier.is_down = issuer = "https://login.example"
    message = f"the keys of identity provider {issuer} cannot be had now; safe to repeat"
    assert entrance.by(token).get(ME).seen == daytona_error(503, ME, message)
    assert entrance.by(token).get(ME_V1).seen == dotenv_error(503, "service_unavailable", message, issuer=issuer)
    assert entrance.as_owner.get(ME).status == 200
    entrance.world.verifier.is_down = ""
    assert entrance.by(token).get(ME).status == 200
