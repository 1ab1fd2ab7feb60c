"""Daytona's dialect: API keys of people, in the organization that a header names, and the person who calls."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from e2e.scene import Scene, header
from e2e.shapes import (
    INSTANT,
    api_key,
    daytona_error,
    matching,
    new_api_key,
)
from support.http import Answer
from support.world import OWNER, Person

KEYS = "/api/api-keys"
CURRENT = f"{KEYS}/current"
ME = "/api/users/me"
# Every permission that has a name of this dialect.
PUBLISHED = [
    *("write:registries", "delete:registries", "write:snapshots", "delete:snapshots", "write:sandboxes", "delete:sandboxes"),
    *("read:volumes", "write:volumes", "delete:volumes", "write:regions", "delete:regions"),
    *("read:runners", "write:runners", "delete:runners", "read:audit_logs"),
]


def make(scene: Scene, name: str, *permissions: str, by: Person | None = None, **more: Any) -> str:
    """A key of the owner or of somebody else, in the scene's organization: its secret."""
    body = {"name": name, "permissions": permissions, **more}
    answer = scene.by(by or scene.owner).post(KEYS, body, **scene.here)
    assert answer.status == 201, answer.raw
    return str(answer.body["value"])


def names(answer: Answer) -> list[str]:
    """Of the keys in a list."""
    assert answer.status == 200, answer.raw
    return [each["name"] for each in answer.body]


# -- make, show, end ---------------------------------------------------------------------------------------------------


def test_a_key_is_made_with_its_secret_which_is_masked_from_then_on(scene: Scene) -> None:
    body = {"name": "Nightly", "permissions": ["write:sandboxes", "read:volumes"], "expiresAt": "2030-01-01T00:00:00.000Z"}
    answer = scene.as_owner.post(KEYS, body, **scene.here)
    granted = ["write:sandboxes", "read:volumes"]
    assert answer.seen == (201, new_api_key(name="Nightly", permissions=granted, expiresAt="2030-01-01T00:00:00.000Z"))
    assert answer.headers["content-type"] == "application/json"
    value = answer.body["value"]
    shown = api_key(
        name="Nightly",
        value=f"{value[:12]}{'*' * 20}",
        createdAt=answer.body["createdAt"],
        permissions=granted,
        expiresAt="2030-01-01T00:00:00.000Z",
        userId=scene.uuid(scene.owner),
    )
    one, everything = scene.as_owner.get(f"{KEYS}/Nightly", **scene.here), scene.as_owner.get(KEYS, **scene.here)
    assert (one.seen, everything.seen) == ((200, shown), (200, [shown]))
    current = scene.by(value).get(CURRENT)
    assert value not in str((one.raw, everything.raw, current.raw))
    assert current.seen == (200, shown)


@pytest.mark.parametrize("body", [{}, {"permissions": []}, {"permissions": None, "expiresAt": None}])
def test_a_key_without_permissions_may_read_what_every_member_may(scene: Scene, body: dict[str, Any]) -> None:
    answer = scene.as_owner.post(KEYS, {"name": "Reader"} | body, **scene.here)
    assert answer.seen == (201, new_api_key(name="Reader"))
    reader = scene.by(answer.body["value"])
    assert reader.get(scene.path("/users")).status == 200
    assert reader.get("/api/organizations").body == [scene.as_owner.get(scene.path()).body]
    refused = reader.get(KEYS)
    assert refused.seen == daytona_error(403, KEYS, "permission missing: api-token:read")


def test_a_key_does_what_it_was_granted_and_nothing_else(scene: Scene) -> None:
    key = scene.by(make(scene, "Bot", "role:create", "write:volumes"))
    role = {"name": "Made by a key", "description": "", "permissions": ["write:volumes"]}
    assert key.post(scene.path("/roles"), role).status == 201
    path = scene.path("/default-region")
    refused = key.patch(path, {"defaultRegionId": "us"})
    assert refused.seen == daytona_error(403, path, "permission missing: organization:update")


def test_a_permission_is_granted_by_either_of_its_names_once(scene: Scene) -> None:
    both = ["write:sandboxes", "sandbox:write", "organization:read", "api-token:create"]
    answer = scene.as_owner.post(KEYS, {"name": "Either", "permissions": both}, **scene.here)
    assert answer.seen == (201, new_api_key(permissions=["api-token:create", "write:sandboxes"]))


