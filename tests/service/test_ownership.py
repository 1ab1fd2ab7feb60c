"""Owners: one always remains, nobody else touches them, and ownership is handed over in one step."""

from typing import Any

import pytest
from grpc import StatusCode
from support.deployment import CATALOG
from support.rpc import Client
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER, SANDBOXES_ADMIN, Person, World

GRANTABLE = sorted(CATALOG.all - CATALOG.owner_only)
OWNERS_ALONE = {"permissions": "organization:delete,organization:transfer"}


def organization_client(world: World, organization: Any) -> Client:
    return world.client(world.token(organization_id=organization.id))


def standings(owner: Person, organization: Any) -> dict[str, str]:
    members = owner.rpc("MemberService.ListMembers", organization_id=organization.id).members
    return {member.user_id: OWNER if member.role == 1 else MEMBER for member in members}


def test_last_owner_cannot_leave(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    world.member(acme, ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal("OrganizationService.LeaveOrganization", organization_id=acme.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": acme.id})


def test_last_owner_cannot_remove_themselves(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal("MemberService.RemoveMember", organization_id=acme.id, user_id=ana.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": acme.id})


def test_last_owner_cannot_be_removed_by_the_organizations_token(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    program = organization_client(world, acme)
    with world.unchanged(acme):
        refusal = program.refusal("MemberService.RemoveMember", organization_id=acme.id, user_id=ana.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": acme.id})


def test_last_owner_cannot_be_demoted(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    program = organization_client(world, acme)
    with world.unchanged(acme):
        refusal = program.refusal("MemberService.UpdateMemberAccess", organization_id=acme.id, user_id=ana.id, role=MEMBER)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": acme.id})


def test_last_owner_cannot_demote_themselves(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal("MemberService.UpdateMemberAccess", organization_id=acme.id, user_id=ana.id, role=MEMBER)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "OWN_ACCESS", {})


def test_owners_can_go_until_one_is_left(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, cy, di = (world.member(acme, ana, role=OWNER) for _ in range(3))
    bo.rpc("OrganizationService.LeaveOrganization", organization_id=acme.id)
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=cy.id)
    di.rpc("MemberService.UpdateMemberAccess", organization_id=acme.id, user_id=ana.id, role=MEMBER)
    assert standings(di, acme) == {ana.id: MEMBER, di.id: OWNER}
    refusal = di.rpc.refusal("OrganizationService.LeaveOrganization", organization_id=acme.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "LAST_OWNER", {"organization_id": acme.id})


@pytest.mark.parametrize("roles", [[], [DEVELOPER]])
@pytest.mark.parametrize("role", [OWNER, MEMBER])
def test_non_owner_cannot_change_an_owner(world: World, role: str, roles: list[str]) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, mia = world.member(acme, ana, role=OWNER), world.member_with(acme, ana, *GRANTABLE)
    with world.unchanged(acme):
        refusal = mia.rpc.refusal(
            "MemberService.UpdateMemberAccess",
            organization_id=acme.id,
            user_id=bo.id,
            role=role,
            assigned_role_ids=roles,
        )
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "OWNER_PROTECTED", {"user_id": bo.id})


def test_non_owner_cannot_remove_an_owner(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, mia = world.member(acme, ana, role=OWNER), world.member_with(acme, ana, *GRANTABLE)
    with world.unchanged(acme):
        refusal = mia.rpc.refusal("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "OWNER_PROTECTED", {"user_id": bo.id})


@pytest.mark.parametrize("whose", ["owner", "organization"])
def test_narrowed_token_cannot_touch_an_owner(world: World, whose: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    narrow = world.client(
        world.token(ana if whose == "owner" else None, organization_id=acme.id, permissions=["member:update", "member:delete"])
    )
    key = {"organization_id": acme.id, "user_id": bo.id}
    with world.unchanged(acme):
        demotion = narrow.refusal("MemberService.UpdateMemberAccess", **key, role=MEMBER)
        removal = narrow.refusal("MemberService.RemoveMember", **key)
    assert demotion.seen == removal.seen == (StatusCode.PERMISSION_DENIED, "OWNER_PROTECTED", {"user_id": bo.id})


def test_non_owner_cannot_make_an_owner(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia, bo, cy = world.member_with(acme, ana, *GRANTABLE), world.member(acme, ana), world.person()
    pending = world.invite(acme, ana, cy.email)
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("MemberService.UpdateMemberAccess", {"user_id": bo.id, "role": OWNER}),
        ("MemberService.AddMember", {"user_id": cy.id, "role": OWNER}),
        ("InvitationService.CreateInvitation", {"email": "new@example.com", "role": OWNER}),
        ("InvitationService.UpdateInvitation", {"invitation_id": pending.id, "role": OWNER}),
    ]
    with world.unchanged(acme):
        for method, fields in attempts:
            refusal = mia.rpc.refusal(method, organization_id=acme.id, **fields)
            assert refusal.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", OWNERS_ALONE), method


def test_non_owner_cannot_transfer_or_delete(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, *GRANTABLE)
    with world.unchanged(acme):
        transfer = mia.rpc.refusal("OrganizationService.TransferOwnership", organization_id=acme.id, user_id=ana.id)
        deletion = mia.rpc.refusal("OrganizationService.DeleteOrganization", organization_id=acme.id)
    missing = (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert transfer.seen == (*missing, {"permissions": "organization:transfer"})
    assert deletion.seen == (*missing, {"permissions": "organization:delete"})


def test_transfer_makes_the_heir_an_owner_and_the_caller_a_member_at_once(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, SANDBOXES_ADMIN)
    before = world.revision(acme.id)
    heir = ana.rpc("OrganizationService.TransferOwnership", organization_id=acme.id, user_id=bo.id, assigned_role_ids=[AUDITOR])
    assert heir == bo.rpc("MemberService.GetMember", organization_id=acme.id, user_id=bo.id)
    former = bo.rpc("MemberService.GetMember", organization_id=acme.id, user_id=ana.id)
    assert world.revision(acme.id) == heir.revision == former.revision == before + 1
    assert standings(bo, acme) == {ana.id: MEMBER, bo.id: OWNER}
    assert [role.id for role in former.assigned_roles] == [AUDITOR]
    assert [role.id for role in heir.assigned_roles] == [SANDBOXES_ADMIN]
    assert world.breaches() == []


def test_former_owner_holds_no_more_than_the_roles_they_kept(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    ana.rpc("OrganizationService.TransferOwnership", organization_id=acme.id, user_id=bo.id)
    refusal = ana.rpc.refusal("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Mine")
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "organization:update"})


def test_transfer_to_another_owner_demotes_the_caller_alone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    ana.rpc("OrganizationService.TransferOwnership", organization_id=acme.id, user_id=bo.id)
    assert standings(bo, acme) == {ana.id: MEMBER, bo.id: OWNER}


def test_transfer_that_is_refused_changes_neither_of_the_two(world: World) -> None:
    ana, stranger = world.person(), world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    foreign = world.role(world.organization(stranger), stranger, "sandbox:read")
    transfer = "OrganizationService.TransferOwnership"
    with world.unchanged(acme):
        unknown_role = ana.rpc.refusal(transfer, organization_id=acme.id, user_id=bo.id, assigned_role_ids=[foreign.id])
        unknown_heir = ana.rpc.refusal(transfer, organization_id=acme.id, user_id=stranger.id)
        oneself = ana.rpc.refusal(transfer, organization_id=acme.id, user_id=ana.id)
    assert unknown_role.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "assigned_role_ids[0]"})
    assert unknown_role.violations == {"assigned_role_ids[0]": "UNKNOWN_ROLE"}
    assert unknown_heir.seen == (StatusCode.NOT_FOUND, "MEMBER_NOT_FOUND", {"user_id": stranger.id})
    assert oneself.seen == (StatusCode.PERMISSION_DENIED, "OWN_ACCESS", {})
    assert standings(ana, acme) == {ana.id: OWNER, bo.id: MEMBER}


def test_narrowed_token_cannot_transfer_what_it_does_not_hold(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    narrow = world.client(world.token(ana, permissions=["organization:transfer", *GRANTABLE]))
    with world.unchanged(acme):
        refusal = narrow.refusal("OrganizationService.TransferOwnership", organization_id=acme.id, user_id=bo.id)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "organization:delete"})


def test_organization_itself_cannot_transfer_or_leave(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    program = organization_client(world, acme)
    with world.unchanged(acme):
        transfer = program.refusal("OrganizationService.TransferOwnership", organization_id=acme.id, user_id=bo.id)
        leaving = program.refusal("OrganizationService.LeaveOrganization", organization_id=acme.id)
    wrong_kind = (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": "organization"})
    assert transfer.seen == leaving.seen == wrong_kind
