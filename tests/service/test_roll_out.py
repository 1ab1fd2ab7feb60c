"""Rolling out a version: its migration comes first, lets everybody pass, and the version before goes on beside the new one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import peewee
import pytest
from playhouse.migrations import Migration
from support import raw
from support.crowd import Crowd
from support.descriptors import core_methods, is_change, label
from support.engines import Engines
from support.gateway import eventually
from support.interleave import Background, refused
from support.requests import build
from support.rpc import Refused
from support.sql import Heard
from support.world import World

from tenantry_server.store import expanding, schema
from tenantry_server.store.schema import migrate, plan
from tenantry_server.store.urls import open_database

pytest_plugins = ("support.only",)

# What only adds: to what is there, nothing changes for who does not know of it.
_ADDS = re.compile(
    r"CREATE TABLE |CREATE INDEX |INSERT INTO |UPDATE |SELECT |SHOW |SET lock_timeout |DROP INDEX "
    r"|ALTER TABLE \w+ ADD COLUMN \w+ \w+\b(?! NOT NULL(?! DEFAULT))"
)
# What a later version might add.
_LATER = (
    "CREATE TABLE later (id TEXT NOT NULL PRIMARY KEY)",
    *(f"ALTER TABLE {name} ADD COLUMN later TEXT" for name in raw.NAMES),
    *(f"ALTER TABLE {name} ADD COLUMN more TEXT NOT NULL DEFAULT 'x'" for name in raw.NAMES),
    "INSERT INTO schema_migration (name, applied) VALUES ('9999_expand_later', '2030-01-01')",
)


def test_what_says_that_it_only_adds_does(engine: str, engines: Engines) -> None:
    database = open_database(engines.new(engine))
    steps = plan(database)
    database.shut_down()
    expanding_steps = [step for step in steps if step.only_adds]
    assert expanding_steps
    for step in expanding_steps:
        assert all(_ADDS.match(statement) for statement in step.statements), step.name
    assert not _ADDS.match("ALTER TABLE users DROP COLUMN name")
    assert not _ADDS.match("ALTER TABLE users ADD COLUMN age TEXT NOT NULL")
    assert not all(_ADDS.match(statement) for step in steps for statement in step.statements)


def test_a_plan_says_what_a_migration_then_says(engine: str, engines: Engines) -> None:
    database: Any = open_database(engines.new(engine))
    planned = [statement for step in plan(database) for statement in step.statements]
    assert database.get_tables() == []
    with Heard(database) as heard:
        migrate(database)
    told = [" ".join(statement.split()) for statement in heard.statements]
    assert [statement for statement in planned if statement not in told and "lock_timeout" not in statement] == []
    assert plan(database) == []
    database.shut_down()


def test_this_version_serves_from_what_a_later_one_added_to(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    with raw.connect(world.deployment.url) as connection:
        for statement in _LATER:
            connection.execute(statement)
    crowd = Crowd(world, 3)
    for method in core_methods():
        if core_name(method) in ("UndeleteOrganization", "EraseUser"):
            continue
        request = build(method, crowd.objects, validate_only=is_change(method))
        if "unassign" in method.input_type.fields_by_name:
            request.unassign = True
        try:
            crowd.actor(method).send(method.full_name, request)
        except Refused as refusal:
            raise AssertionError(f"{label(method)}: {refusal}") from None
    assert world.breaches() == []


def core_name(method: Any) -> str:
    return str(method.name)


def test_a_migration_that_finds_its_table_in_use_lets_the_others_pass(
    on_postgresql: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = on_postgresql()
    owner = world.person("owner")
    acme = world.organization(owner)
    monkeypatch.setattr(schema, "_REST", 0.1)
    with raw.connect(world.deployment.url) as other:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM organizations")
        database = open_database(world.deployment.url)
        tries = _counting(monkeypatch)
        migrating = Background(lambda: migrate(database))
        eventually(lambda: tries.count >= 2, "it gave up, and asked again")
        # Whoever comes meanwhile waits at most until it gives up.
        assert owner.rpc("OrganizationService.GetOrganization", organization_id=acme.id) == acme
        assert not migrating.done
        other.execute("COMMIT")
        assert migrating.result() == ["9998_later"]
    assert owner.rpc("OrganizationService.GetOrganization", organization_id=acme.id) == acme
    database.shut_down()


class _Counted:
    count = 0


def _counting(monkeypatch: pytest.MonkeyPatch) -> _Counted:
    counted, make = _Counted(), schema._runner

    class Runner:
        def __init__(self, database: Any) -> None:
            self._runner = make(database)

        def status(self) -> Any:
            applied = {step.name for step in self._runner.status() if step.applied}
            pending = [] if "9998_later" in applied else [Migration(9998, "9998_later", "later", None)]
            return [*self._runner.status(), *pending]

        def up(self) -> None:
            counted.count += 1
            with self._runner.database.atomic():
                self._runner.database.execute_sql("ALTER TABLE organizations ADD COLUMN later TEXT")
                self._runner.History.create(name="9998_later")

    monkeypatch.setattr(schema, "_runner", Runner)
    return counted


def test_an_index_that_was_left_half_built_is_built_anew(on_postgresql: Callable[..., World]) -> None:
    world = on_postgresql()
    database: Any = world.deployment.database
    owner = world.person("owner")
    for _ in range(2):
        world.role(world.organization(owner), owner, "sandbox:read")
    with pytest.raises(peewee.IntegrityError):  # two roles have one name
        expanding.index(database, "roles_later", "roles (name)", unique=True)
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'roles_later'::regclass"
    assert database.execute_sql(valid).fetchall() == [(False,)]
    database.execute_sql("UPDATE roles SET name = id")
    expanding.index(database, "roles_later", "roles (name)", unique=True)
    assert database.execute_sql(valid).fetchall() == [(True,)]


def test_a_backfill_goes_in_batches_while_others_write(
    deploy_own: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "_BATCH", 5)
    world = deploy_own()
    owner = world.person("owner")
    acme = world.organization(owner)
    for _ in range(23):
        world.role(acme, owner, "sandbox:read")
    database: Any = world.deployment.database
    database.execute_sql("ALTER TABLE roles ADD COLUMN later TEXT")
    stop = threading.Event()

    def write() -> list[Any]:
        made = []
        while not stop.is_set():
            made.append(world.role(acme, owner, "sandbox:read"))
        return made

    writing = Background(write)
    with Heard(database) as heard:
        expanding.backfill(database, "roles", "organization_id, id", "later = name", "later IS NULL")
    stop.set()
    assert not refused(writing.result())
    assert sum(statement.startswith("UPDATE roles SET later") for statement in heard.statements) >= 5
    assert world.breaches() == []
