"""The schema: the migrations make what the models say, the database itself keeps tenants apart, and nothing runs on another."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import peewee
import pytest
from playhouse.migrations import Runner
from support.deployment import CATALOG, LIMITS
from support.engines import Engines

from tenantry_server import bootstrap
from tenantry_server.store import schema
from tenantry_server.store.models import TABLES
from tenantry_server.store.schema import SchemaError, migrate
from tenantry_server.store.urls import open_database

_NAMES = sorted(model._meta.table_name for model in TABLES)
_HISTORY = "schema_migration"
MIGRATIONS = sorted(path.stem for path in (Path(schema.__file__).parent / "migrations").glob("[0-9]*.py"))
LISTED = ", ".join(MIGRATIONS)


def _rows(database: Any, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return list(database.execute_sql(sql.replace("?", database.param), parameters).fetchall())


# -- migrations and models -------------------------------------------------------------------------------------------


def _described(database: Any) -> dict[str, Any]:
    """Every table: its columns, constraints and indexes, in words that both ways of making them have in common."""
    describe = _on_sqlite if database.param == "?" else _on_postgresql
    tables = sorted(set(database.get_tables()) - {_HISTORY})
    return {table: describe(database, table) for table in tables}


def _on_postgresql(database: Any, table: str) -> dict[str, Any]:
    columns = """
        SELECT column_name, data_type, is_nullable, column_default, collation_name FROM information_schema.columns
        WHERE table_name = ? ORDER BY ordinal_position"""
    constraints = """
        SELECT contype, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid = CAST(CAST(? AS TEXT) AS REGCLASS) ORDER BY 1, 2"""
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ? ORDER BY 1"
    return {
        "columns": _rows(database, columns, table),
        "constraints": _rows(database, constraints, table),
        "indexes": _rows(database, indexes, table),
    }


# SQLite keeps what it was told; Peewee tells it INTEGER.
_AFFINITIES = {"BIGINT": "INTEGER", "BOOLEAN": "INTEGER"}


def _on_sqlite(database: Any, table: str) -> dict[str, Any]:
    ((text,),) = _rows(database, "SELECT sql FROM sqlite_schema WHERE name = ?", table)
    indexes = {}
    for _, name, unique, origin, partial in _rows(database, f"PRAGMA index_list({table})"):
        # The key of a table that is kept in its order is no index of its own.
        (sql,) = next(iter(_rows(database, "SELECT sql FROM sqlite_schema WHERE name = ?", name)), ("",))
        where = re.sub(r"[\s()\"]", "", sql.partition("WHERE")[2]) if sql else ""
        columns = [column for _, _, column in _rows(database, f"PRAGMA index_info({name})")]
        indexes[name] = (unique, origin, partial, columns, where)
    return {
        "columns": [
            (name, _AFFINITIES.get(kind, kind), required, default, key)
            for _, name, kind, required, default, key in _rows(database, f"PRAGMA table_info({table})")
        ],
        "checks": sorted(_checks(text)),
        "references": sorted(row[2:] for row in _rows(database, f"PRAGMA foreign_key_list({table})")),
        "indexes": indexes,
    }


def _checks(text: str) -> Iterator[str]:
    """The conditions of CHECK (…), without blanks and quotes."""
    for match in re.finditer(r"CHECK\s*\(", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield re.sub(r"[\s\"]", "", text[match.end() : end - 1])


@pytest.fixture
def migrated(engine: str, engines: Engines) -> Iterator[Any]:
    """A fresh database, migrated."""
    database = open_database(engines.new(engine))
    assert migrate(database) == MIGRATIONS
    yield database
    database.shut_down()


def test_the_migrations_make_what_the_models_say(engine: str, engines: Engines, migrated: Any) -> None:
    modelled: Any = open_database(engines.new(engine))
    with modelled.bind_ctx(TABLES):
        for model in TABLES:
            model.create_table()
    made, told = _described(migrated), _described(modelled)
    assert sorted(made) == _NAMES
    for table in _NAMES:
        assert made[table] == told[table], table
    modelled.shut_down()


def test_a_difference_between_the_two_would_be_seen(engine: str, engines: Engines, migrated: Any) -> None:
    made = _described(migrated)
    for change in (
        "DROP INDEX memberships_owner",
        "DROP INDEX invitations_pending",
        "CREATE INDEX more ON users (name)",
        "ALTER TABLE users ADD COLUMN more TEXT",
        "ALTER TABLE roles ADD COLUMN parent TEXT REFERENCES users (id)",
    ):
        before = _described(migrated)
        migrated.execute_sql(change)
        assert _described(migrated) != before, change
    assert _described(migrated) != made


def test_sqlite_keeps_what_every_call_looks_up_in_the_order_of_its_keys(engines: Engines) -> None:
    database: Any = open_database(engines.new("sqlite"))
    migrate(database)
    in_order = {name for _, name, _, _, without_rowid, _ in _rows(database, "PRAGMA table_list") if without_rowid}
    assert in_order >= {"api_token_secrets", "api_tokens", "users", "memberships", "api_token_exclusions"}
    database.shut_down()


def test_migrating_again_changes_nothing(migrated: Any) -> None:
    before, key = _described(migrated), _rows(migrated, "SELECT * FROM server_keys")
    assert migrate(migrated) == []
    assert _described(migrated) == before
    assert _rows(migrated, "SELECT * FROM server_keys") == key


# -- several processes -----------------------------------------------------------------------------------------------


def test_of_processes_that_migrate_at_once_one_does_it(engine: str, engines: Engines) -> None:
    environment = {**os.environ, "TENANTRY_DATABASE_URL": engines.new(engine)}
    processes = [
        subprocess.Popen(["tenantry", "migrate"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    assert sorted(said) == [(f"Applied: {LISTED}.\n", "", 0), *[("The schema is current.\n", "", 0)] * 2]


def _migrate_together(url: str, monkeypatch: pytest.MonkeyPatch, patience: float) -> list[Any]:
    """Two migrations, each held until the other has made its plan too, or for a while."""
    meeting = threading.Barrier(2)
    up = Runner._run

    def together(runner: Any, *arguments: Any, **options: Any) -> None:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(patience)
        up(runner, *arguments, **options)

    monkeypatch.setattr(Runner, "_run", together)
    results: list[Any] = []

    def run() -> None:
        database = open_database(url)
        try:
            results.append(migrate(database))
        except peewee.PeeweeException as error:
            results.append(error)
        finally:
            database.shut_down()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_a_migration_waits_for_another_that_has_begun(engine: str, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    results = _migrate_together(engines.new(engine), monkeypatch, patience=0.3)
    assert [] in results, results
    assert MIGRATIONS in results, results


def test_without_the_lock_one_of_them_would_fail(engine: str, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(open_database(engines.new(engine))), "migrating", lambda database: nullcontext())
    results = _migrate_together(engines.new(engine), monkeypatch, patience=1)
    assert MIGRATIONS in results, results
    assert any(isinstance(result, peewee.PeeweeException) for result in results), results


# -- the wrong schema ------------------------------------------------------------------------------------------------


def _wire(database: Any) -> Any:
    return bootstrap.wire(database, CATALOG, LIMITS)


def test_a_server_does_not_start_on_a_schema_that_is_behind(engine: str, engines: Engines) -> None:
    database: Any = open_database(engines.new(engine))
    with pytest.raises(SchemaError, match=f"^migrations are pending: {LISTED}; run `tenantry migrate`$"):
        _wire(database)
    assert _rows(database, "SELECT 1") == [(1,)]
    assert database.get_tables() == []
    database.shut_down()


def test_a_server_does_not_start_on_a_schema_that_is_ahead(migrated: Any) -> None:
    _wire(migrated)
    _rows(migrated, f"INSERT INTO {_HISTORY} (name, applied) VALUES ('9999_future', '2030-01-01') RETURNING 1")
    with pytest.raises(SchemaError, match=r"^the database is newer than this version: 9999_future$"):
        _wire(migrated)


def test_a_server_starts_on_a_schema_to_which_a_later_version_only_added(migrated: Any) -> None:
    _rows(migrated, f"INSERT INTO {_HISTORY} (name, applied) VALUES ('9999_expand_future', '2030-01-01') RETURNING 1")
    _wire(migrated)
