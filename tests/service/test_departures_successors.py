"""Successors: who alone owns organizations is not deleted before each of them has somebody else to own it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from grpc import StatusCode
from support.operators import Seen, delete_user, everything, named, owners, successor_missing
from support.world import AUDITOR, DEVELOPER, OWNER, Person, World

from tenantry_server.domain import ids
from tenantry_server.domain.organizations import OrganizationState

DELETE, GET_MEMBER = "UserService.DeleteUser", "MemberService.GetMember"
DELETED = 2
WRONG_SUCCESSORS: Seen = (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "successors"})


def test_a_sole_owner_is_refused_with_every_organization_that_needs_a_successor(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    alone, with_members, suspended, deleted, shared = (world.organization(ana, name) for name in "abcde")
    plain = world.organization(bo, "f")
    world.join(with_members, ana, bo)
    world.join(shared, ana, bo, role=OWNER)
    world.join(plain, bo, ana, AUDITOR)
    world.set_state(suspended.id, OrganizationState.SUSPENDED)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=deleted.id)
    before = everything(world)
    for heirs, left in (((), [alone, with_members, suspended]), (((alone, bo),), [with_members, suspended])):
        refusal = client.refusal(DELETE, user_id=ana.id, successors=named(*heirs))
        assert refusal.seen == successor_missing(*left)
    assert everything(world) == before
    deleted_ana = delete_user(client, ana, (alone, bo), (with_members, bo), (suspended, bo))
    assert deleted_ana.state == DELETED
    assert owners(alone, bo) == owners(with_members, bo) == {bo.id}
    assert world.breaches() == []


def test_a_refusal_names_as_many_organizations_as_an_answer_can_hold(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    client, ana = world.platform(), world.person("ana")
    organizations = sorted(world.organization(ana).id for _ in range(130))
    refusal = client.refusal(DELETE, user_id=ana.id)
    metadata = {"organization_ids": ",".join(organizations[:100])}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "SUCCESSOR_MISSING", metadata)
    heir = world.person("heir")
    heirs = [{"organization_id": id_, "user_id": heir.id} for id_ in organizations[:100]]
    refusal = client.refusal(DELETE, user_id=ana.id, successors=heirs)
    assert refusal.metadata == {"organization_ids": ",".join(organizations[100:])}
    heirs += [{"organization_id": id_, "user_id": heir.id} for id_ in organizations[100:]]
    assert client(DELETE, user_id=ana.id, successors=heirs).state == DELETED
    assert world.breaches() == []


@pytest.mark.parametrize("who", ["oneself", "nobody", "deleted", "erased"])
def test_a_successor_is_another_active_user(deploy_own: Callable[..., World], who: str) -> None:
    world = deploy_own()
    client, ana, gone, erased = world.platform(), world.person("ana"), world.person("gone"), world.person("erased")
    acme = world.organization(ana)
    for user in (gone, erased):
        world.join(acme, ana, user)
        delete_user(client, user)
    client("UserService.EraseUser", user_id=erased.id)
    heir = {"oneself": ana.id, "nobody": ids.new(), "deleted": gone.id, "erased": erased.id}[who]
    before = everything(world)
    refusal = client.refusal(DELETE, user_id=ana.id, successors=[{"organization_id": acme.id, "user_id": heir}])
    assert refusal.seen == WRONG_SUCCESSORS
    assert refusal.violations == {"successors": "SUCCESSORS"}
    assert everything(world) == before


def _not_alone(world: World, ana: Person, bo: Person) -> dict[str, str]:
    shared, plain, foreign, deleted = (
        world.organization(owner, name) for owner, name in zip((ana, bo, bo, ana), "abcd", strict=True)
    )
    world.join(shared, ana, bo, role=OWNER)
    world.join(plain, bo, ana)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=deleted.id)
    return {
        "shared": shared.id,
        "plain member": plain.id,
        "foreign": foreign.id,
        "deleted": deleted.id,
        "personal": ana.personal_organization_id,
        "unknown": ids.new(),
    }


@pytest.mark.parametrize("which", ["shared", "plain member", "foreign", "deleted", "personal", "unknown"])
def test_a_successor_is_for_an_organization_that_the_user_alone_owns(deploy_own: Callable[..., World], which: str) -> None:
    world = deploy_own()
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    alone = world.organization(ana)
    other = _not_alone(world, ana, bo)[which]
    before = everything(world)
    heirs = [{"organization_id": id_, "user_id": bo.id} for id_ in (alone.id, other)]
    refusal = client.refusal(DELETE, user_id=ana.id, successors=heirs)
    assert refusal.seen == WRONG_SUCCESSORS
    assert everything(world) == before


def test_an_organization_has_one_successor_however_it_is_spelled(world: World) -> None:
    client, ana, bo, cy = world.platform(), world.person("ana"), world.person("bo"), world.person("cy")
    acme = world.organization(ana)
    spellings = (acme.id, acme.id.lower(), ids.to_uuid(acme.id))
    for spelling in spellings:
        two = [{"organization_id": acme.id, "user_id": bo.id}, {"organization_id": spelling, "user_id": cy.id}]
        assert client.refusal(DELETE, user_id=ana.id, successors=two).seen == WRONG_SUCCESSORS
    same = [{"organization_id": spelling, "user_id": ids.to_uuid(bo.id)} for spelling in spellings]
    assert client(DELETE, user_id=ids.to_uuid(ana.id), successors=same).state == DELETED
    assert owners(acme, bo) == {bo.id}


def test_a_member_who_succeeds_keeps_their_roles_and_somebody_new_their_own_organizations(world: World) -> None:
    client, ana, bo, cy = world.platform(), world.person("ana"), world.person("bo"), world.person("cy")
    acme, apex = world.organization(ana), world.organization(ana)
    world.join(acme, ana, bo, DEVELOPER)
    before = [world.revision(organization.id) for organization in (acme, apex)]
    delete_user(client, ana, (acme, bo), (apex, cy))
    heir = bo.rpc(GET_MEMBER, organization_id=acme.id, user_id=bo.id)
    assert (heir.role, [role.id for role in heir.assigned_roles]) == (1, [DEVELOPER])
    newcomer = cy.rpc(GET_MEMBER, organization_id=apex.id, user_id=cy.id)
    assert (newcomer.role, list(newcomer.assigned_roles)) == (1, [])
    assert [heir.revision, newcomer.revision] == [revision + 1 for revision in before]
    assert cy.rpc("OrganizationService.UpdateOrganization", organization_id=apex.id, name="Mine").name == "Mine"
    assert world.breaches() == []


def test_somebody_new_who_succeeds_keeps_no_pending_invitation(world: World) -> None:
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    acme = world.organization(ana)
    invitation = world.invite(acme, ana, bo.email)
    delete_user(client, ana, (acme, bo))
    kept = bo.rpc("InvitationService.GetInvitation", organization_id=acme.id, invitation_id=invitation.id)
    assert kept.state == 4  # cancelled
    told = {change.field: change.after.string_value for change in world.events(acme, bo)[0].changes}
    assert told["cancelled_invitation_id"] == invitation.id
