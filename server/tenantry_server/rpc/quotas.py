"""QuotaService: parse, call, render."""

from typing import Any

import grpc

from tenantry.v1 import organization_pb2, quota_pb2
from tenantry.v1 import quota_service_pb2 as pb
from tenantry.v1.quota_service_pb2_grpc import QuotaServiceServicer

from ..domain.call import current
from ..domain.leases import Lease
from ..domain.organizations import Organization
from ..services.quotas import Quotas, QuotaView
from ..services.reports import Kind, UsageReports
from ..services.usages import Usages
from ..wire import moment
from . import convert, convert_quotas

Context = grpc.ServicerContext


class QuotasServicer(QuotaServiceServicer):
    """Speaks tenantry.v1.QuotaService."""

    def __init__(self, quotas: Quotas, usages: Usages, reports: UsageReports) -> None:
        self._quotas = quotas
        self._usages = usages
        self._reports = reports

    def ListMetrics(self, request: pb.ListMetricsRequest, context: Context) -> pb.ListMetricsResponse:
        page = self._quotas.list_metrics(current.get(), convert.page(request))
        return pb.ListMetricsResponse(metrics=map(convert_quotas.metric, page.items), next_page_token=page.next_page_token)

    def GetOrganizationQuotas(self, request: pb.GetOrganizationQuotasRequest, context: Context) -> quota_pb2.OrganizationQuotas:
        return self._whole(self._quotas.of_organization(request.organization_id))

    def UpdateOrganizationQuotas(
        self, request: pb.UpdateOrganizationQuotasRequest, context: Context
    ) -> quota_pb2.OrganizationQuotas:
        wanted = convert_quotas.new_limits(request)
        return self._whole(self._quotas.update_organization(current.get(), wanted, organization_id=request.organization_id))

    def CreateRegionQuota(self, request: pb.CreateRegionQuotaRequest, context: Context) -> quota_pb2.RegionQuota:
        wanted = convert_quotas.new_limits(request)
        return self._regional(self._quotas.create_region(current.get(), wanted, **_named(request)))

    def GetRegionQuota(self, request: pb.GetRegionQuotaRequest, context: Context) -> quota_pb2.RegionQuota:
        return self._regional(self._quotas.get_region(**_named(request)))

    def UpdateRegionQuota(self, request: pb.UpdateRegionQuotaRequest, context: Context) -> quota_pb2.RegionQuota:
        wanted = convert_quotas.new_limits(request)
        return self._regional(self._quotas.update_region(current.get(), wanted, **_named(request)))

    def DeleteRegionQuota(self, request: pb.DeleteRegionQuotaRequest, context: Context) -> pb.DeleteRegionQuotaResponse:
        organization = self._quotas.delete_region(current.get(), **_named(request))
        return pb.DeleteRegionQuotaResponse(revision=organization.revision)

    def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        return convert_quotas.use(self._reports.get(current.get()))

    def Reserve(self, request: pb.ReserveRequest, context: Context) -> quota_pb2.Lease:
        wanted = convert_quotas.reservation(request)
        return self._lease(self._usages.reserve(current.get(), wanted, organization_id=request.organization_id))

    def Commit(self, request: pb.CommitRequest, context: Context) -> quota_pb2.Lease:
        named = {"organization_id": request.organization_id, "lease_id": request.lease_id}
        return self._lease(self._usages.commit(current.get(), resource_token=request.resource_token, **named))

    def Release(self, request: pb.ReleaseRequest, context: Context) -> quota_pb2.Lease:
        named = {"organization_id": request.organization_id, "lease_id": request.lease_id}
        return self._lease(self._usages.release(current.get(), amounts=convert_quotas.amounts(request), **named))

    def ListLeases(self, request: pb.ListLeasesRequest, context: Context) -> pb.ListLeasesResponse:
        page = self._usages.list_page(
            current.get(),
            convert.page(request),
            convert_quotas.sought(request),
            organization_id=request.organization_id,
        )
        return pb.ListLeasesResponse(leases=map(self._lease, page.items), next_page_token=page.next_page_token)

    def ReportUsage(self, request: pb.ReportUsageRequest, context: Context) -> pb.ReportUsageResponse:
        return convert_quotas.reconciliation(
            self._reports.report(
                current.get(),
                Kind(type=request.resource_type, region_id=request.region_id, resource_class=request.resource_class),
                organization_id=request.organization_id,
                resources=[(each.resource_id, convert_quotas.amounts(each)) for each in request.resources],
                observed=moment(request, "observe_time"),
            )
        )

    def FindOrganizationByResource(
        self, request: pb.FindOrganizationByResourceRequest, context: Context
    ) -> organization_pb2.Organization:
        named = {"resource_type": request.resource_type, "resource_id": request.resource_id}
        return convert.organization(self._usages.organization_of(**named))

    def FindRegionQuotaByResource(
        self, request: pb.FindRegionQuotaByResourceRequest, context: Context
    ) -> quota_pb2.RegionQuota:
        named = {"resource_type": request.resource_type, "resource_id": request.resource_id}
        return self._regional(self._usages.quota_of(**named))

    def _whole(self, organization: Organization) -> quota_pb2.OrganizationQuotas:
        return convert_quotas.organization_quotas(organization, self._quotas.metrics)

    def _regional(self, view: QuotaView) -> quota_pb2.RegionQuota:
        return convert_quotas.region_quota(view, self._quotas.metrics)

    def _lease(self, lease: Lease) -> quota_pb2.Lease:
        return convert_quotas.lease(lease, self._usages.store.clock.now())


def _named(request: Any) -> dict[str, str]:
    """Which quota a request names."""
    return {name: getattr(request, name) for name in ("organization_id", "region_id", "resource_class")}
