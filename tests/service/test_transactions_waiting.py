"""Changes that wait for one another: they are tried again, give up when their time is up, and take turns."""

import fcntl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import grpc
import peewee
import psycopg
import pytest
from support import raw
from support.breakage import Tries
from support.interleave import Background, Stop, at_once, outcome, refused
from support.rpc import Refused, request_of
from support.world import World

from tenantry_server.domain import call as calls
from tenantry_server.domain.errors import Conflict, DeadlineExceeded
from tenantry_server.store import sqlite
from tenantry_server.store.queries import audit

pytest_plugins = ("support.only",)

_SHORT = 0.3


def make_role(world: World, organization: Any, seconds: float = 15) -> Any:
    """A role, made by the operator through the services, or the refusal."""
    call = replace(calls.operator("test"), organization_id=organization.id, deadline=time.monotonic() + seconds)
    return outcome(lambda: world.services.roles.create(call, name="Tester", description="", permissions=["sandbox:write"]))


# -- trying again ----------------------------------------------------------------------------------------------------


def test_a_deadlock_costs_another_try(on_postgresql: Callable[..., World]) -> None:
    world = on_postgresql()
    owner = world.person("owner")
    acme = world.organization(owner)
    owner.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
    with raw.connect(world.deployment.url) as other:
        ((name,),) = other.execute("SELECT current_database()")
        other.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '50ms'")
        world.deployment.database.drop_connection()
        # We hold the user and want the organization; the change holds the organization and wants the user.
        other.execute("BEGIN")
        other.execute("SET LOCAL deadlock_timeout = '10s'")
        other.execute("UPDATE users SET revision = revision WHERE id = ?", (owner.id,))
        with Tries(world.deployment.database) as tries:
            call = replace(calls.operator("test"), organization_id=acme.id)
            changing = Background(lambda: world.services.organizations.undelete(call))
            tries.wait(1)
            _wait_until_blocked(world)
            other.execute("UPDATE organizations SET revision = revision WHERE id = ?", (acme.id,))
            other.execute("COMMIT")
            assert not refused(changing.result())
        assert tries.count == 2
    assert world.breaches() == []


def _wait_until_blocked(world: World) -> None:
    with raw.connect(world.deployment.url) as connection:
        deadline = time.monotonic() + 20
        while not connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            assert time.monotonic() < deadline, "nobody waits for a lock"
            time.sleep(0.005)


def test_a_busy_file_costs_another_try(on_sqlite: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sqlite._PRAGMAS, "busy_timeout", 5)
    world = on_sqlite()
    acme = world.organization(world.person("owner"))
    with raw.connect(world.deployment.url) as other, Tries(world.deployment.database) as tries:
        other.execute("BEGIN IMMEDIATE")
        making = Background(lambda: make_role(world, acme))
        tries.wait(3)
        assert isinstance(make_role(world, acme, _SHORT), Conflict)
        other.execute("ROLLBACK")
        assert not refused(making.result())
    assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == 1
    assert world.breaches() == []


@pytest.mark.parametrize("overslept", [False, True], ids=["on time", "overslept"])
def test_a_change_that_never_gets_through_is_a_conflict_when_its_time_is_up(
    world: World, monkeypatch: pytest.MonkeyPatch, *, overslept: bool
) -> None:
    acme = world.organization(world.person("owner"))

    def begin() -> None:
        raise peewee.OperationalError from psycopg.errors.SerializationFailure("could not serialize access")

    def oversleep(seconds: float) -> None:
        pause(seconds + (2 * _SHORT if overslept else 0))

    pause = time.sleep
    monkeypatch.setattr(world.deployment.database, "begin", begin)
    monkeypatch.setattr(time, "sleep", oversleep)
    refusal = make_role(world, acme, _SHORT)
    monkeypatch.undo()
    assert isinstance(refusal, Conflict)
    assert refusal.reason == "CONFLICT"
    assert refusal.metadata == {}
    assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == 0


# -- deadlines -------------------------------------------------------------------------------------------------------


