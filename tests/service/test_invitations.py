"""Invitations on the organization's side: made, changed, sent again and withdrawn, within what one holds oneself."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.deployment import CATALOG
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER, SANDBOXES_ADMIN, Person, World, fresh

from tenantry_server.domain import ids

CREATE, GET, LIST = (f"InvitationService.{verb}" for verb in ("CreateInvitation", "GetInvitation", "ListInvitations"))
UPDATE, RESEND, CANCEL = (f"InvitationService.{verb}Invitation" for verb in ("Update", "Resend", "Cancel"))
ACCEPT, DECLINE = "InvitationService.AcceptInvitation", "InvitationService.DeclineInvitation"
DAY = timedelta(days=1)


def role_ids(invitation: Any) -> list[str]:
    return [role.id for role in invitation.assigned_roles]


def finished(world: World, end: str) -> tuple[Person, Person, Any, Any]:
    """An owner, an invitee, their organization, and an invitation that is over."""
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    if end == "cancelled":
        ana.rpc(CANCEL, organization_id=acme.id, invitation_id=offer.id)
    else:
        guest.rpc(ACCEPT if end == "accepted" else DECLINE, invitation_id=offer.id)
    return ana, guest, acme, offer


def test_invitation_is_made_as_asked(world: World) -> None:
    ana = world.person()
    acme, address = world.organization(ana), f"{fresh('guest')}@example.com"
    with world.at(acme.create_time.ToDatetime(UTC) + DAY):
        offer = world.invite(acme, ana, address, DEVELOPER, AUDITOR, role=OWNER)
    assert (offer.organization_id, offer.organization_name, offer.inviter_email) == (acme.id, "Acme", ana.email)
    assert (offer.email, offer.state, offer.role, role_ids(offer)) == (address, 1, 1, [DEVELOPER, AUDITOR])
    assert offer.create_time.ToDatetime() == acme.create_time.ToDatetime() + DAY
    assert offer.expire_time.ToDatetime() == offer.create_time.ToDatetime() + 7 * DAY
    assert offer.revision == world.revision(acme.id) == acme.revision + 1
    assert ana.rpc(GET, organization_id=acme.id, invitation_id=offer.id) == offer


def test_program_invites_without_an_address_of_its_own(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    program = world.client(world.token(organization_id=acme.id))
    assert program(CREATE, organization_id=acme.id, email="guest@example.com", role=MEMBER).inviter_email == ""


def test_address_has_one_pending_invitation_in_an_organization(world: World) -> None:
    ana = world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    world.invite(acme, ana, "guest@example.com")
    with world.unchanged(acme):
        refusal = ana.rpc.refusal(CREATE, organization_id=acme.id, email="Guest@Example.com", role=OWNER)
    assert refusal.seen == (StatusCode.ALREADY_EXISTS, "INVITATION_PENDING", {"email": "guest@example.com"})
    assert world.invite(birch, ana, "guest@example.com").state == 1
    assert world.breaches() == []


def test_member_cannot_be_invited(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo)
    with world.unchanged(acme):
        for spelling in (bo.email, bo.email.upper()):
            refusal = ana.rpc.refusal(CREATE, organization_id=acme.id, email=spelling, role=MEMBER)
            assert refusal.seen == (StatusCode.ALREADY_EXISTS, "ALREADY_MEMBER", {"email": bo.email})


@pytest.mark.parametrize("end", ["accepted", "declined", "cancelled"])
@pytest.mark.parametrize("move", [UPDATE, RESEND, CANCEL, ACCEPT, DECLINE])
def test_invitation_that_is_over_stays_so(world: World, end: str, move: str) -> None:
    ana, guest, acme, offer = finished(world, end)
    with world.unchanged(acme):
        if move in (ACCEPT, DECLINE):
            refusal = guest.rpc.refusal(move, invitation_id=offer.id)
        else:
            refusal = ana.rpc.refusal(move, organization_id=acme.id, invitation_id=offer.id)
    metadata = {"invitation_id": offer.id, "state": end}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "INVITATION_NOT_PENDING", metadata)


@pytest.mark.parametrize("end", ["declined", "cancelled", "left"])
def test_address_can_be_invited_anew_once_the_invitation_is_over(world: World, end: str) -> None:
    ana, guest, acme, offer = finished(world, "accepted" if end == "left" else end)
    if end == "left":
        guest.rpc("OrganizationService.LeaveOrganization", organization_id=acme.id)
    again = world.invite(acme, ana, guest.email)
    assert (again.id != offer.id, again.state) == (True, 1)
    assert guest.rpc(ACCEPT, invitation_id=again.id).state == 2


def test_invitation_is_cancelled(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, "guest@example.com", AUDITOR)
    cancelled = ana.rpc(CANCEL, organization_id=acme.id, invitation_id=offer.id)
    assert (cancelled.state, cancelled.revision, role_ids(cancelled)) == (4, offer.revision + 1, [AUDITOR])
    assert ana.rpc(GET, organization_id=acme.id, invitation_id=offer.id) == cancelled


def test_change_replaces_what_is_given_alone(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, "guest@example.com", AUDITOR)
    key = {"organization_id": acme.id, "invitation_id": offer.id}
    promoted = ana.rpc(UPDATE, **key, role=OWNER)
    assert (promoted.role, role_ids(promoted), promoted.expire_time) == (1, [AUDITOR], offer.expire_time)
    changed = ana.rpc(UPDATE, **key, assigned_role_ids=[SANDBOXES_ADMIN, DEVELOPER])
    assert (changed.role, role_ids(changed)) == (1, [DEVELOPER, SANDBOXES_ADMIN])
    later = offer.expire_time.ToDatetime(UTC) + DAY
    prolonged = ana.rpc(UPDATE, **key, expire_time=later)
    assert (prolonged.role, role_ids(prolonged), prolonged.revision) == (1, role_ids(changed), offer.revision + 3)
    assert prolonged.expire_time.ToDatetime(UTC) == later
    assert ana.rpc(GET, **key) == prolonged


def test_sending_again_starts_the_lifetime_anew_and_grants_the_same(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, "guest@example.com", AUDITOR, role=OWNER)
    key = {"organization_id": acme.id, "invitation_id": offer.id}
    with world.at(offer.create_time.ToDatetime(UTC) + DAY):
        again = ana.rpc(RESEND, **key)
    assert again.expire_time.ToDatetime() == offer.expire_time.ToDatetime() + DAY
    assert (again.state, again.role, role_ids(again), again.revision) == (1, 1, [AUDITOR], offer.revision + 1)
    assert ana.rpc(GET, **key) == again


def test_nobody_offers_what_they_do_not_hold(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    custom = world.role(acme, ana, "audit-log:read", "sandbox:write")
    mia = world.member_with(acme, ana, "invitation:create", "invitation:update", "sandbox:write")
    modest = world.invite(acme, ana, "modest@example.com", DEVELOPER)
    generous = world.invite(acme, ana, "generous@example.com", AUDITOR)
    attempts: list[tuple[str, dict[str, Any]]] = [
        (CREATE, {"email": "new@example.com", "role": MEMBER, "assigned_role_ids": [DEVELOPER, AUDITOR]}),
        (CREATE, {"email": "new@example.com", "role": MEMBER, "assigned_role_ids": [custom.id]}),
        (UPDATE, {"invitation_id": modest.id, "assigned_role_ids": [DEVELOPER, AUDITOR]}),
        (UPDATE, {"invitation_id": generous.id, "assigned_role_ids": [DEVELOPER, AUDITOR]}),
        (UPDATE, {"invitation_id": generous.id, "expire_time": modest.expire_time}),
        (RESEND, {"invitation_id": generous.id}),
    ]
    with world.unchanged(acme):
        for method, fields in attempts:
            refusal = mia.rpc.refusal(method, organization_id=acme.id, **fields)
            beyond = (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "audit-log:read"})
            assert refusal.seen == beyond, (method, fields)
    assert mia.rpc(RESEND, organization_id=acme.id, invitation_id=modest.id).state == 1
    assert role_ids(mia.rpc(UPDATE, organization_id=acme.id, invitation_id=generous.id, assigned_role_ids=[DEVELOPER]))


def test_sending_an_expired_invitation_again_needs_what_it_offers(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia = world.member_with(acme, ana, "invitation:update")
    offer = world.invite(acme, ana, "guest@example.com", AUDITOR)
    with world.at(offer.expire_time.ToDatetime(UTC)), world.unchanged(acme):
        refusal = mia.rpc.refusal(RESEND, organization_id=acme.id, invitation_id=offer.id)
    assert refusal.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "audit-log:read"})


@pytest.mark.parametrize("whose", ["owner", "owner, bound", "organization"])
def test_narrowed_token_offers_within_its_bounds(world: World, whose: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    owners = world.invite(acme, ana, "owner@example.com", role=OWNER)
    offer = world.invite(acme, ana, "guest@example.com", SANDBOXES_ADMIN)
    person, bound = (None if whose == "organization" else ana), ("" if whose == "owner" else acme.id)
    permissions = ["invitation:create", "invitation:update", "sandbox:write"]
    narrow = world.client(world.token(person, organization_id=bound, permissions=permissions))
    new = {"email": "new@example.com", "role": MEMBER}
    with world.unchanged(acme):
        made = narrow.refusal(CREATE, organization_id=acme.id, **new, assigned_role_ids=[SANDBOXES_ADMIN])
        sent = narrow.refusal(RESEND, organization_id=acme.id, invitation_id=offer.id)
        as_owner = narrow.refusal(RESEND, organization_id=acme.id, invitation_id=owners.id)
    beyond = (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", {"permissions": "sandbox:delete"})
    assert made.seen == sent.seen == beyond
    everything_else = {"permissions": ",".join(sorted(CATALOG.all - set(permissions)))}
    assert as_owner.seen == (StatusCode.PERMISSION_DENIED, "GRANT_EXCEEDS_OWN", everything_else)
    assert narrow(CREATE, organization_id=acme.id, **new, assigned_role_ids=[DEVELOPER])


def test_members_without_the_permission_only_read(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    mia, offer = world.member(acme, ana, SANDBOXES_ADMIN), world.invite(acme, ana, "guest@example.com")
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        (CREATE, "invitation:create", {"email": "new@example.com", "role": MEMBER}),
        (UPDATE, "invitation:update", {"invitation_id": offer.id, "role": MEMBER}),
        (RESEND, "invitation:update", {"invitation_id": offer.id}),
        (CANCEL, "invitation:delete", {"invitation_id": offer.id}),
    ]
    with world.unchanged(acme):
        for method, permission, fields in attempts:
            refusal = mia.rpc.refusal(method, organization_id=acme.id, **fields)
            assert refusal.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": permission})
    assert mia.rpc(GET, organization_id=acme.id, invitation_id=offer.id) == offer


def test_invitation_that_does_not_exist_is_not_found(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        for method in (GET, UPDATE, RESEND, CANCEL):
            unknown = ids.new()
            refusal = ana.rpc.refusal(method, organization_id=acme.id, invitation_id=unknown)
            assert refusal.seen == (StatusCode.NOT_FOUND, "INVITATION_NOT_FOUND", {"invitation_id": unknown})


def test_listing_tells_states_apart(world: World) -> None:
    ana, _, acme, accepted = finished(world, "accepted")
    declined_by = world.person()
    declined = world.invite(acme, ana, declined_by.email)
    declined_by.rpc(DECLINE, invitation_id=declined.id)
    cancelled = world.invite(acme, ana, "cancelled@example.com")
    ana.rpc(CANCEL, organization_id=acme.id, invitation_id=cancelled.id)
    expired = world.invite(acme, ana, "expired@example.com")
    replaced = world.invite(acme, ana, "replaced@example.com")
    with world.at(expired.expire_time.ToDatetime(UTC) + DAY):
        pending = world.invite(acme, ana, "replaced@example.com")
        by_state: dict[str, list[str]] = {
            state: [offer.id for offer in ana.rpc(LIST, organization_id=acme.id, state=f"INVITATION_STATE_{state}").invitations]
            for state in ("PENDING", "ACCEPTED", "DECLINED", "CANCELLED", "EXPIRED")
        }
        everything = ana.rpc(LIST, organization_id=acme.id).invitations
        states = {offer.id: offer.state for offer in everything}
    assert by_state == {
        "PENDING": [pending.id],
        "ACCEPTED": [accepted.id],
        "DECLINED": [declined.id],
        "CANCELLED": [cancelled.id],
        "EXPIRED": sorted([expired.id, replaced.id]),
    }
    assert [offer.id for offer in everything] == sorted(states)
    assert states == {
        pending.id: 1, accepted.id: 2, declined.id: 3, cancelled.id: 4, expired.id: 5, replaced.id: 5
    }  # fmt: skip
