"""The database's primary goes away in every way, under load, and comes back: `python -m ha.failover FOLDER ROUNDS`, in
namespaces of its own, where `failover` in `__main__` starts it. Prints a line of JSON for each row of the report.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psycopg
from e2e.commands import Running, Shell
from support.gateway import eventually

from tenantry_server.processes import wait_until_serving

from .machines import Machine
from .patroni import Patroni
from .traffic import Change, Person, Traffic

_PEOPLE = 8
# In seconds: how long a fault may take to be over, and the calm around it; and how many changes show that they are back.
_LONGEST, _CALM = 120.0, 3.0
_BACK = 50
# What is promised, in seconds.
_CHANGES_BACK, _CHECKS_BACK = 30, 1


class Fault(NamedTuple):
    """What happens to the machine that has a role, and how it is undone."""

    name: str
    role: str
    strike: Callable[[Patroni, Machine], None]
    undo: Callable[[Machine], None]


FAULTS = (
    Fault("primary killed", "primary", lambda patroni, machine: machine.power_off(), Machine.boot),
    Fault("primary frozen", "primary", lambda patroni, machine: machine.freeze(), Machine.thaw),
    Fault(
        "primary cut off from the other machines",
        "primary",
        lambda patroni, machine: machine.cut_off(patroni.others(machine)),
        Machine.reconnect,
    ),
    Fault("primary switched over", "primary", Patroni.switch_over, lambda machine: None),
    Fault("synchronous standby frozen", "synchronous", lambda patroni, machine: machine.freeze(), Machine.thaw),
)


class Site:
    """Two server processes on the database, the same ones from the first fault to the last."""

    def __init__(self, folder: Path, patroni: Patroni, stack: ExitStack) -> None:
        self.patroni = patroni
        self.shell = Shell(
            folder,
            {
                "DATABASE_URL": patroni.primary_url,
                "REPLICA_URL": patroni.replica_url,
                "WORKERS": "2",
                "MAX_ORGANIZATIONS_PER_USER": "1000000",
            },
        )
        assert self.shell.run("migrate").returncode == 0
        self.people = [self._person(number) for number in range(_PEOPLE)]
        running: Running = stack.enter_context(self.shell.start("serve"))
        wait_until_serving(self.shell.grpc_address, lambda: running.popen.poll() is None)

    def _person(self, number: int) -> Person:
        made = self.shell.json("user", "create", "--email", f"p{number}@example.com", "--name", f"P {number}")
        return Person(made["token"], made["personal_organization_id"])

    def tally(self, changes: list[Change]) -> tuple[int, int]:
        """How many acknowledged changes are not there, and how many are there more than once."""
        with psycopg.connect(self.patroni.primary_url) as connection:
            there = connection.execute("SELECT id, name FROM organizations").fetchall()
        asked = {change.name for change in changes}
        lost = {change.id for change in changes} - {row[0] for row in there}
        names = [row[1] for row in there if row[1] in asked]
        return len(lost), len(names) - len(set(names))

    def is_sound(self) -> bool:
        """What the doctor says."""
        return self.shell.run("doctor").stdout == "All invariants hold.\n"


class Span(NamedTuple):
    """When a round began and ended, on the clock of `time.monotonic`."""

    begin: float
    end: float


def _round(site: Site, fault: Fault, traffic: Traffic, *, synchronous: bool = True) -> Span:
    """Strikes, waits until changes go through again, undoes it, and waits until all is as it was."""
    patroni, begin = site.patroni, time.monotonic()
    time.sleep(_CALM)
    (victim,) = patroni.who_is(fault.role)
    fault.strike(patroni, victim)
    stands_in = lambda: set(patroni.who_is(fault.role)) - {victim}
    eventually(stands_in, f"{fault.name}: another machine stands in", within=_LONGEST)
    replaced = time.monotonic()
    eventually(lambda: traffic.acknowledged_since(replaced) > _BACK, f"{fault.name}: changes are back", within=_LONGEST)
    fault.undo(victim)
    healthy = lambda: patroni.is_healthy(synchronous=synchronous)
    eventually(healthy, f"{fault.name}: all machines are back", within=_LONGEST)
    time.sleep(_CALM)
    return Span(begin, time.monotonic())


def scenario(site: Site, fault: Fault, rounds: int) -> None:
    """One fault, so often, without a change that is lost or doubled, or a check that waits."""
    with Traffic(site.shell.grpc_address, site.people, fault.name) as traffic:
        spans = [_round(site, fault, traffic) for _ in range(rounds)]
    gaps = [traffic.longest_without_a_change(*span) for span in spans]
    waited = max(traffic.longest_wait_for_a_check(*span, at_least=False) for span in spans)
    fresh = max(traffic.longest_wait_for_a_check(*span, at_least=True) for span in spans)
    (lost, doubled), sound = site.tally(traffic.changes), site.is_sound()
    seen = (
        f"{len(traffic.changes)} acknowledged changes, {lost} lost, {doubled} doubled, doctor "
        f"{'clean' if sound else 'NOT clean'}; no change for {', '.join(f'{gap:.1f}' for gap in gaps)} s; "
        f"a check waited for {waited:.2f} s at most, one that names a revision for {fresh:.2f} s"
    )
    holds = lost == doubled == 0 and sound and max(gaps) < _CHANGES_BACK and max(waited, fresh) < _CHECKS_BACK
    _say(f"{fault.name}, {rounds} times", seen, holds, traffic)


def control(site: Site, fault: Fault) -> None:
    """Without synchronous replication, the same loses changes."""
    site.patroni.replicate(synchronously=False)
    with Traffic(site.shell.grpc_address, site.people, "control") as traffic:
        _round(site, fault, traffic, synchronous=False)
    lost, _ = site.tally(traffic.changes)
    seen = f"{len(traffic.changes)} acknowledged changes, {lost} lost"
    _say(f"control: {fault.name}, asynchronous replication", seen, lost > 0, traffic)


def _say(done: str, seen: str, holds: bool, traffic: Traffic) -> None:
    sys.stderr.write(f"{done}: {dict(traffic.refusals)}\n")
    sys.stdout.write(json.dumps([done, seen, holds]) + "\n")
    sys.stdout.flush()


def main(folder: Path, rounds: int) -> None:
    """All faults, then the control."""
    folder.chmod(0o755)  # the database's user has their files in it
    (folder / "server").mkdir()
    with ExitStack() as stack:
        site = Site(folder / "server", Patroni(folder), stack)
        for fault in FAULTS:
            scenario(site, fault, rounds)
        control(site, FAULTS[2])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
