"""Daytona's dialect: quotas, which operators set, and usage, which members see."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.scene import UNKNOWN, Scene
from e2e.shapes import daytona_error, exactly, organization
from support.http import Http
from support.metered import Metered, limit_of
from support.world import fresh

CAPS = (
    *("maxCpuPerSandbox", "maxMemoryPerSandbox", "maxDiskPerSandbox", "maxDiskPerNonEphemeralSandbox"),
    *("maxCpuPerGpuSandbox", "maxMemoryPerGpuSandbox", "maxDiskPerGpuSandbox"),
)
TOTALS = {"totalCpuQuota": 20, "totalMemoryQuota": 40, "totalDiskQuota": 60, "totalGpuQuota": 2}
GPU_CAPS = {"maxCpuPerGpuSandbox": 16, "maxMemoryPerGpuSandbox": 192, "maxDiskPerGpuSandbox": 512}


@pytest.fixture
def acme(scene: Scene) -> Metered:
    """The organization of the scene, metered."""
    acme = Metered(scene.world, scene.owner)
    acme.organization = scene.organization
    return acme


@pytest.fixture
def admin(scene: Scene) -> Http:
    """REST as an operator."""
    return scene.by(scene.world.platform_token())


def there(scene: Scene, rest: str = "us") -> str:
    """The path of a quota in a region, for operators."""
    return f"/api/admin{scene.path('/quota/')[4:]}{rest}"


def quota(scene: Scene, **known: Any) -> dict[str, Any]:
    """A new quota in a region."""
    named = {"organizationId": scene.uuid(scene.organization), "regionId": "us", "sandboxClass": "container"}
    return numbers({**named, **TOTALS, **GPU_CAPS, **known})


def numbers(body: dict[str, Any]) -> dict[str, Any]:
    """The same, numbers as whole ones."""
    return {key: exactly(value) if isinstance(value, int) else value for key, value in body.items()}


def make(scene: Scene, admin: Http, **given: Any) -> Any:
    """A quota in a region."""
    answer = admin.post(there(scene), {"sandboxClass": "container", **TOTALS, **given})
    assert answer.status == 201, answer.body
    return answer.body


# -- the organization as a whole ---------------------------------------------------------------------------------------


def test_what_operators_set_is_what_the_organization_shows_and_null_leaves_it(scene: Scene, admin: Http) -> None:
    path = scene.path("/quota")
    body = {"maxCpuPerSandbox": 16, "maxMemoryPerSandbox": 32, "maxDiskPerSandbox": 64.0, "snapshotQuota": 5}
    more = {"maxSnapshotSize": 7, "volumeQuota": 0, "snapshotDeactivationTimeoutMinutes": 30}
    assert admin.patch(path, body | more).seen == (204, None)
    shown = {"maxCpuPerSandbox": 16, "maxMemoryPerSandbox": 32, "maxDiskPerSandbox": 64}
    shown["snapshotDeactivationTimeoutMinutes"] = 30
    assert scene.as_owner.get(scene.path()).seen == (200, organization(**numbers(shown)))
    assert [each for each in scene.as_owner.get("/api/organizations").body if not each["personal"]] == [
        organization(**numbers(shown))
    ]
    usage = scene.as_owner.get(scene.path("/usage")).body
    assert (usage["totalSnapshotQuota"], usage["totalVolumeQuota"]) == (5, 0)
    assert admin.patch(path, {"maxCpuPerSandbox": None, "volumeQuota": 9}).seen == (204, None)
    assert scene.as_owner.get(scene.path()).body["maxCpuPerSandbox"] == 16
    usage = scene.as_owner.get(scene.path("/usage")).body
    assert (usage["totalSnapshotQuota"], usage["totalVolumeQuota"]) == (5, 9)
    event = scene.last_event()
    assert (event.action, event.target.id) == ("quota.update", scene.organization.id)


def test_snapshots_that_are_processed_at_once_are_limited_or_boundless(scene: Scene, admin: Http) -> None:
    def limit() -> Any:
        quotas = scene.world.platform()("QuotaService.GetOrganizationQuotas", organization_id=scene.organization.id)
        return limit_of(quotas, "max-concurrent-snapshots")

    name, path = "maxConcurrentSnapshotProcessing", scene.path("/quota")
    for given, found in ((5, 5), (None, 5), (0, None), (7.0, 7), (-1, None)):
        assert admin.patch(path, {name: given}).seen == (204, None)
        assert limit() == found, given
    message = f"{name} must be a whole number from 0 to 1,000,000,000, or null"
    for wrong in (1.5, "5", True, False):
        assert admin.patch(path, {name: wrong}).seen == daytona_error(400, path, message)


@pytest.mark.parametrize("value", [-1, 1.5, "5", True, [], {}, 1e12])
def test_a_limit_is_a_whole_number_or_null(scene: Scene, admin: Http, value: Any) -> None:
    path = scene.path("/quota")
    message = "snapshotQuota must be a whole number from 0 to 1,000,000,000, or null"
    with scene.world.unchanged(scene.organization):
        answer = admin.patch(path, {"volumeQuota": 1, "snapshotQuota": value})
    assert answer.seen == daytona_error(400, path, message)


def test_operators_set_rate_limits_and_null_leaves_them(scene: Scene, admin: Http) -> None:
    path = scene.path("/quota")
    body = {"volumeQuota": 3, "authenticatedRateLimit": 50, "authenticatedRateLimitTtlSeconds": 30, "sandboxCreateRateLimit": 0}
    assert admin.patch(path, body).seen == (204, None)
    event = scene.last_event()
    assert (event.action, {change.field for change in event.changes}) == ("quota.update", {"quotas", "limits"})
    shown = {key: value for key, value in body.items() if key != "volumeQuota"}
    assert scene.as_owner.get(scene.path()).seen == (200, organization(**numbers(shown)))
    # A part that is not named stays, whatever else is.
    again = {"authenticatedRateLimit": None, "authenticatedRateLimitTtlSeconds": 86_400, "sandboxCreateRateLimit": 7.0}
    assert admin.patch(path, again).seen == (204, None)
    shown |= {"authenticatedRateLimitTtlSeconds": 86_400, "sandboxCreateRateLimit": 7}
    assert scene.as_owner.get(scene.path()).seen == (200, organization(**numbers(shown)))
    assert admin.patch(path, {"snapshotQuota": 5, "sandboxLifecycleRateLimitTtlSeconds": None}).seen == (204, None)
    assert scene.as_owner.get(scene.path()).seen == (200, organization(**numbers(shown)))


def test_a_rate_limit_that_is_set_holds_from_the_next_call_on(scene: Scene, admin: Http) -> None:
    most = {"authenticatedRateLimit": 1, "authenticatedRateLimitTtlSeconds": 86_400}
    assert admin.patch(scene.path("/quota"), most).seen == (204, None)
    assert [scene.as_owner.get(scene.path("/roles")).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("value", [-1, 1.5, "5", True, [], {}, 1e12])
def test_a_rate_limit_is_a_whole_number_or_null(scene: Scene, admin: Http, value: Any) -> None:
    path = scene.path("/quota")
    message = "sandboxCreateRateLimit must be a whole number from 0 to 1,000,000,000, or null"
    with scene.world.unchanged(scene.organization):
        answer = admin.patch(path, {"volumeQuota": 1, "sandboxCreateRateLimit": value})
    assert answer.seen == daytona_error(400, path, message)


@pytest.mark.parametrize("value", [0, -1, 1.5, 86_401, "60"])
def test_a_window_is_a_whole_number_of_seconds_up_to_a_day(scene: Scene, admin: Http, value: Any) -> None:
    path = scene.path("/quota")
    message = "sandboxCreateRateLimitTtlSeconds must be a whole number from 1 to 86,400, or null"
    with scene.world.unchanged(scene.organization):
        answer = admin.patch(path, {"volumeQuota": 1, "sandboxCreateRateLimitTtlSeconds": value})
    assert answer.seen == daytona_error(400, path, message)


def test_rate_limits_need_a_permission_of_their_own(scene: Scene) -> None:
    path = scene.path("/quota")
    narrow = scene.by(scene.world.platform_token(["quota:update"]))
    with scene.world.unchanged(scene.organization):
        answer = narrow.patch(path, {"volumeQuota": 1, "authenticatedRateLimit": 5})
    assert answer.seen == daytona_error(403, path, "permission missing: organization:limit")
    assert narrow.patch(path, {"volumeQuota": 1, "authenticatedRateLimit": None}).seen == (204, None)


def test_only_operators_set_quotas(scene: Scene, admin: Http) -> None:
    message = "this call cannot be made with a credential of kind user"
    for path in (scene.path("/quota"), scene.path("/quota/us"), there(scene)):
        assert scene.as_owner.patch(path, {}).seen == daytona_error(403, path, message)
    path = f"/api/organizations/{UNKNOWN}/quota"
    assert admin.patch(path, {}).status == 403


# -- in regions --------------------------------------------------------------------------------------------------------


def test_a_quota_in_a_region_is_made_read_changed_and_taken_away(scene: Scene, admin: Http) -> None:
    assert make(scene, admin) == quota(scene)
    assert admin.get(there(scene, "us/container")).seen == (200, quota(scene))
    change = {"totalCpuQuota": 30, "maxCpuPerSandbox": 8, "maxDiskPerNonEphemeralSandbox": 0, "allowedGpuTypes": ["H100"]}
    assert admin.patch(there(scene), change).seen == (204, None)
    assert admin.get(there(scene, "us/container")).seen == (200, quota(scene, **change))
    again = {"totalCpuQuota": None, "maxCpuPerSandbox": None, "maxCpuPerGpuSandbox": None, "allowedGpuTypes": None}
    assert admin.patch(scene.path("/quota/us"), again | {"sandboxClass": "container"}).seen == (204, None)
    expected = quota(scene, totalCpuQuota=30, maxDiskPerNonEphemeralSandbox=0)
    del expected["maxCpuPerGpuSandbox"]
    assert admin.get(there(scene, "us/container")).seen == (200, expected)
    assert admin.delete(there(scene, "us/container")).seen == (204, None)
    missing = daytona_error(404, there(scene, "us/container"), "quota us/container not found")
    assert admin.get(there(scene, "us/container")).seen == missing


def test_a_quota_in_a_region_is_refused_as_documented(scene: Scene, admin: Http) -> None:
    path = there(scene)
    wanted = {"sandboxClass": "container", **TOTALS}
    cases: list[tuple[dict[str, Any], int, str]] = [
        (TOTALS, 400, "sandboxClass must be there"),
        ({**wanted, "sandboxClass": "mainframe"}, 400, "sandboxClass is not a class of resources"),
        ({**wanted, "totalGpuQuota": None}, 400, "totalGpuQuota must be there"),
        ({"sandboxClass": "container"}, 400, ", ".join(f"{name} must be there" for name in TOTALS)),
        ({**wanted, "allowedGpuTypes": "H100"}, 400, "allowedGpuTypes must be a list of names, or null"),
    ]
    for body, status, message in cases:
        assert admin.post(path, body).seen == daytona_error(status, path, message)
    mars = there(scene, "mars")
    assert admin.post(mars, wanted).seen == daytona_error(404, mars, "region mars not found")
    make(scene, admin)
    assert admin.post(path, wanted).seen == daytona_error(409, path, "there is a quota us/container already")
    free = scene.world.platform()(
        "RegionService.CreatePlatformRegion", id=fresh("free"), type="REGION_TYPE_SHARED", without_quotas=True
    )
    path = there(scene, free.id)
    assert admin.post(path, wanted).seen == daytona_error(400, path, f"region {free.id} enforces no quotas")


def test_the_last_quota_of_the_default_region_stays(scene: Scene, admin: Http) -> None:
    assert scene.as_owner.patch(scene.path("/default-region"), {"defaultRegionId": "us"}).status == 204
    path = there(scene, "us/container")
    message = "quota us/container is the last one in the organization's default region"
    assert admin.delete(path).seen == daytona_error(409, path, message)


def test_without_a_quota_there_is_nothing_to_change(scene: Scene, admin: Http) -> None:
    for path, body in ((scene.path("/quota/us"), {}), (there(scene, "mars"), {"sandboxClass": "windows"})):
        name = f"{path.rpartition('/')[2]}/{body.get('sandboxClass', 'container')}"
        assert admin.patch(path, body).seen == daytona_error(404, path, f"quota {name} not found")


# -- usage -------------------------------------------------------------------------------------------------------------


def usage(*regions: dict[str, Any], **known: int) -> dict[str, Any]:
    """An organization's usage."""
    figures = {"totalSnapshotQuota": 30, "currentSnapshotUsage": 0, "totalVolumeQuota": 100, "currentVolumeUsage": 0, **known}
    return {"regionUsage": list(regions), **numbers(figures)}


