"""The end of a membership: everything it granted is gone with the next call, and nothing of it comes back by itself."""

import pytest
from grpc import StatusCode
from support.tokens import INVALID_CREDENTIAL, MINE, inaccessible, is_good, mine, missing, ours, unknown
from support.world import AUDITOR, OWNER, World

from tenantry_server.domain import ids

REMOVE, LEAVE = "MemberService.RemoveMember", "OrganizationService.LeaveOrganization"
GET, AUDIT = "MemberService.GetMember", "AuditService.ListAuditEvents"


@pytest.mark.parametrize("end", ["removed", "left"])
def test_everything_is_gone_at_once(world: World, end: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, AUDITOR)
    narrow, bound = mine(world, bo.rpc, "audit-log:read").rpc, mine(world, bo.rpc, bound_to=acme).rpc
    clients = [bo.rpc, narrow, bound]
    assert all(client(AUDIT, organization_id=acme.id).events for client in clients)
    before = world.revision(acme.id)
    if end == "removed":
        answer = ana.rpc(REMOVE, organization_id=acme.id, user_id=bo.id)
    else:
        answer = bo.rpc(LEAVE, organization_id=acme.id)
    assert answer.revision == before + 1
    for client in (bo.rpc, narrow):
        assert client.refusal(AUDIT, organization_id=acme.id).seen == inaccessible(acme.id)
        assert is_good(client)
    assert bound.refusal(AUDIT, organization_id=acme.id).seen == INVALID_CREDENTIAL
    assert ana.rpc.refusal(GET, organization_id=acme.id, user_id=bo.id).reason == "MEMBER_NOT_FOUND"
    assert world.breaches() == []


def test_who_comes_back_has_what_they_are_given_then(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, AUDITOR, role=OWNER)
    narrow = mine(world, bo.rpc, "audit-log:read").rpc
    ana.rpc(REMOVE, organization_id=acme.id, user_id=bo.id)
    member = world.join(acme, ana, bo)
    assert (member.role, list(member.assigned_roles)) == (2, [])
    for client in (bo.rpc, narrow):
        assert client.refusal(AUDIT, organization_id=acme.id).seen == missing("audit-log:read")


@pytest.mark.parametrize("end", ["removed", "left"])
def test_tokens_that_are_bound_end_for_good_and_no_others(world: World, end: str) -> None:
    ana, bo = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(bo)
    world.join(acme, ana, bo, role=OWNER)
    bound = [mine(world, bo.rpc, bound_to=acme), mine(world, bo.rpc, "sandbox:read", bound_to=acme)]
    others = [mine(world, bo.rpc), mine(world, bo.rpc, bound_to=birch), mine(world, ana.rpc, bound_to=acme)]
    others += [ours(world, bo.rpc, acme)]
    if end == "left":
        bo.rpc(LEAVE, organization_id=acme.id)
    else:
        ana.rpc(REMOVE, organization_id=acme.id, user_id=bo.id)
    for made in bound:
        assert bo.rpc.refusal(MINE.format("Get"), api_token_id=made.id).seen == unknown(made.id)
    world.join(acme, ana, bo, role=OWNER)
    assert [is_good(made.rpc) for made in bound] == [False, False]
    assert [is_good(made.rpc) for made in others] == [True] * 4
    for made in (*bound, *others):
        listed = {token.id for token in ana.rpc("ApiTokenService.ListApiTokens", organization_id=acme.id).api_tokens}
        assert (made.id in listed) == (made not in (*bound, others[1]))
    assert world.breaches() == []


def test_token_that_is_bound_leaves_with_the_membership_that_it_ends(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    bound = mine(world, bo.rpc, bound_to=acme)
    assert bound.rpc(LEAVE, organization_id=acme.id)
    assert not is_good(bound.rpc)
    assert is_good(bo.rpc)


def test_removing_oneself_is_leaving(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, "member:delete")
    assert mia.rpc(REMOVE, organization_id=acme.id, user_id=mia.id).revision == world.revision(acme.id)
    assert ana.rpc.refusal(GET, organization_id=acme.id, user_id=mia.id).reason == "MEMBER_NOT_FOUND"


def test_owner_can_remove_themselves_while_another_remains(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    ana.rpc(REMOVE, organization_id=acme.id, user_id=ana.id)
    assert [member.user_id for member in bo.rpc("MemberService.ListMembers", organization_id=acme.id).members] == [bo.id]


def test_who_is_no_member_cannot_be_removed(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    ana.rpc(REMOVE, organization_id=acme.id, user_id=bo.id)
    with world.unchanged(acme):
        for unknown in (bo.id, world.person().id, ids.new(), ids.NIL):
            refusal = ana.rpc.refusal(REMOVE, organization_id=acme.id, user_id=unknown)
            assert refusal.seen == (StatusCode.NOT_FOUND, "MEMBER_NOT_FOUND", {"user_id": unknown})


def test_leaving_takes_no_permission_but_its_own(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    without = world.client(world.token(bo, permissions=["organization:read"]))
    with world.unchanged(acme):
        refusal = without.refusal(LEAVE, organization_id=acme.id)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "organization:leave"})
    bound = world.client(world.token(bo, organization_id=acme.id, permissions=["organization:leave"]))
    assert bound(LEAVE, organization_id=acme.id).revision == world.revision(acme.id)


def test_who_left_cannot_come_back_by_the_invitation_they_accepted(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, bo.email)
    bo.rpc("InvitationService.AcceptInvitation", invitation_id=offer.id)
    bo.rpc(LEAVE, organization_id=acme.id)
    with world.unchanged(acme):
        refusal = bo.rpc.refusal("InvitationService.AcceptInvitation", invitation_id=offer.id)
    metadata = {"invitation_id": offer.id, "state": "accepted"}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "INVITATION_NOT_PENDING", metadata)