def test_a_call_whose_time_is_up_while_another_process_has_the_lock_changes_nothing(
    on_postgresql: Callable[..., World],
) -> None:
    world = on_postgresql()
    owner = world.person("owner")
    acme, apex = world.organization(owner), world.organization(owner)
    create = request_of("RoleService.CreateRole", organization_id=acme.id, name="Tester", permissions=["sandbox:write"])

    def impatiently() -> Any:
        return owner.rpc.send("RoleService.CreateRole", create, timeout=_SHORT)

    with raw.connect(world.deployment.url) as other:
        other.execute("BEGIN")
        other.execute("UPDATE organizations SET revision = revision WHERE id = ?", (acme.id,))
        assert isinstance(Background(lambda: make_role(world, acme, _SHORT)).result(), DeadlineExceeded)
        # As many as the server has threads: all of them are free again before the lock is.
        for refusal in at_once(*[impatiently] * 8):
            assert isinstance(refusal, Refused)
            assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert not refused(at_once(lambda: world.role(apex, owner, "sandbox:write"))[0])
        other.execute("COMMIT")
    assert not refused(make_role(world, acme))
    assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == 1
    assert world.breaches() == []


def test_a_call_whose_time_is_up_while_another_thread_writes_changes_nothing(on_sqlite: Callable[..., World]) -> None:
    world = on_sqlite()
    acme = world.organization(world.person("owner"))
    with Stop(world.deployment.database, audit.INSERT) as stop:
        slow = Background(lambda: make_role(world, acme))
        stop.wait()
        assert isinstance(Background(lambda: make_role(world, acme, _SHORT)).result(), DeadlineExceeded)
        stop.go()
        assert not refused(slow.result())
    assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == 1


def test_a_call_whose_time_is_up_while_another_process_has_the_file_changes_nothing(on_sqlite: Callable[..., World]) -> None:
    world = on_sqlite()
    acme = world.organization(world.person("owner"))
    file = Path(unquote(urlsplit(world.deployment.url).path[1:]) + ".lock")
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        late = Background(lambda: make_role(world, acme, _SHORT))
        time.sleep(2 * _SHORT)  # its time has to pass
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert isinstance(late.result(), DeadlineExceeded)
    assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == 0
    assert not refused(make_role(world, acme))


def test_a_change_that_took_too_long_is_not_committed(world: World) -> None:
    acme = world.organization(world.person("owner"))
    with Stop(world.deployment.database, audit.INSERT) as stop:
        late = Background(lambda: make_role(world, acme, _SHORT))
        stop.wait()
        time.sleep(2 * _SHORT)  # its time has to pass
        stop.go()
        assert isinstance(late.result(), DeadlineExceeded)
    assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == 0
    assert world.breaches() == []


# -- turns -----------------------------------------------------------------------------------------------------------


def test_no_writer_is_kept_waiting_for_the_others(on_sqlite: Callable[..., World]) -> None:
    world = on_sqlite()
    organizations = [world.organization(world.person("owner")) for _ in range(16)]
    total, changes = 640, [0] * len(organizations)
    counting = threading.Lock()

    def write(writer: int) -> None:
        while True:
            assert not refused(make_role(world, organizations[writer]))
            with counting:
                changes[writer] += 1
                if sum(changes) >= total:
                    return

    at_once(*[partial(write, writer) for writer in range(len(organizations))])
    assert min(changes) >= 4, changes  # a tenth of an equal share
    assert world.breaches() == []


def test_processes_that_share_a_database_lose_and_double_nothing(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    acme = world.organization(world.person("owner"))
    count = 50
    command = [sys.executable, "-m", "support.writer", world.deployment.url, acme.id, str(count)]
    folder = Path(__file__).parents[1]
    writers = [
        subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    said = [writer.communicate("go\n", timeout=60)[0] for writer in writers]
    assert said == ["", ""]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == 2 * count
    assert world.revision(acme.id) == acme.revision + 2 * count
    assert world.breaches() == []
