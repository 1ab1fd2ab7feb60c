"""Regions: the platform's, which everybody or some can use, and the custom ones of organizations."""

from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.deployment import CATALOG, LIMITS
from support.metered import Metered
from support.world import Person, World, fresh

from tenantry_server import bootstrap
from tenantry_server.domain import ids
from tenantry_server.domain.regions import FirstRegion
from tenantry_server.domain.tokens import digest

SHARED, DEDICATED, CUSTOM = 1, 2, 3
CREATE, GET, LIST = "RegionService.CreateRegion", "RegionService.GetRegion", "RegionService.ListRegions"
UPDATE, DELETE = "RegionService.UpdateRegion", "RegionService.DeleteRegion"
ROTATE, FIND = "RegionService.RotateRegionKey", "RegionService.FindRegionByKey"
CREATE_OURS, UPDATE_OURS = "RegionService.CreatePlatformRegion", "RegionService.UpdatePlatformRegion"
PLACES = {f"{name}_url": f"https://{name[:3]}.example" for name in ("proxy", "ssh_gateway", "snapshot_manager")}
PROXY, SSH_GATEWAY, SNAPSHOT_MANAGER = 1, 2, 3


@pytest.fixture
def acme(world: World) -> Metered:
    """An organization without quotas."""
    return Metered(world)


@pytest.fixture
def cellar(acme: Metered) -> Any:
    """A custom region with all services."""
    return acme.owner.rpc(CREATE, name="Cellar", **PLACES, **acme.here)


def not_found(region_id: str) -> Any:
    return StatusCode.NOT_FOUND, "REGION_NOT_FOUND", {"region_id": region_id}


def taken(region: str) -> Any:
    return StatusCode.ALREADY_EXISTS, "REGION_TAKEN", {"region": region}


def missing(permission: str) -> Any:
    return StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": permission}


def usable(acme: Metered, by: Person | None = None) -> dict[str, int]:
    """The regions that the organization can use, with their types."""
    return {region.id: region.type for region in (by or acme.owner).rpc(LIST, page_size=1000, **acme.here).regions}


def ours(acme: Metered, **given: Any) -> Any:
    """A region of the platform."""
    return acme.operator(CREATE_OURS, **{"id": fresh("region"), "type": DEDICATED, **given})


# -- which there are ---------------------------------------------------------------------------------------------------


def test_shared_regions_are_told_to_everybody(world: World) -> None:
    regions = world.client()("RegionService.ListSharedRegions", page_size=1000).regions
    assert {(region.id, region.name, region.type, region.enforce_quotas) for region in regions} >= {
        ("us", "us", SHARED, True),
        ("eu", "eu", SHARED, True),
    }
    assert [region.id for region in regions] == sorted(region.id for region in regions)
    assert {region.type for region in regions} == {SHARED}
    first = world.client()("RegionService.ListSharedRegions", page_size=1)
    second = world.client()("RegionService.ListSharedRegions", page_size=1, page_token=first.next_page_token)
    assert [*first.regions, *second.regions] == list(regions[:2])


def test_an_organization_can_use_its_own_those_with_a_quota_and_those_without_quotas(acme: Metered, world: World) -> None:
    cellar = acme.owner.rpc(CREATE, name="Cellar", **acme.here)
    foreign = Metered(world)
    foreign.owner.rpc(CREATE, name="Cellar", **foreign.here)
    given, withheld, free = ours(acme), ours(acme), ours(acme, without_quotas=True)
    acme.operator("QuotaService.CreateRegionQuota", region_id=given.id, **acme.here)
    acme.grant()
    found = usable(acme)
    assert found.items() >= {cellar.id: CUSTOM, given.id: DEDICATED, free.id: DEDICATED, "us": SHARED}.items()
    assert not found.keys() & {withheld.id, "eu"}
    assert [id_ for id_, kind in found.items() if kind == CUSTOM] == [cellar.id]
    assert usable(acme, world.member(acme.organization, acme.owner)) == found


