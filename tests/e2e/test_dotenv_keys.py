"""dotenv.cloud's dialect: the tokens of an organization. Who may call at all: test_denied.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from e2e.scene import UNKNOWN, Scene
from e2e.shapes import WHOLE_INSTANT, Some, dotenv_error, dotenv_key, dotenv_new_key
from support.world import fresh

from tenantry_server.domain.ids import to_uuid

ME = "/api/v1/user"
EXPIRES = "2030-01-01T00:00:00Z"
REVOKED = dotenv_error(401, "unauthenticated", "the credential is not valid")


def made(scene: Scene, *abilities: str, **more: Any) -> Any:
    """A new token of the scene's organization, with its secret; without abilities one that narrows nothing."""
    body = {"name": fresh("token "), "abilities": abilities or ["*"], **more}
    answer = scene.as_owner.post(scene.v1("/api-keys"), body)
    assert answer.status == 201, answer.raw
    return answer.body


def path_of(scene: Scene, token: Any, rest: str = "") -> str:
    """The path of a new token."""
    return scene.v1(f"/api-keys/{token['api_key']['id']}{rest}")


def unknown(sent: str) -> tuple[int, dict[str, Any]]:
    """There is no such token."""
    return dotenv_error(404, "not_found", f"API token {sent} not found", api_token_id=sent)


# -- make, show, list --------------------------------------------------------------------------------------------------


def test_a_token_is_made_with_its_secret_which_is_never_shown_again(scene: Scene) -> None:
    body = {"name": "ci", "abilities": ["secret:read", "project:read"], "expires_at": EXPIRES}
    answer = scene.as_owner.post(scene.v1("/api-keys"), body)
    assert answer.seen == (201, dotenv_new_key(name="ci", abilities=["project:read", "secret:read"], expires_at=EXPIRES))
    assert answer.headers["content-type"] == "application/json"
    token, shown = answer.body["token"], answer.body["api_key"]
    assert shown["token_prefix"] == token[:12]
    one, everything = scene.as_owner.get(path_of(scene, answer.body)), scene.as_owner.get(scene.v1("/api-keys"))
    assert one.seen == (200, {"data": shown})
    assert shown in everything.body["data"]
    assert token not in str((one.raw, everything.raw))
    for spelt in (shown["id"].lower(), to_uuid(shown["id"]), to_uuid(shown["id"]).upper()):
        assert scene.as_owner.get(scene.v1(f"/api-keys/{spelt}")).seen == (200, {"data": shown})


@pytest.mark.parametrize("expiry", [{}, {"expires_at": None}])
def test_everything_is_an_asterisk_and_a_token_without_expiry_has_none(scene: Scene, expiry: dict[str, Any]) -> None:
    answer = scene.as_owner.post(scene.v1("/api-keys"), {"name": "all", "abilities": ["*"], **expiry})
    assert answer.seen == (201, dotenv_new_key(name="all", abilities=["*"]))
    robot = scene.by(answer.body["token"])
    assert robot.patch(scene.v1(), {"name": "By a robot"}).status == 200
    assert scene.last_event().actor.credential_id == answer.body["api_key"]["id"]


def test_a_token_does_what_it_was_granted_and_nothing_else(scene: Scene) -> None:
    robot = scene.by(made(scene, "organization:read", "api-token:read")["token"])
    assert robot.get(scene.v1()).status == 200
    assert robot.get(scene.v1("/api-keys")).status == 200
    refused = robot.patch(scene.v1(), {"name": "x"})
    missing = "organization:update"
    assert refused.seen == dotenv_error(403, "insufficient_permissions", f"permission missing: {missing}", permissions=missing)
    assert robot.get(f"/api/v1/organizations/{scene.owner.personal_organization_id}").status == 404


