"""Changes of tokens that are asked for again under their request id: they happen once, and the secret is shown once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from grpc import StatusCode
from support import raw
from support.rpc import Client
from support.tokens import INVALID_CREDENTIAL, MINE, OURS, PLATFORM, Made, inaccessible, is_good, mine, ours, platforms, unknown
from support.world import World, fresh

UNRESTRICTED = {"name": "once", "unrestricted": True}


def reused(request_id: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED", {"request_id": request_id}


class Owned:
    """Somebody who makes and changes tokens."""

    def __init__(self, client: Client, service: str, make: Callable[[], Made], **fields: str) -> None:
        self.client, self.service, self.make, self.fields = client, service, make, fields
        self.new = {"name": fresh("once "), "unrestricted": True}

    def call(self, verb: str, **fields: Any) -> Any:
        return self.client(self.service.format(verb), **self.fields, **fields)

    def refusal(self, verb: str, **fields: Any) -> Any:
        return self.client.refusal(self.service.format(verb), **self.fields, **fields)


def _person(world: World) -> Owned:
    ana = world.person()
    return Owned(ana.rpc, MINE, lambda: mine(world, ana.rpc))


def _bound(world: World) -> Owned:
    ana = world.person()
    acme = world.organization(ana)
    owned = Owned(ana.rpc, MINE, lambda: mine(world, ana.rpc, bound_to=acme))
    owned.new["organization_id"] = acme.id
    return owned


def _organization(world: World) -> Owned:
    ana = world.person()
    acme = world.organization(ana)
    return Owned(ana.rpc, OURS, lambda: ours(world, ana.rpc, acme), organization_id=acme.id)


def _platform(world: World) -> Owned:
    client = world.platform()
    return Owned(client, PLATFORM, lambda: platforms(world, client))


OWNERS = {"a person": _person, "a person, bound": _bound, "an organization": _organization, "the platform": _platform}


@pytest.fixture(params=OWNERS)
def owned(world: World, request: pytest.FixtureRequest) -> Owned:
    return OWNERS[request.param](world)


def test_repeated_making_answers_with_the_same_token_and_no_secret(world: World, owned: Owned) -> None:
    key = fresh("key")
    first = owned.call("Create", **owned.new, request_id=key)
    again = owned.call("Create", **owned.new, request_id=key)
    assert (again.api_token, again.secret) == (first.api_token, "")
    assert is_good(world.client(first.secret))


def test_repeated_rotation_answers_with_the_same_token_and_no_secret(world: World, owned: Owned) -> None:
    made, key = owned.make(), fresh("key")
    first = owned.call("Rotate", api_token_id=made.id, request_id=key)
    again = owned.call("Rotate", api_token_id=made.id, request_id=key)
    assert (again.api_token, again.secret) == (first.api_token, "")
    assert is_good(world.client(first.secret))
    second = owned.call("Rotate", api_token_id=made.id, request_id=fresh("key"))
    assert not is_good(world.client(first.secret))
    assert is_good(world.client(second.secret))


def test_repeated_change_and_revocation_happen_once(owned: Owned) -> None:
    made, keys = owned.make(), [fresh("key"), fresh("key")]
    first = owned.call("Update", api_token_id=made.id, description="New", request_id=keys[0])
    assert owned.call("Update", api_token_id=made.id, description="New", request_id=keys[0]) == first
    assert owned.call("Get", api_token_id=made.id).api_token == first.api_token
    revoked = owned.call("Revoke", api_token_id=made.id, request_id=keys[1])
    assert owned.call("Revoke", api_token_id=made.id, request_id=keys[1]) == revoked
    assert owned.refusal("Revoke", api_token_id=made.id, request_id=fresh("key")).seen == unknown(made.id)
    assert owned.refusal("Revoke", api_token_id=made.id).seen == unknown(made.id)


def test_repetition_of_what_was_done_to_a_token_that_is_revoked_since_gets_the_first_answer(owned: Owned) -> None:
    made, key = owned.make(), fresh("key")
    first = owned.call("Rotate", api_token_id=made.id, request_id=key)
    owned.call("Revoke", api_token_id=made.id)
    again = owned.call("Rotate", api_token_id=made.id, request_id=key)
    assert (again.api_token, again.secret) == (first.api_token, "")


def test_another_request_under_the_same_id_is_refused(owned: Owned) -> None:
    key = fresh("key")
    owned.call("Create", **owned.new, request_id=key)
    assert owned.refusal("Create", **{**owned.new, "name": "other"}, request_id=key).seen == reused(key)


def test_what_is_kept_for_repetitions_holds_no_secret(world: World, owned: Owned) -> None:
    made, keys = owned.make(), [fresh("key"), fresh("key")]
    secrets = [
        owned.call("Create", **owned.new, request_id=keys[0]).secret,
        owned.call("Rotate", api_token_id=made.id, request_id=keys[1]).secret,
    ]
    with raw.connect(world.deployment.url) as connection:
        marks = connection.execute("SELECT request_id, answer FROM request_records")
    kept = {request_id: answer for request_id, answer in marks if request_id in keys}
    assert set(kept) == set(keys)
    for key, secret in zip(keys, secrets, strict=True):
        assert secret[:12] in kept[key]
        assert secret[12:] not in kept[key]
        assert "secret" not in kept[key]


def test_repetition_is_answered_though_the_organization_is_lost_since(world: World) -> None:
    ana, bo = world.person(), world.person()
    acme = world.organization(ana)
    world.join(acme, ana, bo)
    fields = {**UNRESTRICTED, "organization_id": acme.id}
    first = bo.rpc(MINE.format("Create"), **fields, request_id="key")
    ana.rpc("MemberService.RemoveMember", organization_id=acme.id, user_id=bo.id)
    again = bo.rpc(MINE.format("Create"), **fields, request_id="key")
    assert (again.api_token, again.secret) == (first.api_token, "")
    assert world.client(first.secret).refusal("ApiTokenService.GetCurrentApiToken").seen == INVALID_CREDENTIAL
    other = {**fields, "name": "other"}
    assert bo.rpc.refusal(MINE.format("Create"), **other, request_id="key").seen == inaccessible(acme.id)
    assert bo.rpc.refusal(MINE.format("Create"), **fields, request_id="another").seen == inaccessible(acme.id)
    trial = bo.rpc.refusal(MINE.format("Create"), **fields, request_id="key", validate_only=True)
    assert trial.seen == inaccessible(acme.id)


def test_credential_that_is_bound_is_not_answered_about_what_it_cannot_see(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    bound = mine(world, ana.rpc, bound_to=acme)
    made = mine(world, ana.rpc)
    ana.rpc(MINE.format("Create"), **UNRESTRICTED, request_id="create")
    ana.rpc(MINE.format("Rotate"), api_token_id=made.id, request_id="rotate")
    create = bound.rpc.refusal(MINE.format("Create"), **UNRESTRICTED, request_id="create")
    rotate = bound.rpc.refusal(MINE.format("Rotate"), api_token_id=made.id, request_id="rotate")
    assert (create.seen, rotate.seen) == (reused("create"), unknown(made.id))


def test_organization_of_others_is_not_told_by_a_request_id_that_is_known(world: World) -> None:
    ana, eve = world.person(), world.person()
    acme = world.organization(ana)
    eve.rpc(MINE.format("Create"), **UNRESTRICTED, request_id="key")
    with world.unchanged(acme):
        for organization_id in (acme.id, "0" * 25 + "1"):
            fields = {**UNRESTRICTED, "organization_id": organization_id}
            refusal = eve.rpc.refusal(MINE.format("Create"), **fields, request_id="key")
            assert refusal.seen == inaccessible(organization_id)
