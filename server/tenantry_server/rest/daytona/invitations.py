"""Invitations in this dialect: parse, call the service, render."""

import grpc
from google.protobuf.empty_pb2 import Empty

from tenantry.rest.daytona.v1 import invitation_service_pb2 as pb
from tenantry.rest.daytona.v1.invitation_service_pb2_grpc import InvitationServiceServicer

from ...domain.call import current
from ...domain.roles import MemberRole
from ...services.invitations import InvitationRequest, Invitations
from ...wire import moment
from . import convert

Context = grpc.ServicerContext


class InvitationsServicer(InvitationServiceServicer):
    """Speaks tenantry.rest.daytona.v1.InvitationService."""

    def __init__(self, invitations: Invitations) -> None:
        self._invitations = invitations

    def CreateInvitation(self, request: pb.CreateInvitationRequest, context: Context) -> pb.OrganizationInvitation:
        wanted = InvitationRequest(
            email=request.email,
            role=MemberRole(request.role),
            assigned_role_ids=list(request.assigned_role_ids),
            expire_time=moment(request, "expires_at"),
        )
        return convert.invitation(self._invitations.create(current.get(), wanted))

    def ListInvitations(self, request: pb.ListInvitationsRequest, context: Context) -> pb.ListInvitationsResponse:
        return pb.ListInvitationsResponse(items=map(convert.invitation, self._invitations.list_pending(current.get())))

    def UpdateInvitation(self, request: pb.UpdateInvitationRequest, context: Context) -> pb.OrganizationInvitation:
        return convert.invitation(
            self._invitations.update(
                current.get(),
                invitation_id=request.invitation_id,
                role=MemberRole(request.role),
                assigned_role_ids=list(request.assigned_role_ids),
                expire_time=moment(request, "expires_at"),
            )
        )

    def CancelInvitation(self, request: pb.CancelInvitationRequest, context: Context) -> Empty:
        self._invitations.cancel(current.get(), invitation_id=request.invitation_id)
        return Empty()

    def ListMyInvitations(self, request: pb.ListMyInvitationsRequest, context: Context) -> pb.ListInvitationsResponse:
        return pb.ListInvitationsResponse(items=map(convert.invitation, self._invitations.list_all_mine(current.get())))

    def CountMyInvitations(self, request: pb.CountMyInvitationsRequest, context: Context) -> pb.CountMyInvitationsResponse:
        return pb.CountMyInvitationsResponse(count=self._invitations.count_mine(current.get()))

    def AcceptInvitation(self, request: pb.AcceptInvitationRequest, context: Context) -> pb.OrganizationInvitation:
        return convert.invitation(self._invitations.accept(current.get(), invitation_id=request.invitation_id))

    def DeclineInvitation(self, request: pb.DeclineInvitationRequest, context: Context) -> Empty:
        self._invitations.decline(current.get(), invitation_id=request.invitation_id)
        return Empty()
