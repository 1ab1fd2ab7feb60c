"""`Idempotency-Key` where secrets are made: once, and shown once; and never across organizations."""

from __future__ import annotations

from typing import Any

from e2e.scene import HEADER, Scene, header, once
from e2e.shapes import WHOLE_INSTANT, daytona_error, dotenv_error, dotenv_new_key, new_api_key
from support.world import fresh

from tenantry_server.domain.ids import to_uuid

KEYS, ME = "/api/api-keys", "/api/v1/user"
KEY: dict[str, Any] = {"name": "Nightly", "permissions": ["write:sandboxes"]}
TOKEN: dict[str, Any] = {"name": "ci", "abilities": ["secret:read"]}


def reused(key: str) -> str:
    """The key was used already, and for something else."""
    return f"request id {key} was used for another request"


def test_a_key_is_made_once_and_its_secret_is_not_repeated(scene: Scene) -> None:
    again = {**scene.here, "Idempotency_Key": fresh("key")}
    first = scene.as_owner.post(KEYS, KEY, **again)
    assert first.seen == (201, new_api_key(**KEY))
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.post(KEYS, KEY, **again).seen == (201, first.body | {"value": ""})
    assert scene.by(first.body["value"]).get(ME).status == 200
    assert [each["name"] for each in scene.as_owner.get(KEYS, **scene.here).body] == ["Nightly"]


def test_a_token_is_made_once_and_its_secret_is_not_repeated(scene: Scene) -> None:
    path, key = scene.v1("/api-keys"), fresh("key")
    first = scene.as_owner.post(path, TOKEN, Idempotency_Key=key)
    assert first.seen == (201, dotenv_new_key(**TOKEN))
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.post(path, TOKEN, Idempotency_Key=key).seen == (201, first.body | {"token": ""})
    assert scene.by(first.body["token"]).get(ME).status == 200


def test_a_rotation_happens_once_and_leaves_its_secret_good(scene: Scene) -> None:
    token = scene.as_owner.post(scene.v1("/api-keys"), TOKEN).body
    path, key = scene.v1(f"/api-keys/{token['api_key']['id']}/rotate"), fresh("key")
    first = scene.as_owner.post(path, Idempotency_Key=key)
    assert first.seen == (200, dotenv_new_key("API key rotated.", **TOKEN, updated_at=WHOLE_INSTANT))
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.post(path, Idempotency_Key=key).seen == (200, first.body | {"token": ""})
    assert scene.by(first.body["token"]).get(ME).status == 200
    assert scene.by(token["token"]).get(ME).status == 401


def test_changing_and_ending_are_repeated_with_their_first_answers(scene: Scene) -> None:
    owner, key = scene.as_owner, fresh("key")
    token = scene.as_owner.post(scene.v1("/api-keys"), TOKEN).body
    path = scene.v1(f"/api-keys/{token['api_key']['id']}")
    changed = once(lambda: owner.patch(path, {"name": "renamed", "expires_at": None}, Idempotency_Key=f"{key}1"), scene)
    assert changed.body["data"]["name"] == "renamed"
    assert once(lambda: owner.delete(path, Idempotency_Key=f"{key}2"), scene).seen == (204, None)
    assert owner.post(KEYS, KEY, **scene.here).status == 201
    path = f"{KEYS}/Nightly"
    assert once(lambda: owner.delete(path, Idempotency_Key=f"{key}3", **scene.here), scene).seen == (204, None)
    # A key that ends itself is not there to repeat it.
    own = scene.by(owner.post(KEYS, KEY | {"permissions": ["api-token:delete"]}, **scene.here).body["value"])
    assert own.delete(path, Idempotency_Key=f"{key}4").seen == (204, None)
    assert own.delete(path, Idempotency_Key=f"{key}4").seen == daytona_error(401, path, "the credential is not valid")


def test_under_another_header_a_key_is_neither_repeated_nor_made(scene: Scene) -> None:
    other, key = scene.world.organization(scene.owner, "Other"), fresh("key")
    first = scene.as_owner.post(KEYS, KEY, Idempotency_Key=key, **scene.here)
    assert first.status == 201
    refusal = daytona_error(409, KEYS, reused(key))
    with scene.world.unchanged(scene.organization, other):
        answer = scene.as_owner.post(KEYS, KEY, Idempotency_Key=key, **header(other))
        assert answer.seen == refusal
        # What the body says of the organization makes no difference to that.
        body = KEY | {"organizationId": scene.organization.id}
        assert scene.as_owner.post(KEYS, body, Idempotency_Key=key, **header(other)).seen == refusal
        answer = scene.as_owner.post(KEYS, KEY, Idempotency_Key=key, **header(scene.foreign))
        assert answer.status == 403
        assert scene.as_owner.delete(f"{KEYS}/Nightly", Idempotency_Key=key, **scene.here).status == 409
    assert scene.as_owner.get(KEYS, **header(other)).seen == (200, [])


def test_the_same_key_by_the_header_and_by_a_credential_that_is_bound_is_one_change(scene: Scene) -> None:
    bound, key = scene.by(scene.world.token(scene.owner, organization_id=scene.organization.id)), fresh("key")
    here = {HEADER: scene.organization.id}
    first = scene.as_owner.post(KEYS, KEY, Idempotency_Key=key, **here)
    with scene.world.unchanged(scene.organization):
        other = header(scene.foreign)
        assert bound.post(KEYS, KEY, Idempotency_Key=key, **other).seen == (201, first.body | {"value": ""})
        # Another spelling is another request, and no other change.
        spelt = scene.as_owner.post(KEYS, KEY, Idempotency_Key=key, **{HEADER: to_uuid(scene.organization.id)})
        assert spelt.seen == daytona_error(409, KEYS, reused(key))


def test_a_key_of_the_caller_is_nobody_elses(scene: Scene) -> None:
    key = fresh("key")
    made = [
        scene.by(caller).post(KEYS, KEY | {"permissions": []}, Idempotency_Key=key, **scene.here)
        for caller in (scene.owner, scene.member)
    ]
    assert [answer.status for answer in made] == [201, 201]
    assert made[0].body["value"] != made[1].body["value"] != ""


def test_a_refusal_is_not_kept_under_the_key(scene: Scene) -> None:
    key, path = fresh("key"), scene.v1("/api-keys")
    other = scene.as_owner.post(path, TOKEN).body["api_key"]["id"]
    refused = scene.as_owner.post(path, TOKEN, Idempotency_Key=key)
    assert refused.seen == dotenv_error(409, "conflict", "there is a token named ci already", name="ci")
    assert scene.as_owner.delete(scene.v1(f"/api-keys/{other}")).status == 204
    answer = scene.as_owner.post(path, TOKEN, Idempotency_Key=key)
    assert answer.seen == (201, dotenv_new_key(**TOKEN))
