"""RegionService: parse, call, render."""

from typing import Any

import grpc

from tenantry.v1 import region_pb2
from tenantry.v1 import region_service_pb2 as pb
from tenantry.v1.region_service_pb2_grpc import RegionServiceServicer

from ..domain.call import current
from ..services.regions import Regions
from . import convert, convert_quotas

Context = grpc.ServicerContext
_URLS = ("proxy_url", "ssh_gateway_url", "snapshot_manager_url")


class RegionsServicer(RegionServiceServicer):
    """Speaks tenantry.v1.RegionService."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    def ListSharedRegions(self, request: pb.ListSharedRegionsRequest, context: Context) -> pb.ListSharedRegionsResponse:
        page = self._regions.list_shared(current.get(), convert.page(request))
        regions = map(convert_quotas.region, page.items)
        return pb.ListSharedRegionsResponse(regions=regions, next_page_token=page.next_page_token)

    def ListRegions(self, request: pb.ListRegionsRequest, context: Context) -> pb.ListRegionsResponse:
        page = self._regions.list_page(current.get(), convert.page(request))
        regions = map(convert_quotas.region, page.items)
        return pb.ListRegionsResponse(regions=regions, next_page_token=page.next_page_token)

    def GetRegion(self, request: pb.GetRegionRequest, context: Context) -> region_pb2.Region:
        return convert_quotas.region(self._regions.get(current.get(), region_id=request.region_id))

    def CreateRegion(self, request: pb.CreateRegionRequest, context: Context) -> region_pb2.Region:
        urls = convert_quotas.urls(request, _URLS)
        return convert_quotas.region(self._regions.create(current.get(), name=request.name, urls=urls))

    def UpdateRegion(self, request: pb.UpdateRegionRequest, context: Context) -> region_pb2.Region:
        urls = convert_quotas.urls(request, convert.chosen(request, _URLS, clearable=frozenset(_URLS)))
        return convert_quotas.region(self._regions.update(current.get(), region_id=request.region_id, urls=urls))

    def DeleteRegion(self, request: pb.DeleteRegionRequest, context: Context) -> pb.DeleteRegionResponse:
        organization = self._regions.delete(current.get(), region_id=request.region_id)
        return pb.DeleteRegionResponse(revision=organization.revision)

    def RotateRegionKey(self, request: pb.RotateRegionKeyRequest, context: Context) -> pb.RotateRegionKeyResponse:
        endpoint = convert_quotas.endpoint(request.endpoint)
        region = self._regions.rotate_key(current.get(), region_id=request.region_id, endpoint=endpoint)
        return pb.RotateRegionKeyResponse(region=convert_quotas.region(region), key=region.key(endpoint))

    def FindRegionByKey(self, request: pb.FindRegionByKeyRequest, context: Context) -> pb.FindRegionByKeyResponse:
        region, endpoint = self._regions.find_by_key(request.key)
        return pb.FindRegionByKeyResponse(region=convert_quotas.region(region), endpoint=convert_quotas.endpoint_of(endpoint))

    def CreatePlatformRegion(self, request: pb.CreatePlatformRegionRequest, context: Context) -> region_pb2.Region:
        wanted = convert_quotas.platform_region(request)
        return convert_quotas.region(self._regions.create_platform(current.get(), wanted))

    def UpdatePlatformRegion(self, request: pb.UpdatePlatformRegionRequest, context: Context) -> region_pb2.Region:
        given: dict[str, Any] = {
            field: getattr(request, field) for field in convert.chosen(request, ["name", "enforce_quotas"])
        }
        region_id = request.platform_region_id
        return convert_quotas.region(self._regions.update_platform(current.get(), region_id=region_id, **given))

    def DeletePlatformRegion(
        self, request: pb.DeletePlatformRegionRequest, context: Context
    ) -> pb.DeletePlatformRegionResponse:
        region = self._regions.delete_platform(current.get(), region_id=request.platform_region_id)
        return pb.DeletePlatformRegionResponse(region=convert_quotas.region(region))