def test_a_new_installation_has_its_regions_once(acme: Metered) -> None:
    database = acme.world.deployment.database
    before = sorted(raw.values(database, "regions", "id"))
    bootstrap.wire(database, CATALOG, LIMITS, regions=[FirstRegion(id="moon", name="moon")])
    assert sorted(raw.values(database, "regions", "id")) == before


# -- the platform's ----------------------------------------------------------------------------------------------------


def test_operators_make_and_change_regions_which_the_platforms_trail_tells(acme: Metered) -> None:
    made = ours(acme, type=SHARED, name=fresh("Name"))
    assert (made.organization_id, made.type, made.enforce_quotas, made.proxy_url) == ("", SHARED, True, "")
    name = fresh("Other")
    key = {"platform_region_id": made.id, "etag": made.etag}
    changed = acme.operator(UPDATE_OURS, name=name, enforce_quotas=False, **key)
    assert (changed.name, changed.enforce_quotas, changed.type) == (name, False, SHARED)
    refusal = acme.operator.refusal(UPDATE_OURS, name="late", **key)
    assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": made.etag})
    events = acme.operator("AuditService.ListPlatformAuditEvents", page_size=2).events
    assert [(event.action, event.target.id) for event in events] == [("region.update", made.id), ("region.create", made.id)]
    assert made.id in usable(acme)


def test_a_region_of_the_platform_has_its_id_and_its_name_to_itself(acme: Metered) -> None:
    made = ours(acme)
    assert acme.operator.refusal(CREATE_OURS, id=made.id, name="other", type=SHARED).seen == taken(made.id)
    assert acme.operator.refusal(CREATE_OURS, id=fresh("region"), name=made.name, type=SHARED).seen == taken(made.name)
    other = ours(acme)
    assert acme.operator.refusal(UPDATE_OURS, platform_region_id=other.id, name=made.name).seen == taken(made.name)
    assert acme.operator.refusal(UPDATE_OURS, platform_region_id="nowhere", name="x1").seen == not_found("nowhere")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "US"}, "id"),
        ({"id": "7up"}, "id"),
        ({"id": "a" * 31}, "id"),
        ({"id": "a b"}, "id"),
        ({"name": "x"}, "name"),
        ({"name": "a b"}, "name"),
        ({"type": CUSTOM}, "type"),
        ({"type": 0}, "type"),
    ],
)
def test_what_a_region_of_the_platform_cannot_be_is_named(acme: Metered, given: dict[str, Any], field: str) -> None:
    refusal = acme.operator.refusal(CREATE_OURS, **{"id": fresh("region"), "type": SHARED, **given})
    assert (refusal.code, list(refusal.violations)) == (StatusCode.INVALID_ARGUMENT, [field])


# -- custom ones -------------------------------------------------------------------------------------------------------


def test_a_custom_region_is_made_read_changed_and_deleted(acme: Metered, cellar: Any) -> None:
    assert (cellar.organization_id, cellar.name, cellar.type) == (acme.organization.id, "Cellar", CUSTOM)
    assert (cellar.enforce_quotas, cellar.proxy_url) == (False, "https://pro.example")
    for spelling in (cellar.id, cellar.id.lower(), ids.to_uuid(cellar.id)):
        assert acme.owner.rpc(GET, region_id=spelling, **acme.here) == cellar
    changed = acme.owner.rpc(UPDATE, region_id=cellar.id, proxy_url="http://new.example", etag=cellar.etag, **acme.here)
    assert (changed.proxy_url, changed.ssh_gateway_url) == ("http://new.example", cellar.ssh_gateway_url)
    emptied = acme.owner.rpc(UPDATE, region_id=cellar.id, update_mask={"paths": ["*"]}, **acme.here)
    assert (emptied.proxy_url, emptied.ssh_gateway_url, emptied.snapshot_manager_url) == ("", "", "")
    acme.owner.rpc(DELETE, region_id=cellar.id, **acme.here)
    assert acme.owner.rpc.refusal(GET, region_id=cellar.id, **acme.here).seen == not_found(cellar.id)
    actions = [event.action for event in acme.world.events(acme.organization, acme.owner)[:4]]
    assert actions == ["region.delete", "region.update", "region.update", "region.create"]


