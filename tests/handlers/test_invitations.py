"""InvitationService: what each request means to the service, and what its record becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import google.rpc.status_pb2 as status_pb2
import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from support.clock import MovableClock
from support.desk import NOW, Desk, Somebody
from support.rpc import Refused, read_details
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER

from tenantry.v1 import invitation_pb2, invitation_service_pb2, member_pb2
from tenantry_server.wire import timestamp

AT = timestamp(NOW)
IN_A_WEEK, TOMORROW = timestamp(NOW + timedelta(days=7)), timestamp(NOW + timedelta(days=1))
PENDING = invitation_pb2.INVITATION_STATE_PENDING


@pytest.fixture
def acme(ana: Somebody) -> Any:
    """Ana's organization."""
    return ana("OrganizationService.CreateOrganization", name="Acme")


@pytest.fixture
def bo(desk: Desk) -> Somebody:
    """Somebody to invite."""
    return desk.person("bo")


@pytest.fixture
def invited(ana: Somebody, bo: Somebody, acme: Any) -> Any:
    """Bo's invitation."""
    return ana(
        "InvitationService.CreateInvitation",
        organization_id=acme.id,
        email=bo.email.upper(),
        role=MEMBER,
        assigned_role_ids=[AUDITOR],
    )


def test_create_answers_with_the_whole_invitation(ana: Somebody, bo: Somebody, acme: Any, invited: Any) -> None:
    auditor = ana("RoleService.GetRole", organization_id=acme.id, role_id=AUDITOR)
    assert invited == invitation_pb2.Invitation(
        id=invited.id,
        organization_id=acme.id,
        organization_name="Acme",
        email=bo.email,
        state=PENDING,
        role=member_pb2.MEMBER_ROLE_MEMBER,
        assigned_roles=[auditor],
        inviter_email=ana.email,
        expire_time=IN_A_WEEK,
        revision=2,
        etag="r2",
        create_time=AT,
        update_time=AT,
    )


def test_create_takes_the_expire_time(ana: Somebody, acme: Any) -> None:
    made = ana(
        "InvitationService.CreateInvitation",
        organization_id=acme.id,
        email="cy@example.com",
        role=OWNER,
        expire_time=TOMORROW,
    )
    assert (made.expire_time, made.role) == (TOMORROW, member_pb2.MEMBER_ROLE_OWNER)


def test_a_batch_answers_each_item_with_its_invitation_or_its_status(ana: Somebody, acme: Any, invited: Any) -> None:
    answer = ana(
        "InvitationService.BatchCreateInvitations",
        organization_id=acme.id,
        items=[
            {"email": "cy@example.com", "role": OWNER, "expire_time": TOMORROW},
            {"email": invited.email, "role": MEMBER},
            {"email": "dee@example.com", "role": MEMBER, "assigned_role_ids": [DEVELOPER]},
        ],
    )
    made, refused, other = answer.results
    assert (made.invitation.email, made.invitation.expire_time, made.invitation.revision) == ("cy@example.com", TOMORROW, 3)
    assert isinstance(refused.error, status_pb2.Status)
    told = read_details(Refused(grpc.StatusCode.UNKNOWN, ""), refused.error)
    assert (refused.error.code, told.reason) == (grpc.StatusCode.ALREADY_EXISTS.value[0], "INVITATION_PENDING")
    assert told.metadata == {"email": invited.email}
    assert [role.id for role in other.invitation.assigned_roles] == [DEVELOPER]


def test_get_answers_with_what_was_created(ana: Somebody, acme: Any, invited: Any) -> None:
    assert ana("InvitationService.GetInvitation", organization_id=acme.id, invitation_id=invited.id) == invited


def test_list_answers_by_pages_and_by_state(ana: Somebody, acme: Any, invited: Any) -> None:
    other = ana("InvitationService.CreateInvitation", organization_id=acme.id, email="cy@example.com", role=MEMBER)
    cancelled = ana("InvitationService.CancelInvitation", organization_id=acme.id, invitation_id=other.id)

    def listed(**given: Any) -> Any:
        return ana("InvitationService.ListInvitations", organization_id=acme.id, **given)

    first = listed(page_size=1)
    second = listed(page_token=first.next_page_token)
    assert sorted(found.id for found in (*first.invitations, *second.invitations)) == sorted([invited.id, other.id])
    assert listed(state=PENDING) == invitation_service_pb2.ListInvitationsResponse(invitations=[invited])
    assert listed(state=invitation_pb2.INVITATION_STATE_CANCELLED).invitations == [cancelled]
    assert listed(state=invitation_pb2.INVITATION_STATE_ACCEPTED).invitations == []


