"""An invitation is as good as its inviter: when it is accepted, who set it last must still be able to."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.world import AUDITOR, DEVELOPER, MEMBER, MILLISECOND, OWNER, Person, World

ACCEPT, COUNT = "InvitationService.AcceptInvitation", "InvitationService.CountMyInvitations"
ACCESS, REMOVE = "MemberService.UpdateMemberAccess", "MemberService.RemoveMember"
UPDATE_ROLE = "RoleService.UpdateRole"


def ensure_lost(world: World, guest: Person, organization: Any, offer: Any) -> None:
    """The invitation cannot be accepted, stays pending, and both sides still see it."""
    with world.unchanged(organization):
        refusal = guest.rpc.refusal(ACCEPT, invitation_id=offer.id)
    expected = (StatusCode.FAILED_PRECONDITION, "INVITER_LOST_AUTHORITY", {"invitation_id": offer.id})
    assert refusal.seen == expected
    (mine,) = guest.rpc("InvitationService.ListMyInvitations").invitations
    assert (mine.id, mine.state) == (offer.id, 1)


def demote(ana: Person, organization: Any, inviter: Person) -> None:
    ana.rpc(ACCESS, organization_id=organization.id, user_id=inviter.id, role=MEMBER)


def remove(ana: Person, organization: Any, inviter: Person) -> None:
    ana.rpc(REMOVE, organization_id=organization.id, user_id=inviter.id)


def leave(ana: Person, organization: Any, inviter: Person) -> None:
    inviter.rpc("OrganizationService.LeaveOrganization", organization_id=organization.id)


def hand_over(ana: Person, organization: Any, inviter: Person) -> None:
    inviter.rpc("OrganizationService.TransferOwnership", organization_id=organization.id, user_id=ana.id)


@pytest.mark.parametrize("end", [demote, remove, leave, hand_over])
@pytest.mark.parametrize("role", [OWNER, MEMBER])
def test_inviter_who_lost_their_standing(world: World, end: Callable[[Person, Any, Person], None], role: str) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    offer = world.invite(acme, bo, guest.email, role=role)
    end(ana, acme, bo)
    ensure_lost(world, guest, acme, offer)


def test_inviter_who_holds_too_little_for_the_offer(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    inviters = world.role(acme, ana, "invitation:create")
    mia = world.member(acme, ana, inviters.id, AUDITOR)
    offer = world.invite(acme, mia, guest.email, AUDITOR)
    ana.rpc(ACCESS, organization_id=acme.id, user_id=mia.id, role=MEMBER, assigned_role_ids=[inviters.id])
    ensure_lost(world, guest, acme, offer)


def test_inviter_who_may_not_invite_any_more(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    mia = world.member(acme, ana, world.role(acme, ana, "invitation:create").id, AUDITOR)
    offer = world.invite(acme, mia, guest.email, AUDITOR)
    ana.rpc(ACCESS, organization_id=acme.id, user_id=mia.id, role=MEMBER, assigned_role_ids=[AUDITOR])
    ensure_lost(world, guest, acme, offer)


def test_inviter_whose_role_was_narrowed(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "invitation:create", "audit-log:read")
    offer = world.invite(acme, world.member(acme, ana, role.id), guest.email, AUDITOR)
    ana.rpc(UPDATE_ROLE, organization_id=acme.id, role_id=role.id, permissions=["invitation:create"])
    ensure_lost(world, guest, acme, offer)


def test_offered_role_that_was_widened_beyond_the_inviter(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    mia, offered = world.member_with(acme, ana, "invitation:create", "sandbox:write"), world.role(acme, ana, "sandbox:write")
    offer = world.invite(acme, mia, guest.email, offered.id)
    widen = {"organization_id": acme.id, "role_id": offered.id}
    ana.rpc(UPDATE_ROLE, **widen, permissions=["sandbox:write", "billing:read"])
    ensure_lost(world, guest, acme, offer)
    ana.rpc(UPDATE_ROLE, **widen, permissions=["sandbox:write", "sandbox:read"])
    assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2


def test_inviter_who_regained_their_standing(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    offer = world.invite(acme, bo, guest.email, role=OWNER)
    demote(ana, acme, bo)
    ensure_lost(world, guest, acme, offer)
    ana.rpc(ACCESS, organization_id=acme.id, user_id=bo.id, role=OWNER)
    assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2


def test_inviter_whom_a_member_permission_lets_add_people(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, "invitation:create")
    offer = world.invite(acme, mia, guest.email)
    adding = world.role(acme, ana, "member:create")
    ana.rpc(ACCESS, organization_id=acme.id, user_id=mia.id, role=MEMBER, assigned_role_ids=[adding.id])
    assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2


@pytest.mark.parametrize("change", ["ResendInvitation", "UpdateInvitation"])
def test_who_sets_it_anew_answers_for_it_from_then_on(world: World, change: str) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    offer = world.invite(acme, bo, guest.email, AUDITOR)
    remove(ana, acme, bo)
    ensure_lost(world, guest, acme, offer)
    ana.rpc(f"InvitationService.{change}", organization_id=acme.id, invitation_id=offer.id)
    assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2


@pytest.mark.parametrize("change", ["ResendInvitation", "UpdateInvitation"])
def test_who_may_only_change_invitations_can_answer_for_one(world: World, change: str) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, "invitation:update")
    offer = world.invite(acme, ana, guest.email)
    mia.rpc(f"InvitationService.{change}", organization_id=acme.id, invitation_id=offer.id)
    assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2


def test_who_set_it_anew_must_still_be_able_to(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    mia = world.member(acme, ana, world.role(acme, ana, "invitation:update").id, DEVELOPER)
    offer = world.invite(acme, ana, guest.email, DEVELOPER)
    mia.rpc("InvitationService.ResendInvitation", organization_id=acme.id, invitation_id=offer.id)
    remove(ana, acme, mia)
    ensure_lost(world, guest, acme, offer)


def _invited_by_program(world: World, **token: Any) -> tuple[Person, Any, Any, datetime]:
    """An invitation by a token of an organization: the invitee, the organization, the invitation, the token's expire time."""
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    start = acme.create_time.ToDatetime(UTC) + timedelta(minutes=1)
    with world.at(start):
        program = world.client(world.token(organization_id=acme.id, lifetime=timedelta(hours=1), **token))
        offer = program(
            "InvitationService.CreateInvitation",
            organization_id=acme.id,
            email=guest.email,
            role=MEMBER,
            assigned_role_ids=[AUDITOR],
        )
    return guest, acme, offer, start + timedelta(hours=1)


@pytest.mark.parametrize("permissions", [None, ["invitation:create", "audit-log:read"]])
def test_program_answers_while_its_token_lasts(world: World, permissions: list[str] | None) -> None:
    guest, _, offer, end = _invited_by_program(world, permissions=permissions)
    with world.at(end - MILLISECOND):
        assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2


def test_program_whose_token_expired(world: World) -> None:
    guest, acme, offer, end = _invited_by_program(world)
    with world.at(end):
        ensure_lost(world, guest, acme, offer)


def test_person_answers_for_themselves_when_their_token_expired(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    short = world.client(world.token(ana, organization_id=acme.id, lifetime=timedelta(hours=1)))
    offer = short("InvitationService.CreateInvitation", organization_id=acme.id, email=guest.email, role=OWNER)
    with world.at(offer.create_time.ToDatetime(UTC) + timedelta(hours=2)):
        assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2
