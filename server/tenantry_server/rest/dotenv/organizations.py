"""Organizations in this dialect: parse, call the service, render."""

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.dotenv.v1 import organization_service_pb2 as pb
from tenantry.rest.dotenv.v1.organization_service_pb2_grpc import OrganizationServiceServicer

from ...domain.call import current
from ...services.organizations import Organizations
from . import convert

Context = grpc.ServicerContext
_PER_PAGE = 25


class OrganizationsServicer(OrganizationServiceServicer):
    """Speaks tenantry.rest.dotenv.v1.OrganizationService."""

    def __init__(self, organizations: Organizations) -> None:
        self._organizations = organizations

    def ListOrganizations(self, request: pb.ListOrganizationsRequest, context: Context) -> pb.ListOrganizationsResponse:
        records = self._organizations.list_all(current.get())
        return convert.page(records, request.page or 1, request.per_page or _PER_PAGE)

    def CreateOrganization(self, request: pb.CreateOrganizationRequest, context: Context) -> pb.OrganizationResponse:
        return convert.one(self._organizations.create(current.get(), name=request.name))

    def GetOrganization(self, request: pb.GetOrganizationRequest, context: Context) -> pb.OrganizationResponse:
        return convert.one(self._organizations.get(current.get()))

    def UpdateOrganization(self, request: pb.UpdateOrganizationRequest, context: Context) -> pb.OrganizationResponse:
        name = request.name if request.HasField("name") else None
        return convert.one(self._organizations.update(current.get(), name=name))

    def DeleteOrganization(self, request: pb.DeleteOrganizationRequest, context: Context) -> Empty:
        self._organizations.delete(current.get())
        return Empty()

    def GetCurrentOrganization(self, request: pb.GetCurrentOrganizationRequest, context: Context) -> pb.OrganizationResponse:
        return convert.one(self._organizations.current(current.get()))
