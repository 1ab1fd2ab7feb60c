"""RegionService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from support.desk import NOW, Desk, Somebody

from tenantry.v1 import region_pb2, region_service_pb2
from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.domain.quota_errors import RegionNotFound
from tenantry_server.wire import timestamp

AT = timestamp(NOW)


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


@pytest.fixture
def cellar(ana: Somebody, acme: Any) -> Any:
    """A custom region of it."""
    where = {"proxy_url": "https://proxy.example", "ssh_gateway_url": "https://ssh.example"}
    return ana("RegionService.CreateRegion", organization_id=acme.id, name="Cellar", **where)


def ours(id_: str, **known: Any) -> region_pb2.Region:
    """A region of the platform, by default one of the first start."""
    fields = {"name": id_, "type": region_pb2.REGION_TYPE_SHARED, "enforce_quotas": True, "etag": "r0"}
    return region_pb2.Region(id=id_, create_time=AT, update_time=AT, **{**fields, **known})


def test_list_shared_answers_anybody_by_pages(desk: Desk) -> None:
    first = desk.public("RegionService.ListSharedRegions", page_size=1)
    second = desk.public("RegionService.ListSharedRegions", page_token=first.next_page_token)
    assert list(first.regions) == [ours("eu")]
    assert second == region_service_pb2.ListSharedRegionsResponse(regions=[ours("us")])


def test_create_answers_with_the_whole_region(acme: Any, cellar: Any) -> None:
    assert cellar == region_pb2.Region(
        id=cellar.id,
        organization_id=acme.id,
        name="Cellar",
        type=region_pb2.REGION_TYPE_CUSTOM,
        proxy_url="https://proxy.example",
        ssh_gateway_url="https://ssh.example",
        revision=2,
        etag="r2",
        create_time=AT,
        update_time=AT,
    )


def test_get_and_list_answer_with_it(ana: Somebody, acme: Any, cellar: Any) -> None:
    assert ana("RegionService.GetRegion", organization_id=acme.id, region_id=cellar.id) == cellar
    answer = ana("RegionService.ListRegions", organization_id=acme.id)
    assert answer == region_service_pb2.ListRegionsResponse(regions=[cellar])


@pytest.mark.parametrize(
    ("given", "proxy", "ssh_gateway"),
    [
        ({"proxy_url": "http://new.example"}, "http://new.example", "https://ssh.example"),
        ({"proxy_url": ""}, "", "https://ssh.example"),
        ({"update_mask": FieldMask(paths=["ssh_gateway_url"])}, "https://proxy.example", ""),
        ({"proxy_url": "http://new.example", "update_mask": FieldMask(paths=["*"])}, "http://new.example", ""),
        ({}, "https://proxy.example", "https://ssh.example"),
    ],
)
def test_update_changes_what_the_mask_or_the_request_names(
    ana: Somebody, acme: Any, cellar: Any, given: dict[str, Any], proxy: str, ssh_gateway: str
) -> None:
    updated = ana("RegionService.UpdateRegion", organization_id=acme.id, region_id=cellar.id, **given)
    assert (updated.proxy_url, updated.ssh_gateway_url, updated.etag) == (proxy, ssh_gateway, "r3")


def test_update_refuses_a_mask_that_names_something_else(ana: Somebody, acme: Any, cellar: Any) -> None:
    mask = FieldMask(paths=["name"])
    with pytest.raises(InvalidRequest):
        ana("RegionService.UpdateRegion", organization_id=acme.id, region_id=cellar.id, update_mask=mask)


def test_delete_answers_with_the_revision(ana: Somebody, acme: Any, cellar: Any) -> None:
    answer = ana("RegionService.DeleteRegion", organization_id=acme.id, region_id=cellar.id)
    assert answer == region_service_pb2.DeleteRegionResponse(revision=3)
    with pytest.raises(RegionNotFound):
        ana("RegionService.GetRegion", organization_id=acme.id, region_id=cellar.id)


@pytest.mark.parametrize("endpoint", [region_pb2.REGION_ENDPOINT_PROXY, region_pb2.REGION_ENDPOINT_SSH_GATEWAY])
def test_rotate_answers_with_the_key_and_find_with_its_region(
    desk: Desk, ana: Somebody, acme: Any, cellar: Any, endpoint: Any
) -> None:
    answer = ana("RegionService.RotateRegionKey", organization_id=acme.id, region_id=cellar.id, endpoint=endpoint)
    assert (answer.region.id, answer.region.etag) == (cellar.id, "r3")
    found = desk.operator()("RegionService.FindRegionByKey", key=answer.key)
    assert found == region_service_pb2.FindRegionByKeyResponse(region=answer.region, endpoint=endpoint)


def test_operators_create_update_and_delete_the_platforms(desk: Desk) -> None:
    operator = desk.operator()
    dedicated = region_pb2.REGION_TYPE_DEDICATED
    made = operator("RegionService.CreatePlatformRegion", id="moon", type=dedicated, without_quotas=True)
    assert made == ours("moon", type=dedicated, enforce_quotas=False, revision=2, etag="r2")
    changed = operator("RegionService.UpdatePlatformRegion", platform_region_id="moon", name="Moon", enforce_quotas=True)
    assert changed == ours("moon", name="Moon", type=dedicated, revision=3, etag="r3")
    mask = FieldMask(paths=["name"])
    again = operator(
        "RegionService.UpdatePlatformRegion", platform_region_id="moon", name="Luna", enforce_quotas=False, update_mask=mask
    )
    assert (again.name, again.enforce_quotas) == ("Luna", True)
    deleted = operator("RegionService.DeletePlatformRegion", platform_region_id="moon")
    assert deleted == region_service_pb2.DeletePlatformRegionResponse(region=again)
