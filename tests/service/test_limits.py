"""Limits that the operator sets: organizations a user may have created, invitations that may be pending, roles of one's own."""

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import google.rpc.error_details_pb2 as details_pb2
import pytest
from grpc import StatusCode
from support.deployment import LIMITS, deploy
from support.engines import Engines
from support.interleave import outcome
from support.rpc import Refused
from support.tokens import ours
from support.world import OWNER, Person, World, fresh

from tenantry_server.domain.regions import FirstRegion
from tenantry_server.services.service import Limits

CREATE = "OrganizationService.CreateOrganization"
DELETE = "OrganizationService.DeleteOrganization"
UNDELETE = "OrganizationService.UndeleteOrganization"
CREATE_ROLE = "RoleService.CreateRole"
INVITE = "InvitationService.CreateInvitation"
TOO_MANY_ORGANIZATIONS = {"limit": "organizations created by a user", "maximum": "3"}
TOO_MANY_ROLES = {"limit": "roles", "maximum": "2"}
TOO_MANY_INVITATIONS = {"limit": "pending invitations", "maximum": "2"}
TOO_MANY_TO_ADDRESS = {"limit": "pending invitations to an address", "maximum": "3"}


@pytest.fixture
def small(deploy_own: Callable[..., World]) -> World:
    """A server with low limits."""
    return deploy_own(limits=Limits(organizations_per_user=3, pending_invitations=2, roles=2))


