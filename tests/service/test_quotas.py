"""Quotas: set and cleared by operators, as a whole and in regions; caps on single resources; and the catalog behind them."""

from typing import Any

import pytest
from grpc import StatusCode
from support.metered import Metered, amounts, exceeded, limit_of, limits
from support.world import World

from tenantry_server.domain import ids

GET, UPDATE = "QuotaService.GetOrganizationQuotas", "QuotaService.UpdateOrganizationQuotas"
CREATE_THERE, GET_THERE = "QuotaService.CreateRegionQuota", "QuotaService.GetRegionQuota"
UPDATE_THERE, DELETE_THERE = "QuotaService.UpdateRegionQuota", "QuotaService.DeleteRegionQuota"
WHOLE = {
    "max-concurrent-snapshots": None,
    "max-cpu-per-sandbox": 4,
    "max-disk-per-sandbox": 10,
    "max-memory-per-sandbox": 8,
    "max-secrets-per-sandbox": 10,
    "max-snapshot-size": 20,
    "member": None,
    "secret": 100,
    "snapshot": 30,
    "snapshot-deactivation-timeout": 20160,
    "snapshot-size": None,
    "volume": 100,
}
THERE = {
    "cpu": 10,
    "disk": 30,
    "gpu": 0,
    "max-cpu-per-gpu-sandbox": 16,
    "max-disk-per-gpu-sandbox": 512,
    "max-disk-per-non-ephemeral-sandbox": None,
    "max-memory-per-gpu-sandbox": 192,
    "memory": 10,
    "region-max-cpu-per-sandbox": 4,
    "region-max-disk-per-sandbox": 10,
    "region-max-memory-per-sandbox": 8,
}


@pytest.fixture
def acme(world: World) -> Metered:
    """An organization without a quota of its own."""
    return Metered(world)


def said(quota: Any) -> dict[str, int | None]:
    """Every limit, by metric."""
    return {each.metric: each.limit if each.HasField("limit") else None for each in quota.limits}


def own(quota: Any) -> set[str]:
    """What is no default."""
    return {each.metric for each in quota.limits if not each.is_default}


# -- as a whole --------------------------------------------------------------------------------------------------------


def test_where_nothing_is_said_the_published_figures_hold(acme: Metered) -> None:
    quotas = acme.operator(GET, **acme.here)
    assert (said(quotas), own(quotas)) == (WHOLE, set())


def test_operators_set_and_clear_limits_and_the_others_stay(acme: Metered) -> None:
    changed = acme.limit(snapshot=5, member=3)
    assert said(changed) == WHOLE | {"snapshot": 5, "member": 3}
    assert own(changed) == {"snapshot", "member"}
    assert acme.operator(GET, **acme.here) == changed
    rest = {"limits": limits(volume=0), "cleared_metrics": ["snapshot"]}
    again = acme.operator(UPDATE, **rest, **acme.here)
    assert (said(again), own(again)) == (WHOLE | {"volume": 0, "member": 3}, {"volume", "member"})
    event = acme.world.events(acme.organization, acme.owner)[0]
    assert (event.action, event.target.id) == ("quota.update", acme.organization.id)
    ((field, before, after),) = [(each.field, each.before, each.after) for each in event.changes]
    assert field == "quotas"
    assert dict(before.struct_value) == {"member": 3, "snapshot": 5}
    assert dict(after.struct_value) == {"member": 3, "volume": 0}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"limits": limits(cpu=1)}, "limits[0].metric"),
        ({"limits": limits(horses=1)}, "limits[0].metric"),
        ({"cleared_metrics": ["cpu"]}, "cleared_metrics[0]"),
        ({"limits": limits(volume=1), "cleared_metrics": ["volume"]}, "cleared_metrics[0]"),
        ({"limits": limits(volume=1) * 2}, "limits[1].metric"),
        ({"limits": limits(volume=-1)}, "limits[0].limit"),
        ({"limits": limits(volume=10**9 + 1)}, "limits[0].limit"),
    ],
)
def test_a_limit_that_cannot_be_is_named_and_none_is_set(acme: Metered, given: dict[str, Any], field: str) -> None:
    with acme.world.unchanged(acme.organization):
        refusal = acme.operator.refusal(UPDATE, **{"limits": limits(snapshot=1), **given}, **acme.here)
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert field in refusal.violations
    assert said(acme.operator(GET, **acme.here)) == WHOLE


