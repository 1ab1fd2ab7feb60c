"""Members in this dialect: parse, call the service, render."""

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.daytona.v1 import member_service_pb2 as pb
from tenantry.rest.daytona.v1.member_service_pb2_grpc import MemberServiceServicer

from ...domain.call import current
from ...domain.roles import MemberRole
from ...services.members import Members
from . import convert

Context = grpc.ServicerContext


class MembersServicer(MemberServiceServicer):
    """Speaks tenantry.rest.daytona.v1.MemberService."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        return pb.ListMembersResponse(items=map(convert.member, self._members.list_all(current.get())))

    def UpdateAccess(self, request: pb.UpdateAccessRequest, context: Context) -> pb.OrganizationUser:
        return convert.member(
            self._members.update_access(
                current.get(),
                user_id=request.user_id,
                role=MemberRole(request.role),
                assigned_role_ids=list(request.assigned_role_ids),
            )
        )

    def RemoveMember(self, request: pb.RemoveMemberRequest, context: Context) -> Empty:
        self._members.remove(current.get(), user_id=request.user_id)
        return Empty()
