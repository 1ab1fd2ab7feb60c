"""Exports: all that is kept about a user, no secret, and nothing about anybody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.operators import as_person, delete_user, read_user
from support.rpc import Client
from support.sign_in import Office
from support.world import AUDITOR, DEVELOPER, OWNER, Person, World, fresh

EXPORT = "UserService.ExportUser"

pytest_plugins = ("support.sign_in",)


def export(client: Client, user: Person | Any) -> Any:
    return client(EXPORT, user_id=user.id)


def test_an_export_has_everything_and_no_secret(office: Office) -> None:
    client, bo = office.platform(), office.person("bo")
    ana = office.stranger().person()
    acme, apex, closed = (office.organization(bo, name) for name in ("Acme", "Apex", "Closed"))
    role = office.role(acme, bo, "sandbox:write")
    for organization, roles, standing in ((acme, [AUDITOR, role.id], "MEMBER"), (closed, [], "OWNER")):
        office.join(organization, bo, ana, *roles, role=f"MEMBER_ROLE_{standing}")
    offers = [office.invite(apex, bo, ana.email, DEVELOPER)]
    bo.rpc("OrganizationService.DeleteOrganization", organization_id=closed.id)
    made = [
        ana.rpc("ApiTokenService.CreateMyApiToken", name="one", permissions=["sandbox:read"]),
        ana.rpc("ApiTokenService.CreateMyApiToken", name="two", organization_id=acme.id, permissions=["sandbox:read"]),
    ]
    found = export(client, ana)
    assert found.user == read_user(client, ana)
    assert [one.subject for one in found.user.identities]
    expected = sorted([ana.personal_organization_id, acme.id, closed.id])
    assert [member.organization_id for member in found.memberships] == expected
    (here,) = [member for member in found.memberships if member.organization_id == acme.id]
    assert here == bo.rpc("MemberService.GetMember", organization_id=acme.id, user_id=ana.id)
    assert [one.id for one in here.assigned_roles] == sorted([AUDITOR, role.id])
    assert list(found.invitations) == offers
    assert [token.name for token in found.api_tokens] == ["one", "two"]
    assert [token.id for token in found.api_tokens] == [one.api_token.id for one in made]
    text = found.SerializeToString()
    assert not any(one.secret.encode() in text for one in made)


def test_an_export_has_every_invitation_whatever_became_of_it(world: World) -> None:
    client, bo, email = world.platform(), world.person("bo"), f"{fresh('ana')}@example.com"
    before = world.invite(world.organization(bo), bo, email)  # before there was a user
    ana = world.person(email=email)
    offers = [before, *(world.invite(world.organization(bo), bo, ana.email) for _ in range(3))]
    ana.rpc("InvitationService.AcceptInvitation", invitation_id=offers[0].id)
    ana.rpc("InvitationService.DeclineInvitation", invitation_id=offers[1].id)
    bo.rpc("InvitationService.CancelInvitation", organization_id=offers[2].organization_id, invitation_id=offers[2].id)
    assert [(one.id, one.state) for one in export(client, ana).invitations] == [
        (offer.id, state) for offer, state in zip(offers, (2, 3, 4, 1), strict=True)
    ]
    delete_user(client, ana)
    found = export(client, ana)
    assert [one.id for one in found.invitations] == [offer.id for offer in offers]
    assert (found.user.email, list(found.api_tokens)) == (ana.email, [])
    client("UserService.EraseUser", user_id=ana.id)
    assert list(export(client, ana).invitations) == []


def test_who_merely_claims_an_address_is_not_handed_what_is_for_its_holder(world: World) -> None:
    client, bo, holder = world.platform(), world.person("bo"), world.person("holder")
    world.invite(world.organization(bo), bo, holder.email)
    claimant = world.person(email=holder.email, verified=False)
    assert list(export(client, claimant).invitations) == []
    assert len(export(client, holder).invitations) == 1


def test_who_has_an_address_after_somebody_is_not_handed_what_was_for_them(world: World) -> None:
    client, bo, first = world.platform(), world.person("bo"), world.person("first")
    old = world.invite(world.organization(bo), bo, first.email)
    delete_user(client, first)
    second = world.person(email=first.email)
    new = world.invite(world.organization(bo), bo, second.email)
    assert [one.id for one in export(client, second).invitations] == [new.id]
    assert [one.id for one in export(client, first).invitations] == [old.id]


def test_an_export_of_nobody_else(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    client, ana, bo = world.platform(), world.person("ana"), world.person("bo")
    acme = world.organization(bo)
    world.join(acme, bo, ana, role=OWNER)
    world.invite(acme, ana, f"{fresh('guest')}@example.com")
    found = export(client, ana)
    text = str(found)
    assert bo.email not in text
    assert bo.id not in text
    assert list(found.invitations) == []
    made = client("UserService.CreateUser", email=f"{fresh('cy')}@example.com", name="Cy")
    assert export(client, as_person(world, made)).user.name == "Cy"
