"""Organizations in this dialect: parse, call the service, render."""

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.daytona.v1 import organization_service_pb2 as pb
from tenantry.rest.daytona.v1.organization_service_pb2_grpc import OrganizationServiceServicer

from ...domain.call import current
from ...domain.organizations import Organization
from ...services.organizations import Organizations
from ...services.suspensions import Suspensions
from ...services.telemetry import Telemetry
from ...wire import mapping, moment
from . import convert

Context = grpc.ServicerContext


class OrganizationsServicer(OrganizationServiceServicer):
    """Speaks tenantry.rest.daytona.v1.OrganizationService."""

    def __init__(self, organizations: Organizations, suspensions: Suspensions, telemetry: Telemetry) -> None:
        self._organizations = organizations
        self._suspensions = suspensions
        self._telemetry = telemetry
        self._metrics = organizations.store.catalog.metrics

    def CreateOrganization(self, request: pb.CreateOrganizationRequest, context: Context) -> pb.Organization:
        return self._render(
            self._organizations.create(current.get(), name=request.name, default_region_id=request.default_region_id)
        )

    def ListOrganizations(self, request: pb.ListOrganizationsRequest, context: Context) -> pb.ListOrganizationsResponse:
        return pb.ListOrganizationsResponse(items=map(self._render, self._organizations.list_all(current.get())))

    def GetOrganization(self, request: pb.GetOrganizationRequest, context: Context) -> pb.Organization:
        return self._render(self._organizations.get(current.get()))

    def DeleteOrganization(self, request: pb.DeleteOrganizationRequest, context: Context) -> Empty:
        self._organizations.delete(current.get())
        return Empty()

    def LeaveOrganization(self, request: pb.LeaveOrganizationRequest, context: Context) -> Empty:
        self._organizations.leave(current.get())
        return Empty()

    def SetDefaultRegion(self, request: pb.SetDefaultRegionRequest, context: Context) -> Empty:
        self._organizations.set_default_region(current.get(), default_region_id=request.default_region_id)
        return Empty()

    def UpdateSandboxDefaultLimitedNetworkEgress(
        self, request: pb.UpdateSandboxDefaultLimitedNetworkEgressRequest, context: Context
    ) -> Empty:
        self._organizations.update_settings(
            current.get(), limited_network_egress=request.sandbox_default_limited_network_egress
        )
        return Empty()

    def UpdateExperimentalConfig(self, request: pb.UpdateExperimentalConfigRequest, context: Context) -> Empty:
        self._organizations.update_settings(
            current.get(), experimental_config=mapping(request.config, field="experimental_config")
        )
        return Empty()

    def SuspendOrganization(self, request: pb.SuspendOrganizationRequest, context: Context) -> Empty:
        self._suspensions.suspend(
            current.get(),
            organization_id=request.organization_id,
            reason=request.reason,
            until=moment(request, "until"),
            cleanup_grace_hours=request.suspension_cleanup_grace_period_hours,
        )
        return Empty()

    def UnsuspendOrganization(self, request: pb.UnsuspendOrganizationRequest, context: Context) -> Empty:
        self._suspensions.unsuspend(current.get(), organization_id=request.organization_id)
        return Empty()

    def GetOtelConfig(self, request: pb.GetOtelConfigRequest, context: Context) -> pb.OtelConfig:
        config = self._telemetry.get(current.get(), organization_id=request.organization_id)
        return pb.OtelConfig(endpoint=config.endpoint, headers=config.headers)

    def GetOtelConfigBySandboxAuthToken(
        self, request: pb.GetOtelConfigBySandboxAuthTokenRequest, context: Context
    ) -> pb.OtelConfig:
        config = self._telemetry.find(current.get(), resource_type=convert.SANDBOX, resource_token=request.auth_token)
        return pb.OtelConfig(endpoint=config.endpoint, headers=config.headers)

    def SetOtelConfig(self, request: pb.SetOtelConfigRequest, context: Context) -> Empty:
        self._telemetry.set(current.get(), endpoint=request.endpoint, headers=convert.headers(request.headers))
        return Empty()

    def DeleteOtelConfig(self, request: pb.DeleteOtelConfigRequest, context: Context) -> Empty:
        self._telemetry.delete(current.get())
        return Empty()

    def _render(self, organization: Organization) -> pb.Organization:
        return convert.organization(organization, self._metrics)
