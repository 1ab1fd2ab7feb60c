"""Daytona's dialect, refusing: what is told, by which status, and in which words. Who may call at all: test_denied.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from e2e.scene import DEVELOPER, UNKNOWN, UNKNOWN_ULID, Scene
from e2e.shapes import Some, daytona_error, exactly, invitation, organization
from support.http import Http
from support.world import OWNER, fresh

from tenantry_server.domain.ids import to_uuid
from tenantry_server.domain.organizations import OrganizationState

MINE = "/api/organizations/invitations"
NAME = "name must have 1 to 200 characters, not all of them blank"
SAFE_NAME = "name must not contain an HTML tag, a web address, line ends or control characters"
SAFE_TEXT = "description must not contain an HTML tag, a web address or control characters"
ROLE = {"name": "Maintainer", "description": "", "permissions": ["read:volumes"]}
INVITATION = {"email": "new@example.com", "role": "member", "assignedRoleIds": []}
ACCESS = {"role": "member", "assignedRoleIds": []}
STANDING = "role must be in list [owner, member]"
UNKNOWN_ROLE = "assignedRoleIds.0 is not a role of the organization"
REGION = "defaultRegionId must be a region's id of 1 to 100 characters"
EXPIRY = "expiresAt must lie in the future, at most ten years from now"


def mentioning(*words: str) -> Some:
    """A text with these words in it."""
    return Some(f"text with {words}", lambda text: isinstance(text, str) and all(word in text for word in words))


# -- fields that break a rule: 400, naming each in this dialect's spelling -------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "rest", "body", "message"),
    [
        ("PATCH", "/default-region", {}, REGION),
        ("PATCH", "/default-region", {"defaultRegionId": "mars"}, "defaultRegionId is not a known region"),
        (
            "POST",
            "/sandbox-default-limited-network-egress",
            {},
            mentioning("sandboxDefaultLimitedNetworkEgress ", "required"),
        ),
        ("PUT", "/experimental-config", {"a": "x" * 17000}, "config must have at most 16 KiB as JSON"),
        ("POST", "/roles", ROLE | {"name": ""}, NAME),
        ("POST", "/roles", ROLE | {"name": "  "}, NAME),
        ("POST", "/roles", ROLE | {"name": "\u3000\u00a0\u200b\u2060"}, NAME),
        ("POST", "/roles", ROLE | {"name": "n" * 201}, NAME),
        ("POST", "/roles", ROLE | {"name": "see www.example.com"}, SAFE_NAME),
        ("POST", "/roles", ROLE | {"name": "<b>bold</b>"}, SAFE_NAME),
        ("POST", "/roles", ROLE | {"name": "Owner"}, mentioning("name must not look like")),
        ("POST", "/roles", {"name": "n", "permissions": ["read:volumes"]}, mentioning("description ", "required")),
        ("POST", "/roles", ROLE | {"description": "javascript:alert(1)"}, SAFE_TEXT),
        ("POST", "/roles", ROLE | {"permissions": []}, "permissions must name 1 to 500 permissions, each once"),
        (
            "POST",
            "/roles",
            ROLE | {"permissions": ["read:volumes", "fly:sandboxes"]},
            "permissions.1 'fly:sandboxes' is not a permission of the catalog",
        ),
        (
            "POST",
            "/roles",
            ROLE | {"permissions": ["organization:delete"]},
            "permissions.0 'organization:delete' is held by owners alone",
        ),
        ("POST", "/roles", ROLE | {"permissions": ["A B"]}, mentioning("permissions.0 must be a permission's name")),
        ("PUT", f"/roles/{UNKNOWN}", ROLE | {"name": ""}, NAME),
        ("POST", "/invitations", INVITATION | {"email": "nobody"}, "email must be an e-mail address of 3 to 320 characters"),
        ("POST", "/invitations", INVITATION | {"email": "a@b@c"}, "email must be an e-mail address"),
        ("POST", "/invitations", INVITATION | {"role": "admin"}, STANDING),
        ("POST", "/invitations", {"email": "new@example.com"}, STANDING),
        ("POST", "/invitations", INVITATION | {"assignedRoleIds": [UNKNOWN]}, UNKNOWN_ROLE),
        ("POST", "/invitations", INVITATION | {"assignedRoleIds": ["garbage"]}, UNKNOWN_ROLE),
        (
            "POST",
            "/invitations",
            INVITATION | {"assignedRoleIds": [DEVELOPER, DEVELOPER]},
            "assignedRoleIds must name at most 32 roles, each once",
        ),
        ("POST", "/invitations", INVITATION | {"expiresAt": "2020-01-01T00:00:00.000Z"}, EXPIRY),
        ("POST", "/invitations", INVITATION | {"expiresAt": "2099-01-01T00:00:00.000Z"}, EXPIRY),
        ("POST", f"/users/{UNKNOWN}/access", ACCESS | {"role": ""}, STANDING),
        ("POST", "/roles", {"name": "", "description": "<b>"}, mentioning(NAME, f", {SAFE_TEXT}", ", permissions must")),
    ],
)
def test_a_field_that_breaks_a_rule_is_named(scene: Scene, verb: str, rest: str, body: dict[str, Any], message: Any) -> None:
    with scene.world.unchanged(scene.organization):
        answer = scene.as_owner.call(verb, scene.path(rest), body)
    assert answer.seen == daytona_error(400, scene.path(rest), message)


def test_an_organization_needs_a_name_and_a_region(scene: Scene) -> None:
    path = "/api/organizations"
    assert scene.as_owner.post(path, {}).seen == daytona_error(400, path, f"{NAME}, {REGION}")
    answer = scene.as_owner.post(path, {"name": "x", "defaultRegionId": "mars"})
    assert answer.seen == daytona_error(400, path, "defaultRegionId is not a known region")


def test_the_path_of_an_error_has_the_query(scene: Scene) -> None:
    path = scene.path("/roles?verbose=1&x=%20y")
    assert scene.by(scene.stranger).get(path).seen == daytona_error(403, path)


# -- ids: of nothing, or of somebody else's ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "rest", "body", "noun"),
    [
        ("PUT", "/roles/{}", ROLE, "role"),
        ("DELETE", "/roles/{}", None, "role"),
        ("POST", "/users/{}/access", ACCESS, "member"),
        ("DELETE", "/users/{}", None, "member"),
        ("PUT", "/invitations/{}", ACCESS, "invitation"),
        ("POST", "/invitations/{}/cancel", None, "invitation"),
    ],
)
def test_what_is_unknown_malformed_or_of_another_organization_is_not_found(
    scene: Scene, verb: str, rest: str, body: dict[str, Any] | None, noun: str
) -> None:
    elsewhere = {
        "role": scene.world.role(scene.foreign, scene.stranger, "volume:read").id,
        "member": scene.world.member(scene.foreign, scene.stranger).id,
        "invitation": scene.world.invite(scene.foreign, scene.stranger, f"{fresh('x')}@example.com").id,
    }
    with scene.world.unchanged(scene.organization, scene.foreign):
        for sent in (UNKNOWN, UNKNOWN_ULID, "garbage", to_uuid(elsewhere[noun])):
            path = scene.path(rest.format(sent))
            answer = scene.as_owner.call(verb, path, *([body] if body is not None else []))
            assert answer.seen == daytona_error(404, path, f"{noun} {sent} not found")


def test_a_global_role_is_none_of_the_organizations(scene: Scene) -> None:
    path = scene.path(f"/roles/{DEVELOPER}")
    message = f"role {DEVELOPER} is a system role"
    assert scene.as_owner.put(path, ROLE).seen == daytona_error(404, path, message)
    assert scene.as_owner.delete(path).seen == daytona_error(404, path, message)


@pytest.mark.parametrize("step", ["accept", "decline"])
def test_an_invitation_to_somebody_else_is_not_found(scene: Scene, step: str) -> None:
    made = scene.world.invite(scene.organization, scene.owner, f"{fresh('x')}@example.com")
    for sent in (scene.uuid(made), UNKNOWN, "garbage"):
        path = f"{MINE}/{sent}/{step}"
        assert scene.by(scene.stranger).post(path).seen == daytona_error(404, path, f"invitation {sent} not found")


# -- rules -------------------------------------------------------------------------------------------------------------


def test_the_last_owner_neither_leaves_nor_is_removed_nor_demoted(scene: Scene) -> None:
    message = f"organization {to_uuid(scene.organization.id)} must keep an owner"
    owner = scene.uuid(scene.owner)
    robot = scene.by(scene.world.token(organization_id=scene.organization.id))
    with scene.world.unchanged(scene.organization):
        path = scene.path("/leave")
        assert scene.as_owner.post(path).seen == daytona_error(403, path, message)
        path = scene.path(f"/users/{owner}")
        assert scene.as_owner.delete(path).seen == daytona_error(403, path, message)
        assert robot.delete(path).seen == daytona_error(403, path, message)
        path = scene.path(f"/users/{owner}/access")
        assert robot.post(path, ACCESS).seen == daytona_error(403, path, message)
        assert scene.as_owner.post(path, ACCESS).seen == daytona_error(403, path, "nobody changes their own access")


def test_a_personal_organization_is_neither_left_deleted_nor_shared(scene: Scene) -> None:
    personal = scene.owner.personal_organization_id
    path = f"/api/organizations/{to_uuid(personal)}"
    message = f"organization {to_uuid(personal)} is personal: it has one member and cannot be left, shared or deleted"
    owner = scene.as_owner
    assert owner.delete(path).seen == daytona_error(403, path, message)
    assert owner.post(f"{path}/leave").seen == daytona_error(403, f"{path}/leave", message)
    assert owner.post(f"{path}/invitations", INVITATION).seen == daytona_error(403, f"{path}/invitations", message)


def test_nobody_grants_what_they_do_not_hold(scene: Scene) -> None:
    inviter = scene.world.member_with(
        scene.organization, scene.owner, "invitation:create", "member:update", "role:create", "role:update"
    )
    client = scene.by(inviter)
    beyond = "nobody grants what they do not hold: write:sandboxes"
    role = scene.world.role(scene.organization, scene.owner, "team:read", name="Harmless")
    cases = [
        ("POST", "/roles", ROLE | {"permissions": ["write:sandboxes"]}),
        ("PUT", f"/roles/{scene.uuid(role)}", ROLE | {"permissions": ["write:sandboxes"]}),
        ("POST", "/invitations", INVITATION | {"assignedRoleIds": [DEVELOPER]}),
        ("POST", f"/users/{scene.uuid(scene.member)}/access", ACCESS | {"assignedRoleIds": [DEVELOPER]}),
    ]
    with scene.world.unchanged(scene.organization):
        for verb, rest, body in cases:
            path = scene.path(rest)
            assert client.call(verb, path, body).seen == daytona_error(403, path, beyond)
        path = scene.path("/invitations")
        answer = client.post(path, INVITATION | {"role": "owner"})
        assert answer.seen == daytona_error(403, path, mentioning("nobody grants what they do not hold: ", "billing:write"))
        path = scene.path(f"/users/{scene.uuid(scene.owner)}/access")
        refusal = daytona_error(403, path, f"only owners change or remove the owner {scene.uuid(scene.owner)}")
        assert client.post(path, ACCESS).seen == refusal


def test_who_is_a_member_or_invited_already_is_not_invited_again(scene: Scene) -> None:
    path = scene.path("/invitations")
    answer = scene.as_owner.post(path, INVITATION | {"email": scene.member.email.upper()})
    assert answer.seen == daytona_error(409, path, "already a member")
    body = INVITATION | {"email": f"{fresh('x')}@example.com"}
    assert scene.as_owner.post(path, body).seen == (201, invitation())
    assert scene.as_owner.post(path, body).seen == daytona_error(409, path, f"an invitation of {body['email']} is pending")


def test_who_has_become_a_member_another_way_does_not_accept_and_keeps_their_access(scene: Scene) -> None:
    invitee = scene.world.person("invitee")
    made = scene.world.invite(scene.organization, scene.owner, invitee.email)
    scene.world.join(scene.organization, scene.owner, invitee, role=OWNER)
    path = f"{MINE}/{scene.uuid(made)}/accept"
    with scene.world.unchanged(scene.organization):
        answer = scene.by(invitee).post(path)
    assert answer.seen == daytona_error(403, path, f"invitation {scene.uuid(made)} is cancelled")
    assert [each["role"] for each in scene.as_owner.get(scene.path("/users")).body] == ["owner", "owner"]


@pytest.mark.parametrize("ending", ["accept", "decline", "cancel", "expire"])
def test_an_invitation_that_has_ended_stays_ended(scene: Scene, ending: str) -> None:
    invitee = scene.world.person("invitee")
    made = scene.world.invite(scene.organization, scene.owner, invitee.email)
    on_invitation, to_me = scene.path(f"/invitations/{scene.uuid(made)}"), f"{MINE}/{scene.uuid(made)}"
    if ending == "expire":
        scene.world.clock.advance(timedelta(days=8))
        message: Any = mentioning(f"invitation {to_uuid(made.id)} expired at 20", "Z")
    else:
        path = f"{on_invitation}/cancel" if ending == "cancel" else f"{to_me}/{ending}"
        assert scene.by(scene.owner if ending == "cancel" else invitee).post(path).status in (200, 204)
        state = {"accept": "accepted", "decline": "declined", "cancel": "cancelled"}[ending]
        message = f"invitation {to_uuid(made.id)} is {state}"
    calls: list[tuple[Http, str, str]] = [
        (scene.as_owner, "PUT", on_invitation),
        (scene.as_owner, "POST", f"{on_invitation}/cancel"),
        (scene.by(invitee), "POST", f"{to_me}/accept"),
        (scene.by(invitee), "POST", f"{to_me}/decline"),
    ]
    with scene.world.unchanged(scene.organization):
        for client, verb, path in calls:
            assert client.call(verb, path, ACCESS).seen == daytona_error(403, path, message)


def test_what_needs_a_verified_address_says_so(scene: Scene) -> None:
    email = f"{fresh('x')}@example.com"
    made = scene.world.invite(scene.organization, scene.owner, email)
    person = scene.by(scene.world.person(email=email, verified=False))
    message = "the caller's e-mail address is not verified"
    cases = [("GET", MINE), ("GET", f"{MINE}/count")]
    cases += [("POST", f"{MINE}/{scene.uuid(made)}/{step}") for step in ("accept", "decline")]
    for verb, path in cases:
        assert person.call(verb, path).seen == daytona_error(403, path, message)
    answer = person.post("/api/organizations", {"name": "x", "defaultRegionId": "us"})
    assert answer.seen == daytona_error(403, "/api/organizations", message)


def test_a_suspended_organization_refuses_changes_and_says_why(scene: Scene) -> None:
    scene.world.set_state(scene.organization.id, OrganizationState.SUSPENDED)
    path = scene.path("/roles")
    answer = scene.as_owner.post(path, ROLE)
    assert answer.seen == daytona_error(403, path, f"organization {to_uuid(scene.organization.id)} is suspended")
    assert scene.as_owner.get(scene.path()).seen == (200, organization(suspended=exactly(True)))
