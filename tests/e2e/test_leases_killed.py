"""A server that is killed between reserving and committing: what was acknowledged holds, what was not ends with its time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from e2e.commands import Running, shell_on
from support import raw
from support.interleave import outcome, refused
from support.metered import COMMIT, COMMITTED, RELEASE, RESERVE, RESERVED, Metered
from support.rpc import Client, Refused
from support.world import World

from tenantry_server.processes import wait_until_serving
from tenantry_server.store.queries import quotas
from tenantry_server.store.statements import Slot, Statement
from tenantry_server.store.usage import Lease

pytestmark = pytest.mark.slow

_LIMIT, _WORKERS, _ENOUGH = 12, 6, 40
_TTL = timedelta(minutes=5)


class Storm:
    """Several clients who reserve, commit, and release when there is no room, until the server is gone."""

    def __init__(self, acme: Metered, address: str) -> None:
        self.acme = acme
        self.committed: set[str] = set()
        self.released: set[str] = set()
        self._address = address
        self._token = acme.world.platform_token(["usage:reserve"])
        self._steps = threading.Semaphore(0)

    def until_killed(self, running: Running) -> Any:
        """Kills the server in the middle of it; answers with a lease that it had just reserved."""
        with ThreadPoolExecutor(_WORKERS) as pool, self._client() as client:
            working = [pool.submit(self._work) for _ in range(_WORKERS)]
            for _ in range(_ENOUGH):
                assert self._steps.acquire(timeout=60)
            lease = self._reserved(client)
            running.popen.send_signal(signal.SIGKILL)
            running.popen.wait()
            for each in working:
                each.result()
        return lease

    def _client(self) -> Any:
        return grpc.insecure_channel(self._address, options=[("grpc.use_local_subchannel_pool", 1)])

    def _reserved(self, channel: grpc.Channel) -> Any:
        """One that there was room for in the end."""
        while refused(found := outcome(lambda: Client(channel, self._token)(RESERVE, **self.acme.request(cpu=1)))):
            assert found.reason == "QUOTA_EXCEEDED"
        return found

    def _work(self) -> None:
        held: list[str] = []
        with self._client() as channel:
            client = Client(channel, self._token)
            while True:
                try:
                    lease = client(RESERVE, **self.acme.request(cpu=1))
                    client(COMMIT, lease_id=lease.id, **self.acme.here)
                    held.append(lease.id)
                    self.committed.add(lease.id)
                except Refused as refusal:
                    if refusal.reason != "QUOTA_EXCEEDED":
                        return
                    for id_ in held[:1]:
                        self._release(client, held.pop(held.index(id_)))
                self._steps.release()

    def _release(self, client: Client, lease_id: str) -> None:
        self.committed.discard(lease_id)  # whether it is released or not, nobody knows until it is acknowledged
        try:
            client(RELEASE, lease_id=lease_id, **self.acme.here)
        except Refused:
            return
        self.released.add(lease_id)


def leases(acme: Metered, state: str) -> set[str]:
    """The leases of a state, as they are kept."""
    return set(
        raw.values(acme.world.deployment.database, "usage_leases", "id", organization_id=acme.organization.id, state=state)
    )


def test_what_a_killed_server_had_reserved_ends_with_its_time_and_what_it_acknowledged_stays(
    deploy_own: Callable[..., World], tmp_path: Path
) -> None:
    world = deploy_own()
    acme = Metered(world, cpu=_LIMIT)
    shell = shell_on(world, tmp_path)
    with shell.start("serve") as running:
        wait_until_serving(shell.grpc_address, lambda: running.popen.poll() is None)
        storm = Storm(acme, shell.grpc_address)
        lease = storm.until_killed(running)

    committed, reserved = leases(acme, "committed"), leases(acme, "reserved")
    assert storm.committed <= committed
    assert storm.released.isdisjoint(committed | reserved)
    assert lease.id in reserved
    assert acme.usage() == (_LIMIT, len(committed), len(reserved))
    assert len(committed) + len(reserved) <= _LIMIT
    assert world.breaches() == []

    until = lease.expire_time.ToDatetime(UTC)
    with world.at(until - timedelta(milliseconds=1)):
        assert acme.usage()[2] >= 1
    with world.at(until + _TTL):
        assert acme.usage() == (_LIMIT, len(committed), 0)
        late = acme.service.refusal(COMMIT, lease_id=lease.id, **acme.here)
        assert late.metadata == {"lease_id": lease.id, "state": "expired"}
        for _ in range(_LIMIT - len(committed)):
            assert acme.reserve(cpu=1).state == RESERVED
        assert acme.reserve_refused(cpu=1).reason == "QUOTA_EXCEEDED"
        assert acme.usage() == (_LIMIT, len(committed), _LIMIT - len(committed))
    assert world.breaches() == []


def test_a_server_that_is_killed_before_it_commits_can_be_followed_by_another_that_does(
    deploy_own: Callable[..., World], tmp_path: Path
) -> None:
    world = deploy_own()
    acme = Metered(world, cpu=_LIMIT)
    shell = shell_on(world, tmp_path)
    with shell.start("serve") as running:
        wait_until_serving(shell.grpc_address, lambda: running.popen.poll() is None)
        lease = Storm(acme, shell.grpc_address).until_killed(running)
    before = acme.usage()
    assert acme.commit(lease).state == COMMITTED
    assert acme.usage() == (_LIMIT, before[1] + 1, before[2] - 1)
    assert world.breaches() == []


def test_control_without_the_time_what_a_crash_left_would_be_held_for_good(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reserved = (Lease.organization_id == Slot("organization_id")) & (Lease.state == "reserved")
    timeless: Any = Statement(lambda: Lease.select(*quotas.LEASE_COLUMNS).where(is_reserved), quotas.lease)
    monkeypatch.setattr(quotas, "RESERVED", timeless)
    world = deploy_own()
    acme = Metered(world, cpu=_LIMIT)
    until = [acme.reserve(cpu=1) for _ in range(_LIMIT)][-1].expire_time.ToDatetime(UTC)
    with world.at(until):
        assert acme.usage() == (_LIMIT, 0, _LIMIT)
        assert acme.reserve_refused(cpu=1).reason == "QUOTA_EXCEEDED"
    monkeypatch.undo()
    with world.at(until):
        assert acme.usage() == (_LIMIT, 0, 0)
        assert acme.reserve(cpu=1).state == RESERVED
