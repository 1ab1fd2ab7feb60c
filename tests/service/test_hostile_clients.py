"""Clients that send too much, too deep or too slowly, and processes whose clocks disagree: clear refusals, and others go on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
from support import raw
from support.deployment import deploy
from support.rpc import Client
from support.world import World

Code = grpc.StatusCode
UPDATE, GET = "OrganizationService.UpdateOrganization", "OrganizationService.GetOrganization"
_FIVE = timedelta(minutes=5)
_SLOW = 300


def _say(world: World, token: str, data: bytes, *metadata: tuple[str, str]) -> Code:
    """How the server answers bytes."""
    call: Any = world.deployment.channel.unary_unary("/tenantry.v1.OrganizationService/UpdateOrganization")
    with pytest.raises(grpc.RpcError) as refused:
        call(data, metadata=(("authorization", f"Bearer {token}"), *metadata), timeout=20)
    code: Code = refused.value.code()
    return code


def test_what_is_too_large_or_too_deep_is_refused_and_the_others_go_on(world: World) -> None:
    owner = world.person("owner")
    acme = world.organization(owner)
    with world.unchanged(acme):
        assert _say(world, owner.token, b"\x0a" + b"\x80\x80\x80\x01" + b"x" * (2 << 20)) is Code.RESOURCE_EXHAUSTED
        nested = b""
        for _ in range(10_000):  # groups within groups, of a field that nobody knows
            nested = b"\x7b" + nested + b"\x7c" if len(nested) < 20_000 else nested
        assert _say(world, owner.token, nested) is Code.INVALID_ARGUMENT
        assert _say(world, owner.token, b"\xff" * 100) is Code.INVALID_ARGUMENT
        large = _say(world, owner.token, b"", ("x-large", "x" * 100_000))
        assert large in (Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE)
    assert owner.rpc(UPDATE, organization_id=acme.id, name="Apex").name == "Apex"
    assert world.breaches() == []


def test_clients_that_never_end_what_they_say_hold_up_nobody(world: World) -> None:
    owner = world.person("owner")
    acme = world.organization(owner)
    slow = [socket.create_connection(("127.0.0.1", world.deployment.server.port)) for _ in range(_SLOW)]
    try:
        for connection in slow:  # half of how HTTP/2 begins
            connection.sendall(b"PRI * HTTP/2.0\r\n")
        with grpc.insecure_channel(world.deployment.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            assert Client(channel, owner.token)(GET, organization_id=acme.id) == acme
    finally:
        for connection in slow:
            connection.close()


# -- clocks that disagree ------------------------------------------------------------------------------------------------


@pytest.fixture
def skewed(deploy_own: Callable[..., World], engine: str) -> Iterator[tuple[World, World]]:
    """Two processes on one database: one's clock is five minutes behind, the other's five minutes ahead."""
    behind = deploy_own()
    other = deploy(engine, behind.deployment.url)
    ahead = World(other)
    behind.clock.advance(-_FIVE)
    ahead.clock.advance(_FIVE)
    yield behind, ahead
    other.close()


def test_what_ended_on_one_clock_is_not_brought_back_by_another(skewed: tuple[World, World]) -> None:
    behind, ahead = skewed
    owner, guest = behind.person("owner"), behind.person("guest")
    acme = behind.organization(owner)
    offer = behind.invite(acme, owner, guest.email)
    key = {"invitation_id": offer.id}
    end = offer.expire_time.ToDatetime(UTC)
    behind.clock.advance(end - behind.clock.now() - timedelta(minutes=1))
    ahead.clock.advance(end - ahead.clock.now() + timedelta(minutes=1))
    guest_ahead = ahead.client(guest.token)
    assert guest_ahead.refusal("InvitationService.AcceptInvitation", **key).reason == "INVITATION_EXPIRED"
    # A new one takes its place; the old one is over for good, on every clock.
    ahead_owner = ahead.client(owner.token)
    again = ahead_owner(
        "InvitationService.CreateInvitation", organization_id=acme.id, email=guest.email, role="MEMBER_ROLE_MEMBER"
    )
    assert guest.rpc.refusal("InvitationService.AcceptInvitation", **key).reason == "INVITATION_EXPIRED"
    assert guest.rpc("InvitationService.AcceptInvitation", invitation_id=again.id).state
    assert behind.breaches() == []


def test_a_repetition_is_one_on_every_clock(skewed: tuple[World, World]) -> None:
    behind, ahead = skewed
    owner = behind.person("owner")
    acme = behind.organization(owner)
    role = {"organization_id": acme.id, "name": "Tester", "permissions": ["sandbox:read"], "request_id": "once"}
    made = ahead.client(owner.token)("RoleService.CreateRole", **role)
    assert owner.rpc("RoleService.CreateRole", **role) == made
    assert raw.count(behind.deployment.database, "roles", organization_id=acme.id) == 1
    events = owner.rpc("AuditService.ListAuditEvents", organization_id=acme.id).events
    assert [event.revision for event in events] == [2, 1]
