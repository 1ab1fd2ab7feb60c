"""The audit trail of tokens: one event for each change, in the right trail, which says what changed and no secret."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import json_format
from support.rpc import Client
from support.tokens import MINE, OURS, PLATFORM, Made, mine, ours, own_id, platforms
from support.world import World, fresh

HOUR = timedelta(hours=1)
Trail = Callable[[], list[Any]]


class Owned:
    """A token, who changes it, and the trail in which its changes stand."""

    def __init__(self, client: Client, service: str, make: Callable[..., Made], trail: Trail, actor: tuple[int, str]) -> None:
        self.client, self.service, self.make, self.trail, self.actor = client, service, make, trail, actor
        self.fields: dict[str, str] = {}

    def call(self, verb: str, **fields: Any) -> Any:
        return self.client(self.service.format(verb), **self.fields, **fields)


def _person(world: World) -> Owned:
    """Tokens that reach all of a person's organizations stand in the trail of their personal one."""
    ana = world.person()
    key = {"organization_id": ana.personal_organization_id}
    trail = lambda: list(ana.rpc("AuditService.ListAuditEvents", **key).events)
    return Owned(ana.rpc, MINE, lambda **more: mine(world, ana.rpc, **more), trail, (1, ana.id))


def _bound(world: World) -> Owned:
    ana = world.person()
    acme = world.organization(ana)
    make = lambda **more: mine(world, ana.rpc, bound_to=acme, **more)
    return Owned(ana.rpc, MINE, make, lambda: world.events(acme, ana), (1, ana.id))


def _organization(world: World) -> Owned:
    ana = world.person()
    acme = world.organization(ana)
    owned = Owned(
        ana.rpc, OURS, lambda **more: ours(world, ana.rpc, acme, **more), lambda: world.events(acme, ana), (1, ana.id)
    )
    owned.fields = {"organization_id": acme.id}
    return owned


def _platform(world: World) -> Owned:
    client = world.platform()
    trail = lambda: list(client("AuditService.ListPlatformAuditEvents").events)
    return Owned(client, PLATFORM, lambda **more: platforms(world, client, **more), trail, (4, ""))


OWNERS = {"a person": _person, "a person, bound": _bound, "an organization": _organization, "the platform": _platform}


@pytest.fixture(params=OWNERS)
def owned(world: World, request: pytest.FixtureRequest) -> Owned:
    return OWNERS[request.param](world)


def read(event: Any) -> tuple[str, str, dict[str, Any]]:
    """Action, target type, and what changed: for each field the value before and after."""
    changes = {}
    for change in event.changes:
        told = json_format.MessageToDict(change)
        changes[change.field] = (told.get("before"), told.get("after"))
    return event.action, event.target.type, changes


def test_every_change_has_one_event(owned: Owned) -> None:
    made = owned.make(description="What for")
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("api_token.update", lambda: owned.call("Update", api_token_id=made.id, name=fresh("New "))),
        ("api_token.rotate", lambda: owned.call("Rotate", api_token_id=made.id)),
        ("api_token.revoke", lambda: owned.call("Revoke", api_token_id=made.id)),
    ]
    before = owned.trail()
    assert (before[0].action, before[0].target.id) == ("api_token.create", made.id)
    for number, (action, act) in enumerate(steps, 1):
        act()
        events = owned.trail()
        assert len(events) in (len(before) + number, 100)
        event = events[0]
        assert (event.action, event.target.type, event.target.id) == (action, "api_token", made.id)
        assert event.revision == before[0].revision + number
        assert (event.actor.kind, event.actor.id, event.actor.credential_id) == (*owned.actor, own_id(owned.client))


def test_event_of_a_new_token_says_what_it_is(world: World, owned: Owned) -> None:
    end = world.clock.now() + HOUR
    made = owned.make(description="What for", expire_time=end)
    action, target, changes = read(owned.trail()[0])
    assert (action, target) == ("api_token.create", "api_token")
    assert changes["name"] == (None, made.token.name)
    assert changes["description"] == (None, "What for")
    assert changes["hint"] == (None, made.secret[:12])
    assert changes["kind"] == (None, {1: "usr", 2: "org", 3: "plt"}[made.token.kind])
    assert changes["expire_time"][1].startswith(end.strftime("%Y-%m-%dT%H:%M:%S"))


def test_event_of_a_change_says_what_became_of_what(owned: Owned) -> None:
    permission = "user:read" if owned.service == PLATFORM else "sandbox:read"
    made = owned.make(description="Before")
    fields = {"description": "After", "permissions": [permission]}
    owned.call("Update", api_token_id=made.id, **fields)
    _, _, changes = read(owned.trail()[0])
    assert changes == {"description": ("Before", "After"), "permissions": (None, [permission])}
    owned.call("Update", api_token_id=made.id, unrestricted=True)
    assert read(owned.trail()[0])[2] == {"permissions": ([permission], None)}


def test_event_of_a_rotation_says_which_secret_and_until_when(owned: Owned) -> None:
    made = owned.make()
    answer = owned.call("Rotate", api_token_id=made.id, overlap=HOUR)
    _, _, changes = read(owned.trail()[0])
    assert changes["hint"] == (made.secret[:12], answer.secret[:12])
    assert set(changes) == {"hint", "overlap_end_time"}
    end = answer.api_token.overlap_end_time.ToDatetime()
    assert changes["overlap_end_time"] == (None, end.strftime("%Y-%m-%dT%H:%M:%S.") + f"{end.microsecond // 1000:03d}Z")


def test_no_event_tells_a_secret(owned: Owned) -> None:
    made = owned.make()
    rotated = owned.call("Rotate", api_token_id=made.id, overlap=HOUR).secret
    owned.call("Revoke", api_token_id=made.id)
    told = str(owned.trail())
    for secret in (made.secret, rotated):
        assert secret[12:] not in told
        assert secret[:12] in told


def test_token_that_is_kept_out_is_told_in_the_organizations_trail_alone(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo)
    made = mine(world, bo.rpc)
    personal = bo.rpc("OrganizationService.GetOrganization", organization_id=bo.personal_organization_id)
    with world.unchanged(personal):
        ana.rpc(OURS.format("Revoke"), organization_id=acme.id, api_token_id=made.id)
    event = world.events(acme, ana)[0]
    assert (event.action, event.target.id, event.actor.id) == ("api_token.exclude", made.id, ana.id)
    assert made.secret[12:] not in str(event)


def test_organization_that_revokes_a_bound_token_tells_it_in_its_own_trail(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bo = world.member(acme, ana)
    made = mine(world, bo.rpc, bound_to=acme)
    ana.rpc(OURS.format("Revoke"), organization_id=acme.id, api_token_id=made.id)
    event = world.events(acme, ana)[0]
    assert (event.action, event.target.id, event.actor.id) == ("api_token.revoke", made.id, ana.id)


def test_what_a_token_does_is_told_of_the_token(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    program, bound = ours(world, ana.rpc, acme), mine(world, ana.rpc, bound_to=acme)
    for made, kind, actor in ((program, 3, acme.id), (bound, 2, ana.id)):
        child = ours(world, made.rpc, acme)
        event = world.events(acme, ana)[0]
        assert (event.target.id, event.actor.kind, event.actor.id) == (child.id, kind, actor)
        assert event.actor.credential_id == made.id
