"""Suspended and deleted organizations grant nothing; deleted ones come back until their purge time."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.rpc import Client
from support.world import AUDITOR, MILLISECOND, OWNER, Person, World

from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.domain.principal import Level

GET = "OrganizationService.GetOrganization"
USAGE = "QuotaService.GetUsage"
DELETE = "OrganizationService.DeleteOrganization"
UNDELETE = "OrganizationService.UndeleteOrganization"


def scoped_methods(world: World, *but: str) -> list[str]:
    """Every core method that is scoped to an organization, but some."""
    policies = [policy for policy in world.deployment.server.policies.values() if not policy.is_dialect]
    scoped = [policy.core.removeprefix("tenantry.v1.") for policy in policies if policy.requirement.level is Level.SCOPED]
    assert set(but) <= set(scoped)
    return [method for method in scoped if method not in but]


def clients(world: World, organization: Any, owner: Person) -> list[Client]:
    """Everybody who has access to an organization, but members who may not do everything."""
    bound = world.token(owner, organization_id=organization.id)
    return [owner.rpc, world.client(bound), world.client(world.token(organization_id=organization.id))]


def ensure_refused(client: Client, method: str, organization: Any, reason: str) -> None:
    refusal = client.refusal(method, organization_id=organization.id)
    allowed_kinds = (StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": "organization"})
    assert refusal.seen in (
        (StatusCode.PERMISSION_DENIED, reason, {"organization_id": organization.id}),
        allowed_kinds,
    ), method


def test_suspended_organization_grants_nothing_to_anybody(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    callers = clients(world, acme, ana)
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    with world.unchanged(acme):
        for client in callers:
            for method in scoped_methods(world, GET, USAGE):
                ensure_refused(client, method, acme, "ORGANIZATION_SUSPENDED")


def test_suspended_organization_can_be_read_by_its_members(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia, eve = world.member(acme, ana), world.person()
    callers = [*clients(world, acme, ana), mia.rpc]
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    for client in callers:
        assert client(GET, organization_id=acme.id).state == 2
    refusal = eve.rpc.refusal(GET, organization_id=acme.id)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})


def test_organization_that_is_active_again_grants_what_it_did(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member(acme, ana, AUDITOR)
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    mia.rpc.refusal("AuditService.ListAuditEvents", organization_id=acme.id)
    world.set_state(acme.id, OrganizationState.ACTIVE)
    assert mia.rpc("AuditService.ListAuditEvents", organization_id=acme.id).events


def test_deleted_organization_grants_nothing_to_anybody(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    callers = clients(world, acme, ana)
    ana.rpc(DELETE, organization_id=acme.id)
    with world.unchanged(acme):
        for client in callers:
            for method in scoped_methods(world, UNDELETE):
                ensure_refused(client, method, acme, "ORGANIZATION_NOT_ACCESSIBLE")


def test_deleting_says_until_when_it_can_be_undone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    deleted = ana.rpc(DELETE, organization_id=acme.id)
    assert (deleted.state, deleted.revision) == (3, acme.revision + 1)
    assert deleted.delete_time == deleted.update_time
    window = deleted.purge_time.ToDatetime() - deleted.delete_time.ToDatetime()
    assert window == timedelta(days=30)
    assert world.breaches() == []


def test_undeleting_brings_everything_back(world: World) -> None:
    ana, cy = world.person(), world.person()
    acme = world.organization(ana)
    mia, offer = world.member(acme, ana, AUDITOR), world.invite(acme, ana, cy.email)
    member = ana.rpc("MemberService.GetMember", organization_id=acme.id, user_id=mia.id)
    before = ana.rpc(GET, organization_id=acme.id)
    ana.rpc(DELETE, organization_id=acme.id)
    after = ana.rpc(UNDELETE, organization_id=acme.id)
    assert after == mia.rpc(GET, organization_id=acme.id)
    assert (after.state, after.slug, after.revision) == (1, before.slug, before.revision + 2)
    assert not after.HasField("delete_time")
    assert not after.HasField("purge_time")
    assert ana.rpc("MemberService.GetMember", organization_id=acme.id, user_id=mia.id) == member
    assert cy.rpc("InvitationService.AcceptInvitation", invitation_id=offer.id).state == 2
    assert world.breaches() == []


def test_undeleting_works_until_just_before_the_purge_time(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    purge_time = ana.rpc(DELETE, organization_id=acme.id).purge_time.ToDatetime(UTC)
    with world.at(purge_time - MILLISECOND):
        assert ana.rpc(UNDELETE, organization_id=acme.id).state == 1


@pytest.mark.parametrize("late", [timedelta(), MILLISECOND, timedelta(days=400)])
def test_undeleting_ends_at_the_purge_time(world: World, late: timedelta) -> None:
    ana = world.person()
    acme = world.organization(ana)
    purge_time = ana.rpc(DELETE, organization_id=acme.id).purge_time
    with world.at(purge_time.ToDatetime(UTC) + late), world.unchanged(acme):
        refusal = ana.rpc.refusal(UNDELETE, organization_id=acme.id)
    metadata = {"organization_id": acme.id, "purge_time": purge_time.ToJsonString()}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "UNDELETE_WINDOW_PASSED", metadata)


def test_organization_that_is_not_deleted_cannot_be_undeleted(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(UNDELETE, organization_id=acme.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "ORGANIZATION_NOT_DELETED", {"organization_id": acme.id})


def test_suspension_cannot_be_lifted_by_deleting_and_undeleting(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    with world.unchanged(acme):
        for method in (DELETE, UNDELETE):
            refusal = ana.rpc.refusal(method, organization_id=acme.id)
            expected = (StatusCode.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED", {"organization_id": acme.id})
            assert refusal.seen == expected


def test_only_owners_undelete(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, mia, eve = world.member(acme, ana, role=OWNER), world.member(acme, ana), world.person()
    ana.rpc(DELETE, organization_id=acme.id)
    with world.unchanged(acme):
        member = mia.rpc.refusal(UNDELETE, organization_id=acme.id)
        stranger = eve.rpc.refusal(UNDELETE, organization_id=acme.id)
    assert member.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "organization:delete"})
    assert stranger.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})
    assert bo.rpc(UNDELETE, organization_id=acme.id).state == 1


def test_invitation_into_a_suspended_organization_waits(world: World) -> None:
    ana, cy = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, cy.email)
    world.set_state(acme.id, OrganizationState.SUSPENDED)
    with world.unchanged(acme):
        refusal = cy.rpc.refusal("InvitationService.AcceptInvitation", invitation_id=offer.id)
        assert list(cy.rpc("InvitationService.ListMyInvitations").invitations) == []
        assert cy.rpc("InvitationService.CountMyInvitations").count == 0
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED", {"organization_id": acme.id})
    world.set_state(acme.id, OrganizationState.ACTIVE)
    assert cy.rpc("InvitationService.AcceptInvitation", invitation_id=offer.id).state == 2


@pytest.mark.parametrize("answer", ["AcceptInvitation", "DeclineInvitation"])
def test_invitation_into_a_deleted_organization_is_not_there(world: World, answer: str) -> None:
    ana, cy = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, cy.email)
    ana.rpc(DELETE, organization_id=acme.id)
    with world.unchanged(acme):
        refusal = cy.rpc.refusal(f"InvitationService.{answer}", invitation_id=offer.id)
        assert cy.rpc("InvitationService.CountMyInvitations").count == 0
    assert refusal.seen == (StatusCode.NOT_FOUND, "INVITATION_NOT_FOUND", {"invitation_id": offer.id})