def test_members_read_usage_and_not_the_operators_quotas(acme: Metered) -> None:
    for name in (GET, UPDATE):
        refusal = acme.owner.rpc.refusal(name, **acme.here)
        assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": "user"})
    reader = acme.world.platform("quota:read")
    assert said(reader(GET, **acme.here)) == WHOLE
    refusal = reader.refusal(UPDATE, **acme.here)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "quota:update"})


def test_limits_of_an_unknown_organization_are_not_to_be_had(acme: Metered) -> None:
    unknown = ids.new()
    for name in (GET, UPDATE):
        refusal = acme.operator.refusal(name, organization_id=unknown)
        denied = "ORGANIZATION_NOT_ACCESSIBLE"
        assert refusal.seen == (StatusCode.PERMISSION_DENIED, denied, {"organization_id": unknown})


def test_two_operators_with_one_etag_do_not_overwrite_each_other(acme: Metered) -> None:
    etag = acme.operator(GET, **acme.here).etag
    acme.operator(UPDATE, limits=limits(volume=1), etag=etag, **acme.here)
    refusal = acme.operator.refusal(UPDATE, limits=limits(volume=2), etag=etag, **acme.here)
    assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": etag})


def test_snapshots_are_counted_and_none_is_too_large(acme: Metered) -> None:
    acme.limit(snapshot=2)
    first = acme.committed(snapshot=1, snapshot_size=20, resource_type="snapshot")
    acme.reserve(snapshot=1, resource_type="snapshot")
    assert acme.reserve_refused(snapshot=1, resource_type="snapshot").seen == exceeded("snapshot", 2, 2, 1, region_id="")
    acme.release(first)
    refusal = acme.reserve_refused(snapshot=1, snapshot_size=21, resource_type="snapshot")
    assert refusal.seen == exceeded("max-snapshot-size", 20, 0, 21, region_id="")


# -- in a region -------------------------------------------------------------------------------------------------------


def test_a_quota_in_a_region_begins_with_the_published_figures(acme: Metered) -> None:
    quota = acme.grant()
    assert (quota.organization_id, quota.region_id, quota.resource_class) == (acme.organization.id, "us", "container")
    assert said(quota) == THERE
    assert not quota.HasField("allowed_gpu_types")
    assert acme.operator(GET_THERE, region_id="us", **acme.here) == quota
    event = acme.world.events(acme.organization, acme.owner)[0]
    assert (event.action, event.target.id) == ("quota.create", "us/container")


def test_limits_in_a_region_are_set_and_cleared_and_caps_fall_back_to_the_organizations(acme: Metered) -> None:
    acme.grant(cpu=100, region_max_cpu_per_sandbox=6)
    acme.limit(max_memory_per_sandbox=64)
    quota = acme.operator(GET_THERE, region_id="us", **acme.here)
    assert said(quota) == THERE | {"cpu": 100, "region-max-cpu-per-sandbox": 6, "region-max-memory-per-sandbox": 64}
    rest = {"limits": limits(memory=50), "cleared_metrics": ["region-max-cpu-per-sandbox", "max-cpu-per-gpu-sandbox"]}
    again = acme.operator(UPDATE_THERE, region_id="us", **rest, **acme.here)
    expected = {"cpu": 100, "memory": 50, "region-max-memory-per-sandbox": 64, "max-cpu-per-gpu-sandbox": None}
    assert said(again) == THERE | expected
    assert acme.world.events(acme.organization, acme.owner)[0].action == "quota.update"


def test_each_class_of_resources_has_a_quota_of_its_own(acme: Metered) -> None:
    acme.grant(cpu=1)
    acme.grant(resource_class="linux-vm", cpu=2)
    acme.reserve(cpu=1)
    acme.reserve(cpu=2, resource_class="linux-vm")
    assert acme.reserve_refused(cpu=1).seen == exceeded("cpu", 1, 1, 1)
    assert acme.reserve_refused(cpu=1, resource_class="linux-vm").seen == exceeded("cpu", 2, 2, 1)
    assert acme.reserve_refused(cpu=1, resource_class="android").seen == exceeded("cpu", 0, 0, 1)


