"""When invitations expire, to the millisecond, and what can be done to them then."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from support.world import MEMBER, MILLISECOND, OWNER, Person, World

CREATE, UPDATE = "InvitationService.CreateInvitation", "InvitationService.UpdateInvitation"
RESEND, CANCEL = "InvitationService.ResendInvitation", "InvitationService.CancelInvitation"
ACCEPT, DECLINE = "InvitationService.AcceptInvitation", "InvitationService.DeclineInvitation"
GET = "InvitationService.GetInvitation"
MICROSECOND = timedelta(microseconds=1)
DAY, LONGEST = timedelta(days=1), timedelta(days=3653)


def offered(world: World) -> tuple[Person, Person, Any, Any, datetime]:
    """An owner, an invitee, their organization, an invitation, and when it expires."""
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    return ana, guest, acme, offer, offer.expire_time.ToDatetime(UTC)


@pytest.mark.parametrize(("method", "state"), [(ACCEPT, 2), (DECLINE, 3)])
def test_invitee_answers_until_just_before_the_expire_time(world: World, method: str, state: int) -> None:
    _, guest, _, offer, end = offered(world)
    with world.at(end - MILLISECOND):
        assert guest.rpc("InvitationService.CountMyInvitations").count == 1
        assert guest.rpc(method, invitation_id=offer.id).state == state


@pytest.mark.parametrize("late", [timedelta(), MILLISECOND, 400 * DAY])
def test_invitation_is_expired_from_its_expire_time_on(world: World, late: timedelta) -> None:
    ana, guest, acme, offer, end = offered(world)
    key = {"organization_id": acme.id, "invitation_id": offer.id}
    with world.at(end + late), world.unchanged(acme):
        refusals = [guest.rpc.refusal(method, invitation_id=offer.id) for method in (ACCEPT, DECLINE)]
        refusals += [ana.rpc.refusal(method, **key) for method in (UPDATE, CANCEL)]
        assert ana.rpc(GET, **key).state == 5
        assert guest.rpc("InvitationService.CountMyInvitations").count == 0
        assert list(guest.rpc("InvitationService.ListMyInvitations").invitations) == []
    metadata = {"invitation_id": offer.id, "expire_time": offer.expire_time.ToJsonString()}
    for refusal in refusals:
        assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "INVITATION_EXPIRED", metadata)


def test_expired_invitation_is_sent_again_and_accepted(world: World) -> None:
    ana, guest, acme, offer, end = offered(world)
    with world.at(end + DAY):
        again = ana.rpc(RESEND, organization_id=acme.id, invitation_id=offer.id)
        assert (again.id, again.state) == (offer.id, 1)
        assert again.expire_time.ToDatetime(UTC) == end + 8 * DAY
        assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2
    assert world.breaches() == []


def test_address_of_an_expired_invitation_can_be_invited_anew(world: World) -> None:
    ana, guest, acme, offer, end = offered(world)
    with world.at(end - MILLISECOND), world.unchanged(acme):
        early = ana.rpc.refusal(CREATE, organization_id=acme.id, email=guest.email, role=MEMBER)
    assert early.seen == (StatusCode.ALREADY_EXISTS, "INVITATION_PENDING", {"email": guest.email})
    with world.at(end):
        again = world.invite(acme, ana, guest.email)
        with world.unchanged(acme):
            revival = ana.rpc.refusal(RESEND, organization_id=acme.id, invitation_id=offer.id)
            late = guest.rpc.refusal(ACCEPT, invitation_id=offer.id)
        assert ana.rpc(GET, organization_id=acme.id, invitation_id=offer.id).state == 5
        assert guest.rpc(ACCEPT, invitation_id=again.id).state == 2
    assert revival.seen == (StatusCode.ALREADY_EXISTS, "INVITATION_PENDING", {"email": guest.email})
    assert late.reason == "INVITATION_EXPIRED"
    assert world.breaches() == []


def test_replaced_invitation_can_be_revived_once_its_successor_is_over(world: World) -> None:
    ana, guest, acme, offer, end = offered(world)
    with world.at(end):
        again = world.invite(acme, ana, guest.email)
        ana.rpc(CANCEL, organization_id=acme.id, invitation_id=again.id)
        assert ana.rpc(RESEND, organization_id=acme.id, invitation_id=offer.id).state == 1
        assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2


def test_expired_invitation_of_a_member_cannot_be_sent_again(world: World) -> None:
    ana, guest, acme, offer, end = offered(world)
    with world.at(end):
        world.join(acme, ana, guest)
        with world.unchanged(acme):
            refusal = ana.rpc.refusal(RESEND, organization_id=acme.id, invitation_id=offer.id)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "ALREADY_MEMBER", {"email": guest.email})


@pytest.mark.parametrize("lifetime", [MILLISECOND, timedelta(hours=1), LONGEST])
def test_expire_time_is_as_asked(world: World, lifetime: timedelta) -> None:
    ana, _, acme, offer, now = offered(world)
    wanted = now - DAY + lifetime
    with world.at(now - DAY):
        made = ana.rpc(CREATE, organization_id=acme.id, email="other@example.com", role=OWNER, expire_time=wanted)
        changed = ana.rpc(UPDATE, organization_id=acme.id, invitation_id=offer.id, expire_time=wanted)
    assert made.expire_time.ToDatetime(UTC) == changed.expire_time.ToDatetime(UTC) == wanted


def test_expire_time_is_kept_in_whole_milliseconds(world: World) -> None:
    ana, _, acme, _, end = offered(world)
    finer = end + 999 * MICROSECOND
    made = ana.rpc(CREATE, organization_id=acme.id, email="other@example.com", role=MEMBER, expire_time=finer)
    assert made.expire_time.ToDatetime(UTC) == end


@pytest.mark.parametrize(
    "beyond",
    [timedelta(), -MILLISECOND, 999 * MICROSECOND, -400 * DAY, LONGEST + MILLISECOND, timedelta(days=365 * 1000)],
)
def test_expire_time_lies_in_the_future_and_not_too_far(world: World, beyond: timedelta) -> None:
    ana, _, acme, offer, end = offered(world)
    now = end - DAY
    with world.at(now), world.unchanged(acme):
        wanted = {"organization_id": acme.id, "expire_time": now + beyond}
        made = ana.rpc.refusal(CREATE, email="other@example.com", role=MEMBER, **wanted)
        changed = ana.rpc.refusal(UPDATE, invitation_id=offer.id, **wanted)
    assert made.seen == changed.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "expire_time"})
    assert made.violations == changed.violations == {"expire_time": "EXPIRE_TIME"}


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        (Timestamp(seconds=253402300799, nanos=999999999), "EXPIRE_TIME"),  # the last instant of 9999
        (Timestamp(seconds=253402300800), "TIMESTAMP"),
        (Timestamp(seconds=-62135596801), "TIMESTAMP"),
        (Timestamp(seconds=2**62), "TIMESTAMP"),
        (Timestamp(), "EXPIRE_TIME"),
    ],
)
def test_expire_time_at_the_ends_of_time_is_refused(world: World, wanted: Timestamp, rule: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(CREATE, organization_id=acme.id, email="other@example.com", role=MEMBER, expire_time=wanted)
    assert refusal.seen == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {"fields": "expire_time"})
    assert refusal.violations == {"expire_time": rule}
