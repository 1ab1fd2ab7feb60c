"""Regions in this dialect: parse, call the service, render."""

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.daytona.v1 import region_service_pb2 as pb
from tenantry.rest.daytona.v1.region_service_pb2_grpc import RegionServiceServicer

from ...domain.call import current
from ...domain.regions import Endpoint
from ...services.regions import Regions
from . import convert_quotas as convert

Context = grpc.ServicerContext


class RegionsServicer(RegionServiceServicer):
    """Speaks tenantry.rest.daytona.v1.RegionService."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    def ListSharedRegions(self, request: pb.ListSharedRegionsRequest, context: Context) -> pb.ListRegionsResponse:
        return pb.ListRegionsResponse(items=map(convert.region, self._regions.list_all_shared()))

    def ListRegions(self, request: pb.ListRegionsRequest, context: Context) -> pb.ListRegionsResponse:
        return pb.ListRegionsResponse(items=map(convert.region, self._regions.list_all(current.get())))

    def CreateRegion(self, request: pb.CreateRegionRequest, context: Context) -> pb.CreateRegionResponse:
        urls = convert.urls(request)
        return convert.new_region(self._regions.create(current.get(), name=request.name, urls=urls, with_keys=True))

    def GetRegion(self, request: pb.GetRegionRequest, context: Context) -> pb.Region:
        return convert.region(self._regions.get(current.get(), region_id=request.region_id))

    def UpdateRegion(self, request: pb.UpdateRegionRequest, context: Context) -> Empty:
        self._regions.update(current.get(), region_id=request.region_id, urls=convert.urls(request))
        return Empty()

    def DeleteRegion(self, request: pb.DeleteRegionRequest, context: Context) -> Empty:
        self._regions.delete(current.get(), region_id=request.region_id)
        return Empty()

    def RegenerateProxyApiKey(self, request: pb.RegenerateProxyApiKeyRequest, context: Context) -> pb.RegenerateApiKeyResponse:
        return pb.RegenerateApiKeyResponse(api_key=self._rotated(request.region_id, Endpoint.PROXY))

    def RegenerateSshGatewayApiKey(
        self, request: pb.RegenerateSshGatewayApiKeyRequest, context: Context
    ) -> pb.RegenerateApiKeyResponse:
        return pb.RegenerateApiKeyResponse(api_key=self._rotated(request.region_id, Endpoint.SSH_GATEWAY))

    def RegenerateSnapshotManagerCredentials(
        self, request: pb.RegenerateSnapshotManagerCredentialsRequest, context: Context
    ) -> pb.SnapshotManagerCredentials:
        password = self._rotated(request.region_id, Endpoint.SNAPSHOT_MANAGER)
        return pb.SnapshotManagerCredentials(username=convert.SNAPSHOT_MANAGER, password=password)

    def _rotated(self, region_id: str, endpoint: Endpoint) -> str:
        return self._regions.rotate_key(current.get(), region_id=region_id, endpoint=endpoint).key(endpoint)