def test_a_quota_is_made_once_where_quotas_are_enforced(acme: Metered) -> None:
    acme.grant()
    refusal = acme.operator.refusal(CREATE_THERE, region_id="us", **acme.here)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "QUOTA_EXISTS", {"quota": "us/container"})
    refusal = acme.operator.refusal(CREATE_THERE, region_id="mars", **acme.here)
    assert refusal.seen == (StatusCode.NOT_FOUND, "REGION_NOT_FOUND", {"region_id": "mars"})
    cellar = acme.owner.rpc("RegionService.CreateRegion", name="Cellar", **acme.here)
    refusal = acme.operator.refusal(CREATE_THERE, region_id=cellar.id, **acme.here)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "QUOTAS_NOT_ENFORCED", {"region_id": cellar.id})
    refusal = acme.operator.refusal(CREATE_THERE, region_id="us", resource_class="mainframe", **acme.here)
    assert refusal.violations == {"resource_class": "RESOURCE_CLASS"}


@pytest.mark.parametrize("name", [GET_THERE, UPDATE_THERE, DELETE_THERE])
def test_a_quota_that_is_not_there_is_not_found(acme: Metered, name: str) -> None:
    for place in ({"region_id": "us"}, {"region_id": "mars"}, {"region_id": "us", "resource_class": "windows"}):
        refusal = acme.operator.refusal(name, **place, **acme.here)
        quota = f"{place['region_id']}/{place.get('resource_class', 'container')}"
        assert refusal.seen == (StatusCode.NOT_FOUND, "QUOTA_NOT_FOUND", {"quota": quota})


def test_a_quota_is_taken_away_but_not_the_last_one_in_the_default_region(acme: Metered) -> None:
    acme.owner.rpc("OrganizationService.SetDefaultRegion", default_region_id="us", **acme.here)
    acme.grant(resource_class="windows")
    acme.operator(DELETE_THERE, region_id="us", resource_class="windows", **acme.here)
    refusal = acme.operator.refusal(DELETE_THERE, region_id="us", **acme.here)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "LAST_DEFAULT_QUOTA", {"quota": "us/container"})
    acme.owner.rpc("OrganizationService.SetDefaultRegion", default_region_id="eu", **acme.here)
    lease = acme.committed(cpu=1)
    acme.operator(DELETE_THERE, region_id="us", **acme.here)
    assert acme.usage() == (0, 1, 0)
    assert acme.reserve_refused(cpu=1).seen == exceeded("cpu", 0, 1, 1)
    acme.release(lease)
    assert acme.world.breaches() == []


def test_choosing_a_default_region_gives_a_quota_there_once(acme: Metered) -> None:
    acme.owner.rpc("OrganizationService.SetDefaultRegion", default_region_id="us", **acme.here)
    assert said(acme.operator(GET_THERE, region_id="us", **acme.here)) == THERE
    told = {each.field for each in acme.world.events(acme.organization, acme.owner)[0].changes}
    assert told == {"default_region_id", "region_quota"}
    acme.regional_limit(cpu=50)
    acme.owner.rpc("OrganizationService.SetDefaultRegion", default_region_id="eu", **acme.here)
    acme.owner.rpc("OrganizationService.SetDefaultRegion", default_region_id="us", **acme.here)
    assert limit_of(acme.operator(GET_THERE, region_id="us", **acme.here), "cpu") == 50
    made = acme.owner.rpc("OrganizationService.CreateOrganization", name="Other", default_region_id="eu")
    assert said(acme.operator(GET_THERE, region_id="eu", organization_id=made.id)) == THERE


# -- caps on one resource ----------------------------------------------------------------------------------------------


def test_no_sandbox_has_more_than_its_cap(acme: Metered) -> None:
    acme.grant(cpu=100, memory=100)
    assert acme.reserve_refused(cpu=5).seen == exceeded("region-max-cpu-per-sandbox", 4, 0, 5)
    acme.limit(max_cpu_per_sandbox=8)
    acme.reserve(cpu=8)
    acme.regional_limit(region_max_cpu_per_sandbox=2)
    assert acme.reserve_refused(cpu=3).seen == exceeded("region-max-cpu-per-sandbox", 2, 0, 3)
    acme.reserve(cpu=3, resource_type="machine")


