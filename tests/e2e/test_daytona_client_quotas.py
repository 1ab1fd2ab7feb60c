"""The published Python client of Daytona, 0.190.0, about regions, quotas and usage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from daytona_api_client import (
    AdminApi,
    CreateOrganizationRegionQuota,
    CreateRegion,
    Organization,
    OrganizationsApi,
    OrganizationUsageOverview,
    Region,
    RegionQuota,
    RegionsApi,
    RegionType,
    SandboxApi,
    SandboxClass,
    UpdateOrganizationQuota,
    UpdateOrganizationRegionQuota,
    UpdateRegion,
)
from daytona_api_client.exceptions import ConflictException, ForbiddenException, NotFoundException
from e2e.clients import connecting
from e2e.scene import Scene
from support.gateway import Front
from support.metered import Metered
from support.world import Person, fresh

Connect = Callable[[Person | str], Any]
CONTAINER = SandboxClass.CONTAINER


@pytest.fixture
def connect(gateway: Front) -> Iterator[Connect]:
    """Connections to the gateway, of people or tokens."""
    with connecting(gateway) as connected:
        yield connected


@pytest.fixture
def acme(scene: Scene) -> Metered:
    """The organization of the scene, metered."""
    acme = Metered(scene.world, scene.owner)
    acme.organization = scene.organization
    return acme


def test_organization_usage_and_quotas_are_read_without_error(scene: Scene, connect: Connect, acme: Metered) -> None:
    here, token = scene.uuid(scene.organization), scene.world.platform_token()
    operator, admin = OrganizationsApi(connect(token)), AdminApi(connect(token))
    owner = OrganizationsApi(connect(scene.owner))
    usage = owner.get_organization_usage_overview(here)
    assert isinstance(usage, OrganizationUsageOverview)
    assert (usage.region_usage, usage.total_snapshot_quota, usage.current_volume_usage) == ([], 30, 0)

    wanted = CreateOrganizationRegionQuota(
        sandbox_class=CONTAINER, total_cpu_quota=20, total_memory_quota=40, total_disk_quota=60, total_gpu_quota=0
    )
    made = admin.admin_create_organization_region_quota(here, "us", wanted)
    assert isinstance(made, RegionQuota)
    assert (made.organization_id, made.region_id, made.sandbox_class, made.total_cpu_quota) == (here, "us", CONTAINER, 20)
    assert (made.max_cpu_per_sandbox, made.max_cpu_per_gpu_sandbox, made.allowed_gpu_types) == (None, 16, None)
    with pytest.raises(ConflictException):
        admin.admin_create_organization_region_quota(here, "us", wanted)

    totals: dict[str, Any] = {"total_memory_quota": None, "total_disk_quota": None, "total_gpu_quota": None}
    change = UpdateOrganizationRegionQuota(total_cpu_quota=30, max_cpu_per_gpu_sandbox=None, max_cpu_per_sandbox=8, **totals)
    assert operator.update_organization_region_quota(here, "us", change) is None
    changed = admin.admin_get_organization_region_quota(here, "us", CONTAINER)
    assert (changed.total_cpu_quota, changed.max_cpu_per_sandbox, changed.max_cpu_per_gpu_sandbox) == (30, 8, None)
    kept: dict[str, Any] = dict.fromkeys(UpdateOrganizationQuota.model_fields.keys() - {"additional_properties"})
    figures = UpdateOrganizationQuota(**{**kept, "max_cpu_per_sandbox": 16, "snapshot_quota": 5})
    assert operator.update_organization_quota(here, figures) is None
    shown = owner.get_organization(here)
    assert (shown.max_cpu_per_sandbox, shown.max_memory_per_sandbox) == (16, 8)

    acme.committed(cpu=2, memory=4)
    (row,) = owner.get_organization_usage_overview(here).region_usage
    assert (row.region_id, row.sandbox_class, row.total_cpu_quota, row.current_cpu_usage) == ("us", CONTAINER, 30, 2)
    assert (row.current_memory_usage, row.current_disk_usage, row.total_gpu_quota) == (4, 0, 0)
    assert admin.admin_delete_organization_region_quota(here, "us", CONTAINER) is None
    with pytest.raises(NotFoundException):
        admin.admin_get_organization_region_quota(here, "us", CONTAINER)
    with pytest.raises(ForbiddenException):
        owner.update_organization_quota(here, figures)


def test_a_sandbox_leads_to_its_organization_and_its_quota(scene: Scene, connect: Connect, acme: Metered) -> None:
    acme.grant(cpu=7)
    sandbox = acme.committed(cpu=1).resource_id
    proxy = SandboxApi(connect(scene.world.platform_token(["resource:read"])))
    organization = proxy.get_organization_by_sandbox_id(sandbox)
    assert isinstance(organization, Organization)
    assert organization.id == scene.uuid(scene.organization)
    quota = proxy.get_region_quota_by_sandbox_id(sandbox)
    assert isinstance(quota, RegionQuota)
    assert (quota.region_id, quota.total_cpu_quota) == ("us", 7)
    with pytest.raises(NotFoundException):
        proxy.get_region_quota_by_sandbox_id(fresh("sandbox"))


def test_regions_live_their_whole_lives(scene: Scene, connect: Connect) -> None:
    here: dict[str, Any] = {"x_daytona_organization_id": scene.uuid(scene.organization)}
    client = connect(scene.owner)
    owner, regions = OrganizationsApi(client), RegionsApi(client)
    assert {each.id for each in regions.list_shared_regions()} >= {"us", "eu"}
    made = owner.create_region(CreateRegion(name="Cellar", proxy_url="https://proxy.example"), **here)
    assert made.proxy_api_key
    assert made.ssh_gateway_api_key is None
    region = owner.get_region_by_id(made.id, **here)
    assert isinstance(region, Region)
    assert (region.region_type, region.proxy_url) == (RegionType.CUSTOM, "https://proxy.example")
    assert next(each.id for each in owner.list_available_regions(**here)) == made.id
    again = owner.regenerate_proxy_api_key(made.id, **here)
    assert again.api_key != made.proxy_api_key
    owner.update_region(made.id, UpdateRegion(proxy_url=None, snapshot_manager_url="https://s.example"), **here)
    changed = owner.get_region_by_id(made.id, **here)
    assert (changed.proxy_url, changed.snapshot_manager_url) == (None, "https://s.example")
    credentials = owner.regenerate_snapshot_manager_credentials(made.id, **here)
    assert credentials.username == "snapshot-manager"
    assert owner.delete_region(made.id, **here) is None
    with pytest.raises(NotFoundException):
        owner.get_region_by_id(made.id, **here)