def test_the_list_has_all_that_reaches_the_organization_in_the_order_of_its_making(scene: Scene) -> None:
    first = made(scene, "secret:read")
    mine = scene.as_owner.post("/api/api-keys", {"name": "a person's", "permissions": []}, **scene.here).body
    last = made(scene)
    person = dotenv_key(token_prefix=scene.owner.token[:12])
    bound = dotenv_key(name="a person's", abilities=Some("names", lambda names: "organization:read" in names))
    listed = scene.as_owner.get(scene.v1("/api-keys"))
    assert listed.seen == (200, {"data": [person, first["api_key"], bound, last["api_key"]]})
    assert listed.body["data"][2]["token_prefix"] == mine["value"][:12]
    elsewhere = scene.by(scene.stranger).get(f"/api/v1/organizations/{scene.foreign.id}/api-keys")
    assert elsewhere.seen == (200, {"data": [dotenv_key(token_prefix=scene.stranger.token[:12])]})


def test_the_last_use_is_told(scene: Scene) -> None:
    token = made(scene)
    assert scene.by(token["token"]).get(ME).status == 200
    scene.world.deployment.server._last_used.flush()
    shown = scene.as_owner.get(path_of(scene, token))
    assert shown.seen == (200, {"data": token["api_key"] | {"last_used_at": WHOLE_INSTANT}})


# -- change ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({}, {}),
        ({"name": None}, {}),
        ({"name": "renamed"}, {"name": "renamed"}),
        ({"abilities": ["*"]}, {"abilities": ["*"]}),
        ({"abilities": ["team:read", "secret:read"]}, {"abilities": ["secret:read", "team:read"]}),
        ({"expires_at": "2031-06-01T02:00:00+02:00"}, {"expires_at": "2031-06-01T00:00:00Z"}),
        ({"expires_at": "2029-06-01T00:00:00.999Z"}, {"expires_at": "2029-06-01T00:00:00Z"}),
        (
            {"name": "all", "abilities": ["*"], "expires_at": "2032-01-01T00:00:00Z"},
            {"name": "all", "abilities": ["*"], "expires_at": "2032-01-01T00:00:00Z"},
        ),
        ({"token_prefix": "x", "id": UNKNOWN, "user_id": UNKNOWN}, {}),
    ],
)
def test_put_and_patch_change_what_is_present(scene: Scene, verb: str, body: dict[str, Any], changed: dict[str, Any]) -> None:
    token = made(scene, "secret:read", expires_at=EXPIRES)
    expected = {"data": token["api_key"] | changed | {"updated_at": WHOLE_INSTANT}}
    assert scene.as_owner.call(verb, path_of(scene, token), body).seen == (200, expected)
    assert scene.as_owner.get(path_of(scene, token)).seen == (200, expected)
    assert scene.by(token["token"]).get(ME).status == 200


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
def test_a_null_expiry_clears_it(scene: Scene, verb: str) -> None:
    token = made(scene, expires_at=(scene.world.clock.now() + timedelta(minutes=1)).isoformat())
    cleared = {name: value for name, value in token["api_key"].items() if name != "expires_at"}
    expected = {"data": cleared | {"updated_at": WHOLE_INSTANT}}
    assert scene.as_owner.call(verb, path_of(scene, token), {"expires_at": None}).seen == (200, expected)
    scene.world.clock.advance(timedelta(minutes=2))
    assert scene.by(token["token"]).get(ME).status == 200


def test_a_change_is_felt_by_the_next_call(scene: Scene) -> None:
    token = made(scene, "organization:read", "api-token:read")
    robot = scene.by(token["token"])
    assert robot.get(scene.v1("/api-keys")).status == 200
    assert scene.as_owner.patch(path_of(scene, token), {"abilities": ["organization:read"]}).status == 200
    assert robot.get(scene.v1("/api-keys")).status == 403
    soon = scene.world.clock.now() + timedelta(minutes=1)
    assert scene.as_owner.patch(path_of(scene, token), {"expires_at": soon.isoformat()}).status == 200
    scene.world.clock.advance(timedelta(minutes=1))
    assert robot.get(ME).seen == REVOKED


