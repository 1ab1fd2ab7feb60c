"""Races in a forced order: one change is stopped halfway, another comes while it has the lock, and finds what it did."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
import pytest
from support import raw, weaken
from support.deployment import CATALOG
from support.interleave import Background, Place, Seen, Stop, at_once, refused
from support.race_invitations import invited
from support.world import AUDITOR, MEMBER, World, fresh

from tenantry_server.domain import call as calls
from tenantry_server.domain.errors import EmailTaken
from tenantry_server.domain.organizations import OrganizationState
from tenantry_server.store.queries import audit, members

Code = grpc.StatusCode
_ADMINISTRATOR = CATALOG.role_keys["administrator"].id


def meanwhile(world: World, first: Callable[[], Any], second: Callable[[], Any], *, at: Place = audit.INSERT) -> list[Any]:
    """The outcomes of a change, stopped at a place where it has the lock, and of one that begins then and waits for it."""
    database = world.deployment.database
    with Stop(database, at) as stop:
        one = Background(first)
        stop.wait()
        with Seen(database, "writing") as seen:
            other = Background(second)
            seen.wait()
            stop.go()
            return [one.result(), other.result()]


# -- rights that are lost while a change waits -----------------------------------------------------------------------


class Office:
    """An owner, and an administrator who is about to make a role."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner, self.operator = world.person("owner"), world.platform()
        self.organization = world.organization(self.owner)
        self.admin = world.member(self.organization, self.owner, _ADMINISTRATOR)

    def make_role(self) -> Any:
        return self.world.role(self.organization, self.admin, "secret:read")

    def demote(self) -> Any:
        return self._owner("MemberService.UpdateMemberAccess", user_id=self.admin.id, role=MEMBER, assigned_role_ids=[AUDITOR])

    def remove(self) -> Any:
        return self._owner("MemberService.RemoveMember", user_id=self.admin.id)

    def delete(self) -> Any:
        return self._owner("OrganizationService.DeleteOrganization")

    def suspend(self) -> Any:
        return self.operator("OrganizationService.SuspendOrganization", organization_id=self.organization.id)

    def _owner(self, method: str, **fields: Any) -> Any:
        return self.owner.rpc(method, organization_id=self.organization.id, **fields)


_LOSSES: dict[str, tuple[Callable[[Office], Any], str]] = {
    "demoted": (Office.demote, "PERMISSION_MISSING"),
    "removed": (Office.remove, "ORGANIZATION_NOT_ACCESSIBLE"),
    "deleted": (Office.delete, "ORGANIZATION_NOT_ACCESSIBLE"),
    "suspended": (Office.suspend, "ORGANIZATION_SUSPENDED"),
}


@pytest.mark.parametrize("loss", _LOSSES)
def test_rights_that_are_lost_while_a_change_waits_are_lost_for_it(world: World, loss: str) -> None:
    take, reason = _LOSSES[loss]
    for _ in range(10):
        office = Office(world)
        revision = world.revision(office.organization.id)
        taken, made = meanwhile(world, partial(take, office), office.make_role)
        assert not refused(taken)
        metadata = {"permissions": "role:create"} if loss == "demoted" else {"organization_id": office.organization.id}
        assert made.seen == (Code.PERMISSION_DENIED, reason, metadata)
        assert world.revision(office.organization.id) == revision + 1
    assert world.breaches() == []


