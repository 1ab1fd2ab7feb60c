"""Two server processes whose clocks differ, over one database: each tells by its own clock what has ended, so the difference is
how much too early or too late that is; what one of them has written holds for the other, whatever its clock says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.deployment import deploy
from support.engines import Engines
from support.interleave import at_once, refused
from support.metered import Metered
from support.rpc import Client
from support.tokens import MINE, is_good, mine
from support.world import AUDITOR, MILLISECOND, Person, World

from tenantry_server.wire import timestamp

ACCEPT, GET = "InvitationService.AcceptInvitation", "InvitationService.GetInvitation"
TRAIL = "AuditService.ListAuditEvents"
SKEW = timedelta(seconds=5)
HOUR = timedelta(hours=1)
ACCEPTED = 2


@dataclass
class Pair:
    """A process whose clock is right, and one whose clock is ahead."""

    right: World
    ahead: World

    def at(self, instant: datetime) -> None:
        """Stops both clocks, the right one at an instant."""
        self.right.clock.stopped, self.ahead.clock.stopped = instant, instant + SKEW

    def both(self, person: Person) -> tuple[Client, Client]:
        """A person's clients at both."""
        return self.right.client(person.token), self.ahead.client(person.token)

    def offered(self) -> tuple[Person, Person, Any, Any]:
        """An owner, a guest, an organization, and an invitation."""
        ana, guest = self.right.person(), self.right.person()
        acme = self.right.organization(ana)
        return ana, guest, acme, self.right.invite(acme, ana, guest.email)


@pytest.fixture
def pair(engine: str, engines: Engines) -> Iterator[Pair]:
    url = engines.new(engine)
    with closing(deploy(engine, url)) as right, closing(deploy(engine, url)) as ahead:
        yield Pair(World(right), World(ahead))


def expired(offer: Any) -> tuple[StatusCode, str, dict[str, str]]:
    told = {"invitation_id": offer.id, "expire_time": offer.expire_time.ToJsonString()}
    return StatusCode.FAILED_PRECONDITION, "INVITATION_EXPIRED", told


def test_an_invitation_is_good_for_whose_clock_is_before_its_end_and_for_no_other(pair: Pair) -> None:
    for moment, at_right, at_ahead in (
        (-SKEW - MILLISECOND, True, True),
        (-SKEW, True, False),
        (-MILLISECOND, True, False),
        (timedelta(), False, False),
    ):
        for is_ahead, is_good_there in ((False, at_right), (True, at_ahead)):
            pair.right.clock.stopped = pair.ahead.clock.stopped = None
            _, guest, _, offer = pair.offered()
            pair.at(offer.expire_time.ToDatetime(UTC) + moment)
            client = pair.both(guest)[is_ahead]
            if is_good_there:
                assert client(ACCEPT, invitation_id=offer.id).state == ACCEPTED
            else:
                assert client.refusal(ACCEPT, invitation_id=offer.id).seen == expired(offer)
    assert pair.right.breaches() == []


def test_what_was_accepted_at_one_is_accepted_at_the_other_and_not_expired(pair: Pair) -> None:
    ana, guest, acme, offer = pair.offered()
    pair.at(offer.expire_time.ToDatetime(UTC) - MILLISECOND)
    at_right, at_ahead = pair.both(guest)
    assert at_right(ACCEPT, invitation_id=offer.id).state == ACCEPTED
    refusal = at_ahead.refusal(ACCEPT, invitation_id=offer.id)
    told = {"invitation_id": offer.id, "state": "accepted"}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "INVITATION_NOT_PENDING", told)
    for owner in pair.both(ana):
        assert owner(GET, organization_id=acme.id, invitation_id=offer.id).state == ACCEPTED


def test_at_both_at_once_an_invitation_is_accepted_once(pair: Pair) -> None:
    for moment in (-SKEW - MILLISECOND, -MILLISECOND) * 5:
        pair.right.clock.stopped = pair.ahead.clock.stopped = None
        _, guest, acme, offer = pair.offered()
        pair.at(offer.expire_time.ToDatetime(UTC) + moment)
        results = at_once(*[partial(client, ACCEPT, invitation_id=offer.id) for client in pair.both(guest) * 3])
        assert [result.state for result in results if not refused(result)] == [ACCEPTED]
        database, here = pair.right.deployment.database, {"organization_id": acme.id}
        assert raw.count(database, "memberships", user_id=guest.id, **here) == 1
        assert raw.count(database, "audit_events", action="invitation.accept", **here) == 1
    assert pair.right.breaches() == []


def test_what_one_has_replaced_as_expired_the_other_does_not_accept_though_it_is_earlier_there(pair: Pair) -> None:
    ana, guest, acme, offer = pair.offered()
    pair.at(offer.expire_time.ToDatetime(UTC) - MILLISECOND)
    owner, answer = pair.both(ana)[1], pair.both(guest)[0]
    given = {"organization_id": acme.id, "email": guest.email, "role": "MEMBER_ROLE_MEMBER", "assigned_role_ids": [AUDITOR]}
    again = owner("InvitationService.CreateInvitation", **given)
    assert answer.refusal(ACCEPT, invitation_id=offer.id).seen == expired(offer)
    assert answer(ACCEPT, invitation_id=again.id).state == ACCEPTED
    assert pair.right.breaches() == []


def test_a_token_and_what_a_rotation_ended_are_good_by_the_clock_of_who_is_asked(pair: Pair) -> None:
    ana = pair.right.person()
    now = pair.right.clock.now()
    pair.at(now)
    made = mine(pair.right, ana.rpc, expire_time=timestamp(now + 2 * HOUR))
    rotated = ana.rpc(MINE.format("Rotate"), api_token_id=made.id, overlap=HOUR)
    for secret, end in ((made.secret, now + HOUR), (rotated.secret, now + 2 * HOUR)):
        good = []
        for instant in (end - SKEW - MILLISECOND, end - SKEW, end - MILLISECOND, end):
            pair.at(instant)
            good.append((is_good(pair.right.client(secret)), is_good(pair.ahead.client(secret))))
        assert good == [(True, True), (True, False), (True, False), (False, False)]


def test_a_suspension_and_a_reservation_end_by_the_clock_of_who_is_asked(pair: Pair) -> None:
    acme = Metered(pair.right, cpu=1)
    now = pair.right.clock.now()
    pair.at(now)
    acme.reserve(cpu=1, ttl={"seconds": 3600})
    pair.right.platform()(
        "OrganizationService.SuspendOrganization", organization_id=acme.organization.id, until=timestamp(now + HOUR)
    )

    def is_over(client: Client) -> tuple[bool, bool]:
        (cpu,) = [
            row
            for region in client("QuotaService.GetUsage", organization_id=acme.organization.id).regions
            for row in region.metrics
            if row.metric == "cpu"
        ]
        return not refused(at_once(partial(client, TRAIL, organization_id=acme.organization.id))[0]), cpu.reserved == 0

    for instant, expected in ((now + HOUR - SKEW, (False, True)), (now + HOUR - MILLISECOND, (False, True))):
        pair.at(instant)
        assert [is_over(client) for client in pair.both(acme.owner)] == [(each, each) for each in expected]
    pair.at(now + HOUR)
    assert [is_over(client) for client in pair.both(acme.owner)] == [(True, True)] * 2
