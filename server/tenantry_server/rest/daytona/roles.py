"""Roles in this dialect: parse, call the service, render."""

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.daytona.v1 import role_service_pb2 as pb
from tenantry.rest.daytona.v1.role_service_pb2_grpc import RoleServiceServicer

from ...domain.call import current
from ...services.roles import Roles
from . import convert

Context = grpc.ServicerContext


class RolesServicer(RoleServiceServicer):
    """Speaks tenantry.rest.daytona.v1.RoleService."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    def CreateRole(self, request: pb.CreateRoleRequest, context: Context) -> pb.OrganizationRole:
        return convert.role(
            self._roles.create(
                current.get(),
                name=request.name,
                description=request.description,
                permissions=[convert.permission(spelling) for spelling in request.permissions],
            )
        )

    def ListRoles(self, request: pb.ListRolesRequest, context: Context) -> pb.ListRolesResponse:
        return pb.ListRolesResponse(items=map(convert.role, self._roles.list_all(current.get())))

    def UpdateRole(self, request: pb.UpdateRoleRequest, context: Context) -> pb.OrganizationRole:
        return convert.role(
            self._roles.update(
                current.get(),
                role_id=request.role_id,
                name=request.name,
                description=request.description,
                permissions=[convert.permission(spelling) for spelling in request.permissions],
            )
        )

    def DeleteRole(self, request: pb.DeleteRoleRequest, context: Context) -> Empty:
        self._roles.delete(current.get(), role_id=request.role_id, unassign=True)
        return Empty()
