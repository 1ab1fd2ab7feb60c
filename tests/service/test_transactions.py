"""A change happens entirely or not at all, and its audit event with it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
import peewee
import pytest
from google.protobuf.descriptor import MethodDescriptor
from support import raw
from support.breakage import FailingStatement
from support.descriptors import core_methods, is_change, label, methods
from support.rpc import Refused
from support.stage import Stage, events_of, outcome, state_for
from support.world import World

from tenantry_server.domain import call as calls
from tenantry_server.store import sqlite
from tenantry_server.store.change import Change
from tenantry_server.store.queries import organizations
from tenantry_server.store.transactions import change

pytest_plugins = ("support.only",)

Code = grpc.StatusCode
# Takes a transaction for each organization in which something is to be removed; see below.
ERASURE = "UserService.EraseUser"
CHANGES = [method for method in methods() if is_change(method) and label(method) != ERASURE]
_MOST_STATEMENTS = 40


def _is_internal(answer: Any) -> bool:
    return (
        isinstance(answer, Refused)
        and answer.seen == (Code.INTERNAL, "INTERNAL", {"call_id": answer.trailing["x-request-id"]})
        and answer.message == "internal error"
    )


@pytest.mark.parametrize("method", CHANGES, ids=label)
def test_a_change_that_fails_at_any_statement_leaves_nothing(
    method: MethodDescriptor, deploy_own: Callable[..., World]
) -> None:
    world = deploy_own()
    stage = Stage(world, state_for(method))
    database, url = world.deployment.database, world.deployment.url
    request = stage.request(method, request_id="the-same" if method in core_methods() else "")
    before = raw.snapshot(url)
    places: list[int | str] = ["begin", "commit", *range(_MOST_STATEMENTS)]
    for which in places:
        with FailingStatement(database, which) as failing:
            answer = outcome(stage.actor(method), method, request)
        if not failing.failed:
            break
        assert _is_internal(answer), f"at {which}: {answer}"
        assert raw.snapshot(url) == before, f"at {which}"
    # The last one had no such statement any more: the server still works, and the request id is not used up.
    assert isinstance(which, int)
    assert which > 2, "a change counts the revision, asks for the caller's rights and writes an event at least"
    assert not isinstance(answer, Refused), answer
    assert len(raw.snapshot(url)["audit_events"]) == len(before["audit_events"]) + events_of(method)
    assert world.breaches() == []


def test_an_erasure_that_is_cut_short_leaves_all_sound_and_goes_on_when_it_is_repeated(
    deploy_own: Callable[..., World],
) -> None:
    world = deploy_own()
    stage = Stage(world)
    (method,) = [method for method in methods() if label(method) == ERASURE]
    request, email = stage.request(method, request_id="the-same"), stage.deleted_user.email
    places: list[int | str] = ["begin", "commit", *range(_MOST_STATEMENTS)]
    for which in places:
        with FailingStatement(world.deployment.database, which) as failing:
            answer = outcome(stage.operator, method, request)
        if not failing.failed:
            break
        assert _is_internal(answer), f"at {which}: {answer}"
        assert world.breaches() == [], f"at {which}"
    assert not isinstance(answer, Refused), answer
    assert outcome(stage.operator, method, request) == answer
    assert email not in repr(raw.snapshot(world.deployment.url))
    assert world.breaches() == []


def test_without_the_rollback_it_would_leave_something(
    on_sqlite: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = on_sqlite()
    stage = Stage(world)
    before = raw.snapshot(world.deployment.url)
    monkeypatch.setattr(world.deployment.database, "rollback", world.deployment.database.commit)
    with FailingStatement(world.deployment.database, 3), pytest.raises(Refused):
        world.role(stage.organization, stage.owner, "sandbox:write")
    assert raw.snapshot(world.deployment.url) != before


def test_a_change_whose_audit_event_cannot_be_written_does_not_happen(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    owner = world.person("owner")
    acme = world.organization(owner)
    with raw.connect(world.deployment.url) as connection:
        connection.execute("ALTER TABLE audit_events RENAME TO elsewhere")
    for _ in range(10):  # every worker, more than once
        refusal = owner.rpc.refusal("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Apex")
        assert _is_internal(refusal)
        assert owner.rpc("OrganizationService.GetOrganization", organization_id=acme.id) == acme
    with raw.connect(world.deployment.url) as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO audit_events")
    assert owner.rpc("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Apex").name == "Apex"
    assert world.breaches() == []


def test_a_full_disk_refuses_changes_and_keeps_what_there_is(
    on_sqlite: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sqlite._PRAGMAS, "max_page_count", 150)
    world = on_sqlite()
    owner = world.person("owner")
    acme = world.organization(owner)
    made, refusal = 0, None
    while refusal is None:
        try:
            world.role(acme, owner, "sandbox:write")
            made += 1
        except Refused as refused:
            refusal = refused
    metadata = {"limit": "disk space", "maximum": "the disk"}
    assert refusal.seen == (Code.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", metadata)
    assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == made
    assert owner.rpc("RoleService.ListRoles", organization_id=acme.id).roles
    assert world.breaches() == []


def _change(world: World, organization_id: str, body: Callable[[Change], str]) -> str:
    return change(world.services.store, calls.operator("test"), organization_id, body, str)


@pytest.mark.parametrize("events", [0, 2])
def test_a_change_without_its_one_audit_event_does_not_happen(world: World, events: int) -> None:
    acme = world.organization(world.person("owner"))

    def body(change: Change) -> str:
        change.database.run(organizations.RENAME, organization_id=acme.id, name="Apex")
        for _ in range(events):
            change.record("test", "organization", acme.id, {})
        return "done"

    revision = world.revision(acme.id)
    with pytest.raises((RuntimeError, peewee.IntegrityError)):  # the trail's key notices the second, where it does not wait
        _change(world, acme.id, body)
    assert world.revision(acme.id) == revision
    assert raw.values(world.deployment.database, "organizations", "name", id=acme.id) == ["Acme"]
    assert raw.count(world.deployment.database, "audit_events", organization_id=acme.id) == revision


def test_a_second_audit_event_is_noticed_even_under_a_revision_of_its_own(world: World) -> None:
    acme = world.organization(world.person("owner"))

    def body(change: Change) -> str:
        change.record("test", "organization", acme.id, {})
        change.enter(replace(change.organization, revision=change.organization.revision + 1))
        change.record("test", "organization", acme.id, {})
        return "done"

    with pytest.raises(RuntimeError, match="wrote 2 audit events instead of one"):
        _change(world, acme.id, body)
    assert world.breaches() == []


def test_a_change_that_is_only_tried_leaves_nothing(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    for method in [method for method in core_methods() if is_change(method)]:
        stage = Stage(world, state_for(method))
        before = raw.snapshot(world.deployment.url)
        request = stage.request(method, validate_only=True, request_id="the-same")
        answer = outcome(stage.actor(method), method, request)
        assert not isinstance(answer, Refused), f"{method.full_name}: {answer}"
        assert raw.snapshot(world.deployment.url) == before, method.full_name


def test_what_a_change_answers_is_what_is_read_afterwards(world: World) -> None:
    """The answer of a change is made before the commit: it must not say more than was written."""
    owner = world.person("owner")
    acme = world.organization(owner)
    assert owner.rpc("OrganizationService.GetOrganization", organization_id=acme.id) == acme
    renamed = owner.rpc("OrganizationService.UpdateOrganization", organization_id=acme.id, name="Apex")
    assert owner.rpc("OrganizationService.GetOrganization", organization_id=acme.id) == renamed
    role = world.role(acme, owner, "sandbox:write")
    assert owner.rpc("RoleService.GetRole", organization_id=acme.id, role_id=role.id) == role
    person = world.person("member")
    member = world.join(acme, owner, person, role.id)
    key = {"organization_id": acme.id, "user_id": person.id}
    assert owner.rpc("MemberService.GetMember", **key) == member
    changed = owner.rpc("MemberService.UpdateMemberAccess", **key, role="MEMBER_ROLE_OWNER", assigned_role_ids=[])
    assert owner.rpc("MemberService.GetMember", **key) == changed
    invitation = world.invite(acme, owner, f"guest-{person.email}", role.id)
    key = {"organization_id": acme.id, "invitation_id": invitation.id}
    assert owner.rpc("InvitationService.GetInvitation", **key) == invitation
    for move in ("ResendInvitation", "CancelInvitation"):
        moved = owner.rpc(f"InvitationService.{move}", **key)
        assert owner.rpc("InvitationService.GetInvitation", **key) == moved