def test_an_ended_key_is_refused_with_the_next_call_and_its_name_is_free(scene: Scene) -> None:
    key = scene.by(make(scene, "Nightly"))
    assert key.get(CURRENT).status == 200
    assert scene.as_owner.delete(f"{KEYS}/Nightly", **scene.here).seen == (204, None)
    assert key.get(CURRENT).seen == daytona_error(401, CURRENT, "the credential is not valid")
    gone = scene.as_owner.delete(f"{KEYS}/Nightly", **scene.here)
    assert gone.seen == daytona_error(404, f"{KEYS}/Nightly", "API key Nightly not found")
    assert scene.as_owner.post(KEYS, {"name": "Nightly"}, **scene.here).status == 201


def test_a_key_that_expires_is_refused_from_then_on(scene: Scene) -> None:
    end = scene.world.clock.now() + timedelta(minutes=1)
    key = scene.by(make(scene, "Short", expiresAt=end.isoformat()))
    assert key.get(CURRENT).status == 200
    scene.world.clock.advance(timedelta(minutes=1))
    assert key.get(CURRENT).seen == daytona_error(401, CURRENT, "the credential is not valid")
    assert names(scene.as_owner.get(KEYS, **scene.here)) == ["Short"]


def test_a_key_can_end_itself(scene: Scene) -> None:
    key = scene.by(make(scene, "Suicidal", "api-token:delete"))
    assert key.delete(f"{KEYS}/Suicidal").seen == (204, None)
    assert key.get(CURRENT).status == 401


def test_making_and_ending_a_key_are_in_the_organizations_trail_without_its_secret(scene: Scene) -> None:
    value = make(scene, "Nightly", "write:sandboxes")
    assert scene.as_owner.delete(f"{KEYS}/Nightly", **scene.here).status == 204
    events = scene.world.events(scene.organization, scene.owner)[:2]
    assert [event.action for event in events] == ["api_token.revoke", "api_token.create"]
    assert len({event.target.id for event in events}) == 1
    assert value not in str(events)


# -- the list ----------------------------------------------------------------------------------------------------------


def test_the_list_begins_with_what_was_used_last_and_then_with_what_was_made_last(scene: Scene) -> None:
    secrets = {}
    for name in ("a", "b", "c", "d"):
        secrets[name] = make(scene, name)
        scene.world.clock.advance(timedelta(seconds=1))
    assert names(scene.as_owner.get(KEYS, **scene.here)) == ["d", "c", "b", "a"]
    for name in ("c", "a"):
        scene.by(secrets[name]).get(CURRENT)
        scene.world.deployment.server._last_used.flush()
        scene.world.clock.advance(timedelta(seconds=1))
    answer = scene.as_owner.get(KEYS, **scene.here)
    assert names(answer) == ["a", "c", "d", "b"]
    used = api_key(lastUsedAt=INSTANT)
    assert answer.body == [used, used, api_key(), api_key()]
    assert answer.body[0]["lastUsedAt"] > answer.body[1]["lastUsedAt"] > answer.body[0]["createdAt"]


def test_who_may_read_keys_sees_everybodys_and_others_see_their_own(scene: Scene) -> None:
    other_owner = scene.world.member(scene.organization, scene.owner, role=OWNER)
    auditor = scene.world.member_with(scene.organization, scene.owner, "api-token:read")
    make(scene, "mine")
    make(scene, "theirs", by=scene.member)
    for caller in (scene.owner, other_owner, auditor):
        answer = scene.by(caller).get(KEYS, **scene.here)
        assert names(answer) == ["theirs", "mine"]
        assert [each["userId"] for each in answer.body] == [scene.uuid(scene.member), scene.uuid(scene.owner)]
    assert names(scene.by(scene.member).get(KEYS, **scene.here)) == ["theirs"]
    assert scene.by(scene.member).get(f"{KEYS}/theirs", **scene.here).body["userId"] == scene.uuid(scene.member)
    missing = scene.as_owner.get(f"{KEYS}/theirs", **scene.here)
    assert missing.seen == daytona_error(404, f"{KEYS}/theirs", "API key theirs not found")


