"""Rotation: a new secret for the same token, and an end to the old one, at once or after an overlap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support import raw
from support.rpc import Client
from support.tokens import (
    CURRENT,
    INVALID_CREDENTIAL,
    MINE,
    OURS,
    PLATFORM,
    Made,
    invalid,
    is_good,
    mine,
    ours,
    platforms,
)
from support.world import MILLISECOND, World

from tenantry_server.domain.tokens import HINT_LENGTH, digest

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


class Owned:
    """A token, and who rotates it."""

    def __init__(self, world: World, client: Client, service: str, made: Made, **fields: str) -> None:
        self.world, self.client, self.service, self.made = world, client, service, made
        self.fields = {**fields, "api_token_id": made.id}

    def rotate(self, **more: Any) -> Made:
        answer = self.client(self.service.format("Rotate"), **self.fields, **more)
        return Made(answer.api_token, answer.secret, self.world.client(answer.secret))

    def get(self) -> Any:
        return self.client(self.service.format("Get"), **self.fields).api_token

    def secrets(self) -> list[tuple[str, int | None]]:
        """What the database keeps of the token's secrets: digests, and when they end."""
        with raw.connect(self.world.deployment.url) as connection:
            rows = connection.execute(
                "SELECT digest, expire_time FROM api_token_secrets WHERE api_token_id = ?", (self.made.id,)
            )
        return sorted((str(kept), end) for kept, end in rows)


def _persons(world: World, **more: Any) -> Owned:
    ana = world.person()
    return Owned(world, ana.rpc, MINE, mine(world, ana.rpc, **more))


def _bound(world: World, **more: Any) -> Owned:
    ana = world.person()
    return Owned(world, ana.rpc, MINE, mine(world, ana.rpc, "sandbox:read", bound_to=world.organization(ana), **more))


def _organizations(world: World, **more: Any) -> Owned:
    ana = world.person()
    acme = world.organization(ana)
    return Owned(world, ana.rpc, OURS, ours(world, ana.rpc, acme, **more), organization_id=acme.id)


def _platforms(world: World, **more: Any) -> Owned:
    client = world.platform()
    return Owned(world, client, PLATFORM, platforms(world, client, "user:read", **more))


MAKERS = {"a person's": _persons, "a bound": _bound, "an organization's": _organizations, "the platform's": _platforms}
Make = Callable[..., Owned]


@pytest.fixture(params=MAKERS)
def make(world: World, request: pytest.FixtureRequest) -> Make:
    return lambda **more: MAKERS[request.param](world, **more)


def test_new_secret_is_good_and_the_old_one_dead_at_once(make: Make) -> None:
    owned = make()
    new = owned.rotate()
    assert new.secret != owned.made.secret
    assert is_good(new.rpc)
    assert owned.made.rpc.refusal(CURRENT).seen == INVALID_CREDENTIAL
    assert owned.secrets() == [(digest(new.secret), None)]


def test_token_stays_what_it_is(world: World, make: Make) -> None:
    owned = make(description="What for", expire_time=world.clock.now() + HOUR)
    before, after = owned.made.token, owned.rotate().token
    assert after.hint != before.hint
    assert after.revision > before.revision
    assert after.update_time.ToMilliseconds() >= before.update_time.ToMilliseconds()
    after.hint, after.revision, after.etag = before.hint, before.revision, before.etag
    after.update_time.CopyFrom(before.update_time)
    assert after == before


def test_hint_is_of_the_present_secret(make: Make) -> None:
    owned = make()
    new = owned.rotate(overlap=HOUR)
    assert new.token.hint == new.secret[:HINT_LENGTH]
    assert owned.get() == new.token


def test_old_secret_is_good_to_the_end_of_the_overlap_and_not_a_millisecond_longer(world: World, make: Make) -> None:
    owned = make()
    now = world.clock.now()
    with world.at(now):
        new = owned.rotate(overlap=HOUR)
        assert new.token.overlap_end_time.ToMilliseconds() == int((now + HOUR).timestamp() * 1000)
        assert is_good(new.rpc)
        assert is_good(owned.made.rpc)
    with world.at(now + HOUR - MILLISECOND):
        assert is_good(owned.made.rpc)
        assert owned.get().HasField("overlap_end_time")
    for late in (now + HOUR, now + HOUR + MILLISECOND, now + WEEK):
        with world.at(late):
            assert owned.made.rpc.refusal(CURRENT).seen == INVALID_CREDENTIAL
            assert is_good(new.rpc)
            assert not owned.get().HasField("overlap_end_time")


