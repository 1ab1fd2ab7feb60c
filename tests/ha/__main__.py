"""Runs the long part, and writes what it saw: `python -m ha`, in the folder of the tests. Fails when a promise is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from e2e.commands import Shell
from support.chaos import cut_connections, kill_server
from support.deployment import deploy
from support.engines import ENGINES, Engines
from support.power import fail_often
from support.world import World

from .patroni import MISSING
from .pressure import black_hole, crowd

_REPORT = Path(__file__).parent / "report.md"
# Calls after the healing that count.
_WELL = 8
_KILLS, _FAILURES, _CHANGES, _ROUNDS = 40, 1000, 1000, 3
_TITLE = """# Under faults

Written by `make test-ha`: each part by its last run, of all or of some (`make test-ha HA="power failover"`)."""
# A network, processes and files of its own, which end with it; and it does end.
_ALONE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "timeout", "--signal=KILL", "5400")


class Row(NamedTuple):
    """What was done, what was seen, and whether that is what is promised."""

    done: str
    seen: str
    holds: bool


@contextmanager
def _world(engines: Engines) -> Iterator[World]:
    deployment = deploy("postgresql", engines.new("postgresql"))
    try:
        yield World(deployment)
    finally:
        deployment.close()


def kills(engines: Engines) -> Iterator[Row]:
    """The server is killed under load."""
    for engine in ENGINES:
        with tempfile.TemporaryDirectory() as folder:
            settings = {"DATABASE_URL": engines.new(engine), "MAX_ORGANIZATIONS_PER_USER": "1000000"}
            shell = Shell(Path(folder), settings)
            outcome = kill_server(shell, _KILLS)
            sound = shell.run("doctor").stdout == "All invariants hold.\n"
        seen = (
            f"{len(outcome.acknowledged)} acknowledged changes, {outcome.lost} lost, doctor {'clean' if sound else 'NOT clean'}"
        )
        yield Row(f"server killed {_KILLS} times (SIGKILL) under load, {engine}", seen, outcome.lost == 0 and sound)


def power(engines: Engines) -> Iterator[Row]:
    """The power fails under SQLite."""
    for setting, loses in (("full", False), ("normal", True)):
        losses = fail_often(_FAILURES, seed=7, synchronous=setting)
        seen = (
            f"{losses.lost} of {losses.acknowledged} acknowledged lost, {losses.halved} halved, {losses.corrupt} files corrupt"
        )
        holds = (losses.lost > 0) == loses and losses.halved == losses.corrupt == 0
        what = "control: " if loses else ""
        yield Row(f"{what}power lost {losses.failures} times (simulated), SQLite, synchronous={setting.upper()}", seen, holds)


def chaos(engines: Engines) -> Iterator[Row]:
    """PostgreSQL loses connections."""
    for request_ids in (True, False):
        with _world(engines) as world:
            outcome = cut_connections(world, _CHANGES, request_ids=request_ids)
            sound = world.breaches() == []
        seen = (
            f"{outcome.cut} connections cut, {outcome.repeated} repetitions by clients, {len(outcome.there)} applied of "
            f"{outcome.asked} asked for, {outcome.lost} lost, {outcome.doubled} doubled"
        )
        exact = outcome.lost == 0 and sound and (outcome.doubled == 0) == request_ids
        what = "under request ids" if request_ids else "control: without request ids"
        yield Row(f"a random connection cut every 10 to 50 ms during {_CHANGES} changes, PostgreSQL, {what}", seen, exact)


def pressure(engines: Engines) -> Iterator[Row]:
    """Nothing comes from the database; too much comes from clients."""
    hole = black_hole(engines)
    ends = ", ".join(f"{count} {code}" for code, count in sorted(hole.codes.items()))
    seen = (
        f"{ends}; the last call ended {1000 * hole.latest:.0f} ms after its deadline, all threads were free "
        f"{1000 * hole.threads_free:.0f} ms after it; 32 calls were answered within {hole.recovered:.2f} s of the healing"
    )
    holds = hole.latest < 0.1 and hole.recovered < 1 and hole.codes["OK"] == _WELL
    yield Row("a database that answers nothing: 64 calls with 0.5 s each, then 32 when it is back", seen, holds)
    full = crowd(engines)
    ends = ", ".join(f"{count} {code}" for code, count in sorted(full.codes.items()))
    seen = f"{ends}; the process, clients included, grew by {full.grown:.0f} MiB"
    yield Row("400 clients over 20 connections, 5 calls each, all at once", seen, set(full.codes) <= {"OK", "OVERLOADED"})


def failover(engines: Engines) -> Iterator[Row]:
    """The primary goes away in every way, and Patroni replaces it."""
    if MISSING:
        seen = f"not run: {', '.join(MISSING)} missing; `make ha-packages`, as root"
        yield Row("primary killed, frozen, cut off, switched over", seen, holds=os.environ.get("CI") != "true")
        return
    with tempfile.TemporaryDirectory(prefix="tenantry-failover-") as folder:
        command = [*_ALONE, sys.executable, "-m", "ha.failover", folder, str(_ROUNDS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield from (Row(*json.loads(line)) for line in process.stdout)
                process.wait()
            finally:
                process.kill()
    if process.returncode:
        yield Row("all of them", f"it ended with status {process.returncode}", holds=False)


_PARTS: tuple[Callable[[Engines], Iterator[Row]], ...] = (power, chaos, pressure, kills, failover)


def main() -> int:
    """Runs every part, or those that are named."""
    engines, broken = Engines(), 0
    try:
        for part in _PARTS:
            if sys.argv[1:] and part.__name__ not in sys.argv[1:]:
                continue
            rows, begin = [], time.monotonic()
            for row in part(engines):
                sys.stdout.write(f"{'holds ' if row.holds else 'BROKEN'}  {row.done}: {row.seen}\n")
                sys.stdout.flush()
                rows.append(row)
                broken += not row.holds
            _write(part.__name__, [*_section(part, rows, time.monotonic() - begin)])
    finally:
        engines.close()
    return 1 if broken else 0


def _section(part: Callable[[Engines], Iterator[Row]], rows: list[Row], seconds: float) -> Iterator[str]:
    yield f"{part.__name__}\n"
    yield f"{part.__doc__} {datetime.now(UTC):%Y-%m-%d}, in {seconds:.0f} seconds.\n"
    yield "| what was done | what was seen | as promised |"
    yield "|---|---|---|"
    yield from (f"| {row.done} | {row.seen} | {'yes' if row.holds else 'NO'} |" for row in rows)


def _write(name: str, lines: list[str]) -> None:
    """Puts a part's section in the place of what its run before left."""
    _, *sections = _REPORT.read_text().split("\n## ")
    known = {section.partition("\n")[0]: section.strip("\n") for section in sections} | {name: "\n".join(lines)}
    ordered = [known[part.__name__] for part in _PARTS if part.__name__ in known]
    _REPORT.write_text("\n\n## ".join([_TITLE, *ordered]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
