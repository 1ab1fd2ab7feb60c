"""Daytona's dialect: regions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2e.scene import UNKNOWN, Scene, header
from e2e.shapes import INSTANT, UUID, daytona_error, matching
from support.world import fresh

from tenantry_server.domain.ids import to_uuid

REGIONS, SHARED = "/api/regions", "/api/shared-regions"
KEY = matching(r"tnt_rgn_[0-9A-Za-z]{49}")
URLS = {f"{name}Url": f"https://{name.lower()}.example" for name in ("proxy", "sshGateway", "snapshotManager")}


def region(**known: Any) -> dict[str, Any]:
    """A region without services."""
    return {"id": UUID, "name": "Cellar", "regionType": "custom", "createdAt": INSTANT, "updatedAt": INSTANT, **known}


def shared(name: str) -> dict[str, Any]:
    """A shared region."""
    return region(id=name, name=name, regionType="shared")


def make(scene: Scene, **given: Any) -> Any:
    """A custom region's answer."""
    answer = scene.as_owner.post(REGIONS, {"name": "Cellar", **given}, **scene.here)
    assert answer.status == 201, answer.body
    return answer.body


def test_shared_regions_are_told_to_everybody_by_name(scene: Scene) -> None:
    answer = scene.http.get(SHARED)
    assert answer.status == 200
    assert [each for each in answer.body if each["id"] in ("us", "eu")] == [shared("eu"), shared("us")]
    assert scene.http.bearing("garbage").get(SHARED).seen == answer.seen


def test_a_custom_region_comes_with_the_keys_of_its_services(scene: Scene) -> None:
    made = make(scene, **URLS)
    keys = {f"{name}ApiKey": KEY for name in ("proxy", "sshGateway")}
    password = {"snapshotManagerUsername": "snapshot-manager", "snapshotManagerPassword": KEY}
    assert made == {"id": UUID, **keys, **password}
    here = {"organizationId": scene.uuid(scene.organization)}
    expected = region(id=made["id"], **here, **URLS)
    assert scene.as_owner.get(f"{REGIONS}/{made['id']}", **scene.here).seen == (200, expected)
    found = scene.world.platform()("RegionService.FindRegionByKey", key=made["proxyApiKey"])
    assert to_uuid(found.region.id) == made["id"]


def test_a_region_without_services_has_no_keys(scene: Scene) -> None:
    made = make(scene, proxyUrl=None)
    assert made == {"id": UUID}
    organization = {"organizationId": scene.uuid(scene.organization)}
    assert scene.as_owner.get(f"{REGIONS}/{made['id']}", **scene.here).seen == (200, region(**organization))


def test_the_list_has_what_the_organization_can_use_its_own_first(scene: Scene) -> None:
    made, operator = make(scene), scene.world.platform()
    dedicated = operator("RegionService.CreatePlatformRegion", id=fresh("a"), type="REGION_TYPE_DEDICATED")
    for region_id in ("us", dedicated.id):
        operator("QuotaService.CreateRegionQuota", organization_id=scene.organization.id, region_id=region_id)
    answer = scene.as_owner.get(REGIONS, **scene.here)
    mine = [each for each in answer.body if each["id"] in (made["id"], dedicated.id, "us", "eu")]
    assert (answer.status, mine) == (
        200,
        [
            region(id=made["id"], organizationId=scene.uuid(scene.organization)),
            region(id=dedicated.id, name=dedicated.id, regionType="dedicated"),
            shared("us"),
        ],
    )
    assert scene.by(scene.member).get(REGIONS, **scene.here).seen == answer.seen
    key = scene.world.token(organization_id=scene.organization.id)
    assert scene.by(key).get(REGIONS).seen == answer.seen


def test_null_is_nowhere_and_what_is_left_out_stays(scene: Scene) -> None:
    path = f"{REGIONS}/{make(scene, **URLS)['id']}"
    answer = scene.as_owner.patch(path, {"proxyUrl": None, "sshGatewayUrl": "http://new.example"}, **scene.here)
    assert (answer.status, answer.raw) == (200, b"")
    body = scene.as_owner.get(path, **scene.here).body
    assert "proxyUrl" not in body
    assert (body["sshGatewayUrl"], body["snapshotManagerUrl"]) == ("http://new.example", URLS["snapshotManagerUrl"])


