"""Servers behind the gateway are replaced one after the other, while clients call without pause: no call fails."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from e2e.commands import Running, Shell
from e2e.test_drain import Caller, load
from support import raw
from support.engines import Engines
from support.gateway import eventually

from tenantry_server import gateway
from tenantry_server.gateway import Gateway
from tenantry_server.processes import wait_until_serving

_SERVERS = 2
LIST = "/api/v1/organizations"


class Balancing(Gateway):
    """The gateway, where the server's name stands for several addresses."""

    def __init__(self, addresses: list[str], **options: Any) -> None:
        super().__init__(grpc_address=addresses[0], **options)
        self._addresses = addresses

    def _config(self, folder: Path) -> dict[str, Any]:
        config = super()._config(folder)
        (locality,) = config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"]
        (first,) = locality["lb_endpoints"]
        locality["lb_endpoints"] = []
        for address in self._addresses:
            another = copy.deepcopy(first)
            another["endpoint"]["address"] = gateway._endpoint(address)
            locality["lb_endpoints"].append(another)
        return config


class Fleet:
    """Servers of one database, each at an address of its own, behind one gateway."""

    def __init__(self, url: str, folder: Path) -> None:
        self._stack = ExitStack()
        self.shells = []
        for number in range(_SERVERS):
            home = folder / str(number)
            home.mkdir()
            self.shells.append(Shell(home, {"DATABASE_URL": url, "MAX_ORGANIZATIONS_PER_USER": "1000000"}))
        self.front = self.shells[0]
        self.running: list[Running] = []

    def __enter__(self) -> Fleet:
        assert self.front.run("migrate").returncode == 0
        self.token = self.front.json("user", "create", "--email", "ana@example.com", "--name", "Ana")["token"]
        self.running = [self.start(shell) for shell in self.shells]
        log = self.front.folder / "access.log"
        log.touch()
        addresses = [shell.grpc_address for shell in self.shells]
        self.gateway = Balancing(addresses, http_address=self.front.http_address, access_log=str(log))
        self._stack.enter_context(self.gateway)
        with self.front.http(self.token) as http:
            eventually(lambda: http.get(LIST).status == 200, "the gateway finds the servers")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start(self, shell: Shell) -> Running:
        """A server, once it serves."""
        running = self._stack.enter_context(shell.start("serve"))
        wait_until_serving(shell.grpc_address, lambda: running.popen.poll() is None)
        return running

    def roll(self, number: signal.Signals, callers: list[Caller]) -> None:
        """Ends every server by a signal, one after the other, each when the one before is back and all callers go on."""
        for index, shell in enumerate(self.shells):
            self.running[index].ends(number)
            self.running[index] = self.start(shell)
            eventually(self._all_are_healthy, "the gateway finds all servers", within=60)
            before = [len(caller.statuses) for caller in callers]
            eventually(lambda before=before: _went_on(callers, before), "calls go on", within=60)  # type: ignore[misc]

    def _all_are_healthy(self) -> bool:
        return self.gateway._admin("GET", "/clusters").count("::health_flags::healthy") == _SERVERS


def _went_on(callers: list[Caller], before: list[int]) -> bool:
    return all(len(caller.statuses) > count + 4 for caller, count in zip(callers, before, strict=True))


@pytest.fixture
def fleet(engine: str, engines: Engines, tmp_path: Path) -> Iterator[Fleet]:
    """Servers, and a gateway."""
    with Fleet(engines.new(engine), tmp_path) as made:
        yield made


def _failed(callers: list[Caller]) -> list[int]:
    return [status for caller in callers for _, status in caller.statuses if status not in (200, 201)]


def test_no_call_fails_while_servers_are_replaced_one_after_the_other(fleet: Fleet) -> None:
    with load(fleet.front, fleet.token) as callers:
        fleet.roll(signal.SIGTERM, callers)
    assert _failed(callers) == []
    created = {each for caller in callers for each in caller.created}
    with raw.connect(fleet.front.settings["DATABASE_URL"]) as connection:
        assert created <= {row[0] for row in connection.execute("SELECT id FROM organizations")}
    assert fleet.front.run("doctor").stdout == "All invariants hold.\n"


def test_without_the_drain_calls_would_fail(fleet: Fleet) -> None:
    with load(fleet.front, fleet.token) as callers:
        fleet.roll(signal.SIGKILL, callers)
    assert _failed(callers)
    assert fleet.front.run("doctor").stdout == "All invariants hold.\n"