def test_a_name_is_given_once_in_an_organization(acme: Metered, cellar: Any, world: World) -> None:
    refusal = acme.owner.rpc.refusal(CREATE, name="Cellar", **acme.here)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "REGION_TAKEN", {"region": "Cellar"})
    other = Metered(world)
    assert other.owner.rpc(CREATE, name="Cellar", **other.here).name == "Cellar"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "x"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "two words"}, "name"),
        ({"proxy_url": "ftp://a.example"}, "proxy_url"),
        ({"proxy_url": "https://user:password@a.example"}, "proxy_url"),
        ({"ssh_gateway_url": "https://a b"}, "ssh_gateway_url"),
        ({"snapshot_manager_url": "https://a.example/" + "a" * 500}, "snapshot_manager_url"),
    ],
)
def test_what_a_custom_region_cannot_be_is_named(acme: Metered, given: dict[str, str], field: str) -> None:
    refusal = acme.owner.rpc.refusal(CREATE, **{"name": "Cellar", **given}, **acme.here)
    assert (refusal.code, list(refusal.violations)) == (StatusCode.INVALID_ARGUMENT, [field])


def test_writing_and_deleting_regions_are_permissions_of_their_own(acme: Metered, cellar: Any) -> None:
    writer = acme.world.member_with(acme.organization, acme.owner, "region:write")
    member = acme.world.member(acme.organization, acme.owner)
    writer.rpc(UPDATE, region_id=cellar.id, proxy_url="http://new.example", **acme.here)
    assert writer.rpc.refusal(DELETE, region_id=cellar.id, **acme.here).seen == missing("region:delete")
    assert member.rpc.refusal(CREATE, name="Attic", **acme.here).seen == missing("region:write")
    assert member.rpc(GET, region_id=cellar.id, **acme.here).id == cellar.id


def test_a_region_in_use_is_not_deleted(acme: Metered, cellar: Any) -> None:
    in_use = (StatusCode.FAILED_PRECONDITION, "REGION_IN_USE", {"region_id": cellar.id})
    lease = acme.reserve(cpu=1, region_id=cellar.id)
    assert acme.owner.rpc.refusal(DELETE, region_id=cellar.id, **acme.here).seen == in_use
    acme.commit(lease)
    assert acme.owner.rpc.refusal(DELETE, region_id=cellar.id, **acme.here).seen == in_use
    acme.release(lease)
    acme.owner.rpc("OrganizationService.SetDefaultRegion", default_region_id=cellar.id, **acme.here)
    assert acme.owner.rpc.refusal(DELETE, region_id=cellar.id, **acme.here).seen == in_use
    acme.owner.rpc("OrganizationService.SetDefaultRegion", default_region_id="eu", **acme.here)
    assert acme.owner.rpc(DELETE, region_id=cellar.id, **acme.here).revision
    assert acme.world.breaches() == []


def test_a_snapshot_manager_stays_while_there_are_snapshots(acme: Metered, cellar: Any) -> None:
    lease = acme.committed(snapshot=1, resource_type="snapshot", region_id=cellar.id)
    gone = {"region_id": cellar.id, "snapshot_manager_url": "", **acme.here}
    in_use = (StatusCode.FAILED_PRECONDITION, "REGION_IN_USE", {"region_id": cellar.id})
    assert acme.owner.rpc.refusal(UPDATE, **gone).seen == in_use
    acme.owner.rpc(UPDATE, region_id=cellar.id, proxy_url="", **acme.here)
    acme.release(lease)
    assert acme.owner.rpc(UPDATE, **gone).snapshot_manager_url == ""


