"""Daytona's dialect: whose keys a call is about, and what is refused of them. Who may call at all: test_denied.py."""

from __future__ import annotations

import http.client
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from e2e.scene import HEADER, UNKNOWN, UNKNOWN_ULID, Scene, header
from e2e.shapes import Some, api_key, daytona_error, new_api_key
from support.http import TIMEOUT, Answer
from support.world import fresh

from tenantry_server.domain.ids import to_uuid
from tenantry_server.domain.organizations import OrganizationState

KEYS = "/api/api-keys"
CURRENT = f"{KEYS}/current"
KEY: dict[str, Any] = {"name": "Nightly", "permissions": []}
NAME = "name must have 1 to 200 characters, not all of them blank"
SAFE_NAME = "name must not contain an HTML tag, a web address, line ends or control characters"
FORM = "must be a permission's name of 1 to 100 characters"
NO_HEADER = "x-daytona-organization-id must name the organization"
EXPIRED = "expiresAt must be in the future"


def denied(sent: str) -> str:
    """There is no such organization, as far as the caller may know."""
    return f"no access to organization {sent}, or it does not exist"


def mentioning(word: str) -> Some:
    """A text with this word in it."""
    return Some(f"text with {word}", lambda text: isinstance(text, str) and word in text)


def key_of(scene: Scene, *permissions: str, **more: Any) -> str:
    """A key of the owner, bound to the scene's organization."""
    answer = scene.as_owner.post(KEYS, {"name": fresh("key"), "permissions": permissions, **more}, **scene.here)
    return str(answer.body["value"])


# -- which organization ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [str, str.lower, to_uuid, lambda ulid: to_uuid(ulid).upper(), " {} ".format])
def test_the_header_names_the_organization_in_any_spelling(scene: Scene, spelling: Any) -> None:
    here = {HEADER: spelling(scene.organization.id)}
    assert scene.as_owner.post(KEYS, KEY, **here).seen == (201, new_api_key(name="Nightly"))
    assert scene.as_owner.get(KEYS, **here).seen == (200, [api_key()])
    assert scene.as_owner.get(f"{KEYS}/Nightly", **here).seen == (200, api_key())
    assert scene.as_owner.delete(f"{KEYS}/Nightly", **here).seen == (204, None)


@pytest.mark.parametrize("name", ["organizationId", "organization_id"])
def test_neither_the_query_nor_the_body_names_another_organization_than_the_header(scene: Scene, name: str) -> None:
    other = scene.world.organization(scene.owner, "Other")
    with scene.world.unchanged(other):
        for number, sent in enumerate((other.id, to_uuid(other.id), None)):
            answer = scene.as_owner.post(KEYS, {"name": f"key {number}", name: sent}, **scene.here)
            assert answer.seen == (201, new_api_key())
        listed = scene.as_owner.get(f"{KEYS}?{name}={other.id}", **scene.here)
        assert listed.seen == (200, [api_key(name=f"key {number}") for number in (2, 1, 0)])
        assert scene.as_owner.delete(f"{KEYS}/key%200?{name}={other.id}", **scene.here).seen == (204, None)
    assert scene.as_owner.get(KEYS, **header(other)).seen == (200, [])


def test_a_key_means_its_own_organization_whatever_the_header_says(scene: Scene) -> None:
    key = scene.by(key_of(scene, "api-token:create", "api-token:read", "api-token:delete"))
    other = scene.world.organization(scene.owner, "Other")
    headers: list[dict[str, str]] = [{}, {HEADER: ""}, {HEADER: "garbage"}, {HEADER: UNKNOWN}, header(other), scene.here]
    with scene.world.unchanged(other, scene.foreign):
        for more in (*headers, header(scene.foreign)):
            assert key.post(KEYS, KEY, **more).seen == (201, new_api_key(name="Nightly"))
            assert [each["name"] for each in key.get(KEYS, **more).body] == ["Nightly", key.get(CURRENT).body["name"]]
            assert key.get(f"{KEYS}/Nightly", **more).seen == (200, api_key(name="Nightly"))
            assert key.delete(f"{KEYS}/Nightly", **more).seen == (204, None)


def test_two_headers_name_no_organization(scene: Scene) -> None:
    other = scene.world.organization(scene.owner, "Other")

    def sent(token: str, *values: str) -> Answer:
        with closing(http.client.HTTPConnection(scene.gateway.address, timeout=TIMEOUT)) as connection:
            connection.putrequest("GET", KEYS)
            connection.putheader("Authorization", f"Bearer {token}")
            for value in values:
                connection.putheader(HEADER, value)
            connection.endheaders()
            with closing(connection.getresponse()) as response:
                return Answer(response.status, response.headers, response.read())

    here = scene.organization.id
    for first, second in ((here, other.id), (here, here), ("garbage", here), ("", here), (here, "")):
        assert sent(scene.owner.token, first, second).seen == daytona_error(400, KEYS, NO_HEADER)
    joined = f"{here}, {other.id}"
    assert sent(scene.owner.token, joined).seen == daytona_error(403, KEYS, denied(joined))
    bound = scene.world.token(scene.owner, organization_id=here)
    assert sent(bound, "garbage", other.id).seen == (200, [api_key(permissions=Some("all", lambda names: len(names) == 15))])


