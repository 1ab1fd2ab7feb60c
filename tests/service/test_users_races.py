"""Two at once: an address is verified by one user, an identity is of one, and a request that is sent twice is one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from grpc import StatusCode
from support import raw, weaken
from support.interleave import Meeting, Place, at_once, refused
from support.operators import address, email_taken, read_user
from support.rpc import Client
from support.world import World, fresh

from tenantry_server.store.queries import users

CREATE, UPDATE = "UserService.CreateUser", "UserService.UpdateUser"
_ROUNDS = 10
# How long the first one waits for somebody else who got as far: nobody does, on SQLite.
_MOMENT = 0.05


def together(world: World, place: Place, *acts: Callable[[], Any]) -> list[Any]:
    """What becomes of acts that come to a place together, as far as the engine lets them."""
    with Meeting(world.deployment.database, place, parties=len(acts), patience=_MOMENT):
        return at_once(*acts)


def verified(world: World, email: str) -> int:
    return raw.count(world.deployment.database, "users", email=email, email_verified=True)


def creations(client: Client, email: str, **fields: Any) -> list[Callable[[], Any]]:
    make = partial(client, CREATE, email_verified=True, name="Ana", **fields)
    return [partial(make, email=email), partial(make, email=email.upper())]


def updates(client: Client, email: str) -> list[Callable[[], Any]]:
    people = [client(CREATE, email=address(), email_verified=True, name=name) for name in ("Ana", "Bo")]
    return [partial(client, UPDATE, user_id=user.id, email=email, email_verified=True) for user in people]


def identified(client: Client, identity: dict[str, str]) -> list[Callable[[], Any]]:
    make = partial(client, CREATE, email_verified=True, name="Ana", identity=identity)
    return [partial(make, email=address()), partial(make, email=address())]


_ACTS: dict[str, tuple[Callable[[Client, str], list[Callable[[], Any]]], Place]] = {
    "created": (creations, users.INSERT),
    "updated": (updates, users.UPDATE),
}


@pytest.mark.parametrize("how", _ACTS)
def test_of_two_who_verify_an_address_at_once_one_gets_it(world: World, how: str) -> None:
    stage, place = _ACTS[how]
    client = world.platform()
    for _ in range(_ROUNDS):
        email = address()
        results = together(world, place, *stage(client, email))
        (loser,) = [result for result in results if refused(result)]
        assert loser.seen == email_taken(email)
        assert verified(world, email) == 1
    assert world.breaches() == []


@pytest.mark.parametrize("how", _ACTS)
def test_control_without_the_index_both_get_it(deploy_own: Callable[..., World], how: str) -> None:
    world = deploy_own()
    weaken.table(world.deployment.url, "users")
    stage, place = _ACTS[how]
    email = address()
    assert not any(refused(result) for result in together(world, place, *stage(world.platform(), email)))
    assert verified(world, email) == 2
    assert "a verified address belongs to one user" in {breach.invariant for breach in world.breaches()}


def test_of_two_with_one_identity_one_is_made(world: World) -> None:
    client = world.platform()
    for _ in range(_ROUNDS):
        identity = {"issuer": "https://login.example", "subject": fresh("subject")}
        results = together(world, users.IDENTIFY, *identified(client, identity))
        (loser,) = [result for result in results if refused(result)]
        assert loser.seen == (StatusCode.ALREADY_EXISTS, "IDENTITY_TAKEN", identity)
        assert raw.count(world.deployment.database, "identities", **identity) == 1
    assert world.breaches() == []


def test_control_without_the_key_both_are_made(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    weaken.table(world.deployment.url, "identities")
    client = world.platform()
    identity = {"issuer": "https://login.example", "subject": "ana"}
    assert not any(refused(result) for result in together(world, users.IDENTIFY, *identified(client, identity)))
    assert raw.count(world.deployment.database, "identities", **identity) == 2


@pytest.mark.parametrize("place", [users.INSERT, users.IDENTIFY], ids=["address", "identity"])
def test_a_creation_that_is_sent_twice_at_once_is_answered_twice_with_the_one_user(world: World, place: Place) -> None:
    client = world.platform()
    for _ in range(_ROUNDS):
        identity = {"issuer": "https://login.example", "subject": fresh("subject")}
        fields = {"email": address(), "email_verified": place is users.INSERT, "identity": identity, "request_id": fresh("r")}
        one, other = together(world, place, *[partial(client, CREATE, name="Ana", **fields)] * 2)
        assert one == other == read_user(client, one)
        assert raw.count(world.deployment.database, "users", email=fields["email"]) == 1
    assert world.breaches() == []
