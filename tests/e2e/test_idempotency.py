"""`Idempotency-Key` over REST: a change happens once, and its repetition gets the first answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from e2e.scene import DEVELOPER, Scene, once
from e2e.shapes import daytona_error, dotenv_error, dotenv_organization, invitation, organization
from support.http import Answer, Http
from support.world import fresh

LIST, LIST_V1 = "/api/organizations", "/api/v1/organizations"


def test_an_organization_is_created_once(scene: Scene) -> None:
    owner, body = scene.as_owner, {"name": "Once", "defaultRegionId": "us"}
    made = once(lambda: owner.post(LIST, body, Idempotency_Key="daytona"), scene)
    assert made.seen == (201, organization(name="Once", defaultRegionId="us"))
    made = once(lambda: owner.post(LIST_V1, body, Idempotency_Key="dotenv"), scene)
    assert made.seen == (201, dotenv_organization(name="Once"))
    assert [each["name"] for each in owner.get(LIST).body] == ["Personal", "Acme", "Once", "Once"]


def test_every_kind_of_change_is_repeated_with_its_first_answer(scene: Scene) -> None:
    owner, key = scene.as_owner, fresh("key")
    role = {"name": "Maintainer", "description": "", "permissions": ["read:volumes"]}
    offer = {"email": f"{fresh('x')}@example.com", "role": "member", "assignedRoleIds": [DEVELOPER]}
    made = once(lambda: owner.post(scene.path("/roles"), role, Idempotency_Key=f"{key}1"), scene)
    changed = scene.path(f"/roles/{made.body['id']}")
    assert once(lambda: owner.put(changed, role, Idempotency_Key=f"{key}2"), scene).status == 200
    assert once(lambda: owner.delete(changed, Idempotency_Key=f"{key}3"), scene).seen == (204, None)
    invited = once(lambda: owner.post(scene.path("/invitations"), offer, Idempotency_Key=f"{key}4"), scene)
    assert invited.seen == (201, invitation(email=offer["email"], assignedRoles=invited.body["assignedRoles"]))
    cancel = scene.path(f"/invitations/{invited.body['id']}/cancel")
    assert once(lambda: owner.post(cancel, Idempotency_Key=f"{key}5"), scene).seen == (204, None)
    added = {"email": scene.stranger.email, "role": "member"}
    assert once(lambda: owner.post(scene.v1("/members"), added, Idempotency_Key=f"{key}6"), scene).status == 201
    # These cost the caller the right to repeat them.
    leave = scene.path("/leave")
    member = scene.by(scene.stranger)
    assert once(lambda: member.post(leave, Idempotency_Key=f"{key}7"), scene).seen == (204, None)
    assert once(lambda: owner.delete(scene.v1(), Idempotency_Key=f"{key}8"), scene).seen == (204, None)


def test_accepting_twice_with_a_key_joins_once(scene: Scene) -> None:
    made = scene.world.invite(scene.organization, scene.owner, scene.stranger.email)
    path = f"{LIST}/invitations/{scene.uuid(made)}/accept"
    answer = once(lambda: scene.by(scene.stranger).post(path, Idempotency_Key="accept-it"), scene)
    assert answer.seen == (200, invitation(status="accepted", email=scene.stranger.email))


def test_a_key_that_was_used_for_another_request_is_a_conflict_in_both_dialects(scene: Scene) -> None:
    key = fresh("key")
    message = f"request id {key} was used for another request"
    assert scene.as_owner.patch(scene.v1(), {"name": "First"}, Idempotency_Key=key).status == 200
    others: list[tuple[Callable[[], Answer], tuple[int, Any]]] = [
        (
            lambda: scene.as_owner.patch(scene.v1(), {"name": "Second"}, Idempotency_Key=key),
            dotenv_error(409, "request_id_reused", message, request_id=key),
        ),
        (
            lambda: scene.as_owner.patch(scene.path("/default-region"), {"defaultRegionId": "us"}, Idempotency_Key=key),
            daytona_error(409, scene.path("/default-region"), message),
        ),
    ]
    with scene.world.unchanged(scene.organization):
        for call, refusal in others:
            assert call().seen == refusal


def test_a_key_is_the_callers_own(scene: Scene) -> None:
    def create(client: Http) -> str:
        return str(client.post(LIST_V1, {"name": "Mine"}, Idempotency_Key="the-same-key").body["data"]["id"])

    mine, theirs = create(scene.as_owner), create(scene.by(scene.stranger))
    assert mine != theirs
    assert create(scene.by(scene.world.token(scene.owner))) == mine


def test_keys_that_differ_only_at_their_far_end_are_different_keys(scene: Scene) -> None:
    made = [scene.as_owner.post(LIST_V1, {"name": "Long"}, Idempotency_Key="k" * 500 + end) for end in ("a", "b", "a")]
    first, second, again = (answer.body["data"]["id"] for answer in made)
    assert (first != second, again) == (True, first)


def test_a_refusal_is_not_kept_under_the_key(scene: Scene) -> None:
    key = fresh("key")
    offer = {"email": scene.member.email, "role": "member", "assignedRoleIds": []}
    refused = scene.as_owner.post(scene.path("/invitations"), offer, Idempotency_Key=key)
    assert refused.seen == daytona_error(409, scene.path("/invitations"), "already a member")
    assert scene.by(scene.member).post(scene.path("/leave")).status == 204
    assert scene.as_owner.post(scene.path("/invitations"), offer, Idempotency_Key=key).seen == (201, invitation())


def test_without_a_key_every_call_is_a_change_of_its_own(scene: Scene) -> None:
    made = [scene.as_owner.post(LIST_V1, {"name": "Again"}) for _ in range(2)]
    first, second = (answer.body["data"]["id"] for answer in made)
    assert first != second


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
def test_put_and_patch_of_one_path_are_one_change_under_one_key(scene: Scene, verb: str) -> None:
    key = fresh("key")
    first = scene.as_owner.call(verb, scene.v1(), {"name": "Renamed"}, Idempotency_Key=key)
    assert first.seen == (200, dotenv_organization(name="Renamed"))
    with scene.world.unchanged(scene.organization):
        assert scene.as_owner.put(scene.v1(), {"name": "Renamed"}, Idempotency_Key=key).seen == first.seen
