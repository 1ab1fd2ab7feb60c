"""Erasure takes from nobody else: an address can have been another's before, be another's by now, or never have been theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from support.canaries import UPDATE
from support.operators import everything
from support.rpc import Client
from support.world import Person, World, fresh

from tenantry_server.services.addresses import Addresses

GONE = "{}@erased.invalid"


@dataclass
class Stage:
    """An address that Ana and Bo have to do with, and traces of it in organizations of a host."""

    world: World
    client: Client
    host: Person
    address: str

    def user(self, name: str, *, verified: bool = True, email: str = "") -> Person:
        return self.world.person(name, email=email or self.address, verified=verified)

    def moves(self, who: Person, *, verified: bool = True, email: str = "") -> None:
        """They have another address now."""
        email = email or f"{fresh('other')}@example.com"
        self.client(UPDATE, user_id=who.id, email=email, email_verified=verified)

    def invited(self) -> Any:
        """An organization to which the address is invited now, with the answer kept."""
        organization = self.world.organization(self.host)
        self.world.invite(organization, self.host, self.address, request_id=fresh("r"))
        return organization

    def inviting(self, who: Person) -> Any:
        """An organization of theirs, to which they invite somebody."""
        organization = self.world.organization(who)
        self.world.invite(organization, who, f"{fresh('guest')}@example.com", request_id=fresh("r"))
        return organization

    def erase(self, who: Person, *heirs: Any) -> None:
        """Deletes them, with the host as the successor, and erases them."""
        successors = [{"organization_id": organization.id, "user_id": self.host.id} for organization in heirs]
        self.client("UserService.DeleteUser", user_id=who.id, successors=successors)
        self.client("UserService.EraseUser", user_id=who.id)

    def kept(self, *organizations: Any, user: Person | None = None) -> list[tuple[Any, ...]]:
        """Every row of organizations, and of a user."""
        known = {organization.id for organization in organizations} | (
            {user.id, user.personal_organization_id} if user else set()
        )
        rows = [row for rows in everything(self.world).values() for row in rows]
        return [row for row in rows if any(id_ in str(column) for id_ in known for column in row)]

    def emails(self, organization: Any) -> list[tuple[str, str, int]]:
        """Whom an organization invited, who did, and what became of it."""
        found = self.host.rpc("InvitationService.ListInvitations", organization_id=organization.id).invitations
        return [(one.email, one.inviter_email, one.state) for one in found]


@pytest.fixture
def stage(deploy_own: Callable[..., World]) -> Stage:
    """A stage on a server of its own."""
    world = deploy_own()
    return Stage(world, world.platform(), world.person("host"), f"{fresh('shared')}@example.com")


def test_an_address_that_is_somebody_elses_by_now_is_theirs(stage: Stage) -> None:
    ana = stage.user("ana")
    hers, made = stage.invited(), stage.inviting(ana)
    stage.client("UserService.DeleteUser", user_id=ana.id, successors=[{"organization_id": made.id, "user_id": stage.host.id}])
    for_him = stage.invited()  # before he came
    bo = stage.user("bo")
    his = [for_him, stage.invited(), stage.inviting(bo)]
    before = stage.kept(*his, user=bo)
    stage.client("UserService.EraseUser", user_id=ana.id)
    assert stage.kept(*his, user=bo) == before
    gone = GONE.format(ana.id.lower())
    assert stage.emails(hers) == [(gone, stage.host.email, 4)]
    assert [inviter for _, inviter, _ in stage.emails(made)] == [gone]
    assert bo.rpc("InvitationService.CountMyInvitations").count == 2
    assert stage.world.breaches() == []


def test_control_without_regard_to_whose_it_was_others_would_lose(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = stage.user("ana")
    stage.client("UserService.DeleteUser", user_id=ana.id)
    bo = stage.user("bo")
    his = [stage.invited(), stage.inviting(bo)]
    before = stage.kept(*his, user=bo)
    monkeypatch.setattr(Addresses, "is_own", lambda *arguments: True)
    stage.client("UserService.EraseUser", user_id=ana.id)
    assert stage.kept(*his, user=bo) != before
    assert bo.rpc("InvitationService.CountMyInvitations").count == 0


def test_an_address_that_the_user_gave_up_is_whose_it_was_then(stage: Stage) -> None:
    ana = stage.user("ana")
    hers, made = stage.invited(), stage.inviting(ana)
    stage.moves(ana)
    bo = stage.user("bo")
    his = [stage.invited(), stage.inviting(bo)]
    before = stage.kept(*his, user=bo)
    stage.erase(ana, made)
    assert stage.kept(*his, user=bo) == before
    assert stage.emails(hers) == [(GONE.format(ana.id.lower()), stage.host.email, 4)]
    assert [inviter for _, inviter, _ in stage.emails(made)] == [GONE.format(ana.id.lower())]
    assert stage.world.breaches() == []


def test_an_address_that_was_somebody_elses_before_is_whose_it_was_then(stage: Stage) -> None:
    bo = stage.user("bo")
    his = [stage.invited(), stage.inviting(bo)]
    stage.moves(bo)
    ana = stage.user("ana")
    hers, made = stage.invited(), stage.inviting(ana)
    before = stage.kept(*his, user=bo)
    stage.erase(ana, made)
    assert stage.kept(*his, user=bo) == before
    assert stage.emails(hers) == [(GONE.format(ana.id.lower()), stage.host.email, 4)]
    assert [inviter for _, inviter, _ in stage.emails(made)] == [GONE.format(ana.id.lower())]
    assert stage.world.breaches() == []


def test_who_merely_claimed_an_address_takes_nothing_from_who_has_verified_it(stage: Stage) -> None:
    bo = stage.user("bo")
    ana = stage.user("ana", verified=False)
    his = [stage.invited(), stage.inviting(bo)]
    before = stage.kept(*his, user=bo)
    stage.erase(ana)
    assert stage.kept(*his, user=bo) == before
    assert bo.rpc("InvitationService.CountMyInvitations").count == 1
    assert stage.world.breaches() == []


def test_who_has_verified_an_address_loses_nothing_to_who_merely_claims_it(stage: Stage) -> None:
    ana = stage.user("ana")
    stage.user("claimant", verified=False)
    hers = stage.invited()
    stage.erase(ana)
    assert stage.emails(hers) == [(GONE.format(ana.id.lower()), stage.host.email, 4)]


def test_what_others_were_called_is_theirs(stage: Stage) -> None:
    """Their own trail tells that they had the address once."""
    bo = stage.user("bo")
    stage.moves(bo)
    ana = stage.user("ana")
    stage.moves(ana)
    stage.moves(bo, email=stage.address)
    before = stage.kept(user=bo)
    stage.erase(ana)
    assert stage.kept(user=bo) == before


def test_an_organization_that_has_nothing_to_do_with_the_user_hears_nothing_of_it(stage: Stage) -> None:
    ana, bo = stage.user("ana"), stage.world.person("bo")
    elsewhere = stage.inviting(bo)
    with stage.world.unchanged(elsewhere):
        stage.erase(ana)
