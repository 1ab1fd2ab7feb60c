"""Members in this dialect: parse, call the service, render."""

import grpc

from tenantry.rest.dotenv.v1 import member_service_pb2 as pb
from tenantry.rest.dotenv.v1.member_service_pb2_grpc import MemberServiceServicer

from ...domain.call import current
from ...services.members import Members
from . import convert


class MembersServicer(MemberServiceServicer):
    """Speaks tenantry.rest.dotenv.v1.MemberService."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def AddMember(self, request: pb.AddMemberRequest, context: grpc.ServicerContext) -> pb.AddMemberResponse:
        added = self._members.add_by_email(current.get(), email=request.email, role=request.role)
        return convert.addition(added, email=request.email, role=request.role)