# -- rotate, end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [[], [{}], [{"name": "ignored", "abilities": ["*"], "overlap": "3600s"}]])
def test_a_rotated_token_has_a_new_secret_and_the_old_one_is_dead_at_once(scene: Scene, body: list[Any]) -> None:
    token = made(scene, "organization:read", expires_at=EXPIRES)
    old = scene.by(token["token"])
    assert old.get(ME).status == 200
    answer = scene.as_owner.post(path_of(scene, token, "/rotate"), *body)
    rotated = dotenv_new_key("API key rotated.", **token["api_key"])
    rotated["api_key"] |= {"updated_at": WHOLE_INSTANT, "token_prefix": answer.body["token"][:12]}
    assert answer.seen == (200, rotated)
    assert answer.body["token"] != token["token"]
    assert old.get(ME).seen == REVOKED
    assert scene.by(answer.body["token"]).get(ME).status == 200
    assert scene.as_owner.get(path_of(scene, token)).seen == (200, {"data": answer.body["api_key"]})


def test_a_token_can_rotate_itself(scene: Scene) -> None:
    token = made(scene, "api-token:create", "api-token:delete")
    answer = scene.by(token["token"]).post(path_of(scene, token, "/rotate"))
    assert answer.status == 200
    assert scene.by(token["token"]).get(ME).seen == REVOKED
    assert scene.by(answer.body["token"]).get(ME).status == 200


def test_an_ended_token_is_refused_with_the_next_call_and_its_name_is_free(scene: Scene) -> None:
    token = made(scene, name="ci")
    path, id_ = path_of(scene, token), token["api_key"]["id"]
    assert scene.by(token["token"]).get(ME).status == 200
    answer = scene.as_owner.delete(path)
    assert (answer.seen, answer.headers["content-type"]) == ((204, None), None)
    assert scene.by(token["token"]).get(ME).seen == REVOKED
    for verb, rest in (("DELETE", ""), ("GET", ""), ("PUT", ""), ("PATCH", ""), ("POST", "/rotate")):
        body = [{"name": "x"}] if verb.startswith("P") and not rest else []
        assert scene.as_owner.call(verb, path + rest, *body).seen == unknown(id_)
    assert made(scene, name="ci")["api_key"]["id"] != id_


def test_a_key_of_a_member_is_ended_and_a_token_of_theirs_for_all_organizations_kept_out(scene: Scene) -> None:
    mine = scene.by(scene.member)
    key = scene.by(mine.post("/api/api-keys", {"name": "bound", "permissions": []}, **scene.here).body["value"])
    listed = {each["token_prefix"]: each["id"] for each in scene.as_owner.get(scene.v1("/api-keys")).body["data"]}
    bound = next(id_ for prefix, id_ in listed.items() if key.get("/api/api-keys/current").body["value"].startswith(prefix))
    everywhere = listed[scene.member.token[:12]]
    assert (key.get(scene.v1()).status, mine.get(scene.v1()).status) == (200, 200)
    for id_ in (bound, everywhere):
        assert scene.as_owner.delete(scene.v1(f"/api-keys/{id_}")).seen == (204, None)
        assert scene.as_owner.get(scene.v1(f"/api-keys/{id_}")).seen == unknown(id_)
    assert key.get(scene.v1()).seen == REVOKED
    assert mine.get(scene.v1()).status == 404
    assert mine.get(f"/api/v1/organizations/{scene.member.personal_organization_id}").status == 200


def test_what_becomes_of_a_token_is_in_the_audit_trail_without_its_secrets(scene: Scene) -> None:
    token = made(scene, "organization:read")
    assert scene.as_owner.patch(path_of(scene, token), {"name": "renamed"}).status == 200
    rotated = scene.as_owner.post(path_of(scene, token, "/rotate")).body
    assert scene.as_owner.delete(path_of(scene, token)).status == 204
    events = scene.world.events(scene.organization, scene.owner)[:4]
    steps = ["revoke", "rotate", "update", "create"]
    assert [event.action for event in events] == [f"api_token.{step}" for step in steps]
    assert {event.target.id for event in events} == {token["api_key"]["id"]}
    assert token["token"] not in str(events)
    assert rotated["token"] not in str(events)
