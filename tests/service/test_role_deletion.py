"""Deleted roles: what becomes of the members and invitations that have them."""

from datetime import UTC

import pytest
from grpc import StatusCode
from support.world import DEVELOPER, MEMBER, World

UPDATE, DELETE, GET = "RoleService.UpdateRole", "RoleService.DeleteRole", "RoleService.GetRole"


def test_role_that_nobody_has_is_deleted(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:read")
    deletion = ana.rpc(DELETE, organization_id=acme.id, role_id=role.id)
    assert (deletion.revision, list(deletion.unassigned_user_ids)) == (role.revision + 1, [])
    missing = (StatusCode.NOT_FOUND, "ROLE_NOT_FOUND", {"role_id": role.id})
    with world.unchanged(acme):
        for method in (GET, UPDATE, DELETE):
            assert ana.rpc.refusal(method, organization_id=acme.id, role_id=role.id).seen == missing


def test_role_that_somebody_has_is_deleted_on_demand_alone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "audit-log:read")
    holders = sorted(world.member(acme, ana, role.id, DEVELOPER).id for _ in range(2))
    offer = world.invite(acme, ana, "guest@example.com", role.id, DEVELOPER)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(DELETE, organization_id=acme.id, role_id=role.id)
    metadata = {"role_id": role.id, "members": "2", "invitations": "1"}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "ROLE_ASSIGNED", metadata)
    deletion = ana.rpc(DELETE, organization_id=acme.id, role_id=role.id, unassign=True)
    assert list(deletion.unassigned_user_ids) == holders
    assert list(deletion.unassigned_invitation_ids) == [offer.id]
    assert world.breaches() == []


def test_deleting_a_role_changes_the_members_and_invitations_that_had_it(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "audit-log:read")
    mia, offer = world.member(acme, ana, role.id, DEVELOPER), world.invite(acme, ana, "guest@example.com", role.id)
    other = world.member(acme, ana, DEVELOPER)
    untouched = ana.rpc("MemberService.GetMember", organization_id=acme.id, user_id=other.id)
    deletion = ana.rpc(DELETE, organization_id=acme.id, role_id=role.id, unassign=True)
    member = ana.rpc("MemberService.GetMember", organization_id=acme.id, user_id=mia.id)
    assert [assigned.id for assigned in member.assigned_roles] == [DEVELOPER]
    offered = ana.rpc("InvitationService.GetInvitation", organization_id=acme.id, invitation_id=offer.id)
    assert list(offered.assigned_roles) == []
    assert member.revision == offered.revision == deletion.revision
    assert ana.rpc("MemberService.GetMember", organization_id=acme.id, user_id=other.id) == untouched
    refusal = mia.rpc.refusal("AuditService.ListAuditEvents", organization_id=acme.id)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "audit-log:read"})


@pytest.mark.parametrize("end", ["cancelled", "accepted and gone", "expired"])
def test_invitations_that_are_over_do_not_hold_a_role(world: World, end: str) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "audit-log:read")
    offer = world.invite(acme, ana, guest.email, role.id, role=MEMBER)
    after = offer.create_time.ToDatetime(UTC)
    if end == "cancelled":
        ana.rpc("InvitationService.CancelInvitation", organization_id=acme.id, invitation_id=offer.id)
    elif end == "expired":
        after = offer.expire_time.ToDatetime(UTC)
    else:
        guest.rpc("InvitationService.AcceptInvitation", invitation_id=offer.id)
        guest.rpc("OrganizationService.LeaveOrganization", organization_id=acme.id)
    with world.at(after):
        deletion = ana.rpc(DELETE, organization_id=acme.id, role_id=role.id)
    assert list(deletion.unassigned_invitation_ids) == []