def region_usage(**known: Any) -> dict[str, Any]:
    """A row of it."""
    unused = {f"current{name}Usage": 0 for name in ("Cpu", "Memory", "Disk", "Gpu")}
    return numbers({"regionId": "us", "sandboxClass": "container", **TOTALS, **GPU_CAPS, **unused, **known})


def test_usage_is_told_with_zeros_and_without_a_quota_no_region_is(scene: Scene, admin: Http) -> None:
    assert scene.as_owner.get(scene.path("/usage")).seen == (200, usage())
    make(scene, admin)
    assert scene.by(scene.member).get(scene.path("/usage")).seen == (200, usage(region_usage()))


def test_usage_is_what_is_committed(scene: Scene, admin: Http, acme: Metered) -> None:
    make(scene, admin, allowedGpuTypes=["H100"])
    acme.committed(cpu=2, memory=4, disk=8)
    acme.committed(cpu=1)
    acme.reserve(cpu=1)
    acme.committed(snapshot=1, resource_type="snapshot")
    row = region_usage(currentCpuUsage=3, currentMemoryUsage=4, currentDiskUsage=8, allowedGpuTypes=["H100"])
    assert scene.as_owner.get(scene.path("/usage")).seen == (200, usage(row, currentSnapshotUsage=1))


def test_a_sandbox_leads_to_its_organization_and_its_quota_by_old_and_new_paths(
    scene: Scene, admin: Http, acme: Metered
) -> None:
    make(scene, admin)
    sandbox = fresh("sandbox")
    organizations = [f"/api/sandbox/{sandbox}/organization", f"/api/organizations/by-sandbox-id/{sandbox}"]
    quotas = [f"/api/sandbox/{sandbox}/region-quota", f"/api/organizations/region-quota/by-sandbox-id/{sandbox}"]
    lease = acme.reserve(cpu=1, resource_id=sandbox)
    for path in (*organizations, *quotas):
        assert admin.get(path).seen == daytona_error(404, path, f"resource sandbox/{sandbox} not found")
    acme.commit(lease)
    for path in organizations:
        assert admin.get(path).seen == (200, organization(id=scene.uuid(scene.organization)))
    for path in quotas:
        assert admin.get(path).seen == (200, quota(scene))
    proxy = scene.by(scene.world.platform_token(["resource:read"]))
    assert proxy.get(quotas[0]).status == 200
    for path in (*organizations, *quotas):
        assert scene.as_owner.get(path).status == 403


def test_a_full_house_is_told_in_both_dialects(scene: Scene, acme: Metered) -> None:
    acme.limit(member=1)
    guest = {"email": f"{fresh('guest')}@example.com", "role": "member", "assignedRoleIds": []}
    path = scene.path("/invitations")
    message = "quota exceeded: 1 more of member, of which 1 of 1 are in use"
    assert scene.as_owner.post(path, guest).seen == daytona_error(403, path, message)
    answer = scene.as_owner.post(scene.v1("/members"), {"email": guest["email"], "role": "member"})
    assert (answer.status, answer.body["error"], answer.body["message"]) == (422, "limit_exceeded", message)
