"""Members: added, changed and removed by others, within what those hold themselves."""

from typing import Any

import pytest
from grpc import StatusCode
from support.deployment import CATALOG
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER, SANDBOXES_ADMIN, World

from tenantry_server.domain import ids

ADD, GET, LIST = "MemberService.AddMember", "MemberService.GetMember", "MemberService.ListMembers"
UPDATE, REMOVE = "MemberService.UpdateMemberAccess", "MemberService.RemoveMember"
LEAVE = "OrganizationService.LeaveOrganization"
OWNERSHIP = CATALOG.role_keys["owner"].id
OWN_ACCESS: tuple[StatusCode, str, dict[str, str]] = (StatusCode.PERMISSION_DENIED, "OWN_ACCESS", {})


def role_ids(member: Any) -> list[str]:
    return [role.id for role in member.assigned_roles]


def test_user_is_added_at_once(world: World) -> None:
    ana, bo = world.person(), world.person("bo")
    acme = world.organization(ana)
    member = world.join(acme, ana, bo, SANDBOXES_ADMIN, AUDITOR)
    assert (member.organization_id, member.user_id, member.email, member.name) == (acme.id, bo.id, bo.email, "Bo")
    assert (member.role, role_ids(member)) == (2, [SANDBOXES_ADMIN, AUDITOR])
    assert member.revision == world.revision(acme.id) == acme.revision + 1
    assert bo.rpc(GET, organization_id=acme.id, user_id=bo.id) == member
    assert bo.rpc("AuditService.ListAuditEvents", organization_id=acme.id).events


def test_unknown_user_cannot_be_added(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    for unknown in (ids.new(), ids.NIL, acme.id, ids.to_uuid(ids.new())):
        with world.unchanged(acme):
            refusal = ana.rpc.refusal(ADD, organization_id=acme.id, user_id=unknown, role=MEMBER)
        assert refusal.seen == (StatusCode.NOT_FOUND, "USER_NOT_FOUND", {"user": unknown})


@pytest.mark.parametrize("role", [OWNER, MEMBER])
def test_adding_a_member_again_leaves_the_membership_alone(world: World, role: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, AUDITOR)
    before = ana.rpc(GET, organization_id=acme.id, user_id=bo.id)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(ADD, organization_id=acme.id, user_id=bo.id.lower(), role=role, assigned_role_ids=[DEVELOPER])
        own = ana.rpc.refusal(ADD, organization_id=acme.id, user_id=ana.id, role=MEMBER)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "ALREADY_MEMBER", {"user_id": bo.id})
    assert own.seen == (StatusCode.ALREADY_EXISTS, "ALREADY_MEMBER", {"user_id": ana.id})
    assert ana.rpc(GET, organization_id=acme.id, user_id=bo.id) == before


