"""Calls that are under way when their caller's rights end: they find that out before they change anything.

Each call is stopped when it has been let in and waits for its turn to write. Then something happens, and it goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.interleave import Background, Stop
from support.operators import delete_user
from support.rpc import Client, Refused
from support.tokens import (
    INVALID_CREDENTIAL,
    MINE,
    OURS,
    PLATFORM,
    Made,
    Seen,
    beyond,
    inaccessible,
    is_good,
    mine,
    missing,
    ours,
    own_id,
    platforms,
    unknown,
)
from support.world import OWNER, World, fresh

from tenantry_server.domain import call as calls
from tenantry_server.domain.errors import UserNotFound
from tenantry_server.services import own_tokens
from tenantry_server.store import transactions


class OthersStop(Stop):
    """Stops any thread but the one that writes when tokens were last used."""

    def _wait(self) -> None:
        if threading.current_thread().name != "last-used":
            super()._wait()


def meanwhile(world: World, act: Callable[[], Any], disturb: Callable[[], Any]) -> Any:
    """The outcome of a call that was let in before something happened."""
    with OthersStop(world.deployment.database, "writing") as stop:
        running = Background(act)
        stop.wait()
        disturb()
        stop.go()
        return running.result()


def seen(result: Any) -> Seen:
    assert isinstance(result, Refused), f"{result}"
    return result.seen


class Caller:
    """A token, what it does, and what its owner can do to it meanwhile."""

    def __init__(self, made: Made, owner: Client, service: str, **fields: str) -> None:
        self.made, self._owner, self._service, self._fields = made, owner, service, fields

    def create(self, *permissions: str) -> Any:
        wanted = {"name": fresh("made "), "unrestricted": not permissions, "permissions": permissions}
        return self.made.rpc(self._service.format("Create"), **self._fields, **wanted)

    def rotate(self) -> Any:
        return self.made.rpc(self._service.format("Rotate"), **self._fields, api_token_id=self.made.id)

    def rename(self) -> Any:
        key = {"api_token_id": self.made.id, "name": fresh("new ")}
        return self.made.rpc(self._service.format("Update"), **self._fields, **key)

    def by_owner(self, verb: str, **fields: Any) -> Any:
        return self._owner(self._service.format(verb), **self._fields, api_token_id=self.made.id, **fields)

    def revoked(self) -> None:
        self.by_owner("Revoke")

    def narrowed(self, *permissions: str) -> None:
        self.by_owner("Update", permissions=permissions)


def _person(world: World) -> Caller:
    ana = world.person()
    return Caller(mine(world, ana.rpc), ana.rpc, MINE)


def _bound(world: World) -> Caller:
    ana = world.person()
    return Caller(mine(world, ana.rpc, bound_to=world.organization(ana)), ana.rpc, MINE)


def _organization(world: World) -> Caller:
    ana = world.person()
    acme = world.organization(ana)
    return Caller(ours(world, ana.rpc, acme), ana.rpc, OURS, organization_id=acme.id)


def _platform(world: World) -> Caller:
    client = world.platform()
    return Caller(platforms(world, client), client, PLATFORM)


CALLERS = {"a person": _person, "bound": _bound, "an organization": _organization, "the platform": _platform}
each_caller = pytest.mark.parametrize("who", CALLERS)


@each_caller
@pytest.mark.parametrize("act", ["create", "rotate", "rename"])
def test_token_that_is_revoked_meanwhile_changes_nothing(world: World, who: str, act: str) -> None:
    caller = CALLERS[who](world)
    result = meanwhile(world, getattr(caller, act), caller.revoked)
    of_organization = caller.made.token.kind == 2
    assert seen(result) == (inaccessible(caller.made.token.organization_id) if of_organization else INVALID_CREDENTIAL)
    assert world.breaches() == []


@each_caller
def test_token_that_is_narrowed_meanwhile_makes_none_that_can_do_more(world: World, who: str) -> None:
    caller = CALLERS[who](world)
    prefix, other = ("platform-token", "user:read") if who == "the platform" else ("api-token", "sandbox:read")
    result = meanwhile(world, caller.create, lambda: caller.narrowed(f"{prefix}:create"))
    catalog = world.services.store.catalog
    expected = beyond(*sorted(catalog.all - {"api-token:create"})) if who == "an organization" else beyond("*")
    assert seen(result) == expected
    caller = CALLERS[who](world)
    result = meanwhile(world, lambda: caller.create(other), lambda: caller.narrowed(f"{prefix}:create"))
    assert seen(result) == beyond(other)
    caller = CALLERS[who](world)
    result = meanwhile(world, caller.create, lambda: caller.narrowed(other))
    assert seen(result) == missing(f"{prefix}:create")


@pytest.mark.parametrize("how", ["removed", "kept out", "demoted"])
def test_who_loses_the_organization_meanwhile_makes_no_token_in_it(world: World, how: str) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo, role=OWNER)
    key = {"organization_id": acme.id, "user_id": bo.id}
    disturb, expected = {
        "removed": (lambda: ana.rpc("MemberService.RemoveMember", **key), inaccessible(acme.id)),
        "kept out": (
            lambda: ana.rpc(OURS.format("Revoke"), organization_id=acme.id, api_token_id=own_id(bo.rpc)),
            inaccessible(acme.id),
        ),
        "demoted": (
            lambda: ana.rpc("MemberService.UpdateMemberAccess", **key, role="MEMBER_ROLE_MEMBER"),
            beyond("billing:read"),
        ),
    }[how]
    result = meanwhile(world, lambda: mine(world, bo.rpc, "billing:read", bound_to=acme), disturb)
    assert seen(result) == expected
    assert world.breaches() == []


@each_caller
@pytest.mark.parametrize("act", ["create", "rotate"])
def test_secret_that_is_rotated_meanwhile_changes_nothing(world: World, who: str, act: str) -> None:
    caller = CALLERS[who](world)
    result = meanwhile(world, getattr(caller, act), lambda: caller.by_owner("Rotate"))
    of_organization = caller.made.token.kind == 2
    assert seen(result) == (inaccessible(caller.made.token.organization_id) if of_organization else INVALID_CREDENTIAL)


def test_who_is_deleted_meanwhile_leaves_no_token(world: World) -> None:
    caller, deletion = _deleted(world)
    result = meanwhile(world, caller.create, deletion)
    assert seen(result) == INVALID_CREDENTIAL
    assert world.breaches() == []


def test_who_is_deleted_meanwhile_is_given_no_token_by_the_operator(world: World) -> None:
    person = world.person()
    result = meanwhile(
        world,
        lambda: world.services.api_tokens.provision(calls.operator("test"), user_id=person.id),
        lambda: delete_user(world.platform(), person),
    )
    assert isinstance(result, UserNotFound)
    assert world.breaches() == []


@pytest.mark.parametrize("verb", ["Update", "Rotate", "Revoke"])
@pytest.mark.parametrize("who", ["a person", "an organization"])
def test_token_that_another_revokes_meanwhile_is_not_changed(world: World, who: str, verb: str) -> None:
    caller = CALLERS[who](world)
    result = meanwhile(world, lambda: caller.by_owner(verb), caller.revoked)
    assert seen(result) == unknown(caller.made.id)


def _deleted(world: World) -> tuple[Caller, Callable[[], Any]]:
    caller, deleter = _person(world), world.platform()
    return caller, lambda: deleter("UserService.DeleteUser", user_id=caller.made.token.user_id)


@pytest.mark.parametrize("who", ["a person", "the platform"])
def test_without_the_second_look_a_revoked_token_lives_on_in_what_it_makes(
    world: World, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    _blindfold(monkeypatch)
    caller = CALLERS[who](world)
    result = meanwhile(world, caller.create, caller.revoked)
    assert is_good(world.client(result.secret))


def test_without_the_second_look_somebody_who_is_deleted_leaves_a_token(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    world = deploy_own()
    _blindfold(monkeypatch)
    caller, deletion = _deleted(world)
    result = meanwhile(world, caller.create, deletion)
    assert is_good(world.client(result.secret))
    assert "a deleted user has no credential, no verified address, and owns only what is deleted" in {
        breach.invariant for breach in world.breaches()
    }


def _blindfold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_tokens, "_enter", lambda change: None)
    monkeypatch.setattr(transactions, "recheck", lambda change: None)
