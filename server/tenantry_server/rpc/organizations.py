"""OrganizationService: parse, call, render."""

from typing import Any

import grpc

from tenantry.v1 import member_pb2, organization_pb2
from tenantry.v1 import organization_service_pb2 as pb
from tenantry.v1.organization_service_pb2_grpc import OrganizationServiceServicer

from ..domain.call import current
from ..services.organizations import Organizations
from ..services.suspensions import Suspensions
from ..services.telemetry import Telemetry
from ..wire import mapping, moment
from . import convert

Context = grpc.ServicerContext


class OrganizationsServicer(OrganizationServiceServicer):
    """Speaks tenantry.v1.OrganizationService."""

    def __init__(self, organizations: Organizations, suspensions: Suspensions, telemetry: Telemetry) -> None:
        self._organizations = organizations
        self._suspensions = suspensions
        self._telemetry = telemetry

    def CreateOrganization(self, request: pb.CreateOrganizationRequest, context: Context) -> organization_pb2.Organization:
        return convert.organization(
            self._organizations.create(current.get(), name=request.name, default_region_id=request.default_region_id)
        )

    def GetOrganization(self, request: pb.GetOrganizationRequest, context: Context) -> organization_pb2.Organization:
        return convert.organization(self._organizations.get(current.get()))

    def ListOrganizations(self, request: pb.ListOrganizationsRequest, context: Context) -> pb.ListOrganizationsResponse:
        page = self._organizations.list_page(current.get(), convert.page(request))
        return pb.ListOrganizationsResponse(
            organizations=map(convert.organization, page.items), next_page_token=page.next_page_token
        )

    def GetCurrentOrganization(
        self, request: pb.GetCurrentOrganizationRequest, context: Context
    ) -> organization_pb2.Organization:
        return convert.organization(self._organizations.current(current.get()))

    def UpdateOrganization(self, request: pb.UpdateOrganizationRequest, context: Context) -> organization_pb2.Organization:
        chosen = convert.chosen(request, ["name"])
        return convert.organization(self._organizations.update(current.get(), name=request.name if "name" in chosen else None))

    def DeleteOrganization(self, request: pb.DeleteOrganizationRequest, context: Context) -> organization_pb2.Organization:
        return convert.organization(self._organizations.delete(current.get()))

    def UndeleteOrganization(self, request: pb.UndeleteOrganizationRequest, context: Context) -> organization_pb2.Organization:
        return convert.organization(self._organizations.undelete(current.get()))

    def LeaveOrganization(self, request: pb.LeaveOrganizationRequest, context: Context) -> pb.LeaveOrganizationResponse:
        return pb.LeaveOrganizationResponse(revision=self._organizations.leave(current.get()).revision)

    def TransferOwnership(self, request: pb.TransferOwnershipRequest, context: Context) -> member_pb2.Member:
        return convert.member(
            self._organizations.transfer(
                current.get(), user_id=request.user_id, assigned_role_ids=list(request.assigned_role_ids)
            )
        )

    def SetDefaultRegion(self, request: pb.SetDefaultRegionRequest, context: Context) -> organization_pb2.Organization:
        return convert.organization(
            self._organizations.set_default_region(current.get(), default_region_id=request.default_region_id)
        )

    def UpdateOrganizationSettings(
        self, request: pb.UpdateOrganizationSettingsRequest, context: Context
    ) -> organization_pb2.Organization:
        chosen = convert.chosen(request, ["limited_network_egress", "experimental_config"])
        given: dict[str, Any] = {}
        if "limited_network_egress" in chosen:
            given["limited_network_egress"] = request.limited_network_egress
        if "experimental_config" in chosen:
            given["experimental_config"] = mapping(request.experimental_config, field="experimental_config")
        return convert.organization(self._organizations.update_settings(current.get(), **given))

    def SetOtelConfig(self, request: pb.SetOtelConfigRequest, context: Context) -> organization_pb2.Organization:
        config = request.otel_config
        return convert.organization(self._telemetry.set(current.get(), endpoint=config.endpoint, headers=dict(config.headers)))

    def DeleteOtelConfig(self, request: pb.DeleteOtelConfigRequest, context: Context) -> organization_pb2.Organization:
        return convert.organization(self._telemetry.delete(current.get()))

    def GetOtelConfig(self, request: pb.GetOtelConfigRequest, context: Context) -> organization_pb2.OtelConfig:
        config = self._telemetry.get(current.get(), organization_id=request.organization_id)
        return organization_pb2.OtelConfig(endpoint=config.endpoint, headers=config.headers)

    def FindOtelConfigByResourceToken(
        self, request: pb.FindOtelConfigByResourceTokenRequest, context: Context
    ) -> organization_pb2.OtelConfig:
        named = {"resource_type": request.resource_type, "resource_token": request.resource_token}
        config = self._telemetry.find(current.get(), **named)
        return organization_pb2.OtelConfig(endpoint=config.endpoint, headers=config.headers)

    def SuspendOrganization(self, request: pb.SuspendOrganizationRequest, context: Context) -> organization_pb2.Organization:
        return convert.organization(
            self._suspensions.suspend(
                current.get(),
                organization_id=request.organization_id,
                reason=request.reason,
                until=moment(request, "until"),
                cleanup_grace_hours=request.cleanup_grace_hours,
            )
        )

    def UnsuspendOrganization(
        self, request: pb.UnsuspendOrganizationRequest, context: Context
    ) -> organization_pb2.Organization:
        return convert.organization(self._suspensions.unsuspend(current.get(), organization_id=request.organization_id))
