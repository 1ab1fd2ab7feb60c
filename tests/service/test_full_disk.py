"""A disk that is full: changes are refused and say why, reads go on, nothing is lost, and with room again all goes on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from support import raw
from support.cluster import Node, as_whom
from support.deployment import deploy
from support.disks import Disk, small_disk
from support.engines import Engines
from support.gateway import eventually
from support.rpc import Refused
from support.world import Person, World

Code = grpc.StatusCode
# Both hold a new database, and a little more.
_SIZE = {"sqlite": 4 << 20, "postgresql": 8 << 20}
_MOST = 2000


@contextmanager
def on_small_disk(engine: str, engines: Engines, tmp_path: Path) -> Iterator[tuple[World, Disk]]:
    """A server whose tables are on a small disk; of PostgreSQL they alone, so that its log does not end it."""
    made = _sqlite(tmp_path) if engine == "sqlite" else _postgresql(engines)
    with made as (url, disk):
        deployment = deploy(engine, url)
        try:
            yield World(deployment), disk
        finally:
            deployment.close()


@contextmanager
def _sqlite(tmp_path: Path) -> Iterator[tuple[str, Disk]]:
    with small_disk(tmp_path / "disk", _SIZE["sqlite"]) as disk:
        yield f"sqlite:///{disk.folder / 'tenantry.db'}", disk


@contextmanager
def _postgresql(engines: Engines) -> Iterator[tuple[str, Disk]]:
    url = engines.new("postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        data = Path(_only(connection, "SHOW data_directory"))
        name = _only(connection, "SELECT current_database()")
        with small_disk(data.with_name(f"disk-{name}"), _SIZE["postgresql"]) as disk:
            space = disk.folder / "tables"
            space.mkdir(mode=0o700)
            owner = data.stat()
            os.chown(space, owner.st_uid, owner.st_gid)
            connection.execute(f"CREATE TABLESPACE {name} LOCATION '{space}'")
            connection.execute(f"ALTER DATABASE {name} SET default_tablespace = {name}")
            try:
                yield url, disk
            finally:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute(f"DROP TABLESPACE {name}")


def _only(connection: psycopg.Connection[Any], sql: str) -> str:
    ((value,),) = connection.execute(sql)
    return str(value)


def make_roles(world: World, organization: Any, owner: Person) -> tuple[int, Refused]:
    """Makes roles until one is refused; how many that are, and the refusal."""
    for made in range(_MOST):
        try:
            world.role(organization, owner, "sandbox:write")
        except Refused as refusal:
            return made, refusal
    raise AssertionError(f"{_MOST} roles found room")


def test_a_full_disk_refuses_changes_keeps_what_there_is_and_all_goes_on_with_room_again(
    engine: str, engines: Engines, tmp_path: Path
) -> None:
    with on_small_disk(engine, engines, tmp_path) as (world, disk):
        owner = world.person("owner")
        acme = world.organization(owner)
        disk.fill(leaving=32 << 10)
        made, refusal = make_roles(world, acme, owner)
        metadata = {"limit": "disk space", "maximum": "the disk"}
        for _ in range(20):
            assert refusal.seen == (Code.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", metadata)
            assert owner.rpc("OrganizationService.GetOrganization", organization_id=acme.id).name == "Acme"
            more, refusal = make_roles(world, acme, owner)
            made += more
        assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == made
        assert world.revision(acme.id) == made + 1
        assert world.breaches() == []
        disk.clear()
        for _ in range(20):
            world.role(acme, owner, "sandbox:write")
        assert raw.count(world.deployment.database, "roles", organization_id=acme.id) == made + 20
        assert world.breaches() == []


@pytest.fixture
def lone() -> Iterator[tuple[Node, Disk]]:
    """A PostgreSQL that is on a small disk as a whole, with its log."""
    base = Path(tempfile.mkdtemp(prefix="tenantry-disk-"))
    try:
        base.chmod(0o755)
        with small_disk(base / "disk", 128 << 20) as disk:
            node = Node(disk.folder / "data", as_whom(disk.folder))
            node.initialize()
            try:
                node.start()
                yield node, disk
            finally:
                node.kill()
    finally:
        base.rmdir()


def start_again(node: Node) -> None:
    """As whoever watches over it does: what ended in the middle of its recovery does not always start at the first try."""
    for _ in range(4):
        with suppress(AssertionError):
            node.start()
            return
    node.start()


def test_a_log_without_room_ends_postgresql_and_what_was_acknowledged_is_there_when_it_is_back(lone: tuple[Node, Disk]) -> None:
    node, disk = lone
    with closing(deploy("postgresql", node.url())) as deployment:
        world = World(deployment)
        owner = world.person("owner")
        acme = world.organization(owner)
        for _ in range(20):
            world.role(acme, owner, "sandbox:write")
        disk.fill(leaving=0)
        with suppress(psycopg.OperationalError):
            node.execute("SELECT pg_switch_wal()")
        more, refusal = make_roles(world, acme, owner)
        eventually(lambda: node.ended, "PostgreSQL has ended")
        # Who was answered by neither a yes nor a no may have been heard.
        unknown = 1 if refusal.reason == "OUTCOME_UNKNOWN" else 0
        for _ in range(10):
            _, refusal = make_roles(world, acme, owner)
            assert refusal.seen == (Code.UNAVAILABLE, "DATABASE_UNAVAILABLE", {})
        disk.clear()
        start_again(node)
        world.role(acme, owner, "sandbox:write")
        deployment.database.drop_connection()
        found = raw.count(deployment.database, "roles", organization_id=acme.id) - 1
        assert 20 + more <= found <= 20 + more + unknown
        assert world.breaches() == []
