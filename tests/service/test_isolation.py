"""Tenants are apart: what belongs to another organization is like what does not exist, and rights end at the border."""

from typing import Any

import pytest
from grpc import StatusCode
from support.world import AUDITOR, MEMBER, Person, World

from tenantry_server.domain import ids

ROLES, MEMBERS, INVITATIONS, TOKENS = "RoleService", "MemberService", "InvitationService", "ApiTokenService"


def two(world: World) -> tuple[Person, Any, Person, Any]:
    """Two owners and their organizations."""
    ana, eve = world.person(), world.person()
    return ana, world.organization(ana), eve, world.organization(eve)


@pytest.mark.parametrize(
    ("method", "field"),
    [
        *((f"{ROLES}.{verb}Role", "role_id") for verb in ("Get", "Update", "Delete")),
        (f"{MEMBERS}.GetMember", "user_id"),
        (f"{MEMBERS}.UpdateMemberAccess", "user_id"),
        (f"{MEMBERS}.RemoveMember", "user_id"),
        ("OrganizationService.TransferOwnership", "user_id"),
        *((f"{INVITATIONS}.{verb}Invitation", "invitation_id") for verb in ("Get", "Update", "Resend", "Cancel")),
        *((f"{TOKENS}.{verb}ApiToken", "api_token_id") for verb in ("Get", "Update", "Rotate", "Revoke")),
    ],
)
def test_object_of_another_organization_is_like_none(world: World, method: str, field: str) -> None:
    ana, acme, eve, birch = two(world)
    theirs = {
        "role_id": world.role(acme, ana, "sandbox:read").id,
        "user_id": world.member(acme, ana).id,
        "invitation_id": world.invite(acme, ana, "guest@example.com").id,
        "api_token_id": ana.rpc(f"{TOKENS}.CreateApiToken", organization_id=acme.id, name="T", unrestricted=True).api_token.id,
    }[field]
    more = {"role": MEMBER} if method.endswith("UpdateMemberAccess") else {}
    with world.unchanged(acme, birch):
        foreign, unknown = (
            eve.rpc.refusal(method, organization_id=birch.id, **{field: known}, **more) for known in (theirs, ids.new())
        )
    assert (foreign.code, foreign.reason) == (unknown.code, unknown.reason)
    assert foreign.code is StatusCode.NOT_FOUND
    assert foreign.metadata == {field: theirs}
    assert foreign.message == unknown.message.replace(unknown.metadata[field], theirs)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (f"{MEMBERS}.AddMember", {"user_id": "new", "role": MEMBER}),
        (f"{MEMBERS}.UpdateMemberAccess", {"user_id": "member", "role": MEMBER}),
        (f"{INVITATIONS}.CreateInvitation", {"email": "new@example.com", "role": MEMBER}),
        (f"{INVITATIONS}.UpdateInvitation", {"invitation_id": "invitation"}),
        ("OrganizationService.TransferOwnership", {"user_id": "member"}),
    ],
)
def test_role_of_another_organization_cannot_be_assigned(world: World, method: str, fields: dict[str, str]) -> None:
    ana, acme, eve, birch = two(world)
    known = {
        "new": world.person().id,
        "member": world.member(birch, eve).id,
        "invitation": world.invite(birch, eve, "guest@example.com").id,
    }
    fields = {name: known.get(value, value) for name, value in fields.items()}
    theirs = world.role(acme, ana, "sandbox:read").id
    with world.unchanged(acme, birch):
        foreign, unknown = (
            eve.rpc.refusal(method, organization_id=birch.id, assigned_role_ids=[AUDITOR, role_id], **fields)
            for role_id in (theirs, ids.new())
        )
    assert foreign.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "assigned_role_ids[1]"})
    assert foreign.violations == {"assigned_role_ids[1]": "UNKNOWN_ROLE"}
    assert (foreign.message, foreign.details) == (unknown.message, unknown.details)


def test_rights_in_one_organization_are_none_in_another(world: World) -> None:
    ana, acme, eve, birch = two(world)
    role, offer = world.role(birch, eve, "sandbox:read"), world.invite(birch, eve, "guest@example.com")
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("OrganizationService.UpdateOrganization", {"name": "Mine"}),
        ("OrganizationService.DeleteOrganization", {}),
        (f"{ROLES}.DeleteRole", {"role_id": role.id}),
        (f"{MEMBERS}.RemoveMember", {"user_id": eve.id}),
        (f"{MEMBERS}.AddMember", {"user_id": ana.id, "role": MEMBER}),
        (f"{INVITATIONS}.CancelInvitation", {"invitation_id": offer.id}),
        (f"{ROLES}.ListRoles", {}),
        (f"{MEMBERS}.ListMembers", {}),
        (f"{INVITATIONS}.ListInvitations", {}),
        (f"{TOKENS}.CreateApiToken", {"name": "Mine", "unrestricted": True}),
        (f"{TOKENS}.ListApiTokens", {}),
        ("AuditService.ListAuditEvents", {}),
    ]
    bound = world.client(world.token(ana, organization_id=acme.id))
    program = world.client(world.token(organization_id=acme.id))
    with world.unchanged(birch):
        for method, fields in attempts:
            for client in (ana.rpc, bound, program):
                refusal = client.refusal(method, organization_id=birch.id, **fields)
                expected = (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": birch.id})
                assert refusal.seen == expected, method


def test_rights_of_a_member_of_two_organizations_do_not_mix(world: World) -> None:
    ana, acme, eve, birch = two(world)
    mia = world.member_with(acme, ana, "role:create", "audit-log:read")
    world.join(birch, eve, mia)
    with world.unchanged(birch):
        refusal = mia.rpc.refusal(f"{ROLES}.CreateRole", organization_id=birch.id, name="Ops", permissions=["sandbox:read"])
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "role:create"})
    assert world.role(acme, mia, "audit-log:read").organization_id == acme.id
