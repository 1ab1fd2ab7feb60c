"""Organizations: made, read, renamed and placed; and the personal ones, which stay alone."""

import uuid
from typing import Any

import pytest
from grpc import StatusCode
from support.world import OWNER, Person, World, fresh

from tenantry_server.domain import ids
from tenantry_server.domain.organizations import OrganizationState

CREATE = "OrganizationService.CreateOrganization"
GET = "OrganizationService.GetOrganization"
LIST = "OrganizationService.ListOrganizations"
CURRENT = "OrganizationService.GetCurrentOrganization"


def listed(client: Any) -> list[str]:
    return [organization.id for organization in client(LIST).organizations]


def test_creator_becomes_the_owner_of_an_active_organization(world: World) -> None:
    ana = world.person()
    acme = ana.rpc(CREATE, name="Acme", default_region_id="eu")
    assert (acme.name, acme.default_region_id, acme.creator_user_id) == ("Acme", "eu", ana.id)
    assert (acme.personal, acme.state, acme.revision) == (False, 1, 1)
    assert acme.create_time == acme.update_time
    assert not acme.HasField("delete_time")
    assert not acme.HasField("purge_time")
    (member,) = ana.rpc("MemberService.ListMembers", organization_id=acme.id).members
    assert (member.user_id, member.role, list(member.assigned_roles)) == (ana.id, 1, [])
    assert ana.rpc(GET, organization_id=acme.id) == acme


def test_creating_needs_a_verified_address(world: World) -> None:
    eve = world.person(verified=False)
    refusal = eve.rpc.refusal(CREATE, name="Acme")
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "EMAIL_NOT_VERIFIED", {})
    assert listed(eve.rpc) == [eve.personal_organization_id]


@pytest.mark.parametrize("kind", ["user_in_organization", "organization"])
def test_tokens_of_one_organization_cannot_create_others(world: World, kind: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    token = world.token(ana if kind == "user_in_organization" else None, organization_id=acme.id)
    refusal = world.client(token).refusal(CREATE, name="Acme")
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": kind})


def test_unknown_region_is_refused(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    invalid = (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "default_region_id"})
    with world.unchanged(acme):
        made = ana.rpc.refusal(CREATE, name="Acme", default_region_id="mars")
        key = {"organization_id": acme.id}
        moved = ana.rpc.refusal("OrganizationService.SetDefaultRegion", **key, default_region_id="mars")
        emptied = ana.rpc.refusal("OrganizationService.SetDefaultRegion", **key, default_region_id="")
    assert made.seen == moved.seen == emptied.seen == invalid
    assert made.violations == moved.violations == {"default_region_id": "UNKNOWN_REGION"}
    assert emptied.violations == {"default_region_id": "STRING_REGION_ID"}
    assert listed(ana.rpc) == sorted([ana.personal_organization_id, acme.id])


def test_region_can_be_set_again(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    for region in ("us", "eu"):
        after = ana.rpc("OrganizationService.SetDefaultRegion", organization_id=acme.id, default_region_id=region)
        assert after.default_region_id == region
    assert ana.rpc(GET, organization_id=acme.id) == after
    assert after.revision == acme.revision + 2


def test_renaming_changes_the_name_alone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    after = ana.rpc("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Nadir")
    assert (after.name, after.revision, after.slug) == ("Nadir", acme.revision + 1, acme.slug)
    assert after.etag != acme.etag
    assert ana.rpc(GET, organization_id=acme.id) == after


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "x" * 201,
        "<b>Acme</b>",
        "https://evil.example",
        "www.evil.example",
        "javascript:alert(1)",
        "A\0B",
        "A\x1b[31m",
    ],
)
def test_names_are_fit_to_be_shown(world: World, name: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        made = ana.rpc.refusal(CREATE, name=name)
        renamed = ana.rpc.refusal("OrganizationService.UpdateOrganization", organization_id=acme.id, name=name)
    assert made.seen == renamed.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "name"})