def test_the_list_has_the_keys_of_the_organization_and_no_tokens_of_another_kind(scene: Scene) -> None:
    scene.world.token(organization_id=scene.organization.id)  # the organization's own
    scene.world.token(scene.owner)  # good for all of the owner's organizations
    other = scene.world.organization(scene.owner, "Other")
    assert scene.as_owner.post(KEYS, {"name": "elsewhere"}, **header(other)).status == 201
    answer = scene.as_owner.get(KEYS, **scene.here)
    assert (answer.status, answer.raw) == (200, b"[]")
    make(scene, "here")
    assert names(scene.as_owner.get(KEYS, **scene.here)) == ["here"]
    assert names(scene.as_owner.get(KEYS, **header(other))) == ["elsewhere"]


def test_a_key_of_another_member_is_ended_by_who_may(scene: Scene) -> None:
    key = scene.by(make(scene, "Theirs", by=scene.member))
    path = f"{KEYS}/{scene.uuid(scene.member)}/Theirs"
    colleague = scene.by(scene.world.member(scene.organization, scene.owner))
    with scene.world.unchanged(scene.organization):
        answer = colleague.delete(path, **scene.here)
        assert answer.seen == daytona_error(403, path, "permission missing: api-token:delete")
    assert key.get(CURRENT).status == 200
    assert scene.as_owner.delete(path, **scene.here).seen == (204, None)
    assert key.get(CURRENT).status == 401
    assert scene.as_owner.delete(path, **scene.here).seen == daytona_error(404, path, "API key Theirs not found")


def test_the_path_with_a_user_ends_ones_own_keys_too_in_any_spelling_of_the_user(scene: Scene) -> None:
    for spelt in (scene.member.id, scene.member.id.lower(), scene.uuid(scene.member), scene.uuid(scene.member).upper()):
        make(scene, "Mine", by=scene.member)
        assert scene.by(scene.member).delete(f"{KEYS}/{spelt}/Mine", **scene.here).seen == (204, None)


# -- the current key ---------------------------------------------------------------------------------------------------


def test_the_current_key_is_the_one_that_calls_whatever_it_is(scene: Scene) -> None:
    everywhere = api_key(permissions=PUBLISHED, userId=scene.uuid(scene.owner))
    assert scene.as_owner.get(CURRENT).seen == (200, everywhere)
    assert scene.as_owner.get(CURRENT, **scene.here).seen == (200, everywhere)
    narrowed = scene.world.token(scene.owner, permissions=["sandbox:write", "role:read", "role:create"])
    assert scene.by(narrowed).get(CURRENT).body["permissions"] == ["role:create", "write:sandboxes"]
    robot = scene.by(scene.world.token(organization_id=scene.organization.id))
    masked = matching(r"tnt_org_[0-9A-Za-z]{4}\*{20}")
    assert robot.get(CURRENT).seen == (200, api_key(value=masked, permissions=PUBLISHED, userId=""))


def test_a_key_named_current_is_made_and_ended_like_any_other(scene: Scene) -> None:
    make(scene, "current", "write:sandboxes")
    assert names(scene.as_owner.get(KEYS, **scene.here)) == ["current"]
    # This path is the key that calls.
    assert scene.as_owner.get(CURRENT, **scene.here).body["permissions"] == PUBLISHED
    assert scene.as_owner.delete(CURRENT, **scene.here).seen == (204, None)
    assert scene.as_owner.get(KEYS, **scene.here).seen == (200, [])


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("my nightly key", "100%", "%2F", "a/b", "/", "a+b", "a:b", "a?b=c", "a#b", "a;b=1", "a&b", "a.", "~", '"quoted"'),
        *("CURRENT", "ünïcödé", "日本語", "🔑", "n" * 200, "ü" * 200),
    ],
)
def test_a_key_is_found_by_its_name_whatever_that_is(scene: Scene, name: str) -> None:
    make(scene, "another")
    assert scene.as_owner.post(KEYS, {"name": name}, **scene.here).seen == (201, new_api_key(name=name))
    path = f"{KEYS}/{quote(name, safe='')}"
    assert scene.as_owner.get(path, **scene.here).seen == (200, api_key(name=name))
    assert scene.as_owner.get(f"{path}?name=another", **scene.here).seen == (200, api_key(name=name))
    assert scene.as_owner.delete(path, **scene.here).seen == (204, None)
    assert names(scene.as_owner.get(KEYS, **scene.here)) == ["another"]


def test_names_differ_by_every_letter_and_are_each_members_own(scene: Scene) -> None:
    for name in ("nightly", "Nightly", "nightly "):
        make(scene, name)
    make(scene, "nightly", by=scene.member)
    assert names(scene.as_owner.get(KEYS, **scene.here)) == ["nightly", "nightly ", "Nightly", "nightly"]
