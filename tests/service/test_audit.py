"""The audit trail: exactly one event for every change, which says who did what to what, and none for anything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf import json_format
from grpc import StatusCode
from support.deployment import CATALOG
from support.rpc import Client
from support.world import AUDITOR, DEVELOPER, MEMBER, OWNER, Person, World

from tenantry_server.domain import ids

LIST = "AuditService.ListAuditEvents"
ORGANIZATION, MEMBERS, ROLES, INVITATIONS = (f"{noun}Service" for noun in ("Organization", "Member", "Role", "Invitation"))
Told = tuple[str, str, str, dict[str, tuple[Any, Any]]]

# What choosing a default region gives there.
QUOTA = {"region_id": "eu", "resource_class": "container", "limits": CATALOG.metrics.initial()}


def told(event: Any) -> Told:
    """What an event says was done to what, and each field before and after."""
    changes = {
        change.field: (json_format.MessageToDict(change.before), json_format.MessageToDict(change.after))
        for change in event.changes
    }
    return event.action, event.target.type, event.target.id, changes


def trail(world: World, organization: Any, owner: Person, since: Any = 0) -> list[Told]:
    """The events after a revision, the oldest first."""
    return [told(event) for event in reversed(world.events(organization, owner)) if event.revision > since]


def test_life_of_an_organization_is_told(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo, DEVELOPER)
    key, since = {"organization_id": acme.id}, world.revision(acme.id)
    ana.rpc(f"{ORGANIZATION}.UpdateOrganization", **key, name="New")
    ana.rpc(f"{ORGANIZATION}.SetDefaultRegion", **key, default_region_id="eu")
    ana.rpc(f"{ORGANIZATION}.UpdateOrganizationSettings", **key, limited_network_egress=True, experimental_config={"a": 1})
    deleted = ana.rpc(f"{ORGANIZATION}.DeleteOrganization", **key)
    ana.rpc(f"{ORGANIZATION}.UndeleteOrganization", **key)
    ana.rpc(f"{ORGANIZATION}.TransferOwnership", **key, user_id=bo.id, assigned_role_ids=[AUDITOR])
    ana.rpc(f"{ORGANIZATION}.LeaveOrganization", **key)
    times = [time.ToJsonString() for time in (deleted.delete_time, deleted.purge_time)]
    this = ("organization", acme.id)
    assert trail(world, acme, bo, since) == [
        ("organization.update", *this, {"name": ("Acme", "New")}),
        ("organization.set_default_region", *this, {"default_region_id": ("", "eu"), "region_quota": (None, QUOTA)}),
        (
            "organization.update_settings",
            *this,
            {"limited_network_egress": (False, True), "experimental_config": ({}, {"a": 1})},
        ),
        (
            "organization.delete",
            *this,
            {"state": ("active", "deleted"), "delete_time": (None, times[0]), "purge_time": (None, times[1])},
        ),
        (
            "organization.undelete",
            *this,
            {"state": ("deleted", "active"), "delete_time": (times[0], None), "purge_time": (times[1], None)},
        ),
        (
            "organization.transfer_ownership",
            *this,
            {"owner_user_id": (ana.id, bo.id), "former_owner_roles": ([], [AUDITOR])},
        ),
        ("member.leave", "member", ana.id, {"role": ("member", None), "assigned_roles": ([AUDITOR], None)}),
    ]


def test_beginning_of_an_organization_is_told(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    ((action, kind, target, changes),) = trail(world, acme, ana)
    assert (action, kind, target) == ("organization.create", "organization", acme.id)
    assert changes["name"] == (None, "Acme")
    assert changes["slug"] == (None, acme.slug)
    assert changes["creator_user_id"] == (None, ana.id)
    personal = ana.rpc(f"{ORGANIZATION}.GetCurrentOrganization")
    first = world.events(personal, ana)[-1]
    assert (first.revision, first.action, first.target.type, first.target.id) == (1, "user.create", "user", ana.id)


def test_changes_of_roles_are_told(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    role = world.role(acme, ana, "sandbox:write", "sandbox:read", name="Ops")
    bo, offer = world.member(acme, ana, role.id), world.invite(acme, ana, "guest@example.com", role.id)
    key = {"organization_id": acme.id, "role_id": role.id}
    ana.rpc(f"{ROLES}.UpdateRole", **key, name="New", permissions=["sandbox:read"])
    ana.rpc(f"{ROLES}.DeleteRole", **key, unassign=True)
    events = trail(world, acme, ana, acme.revision)
    both = ["sandbox:read", "sandbox:write"]
    made = {"name": (None, "Ops"), "description": (None, ""), "permissions": (None, both)}
    gone = {"name": ("New", None), "description": ("", None), "permissions": (both[:1], None)}
    of_the_kind = {"system": (None, False), "assignable": (None, True)}
    assert events[0] == ("role.create", "role", role.id, made | of_the_kind)
    assert events[3] == ("role.update", "role", role.id, {"name": ("Ops", "New"), "permissions": (both, both[:1])})
    holders: dict[str, tuple[Any, Any]] = {"members": ([bo.id], []), "invitations": ([offer.id], [])}
    unmade = {field: (after, before) for field, (before, after) in of_the_kind.items()}
    assert events[4] == ("role.delete", "role", role.id, gone | unmade | holders)


def test_changes_of_members_are_told(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo, DEVELOPER)
    key = {"organization_id": acme.id, "user_id": bo.id}
    ana.rpc(f"{MEMBERS}.UpdateMemberAccess", **key, role=OWNER, assigned_role_ids=[AUDITOR])
    ana.rpc(f"{MEMBERS}.RemoveMember", **key)
    assert trail(world, acme, ana, acme.revision) == [
        ("member.add", "member", bo.id, {"role": (None, "member"), "assigned_roles": (None, [DEVELOPER])}),
        (
            "member.update_access",
            "member",
            bo.id,
            {"role": ("member", "owner"), "assigned_roles": ([DEVELOPER], [AUDITOR])},
        ),
        ("member.remove", "member", bo.id, {"role": ("owner", None), "assigned_roles": ([AUDITOR], None)}),
    ]


def test_changes_of_invitations_are_told(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email, DEVELOPER)
    key = {"organization_id": acme.id, "invitation_id": offer.id}
    ana.rpc(f"{INVITATIONS}.UpdateInvitation", **key, role=OWNER, assigned_role_ids=[AUDITOR])
    sent = ana.rpc(f"{INVITATIONS}.ResendInvitation", **key)
    guest.rpc(f"{INVITATIONS}.AcceptInvitation", invitation_id=offer.id)
    this, before, after = ("invitation", offer.id), offer.expire_time.ToJsonString(), sent.expire_time.ToJsonString()
    made = {"state": (None, "pending"), "role": (None, "member"), "assigned_roles": (None, [DEVELOPER])}
    addresses = {"email": (None, guest.email), "inviter_email": (None, ana.email), "expire_time": (None, before)}
    assert trail(world, acme, ana, acme.revision) == [
        ("invitation.create", *this, made | addresses),
        ("invitation.update", *this, {"role": ("member", "owner"), "assigned_roles": ([DEVELOPER], [AUDITOR])}),
        ("invitation.resend", *this, {"expire_time": (before, after)}),
        ("invitation.accept", *this, {"state": ("pending", "accepted"), "user_id": (None, guest.id)}),
    ]


@pytest.mark.parametrize(("end", "state"), [("decline", "declined"), ("cancel", "cancelled")])
def test_end_of_an_invitation_is_told(world: World, end: str, state: str) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, guest.email)
    scope = {} if end == "decline" else {"organization_id": acme.id}
    (guest if end == "decline" else ana).rpc(f"{INVITATIONS}.{end.title()}Invitation", invitation_id=offer.id, **scope)
    expected = (f"invitation.{end}", "invitation", offer.id, {"state": ("pending", state)})
    assert trail(world, acme, ana, offer.revision) == [expected]


def test_revival_of_an_expired_invitation_is_told(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    offer = world.invite(acme, ana, "guest@example.com")
    with world.at(offer.expire_time.ToDatetime(UTC)):
        sent = ana.rpc(f"{INVITATIONS}.ResendInvitation", organization_id=acme.id, invitation_id=offer.id)
    times = (offer.expire_time.ToJsonString(), sent.expire_time.ToJsonString())
    changes = {"state": ("expired", "pending"), "expire_time": times}
    assert trail(world, acme, ana, offer.revision) == [("invitation.resend", "invitation", offer.id, changes)]


def test_events_say_who_by_which_credential_when_and_in_which_call(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    personal = ana.rpc(f"{ORGANIZATION}.GetCurrentOrganization")
    own_token = world.events(personal, ana)[0].target.id
    bound, program = world.token(ana, organization_id=acme.id), world.token(organization_id=acme.id)
    program_id, bound_id = (event.target.id for event in world.events(acme, ana)[:2])
    actors = [(ana.token, (1, ana.id, own_token)), (bound, (2, ana.id, bound_id)), (program, (3, acme.id, program_id))]
    for token, (kind, actor, credential) in actors:
        call_id = ids.new()
        client = Client(world.deployment.channel, token, metadata=(("x-request-id", call_id),))
        with world.at(datetime.now(UTC) + timedelta(minutes=kind)):
            now = world.clock.now()
            role = client(f"{ROLES}.CreateRole", organization_id=acme.id, name="Ops", permissions=["sandbox:read"])
        event = world.events(acme, ana)[0]
        assert (event.actor.kind, event.actor.id, event.actor.credential_id) == (kind, actor, credential)
        assert (event.organization_id, event.revision, event.call_id) == (acme.id, role.revision, call_id)
        assert event.time == role.create_time
        assert event.time.ToDatetime(UTC) == now


def test_operator_is_told_as_such(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    world.token(organization_id=acme.id, permissions=["role:create"])
    event = world.events(acme, ana)[0]
    assert (event.actor.kind, event.actor.id, event.actor.credential_id) == (4, "", "")
    assert (event.action, event.target.type) == ("api_token.create", "api_token")
    assert told(event)[3]["permissions"] == (None, ["role:create"])


@pytest.mark.parametrize("sent", ["", "short", "x" * 65, "with blank here", "<script>1234"])
def test_call_ids_that_are_not_fit_are_replaced(world: World, sent: str) -> None:
    ana = world.person()
    acme = world.organization(ana)
    client = Client(world.deployment.channel, ana.token, metadata=(("x-request-id", sent),))
    client(f"{ROLES}.CreateRole", organization_id=acme.id, name="Ops", permissions=["sandbox:read"])
    call_id = world.events(acme, ana)[0].call_id
    assert call_id != sent
    assert ids.find(call_id) == call_id


def test_refusal_says_in_which_call(world: World) -> None:
    ana = world.person()
    call_id = ids.new()
    client = Client(world.deployment.channel, ana.token, metadata=(("x-request-id", call_id),))
    assert client.refusal(f"{ORGANIZATION}.GetOrganization", organization_id=ids.new()).trailing["x-request-id"] == call_id


def test_what_was_refused_tried_or_repeated_is_not_told(world: World) -> None:
    ana, guest = world.person(), world.person()
    acme = world.organization(ana)
    key = {"organization_id": acme.id}
    role = ana.rpc(f"{ROLES}.CreateRole", **key, name="Ops", permissions=["sandbox:read"], request_id="once")
    offer = world.invite(acme, ana, guest.email)
    before = world.events(acme, ana)
    ana.rpc(f"{ROLES}.CreateRole", **key, name="Ops", permissions=["sandbox:read"], request_id="once")
    ana.rpc(f"{ROLES}.DeleteRole", **key, role_id=role.id, validate_only=True)
    guest.rpc(f"{INVITATIONS}.AcceptInvitation", invitation_id=offer.id, validate_only=True)
    ana.rpc.refusal(f"{ORGANIZATION}.LeaveOrganization", **key)
    ana.rpc.refusal(f"{ROLES}.UpdateRole", **key, role_id=role.id, etag="r0", name="New")
    guest.rpc.refusal(f"{ORGANIZATION}.DeleteOrganization", **key)
    assert world.events(acme, ana) == before
    assert ana.rpc(f"{INVITATIONS}.GetInvitation", **key, invitation_id=offer.id) == offer


def test_every_revision_has_one_event(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    items = [{"email": address, "role": MEMBER} for address in ("a@example.com", "b@c@d", "b@example.com")]
    ana.rpc(f"{INVITATIONS}.BatchCreateInvitations", organization_id=acme.id, items=items)
    world.member_with(acme, ana, "sandbox:read")
    revisions = [event.revision for event in world.events(acme, ana)]
    assert revisions == list(range(world.revision(acme.id), 0, -1))
    assert world.breaches() == []


def test_trail_is_read_with_its_permission_and_of_ones_own_organization_alone(world: World) -> None:
    ana, eve = world.person(), world.person()
    acme = world.organization(ana)
    mia, auditor = world.member(acme, ana, DEVELOPER), world.member(acme, ana, AUDITOR)
    assert auditor.rpc(LIST, organization_id=acme.id).events
    plain, stranger = (person.rpc.refusal(LIST, organization_id=acme.id) for person in (mia, eve))
    assert plain.seen == (StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", {"permissions": "audit-log:read"})
    assert stranger.seen == (StatusCode.PERMISSION_DENIED, "ORGANIZATION_NOT_ACCESSIBLE", {"organization_id": acme.id})
