"""Two owners, and every pair of ways to lose one, at once: an owner is left, on both engines and at every isolation level."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import grpc
import pytest
from support import weaken
from support.interleave import Meeting, at_once, refused
from support.race_owners import demotes, leaves, removes, transfers
from support.raw import count
from support.rpc import Refused
from support.world import OWNER, Person, World

from tenantry_server.store.queries import members, organizations

pytest_plugins = ("support.only",)

Code = grpc.StatusCode
_LEVELS = ("read committed", "repeatable read", "serializable")
_REFUSALS = (Code.FAILED_PRECONDITION, Code.PERMISSION_DENIED, Code.NOT_FOUND, Code.UNAUTHENTICATED, Code.INVALID_ARGUMENT)


class Owners:
    """An organization with two owners, and an operator."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.operator = world.platform()
        self.ana, self.bo = world.person("ana"), world.person("bo")
        self.organization = world.organization(self.ana)
        world.join(self.organization, self.ana, self.bo, role=OWNER)

    def deletes(self, who: Person) -> Any:
        return self.operator("UserService.DeleteUser", user_id=who.id)

    def suspends(self) -> Any:
        return self.operator("OrganizationService.SuspendOrganization", organization_id=self.organization.id)

    @property
    def left(self) -> int:
        """How many owners there are."""
        return count(self.world.deployment.database, "memberships", organization_id=self.organization.id, role="owner")


# How the first of two owners stops being one; the second does it, or the first, or an operator.
WAYS: dict[str, Callable[[Owners, Person, Person], Any]] = {
    "remove": lambda owners, one, other: removes(owners.organization, other, one).do(),
    "leave": lambda owners, one, other: leaves(owners.organization, one).do(),
    "demote": lambda owners, one, other: demotes(owners.organization, other, one).do(),
    "transfer": lambda owners, one, other: transfers(owners.organization, one, other).do(),
    "delete user": lambda owners, one, other: owners.deletes(one),
    # It takes no owner away, but every right in between.
    "suspend": lambda owners, one, other: owners.suspends(),
}
PAIRS = list(combinations_with_replacement(WAYS, 2))


def race(world: World, first: str, second: str, **meeting: Any) -> tuple[Owners, list[Any]]:
    owners = Owners(world)
    with Meeting(world.deployment.database, members.UPDATE, members.DELETE, organizations.SET_SUSPENSION, **meeting):
        results = at_once(
            lambda: WAYS[first](owners, owners.ana, owners.bo), lambda: WAYS[second](owners, owners.bo, owners.ana)
        )
    return owners, results


def ensure_owned(world: World, first: str, second: str) -> None:
    owners, results = race(world, first, second, patience=0.02)
    assert owners.left >= 1, f"{first} and {second}: {[str(result) for result in results]}"
    assert any(not refused(result) for result in results)
    for result in results:
        assert not isinstance(result, Refused) or result.code in _REFUSALS, str(result)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_an_owner_is_left_whichever_two_ways_are_taken_at_once(first: str, second: str, world: World) -> None:
    for _ in range(3):
        ensure_owned(world, first, second)
        ensure_owned(world, second, first)


@pytest.mark.parametrize("level", _LEVELS)
def test_an_owner_is_left_at_every_isolation_level(level: str, on_postgresql: Callable[..., World]) -> None:
    world = on_postgresql(prepare=lambda services: weaken.isolation(services.store.database, level))
    for first, second in PAIRS:
        ensure_owned(world, first, second)
    assert world.breaches() == []


@pytest.mark.parametrize(("first", "second"), [("remove", "leave"), ("leave", "delete user"), ("delete user", "delete user")])
def test_without_the_lock_none_would_be(
    first: str, second: str, on_postgresql: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = on_postgresql()
    weaken.lock(monkeypatch, world.deployment.database)
    lefts = [race(world, first, second)[0].left for _ in range(3)]
    assert 0 in lefts