@pytest.mark.parametrize(
    ("wrong", "field", "rule"),
    [
        ([DEVELOPER, "unknown"], "assigned_role_ids[1]", "UNKNOWN_ROLE"),
        ([ids.NIL], "assigned_role_ids[0]", "UNKNOWN_ROLE"),
        ([OWNERSHIP], "assigned_role_ids[0]", "NOT_ASSIGNABLE"),
        ([AUDITOR, AUDITOR], "assigned_role_ids", "REPEATED_ROLE_IDS"),
        ([AUDITOR, ids.to_uuid(AUDITOR)], "assigned_role_ids", "REPEATED_ROLE"),
        (["not an id"], "assigned_role_ids[0]", "STRING_OBJECT_ID"),
        ([ids.new() for _ in range(33)], "assigned_role_ids", "REPEATED_ROLE_IDS"),
    ],
)
def test_wrong_roles_are_refused_wherever_they_are_assigned(world: World, wrong: list[str], field: str, rule: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, offer = world.member(acme, ana), world.invite(acme, ana, "guest@example.com")
    assigned = [ids.new() if role_id == "unknown" else role_id for role_id in wrong]
    attempts: list[tuple[str, dict[str, Any]]] = [
        (ADD, {"user_id": world.person().id, "role": MEMBER}),
        (UPDATE, {"user_id": bo.id, "role": MEMBER}),
        ("InvitationService.CreateInvitation", {"email": "new@example.com", "role": MEMBER}),
        ("InvitationService.UpdateInvitation", {"invitation_id": offer.id}),
        ("OrganizationService.TransferOwnership", {"user_id": bo.id}),
    ]
    with world.unchanged(acme):
        for method, fields in attempts:
            refusal = ana.rpc.refusal(method, organization_id=acme.id, assigned_role_ids=assigned, **fields)
            assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": field}), method
            assert refusal.violations == {field: rule}, method


def test_member_can_have_32_roles(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    roles = sorted(world.role(acme, ana, "sandbox:read").id for _ in range(30))
    member = world.join(acme, ana, world.person(), *reversed(roles), DEVELOPER, AUDITOR)
    assert role_ids(member) == [DEVELOPER, AUDITOR, *roles]


def test_change_replaces_standing_and_roles(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, DEVELOPER, AUDITOR)
    before = ana.rpc(GET, organization_id=acme.id, user_id=bo.id)
    promoted = ana.rpc(UPDATE, organization_id=acme.id, user_id=bo.id, role=OWNER, assigned_role_ids=[AUDITOR])
    assert (promoted.role, role_ids(promoted)) == (1, [AUDITOR])
    demoted = ana.rpc(UPDATE, organization_id=acme.id, user_id=bo.id, role=MEMBER)
    assert (demoted.role, role_ids(demoted)) == (2, [])
    assert demoted == ana.rpc(GET, organization_id=acme.id, user_id=bo.id)
    assert (demoted.create_time, demoted.revision) == (before.create_time, before.revision + 2)
    assert world.breaches() == []


def test_change_of_one_member_leaves_the_others_alone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, cy = world.member(acme, ana, AUDITOR), world.member(acme, ana, AUDITOR)
    before = ana.rpc(GET, organization_id=acme.id, user_id=cy.id)
    ana.rpc(UPDATE, organization_id=acme.id, user_id=bo.id, role=MEMBER)
    ana.rpc(REMOVE, organization_id=acme.id, user_id=bo.id)
    assert ana.rpc(GET, organization_id=acme.id, user_id=cy.id) == before


@pytest.mark.parametrize("role_id", [AUDITOR, "custom"])
def test_nobody_assigns_what_they_do_not_hold(world: World, role_id: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role_id = world.role(acme, ana, "audit-log:read", "member:create").id if role_id == "custom" else role_id
    mia, bo = world.member_with(acme, ana, "member:create", "member:update"), world.member(acme, ana)
    with world.unchanged(acme):
        added = mia.rpc.refusal(
            ADD, organization_id=acme.id, user_id=world.person().id, role=MEMBER, assigned_role_ids=[role_id]
        )
        changed = mia.rpc.refusal(UPDATE, organization_id=acme.id, user_id=bo.id, role=MEMBER, assigned_role_ids=[role_id])
    beyond = (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "audit-log:read"})
    assert added.seen == changed.seen == beyond


def test_what_a_member_has_already_can_be_kept_and_taken_by_others(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia, bo = world.member_with(acme, ana, "member:update", "sandbox:write"), world.member(acme, ana, AUDITOR)
    change = {"organization_id": acme.id, "user_id": bo.id, "role": MEMBER}
    assert role_ids(mia.rpc(UPDATE, **change, assigned_role_ids=[AUDITOR, DEVELOPER])) == [DEVELOPER, AUDITOR]
    assert role_ids(mia.rpc(UPDATE, **change, assigned_role_ids=[DEVELOPER])) == [DEVELOPER]
    refusal = mia.rpc.refusal(UPDATE, **change, assigned_role_ids=[AUDITOR, DEVELOPER])
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "audit-log:read"})


@pytest.mark.parametrize("whose", ["owner", "owner, bound", "organization"])
def test_narrowed_token_assigns_within_its_bounds(world: World, whose: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, cy = world.member(acme, ana), world.person()
    person, bound = (None if whose == "organization" else ana), ("" if whose == "owner" else acme.id)
    permissions = ["member:create", "member:update", "sandbox:write"]
    narrow = world.client(world.token(person, organization_id=bound, permissions=permissions))
    with world.unchanged(acme):
        roles = {"role": MEMBER, "assigned_role_ids": [SANDBOXES_ADMIN]}
        added = narrow.refusal(ADD, organization_id=acme.id, user_id=cy.id, **roles)
        changed = narrow.refusal(UPDATE, organization_id=acme.id, user_id=bo.id, **roles)
        promoted = narrow.refusal(UPDATE, organization_id=acme.id, user_id=bo.id, role=OWNER)
    beyond = (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "sandbox:delete"})
    assert added.seen == changed.seen == beyond
    everything_else = {"permissions": ",".join(sorted(CATALOG.all - set(permissions)))}
    assert promoted.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", everything_else)
    assert narrow(UPDATE, organization_id=acme.id, user_id=bo.id, role=MEMBER, assigned_role_ids=[DEVELOPER])


@pytest.mark.parametrize("standing", [OWNER, MEMBER])
@pytest.mark.parametrize("fields", [{"role": OWNER}, {"role": MEMBER}, {"role": MEMBER, "assigned_role_ids": [AUDITOR]}])
def test_nobody_changes_their_own_access(world: World, standing: str, fields: dict[str, Any]) -> None:
    ana = world.person()
    acme = world.organization(ana)
    admin = world.role(acme, ana, "member:update", "role:create", "audit-log:read")
    mia = world.member(acme, ana, admin.id, role=standing)
    bound = world.client(world.token(mia, organization_id=acme.id))
    narrow = world.client(world.token(mia, permissions=["member:update"]))
    with world.unchanged(acme):
        for client in (mia.rpc, bound, narrow):
            for spelling in (mia.id, ids.to_uuid(mia.id)):
                refusal = client.refusal(UPDATE, organization_id=acme.id, user_id=spelling, **fields)
                assert refusal.seen == OWN_ACCESS


def test_nobody_assigns_themselves_a_role_that_they_made(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, "member:update", "role:create", "role:update")
    made = world.role(acme, mia, "role:create")
    with world.unchanged(acme):
        refusal = mia.rpc.refusal(UPDATE, organization_id=acme.id, user_id=mia.id, role=MEMBER, assigned_role_ids=[made.id])
    assert refusal.seen == OWN_ACCESS


def test_members_without_the_permission_change_nobody(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia, bo = world.member(acme, ana, SANDBOXES_ADMIN), world.member(acme, ana)
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        (ADD, "member:create", {"user_id": world.person().id, "role": MEMBER}),
        (UPDATE, "member:update", {"user_id": bo.id, "role": MEMBER}),
        (REMOVE, "member:delete", {"user_id": bo.id}),
    ]
    with world.unchanged(acme):
        for method, permission, fields in attempts:
            refusal = mia.rpc.refusal(method, organization_id=acme.id, **fields)
            assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": permission})


def test_listing_shows_the_members_by_id(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    people = sorted([ana.id, *(world.member(acme, ana, AUDITOR, DEVELOPER).id for _ in range(3))])
    members = ana.rpc(LIST, organization_id=acme.id).members
    assert [member.user_id for member in members] == people
    assert list(members) == [ana.rpc(GET, organization_id=acme.id, user_id=user_id) for user_id in people]
