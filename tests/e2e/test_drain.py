"""What ends does so politely. What is promised of calls through the gateway while it does:

- Until the end is announced, nothing is different. A call that is under way then is answered in full.
- From then on, a call is answered in full, or with 503, or, at the very end, not at all. No other failure is ever answered.
- What was answered with success has happened.
- One worker of several that goes, and is replaced, costs at most the calls that reach it in that instant.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest
from e2e.commands import Running, Shell
from e2e.shapes import dotenv_organization
from support import raw
from support.engines import Engines
from support.gateway import eventually

from tenantry_server import processes

READY = "Tenantry is ready at http://"
LIST = "/api/v1/organizations"
THREADS = 8


@pytest.fixture
def shell(engine: str, engines: Engines, tmp_path: Path) -> Shell:
    """Commands on an empty database, where a user may create as many organizations as they like."""
    return Shell(tmp_path, {"DATABASE_URL": engines.new(engine), "MAX_ORGANIZATIONS_PER_USER": "1000000"})


@dataclass
class Caller:
    """One client that creates and lists, over and over: when it was answered how; 0 is no answer."""

    shell: Shell
    token: str
    statuses: list[tuple[float, int]] = field(default_factory=list)
    created: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        """Calls until it is told to stop."""
        with self.shell.http(self.token) as http:
            while not stop.wait(0.05):
                for verb, body in (("POST", [{"name": "Under load"}]), ("GET", [])):
                    try:
                        answer = http.call(verb, LIST, *body)
                    except (OSError, HTTPException):
                        self.statuses.append((time.monotonic(), 0))
                        continue
                    self.statuses.append((time.monotonic(), answer.status))
                    if answer.status == 201:
                        self.created.append(answer.body["data"]["id"])


@contextmanager
def load(shell: Shell, token: str) -> Iterator[list[Caller]]:
    """Callers in threads of their own, for as long as the block lasts."""
    stop, callers = threading.Event(), [Caller(shell, token) for _ in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(caller.run, stop) for caller in callers]
        try:
            eventually(lambda: all(len(caller.created) > 3 for caller in callers), "every caller is at work")
            yield callers
        finally:
            stop.set()
        for each in running:
            each.result()


def owner_of(shell: Shell) -> str:
    """The demo owner's token."""
    return str(json.loads((shell.folder / ".data" / "demo.json").read_text())["owner"]["token"])


def until(running: Running, event: str, times: int) -> None:
    """Returns when the server's log has an event so many times."""
    text = f'"event": "{event}"'
    eventually(lambda: running.err.read_text().count(text) >= times, f"{times} times {event}")


def test_the_end_of_the_whole_stack_loses_nothing_that_was_answered(shell: Shell) -> None:
    with shell.start("up", "--demo") as running:
        running.says(READY)
        with load(shell, owner_of(shell)) as callers:
            end = time.monotonic()
            assert running.ends(signal.SIGINT) == 0
    answered = set[int]()
    for caller in callers:
        before = [status for moment, status in caller.statuses if moment < end]
        after = [status for moment, status in caller.statuses if moment >= end]
        assert set(before) == {200, 201}
        assert set(after) <= {200, 201, 503, 0}
        answered |= {200, 201} & set(after)
        assert after[-1] in (503, 0), "and then it was over"
    assert answered, "it went on answering for a while"
    created = {each for caller in callers for each in caller.created}
    with raw.connect(shell.settings["DATABASE_URL"]) as connection:
        kept = {row[0] for row in connection.execute("SELECT id FROM organizations")}
    assert created <= kept
    assert shell.run("doctor").stdout == "All invariants hold.\n"


def test_a_worker_that_goes_is_replaced_and_the_others_go_on(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"WORKERS": "2", "MAX_ORGANIZATIONS_PER_USER": "1000000"})
    with shell.start("up", "--demo") as running:
        running.says(READY)
        until(running, "serving", 2)
        with load(shell, owner_of(shell)) as callers:
            # One after the other: one of them at least has the gateway's connections.
            for number, worker in enumerate(running.workers(), 1):
                worker.kill(signal.SIGTERM)
                leaving = time.monotonic()
                until(running, "serving", 2 + number)
                for caller in callers:
                    failures = [moment for moment, status in caller.statuses if status not in (200, 201) and moment > leaving]
                    assert len(failures) <= 3
                    assert any(moment - leaving > 1 for moment, status in caller.statuses if status == 201)
        assert running.ends(signal.SIGINT) == 0


def test_a_call_that_is_under_way_is_answered_in_full(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    database, lock = tmp_path / ".data" / "tenantry.db", tmp_path / ".data" / "tenantry.db.lock"
    with shell.start("up", "--demo") as running, ThreadPoolExecutor(1) as pool:
        running.says(READY)
        with shell.http(owner_of(shell)) as http, raw.connect(f"sqlite:///{database}") as connection:
            connection.execute("BEGIN IMMEDIATE")
            call = pool.submit(lambda: http.post(LIST, {"name": "Under way"}))
            eventually(lambda: is_locked(lock), "the call waits for the database")
            running.popen.send_signal(signal.SIGINT)
            until(running, "draining", 1)
            assert not call.done()
            connection.execute("COMMIT")
            assert call.result(20).seen == (201, dotenv_organization(name="Under way"))
        assert running.ends() == 0


def test_a_gateway_that_ends_alone_waits_for_the_call_that_is_under_way(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    database, lock = tmp_path / ".data" / "tenantry.db", tmp_path / ".data" / "tenantry.db.lock"
    assert shell.run("migrate").returncode == 0
    token = shell.json("user", "create", "--email", "ana@example.com", "--name", "Ana")["token"]
    with shell.start("serve") as server, shell.start("gateway") as gateway, ThreadPoolExecutor(1) as pool:
        gateway.says("The gateway listens on ")
        with shell.http(token) as http, raw.connect(f"sqlite:///{database}") as connection:
            eventually(lambda: http.get("/healthz").status == 200, "the gateway has found the server")
            connection.execute("BEGIN IMMEDIATE")
            call = pool.submit(lambda: http.post(LIST, {"name": "Under way"}))
            eventually(lambda: is_locked(lock), "the call waits for the database")
            gateway.popen.send_signal(signal.SIGTERM)
            time.sleep(processes.NOTICE + 2)
            assert not call.done()
            connection.execute("COMMIT")
            assert call.result(20).seen == (201, dotenv_organization(name="Under way"))
        assert gateway.ends() == 0
        assert server.ends(signal.SIGTERM) == 0


def is_locked(file: Path) -> bool:
    """Whether somebody holds a lock on a file: a line of /proc/locks names its inode."""
    inode = str(file.stat().st_ino)
    return any(line.split()[5].endswith(f":{inode}") for line in Path("/proc/locks").read_text().splitlines())
