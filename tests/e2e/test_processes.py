"""`tenantry up`, `serve` and `gateway` as processes: they start, share work, replace what dies, and leave nothing behind."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from e2e.commands import Process, Shell, process
from e2e.shapes import ULID, UUID, dotenv_error, exactly, organization, secret
from support.engines import Engines
from support.gateway import eventually

READY = "Tenantry is ready at http://"
LIST = "/api/organizations"


@pytest.fixture
def shell(engine: str, engines: Engines, tmp_path: Path) -> Shell:
    """Commands in a folder of their own, on an empty database."""
    return Shell(tmp_path, {"DATABASE_URL": engines.new(engine)})


def gone(family: list[Process]) -> bool:
    """Whether none of them runs any more."""
    return not any(each.is_alive for each in family)


# -- up ----------------------------------------------------------------------------------------------------------------


def test_up_demo_makes_a_demo_that_works_and_ends_without_a_trace(shell: Shell) -> None:
    data = shell.folder / ".data"
    with shell.start("up", "--demo") as running:
        line = running.says(READY)
        assert shell.http_address in line
        assert shell.grpc_address in line
        demo = json.loads((data / "demo.json").read_text())
        check_demo(shell, demo, data)
        family = running.process.children()
        assert len(family) == 2, [each.command for each in family]
        assert running.ends(signal.SIGINT) == 0
        assert gone(family)
    assert "Demo: two users and an organization; their tokens are in .data/demo.json." in running.out.read_text()
    assert f'curl http://{shell.http_address}/api/organizations -H "Authorization: Bearer $TOKEN"' in running.out.read_text()
    assert not [line for line in running.err.read_text().splitlines() if not line.startswith("{")]

    # It is there still, and nothing is made again. This time, all of it is killed at once with its first process.
    with shell.start("up", "--demo") as running:
        running.says("Demo: the database has users already, so nothing was made.")
        running.says(READY)
        assert json.loads((data / "demo.json").read_text()) == demo
        check_demo(shell, demo, data)
        family = running.process.children()
        (folder,) = (Path(each.command.split(" -c ")[1].split()[0]).parent for each in family if "envoy -c" in each.command)
        running.process.kill(signal.SIGKILL)
        eventually(lambda: gone(family), "its children end after it")
        shutil.rmtree(folder)  # what nobody was left to remove


def test_no_secret_is_in_a_list_of_processes_or_in_what_they_print(engine: str, shell: Shell) -> None:
    password = "canary-in-the-database-url"
    if engine == "postgresql":
        shell.settings["DATABASE_URL"] += f"&password={password}"
    with shell.start("up", "--demo", WORKERS="2" if engine == "postgresql" else "1") as running:
        running.says(READY)
        demo = json.loads((shell.folder / ".data" / "demo.json").read_text())
        tokens = [demo["owner"]["token"], demo["member"]["token"], demo["organization_token"], demo["platform_token"]]
        with closing(shell.http(tokens[0])) as http:
            assert http.get(LIST).status == 200
        family = [running.process, *running.process.children()]
        listed = "\n".join(each.command for each in family)
        assert "envoy" in listed
        printed = running.out.read_text() + running.err.read_text()
    assert [secret for secret in (*tokens, password) if secret in listed + printed] == []


def test_control_a_secret_among_the_arguments_would_be_listed() -> None:
    canary = "canary-among-the-arguments"
    with subprocess.Popen([sys.executable, "-c", "input()", canary], stdin=subprocess.PIPE) as popen:
        eventually(lambda: canary in process(popen.pid).command, "it is listed")
        popen.communicate(b"\n")


def check_demo(shell: Shell, demo: dict[str, Any], data: Path) -> None:
    """The demo's file is private and complete, and its tokens work."""
    assert (data / "demo.json").stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o777 == 0o700
    person = {"user_id": ULID, "personal_organization_id": ULID}
    assert demo == {
        "organization_id": ULID,
        "owner": person | {"email": "owner@example.com", "token": secret("usr")},
        "member": person | {"email": "member@example.com", "token": secret("usr")},
        "organization_token": secret("org"),
        "platform_token": secret("plt"),
    }
    personal, shared = organization(name="Personal", personal=exactly(True)), organization(name="Demo", id=UUID)
    with shell.http() as http:
        for name in ("owner", "member"):
            assert http.bearing(demo[name]["token"]).get(LIST).seen == (200, [personal, shared])
        assert http.bearing(demo["organization_token"]).get(LIST).seen == (200, [shared])
        users = http.bearing(demo["owner"]["token"]).get(f"{LIST}/{demo['organization_id']}/users").body
        current = http.bearing(demo["platform_token"]).get("/api/api-keys/current")
        assert current.body["value"] == f"{demo['platform_token'][:12]}{'*' * 20}"
    assert {each["email"]: each["role"] for each in users} == {"owner@example.com": "owner", "member@example.com": "member"}


