"""`tenantry backup` while others write, `tenantry restore` where nothing is: what was acknowledged is there, and sound."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.commands import Shell, failed, shell_on
from support import raw
from support.cluster import BIN
from support.engines import Engines
from support.interleave import Background, refused
from support.world import World

pytest_plugins = ("support.only",)


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's client programs are in the path."""
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")


def test_a_backup_made_under_load_has_what_was_acknowledged_before_and_is_sound(
    deploy_own: Callable[..., World], engine: str, engines: Engines, tmp_path: Path
) -> None:
    world = deploy_own()
    shell, owner = shell_on(world, tmp_path), world.person("owner")
    acme, stop, before = world.organization(owner), threading.Event(), tmp_path / "backup"
    made: list[str] = []

    def write() -> None:
        while not stop.is_set():
            made.append(world.role(acme, owner, "sandbox:read").id)

    for _ in range(5):
        made.append(world.role(acme, owner, "sandbox:read").id)
    writing = Background(write)
    acknowledged = list(made)
    assert shell.run("backup", str(before)).stdout == f"{before} has all there is.\n"
    stop.set()
    assert not refused(writing.result())
    assert before.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if "part" in file.name] == []

    elsewhere = engines.new(engine)
    assert shell.run("restore", str(before), DATABASE_URL=elsewhere).stdout == "All invariants hold.\n"
    with raw.connect(elsewhere) as connection:
        kept = [row[0] for row in connection.execute("SELECT id FROM roles WHERE organization_id = ?", (acme.id,))]
    assert set(acknowledged) <= set(kept) <= set(made)
    # The restored one serves, and knows the same secrets.
    again = Shell(tmp_path, {"DATABASE_URL": elsewhere})
    assert again.json("user", "create", "--email", "new@example.com", "--name", "New")["user_id"]


def test_a_backup_replaces_nothing_and_neither_does_a_restore(world: World, tmp_path: Path) -> None:
    shell, file = shell_on(world, tmp_path), tmp_path / "backup"
    file.write_text("precious")
    assert failed(shell, "backup", str(file)) == f"Error: {file} is there already"
    assert file.read_text() == "precious"
    refusal = "Error: the database is not empty; a backup is put where nothing is"
    assert failed(shell, "restore", str(file)) == refusal
    assert failed(shell, "restore", str(tmp_path / "none")) == f"Error: {tmp_path / 'none'} is no file"
    assert world.breaches() == []


def test_what_is_no_backup_leaves_the_database_empty(engine: str, engines: Engines, tmp_path: Path) -> None:
    url = engines.new(engine)
    shell, file = Shell(tmp_path, {"DATABASE_URL": url}), tmp_path / "backup"
    file.write_text("this is no backup " * 100)
    failed(shell, "restore", str(file))
    assert shell.run("migrate").returncode == 0


def test_a_damaged_backup_is_told_by_the_doctor(on_sqlite: Callable[..., World], engines: Engines, tmp_path: Path) -> None:
    world = on_sqlite()
    owner = world.person("owner")
    acme = world.organization(owner)
    shell, file = shell_on(world, tmp_path), tmp_path / "backup"
    assert shell.run("backup", str(file)).returncode == 0
    with raw.connect(f"sqlite:///{file}") as connection:
        connection.execute("DELETE FROM memberships WHERE organization_id = ?", (acme.id,))
    done = shell.run("restore", str(file), DATABASE_URL=engines.new("sqlite"))
    assert done.returncode == 1
    assert f"broken: every organization has an owner: {acme.id}" in done.stdout


def test_a_password_is_not_among_what_others_can_see(
    on_postgresql: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = on_postgresql()
    seen = tmp_path / "pg_dump"
    seen.write_text('#!/bin/sh\necho "$@" > "$0.arguments"\necho "$PGPASSWORD" > "$0.password"\nexit 3\n')
    seen.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with_password = world.deployment.url.replace("postgres:@", "postgres:hunter2@")
    assert with_password != world.deployment.url
    shell = Shell(tmp_path, {"DATABASE_URL": with_password})
    assert failed(shell, "backup", str(tmp_path / "backup")).startswith("Error: pg_dump: ")
    assert "hunter2" not in (tmp_path / "pg_dump.arguments").read_text()
    assert (tmp_path / "pg_dump.password").read_text() == "hunter2\n"