def test_a_region_is_deleted_unless_it_is_in_use(scene: Scene) -> None:
    path = f"{REGIONS}/{make(scene)['id']}"
    default = {"defaultRegionId": path.rpartition("/")[2]}
    assert scene.as_owner.patch(scene.path("/default-region"), default).status == 204
    assert scene.as_owner.get(scene.path()).body["defaultRegionId"] == default["defaultRegionId"]
    refusal = daytona_error(400, path, f"region {default['defaultRegionId']} is in use")
    assert scene.as_owner.delete(path, **scene.here).seen == refusal
    assert scene.as_owner.patch(scene.path("/default-region"), {"defaultRegionId": "us"}).status == 204
    key = {"Idempotency-Key": fresh("key")}
    first, again = (scene.as_owner.delete(path, **scene.here, **key) for _ in range(2))
    assert [first.seen, again.seen] == [(204, None), (204, None)]
    assert scene.as_owner.get(path, **scene.here).status == 404


@pytest.mark.parametrize(
    ("rest", "answer"),
    [
        ("regenerate-proxy-api-key", {"apiKey": KEY}),
        ("regenerate-ssh-gateway-api-key", {"apiKey": KEY}),
        ("regenerate-snapshot-manager-credentials", {"username": "snapshot-manager", "password": KEY}),
    ],
)
def test_keys_are_made_anew(scene: Scene, rest: str, answer: dict[str, Any]) -> None:
    path = f"{REGIONS}/{make(scene, **URLS)['id']}/{rest}"
    first, second = (scene.as_owner.post(path, **scene.here) for _ in range(2))
    assert [first.seen, second.seen] == [(200, answer), (200, answer)]
    assert first.body != second.body
    bare = make(scene, name="Attic")["id"]
    path = f"{REGIONS}/{bare}/{rest}"
    refusal = scene.as_owner.post(path, **scene.here)
    assert refusal.seen == daytona_error(400, path, matching(rf"region {bare} does not say where its \w+ is"))


def test_what_is_no_custom_region_of_the_organization_is_not_found(scene: Scene) -> None:
    foreign = scene.by(scene.stranger).post(REGIONS, {"name": "Theirs"}, **header(scene.foreign)).body["id"]
    for region_id in ("us", foreign, UNKNOWN, "garbage"):
        path = f"{REGIONS}/{region_id}"
        missing = daytona_error(404, path, f"region {region_id} not found")
        assert scene.as_owner.get(path, **scene.here).seen == missing
        assert scene.as_owner.delete(path, **scene.here).seen == missing
        assert scene.as_owner.patch(path, {}, **scene.here).seen == missing


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "name must be 2 to 255 letters, digits, dots, hyphens and underscores"),
        ({"name": "a b"}, "name must be 2 to 255 letters, digits, dots, hyphens and underscores"),
        ({"name": "Attic", "proxyUrl": 7}, "proxyUrl must be a web address, or null"),
        ({"name": "Attic", "sshGatewayUrl": "ssh://a.example"}, "sshGatewayUrl must be a web address, or null"),
        ({"name": "Attic", "snapshotManagerUrl": ["https://a"]}, "snapshotManagerUrl must be a web address, or null"),
    ],
)
def test_what_a_region_cannot_be_is_named(scene: Scene, body: dict[str, Any], message: str) -> None:
    assert scene.as_owner.post(REGIONS, body, **scene.here).seen == daytona_error(400, REGIONS, message)


def test_a_name_is_given_once(scene: Scene) -> None:
    make(scene)
    refusal = scene.as_owner.post(REGIONS, {"name": "Cellar"}, **scene.here)
    assert refusal.seen == daytona_error(409, REGIONS, "there is a region Cellar already")


def test_regions_are_written_and_deleted_by_who_has_the_published_permissions(scene: Scene) -> None:
    role = {"name": "Builder", "description": "", "permissions": ["write:regions"]}
    made = scene.as_owner.post(scene.path("/roles"), role).body["id"]
    access = {"role": "member", "assignedRoleIds": [made]}
    assert scene.as_owner.post(scene.path(f"/users/{scene.uuid(scene.member)}/access"), access).status == 200
    builder = scene.by(scene.member)
    region_id = builder.post(REGIONS, {"name": "Built"}, **scene.here).body["id"]
    path = f"{REGIONS}/{region_id}"
    assert builder.delete(path, **scene.here).seen == daytona_error(403, path, "permission missing: delete:regions")


def test_no_key_is_told_again_by_a_repetition(scene: Scene) -> None:
    key = {"Idempotency-Key": fresh("key")}
    first, again = (scene.as_owner.post(REGIONS, {"name": "Cellar", **URLS}, **scene.here, **key) for _ in range(2))
    assert again.seen == (201, {"id": first.body["id"], "snapshotManagerUsername": "snapshot-manager"})
    assert "tnt_rgn_" not in json.dumps(again.body)
