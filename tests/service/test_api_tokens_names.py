"""What an owner's tokens share: names that are unique, a limit to their number, and expiry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.rpc import Client
from support.tokens import INVALID_CREDENTIAL, MINE, OURS, PLATFORM, Made, invalid, is_good, mine, ours, platforms
from support.world import MILLISECOND, World, fresh

from tenantry_server.services.service import Limits

HOUR = timedelta(hours=1)
CLEARED = {"update_mask": {"paths": ["expire_time"]}}


def taken(name: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.ALREADY_EXISTS, "TOKEN_NAME_TAKEN", {"name": name}


@dataclass
class Owner:
    """An owner of tokens: how one is made for it, and what names one in a call."""

    client: Client
    service: str
    make: Callable[..., Made]
    permission: str = "sandbox:read"
    fields: tuple[tuple[str, str], ...] = ()

    def call(self, verb: str, **fields: Any) -> Any:
        return self.client(self.service.format(verb), **dict(self.fields), **fields)

    def refusal(self, verb: str, **fields: Any) -> Any:
        return self.client.refusal(self.service.format(verb), **dict(self.fields), **fields)


def _person(world: World) -> Owner:
    client = world.person().rpc
    return Owner(client, MINE, lambda **more: mine(world, client, **more))


def _person_bound(world: World) -> Owner:
    ana = world.person()
    acme = world.organization(ana)
    return Owner(ana.rpc, MINE, lambda **more: mine(world, ana.rpc, bound_to=acme, **more))


def _organization(world: World) -> Owner:
    ana = world.person()
    acme = world.organization(ana)
    return Owner(ana.rpc, OURS, lambda **more: ours(world, ana.rpc, acme, **more), fields=(("organization_id", acme.id),))


def _platform(world: World) -> Owner:
    client = world.platform()
    return Owner(client, PLATFORM, lambda **more: platforms(world, client, **more), "user:read")


OWNERS = {"a person": _person, "a person, bound": _person_bound, "an organization": _organization, "the platform": _platform}


@pytest.fixture(params=OWNERS)
def owner(world: World, request: pytest.FixtureRequest) -> Owner:
    return OWNERS[request.param](world)


def test_name_is_taken_once_by_making_and_by_renaming(owner: Owner) -> None:
    name = fresh("CI ")
    first, second = owner.make(name=name), owner.make()
    fields = {"name": name, "unrestricted": True}
    if owner.service == MINE and first.token.organization_id:
        fields["organization_id"] = first.token.organization_id
    assert owner.refusal("Create", **fields).seen == taken(name)
    assert owner.refusal("Create", **fields, validate_only=True).seen == taken(name)
    assert owner.refusal("Update", api_token_id=second.id, name=name).seen == taken(name)
    assert owner.call("Update", api_token_id=first.id, name=name).api_token.name == name
    owner.call("Update", api_token_id=first.id, name=f"{name}!")
    assert owner.call("Update", api_token_id=second.id, name=name).api_token.name == name
    owner.call("Revoke", api_token_id=second.id)
    assert owner.make(name=name).token.name == name


def test_name_is_free_for_another_owner_and_in_another_organization(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme, birch = world.organization(ana), world.organization(ana)
    world.join(acme, ana, bo)
    name = {"name": fresh("CI ")}
    made = [mine(world, client, bound_to=place, **name) for client in (ana.rpc, bo.rpc) for place in (None, acme)]
    made += [
        mine(world, ana.rpc, bound_to=birch, **name),
        ours(world, ana.rpc, acme, **name),
        ours(world, ana.rpc, birch, **name),
    ]
    made += [platforms(world, world.platform(), **name)]
    assert len({each.id for each in made}) == 8


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "<b>", "https://example.com", "a\nb"])
def test_name_is_one_that_people_can_read(owner: Owner, name: str) -> None:
    assert owner.refusal("Create", name=name, unrestricted=True).seen == invalid("name")
    assert owner.refusal("Update", api_token_id=owner.make().id, name=name).seen == invalid("name")


@pytest.mark.parametrize("make", OWNERS.values(), ids=OWNERS)
def test_owner_has_no_more_tokens_than_the_limit(make: Callable[[World], Owner], deploy_own: Callable[..., World]) -> None:
    owner = make(deploy_own(limits=Limits(api_tokens=3, organizations_per_user=10)))
    there = 0 if owner.service == OURS else 1  # what the caller uses is one of them
    bound = owner.make().token
    there = 1 if bound.user_id and bound.organization_id else there + 1
    made = [owner.make() for _ in range(3 - there)]
    fields = {"organization_id": bound.organization_id} if owner.service == MINE and bound.organization_id else {}
    wanted = {"name": "one more", "unrestricted": True, **fields}
    full = (
        StatusCode.RESOURCE_EXHAUSTED,
        "LIMIT_EXCEEDED",
        {"limit": "API tokens of an owner in an organization", "maximum": "3"},
    )
    assert owner.refusal("Create", **wanted).seen == full
    assert owner.refusal("Create", **wanted, validate_only=True).seen == full
    assert owner.call("Rotate", api_token_id=made[0].id).secret  # makes no token
    owner.call("Revoke", api_token_id=made[0].id)
    assert owner.make(name="one more")


def test_token_expires_to_the_millisecond(world: World, owner: Owner) -> None:
    end = world.clock.now() + HOUR
    made = owner.make(expire_time=end)
    assert made.token.expire_time.ToMilliseconds() == int(end.timestamp() * 1000)
    with world.at(end - MILLISECOND):
        assert is_good(made.rpc)
    with world.at(end):
        assert not is_good(made.rpc)
        assert owner.call("Get", api_token_id=made.id).api_token == made.token
        refusal = owner.refusal("Rotate", api_token_id=made.id)
    told = {"api_token_id": made.id, "expire_time": end.strftime("%Y-%m-%dT%H:%M:%S.") + f"{end.microsecond // 1000:03d}Z"}
    assert refusal.seen == (StatusCode.FAILED_PRECONDITION, "TOKEN_EXPIRED", told)


def test_expire_time_that_is_over_is_refused(world: World, owner: Owner) -> None:
    made = owner.make()
    with world.at(world.clock.now()):
        for over in (world.clock.now(), world.clock.now() - HOUR):
            create = owner.refusal("Create", name="x", unrestricted=True, expire_time=over)
            update = owner.refusal("Update", api_token_id=made.id, expire_time=over)
            assert create.seen == update.seen == invalid("expire_time")
            assert create.violations == update.violations == {"expire_time": "EXPIRE_TIME"}
        assert owner.make(expire_time=world.clock.now() + MILLISECOND)


@pytest.mark.parametrize("seconds", [253_402_300_800, -62_135_596_801, 2**62, -(2**62)])
def test_expire_time_that_no_calendar_has_is_refused(owner: Owner, seconds: int) -> None:
    refusal = owner.refusal("Create", name="x", unrestricted=True, expire_time={"seconds": seconds})
    assert (refusal.seen, refusal.violations) == (invalid("expire_time"), {"expire_time": "TIMESTAMP"})


def test_expiry_is_moved_and_cleared(world: World, owner: Owner) -> None:
    end = world.clock.now() + HOUR
    made = owner.make(expire_time=end)
    longer = owner.call("Update", api_token_id=made.id, expire_time=end + HOUR).api_token
    assert longer.expire_time.ToMilliseconds() == int((end + HOUR).timestamp() * 1000)
    with world.at(end):
        assert is_good(made.rpc)
    untouched = owner.call("Update", api_token_id=made.id, name=fresh("new ")).api_token
    assert untouched.expire_time == longer.expire_time
    assert not owner.call("Update", api_token_id=made.id, **CLEARED).api_token.HasField("expire_time")
    with world.at(end + 1000 * HOUR):
        assert is_good(made.rpc)
    owner.call("Update", api_token_id=made.id, expire_time=end)
    with world.at(end):
        refusal = made.rpc.refusal("ApiTokenService.GetCurrentApiToken")
    assert refusal.seen == INVALID_CREDENTIAL


def test_stale_etag_is_refused(owner: Owner) -> None:
    made = owner.make()
    present = owner.call("Update", api_token_id=made.id, description="New", etag=made.token.etag).api_token
    for verb in ("Update", "Rotate", "Revoke"):
        refusal = owner.refusal(verb, api_token_id=made.id, etag=made.token.etag)
        assert refusal.seen == (StatusCode.ABORTED, "ETAG_MISMATCH", {"etag": made.token.etag})
    rotated = owner.call("Rotate", api_token_id=made.id, etag=present.etag).api_token
    owner.call("Revoke", api_token_id=made.id, etag=rotated.etag)


def test_change_that_is_tried_leaves_no_trace_and_shows_no_secret(world: World, owner: Owner) -> None:
    made = owner.make()
    answer = owner.call("Create", name="tried", unrestricted=True, validate_only=True)
    assert (answer.secret, answer.api_token.name) == ("", "tried")
    rotated = owner.call("Rotate", api_token_id=made.id, validate_only=True)
    assert (rotated.secret, rotated.api_token.id) == ("", made.id)
    owner.call("Update", api_token_id=made.id, name="tried", validate_only=True)
    owner.call("Revoke", api_token_id=made.id, validate_only=True)
    assert owner.call("Get", api_token_id=made.id).api_token == made.token
    assert is_good(made.rpc)
    assert owner.make(name="tried")
