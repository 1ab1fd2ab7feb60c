"""How far a token reaches: bound to an organization, an organization's own, or narrowed to some permissions."""

from typing import Any

import pytest
from grpc import StatusCode
from support.world import AUDITOR, World

GET, AUDIT = "OrganizationService.GetOrganization", "AuditService.ListAuditEvents"
RENAME = "OrganizationService.UpdateOrganization"
MINE, COUNT = "InvitationService.ListMyInvitations", "InvitationService.CountMyInvitations"
ACCEPT, DECLINE = "InvitationService.AcceptInvitation", "InvitationService.DeclineInvitation"


def missing(permission: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": permission}


def not_accessible(organization: Any) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": organization.id}


@pytest.mark.parametrize("kind", ["bound", "organization"])
def test_token_of_one_organization_reaches_no_other(world: World, kind: str) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    personal = ana.rpc(GET, organization_id=ana.personal_organization_id)
    client = world.client(world.token(ana if kind == "bound" else None, organization_id=acme.id))
    assert client(RENAME, organization_id=acme.id, name="New").name == "New"
    with world.unchanged(birch, personal):
        for other in (birch, personal):
            assert client.refusal(GET, organization_id=other.id).seen == not_accessible(other)
            assert client.refusal(RENAME, organization_id=other.id, name="New").seen == not_accessible(other)


def test_bound_token_holds_what_the_member_holds_now(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    bound = world.client(world.token(bo, organization_id=acme.id))
    access = {"organization_id": acme.id, "user_id": bo.id, "role": "MEMBER_ROLE_MEMBER"}
    assert bound.refusal(AUDIT, organization_id=acme.id).seen == missing("audit-log:read")
    ana.rpc("MemberService.UpdateMemberAccess", **access, assigned_role_ids=[AUDITOR])
    assert bound(AUDIT, organization_id=acme.id).events
    ana.rpc("MemberService.UpdateMemberAccess", **access)
    assert bound.refusal(AUDIT, organization_id=acme.id).seen == missing("audit-log:read")


def test_organizations_token_holds_everything_there(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    program = world.client(world.token(organization_id=acme.id))
    assert program(AUDIT, organization_id=acme.id).events
    assert program("RoleService.CreateRole", organization_id=acme.id, name="Ops", permissions=["billing:write"])
    assert program("OrganizationService.DeleteOrganization", organization_id=acme.id).state == 3


@pytest.mark.parametrize("kind", ["person", "person, bound", "organization"])
def test_narrowed_token_holds_what_it_names(world: World, kind: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    person, bound = (None if kind == "organization" else ana), ("" if kind == "person" else acme.id)
    narrow = world.client(world.token(person, organization_id=bound, permissions=["audit-log:read"]))
    assert narrow(AUDIT, organization_id=acme.id).events
    with world.unchanged(acme):
        assert narrow.refusal(RENAME, organization_id=acme.id, name="New").seen == missing("organization:update")
        assert narrow.refusal(GET, organization_id=acme.id).seen == missing("organization:read")


def test_narrowed_token_holds_nothing_that_the_person_does_not(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    narrow = world.client(world.token(bo, permissions=["audit-log:read", "organization:read"]))
    assert narrow(GET, organization_id=acme.id)
    assert narrow.refusal(AUDIT, organization_id=acme.id).seen == missing("audit-log:read")


def test_invitee_needs_a_token_that_reads_invitations_to_see_them(world: World) -> None:
    ana, guest = world.person(), world.person()
    world.invite(world.organization(ana), ana, guest.email)
    without = world.client(world.token(guest, permissions=["invitation:accept"]))
    reading = world.client(world.token(guest, permissions=["invitation:read"]))
    for method in (MINE, COUNT):
        assert without.refusal(method).seen == missing("invitation:read")
    assert len(reading(MINE).invitations) == reading(COUNT).count == 1


@pytest.mark.parametrize("answer", [ACCEPT, DECLINE])
def test_invitee_needs_a_token_that_accepts_invitations_to_answer_them(world: World, answer: str) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    without = world.client(world.token(guest, permissions=["invitation:read", "invitation:update"]))
    accepting = world.client(world.token(guest, permissions=["invitation:accept"]))
    with world.unchanged(acme):
        assert without.refusal(answer, invitation_id=offer.id).seen == missing("invitation:accept")
    assert accepting(answer, invitation_id=offer.id).state in (2, 3)


def test_several_missing_permissions_do_not_hide_each_other(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    narrow = world.client(world.token(ana, permissions=["role:create"]))
    fields = {"name": "Ops", "permissions": ["sandbox:write", "role:create", "billing:read"]}
    with world.unchanged(acme):
        refusal = narrow.refusal("RoleService.CreateRole", organization_id=acme.id, **fields)
    beyond = {"permissions": "billing:read,sandbox:write"}
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", beyond)
