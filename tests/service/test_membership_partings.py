"""What ends with a membership is told: tokens bound to it, and an invitation by which whoever was removed could come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from grpc import StatusCode
from support.tokens import mine, ours
from support.world import AUDITOR, OWNER, Person, World, fresh

from tenantry_server.services import memberships

REMOVE, LEAVE = "MemberService.RemoveMember", "OrganizationService.LeaveOrganization"
ACCEPT, GET = "InvitationService.AcceptInvitation", "InvitationService.GetInvitation"
PENDING, CANCELLED = 1, 4
ends = pytest.mark.parametrize("end", [REMOVE, LEAVE])


def part(end: str, acme: Any, owner: Person, member: Person, **more: Any) -> Any:
    """Ends a membership, by the owner or by whose it is."""
    if end == LEAVE:
        return member.rpc(LEAVE, organization_id=acme.id, **more)
    return owner.rpc(REMOVE, organization_id=acme.id, user_id=member.id, **more)


def told(world: World, acme: Any, owner: Person) -> dict[str, Any]:
    """The fields of the newest event, before and after."""
    return {change.field: (change.before, change.after) for change in world.events(acme, owner)[0].changes}


def invited_member(world: World, acme: Any, owner: Person, *, verified: bool = True) -> tuple[Person, Any]:
    """A member to whose address an invitation is pending: it was made before anybody had verified the address."""
    member = world.person("member", verified=False)
    offer = world.invite(acme, owner, member.email, AUDITOR)
    world.join(acme, owner, member)
    if verified:
        world.verify(member)
    return member, offer


def state_of(acme: Any, owner: Person, offer: Any) -> int:
    return int(owner.rpc(GET, organization_id=acme.id, invitation_id=offer.id).state)


@ends
def test_tokens_that_end_with_a_membership_are_told(world: World, end: str) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo, role=OWNER)
    bound = sorted(mine(world, bo.rpc, bound_to=acme).id for _ in range(3))
    mine(world, bo.rpc), ours(world, bo.rpc, acme)
    answer = part(end, acme, ana, bo)
    if end == REMOVE:
        assert (list(answer.ended_api_token_ids), answer.cancelled_invitation_id) == (bound, "")
    before, after = told(world, acme, ana)["api_tokens"]
    assert [value.string_value for value in before.list_value.values] == bound
    assert not after.list_value.values


def test_what_a_removal_would_end_is_told_before(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, offer = invited_member(world, acme, ana)
    bound = mine(world, bo.rpc, bound_to=acme)
    with world.unchanged(acme):
        tried = part(REMOVE, acme, ana, bo, validate_only=True)
    assert state_of(acme, ana, offer) == PENDING
    key = fresh("removal")
    done = part(REMOVE, acme, ana, bo, request_id=key)
    assert (list(done.ended_api_token_ids), done.cancelled_invitation_id) == ([bound.id], offer.id)
    assert tried == done
    with world.unchanged(acme):
        assert part(REMOVE, acme, ana, bo, request_id=key) == done


@ends
def test_who_was_a_member_does_not_come_back_by_an_invitation_that_was_pending(world: World, end: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, offer = invited_member(world, acme, ana)
    part(end, acme, ana, bo)
    assert state_of(acme, ana, offer) == CANCELLED
    assert told(world, acme, ana)["cancelled_invitation_id"][1].string_value == offer.id
    with world.unchanged(acme):
        refusal = bo.rpc.refusal(ACCEPT, invitation_id=offer.id)
    metadata = {"invitation_id": offer.id, "state": "cancelled"}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "INVITATION_NOT_PENDING", metadata)
    again = world.invite(acme, ana, bo.email)
    assert bo.rpc(ACCEPT, invitation_id=again.id).state == 2
    assert world.breaches() == []


def test_if_it_stayed_they_would_come_back_at_once(deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    world = deploy_own()
    monkeypatch.setattr(memberships, "cancel_pending", lambda change, email: {})
    ana = world.person()
    acme = world.organization(ana)
    bo, offer = invited_member(world, acme, ana)
    part(REMOVE, acme, ana, bo)
    assert bo.rpc(ACCEPT, invitation_id=offer.id).state == 2


@ends
def test_invitations_to_addresses_that_are_not_proven_theirs_stay(world: World, end: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo, claimed = invited_member(world, acme, ana, verified=False)
    alias = world.invite(acme, ana, f"{fresh('alias')}+bo@example.com")
    part(end, acme, ana, bo)
    assert set(told(world, acme, ana)) == {"role", "assigned_roles"}
    assert [state_of(acme, ana, offer) for offer in (claimed, alias)] == [PENDING, PENDING]
    proven = world.person(email=alias.email)
    assert proven.rpc(ACCEPT, invitation_id=alias.id).state == 2


def test_what_a_former_member_invited_others_to_stays_and_is_accepted_once_somebody_answers_for_it(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana, role=OWNER)
    offer = world.invite(acme, bo, guest.email)
    assert part(REMOVE, acme, ana, bo).cancelled_invitation_id == ""
    assert state_of(acme, ana, offer) == PENDING
    refusal = guest.rpc.refusal(ACCEPT, invitation_id=offer.id)
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "INVITER_LOST_AUTHORITY", {"invitation_id": offer.id})
    ana.rpc("InvitationService.ResendInvitation", organization_id=acme.id, invitation_id=offer.id)
    assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2
