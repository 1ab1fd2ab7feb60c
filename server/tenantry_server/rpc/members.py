"""MemberService: parse, call, render."""

import grpc

from tenantry.v1 import member_pb2
from tenantry.v1 import member_service_pb2 as pb
from tenantry.v1.member_service_pb2_grpc import MemberServiceServicer

from ..domain.call import current
from ..services.members import Members
from . import convert

Context = grpc.ServicerContext


class MembersServicer(MemberServiceServicer):
    """Speaks tenantry.v1.MemberService."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def AddMember(self, request: pb.AddMemberRequest, context: Context) -> member_pb2.Member:
        return convert.member(
            self._members.add(
                current.get(),
                user_id=request.user_id,
                role=convert.member_role(request.role),
                assigned_role_ids=list(request.assigned_role_ids),
            )
        )

    def GetMember(self, request: pb.GetMemberRequest, context: Context) -> member_pb2.Member:
        return convert.member(self._members.get(current.get(), user_id=request.user_id))

    def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        page = self._members.list_page(current.get(), convert.page(request))
        return pb.ListMembersResponse(members=map(convert.member, page.items), next_page_token=page.next_page_token)

    def UpdateMemberAccess(self, request: pb.UpdateMemberAccessRequest, context: Context) -> member_pb2.Member:
        return convert.member(
            self._members.update_access(
                current.get(),
                user_id=request.user_id,
                role=convert.member_role(request.role),
                assigned_role_ids=list(request.assigned_role_ids),
            )
        )

    def RemoveMember(self, request: pb.RemoveMemberRequest, context: Context) -> pb.RemoveMemberResponse:
        removed = self._members.remove(current.get(), user_id=request.user_id)
        return pb.RemoveMemberResponse(
            revision=removed.revision,
            ended_api_token_ids=removed.ended_api_token_ids,
            cancelled_invitation_id=removed.cancelled_invitation_id,
        )