def test_an_organization_of_others_is_like_one_that_does_not_exist_whatever_is_asked_of_it(scene: Scene) -> None:
    theirs = scene.by(scene.stranger).post(KEYS, KEY, **header(scene.foreign))
    assert theirs.status == 201
    deleted = scene.world.organization(scene.owner, "Deleted")
    assert scene.as_owner.delete(f"/api/organizations/{deleted.id}").status == 204
    calls: list[tuple[str, str, list[Any]]] = [
        ("GET", KEYS, []),
        ("POST", KEYS, [KEY]),
        ("POST", KEYS, [KEY | {"permissions": ["fly:sandboxes"]}]),
        ("POST", KEYS, [KEY | {"expiresAt": "2020-01-01T00:00:00Z"}]),
        ("GET", f"{KEYS}/Nightly", []),
        ("DELETE", f"{KEYS}/Nightly", []),
        ("DELETE", f"{KEYS}/{scene.stranger.id}/Nightly", []),
        ("DELETE", f"{KEYS}/{scene.owner.id}/Nightly", []),
    ]
    with scene.world.unchanged(scene.foreign):
        for sent in (scene.uuid(scene.foreign), scene.foreign.id, deleted.id, UNKNOWN, UNKNOWN_ULID, "garbage", "é"):
            for verb, path, body in calls:
                answer = scene.as_owner.call(verb, path, *body, **{HEADER: sent})
                assert answer.seen == daytona_error(403, path, denied(sent)), (verb, path)


# -- fields that break a rule: 400, naming each in this dialect's spelling -------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, NAME),
        ({"name": ""}, NAME),
        ({"name": " \u2003"}, NAME),
        ({"name": "n" * 201}, NAME),
        ({"name": "a\nb"}, SAFE_NAME),
        ({"name": "see www.example.com"}, SAFE_NAME),
        ({"name": "\u202eabc"}, SAFE_NAME),
        ({"name": 5}, mentioning("name")),
        (KEY | {"permissions": ["write:sandboxes", "A B"]}, f"permissions.1 {FORM}"),
        (KEY | {"permissions": ["", "p" * 101]}, f"permissions.0 {FORM}, permissions.1 {FORM}"),
        (
            KEY | {"permissions": ["write:sandboxes", "fly:sandboxes", "api-token:read", "aa:b"]},
            "permissions.1 'fly:sandboxes' is not a permission of the catalog, "
            "permissions.3 'aa:b' is not a permission of the catalog",
        ),
        (KEY | {"permissions": ["*"]}, "permissions.0 '*' is not a permission of the catalog"),
        (KEY | {"permissions": ["user:delete"]}, "permissions.0 'user:delete' is not a permission of the catalog"),
        (KEY | {"permissions": ["read:volumes"] * 2}, "permissions must name at most 500 permissions, each once"),
        (KEY | {"permissions": "read:volumes,"}, mentioning("permissions")),
        (KEY | {"permissions": {}}, mentioning("permissions")),
        (KEY | {"expiresAt": "2020-01-01T00:00:00.000Z"}, EXPIRED),
        (KEY | {"expiresAt": "tomorrow"}, mentioning("expiresAt")),
        (KEY | {"expiresAt": "2030-01-01"}, mentioning("expiresAt")),
        (KEY | {"expiresAt": 1893456000}, mentioning("expiresAt")),
    ],
)
def test_a_field_that_breaks_a_rule_is_named(scene: Scene, body: dict[str, Any], message: Any) -> None:
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.post(KEYS, body, **scene.here).seen == daytona_error(400, KEYS, message)


def test_a_key_does_not_expire_in_the_very_moment_that_it_is_made(scene: Scene) -> None:
    now = scene.world.clock.now()
    with scene.world.at(now):
        for expires, status in ((now, 400), (now + timedelta(milliseconds=1), 201)):
            body = {"name": fresh("key"), "expiresAt": expires.isoformat()}
            assert scene.as_owner.post(KEYS, body, **scene.here).status == status


