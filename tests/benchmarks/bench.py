"""CPU of the server process for a call, throughput and latency, scenario by scenario, beside an empty call.

    python -m benchmarks.bench [--seconds 1.0] [--rounds 5] [--engines sqlite,postgresql]

A real server process (`tenantry serve`) over each engine; a closed loop of 8 threads in this process. The scenarios are
interleaved over several rounds, and medians are reported: machines are noisy, so only ratios within one run mean anything.
CPU is the sum of `/proc/<pid>/task/*/schedstat`, in nanoseconds, over the server's threads.
"""

import argparse
import os
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.engines import Engines
from support.rpc import Client

from tenantry_server.bootstrap import wire
from tenantry_server.config import load_catalog
from tenantry_server.domain import call as calls
from tenantry_server.domain.roles import MemberRole
from tenantry_server.processes import wait_until_serving
from tenantry_server.services.service import Limits
from tenantry_server.store.database import open_database
from tenantry_server.store.schema import migrate

_THREADS = 8
_MEMBERS = 100

Scenario = Callable[[int], Any]


@dataclass
class Figures:
    """What the rounds of one scenario measured."""

    cpu: list[float] = field(default_factory=list)  # microseconds a call
    rate: list[float] = field(default_factory=list)  # calls a second
    latencies: list[float] = field(default_factory=list)  # milliseconds


@contextmanager
def serving(url: str) -> Iterator[tuple[int, str]]:
    """A server process; answers with its pid and address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        **os.environ,
        "TENANTRY_DATABASE_URL": url,
        "TENANTRY_GRPC_ADDRESS": address,
        "TENANTRY_MAX_PENDING_INVITATIONS": "999999999",
    }
    command = [sys.executable, "-m", "tenantry_server", "serve"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_serving(address, lambda: process.poll() is None)
            yield process.pid, address
        finally:
            process.terminate()


def prepare(url: str) -> tuple[str, str]:
    """A database with an organization of some members; answers with the owner's token and the organization's id."""
    database = open_database(url)
    migrate(database)
    services = wire(database, load_catalog(), Limits())
    operator = calls.operator("bench")
    owner = services.users.create(operator, email="owner@example.com", name="Owner", email_verified=True).user
    token = services.api_tokens.provision(operator, user_id=owner.id).secret
    as_owner = calls.operator("bench")
    as_owner.caller = calls.person(owner.id, owner.email, email_verified=True)
    organization = services.organizations.create(as_owner, name="Bench")
    adding = calls.operator("bench")
    adding.organization_id = organization.id
    for number in range(_MEMBERS):
        user = services.users.create(operator, email=f"m{number}@example.com", name="Member", email_verified=True).user
        services.members.add(adding, user_id=user.id, role=MemberRole.MEMBER, assigned_role_ids=[])
    database.shut_down()
    return token, organization.id


def scenarios(channel: grpc.Channel, token: str, organization_id: str) -> dict[str, Scenario]:
    """What is measured, the empty call first."""
    client = Client(channel, token)
    check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
    run = os.urandom(4).hex()
    return {
        "empty call": lambda _: check(health_pb2.HealthCheckRequest()),
        "GetOrganization": lambda _: client("OrganizationService.GetOrganization", organization_id=organization_id),
        "ListOrganizations": lambda _: client("OrganizationService.ListOrganizations"),
        "ListMembers (100)": lambda _: client("MemberService.ListMembers", organization_id=organization_id),
        "CreateInvitation": lambda number: client(
            "InvitationService.CreateInvitation",
            organization_id=organization_id,
            email=f"{run}{number}@example.com",
            role="MEMBER_ROLE_MEMBER",
        ),
        "RenameOrganization": lambda number: client(
            "OrganizationService.UpdateOrganization", organization_id=organization_id, name=f"Bench {number}"
        ),
    }


def cpu_of(pid: int) -> int:
    """Nanoseconds of CPU that a process has used."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def measure(pid: int, scenario: Scenario, seconds: float, figures: Figures, numbers: Iterator[int]) -> None:
    """One round of one scenario."""
    end = time.monotonic() + seconds
    lock = threading.Lock()
    latencies: list[float] = []

    def loop() -> None:
        while time.monotonic() < end:
            with lock:
                number = next(numbers)
            start = time.perf_counter()
            scenario(number)
            latencies.append((time.perf_counter() - start) * 1000)

    cpu, start = cpu_of(pid), time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(loop) for _ in range(_THREADS)]:
            done.result()
    figures.cpu.append((cpu_of(pid) - cpu) / 1000 / len(latencies))
    figures.rate.append(len(latencies) / (time.monotonic() - start))
    figures.latencies += latencies


def bench(engine: str, url: str, *, seconds: float, rounds: int) -> str:
    """Measures an engine; answers with its table."""
    token, organization_id = prepare(url)
    results: dict[str, Figures] = {}
    numbers = iter(range(10**9))
    with serving(url) as (pid, address), grpc.insecure_channel(address) as channel:
        for turn in range(rounds + 1):
            for name, scenario in scenarios(channel, token, organization_id).items():
                figures = Figures() if turn == 0 else results.setdefault(name, Figures())  # the first round warms up
                measure(pid, scenario, seconds, figures, numbers)
    return table(engine, results)


def table(engine: str, results: dict[str, Figures]) -> str:
    """The results of an engine, as Markdown."""
    floor = statistics.median(results["empty call"].cpu)
    lines = [
        f"### {engine}\n",
        "| call | server CPU, µs | x empty call | calls/s | p50, ms | p99, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, figures in results.items():
        cpu, rate = statistics.median(figures.cpu), statistics.median(figures.rate)
        cuts = statistics.quantiles(figures.latencies, n=100)
        lines.append(f"| {name} | {cpu:.0f} | {cpu / floor:.2f} | {rate:.0f} | {cuts[49]:.1f} | {cuts[98]:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each scenario, after one to warm up")
    parser.add_argument("--engines", default="sqlite,postgresql")
    options = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("grpcio", "protobuf", "peewee", "psycopg"))
    report = [
        "# What a call costs\n",
        f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores shared by server, database and clients;",
        f"closed loop of {_THREADS} threads, medians of {options.rounds} rounds of {options.seconds} s, interleaved.",
        "CPU is the server process's, without PostgreSQL's own. Only ratios within one run mean anything.\n",
    ]
    engines = Engines()
    try:
        for engine in options.engines.split(","):
            report.append(bench(engine, engines.new(engine), seconds=options.seconds, rounds=options.rounds))
    finally:
        engines.close()
    text = "\n".join(report)
    Path(__file__).with_name("report.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
