"""Suspension: an organization grants nothing from one instant to another, everywhere at once, and comes back by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from support.race import Code
from support.rpc import Client, Refused
from support.world import MILLISECOND, Person, World

from tenantry_server.wire import timestamp

SUSPEND, UNSUSPEND = "OrganizationService.SuspendOrganization", "OrganizationService.UnsuspendOrganization"
GET, CURRENT = "OrganizationService.GetOrganization", "OrganizationService.GetCurrentOrganization"
LIST, TRAIL = "OrganizationService.ListOrganizations", "AuditService.ListAuditEvents"
MINE, ACCEPT = "InvitationService.ListMyInvitations", "InvitationService.AcceptInvitation"
CHECK, PLACES = "AuthorizationService.CheckPermission", "AuthorizationService.ListAccessibleOrganizations"
ACTIVE, SUSPENDED = 1, 2


def suspended(organization: Any, reason: str = "") -> tuple[StatusCode, str, dict[str, str]]:
    """How whoever has to do with a suspended organization is refused; who belongs to it is told why."""
    said = {"suspension_reason": reason} if reason else {}
    return Code.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED", {"organization_id": organization.id, **said}


def granted(world: World, organization: Any, person: Person, guest: Person) -> dict[str, bool]:
    """What the organization grants at this moment, by every way of asking."""
    may = person.rpc(CHECK, organization_id=organization.id, permission="audit-log:read").allowed
    checks = [{"organization_id": organization.id, "permission": "audit-log:read"}]
    batch = world.platform()(
        "AuthorizationService.BatchCheckPermissions",
        items=[{**one, "subject": {"user_id": person.id}} for one in checks],
    )
    places = person.rpc(PLACES, permission="audit-log:read").organization_ids
    offers = [offer.organization_id for offer in guest.rpc(MINE).invitations]
    return {
        "call": _is_answered(person.rpc, TRAIL, organization),
        "check": may,
        "batch": batch.results[0].answer.allowed,
        "places": organization.id in places,
        "offers": organization.id in offers,
        "state": person.rpc(GET, organization_id=organization.id).state == ACTIVE,
        "listed": {one.id: one.state for one in person.rpc(LIST).organizations}[organization.id] == ACTIVE,
    }


def _is_answered(client: Client, name: str, organization: Any) -> bool:
    try:
        client(name, organization_id=organization.id)
    except Refused as refusal:
        return refusal.reason != "ORGANIZATION_SUSPENDED"
    return True


def test_a_suspension_takes_everything_at_once_and_its_end_gives_it_back(world: World) -> None:
    ana, guest, operator = world.person(), world.person(), world.platform()
    acme = world.organization(ana)
    world.invite(acme, ana, guest.email)
    assert set(granted(world, acme, ana, guest).values()) == {True}
    operator(SUSPEND, organization_id=acme.id, reason="Unpaid")
    assert set(granted(world, acme, ana, guest).values()) == {False}
    operator(UNSUSPEND, organization_id=acme.id)
    assert set(granted(world, acme, ana, guest).values()) == {True}
    assert world.breaches() == []


def test_a_suspension_ends_by_itself_at_that_very_instant(world: World) -> None:
    ana, guest, operator = world.person(), world.person(), world.platform()
    acme = world.organization(ana)
    world.invite(acme, ana, guest.email)
    until = world.clock.now() + timedelta(hours=1)
    operator(SUSPEND, organization_id=acme.id, until=timestamp(until))
    with world.at(until - MILLISECOND):
        assert set(granted(world, acme, ana, guest).values()) == {False}
    revision = world.revision(acme.id)
    with world.at(until):
        assert set(granted(world, acme, ana, guest).values()) == {True}
        assert world.revision(acme.id) == revision, "nothing had to be written for it"
        assert not ana.rpc(GET, organization_id=acme.id).HasField("suspension")
        changed = ana.rpc("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Back")
        assert (changed.state, changed.name) == (ACTIVE, "Back")
    assert world.breaches() == []


def test_who_is_a_member_reads_the_organization_and_why_it_is_suspended(world: World) -> None:
    ana, operator = world.person(), world.platform()
    acme = world.organization(ana)
    until = timestamp(world.clock.now() + timedelta(days=1))
    bound = world.client(world.token(organization_id=acme.id))
    made = operator(SUSPEND, organization_id=acme.id, reason="Unpaid since May", until=until, cleanup_grace_hours=48)
    for shown in (ana.rpc(GET, organization_id=acme.id), bound(CURRENT), bound(GET, organization_id=acme.id)):
        assert shown == made
        assert (shown.state, shown.suspension.reason, shown.suspension.until) == (SUSPENDED, "Unpaid since May", until)
        assert shown.cleanup_grace_hours == 48
    assert ana.rpc("LimitService.GetOrganizationLimits", organization_id=acme.id).organization_id == acme.id
    stranger = world.person().rpc.refusal(GET, organization_id=acme.id)
    assert stranger.seen == (Code.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})
    assert "Unpaid" not in str(stranger)


def test_who_belongs_to_it_is_told_why_by_every_refusal_and_a_guest_is_not(world: World) -> None:
    ana, guest, operator = world.person(), world.person(), world.platform("usage:reserve", "organization:suspend")
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    bound = world.client(world.token(organization_id=acme.id))
    reserve = {"resource_type": "volume", "resource_id": acme.id, "amounts": [{"metric": "volume", "amount": 1}]}
    for reason in ("Unpaid since {May}", "", "Ü" * 1000):
        operator(SUSPEND, organization_id=acme.id, reason=reason)
        refusals = [client.refusal(TRAIL, organization_id=acme.id) for client in (ana.rpc, bound)]
        refusals += [
            ana.rpc.refusal("RoleService.CreateRole", organization_id=acme.id, name="R", permissions=["sandbox:read"]),
            ana.rpc.refusal("ApiTokenService.CreateMyApiToken", organization_id=acme.id, name="T"),
            operator.refusal("QuotaService.Reserve", organization_id=acme.id, **reserve),
        ]
        for refusal in refusals:
            assert refusal.seen == suspended(acme, reason[:200])
            assert str(refusal).endswith(f"{acme.id} is suspended" + (f": {reason[:200]}" if reason else ""))
        assert guest.rpc.refusal(ACCEPT, invitation_id=offer.id).seen == suspended(acme)
        stranger = world.person().rpc.refusal(TRAIL, organization_id=acme.id)
        assert stranger.reason == "ORGANIZATION_NOT_ACCESSIBLE"


def test_an_invitation_survives_a_suspension_and_is_accepted_after_it(world: World) -> None:
    ana, guest, operator = world.person(), world.person(), world.platform()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    operator(SUSPEND, organization_id=acme.id)
    assert guest.rpc.refusal(ACCEPT, invitation_id=offer.id).reason == "ORGANIZATION_SUSPENDED"
    operator(UNSUSPEND, organization_id=acme.id)
    assert guest.rpc(ACCEPT, invitation_id=offer.id).state == 2


def test_suspending_twice_and_ending_twice_do_no_harm(world: World) -> None:
    ana, operator = world.person(), world.platform()
    acme = world.organization(ana)
    first = operator(SUSPEND, organization_id=acme.id, reason="One")
    second = operator(SUSPEND, organization_id=acme.id, reason="Two")
    assert (second.suspension.time, second.suspension.reason) == (first.suspension.time, "Two")
    for _ in range(2):
        active = operator(UNSUSPEND, organization_id=acme.id)
        assert (active.state, active.HasField("suspension")) == (ACTIVE, False)
    actions = [event.action for event in world.events(acme, ana)]
    assert actions[:4] == ["organization.unsuspend"] * 2 + ["organization.suspend"] * 2
    assert world.breaches() == []


@pytest.mark.parametrize("ago", [timedelta(0), MILLISECOND, timedelta(days=1)])
def test_an_end_that_has_come_is_refused(world: World, ago: timedelta) -> None:
    acme = world.organization(world.person())
    now = world.clock.now()
    with world.at(now), world.unchanged(acme):
        refusal = world.platform().refusal(SUSPEND, organization_id=acme.id, until=timestamp(now - ago))
    assert (refusal.code, refusal.violations) == (Code.INVALID_ARGUMENT, {"until": "FUTURE"})


@pytest.mark.parametrize(
    "until",
    [
        Timestamp(seconds=2**62),
        Timestamp(seconds=-(2**62)),
        Timestamp(seconds=253_402_300_800),
        Timestamp(seconds=4_102_444_800, nanos=-1),
        Timestamp(seconds=4_102_444_800, nanos=1_000_000_000),
    ],
    ids=str,
)
def test_an_end_that_is_no_instant_is_refused(world: World, until: Timestamp) -> None:
    acme = world.organization(world.person())
    with world.unchanged(acme):
        refusal = world.platform().refusal(SUSPEND, organization_id=acme.id, until=until)
    assert (refusal.code, refusal.reason, set(refusal.violations)) == (Code.INVALID_ARGUMENT, "INVALID_REQUEST", {"until"})


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": "see https://evil.example"}, "reason"),
        ({"cleanup_grace_hours": -1}, "cleanup_grace_hours"),
        ({"cleanup_grace_hours": 87_601}, "cleanup_grace_hours"),
    ],
)
def test_what_makes_no_sense_is_refused(world: World, given: dict[str, Any], field: str) -> None:
    acme = world.organization(world.person())
    with world.unchanged(acme):
        refusal = world.platform().refusal(SUSPEND, organization_id=acme.id, **given)
    assert (refusal.code, set(refusal.violations)) == (Code.INVALID_ARGUMENT, {field})


@pytest.mark.parametrize("name", [SUSPEND, UNSUSPEND])
def test_what_is_deleted_or_unknown_is_not_suspended(world: World, name: str) -> None:
    ana, operator = world.person(), world.platform()
    acme = world.organization(ana)
    ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    refusal = operator.refusal(name, organization_id=acme.id)
    assert refusal.seen == (Code.FAILED_PRECONDITION, "ORGANIZATION_DELETED", {"organization_id": acme.id})
    refusal = operator.refusal(name, organization_id="0" * 26)
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE")


def test_a_deletion_after_the_end_of_a_suspension_leaves_nothing_of_it(world: World) -> None:
    ana, operator = world.person(), world.platform()
    acme = world.organization(ana)
    until = world.clock.now() + timedelta(hours=1)
    operator(SUSPEND, organization_id=acme.id, until=timestamp(until))
    with world.at(until):
        ana.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
        back = ana.rpc("OrganizationService.UndeleteOrganization", organization_id=acme.id)
    assert (back.state, back.HasField("suspension")) == (ACTIVE, False)
    assert ana.rpc(GET, organization_id=acme.id).state == ACTIVE  # also before that end


def test_the_trail_tells_who_suspended_why_and_until_when(world: World) -> None:
    ana, token = world.person(), world.platform_token()
    acme = world.organization(ana)
    until = world.clock.now() + timedelta(days=1)
    world.client(token)(SUSPEND, organization_id=acme.id, reason="Unpaid", until=timestamp(until), cleanup_grace_hours=7)
    world.client(token)(UNSUSPEND, organization_id=acme.id)
    ended, began = world.events(acme, ana)[:2]
    assert (began.action, began.actor.kind) == ("organization.suspend", 4)
    told = {change.field: (change.before, change.after) for change in began.changes}
    assert set(told) == {"state", "suspension", "cleanup_grace_hours"}
    assert told["suspension"][1].struct_value["reason"] == "Unpaid"
    assert told["cleanup_grace_hours"][1].number_value == 7
    assert {change.field for change in ended.changes} == {"state", "suspension"}


def test_questions_about_the_past_know_when_it_was_suspended(world: World) -> None:
    ana, operator = world.person(), world.platform()
    acme = world.organization(ana)
    start = world.clock.now() + timedelta(minutes=1)
    until = start + timedelta(hours=1)
    with world.at(start):
        operator(SUSPEND, organization_id=acme.id, until=timestamp(until))
    with world.at(until + timedelta(days=1)):
        instants = {start - MILLISECOND: True, start: False, until - MILLISECOND: False, until: True}
        for instant, allowed in instants.items():
            told = ana.rpc(CHECK, organization_id=acme.id, permission="audit-log:read", explain=True, as_of=timestamp(instant))
            assert told.allowed is allowed, instant
