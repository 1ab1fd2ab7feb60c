"""Quotas and usage in this dialect: parse, call the service, render."""

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.daytona.v1 import organization_service_pb2 as organization_pb
from tenantry.rest.daytona.v1 import quota_service_pb2 as pb
from tenantry.rest.daytona.v1.quota_service_pb2_grpc import QuotaServiceServicer

from ...domain.call import current
from ...domain.errors import InvalidRequest
from ...services.quotas import Quotas, QuotaView
from ...services.reports import UsageReports
from ...services.usages import Usages
from . import convert, convert_quotas

Context = grpc.ServicerContext


class QuotasServicer(QuotaServiceServicer):
    """Speaks tenantry.rest.daytona.v1.QuotaService."""

    def __init__(self, quotas: Quotas, usages: Usages, reports: UsageReports) -> None:
        self._quotas = quotas
        self._usages = usages
        self._reports = reports

    def UpdateOrganizationQuota(self, request: pb.UpdateOrganizationQuotaRequest, context: Context) -> Empty:
        wanted = convert_quotas.organization_limits(request)
        self._quotas.update_organization(current.get(), wanted, organization_id=request.organization_id)
        return Empty()

    def UpdateRegionQuota(self, request: pb.UpdateRegionQuotaRequest, context: Context) -> Empty:
        wanted = convert_quotas.region_limits(request, required=False)
        self._quotas.update_region(current.get(), wanted, **_named(request))
        return Empty()

    def CreateRegionQuota(self, request: pb.CreateRegionQuotaRequest, context: Context) -> pb.RegionQuota:
        if not request.sandbox_class:
            raise InvalidRequest.of("sandbox_class", "must be there", "REQUIRED")
        wanted = convert_quotas.region_limits(request, required=True)
        return self._render(self._quotas.create_region(current.get(), wanted, **_named(request)))

    def GetRegionQuota(self, request: pb.GetRegionQuotaRequest, context: Context) -> pb.RegionQuota:
        return self._render(self._quotas.get_region(**_named(request)))

    def DeleteRegionQuota(self, request: pb.DeleteRegionQuotaRequest, context: Context) -> Empty:
        self._quotas.delete_region(current.get(), **_named(request))
        return Empty()

    def GetUsageOverview(self, request: pb.GetUsageOverviewRequest, context: Context) -> pb.OrganizationUsageOverview:
        return convert_quotas.usage(self._reports.get(current.get()))

    def GetOrganizationBySandbox(
        self, request: pb.GetOrganizationBySandboxRequest, context: Context
    ) -> organization_pb.Organization:
        organization = self._usages.organization_of(resource_type=convert.SANDBOX, resource_id=request.sandbox_id)
        return convert.organization(organization, self._quotas.metrics)

    def GetRegionQuotaBySandbox(self, request: pb.GetRegionQuotaBySandboxRequest, context: Context) -> pb.RegionQuota:
        return self._render(self._usages.quota_of(resource_type=convert.SANDBOX, resource_id=request.sandbox_id))

    def _render(self, view: QuotaView) -> pb.RegionQuota:
        return convert_quotas.region_quota(view, self._quotas.metrics)


def _named(
    request: pb.UpdateRegionQuotaRequest | pb.CreateRegionQuotaRequest | pb.GetRegionQuotaRequest | pb.DeleteRegionQuotaRequest,
) -> dict[str, str]:
    """Which quota a request names."""
    return {
        "organization_id": request.organization_id,
        "region_id": request.region_id,
        "resource_class": request.sandbox_class,
    }
