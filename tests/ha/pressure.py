"""A database that answers nothing, and more clients than the server takes: how calls end, and when all is well again."""

from __future__ import annotations

import resource
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

import grpc
from support.deployment import deploy
from support.engines import Engines
from support.interleave import outcome
from support.rpc import Client, Refused, request_of
from support.wire import Wire
from support.world import World

_DEADLINE, _CALLS = 0.5, 64
_CLIENTS, _CONNECTIONS, _EACH = 400, 20, 5


class Hole(NamedTuple):
    """How late calls ended, when the threads were free, when all was well again, in seconds; and how calls ended."""

    latest: float
    threads_free: float
    recovered: float
    codes: Counter[str]


def black_hole(engines: Engines) -> Hole:
    """The database is cut off in the middle of work, and comes back."""
    with Wire(engines.new("postgresql")) as wire, ExitStack() as stack:
        deployment = deploy("postgresql", wire.url)
        stack.callback(deployment.close)
        stack.callback(wire.heal)
        world = World(deployment)
        owner = world.person("owner")
        here = {"organization_id": world.organization(owner).id}
        get = request_of("OrganizationService.GetOrganization", **here)
        update = request_of("OrganizationService.UpdateOrganization", **here, name="Apex")
        wire.hang()

        def call(number: int) -> tuple[float, str]:
            name, request = ("GetOrganization", get) if number % 2 else ("UpdateOrganization", update)
            begin = time.monotonic()
            result = outcome(lambda: owner.rpc.send(f"OrganizationService.{name}", request, timeout=_DEADLINE))
            return time.monotonic() - begin - _DEADLINE, result.code.name if isinstance(result, Refused) else "OK"

        cut = time.monotonic()
        with ThreadPoolExecutor(_CALLS) as pool:
            ends = list(pool.map(call, range(_CALLS)))
        while deployment.server.overload.calls:
            time.sleep(0.005)
        free = time.monotonic() - cut - _DEADLINE
        wire.heal()
        healed = time.monotonic()
        with ThreadPoolExecutor(8) as pool:  # every thread, and each of both kinds
            good = list(pool.map(lambda number: call(number)[1], range(32)))
        recovered = time.monotonic() - healed
        return Hole(max(late for late, _ in ends), free, recovered, Counter([code for _, code in ends] + good[-8:]))


class Crowd(NamedTuple):
    """How calls of a crowd ended, and by how many MiB the process grew."""

    codes: Counter[str]
    grown: float


def crowd(engines: Engines) -> Crowd:
    """Many clients over few connections, all at once."""
    with ExitStack() as stack:
        deployment = deploy("postgresql", engines.new("postgresql"))
        stack.callback(deployment.close)
        world = World(deployment)
        owner = world.person("owner")
        here = {"organization_id": world.organization(owner).id}
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            stack.enter_context(grpc.insecure_channel(deployment.address, options=options)) for _ in range(_CONNECTIONS)
        ]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        def work(number: int) -> list[str]:
            client = Client(channels[number % _CONNECTIONS], owner.token)
            results: list[Any] = [outcome(lambda: client("OrganizationService.GetOrganization", **here)) for _ in range(_EACH)]
            return [(result.reason or result.code.name) if isinstance(result, Refused) else "OK" for result in results]

        with ThreadPoolExecutor(_CLIENTS) as pool:
            codes = Counter(code for found in pool.map(work, range(_CLIENTS)) for code in found)
        return Crowd(codes, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