@pytest.mark.parametrize(
    ("given", "role", "role_ids", "expires"),
    [
        ({"role": OWNER}, member_pb2.MEMBER_ROLE_OWNER, [AUDITOR], IN_A_WEEK),
        ({"assigned_role_ids": [DEVELOPER]}, member_pb2.MEMBER_ROLE_MEMBER, [DEVELOPER], IN_A_WEEK),
        ({"expire_time": TOMORROW}, member_pb2.MEMBER_ROLE_MEMBER, [AUDITOR], TOMORROW),
        (
            {"update_mask": FieldMask(paths=["assigned_role_ids"])},
            *(member_pb2.MEMBER_ROLE_MEMBER, [], IN_A_WEEK),
        ),
        (
            {"role": OWNER, "expire_time": TOMORROW, "update_mask": FieldMask(paths=["expire_time"])},
            *(member_pb2.MEMBER_ROLE_MEMBER, [AUDITOR], TOMORROW),
        ),
    ],
)
def test_update_changes_what_the_mask_or_the_request_names(
    ana: Somebody, acme: Any, invited: Any, given: dict[str, Any], role: int, role_ids: list[str], expires: Any
) -> None:
    updated = ana("InvitationService.UpdateInvitation", organization_id=acme.id, invitation_id=invited.id, **given)
    assert (updated.role, [found.id for found in updated.assigned_roles], updated.expire_time) == (role, role_ids, expires)
    assert (updated.revision, updated.etag, updated.email) == (3, "r3", invited.email)


def test_an_expired_invitation_is_told_so_and_resend_revives_it(
    ana: Somebody, acme: Any, invited: Any, clock: MovableClock
) -> None:
    clock.stopped = NOW + timedelta(days=8)
    found = ana("InvitationService.GetInvitation", organization_id=acme.id, invitation_id=invited.id)
    assert found.state == invitation_pb2.INVITATION_STATE_EXPIRED
    sent = ana("InvitationService.ResendInvitation", organization_id=acme.id, invitation_id=invited.id)
    assert (sent.state, sent.expire_time) == (PENDING, timestamp(NOW + timedelta(days=15)))


def test_cancel_answers_with_the_state(ana: Somebody, acme: Any, invited: Any) -> None:
    cancelled = ana("InvitationService.CancelInvitation", organization_id=acme.id, invitation_id=invited.id)
    assert (cancelled.state, cancelled.revision) == (invitation_pb2.INVITATION_STATE_CANCELLED, 3)


def test_the_invitee_lists_counts_and_accepts(ana: Somebody, bo: Somebody, acme: Any, invited: Any) -> None:
    listed = bo("InvitationService.ListMyInvitations", page_size=1)
    assert listed == invitation_service_pb2.ListMyInvitationsResponse(invitations=[invited])
    assert bo("InvitationService.CountMyInvitations").count == 1
    accepted = bo("InvitationService.AcceptInvitation", invitation_id=invited.id)
    assert (accepted.state, accepted.revision) == (invitation_pb2.INVITATION_STATE_ACCEPTED, 3)
    assert bo("InvitationService.CountMyInvitations").count == 0
    assert ana("MemberService.GetMember", organization_id=acme.id, user_id=bo.id).revision == 3


def test_the_invitees_list_comes_by_pages(ana: Somebody, bo: Somebody, invited: Any) -> None:
    other = ana("OrganizationService.CreateOrganization", name="Other")
    ana("InvitationService.CreateInvitation", organization_id=other.id, email=bo.email, role=MEMBER)
    first = bo("InvitationService.ListMyInvitations", page_size=1)
    second = bo("InvitationService.ListMyInvitations", page_token=first.next_page_token)
    assert {found.organization_name for found in (*first.invitations, *second.invitations)} == {"Acme", "Other"}
    assert second.next_page_token == ""


def test_the_invitee_declines(bo: Somebody, invited: Any) -> None:
    declined = bo("InvitationService.DeclineInvitation", invitation_id=invited.id)
    assert declined.state == invitation_pb2.INVITATION_STATE_DECLINED
