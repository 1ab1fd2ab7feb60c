"""Changes while connections are cut, and while the server itself is killed: what was acknowledged, and what is there."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import psycopg
from e2e.commands import Running, Shell

from tenantry_server.processes import wait_until_serving

from . import raw
from .rpc import Client, Refused
from .world import World

_WORKERS = 8
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED)
_LONGEST = 120.0
_CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database() ORDER BY random() LIMIT 1"""


@dataclass
class Outcome:
    """What was asked for, what was answered, and what is there."""

    asked: int = 0
    cut: int = 0
    repeated: int = 0
    acknowledged: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Acknowledged, and not there."""
        return len(set(self.acknowledged) - set(self.there))

    @property
    def doubled(self) -> int:
        """There, beyond what was asked for."""
        return max(0, len(self.there) - self.asked)


def cut_connections(world: World, changes: int, *, request_ids: bool) -> Outcome:
    """So many changes by several clients, each repeated until it is acknowledged, while PostgreSQL loses a random connection of
    the server every 10 to 50 milliseconds.
    """
    owners = [world.person("owner") for _ in range(_WORKERS)]
    organizations = [world.organization(owner) for owner in owners]
    outcome, stop = Outcome(asked=changes), threading.Event()

    def cut() -> None:
        with psycopg.connect(world.deployment.url, autocommit=True) as connection:
            while not stop.wait(random.uniform(0.01, 0.05)):
                outcome.cut += len(connection.execute(_CUT).fetchall())

    def work(worker: int) -> None:
        for number in range(worker, changes, _WORKERS):
            key = f"change{number}" if request_ids else ""
            make = partial(_make_role, owners[worker].rpc, organizations[worker].id, f"Role {number}", key)
            outcome.acknowledged.append(_until_acknowledged(make, outcome))

    cutting = threading.Thread(target=cut)
    cutting.start()
    try:
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(work, range(_WORKERS)))
    finally:
        stop.set()
        cutting.join()
    world.deployment.database.drop_connection()
    outcome.there = raw.values(world.deployment.database, "roles", "id")
    return outcome


def _make_role(rpc: Client, organization_id: str, name: str, request_id: str) -> str:
    made = rpc(
        "RoleService.CreateRole",
        organization_id=organization_id,
        name=name,
        permissions=["sandbox:read"],
        request_id=request_id,
    )
    return str(made.id)


def _until_acknowledged(act: Callable[[], str], outcome: Outcome) -> str:
    end = time.monotonic() + _LONGEST
    while True:
        try:
            return act()
        except Refused as refusal:
            if refusal.code not in _AGAIN or time.monotonic() > end:
                raise
            outcome.repeated += 1
            time.sleep(random.uniform(0, 0.01))


def kill_server(shell: Shell, times: int) -> Outcome:
    """Kills the server of an empty database in the middle of work, so often; clients repeat nothing."""
    assert shell.run("migrate").returncode == 0
    made = shell.json("user", "create", "--email", "ana@example.com", "--name", "Ana")
    outcome = Outcome()
    for _ in range(times):
        with ExitStack() as stack:
            running: Running = stack.enter_context(shell.start("serve"))
            wait_until_serving(shell.grpc_address, lambda running=running: running.popen.poll() is None)  # type: ignore[misc]
            enough = len(outcome.acknowledged) + random.randint(5, 30)
            with ThreadPoolExecutor(_WORKERS) as pool:
                over = threading.Event()
                working = [
                    pool.submit(_create_until, shell, made["token"], over, outcome.acknowledged) for _ in range(_WORKERS)
                ]
                while len(outcome.acknowledged) < enough:
                    time.sleep(0.005)
                running.popen.send_signal(signal.SIGKILL)
                running.popen.wait()
                over.set()
                for each in working:
                    each.result()
        outcome.cut += 1
    with raw.connect(shell.settings["DATABASE_URL"]) as connection:
        outcome.there = [row[0] for row in connection.execute("SELECT id FROM organizations")]
    return outcome


def _create_until(shell: Shell, token: str, over: threading.Event, acknowledged: list[str]) -> None:
    with grpc.insecure_channel(shell.grpc_address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        client: Any = Client(channel, token)
        while not over.is_set():
            try:
                acknowledged.append(client("OrganizationService.CreateOrganization", name="Under fire").id)
            except Refused:
                over.wait(0.01)
