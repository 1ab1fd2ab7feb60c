"""Seats: members and pending invitations hold them, and there are only so many."""

from datetime import UTC

import pytest
from grpc import StatusCode
from support.metered import Metered
from support.world import OWNER, World, fresh

INVITE = "InvitationService.CreateInvitation"


def full(used: int, limit: int) -> tuple[StatusCode, str, dict[str, str]]:
    figures = {"metric": "member", "limit": str(limit), "used": str(used), "amount": "1", "region_id": ""}
    return StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", figures


@pytest.fixture
def acme(world: World) -> Metered:
    """Three seats, of which the owner has one."""
    acme = Metered(world)
    acme.limit(member=3)
    return acme


def test_members_and_pending_invitations_hold_seats(acme: Metered) -> None:
    world, owner, organization = acme.world, acme.owner, acme.organization
    member, newcomer = world.member(organization, owner), world.person()
    invitation = world.invite(organization, owner, f"{fresh('guest')}@example.com")
    assert acme.usage("member", None) == (3, 3, 0)
    with world.unchanged(organization):
        refusal = owner.rpc.refusal(INVITE, email=f"{fresh('guest')}@example.com", role=OWNER, **acme.here)
        assert refusal.seen == full(3, 3)
        refusal = owner.rpc.refusal("MemberService.AddMember", user_id=newcomer.id, role=OWNER, **acme.here)
        assert refusal.seen == full(3, 3)
    owner.rpc("InvitationService.CancelInvitation", invitation_id=invitation.id, **acme.here)
    world.join(organization, owner, newcomer)
    owner.rpc("MemberService.RemoveMember", user_id=member.id, **acme.here)
    assert acme.usage("member", None) == (3, 2, 0)


def test_who_accepts_takes_the_seat_that_the_invitation_held(acme: Metered) -> None:
    world, guest = acme.world, acme.world.person("guest")
    world.member(acme.organization, acme.owner)
    invitation = world.invite(acme.organization, acme.owner, guest.email)
    acme.limit(member=1)
    guest.rpc("InvitationService.AcceptInvitation", invitation_id=invitation.id)
    assert acme.usage("member", None) == (1, 3, 0)


def test_who_is_added_while_invited_takes_the_seat_of_the_invitation(acme: Metered) -> None:
    world, guest = acme.world, acme.world.person("guest")
    world.member(acme.organization, acme.owner)
    world.invite(acme.organization, acme.owner, guest.email)
    world.join(acme.organization, acme.owner, guest)
    assert acme.usage("member", None) == (3, 3, 0)


def test_an_invitation_that_expired_gives_its_seat_back_and_takes_one_when_it_is_sent_again(acme: Metered) -> None:
    world = acme.world
    world.member(acme.organization, acme.owner)
    invitation = world.invite(acme.organization, acme.owner, f"{fresh('guest')}@example.com")
    with world.at(invitation.expire_time.ToDatetime(UTC)):
        assert acme.usage("member", None) == (3, 2, 0)
        other = world.invite(acme.organization, acme.owner, f"{fresh('guest')}@example.com")
        resend = "InvitationService.ResendInvitation"
        refusal = acme.owner.rpc.refusal(resend, invitation_id=invitation.id, **acme.here)
        assert refusal.seen == full(3, 3)
        acme.owner.rpc("InvitationService.CancelInvitation", invitation_id=other.id, **acme.here)
        acme.owner.rpc(resend, invitation_id=invitation.id, **acme.here)
        assert acme.usage("member", None) == (3, 3, 0)


def test_of_a_batch_as_many_are_invited_as_there_are_seats(acme: Metered) -> None:
    items = [{"email": f"{fresh('guest')}@example.com", "role": OWNER} for _ in range(3)]
    answer = acme.owner.rpc("InvitationService.BatchCreateInvitations", items=items, **acme.here)
    assert [result.WhichOneof("result") for result in answer.results] == ["invitation", "invitation", "error"]


def test_who_may_not_know_members_is_told_of_a_full_house_whoever_is_meant(acme: Metered) -> None:
    world = acme.world
    member, stranger = world.member(acme.organization, acme.owner), world.person("stranger")
    world.invite(acme.organization, acme.owner, f"{fresh('guest')}@example.com")
    # The implicit permissions have member:read, so a token that does not carry it stands for who may not know.
    blind = world.token(acme.owner, permissions=["member:create", "audit-log:read"])
    role = world.role(acme.organization, acme.owner, "audit-log:read")
    path = "tenantry.rest.dotenv.v1.MemberService.AddMember"
    seen = [
        world.client(blind).refusal(path, email=email, role=role.name, **acme.here).seen
        for email in (member.email, stranger.email, f"{fresh('nobody')}@example.com")
    ]
    assert seen == [full(3, 3)] * 3


def test_without_a_limit_there_are_seats_for_everybody(world: World) -> None:
    acme = Metered(world)
    for _ in range(5):
        world.member(acme.organization, acme.owner)
    assert acme.usage("member", None) == (None, 6, 0)