def test_ids_are_read_in_any_spelling(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    as_uuid = ids.to_uuid(acme.id)
    for spelling in (acme.id.lower(), as_uuid, as_uuid.upper()):
        assert ana.rpc(GET, organization_id=spelling) == acme


def test_an_organization_of_others_is_like_one_that_does_not_exist(world: World) -> None:
    ana, eve = world.person(), world.person()
    acme = world.organization(ana)
    for unknown in (acme.id, ids.new(), str(uuid.uuid4()), ids.NIL, "", "acme", acme.slug):
        refusal = eve.rpc.refusal(GET, organization_id=unknown)
        expected = (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": unknown})
        assert refusal.seen == expected


def test_listing_shows_the_organizations_of_the_caller_alone(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(bo)
    world.join(acme, ana, bo)
    assert listed(ana.rpc) == sorted([ana.personal_organization_id, acme.id])
    assert listed(bo.rpc) == sorted([bo.personal_organization_id, acme.id, birch.id])
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    assert listed(bo.rpc) == sorted([bo.personal_organization_id, birch.id])


def test_listing_keeps_suspended_and_leaves_out_deleted_organizations(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=birch.id)
    assert listed(ana.rpc) == sorted([ana.personal_organization_id, acme.id])


def test_tokens_of_one_organization_see_that_one_alone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    world.organization(ana)
    for token in (world.token(ana, organization_id=acme.id), world.token(organization_id=acme.id)):
        client = world.client(token)
        assert listed(client) == [acme.id]
        assert client(CURRENT) == client(GET, organization_id=acme.id)


def test_current_organization_of_a_person_is_their_personal_one(world: World) -> None:
    ana = world.person()
    world.organization(ana)
    current = ana.rpc(CURRENT)
    assert (current.id, current.personal) == (ana.personal_organization_id, True)


def test_bound_token_has_no_current_organization_while_it_is_deleted(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bound = world.client(world.token(world.member(acme, ana), organization_id=acme.id))
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    refusal = bound.refusal(CURRENT)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})
    assert listed(bound) == []


def test_bound_token_ends_with_the_membership(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    bound = world.client(world.token(bo, organization_id=acme.id))
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    assert bound.refusal(CURRENT).seen == (StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIAL", {})
    assert bo.rpc(CURRENT).id == bo.personal_organization_id


def _personal(world: World) -> tuple[Person, Any]:
    ana = world.person()
    return ana, ana.rpc(CURRENT)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("OrganizationService.DeleteOrganization", {}),
        ("OrganizationService.LeaveOrganization", {}),
        ("OrganizationService.TransferOwnership", {"user_id": "bo"}),
        ("OrganizationService.TransferOwnership", {"user_id": "ana"}),
        ("MemberService.RemoveMember", {"user_id": "ana"}),
        ("MemberService.AddMember", {"user_id": "bo", "role": "MEMBER_ROLE_MEMBER"}),
        ("MemberService.AddMember", {"user_id": "bo", "role": "MEMBER_ROLE_OWNER"}),
        ("InvitationService.CreateInvitation", {"email": "bo@example.com", "role": "MEMBER_ROLE_MEMBER"}),
    ],
)
def test_personal_organization_stays_alone(world: World, method: str, fields: dict[str, str]) -> None:
    ana, personal = _personal(world)
    users = {"ana": ana.id, "bo": world.person().id}
    fields = {key: users.get(value, value) for key, value in fields.items()}
    with world.unchanged(personal):
        refusal = ana.rpc.refusal(method, organization_id=personal.id, **fields)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "PERSONAL_ORGANIZATION", {"organization_id": personal.id})


def test_program_of_a_personal_organization_cannot_share_it(world: World) -> None:
    ana, personal = _personal(world)
    program, bo = world.client(world.token(organization_id=personal.id)), world.person()
    with world.unchanged(personal):
        added = program.refusal("MemberService.AddMember", organization_id=personal.id, user_id=bo.id, role=OWNER)
        removed = program.refusal("MemberService.RemoveMember", organization_id=personal.id, user_id=ana.id)
    expected = (StatusCode.FAILED_PRECONDITION, "PERSONAL_ORGANIZATION", {"organization_id": personal.id})
    assert added.seen == removed.seen == expected


def test_personal_organization_can_be_renamed_and_have_roles(world: World) -> None:
    ana, personal = _personal(world)
    renamed = ana.rpc("OrganizationService.UpdateOrganization", organization_id=personal.id, name=fresh("Mine"))
    assert renamed.personal
    assert world.role(personal, ana, "sandbox:write").organization_id == personal.id