@pytest.mark.parametrize("loss", _LOSSES)
def test_without_the_check_inside_the_transaction_they_would_still_serve(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    world = deploy_own()
    weaken.recheck(monkeypatch)
    for _ in range(5):
        office = Office(world)
        taken, made = meanwhile(world, partial(_LOSSES[loss][0], office), office.make_role)
        assert not refused(taken)
        assert not refused(made)


@pytest.mark.parametrize("method", ["AcceptInvitation", "DeclineInvitation"])
def test_an_invitation_of_an_organization_that_is_deleted_meanwhile_is_gone(world: World, method: str) -> None:
    for _ in range(10):
        party = invited(world)
        deleted, answered = meanwhile(
            world,
            partial(party.owner.rpc, "OrganizationService.DeleteOrganization", organization_id=party.organization.id),
            party.on_their_side(method).do,
        )
        assert not refused(deleted)
        assert refused(answered), answered
        assert answered.seen == (Code.NOT_FOUND, "INVITATION_NOT_FOUND", {"invitation_id": party.invitation.id})
        assert raw.values(world.deployment.database, "invitations", "state", id=party.invitation.id) == ["pending"]
        joined = {"organization_id": party.organization.id, "user_id": party.guest.id}
        assert raw.count(world.deployment.database, "memberships", **joined) == 0


def test_an_invitation_of_an_organization_that_is_suspended_meanwhile_is_kept_for_later(world: World) -> None:
    for _ in range(5):
        party = invited(world)
        with Stop(world.deployment.database, "writing") as stop:
            accepting = Background(party.on_their_side("AcceptInvitation").do)
            stop.wait()
            world.set_state(party.organization.id, OrganizationState.SUSPENDED)
            stop.go()
            refusal = accepting.result()
        metadata = {"organization_id": party.organization.id}
        assert refusal.seen == (Code.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED", metadata)
        world.set_state(party.organization.id, OrganizationState.ACTIVE)
        assert not refused(at_once(party.on_their_side("AcceptInvitation").do)[0])
    assert world.breaches() == []


# -- expiry ----------------------------------------------------------------------------------------------------------


def _accepted_or_invited_anew(world: World, *, locked: bool) -> list[Any]:
    """An invitation is accepted just in time; before that is written it expires, and the address is invited anew."""
    world.clock.offset = timedelta()
    party = invited(world)
    database = world.deployment.database
    with Stop(database, members.INSERT) as stop:
        accepting = Background(party.on_their_side("AcceptInvitation").do)
        stop.wait()
        world.clock.advance(timedelta(days=8))
        with Seen(database, "writing") as seen:
            inviting = Background(lambda: world.invite(party.organization, party.owner, party.guest.email))
            if locked:
                seen.wait()
            else:
                inviting.result()
            stop.go()
            return [accepting.result(), inviting.result(), party.guest.email]


def test_an_invitation_that_expires_while_it_is_accepted_is_accepted_before_the_address_is_invited_anew(world: World) -> None:
    for _ in range(10):
        accepted, again, email = _accepted_or_invited_anew(world, locked=True)
        assert not refused(accepted)
        assert again.seen == (Code.ALREADY_EXISTS, "ALREADY_MEMBER", {"email": email})
    assert world.breaches() == []


def test_without_the_lock_it_is_accepted_and_the_address_invited_anew(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = deploy_own()
    weaken.lock(monkeypatch, world.deployment.database)
    for _ in range(5):
        accepted, again, _ = _accepted_or_invited_anew(world, locked=False)
        assert not refused(accepted)
        assert not refused(again)


def test_an_invitation_that_was_replaced_while_its_acceptance_waited_has_expired(world: World) -> None:
    for _ in range(10):
        world.clock.offset = timedelta()
        party = invited(world)
        expire_time = party.invitation.expire_time.ToJsonString()
        with Stop(world.deployment.database, "writing") as stop:
            accepting = Background(party.on_their_side("AcceptInvitation").do)
            stop.wait()
            world.clock.advance(timedelta(days=8))
            world.invite(party.organization, party.owner, party.guest.email)
            stop.go()
            late = accepting.result()
        metadata = {"invitation_id": party.invitation.id, "expire_time": expire_time}
        assert late.seen == (Code.FAILED_PRECONDITION, "INVITATION_EXPIRED", metadata)
    assert world.breaches() == []


# -- users -----------------------------------------------------------------------------------------------------------


def _same_verified_address(world: World) -> list[Any]:
    email = f"{fresh('person')}@example.com"

    def create() -> Any:
        try:
            return world.services.users.create(calls.operator("test"), email=email, name="Somebody", email_verified=True)
        finally:
            world.services.store.database.close()  # the thread ends here, and PostgreSQL admits only so many connections

    results = at_once(*[create] * 8)
    for loser in filter(refused, results):
        assert (type(loser), loser.metadata) == (EmailTaken, {"email": email})
    return results


def test_a_verified_address_is_given_to_one_of_many_who_ask_at_once(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    for _ in range(10):
        assert sum(not refused(result) for result in _same_verified_address(world)) == 1
    assert world.breaches() == []


def test_without_the_index_it_is_given_to_all(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    weaken.table(world.deployment.url, "users")
    for _ in range(3):
        assert not any(map(refused, _same_verified_address(world)))
    assert {breach.invariant for breach in world.breaches()} == {"a verified address belongs to one user"}
