"""InvitationService: parse, call, render."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import grpc

from tenantry.v1 import invitation_pb2
from tenantry.v1 import invitation_service_pb2 as pb
from tenantry.v1.invitation_service_pb2_grpc import InvitationServiceServicer

from ..domain.call import current
from ..domain.errors import TenantryError
from ..domain.invitations import Invitation
from ..services.invitations import InvitationRequest, Invitations
from ..wire import moment
from . import convert
from .status import status_of

Context = grpc.ServicerContext


class InvitationsServicer(InvitationServiceServicer):
    """Speaks tenantry.v1.InvitationService."""

    def __init__(self, invitations: Invitations) -> None:
        self._invitations = invitations
        self._now: Callable[[], datetime] = invitations.store.clock.now

    def CreateInvitation(self, request: pb.CreateInvitationRequest, context: Context) -> invitation_pb2.Invitation:
        return _made(self._invitations.create(current.get(), _wanted(request)))

    def BatchCreateInvitations(
        self, request: pb.BatchCreateInvitationsRequest, context: Context
    ) -> pb.BatchCreateInvitationsResponse:
        wanted = [_wanted(item, within=f"items[{index}].") for index, item in enumerate(request.items)]
        results = self._invitations.create_batch(current.get(), wanted)
        return pb.BatchCreateInvitationsResponse(results=map(_result, results))

    def GetInvitation(self, request: pb.GetInvitationRequest, context: Context) -> invitation_pb2.Invitation:
        return self._render(self._invitations.get(current.get(), invitation_id=request.invitation_id))

    def ListInvitations(self, request: pb.ListInvitationsRequest, context: Context) -> pb.ListInvitationsResponse:
        state = convert.invitation_state(request.state)
        page = self._invitations.list_page(current.get(), convert.page(request), state=state)
        return pb.ListInvitationsResponse(invitations=map(self._render, page.items), next_page_token=page.next_page_token)

    def UpdateInvitation(self, request: pb.UpdateInvitationRequest, context: Context) -> invitation_pb2.Invitation:
        chosen = convert.chosen(request, ["role", "assigned_role_ids", "expire_time"])
        given: dict[str, Any] = {
            "role": lambda: convert.member_role(request.role),
            "assigned_role_ids": lambda: list(request.assigned_role_ids),
            "expire_time": lambda: moment(request, "expire_time"),
        }
        return _made(
            self._invitations.update(
                current.get(),
                invitation_id=request.invitation_id,
                **{field: read() for field, read in given.items() if field in chosen},
            )
        )

    def ResendInvitation(self, request: pb.ResendInvitationRequest, context: Context) -> invitation_pb2.Invitation:
        return _made(self._invitations.resend(current.get(), invitation_id=request.invitation_id))

    def CancelInvitation(self, request: pb.CancelInvitationRequest, context: Context) -> invitation_pb2.Invitation:
        return _made(self._invitations.cancel(current.get(), invitation_id=request.invitation_id))

    def ListMyInvitations(self, request: pb.ListMyInvitationsRequest, context: Context) -> pb.ListMyInvitationsResponse:
        page = self._invitations.list_mine(current.get(), convert.page(request))
        return pb.ListMyInvitationsResponse(invitations=map(self._render, page.items), next_page_token=page.next_page_token)

    def CountMyInvitations(self, request: pb.CountMyInvitationsRequest, context: Context) -> pb.CountMyInvitationsResponse:
        return pb.CountMyInvitationsResponse(count=self._invitations.count_mine(current.get()))

    def AcceptInvitation(self, request: pb.AcceptInvitationRequest, context: Context) -> invitation_pb2.Invitation:
        return _made(self._invitations.accept(current.get(), invitation_id=request.invitation_id))

    def DeclineInvitation(self, request: pb.DeclineInvitationRequest, context: Context) -> invitation_pb2.Invitation:
        return _made(self._invitations.decline(current.get(), invitation_id=request.invitation_id))

    def _render(self, record: Invitation) -> invitation_pb2.Invitation:
        return convert.invitation(record, self._now())


def _made(record: Invitation) -> invitation_pb2.Invitation:
    """An invitation as a change left it: its repetition, later, shows the same."""
    return convert.invitation(record, record.update_time)


def _result(result: Invitation | TenantryError) -> pb.BatchCreateInvitationsResponse.Result:
    if isinstance(result, TenantryError):
        return pb.BatchCreateInvitationsResponse.Result(error=status_of(result))
    return pb.BatchCreateInvitationsResponse.Result(invitation=_made(result))


def _wanted(request: Any, *, within: str = "") -> InvitationRequest:
    return InvitationRequest(
        email=request.email,
        role=convert.member_role(request.role),
        assigned_role_ids=list(request.assigned_role_ids),
        expire_time=moment(request, "expire_time", within=within),
    )
