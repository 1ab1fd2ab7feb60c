"""Tokens of operators and internal services: platform permissions alone, and nothing that their maker does not hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.tokens import (
    INVALID_CREDENTIAL,
    MINE,
    OURS,
    PLATFORM,
    Seen,
    beyond,
    corrupt,
    invalid,
    is_good,
    mine,
    missing,
    ours,
    own_id,
    platforms,
    unknown,
)
from support.world import MILLISECOND, World

from tenantry_server.domain import ids

CREATE, GET, LIST = PLATFORM.format("Create"), PLATFORM.format("Get"), "PlatformTokenService.ListPlatformTokens"
UPDATE, ROTATE, REVOKE = (PLATFORM.format(verb) for verb in ("Update", "Rotate", "Revoke"))
MANAGING = tuple(f"platform-token:{verb}" for verb in ("create", "delete", "read", "update"))
HOUR = timedelta(hours=1)
OF_ONE = [(GET, {}), (UPDATE, {"name": "New"}), (ROTATE, {}), (REVOKE, {})]
each_of_one = pytest.mark.parametrize(("method", "fields"), OF_ONE, ids=[method for method, _ in OF_ONE])


def kind_not_allowed(kind: str) -> tuple[StatusCode, str, dict[str, str]]:
    return StatusCode.PERMISSION_DENIED, "PRINCIPAL_KIND_NOT_ALLOWED", {"principal_kind": kind}


def test_token_is_as_it_was_asked_for(world: World) -> None:
    client, _ = world.platform(), world.person()
    made = platforms(world, client, "user:read", "user:create", description="What for")
    token = made.token
    assert (token.kind, token.description) == (3, "What for")
    assert (token.user_id, token.organization_id, token.creator_id) == ("", "", "")
    assert (token.unrestricted, list(token.granted_permissions)) == (False, ["user:create", "user:read"])
    assert client(GET, api_token_id=token.id).api_token == token
    assert made.rpc("UserService.ListUsers", page_size=1).users
    assert made.rpc.refusal("UserService.EraseUser", user_id=ids.new()).seen == missing("user:erase")


def test_platform_token_carries_platform_permissions_alone_and_others_none_of_them(world: World) -> None:
    client, ana = world.platform(), world.person()
    acme = world.organization(ana)
    mixed = ["user:read", "organization:read", "sandbox:read"]
    refusal = client.refusal(CREATE, name="x", permissions=mixed)
    assert refusal.seen == invalid("permissions[1]", "permissions[2]")
    assert set(refusal.violations.values()) == {"UNKNOWN_PERMISSION"}
    made = platforms(world, client, "user:read")
    assert client.refusal(UPDATE, api_token_id=made.id, permissions=["sandbox:read"]).seen == invalid("permissions[0]")
    for method, fields in ((MINE, {}), (OURS, {"organization_id": acme.id})):
        refusal = ana.rpc.refusal(method.format("Create"), name="x", permissions=mixed, **fields)
        assert refusal.seen == invalid("permissions[0]")


def test_platform_token_does_nothing_that_tenants_do(world: World) -> None:
    client, ana = world.platform(), world.person()
    acme = world.organization(ana)
    with world.unchanged(acme):
        for method, fields in (
            ("OrganizationService.GetOrganization", {"organization_id": acme.id}),
            ("OrganizationService.DeleteOrganization", {"organization_id": acme.id}),
            ("OrganizationService.ListOrganizations", {}),
            (OURS.format("Create"), {"organization_id": acme.id, "name": "x", "unrestricted": True}),
            (MINE.format("Create"), {"name": "x", "unrestricted": True}),
            (MINE.format("Rotate"), {"api_token_id": own_id(ana.rpc)}),
        ):
            assert client.refusal(method, **fields).seen == kind_not_allowed("platform")


def test_tenants_do_nothing_that_the_platform_does(world: World) -> None:
    ana = world.person()
    acme = world.organization(ana)
    made = platforms(world, world.platform())
    callers = {
        "user": ana.rpc,
        "user_in_organization": mine(world, ana.rpc, bound_to=acme).rpc,
        "organization": ours(world, ana.rpc, acme).rpc,
    }
    for kind, client in callers.items():
        assert client.refusal(CREATE, name="x", unrestricted=True).seen == kind_not_allowed(kind)
        assert client.refusal(LIST).seen == kind_not_allowed(kind)
        for method, fields in OF_ONE:
            assert client.refusal(method, api_token_id=made.id, **fields).seen == kind_not_allowed(kind)
    assert is_good(made.rpc)


@each_of_one
def test_token_of_a_tenant_is_like_none(world: World, method: str, fields: dict[str, str]) -> None:
    client, ana = world.platform(), world.person()
    acme = world.organization(ana)
    for made in (mine(world, ana.rpc), mine(world, ana.rpc, bound_to=acme), ours(world, ana.rpc, acme)):
        random = ids.new()
        with world.unchanged(acme):
            foreign, none = (client.refusal(method, api_token_id=key, **fields) for key in (made.id, random))
        assert (foreign.seen, none.seen) == (unknown(made.id), unknown(random))
        assert foreign.message == none.message.replace(random, made.id)
        assert is_good(made.rpc)
    assert made.id not in {token.id for token in client(LIST, page_size=1000).api_tokens}


def test_narrow_token_makes_changes_and_rotates_none_that_can_do_more(world: World) -> None:
    client = world.platform()
    narrow = platforms(world, client, *MANAGING, "user:read")
    broad, other = platforms(world, client, "user:read", "user:delete"), platforms(world, client, "user:read")
    everything = platforms(world, client)
    refusals: list[tuple[str, dict[str, Any], Seen]] = [
        (
            CREATE,
            {"name": "x", "permissions": ["user:delete", "user:read", "user:create"]},
            beyond("user:create", "user:delete"),
        ),
        (CREATE, {"name": "x", "unrestricted": True}, beyond("*")),
        (UPDATE, {"api_token_id": other.id, "permissions": ["user:delete", "user:read"]}, beyond("user:delete")),
        (UPDATE, {"api_token_id": narrow.id, "unrestricted": True}, beyond("*")),
        (ROTATE, {"api_token_id": broad.id}, beyond("user:delete")),
        (ROTATE, {"api_token_id": everything.id}, beyond("*")),
    ]
    for method, fields, expected in refusals:
        assert narrow.rpc.refusal(method, **fields).seen == expected
    assert [is_good(made.rpc) for made in (broad, other, everything)] == [True] * 3
    assert platforms(world, narrow.rpc, "user:read").secret
    assert narrow.rpc(ROTATE, api_token_id=other.id).secret


@pytest.mark.parametrize(
    ("method", "fields", "needed"),
    [
        (CREATE, {"name": "x", "permissions": ["user:read"]}, ["platform-token:create"]),
        (GET, {"api_token_id": ids.NIL}, ["platform-token:read"]),
        (LIST, {}, ["platform-token:read"]),
        (UPDATE, {"api_token_id": ids.NIL, "name": "New"}, ["platform-token:update"]),
        (ROTATE, {"api_token_id": ids.NIL}, ["platform-token:create", "platform-token:delete"]),
        (REVOKE, {"api_token_id": ids.NIL}, ["platform-token:delete"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_narrow_token_manages_tokens_by_permission(
    world: World, method: str, fields: dict[str, Any], needed: list[str]
) -> None:
    others = [name for name in MANAGING if name not in needed]
    assert world.platform(*others, "user:read").refusal(method, **fields).seen == missing(*needed)


def test_token_that_ends_makes_prolongs_and_rotates_none_that_outlives_it(world: World) -> None:
    client = world.platform()
    end = world.clock.now() + HOUR
    ending, lasting = platforms(world, client, expire_time=end), platforms(world, client, "user:read")
    later = end + MILLISECOND
    assert ending.rpc.refusal(CREATE, name="x", unrestricted=True, expire_time=later).seen == invalid("expire_time")
    assert ending.rpc.refusal(UPDATE, api_token_id=ending.id, expire_time=later).seen == invalid("expire_time")
    assert ending.rpc.refusal(ROTATE, api_token_id=lasting.id).seen == invalid("api_token_id")
    assert ending.rpc.refusal(UPDATE, api_token_id=lasting.id, unrestricted=True).seen == invalid("api_token_id")
    assert platforms(world, ending.rpc).token.expire_time == ending.token.expire_time


def test_narrow_token_keeps_none_that_can_do_more_alive_for_longer(world: World) -> None:
    client = world.platform()
    narrow = platforms(world, client, *MANAGING)
    broad = platforms(world, client, "user:delete", expire_time=world.clock.now() + HOUR)
    for longer in ({"expire_time": world.clock.now() + 2 * HOUR}, {"update_mask": {"paths": ["expire_time"]}}):
        assert narrow.rpc.refusal(UPDATE, api_token_id=broad.id, **longer).seen == beyond("user:delete")


def test_token_with_a_permission_that_there_is_no_more_can_be_rotated_by_who_is_not_narrowed(world: World) -> None:
    client = world.platform()
    old, narrow = platforms(world, client, "user:read"), platforms(world, client, *MANAGING, "user:read")
    corrupt(world, old.id, "permissions", "gone:away user:read")
    assert narrow.rpc.refusal(ROTATE, api_token_id=old.id).seen == beyond("gone:away")
    assert client(ROTATE, api_token_id=old.id).secret
    corrupt(world, old.id, "permissions", "user:read")


def test_what_is_revoked_is_gone_at_once(world: World) -> None:
    client = world.platform()
    made = platforms(world, client)
    assert made.rpc("UserService.ListUsers", page_size=1)
    client(REVOKE, api_token_id=made.id)
    assert made.rpc.refusal("UserService.ListUsers").seen == INVALID_CREDENTIAL
    assert client.refusal(GET, api_token_id=made.id).seen == unknown(made.id)
    itself = platforms(world, client)
    itself.rpc(REVOKE, api_token_id=itself.id)
    assert not is_good(itself.rpc)
