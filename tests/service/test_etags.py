"""Etags: a change is refused when the object is not the one that was read."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from grpc import StatusCode
from support.rpc import Client
from support.world import DEVELOPER, MEMBER, OWNER, Person, World

GET_ORGANIZATION, GET_ROLE = "OrganizationService.GetOrganization", "RoleService.GetRole"
GET_MEMBER, GET_INVITATION = "MemberService.GetMember", "InvitationService.GetInvitation"
RENAME, ACCESS = "OrganizationService.UpdateOrganization", "MemberService.UpdateMemberAccess"
UPDATE_ROLE, UPDATE_INVITATION = "RoleService.UpdateRole", "InvitationService.UpdateInvitation"


Read = Callable[[Person, dict[str, str]], Any]


class Case(NamedTuple):
    """A change that takes an etag, and how to read the object that it is of."""

    method: str
    fields: dict[str, Any]
    read: Read


def organization(person: Person, key: dict[str, str]) -> Any:
    return person.rpc(GET_ORGANIZATION, organization_id=key["organization_id"])


def role(person: Person, key: dict[str, str]) -> Any:
    return person.rpc(GET_ROLE, organization_id=key["organization_id"], role_id=key["role_id"])


def member(person: Person, key: dict[str, str]) -> Any:
    return person.rpc(GET_MEMBER, organization_id=key["organization_id"], user_id=key["user_id"])


def invitation(person: Person, key: dict[str, str]) -> Any:
    return person.rpc(GET_INVITATION, organization_id=key["organization_id"], invitation_id=key["invitation_id"])


CASES = [
    Case(RENAME, {"name": "New"}, organization),
    Case("OrganizationService.SetDefaultRegion", {"default_region_id": "eu"}, organization),
    Case("OrganizationService.UpdateOrganizationSettings", {"limited_network_egress": True}, organization),
    Case("OrganizationService.DeleteOrganization", {}, organization),
    Case(UPDATE_ROLE, {"name": "New"}, role),
    Case("RoleService.DeleteRole", {"unassign": True}, role),
    Case(ACCESS, {"role": MEMBER}, member),
    Case("MemberService.RemoveMember", {}, member),
    Case(UPDATE_INVITATION, {"assigned_role_ids": [DEVELOPER]}, invitation),
    Case("InvitationService.CancelInvitation", {}, invitation),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.method)


def scene(world: World, case: Case) -> tuple[Person, Any, dict[str, str], Callable[..., Any]]:
    """An owner, an organization with one of everything, what the case names, and the case's change."""
    ana = world.person()
    acme = world.organization(ana)
    custom = world.role(acme, ana, "sandbox:read")
    mia, offer = world.member(acme, ana, custom.id), world.invite(acme, ana, "guest@example.com", custom.id)
    names = {"role": {"role_id": custom.id}, "member": {"user_id": mia.id}, "invitation": {"invitation_id": offer.id}}
    key = {"organization_id": acme.id, **names.get(case.read.__name__, {})}
    return ana, acme, key, lambda client, etag: client(case.method, **key, **case.fields, etag=etag)


def ensure_mismatch(client: Client, change: Callable[..., Any], etag: str) -> None:
    refusal = change(client.refusal, etag)
    assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": etag})


@every_case
def test_present_etag_lets_a_change_pass(world: World, case: Case) -> None:
    ana, _, key, change = scene(world, case)
    assert change(ana.rpc, case.read(ana, key).etag)


@every_case
def test_no_etag_lets_a_change_pass(world: World, case: Case) -> None:
    ana, _, _, change = scene(world, case)
    assert change(ana.rpc, "")


@every_case
def test_any_other_etag_is_refused(world: World, case: Case) -> None:
    ana, acme, key, change = scene(world, case)
    present = case.read(ana, key)
    others = {f"r{revision}" for revision in range(world.revision(acme.id) + 2)} - {present.etag}
    with world.unchanged(acme):
        for etag in ("*", "0", present.etag.upper(), f'"{present.etag}"', f"W/{present.etag}", *others):
            ensure_mismatch(ana.rpc, change, etag)
    assert change(ana.rpc, present.etag)


@every_case
def test_stale_etag_is_refused(world: World, case: Case) -> None:
    ana, acme, key, change = scene(world, case)
    stale = case.read(ana, key).etag
    other_change: dict[Read, tuple[str, dict[str, str]]] = {
        organization: (RENAME, {"name": "Other"}),
        role: (UPDATE_ROLE, {"name": "Other"}),
        member: (ACCESS, {"role": OWNER}),
        invitation: (UPDATE_INVITATION, {"role": OWNER}),
    }
    method, fields = other_change[case.read]
    ana.rpc(method, **key, **fields)
    with world.unchanged(acme):
        ensure_mismatch(ana.rpc, change, stale)


def test_etag_is_checked_when_trying_out_and_before_repeating(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    rename = {"organization_id": acme.id, "name": "New"}
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(RENAME, **rename, etag="r0", validate_only=True)
        assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": "r0"})
    first = ana.rpc(RENAME, **rename, etag=acme.etag, request_id="once")
    with world.unchanged(acme):
        assert ana.rpc(RENAME, **rename, etag=acme.etag, request_id="once") == first


def test_organizations_etag_changes_with_everything_in_it(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    seen = [acme.etag]
    for change in (
        lambda: world.role(acme, ana, "sandbox:read"),
        lambda: world.member(acme, ana),
        lambda: world.invite(acme, ana, "guest@example.com"),
    ):
        change()
        seen.append(ana.rpc(GET_ORGANIZATION, organization_id=acme.id).etag)
    assert len(set(seen)) == len(seen)


def test_other_objects_keep_their_etags(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    custom, mia = world.role(acme, ana, "sandbox:read"), world.member(acme, ana)
    offer = world.invite(acme, ana, "guest@example.com")
    key = {"organization_id": acme.id, "role_id": custom.id, "user_id": mia.id, "invitation_id": offer.id}
    before = [read(ana, key) for read in (role, member, invitation)]
    world.member_with(acme, ana, "sandbox:read")
    world.invite(acme, ana, "other@example.com")
    ana.rpc(RENAME, organization_id=acme.id, name="New")
    renamed = [read(ana, key) for read in (role, member, invitation)]
    assert [thing.etag for thing in renamed] == [thing.etag for thing in before]


def test_malformed_etag_is_refused(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        for etag in ("with blank", "é", "x" * 101):
            refusal = ana.rpc.refusal(RENAME, organization_id=acme.id, name="New", etag=etag)
            assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "etag"})