@pytest.mark.parametrize(
    ("command", "taken"), [("up", "http"), ("up", "grpc"), ("serve", "grpc"), ("gateway", "http")], ids=lambda it: str(it)
)
def test_a_port_that_somebody_has_is_one_clear_line(tmp_path: Path, command: str, taken: str) -> None:
    shell = Shell(tmp_path)
    assert shell.run("migrate").returncode == 0
    address = shell.http_address if taken == "http" else shell.grpc_address
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))):
        done = shell.run(command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.lower() == f"error: cannot listen on {address}: address already in use\n"


# -- serve and gateway -------------------------------------------------------------------------------------------------


def test_server_and_gateway_run_apart_and_each_drains_on_sigterm(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.run("migrate").returncode == 0
    token = shell.json("user", "create", "--email", "ana@example.com", "--name", "Ana")["token"]
    with shell.start("serve") as server, shell.start("gateway") as gateway:
        assert gateway.says("The gateway listens on") == f"The gateway listens on http://{shell.http_address}."
        with shell.http(token) as http:
            eventually(lambda: http.get("/healthz").status == 200, "the gateway finds the server")
            assert http.get(LIST).seen == (200, [organization(name="Personal", personal=exactly(True))])
            assert server.ends(signal.SIGTERM) == 0
            assert http.get("/healthz").seen == (503, {"status": "unavailable"})
            assert http.get("/api/v1/organization").seen == dotenv_error(503, "service_unavailable")
        family = gateway.process.children()
        assert (len(family), gateway.ends(signal.SIGTERM)) == (1, 0)
        assert gone(family)


def test_several_workers_share_the_port_and_one_that_dies_is_replaced(shell: Shell) -> None:
    assert shell.run("migrate").returncode == 0
    shell.settings["WORKERS"] = "2"
    with shell.start("serve") as supervisor:

        def serving(times: int) -> bool:
            return supervisor.err.read_text().count('"event": "serving"') >= times

        eventually(lambda: serving(2), "both workers serve")
        first, second = supervisor.workers()
        before = [sockets(each) for each in (first, second)]
        host, _, port = shell.grpc_address.rpartition(":")
        connections = [socket.create_connection((host, int(port))) for _ in range(30)]
        try:
            eventually(
                lambda: all(sockets(each) > count + 1 for each, count in zip((first, second), before, strict=True)),
                "connections spread over both",
            )
        finally:
            for connection in connections:
                connection.close()

        first.kill(signal.SIGKILL)
        eventually(lambda: serving(3), "another worker serves")
        assert second.is_alive
        third = next(each for each in supervisor.workers() if each != second)
        assert third != first
        supervisor.process.kill(signal.SIGKILL)
        eventually(lambda: gone([second, third]), "the workers end after their supervisor")


def sockets(each: Process) -> int:
    """How many sockets a process has open."""
    links = (link for link in Path(f"/proc/{each.pid}/fd").iterdir())
    return sum(1 for link in links if _target(link).startswith("socket:"))


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def test_a_server_that_dies_ends_up_and_the_gateway_with_it(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    with shell.start("up") as running:
        running.says(READY)
        family = running.process.children()
        server = next(each for each in family if "tenantry_server serve" in each.command)
        server.kill(signal.SIGKILL)
        assert running.ends() == 1
        assert gone(family)
    assert running.err.read_text().splitlines()[-1] == "Error: the server ended with status -9"
