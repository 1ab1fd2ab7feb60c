"""Daytona's dialect, as documented: organizations and their settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from e2e.scene import Scene
from e2e.shapes import INSTANT, ULID, daytona_error, exactly, organization
from support.http import Answer
from support.raw import values
from support.sealed import opened

from tenantry_server.domain.ids import to_uuid
from tenantry_server.domain.organizations import OrganizationState

YES = exactly(True)


def test_creating_an_organization_answers_201_with_all_of_it(scene: Scene) -> None:
    answer = scene.as_owner.post("/api/organizations", {"name": "My Organization", "defaultRegionId": "us"})
    created_by = to_uuid(scene.owner.id)
    expected = organization(name="My Organization", createdBy=created_by, defaultRegionId="us")
    assert answer.seen == (201, expected)
    assert answer.headers["content-type"] == "application/json"
    assert scene.as_owner.get(f"/api/organizations/{answer.body['id']}").seen == (200, answer.body)


def test_the_list_is_an_array_of_all_organizations_of_the_caller_the_personal_one_included(scene: Scene) -> None:
    answer = scene.as_owner.get("/api/organizations")
    owner = to_uuid(scene.owner.id)
    personal = organization(id=to_uuid(scene.owner.personal_organization_id), name="Personal", createdBy=owner, personal=YES)
    acme = organization(id=scene.uuid(scene.organization), name="Acme", createdBy=owner)
    assert answer.seen == (200, [personal, acme])


def test_a_token_of_one_organization_lists_that_organization(scene: Scene) -> None:
    for token in (
        scene.world.token(organization_id=scene.organization.id),
        scene.world.token(scene.owner, organization_id=scene.organization.id),
    ):
        assert scene.by(token).get("/api/organizations").seen == (200, [organization(id=scene.uuid(scene.organization))])


def test_who_can_access_no_organization_lists_an_empty_array(scene: Scene) -> None:
    token = scene.world.token(organization_id=scene.organization.id)
    assert scene.as_owner.delete(scene.path()).seen == (204, None)
    answer = scene.by(token).get("/api/organizations")
    assert (answer.status, answer.raw) == (200, b"[]")


@pytest.mark.parametrize("spelling", [str.lower, str.upper, to_uuid, lambda ulid: to_uuid(ulid).upper()])
def test_an_organization_is_found_by_its_id_in_any_spelling(scene: Scene, spelling: Callable[[str], str]) -> None:
    answer = scene.as_owner.get(f"/api/organizations/{spelling(scene.organization.id)}")
    assert answer.seen == (200, organization(id=scene.uuid(scene.organization)))


def test_every_member_reads_the_organization(scene: Scene) -> None:
    assert scene.by(scene.member).get(scene.path()).seen == (200, organization(id=scene.uuid(scene.organization)))


def test_a_suspended_organization_says_so_and_keeps_its_instants_for_the_published_clients(scene: Scene) -> None:
    scene.world.set_state(scene.organization.id, OrganizationState.SUSPENDED)
    assert scene.as_owner.get(scene.path()).seen == (200, organization(suspended=YES))


def test_leaving_answers_204_and_ends_the_membership(scene: Scene) -> None:
    answer = scene.by(scene.member).post(scene.path("/leave"))
    assert answer.seen == (204, None)
    assert (answer.headers["content-type"], answer.headers["content-length"]) == (None, None)
    assert scene.by(scene.member).get(scene.path()).status == 403
    assert len(scene.by(scene.member).get("/api/organizations").body) == 1


def test_deleting_answers_204_and_the_organization_is_gone(scene: Scene) -> None:
    answer = scene.as_owner.delete(scene.path())
    assert answer.seen == (204, None)
    assert (answer.headers["content-type"], answer.headers["content-length"]) == (None, None)
    assert scene.as_owner.get(scene.path()).status == 403
    assert [each["name"] for each in scene.as_owner.get("/api/organizations").body] == ["Personal"]


def test_the_default_region_can_be_set_and_set_again(scene: Scene) -> None:
    for region in ("us", "eu", "eu"):
        answer = scene.as_owner.patch(scene.path("/default-region"), {"defaultRegionId": region})
        assert answer.seen == (204, None)
        assert scene.as_owner.get(scene.path()).seen == (200, organization(defaultRegionId=region))


def test_limited_egress_is_switched_on_and_off(scene: Scene) -> None:
    for switch in (True, False):
        body = {"sandboxDefaultLimitedNetworkEgress": switch}
        answer = scene.as_owner.post(scene.path("/sandbox-default-limited-network-egress"), body)
        assert answer.seen == (204, None)
        shown = organization(sandboxLimitedNetworkEgress=exactly(switch))
        assert scene.as_owner.get(scene.path()).seen == (200, shown)


def test_the_experimental_configuration_is_replaced_as_a_whole_whatever_its_form(scene: Scene) -> None:
    first = {"depth": {"list": [1, 2.5, None, True, "", {}, []], "text": 'ü "quoted"\n'}, "other": 0}
    for config in (first, {"other": False}, {}):
        answer = scene.as_owner.put(scene.path("/experimental-config"), config)
        assert (answer.status, answer.raw, answer.headers["content-type"]) == (200, b"", None)
        shown = scene.as_owner.get(scene.path()).body["experimentalConfig"]
        # As text: there, 1 is neither 1.0 nor true nor "1".
        assert json.dumps(shown, sort_keys=True) == json.dumps(config, sort_keys=True)


def test_an_empty_body_empties_the_experimental_configuration(scene: Scene) -> None:
    assert scene.as_owner.put(scene.path("/experimental-config"), {"a": 1}).status == 200
    assert scene.as_owner.put(scene.path("/experimental-config")).seen == (200, None)
    assert scene.as_owner.get(scene.path()).seen == (200, organization())


def test_header_values_of_otel_are_masked_when_read_and_kept_when_asterisks_come_back(scene: Scene) -> None:
    def put(**headers: str) -> None:
        config = {"otel": {"endpoint": "http://otel-collector:4317", "headers": headers}}
        assert scene.as_owner.put(scene.path("/experimental-config"), config).seen == (200, None)

    def shown() -> object:
        return scene.as_owner.get(scene.path()).body["experimentalConfig"]

    def stored() -> Any:
        database = scene.world.deployment.database
        (text,) = values(database, "organizations", "experimental_config", id=scene.organization.id)
        return opened(text, scene.organization.id)["otel"]["headers"]

    endpoint = "http://otel-collector:4317"
    put(**{"api-key": "XXX", "tenant": "acme"})
    assert shown() == {"otel": {"endpoint": endpoint, "headers": {"api-key": "******", "tenant": "******"}}}
    assert stored() == {"api-key": "XXX", "tenant": "acme"}
    put(**{"api-key": "******", "tenant": "other"})
    assert shown() == {"otel": {"endpoint": endpoint, "headers": {"api-key": "******", "tenant": "******"}}}
    assert stored() == {"api-key": "XXX", "tenant": "other"}
    put(**{"api-key": "*"})
    assert stored() == {"api-key": "XXX"}
    assert "XXX" not in str(scene.world.events(scene.organization, scene.owner))


def test_after_an_answer_without_a_body_the_connection_goes_on(scene: Scene) -> None:
    owner = scene.as_owner
    calls: list[Callable[[], Answer]] = [
        lambda: owner.patch(scene.path("/default-region"), {"defaultRegionId": "us"}),
        lambda: owner.put(scene.path("/experimental-config"), {}),
        lambda: owner.post(scene.path("/sandbox-default-limited-network-egress"), {"sandboxDefaultLimitedNetworkEgress": True}),
    ]
    assert owner.get("/api/organizations/invitations").seen == (200, [])
    connection = owner.socket
    for call in calls:
        assert call().raw == b""
        assert owner.get("/api/organizations/invitations").seen == (200, [])
        assert owner.socket is connection is not None


def test_the_body_may_come_in_the_other_spelling_and_with_fields_of_later_versions(scene: Scene) -> None:
    body = {"name": "Later", "default_region_id": "eu", "billingPlan": {"tier": 3}}
    answer = scene.as_owner.post("/api/organizations", body)
    assert answer.seen == (201, organization(name="Later", defaultRegionId="eu"))


def test_a_change_over_rest_is_in_the_audit_trail_with_the_credential_that_made_it(scene: Scene) -> None:
    token = scene.world.token(organization_id=scene.organization.id)
    assert scene.by(token).patch(scene.path("/default-region"), {"defaultRegionId": "eu"}).seen == (204, None)
    event = scene.last_event()
    assert (event.action, event.target.id) == ("organization.set_default_region", scene.organization.id)
    assert event.actor.id == scene.organization.id
    assert event.actor.credential_id == ULID
    told = {each.field: (each.before.string_value, each.after.string_value) for each in event.changes}
    assert told.keys() == {"default_region_id", "region_quota"}
    assert told["default_region_id"] == ("", "eu")


def test_instants_have_milliseconds_and_move_with_changes(scene: Scene) -> None:
    before = scene.as_owner.get(scene.path()).body
    assert scene.as_owner.patch(scene.path("/default-region"), {"defaultRegionId": "us"}).seen == (204, None)
    after = scene.as_owner.get(scene.path()).body
    assert (after["createdAt"], after["updatedAt"]) == (before["createdAt"], INSTANT)
    assert after["updatedAt"] >= before["updatedAt"]


def test_an_access_token_that_narrows_still_reads_what_it_may(scene: Scene) -> None:
    token = scene.world.token(scene.owner, permissions=["organization:read"])
    assert scene.by(token).get(scene.path()).seen == (200, organization(id=scene.uuid(scene.organization)))
    refused = scene.by(token).get(scene.path("/roles"))
    assert refused.seen == daytona_error(403, scene.path("/roles"), "permission missing: role:read")
