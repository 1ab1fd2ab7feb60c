"""RoleService: parse, call, render."""

from typing import Any

import grpc

from tenantry.v1 import role_pb2
from tenantry.v1 import role_service_pb2 as pb
from tenantry.v1.role_service_pb2_grpc import RoleServiceServicer

from ..domain.call import current
from ..services.roles import Roles
from . import convert

Context = grpc.ServicerContext


class RolesServicer(RoleServiceServicer):
    """Speaks tenantry.v1.RoleService."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    def CreateRole(self, request: pb.CreateRoleRequest, context: Context) -> role_pb2.Role:
        return convert.role(
            self._roles.create(
                current.get(),
                name=request.name,
                description=request.description,
                permissions=list(request.permissions),
            )
        )

    def GetRole(self, request: pb.GetRoleRequest, context: Context) -> role_pb2.Role:
        return convert.role(self._roles.get(current.get(), role_id=request.role_id))

    def ListRoles(self, request: pb.ListRolesRequest, context: Context) -> pb.ListRolesResponse:
        page = self._roles.list_page(current.get(), convert.page(request))
        return pb.ListRolesResponse(roles=map(convert.role, page.items), next_page_token=page.next_page_token)

    def UpdateRole(self, request: pb.UpdateRoleRequest, context: Context) -> role_pb2.Role:
        given: dict[str, Any] = {
            field: list(request.permissions) if field == "permissions" else getattr(request, field)
            for field in convert.chosen(request, ["name", "description", "permissions"])
        }
        return convert.role(self._roles.update(current.get(), role_id=request.role_id, **given))

    def DeleteRole(self, request: pb.DeleteRoleRequest, context: Context) -> pb.DeleteRoleResponse:
        deletion = self._roles.delete(current.get(), role_id=request.role_id, unassign=request.unassign)
        return pb.DeleteRoleResponse(
            revision=deletion.revision,
            unassigned_user_ids=deletion.unassigned_user_ids,
            unassigned_invitation_ids=deletion.unassigned_invitation_ids,
        )

    def ListPermissions(self, request: pb.ListPermissionsRequest, context: Context) -> pb.ListPermissionsResponse:
        page = self._roles.list_permissions(current.get(), convert.page(request))
        return pb.ListPermissionsResponse(permissions=map(convert.permission, page.items), next_page_token=page.next_page_token)