def ensure_exceeded(refusal: Refused, metadata: dict[str, str]) -> None:
    assert refusal.seen == (StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", metadata)
    (failure,) = [detail for detail in refusal.details if isinstance(detail, details_pb2.QuotaFailure)]
    assert [violation.subject for violation in failure.violations] == [metadata["limit"]]


def full(world: World) -> tuple[Person, list[Any]]:
    """Somebody who has created all that they may: the personal organization counts."""
    ana = world.person()
    return ana, [world.organization(ana) for _ in range(2)]


def invitation_full(world: World) -> tuple[Person, Any, list[Any]]:
    """An organization with all the invitations that it may have."""
    ana = world.person()
    acme = world.organization(ana)
    return ana, acme, [world.invite(acme, ana, f"guest{number}@example.com") for number in range(2)]


def test_user_creates_so_many_organizations_and_no_more(small: World) -> None:
    ana, _ = full(small)
    ensure_exceeded(ana.rpc.refusal(CREATE, name="Acme"), TOO_MANY_ORGANIZATIONS)
    ensure_exceeded(ana.rpc.refusal(CREATE, name="Acme", validate_only=True), TOO_MANY_ORGANIZATIONS)
    assert len(ana.rpc("OrganizationService.ListOrganizations").organizations) == 3
    assert small.breaches() == []


def test_organizations_of_others_do_not_count(small: World) -> None:
    ana, made = full(small)
    bo = small.person()
    for organization in made:
        small.join(organization, ana, bo, role=OWNER)
    full_after = [small.organization(bo) for _ in range(2)]
    assert len(full_after) == 2


def test_organizations_that_were_handed_on_still_count(small: World) -> None:
    ana, made = full(small)
    bo = small.member(made[0], ana)
    ana.rpc("OrganizationService.TransferOwnership", organization_id=made[0].id, user_id=bo.id)
    ana.rpc("OrganizationService.LeaveOrganization", organization_id=made[0].id)
    ensure_exceeded(ana.rpc.refusal(CREATE, name="Acme"), TOO_MANY_ORGANIZATIONS)


def test_deleting_makes_room_and_undeleting_needs_it(small: World) -> None:
    ana, made = full(small)
    ana.rpc(DELETE, organization_id=made[0].id)
    third = small.organization(ana)
    with small.unchanged(made[0]):
        ensure_exceeded(ana.rpc.refusal(UNDELETE, organization_id=made[0].id), TOO_MANY_ORGANIZATIONS)
    ana.rpc(DELETE, organization_id=third.id)
    assert ana.rpc(UNDELETE, organization_id=made[0].id).state == 1


def test_undeleting_by_another_owner_counts_for_the_creator(small: World) -> None:
    ana, made = full(small)
    bo = small.member(made[0], ana, role=OWNER)
    ana.rpc(DELETE, organization_id=made[0].id)
    small.organization(ana)
    ensure_exceeded(bo.rpc.refusal(UNDELETE, organization_id=made[0].id), TOO_MANY_ORGANIZATIONS)


def test_organization_has_so_many_pending_invitations_and_no_more(small: World) -> None:
    ana, acme, _ = invitation_full(small)
    with small.unchanged(acme):
        refusal = ana.rpc.refusal(INVITE, organization_id=acme.id, email="more@example.com", role=OWNER)
    ensure_exceeded(refusal, TOO_MANY_INVITATIONS)


def test_invitations_of_another_organization_do_not_count(small: World) -> None:
    ana, _, _ = invitation_full(small)
    assert small.invite(small.organization(ana), ana, "guest0@example.com").state == 1


@pytest.mark.parametrize("end", ["Cancel", "Accept", "Decline"])
def test_ended_invitation_makes_room(small: World, end: str) -> None:
    ana, acme, offers = invitation_full(small)
    guest = small.person(email=offers[0].email)
    if end == "Cancel":
        ana.rpc("InvitationService.CancelInvitation", organization_id=acme.id, invitation_id=offers[0].id)
    else:
        guest.rpc(f"InvitationService.{end}Invitation", invitation_id=offers[0].id)
    assert small.invite(acme, ana, "more@example.com").state == 1


def test_expired_invitations_make_room_and_cannot_be_revived_beyond_the_limit(small: World) -> None:
    ana, acme, offers = invitation_full(small)
    resend = "InvitationService.ResendInvitation"
    with small.at(offers[1].expire_time.ToDatetime(UTC)):
        for number in range(2, 4):
            small.invite(acme, ana, f"guest{number}@example.com")
        with small.unchanged(acme):
            refusal = ana.rpc.refusal(resend, organization_id=acme.id, invitation_id=offers[0].id)
    ensure_exceeded(refusal, TOO_MANY_INVITATIONS)


def test_full_organization_can_still_send_its_pending_invitations_again(small: World) -> None:
    ana, acme, offers = invitation_full(small)
    resend = "InvitationService.ResendInvitation"
    assert ana.rpc(resend, organization_id=acme.id, invitation_id=offers[0].id).state == 1


@pytest.fixture
def flooded(deploy_own: Callable[..., World]) -> tuple[World, str, list[tuple[Person, Any, Any]]]:
    """An address that organizations have invited as often as all of them together may."""
    world, address = deploy_own(limits=Limits(pending_invitations_per_address=3)), "Guest@example.com"
    made = []
    for _ in range(3):
        owner = world.person()
        organization = world.organization(owner)
        made.append((owner, organization, world.invite(organization, owner, address)))
    return world, address, made


def test_an_address_has_so_many_pending_invitations_and_no_more(flooded: tuple[World, str, list[Any]]) -> None:
    world, address, made = flooded
    ana = world.person()
    acme = world.organization(ana)
    given = {"organization_id": acme.id, "email": address.upper(), "role": OWNER}
    with world.unchanged(acme):
        ensure_exceeded(ana.rpc.refusal(INVITE, **given), TOO_MANY_TO_ADDRESS)
        ensure_exceeded(ana.rpc.refusal(INVITE, **given, validate_only=True), TOO_MANY_TO_ADDRESS)
    assert world.invite(acme, ana, "other@example.com").state == 1
    guest = world.person(email=address)
    guest.rpc("InvitationService.DeclineInvitation", invitation_id=made[0][2].id)
    assert ana.rpc(INVITE, **given).state == 1


@pytest.mark.parametrize("end", ["expired", "deleted", "suspended"])
def test_what_the_invitee_is_not_told_of_leaves_room(flooded: tuple[World, str, list[Any]], end: str) -> None:
    world, address, made = flooded
    ana = world.person()
    acme = world.organization(ana)
    owner, organization, offer = made[0]
    if end == "deleted":
        owner.rpc(DELETE, organization_id=organization.id)
    if end == "suspended":
        world.platform()("OrganizationService.SuspendOrganization", organization_id=organization.id)
    with world.at(offer.expire_time.ToDatetime(UTC)) if end == "expired" else nullcontext():
        assert world.invite(acme, ana, address).state == 1


def test_an_invitation_that_ran_out_is_not_sent_again_beyond_what_the_address_may_have(
    flooded: tuple[World, str, list[Any]],
) -> None:
    world, address, made = flooded
    owner, organization, offer = made[0]
    with world.at(made[-1][2].expire_time.ToDatetime(UTC)):
        for _ in range(3):
            another = world.person()
            world.invite(world.organization(another), another, address)
        refusal = owner.rpc.refusal(
            "InvitationService.ResendInvitation", organization_id=organization.id, invitation_id=offer.id
        )
    ensure_exceeded(refusal, TOO_MANY_TO_ADDRESS)


def test_organization_has_so_many_roles_of_its_own_and_no_more(small: World) -> None:
    ana = small.person()
    acme = small.organization(ana)
    made = [small.role(acme, ana, "sandbox:read") for _ in range(2)]
    given = {"organization_id": acme.id, "name": "Third", "permissions": ["sandbox:read"]}
    with small.unchanged(acme):
        ensure_exceeded(ana.rpc.refusal(CREATE_ROLE, **given), TOO_MANY_ROLES)
        ensure_exceeded(ana.rpc.refusal(CREATE_ROLE, **given, validate_only=True), TOO_MANY_ROLES)
    ana.rpc("RoleService.UpdateRole", organization_id=acme.id, role_id=made[0].id, name="First")
    assert small.role(small.organization(ana), ana, "sandbox:read").organization_id != acme.id
    ana.rpc("RoleService.DeleteRole", organization_id=acme.id, role_id=made[0].id)
    assert ana.rpc(CREATE_ROLE, **given).name == "Third"


_MORE: dict[str, Callable[[World, Person, Any], Any]] = {
    "organizations created by a user": lambda world, ana, acme: world.organization(ana),
    "pending invitations": lambda world, ana, acme: world.invite(acme, ana, f"{fresh('guest')}@example.com"),
    "API tokens of an owner in an organization": lambda world, ana, acme: ours(world, ana.rpc, acme),
    "roles": lambda world, ana, acme: world.role(acme, ana, "sandbox:read"),
}


@pytest.mark.parametrize("limit", _MORE)
def test_a_limit_below_what_there_is_takes_nothing_and_lets_nothing_be_added(engine: str, engines: Engines, limit: str) -> None:
    url, more = engines.new(engine), _MORE[limit]
    with closing(deploy(engine, url)) as before:
        world = World(before)
        ana = world.person()
        acme = world.organization(ana)
        role, *_ = [more(world, ana, acme) for _ in range(3)]
    lowered = replace(LIMITS, organizations_per_user=1, pending_invitations=1, api_tokens=1, roles=1)
    with closing(deploy(engine, url, limits=lowered)) as after:
        world = World(after)
        ana.rpc = world.client(ana.token)
        with world.unchanged(acme):
            ensure_exceeded(outcome(lambda: more(world, ana, acme)), {"limit": limit, "maximum": "1"})
        assert world.breaches() == []
        if limit == "roles":
            ana.rpc("RoleService.DeleteRole", organization_id=acme.id, role_id=role.id)
            ensure_exceeded(outcome(lambda: more(world, ana, acme)), {"limit": limit, "maximum": "1"})


def test_lifetimes_and_regions_are_the_operators(deploy_own: Callable[..., World]) -> None:
    limits = Limits(invitation_lifetime=timedelta(hours=1), undelete_window=timedelta(minutes=1))
    world = deploy_own(limits=limits, regions=[FirstRegion(id="mars", name="Mars")])
    ana = world.person()
    acme = ana.rpc(CREATE, name="Acme", default_region_id="mars")
    offer = world.invite(acme, ana, "guest@example.com")
    assert offer.expire_time.ToDatetime() - offer.create_time.ToDatetime() == timedelta(hours=1)
    deleted = ana.rpc(DELETE, organization_id=acme.id)
    assert deleted.purge_time.ToDatetime() - deleted.delete_time.ToDatetime() == timedelta(minutes=1)
    with world.at(deleted.purge_time.ToDatetime(UTC)):
        assert ana.rpc.refusal(UNDELETE, organization_id=acme.id).reason == "UNDELETE_WINDOW_PASSED"


def test_batch_fills_what_is_left(small: World) -> None:
    ana = small.person()
    acme = small.organization(ana)
    items = [{"email": f"guest{number}@example.com", "role": OWNER} for number in range(3)]
    answer = ana.rpc("InvitationService.BatchCreateInvitations", organization_id=acme.id, items=items)
    assert [result.WhichOneof("result") for result in answer.results] == ["invitation", "invitation", "error"]
    assert answer.results[2].error.code == StatusCode.RESOURCE_EXHAUSTED.value[0]