def test_a_sandbox_with_gpus_goes_by_caps_of_its_own(acme: Metered) -> None:
    acme.grant(cpu=100, gpu=4)
    acme.reserve(cpu=16, gpu=1)
    assert acme.reserve_refused(cpu=17, gpu=1).seen == exceeded("max-cpu-per-gpu-sandbox", 16, 0, 17)
    clear = {"region_id": "us", "cleared_metrics": ["max-cpu-per-gpu-sandbox"]}
    acme.operator(UPDATE_THERE, **clear, **acme.here)
    assert acme.reserve_refused(cpu=5, gpu=1).seen == exceeded("region-max-cpu-per-sandbox", 4, 0, 5)


def test_sandboxes_that_are_kept_can_be_forbidden(acme: Metered) -> None:
    acme.grant(disk=100, gpu=1)
    acme.reserve(disk=10)
    acme.regional_limit(max_disk_per_non_ephemeral_sandbox=0)
    assert acme.reserve_refused(disk=1).seen == exceeded("max-disk-per-non-ephemeral-sandbox", 0, 0, 1)
    assert acme.reserve_refused(disk=1, gpu=1).seen == exceeded("max-disk-per-non-ephemeral-sandbox", 0, 0, 1)
    acme.reserve(disk=10, ephemeral=True)


def test_only_allowed_types_of_gpus_are_used(acme: Metered) -> None:
    acme.grant(gpu=10)
    acme.reserve(gpu=1)
    change = {"region_id": "us", "allowed_gpu_types": {"gpu_types": ["H100"]}}
    quota = acme.operator(UPDATE_THERE, **change, **acme.here)
    assert list(quota.allowed_gpu_types.gpu_types) == ["H100"]
    acme.reserve(gpu=1, gpu_type="H100")
    for gpu_type in ("RTX-PRO-6000", ""):
        assert acme.reserve_refused(gpu=1, gpu_type=gpu_type).seen == exceeded("gpu", 0, 0, 1)
    acme.operator(UPDATE_THERE, region_id="us", allowed_gpu_types={}, **acme.here)
    assert acme.reserve_refused(gpu=1, gpu_type="H100").seen == exceeded("gpu", 0, 0, 1)
    acme.operator(UPDATE_THERE, region_id="us", limits=limits(gpu=9), **acme.here)
    assert acme.reserve_refused(gpu=1, gpu_type="H100").seen == exceeded("gpu", 0, 0, 1)
    acme.operator(UPDATE_THERE, region_id="us", allowed_gpu_types={"all": True}, **acme.here)
    acme.reserve(gpu=1, gpu_type="RTX-PRO-6000")
    refusal = acme.operator.refusal(UPDATE_THERE, region_id="us", allowed_gpu_types={"gpu_types": ["H100", "Z80"]}, **acme.here)
    assert refusal.violations == {"allowed_gpu_types.gpu_types[1]": "GPU_TYPE"}


# -- the catalog -------------------------------------------------------------------------------------------------------


def test_the_catalog_of_metrics_can_be_read_by_whoever_calls(acme: Metered) -> None:
    metrics = acme.owner.rpc("QuotaService.ListMetrics").metrics
    assert [metric.name for metric in metrics] == sorted(WHOLE | THERE)
    found = {metric.name: metric for metric in metrics}
    assert (found["cpu"].kind, found["cpu"].regional, found["cpu"].unit, found["cpu"].default_limit) == (1, True, "cores", 10)
    assert (found["member"].kind, found["member"].HasField("default_limit")) == (2, False)
    assert found["max-cpu-per-sandbox"].kind == 3
    assert found["snapshot-deactivation-timeout"].kind == 4


def test_what_is_reserved_counts_against_the_limit_it_meets_wherever_it_is_asked_for(acme: Metered) -> None:
    acme.grant(cpu=4)
    acme.limit(volume=1)
    lease = acme.reserve(region_id="us", amounts=amounts(cpu=2, volume=1))
    assert (acme.usage(), acme.usage("volume", None)) == ((4, 0, 2), (1, 0, 1))
    refusal = acme.reserve_refused(region_id="us", amounts=amounts(cpu=1, volume=1))
    assert refusal.seen == exceeded("volume", 1, 1, 1, region_id="")
    acme.commit(lease)
    assert (acme.usage(), acme.usage("volume", None)) == ((4, 2, 0), (1, 1, 0))
