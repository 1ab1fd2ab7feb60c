"""Invitations on the invitee's side: seen, accepted once and declined, by who has verified the address."""

import pytest
from grpc import StatusCode
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER, World

from tenantry_server.domain import ids

ACCEPT, DECLINE = "InvitationService.AcceptInvitation", "InvitationService.DeclineInvitation"
MINE, COUNT = "InvitationService.ListMyInvitations", "InvitationService.CountMyInvitations"
GET_MEMBER = "MemberService.GetMember"


@pytest.mark.parametrize("role", [OWNER, MEMBER])
def test_accepting_makes_the_caller_a_member_as_offered(world: World, role: str) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email, DEVELOPER, AUDITOR, role=role)
    accepted = guest.rpc(ACCEPT, invitation_id=offer.id)
    assert (accepted.id, accepted.state, accepted.revision) == (offer.id, 2, offer.revision + 1)
    member = guest.rpc(GET_MEMBER, organization_id=acme.id, user_id=guest.id)
    assert (member.role, [assigned.id for assigned in member.assigned_roles]) == (offer.role, [DEVELOPER, AUDITOR])
    assert member.revision == accepted.revision == world.revision(acme.id)
    assert guest.rpc(COUNT).count == 0
    assert world.breaches() == []


def test_declining_is_final_and_makes_nobody_a_member(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    declined = guest.rpc(DECLINE, invitation_id=offer.id)
    assert (declined.state, declined.revision) == (3, offer.revision + 1)
    assert guest.rpc(COUNT).count == 0
    assert ana.rpc.refusal(GET_MEMBER, organization_id=acme.id, user_id=guest.id).reason == "MEMBER_NOT_FOUND"


def test_unverified_address_sees_and_answers_nothing(world: World) -> None:
    ana, eve = world.person(), world.person(verified=False)
    acme = world.organization(ana)
    offer = world.invite(acme, ana, eve.email)
    with world.unchanged(acme):
        refusals = [eve.rpc.refusal(method) for method in (MINE, COUNT)]
        refusals += [eve.rpc.refusal(method, invitation_id=offer.id) for method in (ACCEPT, DECLINE)]
        refusals += [eve.rpc.refusal(method, invitation_id=ids.new()) for method in (ACCEPT, DECLINE)]
    assert all(refusal.seen == (StatusCode.FAILED_PRECONDITION, "EMAIL_NOT_VERIFIED", {}) for refusal in refusals)


def test_who_has_verified_the_address_answers_though_others_claim_it(world: World) -> None:
    ana, eve = world.person(), world.person(verified=False)
    guest = world.person(email=eve.email)
    acme = world.organization(ana)
    offer = world.invite(acme, ana, eve.email)
    assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2
    assert eve.rpc.refusal(GET_MEMBER, organization_id=acme.id, user_id=eve.id).reason == "ORGANIZATION_NOT_ACCESSIBLE"


@pytest.mark.parametrize("method", [ACCEPT, DECLINE])
def test_invitation_to_another_address_is_like_one_that_does_not_exist(world: World, method: str) -> None:
    ana, guest, eve = world.person(), world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    with world.unchanged(acme):
        for caller in (eve, ana):
            for unknown in (offer.id, ids.new()):
                refusal = caller.rpc.refusal(method, invitation_id=unknown)
                assert refusal.seen == (StatusCode.NOT_FOUND, "INVITATION_NOT_FOUND", {"invitation_id": unknown})


def test_accepting_never_overwrites_a_membership(world: World) -> None:
    ana, guest = world.person(), world.person(verified=False)
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email, DEVELOPER, role=OWNER)
    before = world.join(acme, ana, guest, AUDITOR)
    world.verify(guest)
    with world.unchanged(acme):
        refusal = guest.rpc.refusal(ACCEPT, invitation_id=offer.id)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "ALREADY_MEMBER", {"user_id": guest.id})
    assert guest.rpc(GET_MEMBER, organization_id=acme.id, user_id=guest.id) == before
    assert guest.rpc(COUNT).count == 1


def test_role_that_was_deleted_meanwhile_is_not_assigned(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:write")
    offer = world.invite(acme, ana, guest.email, role.id, AUDITOR)
    ana.rpc("RoleService.DeleteRole", organization_id=acme.id, role_id=role.id, unassign=True)
    accepted = guest.rpc(ACCEPT, invitation_id=offer.id)
    member = guest.rpc(GET_MEMBER, organization_id=acme.id, user_id=guest.id)
    assert list(accepted.assigned_roles) == list(member.assigned_roles)
    assert [assigned.id for assigned in member.assigned_roles] == [AUDITOR]


def test_role_that_was_changed_meanwhile_is_granted_as_it_is_now(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:write")
    offer = world.invite(acme, ana, guest.email, role.id)
    ana.rpc("RoleService.UpdateRole", organization_id=acme.id, role_id=role.id, permissions=["audit-log:read"])
    guest.rpc(ACCEPT, invitation_id=offer.id)
    assert guest.rpc("AuditService.ListAuditEvents", organization_id=acme.id).events


def test_invitations_of_all_organizations_are_listed_and_counted(world: World) -> None:
    ana, guest, other = world.person(), world.person(), world.person()
    offers = [world.invite(world.organization(ana), ana, guest.email, AUDITOR) for _ in range(4)]
    world.invite(world.organization(ana), ana, other.email)
    guest.rpc(DECLINE, invitation_id=offers.pop().id)
    ana.rpc("InvitationService.CancelInvitation", organization_id=offers[0].organization_id, invitation_id=offers[0].id)
    expected = sorted(offers[1:], key=lambda offer: str(offer.id))
    assert list(guest.rpc(MINE).invitations) == expected
    assert guest.rpc(COUNT).count == len(expected)


@pytest.mark.parametrize("kind", ["user_in_organization", "organization"])
def test_tokens_of_one_organization_are_nobodys_invitee(world: World, kind: str) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    home = guest.personal_organization_id
    client = world.client(world.token(guest if kind == "user_in_organization" else None, organization_id=home))
    refusals = [client.refusal(method) for method in (MINE, COUNT)]
    refusals += [client.refusal(method, invitation_id=offer.id) for method in (ACCEPT, DECLINE)]
    for refusal in refusals:
        assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": kind})
