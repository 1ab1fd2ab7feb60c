"""Rate limits as clients meet them: in the headers of both dialects and of gRPC, and across processes with a real Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from e2e.commands import Shell, free_address
from e2e.scene import Scene
from e2e.shapes import daytona_error, dotenv_error
from support.deployment import LIMITS, Deployment
from support.engines import Engines
from support.gateway import Front, eventually
from support.http import Answer
from support.rates import GET, Told, ask, crowd
from support.redis import running_redis
from support.rpc import Client
from support.world import World

from tenantry_server.domain.rates import Rate, Rates

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
RATE = Rate(6, 60)
LIMIT, REMAINING, RESET = "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"


def spoken(answer: Answer) -> tuple[int, int]:
    """The limit, and what is left of it."""
    assert int(answer.headers[RESET]) > NOON.timestamp()
    return int(answer.headers[LIMIT]), int(answer.headers[REMAINING])


@pytest.fixture
def limited(deploy_own: Callable[..., World], front_of: Callable[[Deployment], Front]) -> Iterator[Scene]:
    """An organization that may be called six times a minute; two of them are gone."""
    world = deploy_own(limits=replace(LIMITS, rates=Rates(authenticated=RATE, principal=RATE, address=RATE)))
    world.clock.stopped = NOON
    front = front_of(world.deployment)
    with front.http() as client:
        scene = Scene(world, client, front)
        _ = scene.member
        assert ask(world.deployment.channel, scene.owner.token, GET, organization_id=scene.organization.id).remaining == 4
        yield scene


def test_both_dialects_and_grpc_count_down_together_whatever_they_answer(limited: Scene) -> None:
    owner, member = limited.as_owner, limited.by(limited.member)
    calls: list[tuple[int, Callable[[], Answer]]] = [
        (200, lambda: owner.get(limited.path("/roles"))),  # a top-level array
        (403, lambda: member.patch(limited.path("/default-region"), {"defaultRegionId": "us"})),
        (422, lambda: owner.patch(limited.v1(), {"name": ""})),
        (204, lambda: owner.post(limited.path("/sandbox-default-limited-network-egress"), _EGRESS)),
    ]
    for left, (status, call) in zip((3, 2, 1, 0), calls, strict=True):
        answer = call()
        assert (answer.status, spoken(answer)) == (status, (6, left)), answer.raw

    wait = int(answer.headers[RESET]) - int(NOON.timestamp())
    message = f"at most 6 calls in 60 seconds: try again in {wait} seconds"
    refused = owner.get(limited.path("/roles"))
    assert refused.seen == daytona_error(429, limited.path("/roles"), message)
    assert (spoken(refused), refused.headers["retry-after"]) == ((6, 0), str(wait))
    refused = owner.get(limited.v1())
    details = {"rate_limit": "authenticated", "maximum": "6", "window": "60", "retry_after": str(wait)}
    assert refused.seen == dotenv_error(429, "rate_limited", message, **details)
    assert (spoken(refused), refused.headers["retry-after"]) == ((6, 0), str(wait))
    with grpc.insecure_channel(limited.gateway.address) as channel:
        native = ask(channel, limited.owner.token, GET, organization_id=limited.organization.id)
    assert native.refusal is not None
    assert (native.refusal.code, native.refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert (native.limit, native.trailing["retry-after"]) == ((6, 0, int(refused.headers[RESET])), str(wait))


_EGRESS = {"sandboxDefaultLimitedNetworkEgress": True}


def test_who_is_not_known_is_counted_by_the_address_that_the_gateway_saw(limited: Scene) -> None:
    for number in range(6):
        answer = limited.http.get("/api/organizations", X_Forwarded_For=f"192.0.2.{number}")
        assert (answer.status, spoken(answer)) == (401, (6, 5 - number))
    assert limited.http.get("/api/v1/organizations").status == 429
    created = limited.as_owner.post("/api/v1/organizations", {"name": "Another"})  # who is known goes on
    assert (created.status, spoken(created)) == (201, (6, 4))


def test_the_organization_of_a_token_is_rate_limited_but_not_metered(limited: Scene) -> None:
    world, token = limited.world, limited.world.token(organization_id=limited.organization.id)
    limited.world.platform()(
        "LimitService.UpdateOrganizationLimits", organization_id=limited.organization.id, api_calls_per_month=3
    )
    assert spoken(limited.by(token).get("/api/v1/organization")) == (6, 3)
    assert limited.by(token).get(limited.v1()).status == 200  # the third that is metered
    refused = limited.by(token).get(limited.v1())
    details = {"limit": "API calls in 2030-01", "maximum": "3"}
    assert refused.seen == dotenv_error(422, "limit_exceeded", "limit reached: at most 3 API calls in 2030-01", **details)
    refused = limited.as_owner.get(limited.path())
    assert refused.seen == daytona_error(403, limited.path(), "limit reached: at most 3 API calls in 2030-01")
    world.clock.stopped = datetime.fromtimestamp(int(refused.headers[RESET]), UTC)
    free = limited.by(token).get("/api/v1/organization")
    assert (free.status, spoken(free)) == (200, (6, 5))


def test_browsers_may_read_the_headers(limited: Scene) -> None:
    answer = limited.as_owner.get(limited.path(), Origin="https://app.example")
    exposed = {name.strip() for name in str(answer.headers["access-control-expose-headers"]).split(",")}
    assert {LIMIT, REMAINING, RESET, "retry-after"} <= exposed


# -- four processes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def four(engine: str, engines: Engines, tmp_path: Path) -> Iterator[Callable[..., tuple[Shell, list[grpc.Channel]]]]:
    """Starts four servers, each a process of its own, on one database: 100 calls a day; answers with channels to them."""
    with ExitStack() as stack:

        def start(**settings: str) -> tuple[Shell, list[grpc.Channel]]:
            shared = {"DATABASE_URL": engines.new(engine), "RATE_LIMIT": "100/1d"}
            shell = Shell(tmp_path, {**shared, **settings})
            assert shell.run("migrate").returncode == 0
            addresses = [free_address() for _ in range(4)]
            for address in addresses:
                stack.enter_context(shell.start("serve", GRPC_ADDRESS=address))
            channels = [stack.enter_context(grpc.insecure_channel(address)) for address in addresses]
            for channel in channels:
                eventually(partial(_is_serving, channel), "a server", within=60)
            return shell, channels

        yield start


def _is_serving(channel: grpc.Channel) -> bool:
    try:
        grpc.channel_ready_future(channel).result(timeout=1)
    except grpc.FutureTimeoutError:
        return False
    return True


def storm(shell: Shell, channels: list[grpc.Channel]) -> tuple[list[Told], list[Told]]:
    """What 160 calls are told, 40 at each server, all at once: those that were admitted, and the others."""
    made: Any = shell.json("user", "create", "--email", "ana@example.com", "--name", "Ana")
    token = made["token"]
    # Its window must not end meanwhile: one of a few organizations has hours left.
    for number in range(20):
        organization_id = _create(channels[0], token, f"Acme {number}")
        before = ask(channels[0], token, GET, organization_id=organization_id)
        if before.limit[2] - time.time() > 600:
            break
    sent = iter(range(160))
    answers = crowd(lambda: ask(channels[next(sent) % 4], token, GET, organization_id=organization_id), 160, threads=16)
    admitted = [before, *(answer for answer in answers if answer.refusal is None)]
    return admitted, [answer for answer in answers if answer.refusal is not None]


def _create(channel: grpc.Channel, token: str, name: str) -> str:
    return str(Client(channel, token)("OrganizationService.CreateOrganization", name=name).id)


def test_four_processes_with_redis_admit_100_and_tell_no_two_the_same(four: Any, tmp_path: Path) -> None:
    with running_redis(tmp_path) as url:
        admitted, refused = storm(*four(RATE_LIMIT_REDIS_URL=url))
    assert sorted(answer.remaining for answer in admitted) == list(range(100))
    assert len({answer.limit[2] for answer in admitted}) == 1
    assert len(refused) == 61
    assert all(answer.is_limited and answer.remaining == 0 for answer in refused)


def test_control_four_processes_without_redis_admit_more(four: Any) -> None:
    admitted, refused = storm(*four())
    assert (len(admitted), refused) == (161, [])


def test_processes_whose_redis_is_gone_go_on_by_themselves(four: Any, tmp_path: Path) -> None:
    with running_redis(tmp_path) as url:
        shell, channels = four(RATE_LIMIT_REDIS_URL=url)
    admitted, refused = storm(shell, channels)
    assert (len(admitted), refused) == (161, [])
