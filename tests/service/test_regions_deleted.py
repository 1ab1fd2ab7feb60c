"""The end of a region of the platform: not before the last organization has let go of it."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from grpc import StatusCode
from support.interleave import outcome, refused
from support.metered import Metered, limits
from support.world import World, fresh

CREATE, DELETE = "RegionService.CreatePlatformRegion", "RegionService.DeletePlatformRegion"
GRANT, TAKE = "QuotaService.CreateRegionQuota", "QuotaService.DeleteRegionQuota"
CHOOSE = "OrganizationService.SetDefaultRegion"
SHARED = 1


@pytest.fixture
def acme(world: World) -> Metered:
    """An organization without quotas."""
    return Metered(world)


def made(acme: Metered, **given: Any) -> Any:
    """A region of the platform."""
    return acme.operator(CREATE, **{"id": fresh("region"), "type": SHARED, **given})


def in_use(acme: Metered, region: Any) -> bool:
    """Whether the region cannot be deleted, by trying it out."""
    result = outcome(lambda: acme.operator(DELETE, platform_region_id=region.id, validate_only=True))
    if refused(result):
        assert result.seen == (StatusCode.FAILED_PRECONDITION, "REGION_IN_USE", {"region_id": region.id})
    return refused(result)


def test_a_region_that_nobody_uses_is_deleted_and_the_platforms_trail_tells(acme: Metered) -> None:
    region = made(acme)
    answer = acme.operator(DELETE, platform_region_id=region.id, etag=region.etag)
    assert answer.region == region
    (event,) = acme.operator("AuditService.ListPlatformAuditEvents", page_size=1).events
    assert (event.action, event.target.id) == ("region.delete", region.id)
    refusal = acme.reserve_refused(cpu=1, region_id=region.id)
    gone = (StatusCode.NOT_FOUND, "REGION_NOT_FOUND", {"region_id": region.id})
    assert refusal.seen == gone
    assert acme.operator.refusal(DELETE, platform_region_id=region.id).seen == gone
    assert acme.world.breaches() == []


def test_a_region_stays_while_any_organization_has_a_quota_there(acme: Metered) -> None:
    region = made(acme)
    assert not in_use(acme, region)
    acme.operator(GRANT, region_id=region.id, limits=limits(cpu=1), **acme.here)
    assert in_use(acme, region)
    acme.operator(TAKE, region_id=region.id, **acme.here)
    assert not in_use(acme, region)


def test_a_region_stays_while_something_there_is_reserved_or_used(acme: Metered) -> None:
    region = made(acme, without_quotas=True)
    lease = acme.reserve(cpu=1, region_id=region.id, ttl={"seconds": 60})
    assert in_use(acme, region)
    acme.commit(lease)
    assert in_use(acme, region)
    acme.release(lease)
    assert not in_use(acme, region)
    lapsing = acme.reserve(cpu=1, region_id=region.id)
    with acme.world.at(lapsing.expire_time.ToDatetime(UTC)):
        assert not in_use(acme, region)


def test_a_region_stays_while_it_is_the_default_of_any_organization_also_of_a_deleted_one(acme: Metered) -> None:
    region = made(acme, without_quotas=True)
    acme.owner.rpc(CHOOSE, default_region_id=region.id, **acme.here)
    assert in_use(acme, region)
    acme.owner.rpc("OrganizationService.DeleteOrganization", **acme.here)
    assert in_use(acme, region)
    acme.owner.rpc("OrganizationService.UndeleteOrganization", **acme.here)
    acme.owner.rpc(CHOOSE, default_region_id="us", **acme.here)
    assert not in_use(acme, region)


def test_what_is_not_the_platforms_or_has_changed_is_not_deleted(acme: Metered) -> None:
    cellar = acme.owner.rpc("RegionService.CreateRegion", name="Cellar", **acme.here)
    assert acme.operator.refusal(DELETE, platform_region_id=cellar.id).violations.keys() == {"platform_region_id"}
    unknown = fresh("region")
    refusal = acme.operator.refusal(DELETE, platform_region_id=unknown)
    assert refusal.seen == (StatusCode.NOT_FOUND, "REGION_NOT_FOUND", {"region_id": unknown})
    region = made(acme)
    acme.operator("RegionService.UpdatePlatformRegion", platform_region_id=region.id, name=fresh("Name"))
    refusal = acme.operator.refusal(DELETE, platform_region_id=region.id, etag=region.etag)
    assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": region.etag})
    allowed = acme.world.platform("platform-region:update")
    assert allowed.refusal(DELETE, platform_region_id=region.id).reason == "PERMISSION_MISSING"