def test_second_rotation_in_the_overlap_ends_the_oldest_secret(make: Make) -> None:
    owned = make()
    second = owned.rotate(overlap=HOUR)
    third = owned.rotate(overlap=HOUR)
    assert [is_good(made.rpc) for made in (owned.made, second, third)] == [False, True, True]
    assert [kept for kept, end in owned.secrets() if end is None] == [digest(third.secret)]
    assert [kept for kept, end in owned.secrets() if end is not None] == [digest(second.secret)]


def test_rotation_without_overlap_ends_an_overlap_that_runs(make: Make) -> None:
    owned = make()
    second = owned.rotate(overlap=HOUR)
    third = owned.rotate()
    assert [is_good(made.rpc) for made in (owned.made, second, third)] == [False, False, True]
    assert not third.token.HasField("overlap_end_time")
    assert owned.secrets() == [(digest(third.secret), None)]


def test_what_ends_a_token_ends_every_secret_of_it(world: World, make: Make) -> None:
    owned = make()
    new = owned.rotate(overlap=HOUR)
    owned.client(owned.service.format("Revoke"), **owned.fields)
    assert [is_good(made.rpc) for made in (owned.made, new)] == [False, False]
    assert owned.secrets() == []


def test_overlap_does_not_outlast_the_token(world: World, make: Make) -> None:
    end = world.clock.now() + HOUR
    owned = make(expire_time=end)
    new = owned.rotate(overlap=WEEK)
    with world.at(end - MILLISECOND):
        assert [is_good(made.rpc) for made in (owned.made, new)] == [True, True]
    with world.at(end):
        assert [is_good(made.rpc) for made in (owned.made, new)] == [False, False]


def test_longest_overlap_is_a_week(make: Make) -> None:
    owned = make()
    for overlap in (WEEK + MILLISECOND, -MILLISECOND):
        refusal = owned.client.refusal(owned.service.format("Rotate"), **owned.fields, overlap=overlap)
        assert refusal.seen == invalid("overlap")
    assert is_good(owned.made.rpc)
    assert owned.rotate(overlap=WEEK).secret
    assert is_good(owned.made.rpc)


@pytest.mark.parametrize("nanoseconds", [0, 999_999])
def test_overlap_of_less_than_a_millisecond_is_none(make: Make, nanoseconds: int) -> None:
    owned = make()
    assert not owned.rotate(overlap={"nanos": nanoseconds}).token.HasField("overlap_end_time")
    assert not is_good(owned.made.rpc)


def test_token_can_rotate_itself(make: Make) -> None:
    owned = make()
    if owned.made.token.unrestricted:
        answer = owned.made.rpc(owned.service.format("Rotate"), **owned.fields)
        assert is_good(owned.world.client(answer.secret))
        assert not is_good(owned.made.rpc)
    else:
        refusal = owned.made.rpc.refusal(owned.service.format("Rotate"), **owned.fields)
        assert refusal.reason in ("PERMISSION_MISSING", "PRINCIPAL_KIND_NOT_ALLOWED")


def test_doctor_finds_nothing_after_any_rotation(world: World, make: Make) -> None:
    owned = make()
    for overlap in (HOUR, timedelta(), HOUR, HOUR, WEEK):
        owned.rotate(overlap=overlap)
    assert world.breaches() == []


def test_secret_that_ends_makes_nothing_that_outlives_it(world: World) -> None:
    owned = _persons(world)
    end = owned.rotate(overlap=HOUR).token.overlap_end_time
    old = owned.made.rpc
    refusal = old.refusal(MINE.format("Rotate"), **owned.fields)
    assert (refusal.seen, refusal.violations) == (invalid("api_token_id"), {"api_token_id": "EXPIRE_TIME"})
    assert mine(world, old).token.expire_time == end