def test_the_default_region_is_one_that_the_organization_can_use(acme: Metered, cellar: Any, world: World) -> None:
    set_default = "OrganizationService.SetDefaultRegion"
    dedicated, foreign = ours(acme), Metered(world)
    theirs = foreign.owner.rpc(CREATE, name="Cellar", **foreign.here)
    for region_id in (dedicated.id, theirs.id, "mars", ids.new()):
        refusal = acme.owner.rpc.refusal(set_default, default_region_id=region_id, **acme.here)
        assert refusal.violations == {"default_region_id": "UNKNOWN_REGION"}
    acme.operator("QuotaService.CreateRegionQuota", region_id=dedicated.id, **acme.here)
    for region_id in (dedicated.id, "eu", cellar.id):
        changed = acme.owner.rpc(set_default, default_region_id=region_id, **acme.here)
        assert changed.default_region_id == region_id
    assert acme.owner.rpc(set_default, default_region_id=ids.to_uuid(cellar.id), **acme.here).default_region_id == cellar.id


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_leads_to_its_region_until_there_is_another(acme: Metered, cellar: Any) -> None:
    rotate = {"region_id": cellar.id, "endpoint": PROXY, **acme.here}
    first = acme.owner.rpc(ROTATE, **rotate)
    assert first.key.startswith("tnt_rgn_")
    found = acme.operator(FIND, key=first.key)
    assert (found.region, found.endpoint) == (first.region, PROXY)
    second = acme.owner.rpc(ROTATE, **rotate)
    assert acme.operator.refusal(FIND, key=first.key).seen == not_found("")
    assert acme.operator(FIND, key=second.key).region.id == cellar.id
    database = acme.world.deployment.database
    assert raw.values(database, "region_keys", "digest", region_id=cellar.id) == [digest(second.key)]
    event = acme.world.events(acme.organization, acme.owner)[0]
    assert (event.action, [each.after.string_value for each in event.changes]) == ("region.rotate_key", ["proxy"])
    refusal = acme.world.client(second.key).refusal("OrganizationService.ListOrganizations")
    assert refusal.seen == (StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIAL", {})


def test_a_key_ends_with_its_service_its_region_and_its_organization(acme: Metered, cellar: Any) -> None:
    keys = {
        endpoint: acme.owner.rpc(ROTATE, region_id=cellar.id, endpoint=endpoint, **acme.here).key
        for endpoint in (PROXY, SSH_GATEWAY, SNAPSHOT_MANAGER)
    }
    acme.owner.rpc(UPDATE, region_id=cellar.id, proxy_url="", **acme.here)
    assert acme.operator.refusal(FIND, key=keys[PROXY]).seen == not_found("")
    nowhere = {"region_id": cellar.id, "endpoint": "proxy"}
    refusal = acme.owner.rpc.refusal(ROTATE, region_id=cellar.id, endpoint=PROXY, **acme.here)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "ENDPOINT_MISSING", nowhere)
    acme.owner.rpc("OrganizationService.DeleteOrganization", **acme.here)
    assert acme.operator.refusal(FIND, key=keys[SSH_GATEWAY]).seen == not_found("")
    acme.owner.rpc("OrganizationService.UndeleteOrganization", **acme.here)
    assert acme.operator(FIND, key=keys[SSH_GATEWAY]).endpoint == SSH_GATEWAY
    acme.owner.rpc(DELETE, region_id=cellar.id, **acme.here)
    assert acme.operator.refusal(FIND, key=keys[SSH_GATEWAY]).seen == not_found("")


@pytest.mark.parametrize("key", ["garbage", "tnt_rgn_" + "0" * 49])
def test_what_is_no_key_leads_nowhere_and_is_not_repeated(acme: Metered, key: str) -> None:
    refusal = acme.operator.refusal(FIND, key=key)
    assert refusal.seen == not_found("")
    assert key not in str(refusal)
