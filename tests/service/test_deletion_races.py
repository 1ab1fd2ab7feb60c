"""Whoever joins or adds something while an organization is deleted does so before, and it goes too, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import pytest
from support import raw, weaken
from support.interleave import Background, Seen, Stop, at_once, outcome, refused
from support.world import Person, World, fresh

from tenantry_server.store.queries import audit, organizations

Code = grpc.StatusCode
GONE = "ORGANIZATION_NOT_ACCESSIBLE"


class Company:
    """An organization that is about to be deleted, its owner, and somebody whom it has invited."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner, self.guest = world.person("owner"), world.person("guest")
        self.organization = world.organization(self.owner)
        self.here = {"organization_id": self.organization.id}
        self.offer = world.invite(self.organization, self.owner, self.guest.email)
        self.revision = world.revision(self.organization.id)

    def delete(self) -> Any:
        return self.owner.rpc("OrganizationService.DeleteOrganization", **self.here)

    def undelete(self) -> Any:
        return self.owner.rpc("OrganizationService.UndeleteOrganization", **self.here)

    def actions(self) -> list[str]:
        """What the trail tells since, the oldest first."""
        rows = raw.values(self.world.deployment.database, "audit_events", "revision || '|' || action", **self.here)
        told = sorted((int(revision), action) for revision, action in (row.split("|") for row in rows))
        assert [revision for revision, _ in told] == list(range(1, len(told) + 1))
        return [action for revision, action in told if revision > self.revision]

    def shows_nothing_to(self, *people: Person) -> bool:
        """Whether none of them is told of it by anything that reads."""
        for person in people:
            seen = {one.id for one in person.rpc("OrganizationService.ListOrganizations").organizations}
            offers = person.rpc("InvitationService.ListMyInvitations").invitations
            lists = ("MemberService.ListMembers", "RoleService.ListRoles", "InvitationService.ListInvitations")
            refusals = [person.rpc.refusal(name, **self.here).reason for name in lists]
            if self.organization.id in seen or offers or refusals != [GONE] * len(lists):
                return False
        return True


@dataclass(frozen=True)
class Comer:
    """What is added to an organization: how, under which action, how many rows it keeps, and how a late one is refused."""

    add: Callable[[Company], Any]
    action: str
    kept: Callable[[Company], int]
    refusal: Callable[[Company], tuple[Code, str, dict[str, str]]]


def _rows(table: str, of_guest: str = "") -> Callable[[Company], int]:
    def rows(company: Company) -> int:
        who = {of_guest: company.guest.id} if of_guest else {}
        return raw.count(company.world.deployment.database, table, **company.here, **who)

    return rows


def _gone(company: Company) -> tuple[Code, str, dict[str, str]]:
    return Code.PERMISSION_DENIED, GONE, company.here


def _no_offer(company: Company) -> tuple[Code, str, dict[str, str]]:
    return Code.NOT_FOUND, "INVITATION_NOT_FOUND", {"invitation_id": company.offer.id}


_INVITED = 1  # which is there before
COMERS = {
    "a member is added": Comer(
        lambda company: company.world.join(company.organization, company.owner, company.guest),
        *("member.add", _rows("memberships", "user_id"), _gone),
    ),
    "an invitation is accepted": Comer(
        lambda company: company.guest.rpc("InvitationService.AcceptInvitation", invitation_id=company.offer.id),
        *("invitation.accept", _rows("memberships", "user_id"), _no_offer),
    ),
    "a role is made": Comer(
        lambda company: company.world.role(company.organization, company.owner, "sandbox:read"),
        *("role.create", _rows("roles"), _gone),
    ),
    "somebody is invited": Comer(
        lambda company: company.world.invite(company.organization, company.owner, f"{fresh('more')}@example.com"),
        *("invitation.create", lambda company: _rows("invitations")(company) - _INVITED, _gone),
    ),
}
each = pytest.mark.parametrize("comer", COMERS.values(), ids=COMERS)


def ensure_consistent(company: Company, comer: Comer, added: Any) -> None:
    """Either it was there before the deletion, and told so, or it was refused, and left nothing."""
    was_there = not refused(added)
    if not was_there:
        assert added.seen == comer.refusal(company)
    assert company.actions() == [comer.action] * was_there + ["organization.delete"]
    assert comer.kept(company) == int(was_there)
    assert company.shows_nothing_to(company.owner, company.guest)


@each
def test_what_comes_while_an_organization_is_deleted_leaves_nothing(world: World, comer: Comer) -> None:
    for _ in range(5):
        company, database = Company(world), world.deployment.database
        with Stop(database, organizations.SET_STATE) as stop:
            deleting = Background(company.delete)
            stop.wait()
            with Seen(database, "writing") as seen:
                adding = Background(partial(comer.add, company))
                seen.wait()
                stop.go()
                deleted, added = deleting.result(), adding.result()
        assert not refused(deleted)
        assert refused(added)
        ensure_consistent(company, comer, added)
    assert world.breaches() == []


@each
def test_what_was_first_is_deleted_too_and_comes_back_with_the_organization(world: World, comer: Comer) -> None:
    company, database = Company(world), world.deployment.database
    with Stop(database, audit.INSERT) as stop:
        adding = Background(partial(comer.add, company))
        stop.wait()
        with Seen(database, "writing") as seen:
            deleting = Background(company.delete)
            seen.wait()
            stop.go()
            added, deleted = adding.result(), deleting.result()
    assert not refused(deleted)
    assert not refused(added)
    ensure_consistent(company, comer, added)
    company.undelete()
    assert comer.kept(company) == 1
    assert company.actions() == [comer.action, "organization.delete", "organization.undelete"]
    assert company.owner.rpc("MemberService.ListMembers", **company.here).members
    assert world.breaches() == []


@each
def test_in_whatever_order_they_come_both_tell_the_same(world: World, comer: Comer) -> None:
    for _ in range(20):
        company = Company(world)
        deleted, added = at_once(company.delete, partial(comer.add, company))
        assert not refused(deleted)
        ensure_consistent(company, comer, added)
    assert world.breaches() == []


@each
def test_without_the_lock_something_is_added_to_what_is_already_being_deleted(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch, comer: Comer
) -> None:
    world = deploy_own()
    weaken.lock(monkeypatch, world.deployment.database)
    company = Company(world)
    with Stop(world.deployment.database, organizations.SET_STATE) as stop:
        deleting = Background(company.delete)
        stop.wait()
        added = outcome(partial(comer.add, company))
        stop.go()
        assert not refused(deleting.result())
    assert not refused(added)
    assert comer.kept(company) == 1