def test_a_name_in_a_path_keeps_the_rules_too(scene: Scene) -> None:
    for verb in ("GET", "DELETE"):
        for rest, message in (("/%20", NAME), (f"/{'n' * 201}", NAME), ("/%3Cb%3E", SAFE_NAME), ("/a%0Ab", SAFE_NAME)):
            assert scene.as_owner.call(verb, KEYS + rest, **scene.here).seen == daytona_error(400, KEYS + rest, message)
        answer = scene.as_owner.call(verb, f"{KEYS}/%FF", **scene.here)
        assert answer.seen == daytona_error(400, f"{KEYS}/%FF", "the request is no valid message")


# -- rules -------------------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_a_conflict(scene: Scene) -> None:
    assert scene.as_owner.post(KEYS, KEY, **scene.here).status == 201
    with scene.world.unchanged(scene.organization):
        answer = scene.as_owner.post(KEYS, KEY | {"permissions": ["write:sandboxes"]}, **scene.here)
    assert answer.seen == daytona_error(409, KEYS, "there is an API key named Nightly already")
    other = scene.world.organization(scene.owner, "Other")
    assert scene.as_owner.post(KEYS, KEY, **header(other)).status == 201
    assert scene.by(scene.member).post(KEYS, KEY, **scene.here).status == 201


def test_nobody_grants_a_key_what_they_do_not_hold(scene: Scene) -> None:
    beyond = "nobody grants what they do not hold: "
    developer = scene.world.member_with(scene.organization, scene.owner, "sandbox:write")
    narrowed = scene.world.token(scene.owner, permissions=["api-token:create", "volume:read", "organization:read"])
    with scene.world.unchanged(scene.organization):
        body = KEY | {"permissions": ["delete:sandboxes", "write:sandboxes", "api-token:read"]}
        answer = scene.by(developer).post(KEYS, body, **scene.here)
        assert answer.seen == daytona_error(403, KEYS, f"{beyond}api-token:read, delete:sandboxes")
        # A key may read what every member may, which this credential may not.
        answer = scene.by(narrowed).post(KEYS, KEY | {"permissions": ["read:volumes"]}, **scene.here)
        assert answer.seen == daytona_error(403, KEYS, mentioning(f"{beyond}invitation:accept, "))
    allowed = KEY | {"permissions": ["write:sandboxes"]}
    assert scene.by(developer).post(KEYS, allowed, **scene.here).seen == (201, new_api_key(permissions=["write:sandboxes"]))


def test_a_key_outlives_no_key_that_makes_it(scene: Scene) -> None:
    end = "2030-01-01T00:00:00.000Z"
    maker = scene.by(key_of(scene, "api-token:create", expiresAt=end))
    answer = maker.post(KEYS, KEY | {"expiresAt": "2030-01-01T00:00:00.001Z"})
    assert answer.seen == daytona_error(400, KEYS, "expiresAt must not be later than that of the calling token")
    assert maker.post(KEYS, KEY).seen == (201, new_api_key(expiresAt=end))


def test_a_suspended_organization_makes_and_shows_no_keys_but_ends_ones_own(scene: Scene) -> None:
    key, mine = key_of(scene), scene.by(scene.member).post(KEYS, KEY, **scene.here).body["value"]
    scene.world.set_state(scene.organization.id, OrganizationState.SUSPENDED)
    message = f"organization {scene.uuid(scene.organization)} is suspended"
    theirs = f"{KEYS}/{scene.uuid(scene.member)}/Nightly"
    for verb, path, body in (
        ("GET", KEYS, []),
        ("POST", KEYS, [KEY]),
        ("GET", f"{KEYS}/Nightly", []),
        ("DELETE", theirs, []),
    ):
        answer = scene.as_owner.call(verb, path, *body, **scene.here)
        assert answer.seen == daytona_error(403, path, message)
    assert scene.by(key).get(CURRENT).status == 200
    assert scene.by(scene.member).delete(theirs, **scene.here).seen == (204, None)
    assert scene.by(mine).get(CURRENT).status == 401


def test_keys_end_with_the_membership(scene: Scene) -> None:
    key = scene.by(scene.by(scene.member).post(KEYS, KEY, **scene.here).body["value"])
    assert key.get(CURRENT).status == 200
    assert scene.by(scene.member).post(scene.path("/leave")).status == 204
    assert key.get(CURRENT).seen == daytona_error(401, CURRENT, "the credential is not valid")
    assert scene.as_owner.get(KEYS, **scene.here).seen == (200, [])


@pytest.mark.parametrize("named", [True, False])
def test_a_platform_token_has_no_keys(scene: Scene, named: bool) -> None:
    platform = scene.by(scene.world.platform_token())
    answer = platform.get(KEYS, **(scene.here if named else {}))
    message = "this call cannot be made with a credential of kind platform" if named else NO_HEADER
    assert answer.seen == daytona_error(403 if named else 400, KEYS, message)
    current = platform.get(CURRENT)
    assert (current.status, current.body["permissions"], current.body["userId"]) == (200, [], "")
